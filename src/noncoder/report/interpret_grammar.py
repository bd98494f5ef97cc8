"""What the section shows of a task's grammar and of sequences that were designed for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from noncoder import plots
from noncoder.report.figures import svg

# Pairs of motifs that are drawn, and designed sequences that a table lists.
_PAIRS, _SEQUENCES = 2, 8

Ends = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def grammar_part(grammar: Mapping[str, Any] | None, part: str) -> dict[str, Any] | None:
    """What is shown of grammar.json; None without it.

    Args:
        grammar: What the file holds.
        part: Starts every id.
    """
    if grammar is None:
        return None
    figures: dict[str, Figure] = {}
    for name, label in (("marginal", "effect of putting it in, logit"), ("ablation", "effect of what is there, logit")):
        rows = grammar[name]
        if rows:
            values = [row["values"] for row in rows] if "values" in rows[0] else None
            figures[name] = plots.plot_marginal([row["motif"] for row in rows], _stacked(rows), values, label)
    if grammar["positions"]:
        scans = {
            row["motif"]: (np.array(row["starts"]) + row["width"] / 2, _ends(row["effect"]))
            for row in grammar["positions"]
        }
        figures["positions"] = plots.plot_position_scan(scans, grammar["window"], _bin(grammar), "effect, logit")
    for i, pair in enumerate(grammar["spacing"][:_PAIRS]):
        joint, interaction = (_lines(pair[name], pair["orientations"]) for name in ("joint", "interaction"))
        both = (pair["first"], pair["second"])
        figures[f"spacing{i}"] = plots.plot_spacing(pair["distances"], joint, interaction, both)
    found = grammar["importance"]
    if found and found["kmers"]:
        figures["kmers"] = plots.plot_kmers(found["kmers"], _ends(found["effect"]), screened=found["screened"])
    drawn = {name: svg(figure, f"{part}-{name}", f"grammar of {grammar['task']}") for name, figure in figures.items()}
    pairs = [drawn[name] for name in drawn if name.startswith("spacing")]
    return {"found": grammar, "figures": drawn, "pairs": pairs, "more_pairs": len(grammar["spacing"]) - len(pairs)}


def design_part(design: Mapping[str, Any] | None, part: str) -> dict[str, Any] | None:
    """What is shown of design.json; None without it.

    Args:
        design: What the file holds.
        part: Starts every id.
    """
    if design is None or not design["sequences"]:
        return None
    column = design["tasks"].index(design["task"])
    roles = {design["task"]: "made high"} | ({design["against"]: "kept low"} if design["against"] else {})
    history, reference = design["history"], design["reference"]
    lines = {"99.9% of windows": reference["quantiles"]["0.999"]} if reference and not design["against"] else None
    hits = [(hit["start"], hit["end"], hit["motif"]) for hit in design["hits"] if hit["row"] == 0]
    before, after = (design["logits"][when] for when in ("before", "after"))
    figures = {
        "history": plots.plot_design_history({design["method"]: (history["evaluations"], history["best"])}, lines),
        "predictions": plots.plot_design_predictions(before, after, design["tasks"], roles),
        "sequence": plots.plot_design_sequence(design["starts"][0], design["sequences"][0], hits, _bin(design)),
    }
    rows = [
        {
            "edits": design["edits"][i],
            "logit_before": before[i][column],
            "logit_after": after[i][column],
            "probability_before": design["probabilities"]["before"][i][column],
            "probability_after": design["probabilities"]["after"][i][column],
            "share_below": reference["share_below"][i] if reference else None,
            "motifs": sorted({hit["motif"] for hit in design["hits"] if hit["row"] == i}),
        }
        for i in range(min(_SEQUENCES, len(design["sequences"])))
    ]
    drawn = {name: svg(figure, f"{part}-d-{name}", f"design for {design['task']}") for name, figure in figures.items()}
    return {"found": design, "figures": drawn, "rows": rows}


def _ends(effect: Mapping[str, Any]) -> Ends:
    """Mean and interval ends; null, as JSON has it for what is no number, is NaN."""
    mean, low, high = (np.array(effect[name], dtype=float) for name in ("mean", "low", "high"))
    return mean, low, high


def _stacked(rows: Sequence[Mapping[str, Any]]) -> Ends:
    mean, low, high = np.array([_ends(row["effect"]) for row in rows]).T
    return mean, low, high


def _lines(effect: Mapping[str, Any], orientations: Sequence[str]) -> dict[str, Ends]:
    mean, low, high = _ends(effect)
    return {strands: (mean[i], low[i], high[i]) for i, strands in enumerate(orientations)}


def _bin(found: Mapping[str, Any]) -> tuple[int, int] | None:
    window, bin_ = found["window"], found["bin"]
    return ((window - bin_) // 2, (window + bin_) // 2) if bin_ and bin_ < window else None

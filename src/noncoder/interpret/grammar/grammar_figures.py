"""Figures of a grammar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from noncoder import plots

Ends = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def grammar_figures(grammar: Mapping[str, Any]) -> dict[str, Figure]:
    """Draws each part of a grammar as a figure, and returns the figures by name.

    Args:
        grammar: Content of grammar.json.
    """
    figures: dict[str, Figure] = {}
    for name, label in (("marginal", "effect of inserting it, logit"), ("ablation", "effect of the sites, logit")):
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
    for i, pair in enumerate(grammar["spacing"]):
        joint, interaction = (_lines(pair[name], pair["orientations"]) for name in ("joint", "interaction"))
        both = (pair["first"], pair["second"])
        figures[f"spacing{i}"] = plots.plot_spacing(pair["distances"], joint, interaction, both)
    found = grammar["importance"]
    if found and found["kmers"]:
        figures["kmers"] = plots.plot_kmers(found["kmers"], _ends(found["effect"]), screened=found["screened"])
    return figures


def _ends(effect: Mapping[str, Any]) -> Ends:
    """Returns mean and interval ends as arrays; null, which stands for NaN in JSON, becomes NaN."""
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

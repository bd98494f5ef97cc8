"""The content of the report on a task's grammar and on designed sequences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from noncoder.interpret.design.design_figures import design_figures
from noncoder.interpret.grammar.grammar_figures import grammar_figures
from noncoder.report.figures import svg

# Number of motif pairs that are drawn, and of designed sequences that a table lists.
_PAIRS, _SEQUENCES = 2, 8


def grammar_part(grammar: Mapping[str, Any] | None, part: str) -> dict[str, Any] | None:
    """Returns the content for grammar.json; None without it.

    Args:
        grammar: Content of the file.
        part: Prefix of every id.
    """
    if grammar is None:
        return None
    shown = dict(grammar, spacing=grammar["spacing"][:_PAIRS])
    figures = grammar_figures(shown)
    drawn = {name: svg(figure, f"{part}-{name}", f"grammar of {grammar['task']}") for name, figure in figures.items()}
    pairs = [drawn[name] for name in drawn if name.startswith("spacing")]
    return {"found": grammar, "figures": drawn, "pairs": pairs, "more_pairs": len(grammar["spacing"]) - len(pairs)}


def design_part(design: Mapping[str, Any] | None, part: str) -> dict[str, Any] | None:
    """Returns the content for design.json; None without it.

    Args:
        design: Content of the file.
        part: Prefix of every id.
    """
    if design is None or not design["sequences"]:
        return None
    column = design["tasks"].index(design["task"])
    figures, reference = design_figures(design), design["reference"]
    before, after = (design["logits"][when] for when in ("before", "after"))
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

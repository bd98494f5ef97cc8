"""Figures of designed sequences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from noncoder import plots


def design_figures(design: Mapping[str, Any]) -> dict[str, Figure]:
    """Draws the course of the score, all tasks before and after, and the best sequence; returns the figures by name.

    Args:
        design: Content of design.json.
    """
    roles = {design["task"]: "made high"} | ({design["against"]: "kept low"} if design["against"] else {})
    history, reference = design["history"], design["reference"]
    lines = {"99.9% of windows": reference["quantiles"]["0.999"]} if reference and not design["against"] else None
    hits = [(hit["start"], hit["end"], hit["motif"]) for hit in design["hits"] if hit["row"] == 0]
    before, after = (design["logits"][when] for when in ("before", "after"))
    window, bin_ = design["window"], design["bin"]
    centre = ((window - bin_) // 2, (window + bin_) // 2) if bin_ and bin_ < window else None
    return {
        "history": plots.plot_design_history({design["method"]: (history["evaluations"], history["best"])}, lines),
        "predictions": plots.plot_design_predictions(before, after, design["tasks"], roles),
        "sequence": plots.plot_design_sequence(design["starts"][0], design["sequences"][0], hits, centre),
    }

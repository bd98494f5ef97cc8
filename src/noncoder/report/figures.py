"""Figures as markup for a page, each with an alternative text."""

from __future__ import annotations

import re
from collections.abc import Mapping

from markupsafe import Markup
from matplotlib.figure import Figure

from noncoder import plots

_LABELS = {
    "positives": "positive windows of each task",
    "balance": "positives against negatives of each task",
    "frequency": "histogram of the tasks' share of positive windows",
    "labels": "histogram of the positive labels of a window",
    "bases": "share of each base",
    "chromosomes": "windows on each chromosome by split",
    "gc": "GC content of the windows of each split",
    "cooccurrence": "heat map of which tasks are positive together",
    "tasks": "heat map of positives of each task by chromosome",
    "step": "loss, AUROC and average precision against steps",
    "seconds": "loss, AUROC and average precision against time",
    "speed": "windows per second over time",
    "rate": "learning rate against steps",
    "flow": "gradients, weights and updates of every layer",
    "distribution": "AUROC and average precision of every task, by group",
    "scatter": "AUROC of every task against its positive windows in training",
    "roc": "ROC curves of some tasks",
    "pr": "precision-recall curves of some tasks",
    "reliability": "observed share of positives against predicted probability, all tasks together",
    "temperatures": "temperature of every task, by group",
    "published": "means of published models and of this one",
    "against": "score of every task against the published one",
}


def svgs(figures: Mapping[str, Figure], part: str) -> dict[str, Markup]:
    """Figures as SVG.

    Args:
        figures: Figures by name; each name has a text here.
        part: Part of the page, which keeps ids apart from those of other parts.
    """
    return {name: svg(figure, re.sub(r"\W", "-", f"{part}-{name}"), _LABELS[name]) for name, figure in figures.items()}


def svg(figure: Figure, name: str, label: str) -> Markup:
    """A figure as SVG.

    Args:
        figure: The figure.
        name: Prefix of every id in it.
        label: Alternative text.
    """
    # figure_svg escapes its texts, so the result is markup.
    return Markup(plots.figure_svg(figure, name, label))

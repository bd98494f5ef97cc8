"""Figures of a training's course and of the model's performance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import ArrayLike

from noncoder.plots.style import (
    GREY,
    INK,
    PALETTE,
    STYLE,
    add_legend,
    coloured,
    dot_size,
    label_decades,
    make_panels,
    plain_text,
    short_number,
    thin,
    unit_square,
)


@mpl.rc_context(STYLE)
def plot_training(
    train: tuple[ArrayLike, ArrayLike],
    valid_at: ArrayLike,
    valid: Mapping[str, ArrayLike],
    x_label: str,
    kept: int | None = None,
) -> Figure:
    """Training curves: the training loss in the first panel, and every validation measure, one panel each.

    Args:
        train: Position and value of the training loss, (n,) each.
        valid_at: Positions of the validations, (m,).
        valid: The loss first, then any other measures, (m,) each.
        x_label: Label of the horizontal axis, e.g. "step" or "minutes".
        kept: Index of the validation whose weights were kept.
    """
    figure, panels = make_panels(1, len(valid), height=2.7, sharex=True)
    at, loss = thin(train[0], train[1])
    panels[0].plot(at, loss, color=GREY, linewidth=1.2, label="training")
    where = np.asarray(valid_at, dtype=float)
    for axes, (name, values) in zip(panels, valid.items(), strict=True):
        scores = np.asarray(values, dtype=float)
        axes.plot(where, scores, color=PALETTE[0], marker="o", markersize=3.5, label="validation")
        if kept is not None:
            axes.plot(where[kept], scores[kept], "o", color=PALETTE[1], markersize=7, fillstyle="none",
                      markeredgewidth=1.6, label="kept")  # fmt: skip
        axes.set(title=name.replace("_", " ").replace("auroc", "AUROC"), xlabel=x_label)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
        axes.xaxis.set_major_formatter(FuncFormatter(short_number))
    # The first steps are an order of magnitude above the rest, and would compress it.
    every = np.concatenate([loss, np.asarray(next(iter(valid.values())), dtype=float)])
    if loss.size > 30:
        lowest, highest = np.nanmin(every), np.nanmax(np.append(every[loss.size :], np.quantile(loss, 0.97)))
        panels[0].set_ylim(lowest - 0.06 * (highest - lowest), highest + 0.06 * (highest - lowest))
    panels[0].legend(loc="best")
    return figure


@mpl.rc_context(STYLE)
def plot_throughput(time: ArrayLike, windows_per_second: ArrayLike, x_label: str) -> Figure:
    """Training speed over time.

    Args:
        time: Times, (n,).
        windows_per_second: Speeds, (n,).
        x_label: Unit of the time.
    """
    figure, (axes,) = make_panels(1, 1, height=1.9)
    at, speed = thin(time, windows_per_second)
    axes.plot(at, speed, color=PALETTE[0], linewidth=1.2)
    axes.set(xlabel=x_label, ylabel="windows per second")
    axes.set_ylim(0, 1.15 * float(speed.max(initial=1)))
    axes.yaxis.set_major_formatter(FuncFormatter(short_number))
    return figure


@mpl.rc_context(STYLE)
def plot_roc(curves: Mapping[str, tuple[ArrayLike, ArrayLike]]) -> Figure:
    """Receiver operating characteristics of some tasks.

    Args:
        curves: False and true positive rates, (P,) each, by task.
    """
    figure, axes = unit_square("false positive rate", "true positive rate")
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    for i, (name, (x, y)) in enumerate(curves.items()):
        axes.plot(np.asarray(x), np.asarray(y), color=PALETTE[i % len(PALETTE)], label=plain_text(name))
    axes.legend(loc="lower right")
    return figure


@mpl.rc_context(STYLE)
def plot_precision_recall(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]], prevalence: Mapping[str, float] | None = None
) -> Figure:
    """Precision-recall curves of some tasks.

    Args:
        curves: Recall and precision, (P,) each, by task.
        prevalence: Fraction of positives by task, the precision of a random ranking, drawn dashed.
    """
    figure, axes = unit_square("recall", "precision")
    for i, (name, (x, y)) in enumerate(curves.items()):
        colour = PALETTE[i % len(PALETTE)]
        axes.plot(np.asarray(x), np.asarray(y), color=colour, label=plain_text(name))
        if name in (prevalence or {}):
            axes.axhline(cast(Any, prevalence)[name], color=colour, linewidth=1, linestyle=(0, (4, 3)))
    axes.legend(loc="upper right")
    return figure


@mpl.rc_context(STYLE)
def plot_distribution(measures: Mapping[str, ArrayLike], groups: Sequence[str] = ()) -> Figure:
    """Every task as a dot, a row per group and a panel per measure; the bar is the median.

    Args:
        measures: Values (T,) by name; NaN is left out.
        groups: Group of each task.
    """
    n_tasks = len(np.asarray(next(iter(measures.values()))))
    rows = coloured(groups, n_tasks)
    figure, panels = make_panels(1, len(measures), height=max(2.0, 0.8 * len(rows) + 0.8), sharey=True)
    # The same figure for the same values.
    jitter = np.random.default_rng(0).uniform(-0.28, 0.28, n_tasks)
    for axes, (measure, values) in zip(panels, measures.items(), strict=True):
        scores = np.asarray(values, dtype=float)
        for row, (members, colour) in enumerate(rows.values()):
            here = np.isfinite(scores) & members
            axes.plot(
                scores[here],
                row + jitter[here],
                "o",
                color=colour,
                alpha=0.45,
                markersize=dot_size(n_tasks),
                markeredgewidth=0,
            )
            if here.any():
                axes.plot([np.median(scores[here])] * 2, [row - 0.38, row + 0.38], color=INK, linewidth=2)
        axes.set_xlabel(measure)
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
    panels[0].set_yticks(range(len(rows)), [plain_text(name) or "all tasks" for name in rows])
    panels[0].set_ylim(len(rows) - 0.45, -0.55)
    for axes in panels:
        axes.tick_params(axis="y", length=0)
    return figure


@mpl.rc_context(STYLE)
def plot_auroc_by_positives(
    positives: ArrayLike, auroc: ArrayLike, groups: Sequence[str] = (), x_label: str = "positives"
) -> Figure:
    """AUROC of each task against its number of positives.

    Args:
        positives: Counts (T,), drawn on a logarithmic scale.
        auroc: Values (T,); NaN is left out.
        groups: The group of each task, for the colours.
        x_label: Label of the horizontal axis.
    """
    figure, (axes,) = make_panels(1, 1, height=3.4)
    counts, scores = np.asarray(positives, dtype=float), np.asarray(auroc, dtype=float)
    for group, (members, colour) in coloured(groups, counts.size).items():
        here = np.isfinite(scores) & (counts > 0) & members
        label = plain_text(group) or None
        axes.plot(
            counts[here],
            scores[here],
            "o",
            color=colour,
            alpha=0.5,
            markersize=dot_size(counts.size),
            markeredgewidth=0,
            label=label,
        )
    axes.axhline(0.5, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    axes.annotate("guessing", (1, 0.5), xycoords=("axes fraction", "data"), xytext=(-2, 3),
                  textcoords="offset points", ha="right", fontsize=9)  # fmt: skip
    axes.set_xscale("log")
    label_decades(axes.xaxis)
    axes.set(xlabel=x_label, ylabel="AUROC")
    add_legend(axes, groups)
    return figure

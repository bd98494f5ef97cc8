"""Figures of our scores beside published ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from noncoder.plots.style import GREY, INK, PALETTE, STYLE, coloured, dot_size, make_panels, plain_text

Floats = NDArray[np.float64]

_LINE = {"arrowstyle": "-", "color": GREY, "linewidth": 0.6, "shrinkA": 3, "shrinkB": 2}


@mpl.rc_context(STYLE)
def plot_against_published(
    measures: Mapping[str, tuple[ArrayLike, ArrayLike]],
    tasks: Sequence[str],
    groups: Sequence[str] = (),
    model: str = "published",
    top: int = 4,
) -> Figure:
    """Our score of each task against the published one, a panel per measure; above the diagonal ours is better.

    Args:
        measures: Published and our scores by name, (T,) each; NaN is left out.
        tasks: Names of the tasks, (T,).
        groups: Group of each task, for the colours.
        model: Name of the published model.
        top: Number of tasks named among those with the largest gains and among those with the largest losses.
    """
    figure, panels = make_panels(1, len(measures), width=5.4 * len(measures), height=5.8)
    for axes, (measure, pair) in zip(panels, measures.items(), strict=True):
        theirs, ours = (np.asarray(values, dtype=float) for values in pair)
        for group, (members, colour) in coloured(groups, len(tasks)).items():
            axes.plot(theirs[members], ours[members], "o", color=colour, alpha=0.5, markersize=dot_size(len(tasks)),
                      markeredgewidth=0, label=plain_text(group) or None)  # fmt: skip
        low, high = _limits(np.concatenate([theirs, ours]))
        axes.plot([low, high], [low, high], color=GREY, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        axes.set(xlim=(low, high), ylim=(low, high), aspect="equal", xlabel=f"{measure}, {model}",
                 ylabel=f"{measure}, ours")  # fmt: skip
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=6))
        _name_movers(axes, theirs, ours, tasks, top)
    if any(groups):
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper right", ncols=len(labels), handlelength=1, columnspacing=1.4)
    return figure


@mpl.rc_context(STYLE)
def plot_published_means(
    models: Sequence[str],
    values: ArrayLike,
    groups: Sequence[str],
    ours: ArrayLike,
    comparable: ArrayLike,
    x_label: str,
) -> Figure:
    """Means of models as dots, a row per model and a panel per group; ours in another colour, hollow if not comparable.

    Args:
        models: Names of the models, (M,), from top to bottom.
        values: (M, G); NaN if not published.
        groups: Names of the panels, (G,).
        ours: (M,), true for ours.
        comparable: (M,), false for models that are not comparable with the rest.
        x_label: Label of the values, e.g. "mean AUROC".
    """
    table = np.asarray(values, dtype=float)
    mine, whole = np.asarray(ours, dtype=bool), np.asarray(comparable, dtype=bool)
    figure, panels = make_panels(1, len(groups), width=9.6, height=1.1 + 0.27 * len(models), sharey=True)
    at = np.arange(len(models))
    for axes, group, column in zip(panels, groups, table.T, strict=True):
        for own, colour in ((False, PALETTE[0]), (True, PALETTE[1])):
            for filled in (True, False):
                here = (mine == own) & (whole == filled) & ~np.isnan(column)
                axes.plot(column[here], at[here], "o", color=colour, markersize=6.5, markeredgewidth=1.4,
                          markerfacecolor=colour if filled else "none")  # fmt: skip
        # The best comparable model of others is the reference for ours.
        others = column[~mine & whole & ~np.isnan(column)]
        if others.size:
            axes.axvline(others.max(), color=GREY, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        axes.set(title=plain_text(group), xlabel=x_label)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
        axes.margins(x=0.12)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
    panels[0].set_yticks(at, [plain_text(name, most=48) for name in models])
    for label, own in zip(panels[0].get_yticklabels(), mine, strict=True):
        label.set_color(PALETTE[1] if own else INK)
    panels[0].set_ylim(len(models) - 0.4, -0.6)
    return figure


def _limits(scores: Floats) -> tuple[float, float]:
    there = scores[np.isfinite(scores)]
    low, high = (float(there.min()), float(there.max())) if there.size else (0.0, 1.0)
    room = 0.06 * (high - low) or 0.05
    return low - room, high + room


def _name_movers(axes: Axes, theirs: Floats, ours: Floats, tasks: Sequence[str], top: int) -> None:
    """Draws numbers at the dots, and their meaning below the panel."""
    moved = ours - theirs
    order = [int(i) for i in np.argsort(-moved) if np.isfinite(moved[i])]
    best = [i for i in order[:top] if moved[i] > 0]
    worst = [i for i in order[::-1][:top] if moved[i] < 0]
    taken: list[Floats] = []
    # Away from the diagonal, where all other dots are: up to the left, down to the right.
    for chosen, away, x, head in ((best, 0.75 * np.pi, 0.0, "gains"), (worst, -0.25 * np.pi, 0.55, "losses")):
        for number, i in enumerate(chosen, 1):
            dot = float(theirs[i]), float(ours[i])
            taken.append(_free_place(_share(axes, dot), away, taken))
            axes.annotate(str(number), dot, xytext=tuple(taken[-1]), textcoords="axes fraction", ha="center",
                          va="center", fontsize=8, arrowprops=_LINE)  # fmt: skip
        lines = [f"{number}  {moved[i]:+.3f}  {plain_text(tasks[i], 20)}" for number, i in enumerate(chosen, 1)]
        if lines:
            axes.text(x, -0.15, "\n".join([f"largest {head}", *lines]), transform=axes.transAxes, va="top", fontsize=8,
                      linespacing=1.5)  # fmt: skip


def _share(axes: Axes, point: tuple[float, float]) -> Floats:
    """Returns the position of a data point in the panel, from 0 to 1."""
    limits = np.array([axes.get_xlim(), axes.get_ylim()])
    share: Floats = (np.array(point) - limits[:, 0]) / (limits[:, 1] - limits[:, 0])
    return share


def _free_place(dot: Floats, away: float, taken: Sequence[Floats]) -> Floats:
    """Returns the nearest free position in the panel, in a direction (radians) or close to it."""
    for far in np.arange(0.04, 1, 0.03):
        for turn in (0.0, 0.7, -0.7, 1.4, -1.4):
            angle = away + turn
            place: Floats = dot + far * np.array([np.cos(angle), np.sin(angle)])
            inside = (place > 0.02).all() and (place < 0.98).all()
            if inside and not any(np.abs(place - other).max() < 0.035 for other in taken):
                return place
    return dot

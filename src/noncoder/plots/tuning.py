"""Figures of a search over recipes."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import ArrayLike

from noncoder.plots.style import GREY, PALETTE, STYLE, add_legend, label_decades, make_panels, plain_text

_PANELS_A_ROW = 3
_GIVEN_UP: Any = {"color": GREY, "marker": "o", "markersize": 4.5, "fillstyle": "none", "linestyle": "none"}
_DONE: Any = {"color": PALETTE[0], "marker": "o", "markersize": 5.5, "linestyle": "none"}


@mpl.rc_context(STYLE)
def plot_history(
    numbers: ArrayLike, scores: ArrayLike, done: ArrayLike, score_label: str, lower_is_better: bool = False
) -> Figure:
    """The score of each trial, and the best until then.

    Args:
        numbers: The trials, (n,), increasing.
        scores: Their scores, (n,); of one that was given up, its last.
        done: Whether each ran to its end, (n,).
        score_label: What the score is.
        lower_is_better: Whether the lowest score is the best.
    """
    figure, (axes,) = make_panels(1, 1, width=7.2, height=3.2)
    at, score, whole = np.asarray(numbers), np.asarray(scores, dtype=float), np.asarray(done, dtype=bool)
    _dots(axes, at, score, whole)
    if whole.any():
        running = (np.minimum if lower_is_better else np.maximum).accumulate(score[whole])
        ends = np.append(at[whole], at[-1])
        axes.step(ends, np.append(running, running[-1]), where="post", color=PALETTE[1], linewidth=1.3,
                  label="best so far", zorder=1)  # fmt: skip
    axes.set(xlabel="trial", ylabel=score_label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, handlelength=1.2, columnspacing=1.4)
    return figure


@mpl.rc_context(STYLE)
def plot_trial_curves(
    curves: Sequence[tuple[ArrayLike, ArrayLike]], done: ArrayLike, best: int | None, score_label: str
) -> Figure:
    """The score of every trial against the passes over the training split.

    Args:
        curves: For each trial, how many passes there had been and the scores.
        done: Whether each ran to its end, (n,).
        best: Which was the best, if any.
        score_label: What the score is.
    """
    figure, (axes,) = make_panels(1, 1, width=7.2, height=3.6)
    whole = np.asarray(done, dtype=bool)
    for group, colour, label in ((~whole, GREY, "given up"), (whole, PALETTE[0], "finished")):
        for i in np.flatnonzero(group).tolist():
            x, y = (np.asarray(part, dtype=float) for part in curves[i])
            axes.plot(x, y, color=colour, linewidth=1, alpha=0.75, label=label)
            # Where it ended; of a trial of one validation that is all there is.
            axes.plot(x[-1:], y[-1:], color=colour, marker="o", markersize=3)
            label = "_"
    if best is not None:
        axes.plot(*curves[best], color=PALETTE[1], linewidth=2, marker="o", markersize=3.5, label="the best")
    axes.set(xlabel="passes over the training split", ylabel=score_label)
    axes.set_xlim(left=0)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, handlelength=1.2, columnspacing=1.4)
    return figure


@mpl.rc_context(STYLE)
def plot_importance(names: Sequence[str], shares: ArrayLike) -> Figure:
    """How much each key of a recipe matters, the most important on top.

    Args:
        names: The keys, (n,).
        shares: Their shares, (n,), together 1.
    """
    figure, (axes,) = make_panels(1, 1, width=7.2, height=0.34 * len(names) + 0.9)
    order = np.argsort(np.asarray(shares, dtype=float), kind="stable")
    axes.barh(np.arange(order.size), np.asarray(shares)[order], height=0.7, color=PALETTE[0])
    axes.set_yticks(np.arange(order.size), [plain_text(names[i], 40) for i in order])
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set(xlabel="importance", xlim=(0, None))
    return figure


@mpl.rc_context(STYLE)
def plot_slices(
    values: Mapping[str, Sequence[Any]],
    scores: ArrayLike,
    done: ArrayLike,
    score_label: str,
    unordered: Collection[str] = (),
    logarithmic: Collection[str] = (),
) -> Figure:
    """The score against each key's value, a panel a key.

    Args:
        values: For each key its value in every trial, (n,); None where a trial had none.
        scores: Their scores, (n,).
        done: Whether each ran to its end, (n,).
        score_label: What the score is.
        unordered: The keys whose values are a choice, not a number.
        logarithmic: The keys that are drawn on a logarithmic scale.
    """
    columns = min(_PANELS_A_ROW, len(values))
    rows = math.ceil(len(values) / columns)
    figure, panels = make_panels(rows, columns, width=3.2 * columns + 0.4, height=2.6 * rows + 0.3, sharey=True)
    score, whole = np.asarray(scores, dtype=float), np.asarray(done, dtype=bool)
    for axes, (name, given) in zip(panels, values.items(), strict=False):
        has = np.array([value is not None for value in given])
        chosen = [value for value in given if value is not None]
        at = _places(axes, chosen) if name in unordered else np.array(chosen, dtype=float)
        _dots(axes, at, score[has], whole[has])
        if name in logarithmic and chosen:
            axes.set_xscale("log")
            label_decades(axes.xaxis)
        elif name not in unordered:
            whole_numbers = all(isinstance(value, int) for value in chosen)
            axes.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=whole_numbers))
        axes.set_xlabel(plain_text(name, 36))
    for axes in panels[len(values) :]:
        axes.set_visible(False)
    for axes in panels[::columns]:
        axes.set_ylabel(score_label)
    add_legend(panels[columns - 1], ["finished", "given up"])
    return figure


def _places(axes: Axes, chosen: Sequence[Any]) -> Any:
    """A place for each choice, side by side, in order where there is one; equal ones beside each other."""
    kinds = list(dict.fromkeys(chosen))
    if all(isinstance(kind, int | float) for kind in kinds):
        kinds.sort()
    axes.set_xticks(np.arange(len(kinds)), [plain_text(str(kind), 14) for kind in kinds])
    axes.set_xlim(-0.6, len(kinds) - 0.4)
    axes.grid(axis="x", visible=False)
    seen = dict.fromkeys(kinds, 0)
    places = []
    for kind in chosen:
        # 0, 1, -1, 2, -2, 0, … steps from the middle.
        step = seen[kind] % 5
        places.append(kinds.index(kind) + 0.08 * ((step + 1) // 2) * (1 if step % 2 else -1))
        seen[kind] += 1
    return np.array(places)


def _dots(axes: Axes, at: Any, score: Any, whole: Any) -> None:
    axes.plot(at[~whole], score[~whole], **_GIVEN_UP, label="given up")
    axes.plot(at[whole], score[whole], **_DONE, label="finished")

"""A figure of two models on the same windows, task by task."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from noncoder.plots.style import GREY, INK, PALETTE, STYLE, dot_size, make_panels, plain_text

_LEVEL = 0.05


@mpl.rc_context(STYLE)
def plot_differences(
    scores: tuple[ArrayLike, ArrayLike],
    intervals: tuple[ArrayLike, ArrayLike],
    adjusted: ArrayLike,
    names: tuple[str, str],
    measure: str,
) -> Figure:
    """The first model's scores against the second's, and the differences in order of size with their intervals.

    Args:
        scores: The score of each task by the first and by the second, (T,) each; NaN is left out.
        intervals: The lower and the upper end of the interval of the difference, first less second, (T,) each.
        adjusted: p of each difference after correction for many tasks, (T,); below 0.05 it is drawn in colour.
        names: What the two are called.
        measure: What is compared.
    """
    figure, (left, right) = make_panels(1, 2, height=4.0, gridspec_kw={"width_ratios": (1, 1.35)})
    a, b, low, high, p = np.array([*scores, *intervals, adjusted], dtype=float)
    difference = a - b
    order = np.argsort(difference, kind="stable")
    order = order[np.isfinite(difference[order])]
    place = np.empty(len(a))
    place[order] = np.arange(1, order.size + 1)
    sure = p < _LEVEL
    first, second = (plain_text(name, 24) for name in names)
    both = np.append(a[order], b[order])
    edges = np.quantile(both, [0, 1]) if both.size else np.array([0, 1])
    left.plot(edges, edges, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    right.axhline(0, color=INK, linewidth=1)
    kinds = (("not told apart", GREY, ~sure), (f"{first} better", PALETTE[0], sure & (difference > 0)),
             (f"{second} better", PALETTE[1], sure & (difference < 0)))  # fmt: skip
    for label, colour, members in kinds:
        here = order[members[order]]
        if not here.size:
            continue
        right.vlines(place[here], low[here], high[here], color=colour, alpha=0.35, linewidth=1)
        for axes, x, y in ((left, b, a), (right, place, difference)):
            axes.plot(x[here], y[here], "o", color=colour, alpha=0.6, markersize=dot_size(len(a)), markeredgewidth=0,
                      label=f"{label}: {here.size:,}")  # fmt: skip
    left.set(xlabel=f"{measure}, {second}", ylabel=f"{measure}, {first}", box_aspect=1)
    right.set(xlabel="tasks in order of the difference", ylabel=f"{measure}, {first} less {second}")
    if order.size:
        right.legend(loc="upper left")
    return figure

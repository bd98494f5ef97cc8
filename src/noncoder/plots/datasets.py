"""Figures of a dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter
from numpy.typing import ArrayLike

from noncoder.plots.style import (
    FEW_TASKS,
    GREY,
    PALETTE,
    STYLE,
    add_legend,
    coloured,
    label_decades,
    make_panels,
    plain_text,
    short_number,
)


@mpl.rc_context(STYLE)
def plot_positives(positives: Mapping[str, ArrayLike], groups: Sequence[str] = (), names: Sequence[str] = ()) -> Figure:
    """Positive windows of each task, by its index; one panel per split.

    Args:
        positives: Counts (T,) of each split.
        groups: The group of each task, for the colours.
        names: Name of each task; shown if there are few.
    """
    figure, panels = make_panels(len(positives), 1, height=1.65 * len(positives) + 0.5, sharex=True)
    n_tasks = len(np.asarray(next(iter(positives.values()))))
    few = n_tasks <= FEW_TASKS
    for axes, (split, counts) in zip(panels, positives.items(), strict=True):
        for group, (members, colour) in coloured(groups, n_tasks).items():
            shown, label = np.where(members, np.asarray(counts), np.nan), plain_text(group) or None
            if few:
                axes.bar(np.arange(n_tasks), shown, width=0.8, color=colour, label=label)
            else:
                # One filled outline per group: a bar per task would take hundreds of elements.
                axes.stairs(shown, np.arange(n_tasks + 1) - 0.5, fill=True, color=colour, label=label, linewidth=0)
        axes.set(title=split, ylabel="positives", xlim=(-0.5, n_tasks - 0.5))
        axes.grid(axis="x", visible=False)
        axes.yaxis.set_major_formatter(FuncFormatter(short_number))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    if few and names:
        panels[-1].set_xticks(np.arange(n_tasks), [plain_text(name, 20) for name in names], rotation=45, ha="right")
        panels[-1].tick_params(axis="x", length=0)
    else:
        panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
        panels[-1].set_xlabel("task, by index")
    add_legend(panels[0], groups)
    return figure


@mpl.rc_context(STYLE)
def plot_balance(positives: ArrayLike, negatives: ArrayLike) -> Figure:
    """Positives against negatives of each task, from the most to the fewest positives, on a logarithmic scale.

    Args:
        positives: Counts (T,).
        negatives: Counts (T,).
    """
    figure, (axes,) = make_panels(1, 1, width=5.6, height=3.2)
    positive, negative = np.asarray(positives), np.asarray(negatives)
    order, rank = np.argsort(-positive, kind="stable"), np.arange(positive.size)
    axes.plot(rank, negative[order], color=GREY, label="negative")
    axes.plot(rank, np.where(positive > 0, positive, np.nan)[order], color=PALETTE[0], label="positive")
    axes.set_yscale("log")
    axes.set(xlabel="task, from most to fewest positives", ylabel="windows")
    axes.grid(axis="x", visible=False)
    label_decades(axes.yaxis)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, handlelength=1.4)
    return figure


@mpl.rc_context(STYLE)
def plot_frequency(edges: ArrayLike, counts: ArrayLike, rare: float = 0.05) -> Figure:
    """Histogram of the tasks' positive frequency.

    Args:
        edges: Fractions of positive windows, (n + 1,), increasing and above 0; drawn on a logarithmic scale.
        counts: Tasks in each bar, (n,).
        rare: Fraction at which a line is drawn.
    """
    figure, (axes,) = make_panels(1, 1, width=5.6, height=3.2)
    bars, at = np.asarray(counts), np.asarray(edges)
    axes.bar(at[:-1], bars, width=np.diff(at), align="edge", color=PALETTE[0], edgecolor="white", linewidth=0.5)
    axes.set_xscale("log")
    axes.set_xlim(min(at[0], rare / 1.5), max(1.5 * rare, 1.3 * float(at[1:][bars > 0].max(initial=0))))
    label_decades(axes.xaxis, lambda share, _: f"{100 * share:.3g}%")
    axes.axvline(rare, color=PALETTE[1], linewidth=1, linestyle=(0, (4, 3)))
    axes.annotate(f"{rare:.0%}", (rare, 1), xycoords=("data", "axes fraction"), xytext=(4, 0),
                  textcoords="offset points", va="top", color=PALETTE[1])  # fmt: skip
    axes.set(xlabel="share of windows that are positive", ylabel="tasks")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="x", visible=False)
    return figure


@mpl.rc_context(STYLE)
def plot_labels(windows: ArrayLike, most_bars: int = 40) -> Figure:
    """Histogram of the number of positive labels per window; windows without a label have a bar of their own.

    Args:
        windows: Windows with 0, 1, 2, ... positive labels.
        most_bars: A bar covers several numbers if otherwise more bars than this would be needed for 99% of windows; the
            last bar contains all larger numbers.
    """
    figure, (axes,) = make_panels(1, 1, width=5.6, height=3.2)
    counts = np.asarray(windows)
    reach = counts.size - 1
    if reach > most_bars:
        reach = int(np.searchsorted(np.cumsum(counts), 0.99 * counts.sum()))
    width = max(1, -(-reach // most_bars))
    last = max(1, -(-reach // width))
    labels = np.arange(1, counts.size)
    bars = np.bincount(np.minimum((labels - 1) // width, last - 1), weights=counts[1:], minlength=last)
    axes.bar([0], counts[:1], width=0.86, color=GREY)
    axes.bar(np.arange(1, last + 1), bars, width=0.86, color=PALETTE[0])
    every = max(1, -(-last // 8))
    at = np.arange(every, last + 1, every)
    if at.size and last - at[-1] <= every / 2:
        at[-1] = last
    first = (at - 1) * width + 1
    names = [f"{low}" if width == 1 else f"{low}–{low + width - 1}" for low in first]
    if at[-1] == last and counts.size - 1 > last * width:
        names[-1] = f"≥{first[-1]}"
    axes.set_xticks([0, *at], ["0", *names])
    axes.set(xlabel="positive labels of a window", ylabel="windows")
    axes.yaxis.set_major_formatter(FuncFormatter(short_number))
    axes.grid(axis="x", visible=False)
    return figure


@mpl.rc_context(STYLE)
def plot_bases(shares: Mapping[str, float]) -> Figure:
    """The fraction of each base.

    Args:
        shares: Fraction by base; they sum to 1.
    """
    figure, (axes,) = make_panels(1, 1, width=5.6, height=3.2)
    names, values = list(shares), np.array(list(shares.values()), dtype=float)
    axes.barh(names, values, height=0.6, color=[GREY if name == "N" else PALETTE[0] for name in names])
    for i, share in enumerate(values):
        text = "0%" if share == 0 else f"{share:.1%}" if share >= 0.001 else "< 0.1%"
        axes.annotate(text, (share, i), xytext=(5, 0), textcoords="offset points", va="center", fontsize=9)
    axes.invert_yaxis()
    axes.set_xlim(0, max(0.1, values.max(initial=0) * 1.15))
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("share of the stored bases")
    return figure


@mpl.rc_context(STYLE)
def plot_chromosomes(names: Sequence[str], windows: Mapping[str, ArrayLike]) -> Figure:
    """Windows on each chromosome, by split.

    Args:
        names: The chromosomes, (C,).
        windows: Counts (C,) of each split.
    """
    figure, (axes,) = make_panels(1, 1, height=2.6)
    below, at = np.zeros(len(names)), np.arange(len(names))
    for (split, counts), colour in zip(windows.items(), (GREY, *PALETTE[1::-1]), strict=False):
        values = np.asarray(counts, dtype=float)
        axes.bar(at, values, bottom=below, width=0.8, color=colour, label=split)
        below = below + values
    crowded = len(names) > 12 and max(map(len, names)) > 5
    axes.set_xticks(
        at, [plain_text(name) for name in names], rotation=60 if crowded else 0, ha="right" if crowded else "center"
    )
    axes.tick_params(axis="x", length=0)
    axes.set(ylabel="windows", xlim=(-0.6, len(names) - 0.4), ylim=(0, 1.05 * max(1, below.max(initial=0))))
    axes.yaxis.set_major_formatter(FuncFormatter(short_number))
    axes.grid(axis="x", visible=False)
    add_legend(axes, [*windows])
    return figure


@mpl.rc_context(STYLE)
def plot_gc(edges: ArrayLike, windows: Mapping[str, ArrayLike]) -> Figure:
    """The GC content of the windows of each split, as a fraction of that split's windows.

    Args:
        edges: GC content, (n + 1,), increasing.
        windows: Counts (n,) of each split.
    """
    figure, (axes,) = make_panels(1, 1, width=5.6, height=3.2)
    at, top = np.asarray(edges), 0.0
    total = np.sum([np.asarray(counts) for counts in windows.values()], axis=0)
    # The few windows with extreme GC content, one in a thousand, would compress all others.
    filled = np.flatnonzero(total > total.sum() / 1000)
    for (split, counts), colour in zip(windows.items(), (GREY, *PALETTE[1::-1]), strict=False):
        share = np.asarray(counts) / max(1, np.sum(counts))
        axes.stairs(share, at, color=colour, label=split, linewidth=1.4)
        top = max(top, float(share.max(initial=0)))
    if filled.size:
        axes.set_xlim(at[max(0, filled[0] - 1)], at[min(at.size - 1, filled[-1] + 2)])
    axes.set(xlabel="GC content of a window", ylabel="share of the split", ylim=(0, 1.08 * max(top, 1e-9)))
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.grid(axis="x", visible=False)
    add_legend(axes, [*windows])
    return figure

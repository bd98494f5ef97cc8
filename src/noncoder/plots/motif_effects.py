"""Figures of a task's grammar: motifs alone, by position, in pairs, and the k-mers that matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from noncoder.plots.style import GREY, INK, PALETTE, STYLE, make_panels, plain_text

# Beyond the palette, colours repeat with another dash.
_DASHES = ("-", "--", ":", "-.")
MeanWithInterval = tuple[ArrayLike, ArrayLike, ArrayLike]
"""Mean, lower end and upper end, arrays of one shape; the band is omitted where an end is NaN."""


@mpl.rc_context(STYLE)
def plot_marginal(
    names: Sequence[str],
    effects: MeanWithInterval,
    values: Sequence[ArrayLike] | None = None,
    label: str = "effect on logit",
) -> Figure:
    """Mean effects as dots with their intervals, one row each; single backgrounds behind them.

    Args:
        names: Names of the M motifs.
        effects: Mean and interval ends, (M,) each.
        values: Effects on single backgrounds, (n,) each; drawn pale.
        label: Label of the axis.
    """
    figure, (axes,) = make_panels(1, 1, width=6.4, height=1.0 + 0.34 * max(1, len(names)))
    mean, low, high = np.array(effects, dtype=float).reshape(3, -1)
    rows = np.arange(len(names))
    axes.axvline(0, color=INK, linewidth=1)
    for row, single in zip(rows, values or (), strict=False):
        dots = np.asarray(single, dtype=float)
        # The same spread for the same data: figures must not depend on chance.
        spread = row + 0.28 * (np.modf(np.arange(dots.size) * 0.618034)[0] - 0.5) * 2
        axes.plot(dots, spread, ".", color=GREY, alpha=0.35, markersize=4, markeredgewidth=0)
    axes.hlines(rows, low, high, color=PALETTE[0], linewidth=2.2)
    axes.plot(mean, rows, "o", color=PALETTE[0], markersize=6, markeredgewidth=0)
    axes.set_yticks(rows, [plain_text(name) for name in names])
    axes.set(xlabel=label, ylim=(len(names) - 0.4, -0.6))
    axes.grid(visible=False, axis="y")
    return figure


@mpl.rc_context(STYLE)
def plot_position_scan(
    scans: Mapping[str, tuple[ArrayLike, MeanWithInterval]],
    window: int,
    bin: tuple[int, int] | None = None,
    label: str = "effect on logit",
) -> Figure:
    """The effect of motifs by the position of their middle, with intervals as bands and the labelled bin shaded.

    Args:
        scans: Middles of the positions in the window, bp (P,), and mean and interval ends (P,), by motif name.
        window: Width of the window, bp.
        bin: First base and end of the labelled bin.
        label: Label of the axis.
    """
    figure, (axes,) = make_panels(1, 1, height=3.2)
    if bin is not None:
        axes.axvspan(*bin, color=GREY, alpha=0.18, linewidth=0, label=f"labelled {bin[1] - bin[0]} bp")
    axes.axhline(0, color=INK, linewidth=1)
    for i, (name, (at, effects)) in enumerate(scans.items()):
        _band(axes, np.asarray(at, dtype=float), effects, i, plain_text(name))
    axes.set(xlabel="middle of the motif in the window, bp", ylabel=label, xlim=(0, window))
    axes.legend(loc="upper right")
    return figure


@mpl.rc_context(STYLE)
def plot_spacing(
    distances: ArrayLike,
    joint: Mapping[str, MeanWithInterval],
    interaction: Mapping[str, MeanWithInterval],
    names: tuple[str, str],
    mark: float | None = None,
) -> Figure:
    """The joint effect of two motifs and their interaction by the distance between them, a line per orientation.

    Args:
        distances: bp between the two, (D,).
        joint: Mean and interval ends, (D,), by orientation, such as "+-".
        interaction: The same for the joint effect minus the sum of the single effects.
        names: Names of the left and the right motif.
        mark: A distance to mark, such as the longest at which a rule holds.
    """
    figure, panels = make_panels(1, 2, height=3.4, sharex=True)
    left, right = (plain_text(name, 16) for name in names)
    at = np.asarray(distances, dtype=float)
    for axes, lines, title in zip(panels, (joint, interaction), ("joint effect", "interaction"), strict=True):
        axes.axhline(0, color=INK, linewidth=1)
        if mark is not None:
            axes.axvline(mark, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
        for i, (strands, effects) in enumerate(lines.items()):
            _band(axes, at, effects, i, "  ".join(_arrow(s, n) for s, n in zip(strands, (left, right), strict=True)))
        axes.set(title=title, xlabel=f"bp between {left} and {right}", ylabel="effect on logit")
    panels[1].set_title("interaction: joint minus the sum of the singles")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


@mpl.rc_context(STYLE)
def plot_kmers(kmers: Sequence[str], effects: MeanWithInterval, most: int = 25, screened: int | None = None) -> Figure:
    """The k-mers with the largest effects as bars with intervals, in the order given.

    Args:
        kmers: The M k-mers.
        effects: Mean and interval ends, (M,) each.
        most: Number of k-mers that are drawn.
        screened: Number of k-mers that were screened, for the title.
    """
    shown = list(kmers)[:most]
    figure, (axes,) = make_panels(1, 1, width=6.4, height=1.1 + 0.2 * max(1, len(shown)))
    mean, low, high = np.array(effects, dtype=float).reshape(3, -1)[:, : len(shown)]
    rows = np.arange(len(shown))
    axes.barh(rows, mean, color=np.where(mean >= 0, PALETTE[0], PALETTE[1]).tolist(), height=0.72)
    axes.hlines(rows, low, high, color=INK, linewidth=1)
    axes.axvline(0, color=INK, linewidth=1)
    axes.set_yticks(rows, shown, family="monospace")
    axes.set(xlabel="effect on logit, mean over backgrounds", ylim=(len(shown) - 0.4, -0.6))
    axes.grid(visible=False, axis="y")
    if screened is not None:
        axes.set_title(f"the first {len(shown)} of {screened:,} k-mers, strands combined")
    return figure


def _band(axes: Axes, at: NDArray[np.float64], effects: MeanWithInterval, i: int, label: str) -> None:
    mean, low, high = np.array(effects, dtype=float).reshape(3, -1)
    colour, dash = PALETTE[i % len(PALETTE)], _DASHES[i // len(PALETTE) % len(_DASHES)]
    axes.fill_between(at, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.plot(at, mean, color=colour, linestyle=dash, label=label)


def _arrow(strand: str, name: str) -> str:
    return f"{name}→" if strand == "+" else f"←{name}"

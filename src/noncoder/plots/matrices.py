"""Figures of matrices over tasks: heat maps with a transparent background, for light and dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from noncoder.plots.style import GREY, PALETTE, STYLE, add_legend, coloured, plain_text

# Few enough levels for small files, but more than the eye distinguishes.
LEVELS = 48
# Four times more or less often than expected has the strongest colour.
_MOST_LOG2 = 2.0

Floats = NDArray[np.floating[Any]]


@mpl.rc_context(STYLE)
def plot_cooccurrence(cells: ArrayLike, groups: Sequence[str] = ()) -> Figure:
    """Heat map of how often tasks are positive together.

    Args:
        cells: Jaccard indices of tasks, or means of neighbouring tasks, in an order with similar ones adjacent, (n, n).
        groups: Group of each task in that order, (T,), for the strip at the side.
    """
    values = np.asarray(cells, dtype=float)
    apart = values[~np.eye(len(values), dtype=bool)]
    top = max(0.05, float(np.quantile(apart, 0.998))) if apart.size else 1.0
    figure = Figure(figsize=(5.6, 5.2), layout="constrained")
    axes = figure.add_subplot()
    # By the square root; otherwise all but the most similar cells would be equally pale.
    picture(axes, tinted(np.sqrt(np.clip(values / top, 0, 1)), PALETTE[0]), (0, 1, 1, 0))
    axes.set(xticks=[], yticks=[], xlim=(0, 1), ylim=(1, 0), aspect="equal", xlabel="tasks, alike ones side by side")
    _strip(axes, groups)
    ticks = top * np.array([0, 1 / 16, 1 / 4, 9 / 16, 1])
    bar = scale(axes, tinted(np.linspace(1, 0, LEVELS)[:, None], PALETTE[0]), "Jaccard index")
    bar.set_yticks(np.sqrt(ticks / top), [f"{tick:.2g}" for tick in ticks[:-1]] + [f"≥ {top:.2g}"])
    return figure


@mpl.rc_context(STYLE)
def plot_task_chromosomes(names: Sequence[str], positives: ArrayLike, windows: ArrayLike) -> Figure:
    """Heat map of where tasks are positive more or less often than on average.

    Args:
        names: The chromosomes, (C,).
        positives: Positive windows by chromosome and task, (C, T), tasks in the order of display.
        windows: Windows of each chromosome, (C,).
    """
    counts, share = np.asarray(positives, dtype=float), np.asarray(windows) / max(1, np.sum(windows))
    # A pseudocount of one on both sides keeps chance on small chromosomes pale.
    ratio = np.log2((counts + 1) / (np.outer(share, counts.sum(axis=0)) + 1)) / _MOST_LOG2
    figure = Figure(figsize=(9.6, 1.1 + 0.19 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    picture(axes, diverging(ratio), (0, counts.shape[1], len(names), 0))
    axes.set(xlim=(0, counts.shape[1]), ylim=(len(names), 0), xlabel="tasks, alike ones side by side")
    axes.set_yticks(np.arange(len(names)) + 0.5, [plain_text(name, 14) for name in names], fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    bar = scale(axes, diverging(np.linspace(1, -1, LEVELS)[:, None]), "positives to expected")
    bar.set_yticks([0, 0.25, 0.5, 0.75, 1], ["≤ ¼", "½", "1", "2", "≥ 4"])
    return figure


def picture(axes: Axes, rgba: NDArray[np.uint8], extent: tuple[float, float, float, float]) -> None:
    """Draws a matrix of colours (rows, columns, 4) in a frame, first row on top; extent: left, right, bottom, top."""
    axes.imshow(rgba, interpolation="none", aspect="auto", extent=extent)
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set(visible=True, color=GREY, linewidth=0.6)


def scale(axes: Axes, rgba: NDArray[np.uint8], label: str) -> Axes:
    """Draws a colour bar (steps, 1, 4) at the right of the axes, from 1 at the top to 0; the caller sets the ticks."""
    bar = axes.inset_axes((1.03, 0.25, 0.03, 0.5) if axes.get_aspect() == 1 else (1.015, 0.05, 0.012, 0.9))
    picture(bar, rgba, (0, 1, 0, 1))
    bar.set(xticks=[], ylabel=label)
    bar.yaxis.set_label_position("right")
    bar.yaxis.tick_right()
    bar.tick_params(axis="y", length=2, labelsize=8)
    return bar


def _strip(axes: Axes, groups: Sequence[str]) -> None:
    """Draws the groups of the tasks at the left, one outline per group."""
    if len(set(groups)) < 2:
        return
    strip = axes.inset_axes((-0.045, 0, 0.03, 1))
    edges = np.linspace(0, 1, len(groups) + 1)
    for group, (members, colour) in coloured(groups, len(groups)).items():
        strip.stairs(np.where(members, 1.0, np.nan), edges, fill=True, color=colour, linewidth=0,
                     orientation="horizontal")  # fmt: skip
        axes.plot([], [], color=colour, linewidth=6, label=plain_text(group))
    strip.set(xlim=(0, 1), ylim=(1, 0))
    strip.axis("off")
    add_legend(axes, groups)


def tinted(strength: Floats, colour: str) -> NDArray[np.uint8]:
    """Returns a colour that covers the background with a strength from 0 to 1."""
    rgba = np.empty((*strength.shape, 4), dtype=np.uint8)
    rgba[..., :3] = np.round(255 * np.array(to_rgb(colour)))
    rgba[..., 3] = np.round(np.round(strength * LEVELS) / LEVELS * 255)
    return rgba


def diverging(values: Floats) -> NDArray[np.uint8]:
    """Returns colours of values from -1 (blue) over 0 (transparent) to 1 (orange); values beyond are clipped."""
    strength = np.clip(np.abs(values), 0, 1)
    above, below = tinted(strength, PALETTE[1]), tinted(strength, PALETTE[0])
    return np.where((values > 0)[..., None], above, below)

"""Figures of attributions: a window with its tracks and letters, and many windows below each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch, PathPatch
from matplotlib.path import Path
from matplotlib.ticker import FuncFormatter, MaxNLocator
from matplotlib.transforms import ScaledTranslation
from numpy.typing import ArrayLike, NDArray

from noncoder.plots.logos import CONTRIBUTION, draw_logo, observed_heights
from noncoder.plots.matrices import LEVELS, diverging, picture, scale
from noncoder.plots.style import GREY, INK, PALETTE, RULE, STYLE, plain_text

ZOOM = 100
"""Width of the region that is shown as letters, bp."""
RAISES, LOWERS = PALETTE[1], PALETTE[0]
# Resolution of an area's height: less than a pixel of a screen, so a run of small values is one step.
_STEP = 0.7
# Cells below this fraction of the strongest colour are left empty: they are invisible, and the file is half as large.
_PALE = 0.04
# Columns of a heat map; more would exceed the resolution of a screen.
_COLUMNS = 250
_LANES = 3
# Height of an axis' numbers with the ticks, points.
_NUMBERS = 17
# Bases with at least this fraction of a region's largest value count as strong.
_STRONG = 0.2
# Fraction of the width that a letter of a hit's name takes.
_LETTER = 0.0085

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Hit:
    """A motif found in a window.

    Args:
        start: First base in the window, 0-based.
        end: End of the hit.
        name: Name of the motif.
        strand: "+" or "-".
    """

    start: int
    end: int
    name: str
    strand: str = "+"


@mpl.rc_context(STYLE)
def plot_window(
    codes: ArrayLike,
    values: ArrayLike,
    hits: Sequence[Hit] = (),
    tracks: Mapping[str, ArrayLike] | None = None,
    zoom: tuple[int, int] | None = None,
    bin: tuple[int, int] | None = None,
    place: tuple[str, int] | None = None,
) -> Figure:
    """One window: its attribution as bars, further tracks below, and its strongest region as letters.

    Args:
        codes: The sequence, (L,).
        values: Contribution of the observed base, (L,).
        hits: Motifs to mark and name.
        tracks: Values by name, (L,) each, such as Grad-CAM.
        zoom: First base and end of the region that is shown as letters; by default the strongest.
        bin: First base and end of the labelled bin, to be shaded.
        place: Chromosome and 0-based start of the window; without it, the axis counts from the window's first base.
    """
    sequence, height = np.asarray(codes), np.asarray(values, dtype=float)
    low, high = zoom or strongest(height)
    begin = place[1] if place else 0
    lanes = _lanes(hits, height.size)
    heights = [0.24 * max(1, len(lanes)), 1.15, *[0.6] * len(tracks or {}), 1.5]
    figure = Figure(figsize=(9.6, 0.9 + 0.95 * sum(heights)), layout="constrained")
    named, whole, *others, letters = figure.subplots(len(heights), 1, height_ratios=heights).flat
    for axes in (named, whole, *others):
        axes.set(xlim=(begin, begin + height.size))
    _draw_names(named, lanes, begin)
    panels = [(whole, CONTRIBUTION, height, (RAISES, LOWERS))]
    panels += [(axes, name, np.asarray(track, dtype=float), (INK, INK))
               for axes, (name, track) in zip(others, (tracks or {}).items(), strict=True)]  # fmt: skip
    for axes, name, track, colours in panels:
        _draw_area(axes, begin, track, colours)
        axes.set_ylabel(name.replace(", ", ",\n"), rotation=0, ha="right", va="center", fontsize=9)
        axes.yaxis.set_major_locator(MaxNLocator(3))
        axes.axvspan(begin + low, begin + high, facecolor="none", edgecolor=GREY, linewidth=0.7, linestyle=(0, (3, 2)))
        axes.tick_params(labelbottom=axes is panels[-1][0])
    draw_logo(letters, observed_heights(sequence[low:high], height[low:high]), begin + low)
    _draw_brackets(letters, [hit for hit in hits if hit.start < high and hit.end > low], begin)
    letters.set_ylabel(CONTRIBUTION.replace(", ", ",\n"), rotation=0, ha="right", va="center", fontsize=9)
    letters.yaxis.set_major_locator(MaxNLocator(4))
    if bin:
        text = f" {bin[1] - bin[0]}-bp bin"
        whole.annotate(text, (begin + bin[0], 0.99), xycoords=("data", "axes fraction"), fontsize=8, va="top")
    for axes in (whole, *others, letters):
        _shade(axes, bin, begin)
        label_places(axes)
    letters.set_xlabel(f"{plain_text(place[0])}, bp" if place else "position in the window, bp")
    _connect(figure, panels[-1][0], letters, (begin + low, begin + high))
    figure.align_ylabels()
    return figure


@mpl.rc_context(STYLE)
def plot_heat_map(values: ArrayLike, bin: tuple[int, int] | None = None, label: str = CONTRIBUTION) -> Figure:
    """Attributions of many windows below each other, aligned, with their mean absolute value above.

    Of neighbouring positions that share a column, the strongest is shown.

    Args:
        values: Contributions of the observed bases, (n, L), in the order of display.
        bin: First base and end of the labelled bin; the axis counts from its middle.
        label: Label of the values, with their unit.
    """
    height = np.nan_to_num(np.asarray(values, dtype=float))
    n, length = height.shape
    left = -(sum(bin) / 2 if bin else length / 2)
    top = float(np.quantile(np.abs(height), 0.998)) or 1.0
    figure = Figure(figsize=(9.6, min(6.0, 2.1 + 0.03 * n)), layout="constrained")
    mean, map_ = figure.subplots(2, 1, height_ratios=[1, 3])
    _draw_area(mean, left, np.abs(height).mean(axis=0), (INK, INK))
    mean.set(xlim=(left, left + length), ylabel="mean\nmagnitude")
    mean.yaxis.set_major_locator(MaxNLocator(3))
    mean.tick_params(labelbottom=False)
    cells = _pooled(height, _COLUMNS) / top
    picture(map_, diverging(np.where(np.abs(cells) < _PALE, 0, cells)), (left, left + length, n, 0))
    map_.set(xlim=(left, left + length), ylim=(n, 0), ylabel="windows", xlabel="bp from the middle of the bin")
    map_.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    scale_both_ways(map_, top, label)
    for axes, colour in ((mean, RULE), (map_, GREY)):
        for edge in bin or ():
            axes.axvline(edge + left, color=colour, linewidth=0.8, linestyle=(0, (3, 2)))
    return figure


def strongest(values: ArrayLike, width: int = ZOOM) -> tuple[int, int]:
    """Returns first base and end of the region of a window with the largest sum of absolute values.

    Args:
        values: One value per position, (L,).
        width: Width, bp; a shorter window is used as a whole.
    """
    sizes = np.abs(np.nan_to_num(np.asarray(values, dtype=float)))
    sums = np.concatenate([[0.0], sizes.cumsum()])
    width = min(width, sizes.size)
    start = int((sums[width:] - sums[: sums.size - width]).argmax())
    # Of all regions with the same strong bases, the one that has them in its middle.
    strong = np.flatnonzero(sizes[start : start + width] >= _STRONG * sizes[start : start + width].max(initial=0))
    start += (int(strong[0] + strong[-1]) + 1 - width) // 2 if strong.size else 0
    start = min(max(0, start), sizes.size - width)
    return start, start + width


def _draw_area(axes: Axes, begin: float, values: Floats, colours: tuple[str, str]) -> None:
    """Draws bars without gaps from 0, one outline for positive and one for negative values; sets the axes' height."""
    low, high = min(0.0, float(np.nanmin(values, initial=0))), max(0.0, float(np.nanmax(values, initial=0)))
    low, high = (low, high) if high > low else (0.0, 1.0)
    step = (high - low) * _STEP / (72 * axes.get_window_extent().height / axes.figure.dpi)
    for colour, side in zip(colours, (np.maximum, np.minimum), strict=True):
        level = np.rint(side(np.nan_to_num(values), 0) / step) * step
        if level.any():
            edges = np.flatnonzero(np.diff(level, prepend=0, append=0))
            levels = np.append(level, 0)[edges]
            x = np.repeat(edges, 2) + begin
            y = np.repeat(np.concatenate([[0.0], levels]), 2)[1:-1]
            axes.add_artist(PathPatch(Path(np.column_stack([x, y])), facecolor=colour, linewidth=0))
    axes.set_ylim(low - 0.04 * (high - low) * (low < 0), high + 0.04 * (high - low))
    axes.axhline(0, color=GREY, linewidth=0.6)
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)


def _lanes(hits: Sequence[Hit], length: int) -> list[list[tuple[Hit, bool]]]:
    """Places hits on as few lines as their names need; hits beyond the last line have no name."""
    lanes: list[list[tuple[Hit, bool]]] = []
    ends: list[float] = []
    for hit in sorted(hits, key=lambda hit: hit.start):
        wide = _LETTER * length * (len(plain_text(hit.name, 16)) + 2)
        middle, half = (hit.start + hit.end) / 2, max(wide, hit.end - hit.start) / 2
        free = next((i for i, end in enumerate(ends) if end <= middle - half), None)
        if free is None and len(lanes) < _LANES:
            lanes.append([])
            ends.append(0)
            free = len(lanes) - 1
        if free is None:
            lanes[-1].append((hit, False))
        else:
            lanes[free].append((hit, True))
            ends[free] = middle + half
    return lanes


def _draw_names(axes: Axes, lanes: list[list[tuple[Hit, bool]]], begin: int) -> None:
    for i, lane in enumerate(lanes):
        for hit, room in lane:
            axes.plot([begin + hit.start, begin + hit.end], [i, i], color=INK, linewidth=2.2, solid_capstyle="butt")
            if room:
                text = f"{plain_text(hit.name, 16)} {_arrow(hit)}"
                axes.text(begin + (hit.start + hit.end) / 2, i + 0.12, text, fontsize=8, ha="center", va="bottom")
    axes.set(ylim=(-0.2, max(1, len(lanes))))
    axes.axis("off")


def _draw_brackets(axes: Axes, hits: Sequence[Hit], begin: int) -> None:
    """Marks hits above the letters of the zoomed region; overlapping hits alternate in height."""
    if not hits:
        return
    low, high = axes.get_ylim()
    left, right = axes.get_xlim()
    room = 0.13 * (high - low)
    ends: list[int] = []
    for hit in sorted(hits, key=lambda hit: hit.start):
        lane = next((i for i, end in enumerate(ends) if end <= hit.start), len(ends))
        ends[lane : lane + 1] = [hit.end]
        y = high + room * (0.35 + 1.25 * lane)
        ends_here = max(left, begin + hit.start), min(right, begin + hit.end)
        axes.plot(ends_here, [y, y], color=INK, linewidth=1.6, solid_capstyle="butt")
        text = f"{plain_text(hit.name, 16)} {_arrow(hit)}"
        axes.text(sum(ends_here) / 2, y + 0.1 * room, text, fontsize=8, ha="center", va="bottom")
    axes.set_ylim(low, high + room * (0.5 + 1.25 * len(ends)))


def _arrow(hit: Hit) -> str:
    return {"+": "→", "-": "←"}.get(hit.strand, "")


def _shade(axes: Axes, bin: tuple[int, int] | None, begin: int) -> None:
    if bin:
        left, right = axes.get_xlim()
        axes.axvspan(begin + bin[0], begin + bin[1], color=RULE, alpha=0.45, linewidth=0, zorder=0)
        axes.set_xlim(left, right)


def _connect(figure: Figure, above: Axes, below: Axes, ends: tuple[float, float]) -> None:
    """Draws lines from the position of a region to its enlargement, vertical until they are below the axis labels."""
    place = above.get_xaxis_transform()
    under = place + ScaledTranslation(0, -_NUMBERS / 72, figure.dpi_scale_trans)
    for x, corner in zip(ends, (0, 1), strict=True):
        for begin, end, transforms in (
            ((x, 0), (x, 0), (place, under)),
            ((x, 0), (corner, 1), (under, below.transAxes)),
        ):
            line = ConnectionPatch(begin, end, *transforms, color=GREY, linewidth=0.6, linestyle=(0, (3, 2)))
            line.set_in_layout(False)
            figure.add_artist(line)


def _pooled(values: Floats, columns: int) -> Floats:
    """Returns the strongest value of neighbouring columns, with its sign, so that the number of columns is limited."""
    size = -(-values.shape[1] // columns)
    padded = np.pad(values, ((0, 0), (0, -values.shape[1] % size)))
    blocks = padded.reshape(len(values), -1, size)
    return np.asarray(np.take_along_axis(blocks, np.abs(blocks).argmax(axis=2)[..., None], axis=2)[..., 0])


def label_places(axes: Axes) -> None:
    """Formats integers with commas along the sequence."""
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def scale_both_ways(axes: Axes, top: float, label: str) -> None:
    """Draws a colour bar for values from minus to plus `top` at the right of a figure."""
    bar = scale(axes, diverging(np.linspace(1, -1, LEVELS)[:, None]), label)
    bar.set_yticks([0, 0.5, 1], [f"≤ −{top:.2g}", "0", f"≥ {top:.2g}"])

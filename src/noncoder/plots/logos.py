"""Sequence logos from letter outlines that are made once, so that a thousand positions are four paths.

Matrices are (4, w) with the rows A, C, G, T. Sequence logos: Schneider & Stephens 1990, doi:10.1093/nar/18.20.6097.
"""

from __future__ import annotations

import html
from functools import cache
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from noncoder.errors import InputError
from noncoder.plots.style import GREY, PALETTE, STYLE, plain_text

BASES = "ACGT"
BASE_COLOURS = {"A": PALETTE[2], "C": PALETTE[0], "G": PALETTE[4], "T": PALETTE[1]}
"""Green, blue, orange and red, the usual colours, in shades that red-green colour-blind readers can distinguish."""

CONTRIBUTION = "contribution, logit"
# Fraction of its position that a letter fills.
_FILLED = 0.9
# Inches per position in a figure of one logo, and inches of all positions at most.
_POSITION, _WIDEST = 0.24, 9.6
# Inline logos have a height of 100 units: units and em per position, em of the height.
_STEP, _EM, _TALL_EM = 20, 0.75, 2.6
# Letters smaller than this, in those units, are less than half a pixel in a table.
_LEAST = 3
# Letters smaller than this fraction of the logo's span would be a hairline.
_LEAST_SHARE = 0.008

Floats = NDArray[np.floating[Any]]


class _Arc(NamedTuple):
    """Part of an ellipse around (x, y), from one angle to another in degrees, counterclockwise if that is larger."""

    x: float
    y: float
    rx: float
    ry: float
    begin: float
    end: float

    def at(self, angle: float) -> tuple[float, float]:
        return self.x + self.rx * np.cos(np.deg2rad(angle)), self.y + self.ry * np.sin(np.deg2rad(angle))


# Outlines in a box from 0 to 1, y upwards: corners, and arcs that follow a line. Holes have the opposite direction.
_OUTER, _INNER = (0.566, 0.5, 0.566, 0.5), (0.566, 0.5, 0.336, 0.335)
_GLYPHS: dict[str, tuple[tuple[tuple[float, float] | _Arc, ...], ...]] = {
    "A": (
        ((0, 0), (0.24, 0), (0.31, 0.21), (0.69, 0.21), (0.76, 0), (1, 0), (0.635, 1), (0.365, 1)),
        ((0.37, 0.385), (0.5, 0.78), (0.63, 0.385)),
    ),
    "C": ((_Arc(*_OUTER, 40, 320), _Arc(*_INNER, 320, 40)),),
    "G": ((_Arc(*_OUTER, 40, 320), (1, 0.52), (0.55, 0.52), (0.55, 0.36), (0.77, 0.36), _Arc(*_INNER, 307.4, 40)),),
    "T": (((0, 1), (0, 0.84), (0.38, 0.84), (0.38, 0), (0.62, 0), (0.62, 0.84), (1, 0.84), (1, 1)),),
}


def information_heights(ppm: ArrayLike) -> Floats:
    """Returns heights of a sequence logo: each base's probability times the information of its position.

    Args:
        ppm: Probabilities, (4, w); columns sum to 1.

    Returns:
        Bits against equal base frequencies, (4, w); columns sum to 0 to 2.
    """
    probabilities = _matrix(ppm)
    logs = np.log2(probabilities, out=np.zeros_like(probabilities), where=probabilities > 0)
    return np.asarray(probabilities * (2 + (probabilities * logs).sum(axis=0)))


def observed_heights(codes: ArrayLike, values: ArrayLike) -> Floats:
    """Returns heights of the logo of one sequence: the value of the observed base at each position.

    Args:
        codes: The sequence, (w,); an N has no letter.
        values: One value per position, (w,).

    Returns:
        (4, w), zero at the other bases.
    """
    present = np.arange(4)[:, None] == np.asarray(codes)
    return np.where(present, np.asarray(values, dtype=float), 0.0)


def draw_logo(axes: Axes, heights: ArrayLike, start: float = 0) -> None:
    """Draws a logo into axes as four paths of any length, and sets the limits of the axes.

    Positive letters are stacked above 0 and negative ones below it upside down, the largest outermost.

    Args:
        axes: The axes.
        heights: Signed heights, (4, w); NaN has no letter.
        start: Position of the first letter on the axis; each letter is 1 wide.
    """
    stacked = _matrix(heights)
    begins, (low, high) = _begins(stacked), span(stacked)
    for row, base in enumerate(BASES):
        at = np.flatnonzero(np.abs(stacked[row]) > _LEAST_SHARE * (high - low))
        if at.size:
            outline = _outline(base)
            corners = np.empty((at.size, len(outline), 2))
            box = np.asarray(outline.vertices)
            corners[..., 0] = box[:, 0] * _FILLED + (start + at + (1 - _FILLED) / 2)[:, None]
            corners[..., 1] = box[:, 1] * stacked[row, at, None] + begins[row, at, None]
            path = Path(corners.reshape(-1, 2), np.tile(np.asarray(outline.codes), at.size))
            # Axes.add_patch would compute the extremes of every curve, which takes longer than drawing.
            axes.add_artist(PathPatch(path, facecolor=BASE_COLOURS[base], linewidth=0)).set_in_layout(False)
    axes.set(xlim=(start, start + stacked.shape[1]), ylim=(low, high))
    axes.grid(visible=False)
    if low < 0:
        axes.axhline(0, color=GREY, linewidth=0.6, zorder=0.9)


@mpl.rc_context(STYLE)
def plot_information_logo(ppm: ArrayLike, title: str = "") -> Figure:
    """Draws the logo of a motif in bits.

    Args:
        ppm: Probabilities, (4, w); columns sum to 1.
        title: The motif's name.
    """
    figure, axes = _one_logo(information_heights(ppm), 1, title)
    axes.set(ylim=(0, 2), yticks=[0, 1, 2], xlabel="position, bp", ylabel="information, bits")
    return figure


@mpl.rc_context(STYLE)
def plot_contribution_logo(values: ArrayLike, start: int = 1, title: str = "", label: str = CONTRIBUTION) -> Figure:
    """Draws the logo of an attribution or a contribution weight matrix (CWM); negative letters are below the axis.

    Args:
        values: Contribution of each base, (4, w); for one sequence, its `observed_heights`.
        start: Number of the first position.
        title: Title.
        label: Label of the values, with their unit.
    """
    figure, axes = _one_logo(_matrix(values), start, title)
    axes.set(xlabel="position, bp", ylabel=label)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    return figure


def logo_svg(heights: ArrayLike, top: float | None = None, label: str = "") -> str:
    """Returns a small logo as markup for tables: one path per base, in colours that follow a page's dark mode.

    Args:
        heights: Signed heights, (4, w): `information_heights` of a motif, or a CWM; NaN has no letter.
        top: Value of the full height, such as 2 bits; by default the logo's span.
        label: Alternative text.
    """
    stacked = _matrix(heights)
    low, high = span(stacked)
    high = high if top is None else max(high, top)
    unit = 100 / (high - low)
    width, zero = stacked.shape[1], round(high * unit)
    sizes = np.rint(stacked * unit).astype(int).tolist()
    feet = np.rint((high - _begins(stacked)) * unit).astype(int).tolist()
    rule = f'<path d="M0 {zero}H{width * _STEP}" stroke="var(--grey,{GREY})"/>' if low < 0 else ""
    letters = []
    for base, size, foot in zip(BASES, sizes, feet, strict=True):
        drawn = ""
        for i in range(width):
            if abs(size[i]) >= _LEAST:
                x, y, outline = _inline(base, size[i])
                drawn += f"M{i * _STEP + x} {foot[i] + y}{outline}"
        if drawn:
            colour = BASE_COLOURS[base]
            letters.append(f'<path fill="var(--c{PALETTE.index(colour)},{colour})" d="{drawn}"/>')
    named = f' role="img" aria-label="{html.escape(label)}"' if label else ' aria-hidden="true"'
    return (
        f'<svg class="logo"{named} viewBox="0 0 {width * _STEP} 100" width="{width * _EM:.4g}em" '
        f'height="{_TALL_EM}em" preserveAspectRatio="none">{rule}{"".join(letters)}</svg>'
    )


def span(heights: Floats) -> tuple[float, float]:
    """Returns the lowest and highest end of a logo's stacks; 0 to 1 without letters."""
    low = float(np.minimum(heights, 0).sum(axis=0).min(initial=0))
    high = float(np.maximum(heights, 0).sum(axis=0).max(initial=0))
    return (low, high) if high > low else (0.0, 1.0)


def _matrix(values: ArrayLike) -> Floats:
    matrix = np.asarray(values, dtype=float)
    if matrix.ndim != 2 or matrix.shape[0] != 4 or matrix.shape[1] == 0:
        raise InputError(f"a logo of a matrix of shape {matrix.shape}", expected="(4, w) with rows A, C, G, T")
    return np.asarray(np.nan_to_num(matrix, nan=0.0, posinf=0.0, neginf=0.0))


def _begins(heights: Floats) -> Floats:
    """Returns the base line of each letter, (4, w): the end of the smaller letters on its side of 0."""
    order = np.argsort(np.abs(heights), axis=0, kind="stable")
    ordered = np.take_along_axis(heights, order, axis=0)
    ends = np.where(ordered > 0, np.maximum(ordered, 0).cumsum(axis=0), np.minimum(ordered, 0).cumsum(axis=0))
    begins = np.empty_like(heights)
    np.put_along_axis(begins, order, ends - ordered, axis=0)
    return begins


def _one_logo(heights: Floats, start: int, title: str) -> tuple[Figure, Axes]:
    width = min(_WIDEST, 1.1 + _POSITION * heights.shape[1])
    figure = Figure(figsize=(max(2.2, width), 1.9), layout="constrained")
    axes = figure.add_subplot(title=plain_text(title, 60))
    # Numbers are below the middle of their letter.
    draw_logo(axes, heights, start - 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(min(12, max(2, heights.shape[1] // 2)), integer=True))
    return figure, axes


@cache
def _outline(base: str) -> Path:
    """Returns a letter as a path in a box from 0 to 1."""
    vertices: list[Floats] = []
    kinds: list[np.uint8] = []
    for contour in _GLYPHS[base]:
        first = len(kinds)
        for part in contour:
            points = np.array([part], dtype=float)
            if isinstance(part, _Arc):
                low, high = sorted((part.begin, part.end))
                circle = np.asarray(Path.arc(low, high, 4).vertices)[:: 1 if part.end > part.begin else -1]
                points = circle * (part.rx, part.ry) + (part.x, part.y)
            vertices.append(points)
            kinds += [Path.LINETO, *[Path.CURVE4] * (len(points) - 1)]
        kinds[first] = Path.MOVETO
        kinds.append(Path.CLOSEPOLY)
        vertices.append(np.zeros((1, 2)))
    return Path(np.concatenate(vertices), kinds)


@cache
def _inline(base: str, height: int) -> tuple[int, int, str]:
    """Returns a letter of an inline logo: start of its outline in its box, and the outline as relative SVG steps.

    Args:
        base: A, C, G or T.
        height: In the logo's units; negative letters are upside down.
    """

    def corner(point: tuple[float, float]) -> tuple[int, int]:
        return round(point[0] * _STEP * _FILLED), -round(point[1] * height)

    begins: list[tuple[int, int]] = []
    text = ""
    for contour in _GLYPHS[base]:
        last = begins[-1] if begins else (0, 0)
        for i, part in enumerate(contour):
            arc = part if isinstance(part, _Arc) else None
            here = corner(arc.at(arc.begin) if arc else (part[0], part[1]))
            if i == 0:
                text += f"m{here[0] - last[0]} {here[1] - last[1]}" if begins else ""
                begins.append(here)
            else:
                text += _step(here[0] - last[0], here[1] - last[1])
            last = here
            if arc:
                here, left = corner(arc.at(arc.end)), (arc.end > arc.begin) == (height > 0)
                text += f"a{arc.rx * _STEP * _FILLED:.3g} {arc.ry * abs(height):.3g} 0 1 {int(not left)} "
                text += f"{here[0] - last[0]} {here[1] - last[1]}"
                last = here
        text += "z"
    return *begins[0], text.replace(" -", "-")


def _step(x: int, y: int) -> str:
    """Returns a relative line in the fewest characters."""
    return f"l{x} {y}" if x and y else f"h{x}" if x else f"v{y}" if y else ""

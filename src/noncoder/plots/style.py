"""The style that all figures share, helpers to draw in it, and output of figures as SVG or files.

The colours are those of Okabe and Ito (https://jfly.uni-koeln.de/color/), which the common kinds of colour blindness
can distinguish.
"""

from __future__ import annotations

import hashlib
import html
import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import ArrayLike, NDArray

from noncoder.files import write_bytes

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
INK, RULE, GREY = "#26323f", "#d4dae0", "#8a94a0"

STYLE: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.titlecolor": INK,
    "axes.labelsize": 10,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.6,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "svg.hashsalt": "noncoder",
}
# If there are more groups than distinguishable colours, the smaller ones are grey.
_MOST_GROUPS = 5
_OTHER = "other"
# Number of names that are readable side by side.
FEW_TASKS = 30
_FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

Floats = NDArray[np.floating[Any]]


def figure_svg(figure: Figure, name: str = "", label: str = "") -> str:
    """Returns a figure as SVG for a page.

    Its colours become CSS variables (--ink, --rule, --grey, --paper, --c0 to --c5) with themselves as fallback, so that
    a page's dark mode applies to them. The same figure gives the same text.

    Args:
        figure: The figure.
        name: Prefix of every id in it; by default a digest of the figure, which keeps figures of one page apart.
        label: Alternative text.
    """
    text = io.StringIO()
    with _drawing():
        # The page must not depend on the time at which it was made.
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|\s+xmlns(:\w+)?=\"[^\"]*\"", "", svg, flags=re.S)
    # Coordinates are rounded to a hundredth of a point, except numbers in text.
    svg = re.sub(r"<[^>]+>", lambda tag: re.sub(r"\d+\.\d{3,}", _hundredths, tag[0]), svg)
    svg = re.sub(r' d="([^"]*)"', lambda found: f' d="{_shorter(found[1])}"', svg)
    svg = svg.replace("xlink:href", "href").replace("'DejaVu Sans', sans-serif", _FONTS)
    used = dict.fromkeys(re.findall(r"(?:href=\"#|url\(#)([\w.-]+)", svg))
    # Ids depend on unwritten digits of the layout, which differ from run to run.
    plain = re.sub(r'( id="|href="#|url\(#)[\w.-]+', r"\1", svg)
    prefix = name or "f" + hashlib.sha256(plain.encode()).hexdigest()[:8]
    short = {long: f"{prefix}-{i}" for i, long in enumerate(used)}
    svg = re.sub(r' id="([\w.-]+)"', lambda found: f' id="{short[found[1]]}"' if found[1] in short else "", svg)
    svg = re.sub(r'(href="#|url\(#)([\w.-]+)', lambda found: found[1] + short[found[2]], svg)
    svg = _classes(_variables(svg), prefix)
    described = f' role="img" aria-label="{html.escape(label)}"' if label else ' role="img"'
    # With only the view box, the page determines the width.
    svg = re.sub(r'<svg ([^>]*?)(?:width|height)="[^"]*"', r"<svg \1", svg)
    svg = re.sub(r'<svg ([^>]*?)(?:width|height)="[^"]*"', rf"<svg{described} \1", svg)
    return re.sub(r"\s*\n\s*", "\n", svg).strip()


def save_figure(figure: Figure, path: Path) -> None:
    """Writes a figure completely or not at all.

    Args:
        figure: The figure.
        path: The file, whose suffix determines the format, such as positives.png, .pdf or .svg.

    Raises:
        InputError: It cannot be written.
    """
    content = io.BytesIO()
    with _drawing():
        figure.savefig(content, dpi=160, facecolor="white", format=path.suffix[1:].lower())
    write_bytes(path, content.getbuffer())


@contextmanager
def _drawing() -> Iterator[None]:
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        # Task names may contain any character; a font that lacks one draws a box.
        warnings.filterwarnings("ignore", r"Glyph \d+")
        yield


def make_panels(
    rows: int, columns: int, width: float = 9.6, height: float = 3.0, **share: Any
) -> tuple[Figure, list[Axes]]:
    """Creates an empty figure and its panels, row by row; sizes in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, **share)
    return figure, list(grid.flat)


def unit_square(x_label: str, y_label: str) -> tuple[Figure, Axes]:
    """Creates an empty figure whose axes both range from 0 to 1."""
    figure, (axes,) = make_panels(1, 1, width=4.4, height=4.2)
    axes.set(xlabel=x_label, ylabel=y_label, xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    return figure, axes


def coloured(groups: Sequence[str], n_tasks: int) -> dict[str, tuple[NDArray[np.bool_], str]]:
    """Returns members (T,) and colour by group: the largest in their own colour, in order; others grey."""
    if not any(groups):
        return {"": (np.ones(n_tasks, dtype=bool), PALETTE[0])}
    names = np.array([group or _OTHER for group in groups])
    sizes = {str(name): int((names == name).sum()) for name in dict.fromkeys(names)}
    own = sorted((name for name in sizes if name != _OTHER), key=lambda name: -sizes[name])[:_MOST_GROUPS]
    coloured: dict[str, tuple[NDArray[np.bool_], str]] = {}
    for name in sizes:
        if name in own:
            coloured[name] = (names == name, PALETTE[len(coloured)])
    rest = ~np.isin(names, own)
    return coloured | ({_OTHER: (rest, GREY)} if rest.any() else {})


def dot_size(n_tasks: int) -> float:
    """Returns the size of a dot for a task: smaller if there are many."""
    return 7 if n_tasks <= FEW_TASKS else 3.8


def label_decades(axis: Axis, text: Callable[[float, object], str] | None = None) -> None:
    """Sets ticks of a logarithmic axis at powers of ten, and at their double and fivefold if it spans few."""
    low, high = sorted(axis.get_view_interval())
    axis.set_major_locator(LogLocator(subs=(1,) if high > 40 * low else (1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(text or short_number))
    axis.set_minor_formatter(NullFormatter())


def add_legend(axes: Axes, names: Sequence[str]) -> None:
    """Adds a legend above the axes, if there are several entries."""
    if any(names):
        columns = min(_MOST_GROUPS + 1, len(set(names)))
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=columns, handlelength=1, columnspacing=1.4)


def thin(at: ArrayLike, values: ArrayLike, most: int = 300) -> tuple[Floats, Floats]:
    """Returns means of equal blocks if there are more points than a screen shows; points with NaN are left out."""
    points = np.array([at, values], dtype=float)
    points = points[:, np.isfinite(points).all(axis=0)]
    starts = np.arange(0, points.shape[1], max(1, -(-points.shape[1] // most)))
    lengths = np.diff(np.append(starts, points.shape[1]))
    x, y = np.add.reduceat(points, starts, axis=1) / lengths if starts.size else points
    return x, y


def plain_text(name: str, most: int = 32) -> str:
    """Returns a name that matplotlib shows unchanged: no formula, no hidden label, limited length."""
    name = name if len(name) <= most else f"{name[: most - 1]}…"
    return re.sub(r"^_+", "", name).replace("$", r"\$")


def short_number(value: float, _: object = None) -> str:
    """Formats a number in a few characters: 1.2k, 3M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _hundredths(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


def _shorter(path: str) -> str:
    """Shortens a path: horizontal and vertical lines with one number, repeated commands only once."""
    parts, last, at = [], "", ["", ""]
    for kind, text in re.findall(r"([A-Za-z])([^A-Za-z]*)", path):
        numbers = text.split()
        end = numbers[-2:] or at
        if kind == "L":
            kind, numbers = ("H", end[:1]) if end[1] == at[1] else ("V", end[1:]) if end[0] == at[0] else (kind, end)
        parts.append((" " if kind == last and kind in "LCQ" else kind) + " ".join(numbers))
        last, at = kind, end
    return "".join(parts)


def _variables(svg: str) -> str:
    names = {
        INK: "ink",
        RULE: "rule",
        GREY: "grey",
        "#ffffff": "paper",
        **{colour: f"c{i}" for i, colour in enumerate(PALETTE)},
    }
    return re.sub("|".join(names), lambda found: f"var(--{names[found[0]]},{found[0]})", svg)


def _classes(svg: str, prefix: str) -> str:
    """Moves a style that many marks share into a rule; a scatter of a thousand tasks shrinks to a third."""
    styles = re.findall(r' style="([^"]+)"', svg)
    common = [style for style in dict.fromkeys(styles) if styles.count(style) > 2]
    for i, style in enumerate(common):
        svg = svg.replace(f' style="{style}"', f' class="{prefix}-s{i}"')
    rules = "".join(f".{prefix}-s{i}{{{html.unescape(style)}}}" for i, style in enumerate(common))
    return re.sub(r"(<svg[^>]*>)", lambda found: f"{found[1]}<style>{rules}</style>", svg, count=1) if rules else svg

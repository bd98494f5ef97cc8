"""Arrays to figures, in one restrained style; nothing here knows of stores or runs, or touches pyplot's state.

The colours are those of Okabe and Ito (https://jfly.uni-koeln.de/color/), which stay apart under the common kinds of
colour blindness.
"""

from __future__ import annotations

import hashlib
import html
import io
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, PercentFormatter
from numpy.typing import ArrayLike, NDArray

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
INK, RULE, GREY = "#26323f", "#d4dae0", "#8a94a0"

_STYLE: Any = {
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
# More groups than colours that can be told apart: the smaller ones share grey.
_MOST_GROUPS = 5
_OTHER = "other"
# As many names as can be read side by side.
_FEW_TASKS = 30
_FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

Floats = NDArray[np.floating[Any]]


@mpl.rc_context(_STYLE)
def plot_positives(positives: Mapping[str, ArrayLike], groups: Sequence[str] = (), names: Sequence[str] = ()) -> Figure:
    """Positive windows of each task, by its index; one panel a split.

    Args:
        positives: Counts (T,) of each split.
        groups: The group of each task, for the colours.
        names: The name of each task; written out where there are few.
    """
    figure, panels = _panels(len(positives), 1, height=1.65 * len(positives) + 0.5, sharex=True)
    n_tasks = len(np.asarray(next(iter(positives.values()))))
    few = n_tasks <= _FEW_TASKS
    for axes, (split, counts) in zip(panels, positives.items(), strict=True):
        for group, (members, colour) in _coloured(groups, n_tasks).items():
            shown, label = np.where(members, np.asarray(counts), np.nan), _plain(group) or None
            if few:
                axes.bar(np.arange(n_tasks), shown, width=0.8, color=colour, label=label)
            else:
                # One filled outline a group: a bar a task would weigh hundreds of elements.
                axes.stairs(shown, np.arange(n_tasks + 1) - 0.5, fill=True, color=colour, label=label, linewidth=0)
        axes.set(title=split, ylabel="positives", xlim=(-0.5, n_tasks - 0.5))
        axes.grid(axis="x", visible=False)
        axes.yaxis.set_major_formatter(FuncFormatter(_short))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    if few and names:
        panels[-1].set_xticks(np.arange(n_tasks), [_plain(name, 20) for name in names], rotation=45, ha="right")
        panels[-1].tick_params(axis="x", length=0)
    else:
        panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
        panels[-1].set_xlabel("task, by index")
    _legend(panels[0], groups)
    return figure


@mpl.rc_context(_STYLE)
def plot_balance(positives: ArrayLike, negatives: ArrayLike) -> Figure:
    """Positives against negatives of each task, from the most to the fewest positives, on a logarithmic scale.

    Args:
        positives: Counts (T,).
        negatives: Counts (T,).
    """
    figure, (axes,) = _panels(1, 1, width=5.6, height=3.2)
    positive, negative = np.asarray(positives), np.asarray(negatives)
    order, rank = np.argsort(-positive, kind="stable"), np.arange(positive.size)
    axes.plot(rank, negative[order], color=GREY, label="negative")
    axes.plot(rank, np.where(positive > 0, positive, np.nan)[order], color=PALETTE[0], label="positive")
    axes.set_yscale("log")
    axes.set(xlabel="task, from most to fewest positives", ylabel="windows")
    axes.grid(axis="x", visible=False)
    _label_decades(axes.yaxis)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, handlelength=1.4)
    return figure


@mpl.rc_context(_STYLE)
def plot_frequency(edges: ArrayLike, counts: ArrayLike, rare: float = 0.05) -> Figure:
    """Histogram of the tasks' positive frequency.

    Args:
        edges: Shares of positive windows, (n + 1,), increasing and above 0; drawn on a logarithmic scale.
        counts: Tasks in each bar, (n,).
        rare: A share to draw a line at.
    """
    figure, (axes,) = _panels(1, 1, width=5.6, height=3.2)
    bars, at = np.asarray(counts), np.asarray(edges)
    axes.bar(at[:-1], bars, width=np.diff(at), align="edge", color=PALETTE[0], edgecolor="white", linewidth=0.5)
    axes.set_xscale("log")
    axes.set_xlim(min(at[0], rare / 1.5), max(1.5 * rare, 1.3 * float(at[1:][bars > 0].max(initial=0))))
    _label_decades(axes.xaxis, lambda share, _: f"{100 * share:.3g}%")
    axes.axvline(rare, color=PALETTE[1], linewidth=1, linestyle=(0, (4, 3)))
    axes.annotate(f"{rare:.0%}", (rare, 1), xycoords=("data", "axes fraction"), xytext=(4, 0),
                  textcoords="offset points", va="top", color=PALETTE[1])  # fmt: skip
    axes.set(xlabel="share of windows that are positive", ylabel="tasks")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="x", visible=False)
    return figure


@mpl.rc_context(_STYLE)
def plot_labels(windows: ArrayLike, most_bars: int = 40) -> Figure:
    """Histogram of the number of positive labels a window; windows without a label have a bar of their own.

    Args:
        windows: Windows with 0, 1, 2, ... positive labels.
        most_bars: A bar covers several numbers where there would be more bars than this for 99 windows in 100; the last
            bar holds all that is beyond.
    """
    figure, (axes,) = _panels(1, 1, width=5.6, height=3.2)
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
    axes.yaxis.set_major_formatter(FuncFormatter(_short))
    axes.grid(axis="x", visible=False)
    return figure


@mpl.rc_context(_STYLE)
def plot_bases(shares: Mapping[str, float]) -> Figure:
    """The share of each base.

    Args:
        shares: Base to share; the shares sum to 1.
    """
    figure, (axes,) = _panels(1, 1, width=5.6, height=3.2)
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


@mpl.rc_context(_STYLE)
def plot_chromosomes(names: Sequence[str], windows: Mapping[str, ArrayLike]) -> Figure:
    """Windows on each chromosome, by split.

    Args:
        names: The chromosomes, (C,).
        windows: Counts (C,) of each split.
    """
    figure, (axes,) = _panels(1, 1, height=2.6)
    below, at = np.zeros(len(names)), np.arange(len(names))
    for (split, counts), colour in zip(windows.items(), (GREY, *PALETTE[1::-1]), strict=False):
        values = np.asarray(counts, dtype=float)
        axes.bar(at, values, bottom=below, width=0.8, color=colour, label=split)
        below = below + values
    crowded = len(names) > 12 and max(map(len, names)) > 5
    axes.set_xticks(
        at, [_plain(name) for name in names], rotation=60 if crowded else 0, ha="right" if crowded else "center"
    )
    axes.tick_params(axis="x", length=0)
    axes.set(ylabel="windows", xlim=(-0.6, len(names) - 0.4), ylim=(0, 1.05 * max(1, below.max(initial=0))))
    axes.yaxis.set_major_formatter(FuncFormatter(_short))
    axes.grid(axis="x", visible=False)
    _legend(axes, [*windows])
    return figure


@mpl.rc_context(_STYLE)
def plot_training(
    train: tuple[ArrayLike, ArrayLike],
    valid_at: ArrayLike,
    valid: Mapping[str, ArrayLike],
    x_label: str,
    kept: int | None = None,
) -> Figure:
    """Training curves: the training loss in the first panel, and every measure of the validation, one panel each.

    Args:
        train: Where and how large the training loss was, (n,) each.
        valid_at: Where the validations were, (m,).
        valid: The loss first, then any other measures, (m,) each.
        x_label: What the horizontal axis counts, e.g. "step" or "minutes".
        kept: The validation whose weights were kept.
    """
    figure, panels = _panels(1, len(valid), height=2.7, sharex=True)
    at, loss = _thin(train[0], train[1])
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
        axes.xaxis.set_major_formatter(FuncFormatter(_short))
    # The first steps are an order of magnitude above the rest, which they would press flat.
    every = np.concatenate([loss, np.asarray(next(iter(valid.values())), dtype=float)])
    if loss.size > 30:
        lowest, highest = np.nanmin(every), np.nanmax(np.append(every[loss.size :], np.quantile(loss, 0.97)))
        panels[0].set_ylim(lowest - 0.06 * (highest - lowest), highest + 0.06 * (highest - lowest))
    panels[0].legend(loc="best")
    return figure


@mpl.rc_context(_STYLE)
def plot_throughput(time: ArrayLike, windows_per_second: ArrayLike, x_label: str) -> Figure:
    """Training speed over time.

    Args:
        time: When, (n,).
        windows_per_second: How fast, (n,).
        x_label: The unit of the time.
    """
    figure, (axes,) = _panels(1, 1, height=1.9)
    at, speed = _thin(time, windows_per_second)
    axes.plot(at, speed, color=PALETTE[0], linewidth=1.2)
    axes.set(xlabel=x_label, ylabel="windows a second")
    axes.set_ylim(0, 1.15 * float(speed.max(initial=1)))
    axes.yaxis.set_major_formatter(FuncFormatter(_short))
    return figure


@mpl.rc_context(_STYLE)
def plot_roc(curves: Mapping[str, tuple[ArrayLike, ArrayLike]]) -> Figure:
    """Receiver operating characteristics of some tasks.

    Args:
        curves: Task to false and true positive rates, (P,) each.
    """
    figure, axes = _unit_square("false positive rate", "true positive rate")
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    for i, (name, (x, y)) in enumerate(curves.items()):
        axes.plot(np.asarray(x), np.asarray(y), color=PALETTE[i % len(PALETTE)], label=_plain(name))
    axes.legend(loc="lower right")
    return figure


@mpl.rc_context(_STYLE)
def plot_precision_recall(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]], prevalence: Mapping[str, float] | None = None
) -> Figure:
    """Precision-recall curves of some tasks.

    Args:
        curves: Task to recall and precision, (P,) each.
        prevalence: Task to its share of positives, the precision of a random ranking, drawn dashed.
    """
    figure, axes = _unit_square("recall", "precision")
    for i, (name, (x, y)) in enumerate(curves.items()):
        colour = PALETTE[i % len(PALETTE)]
        axes.plot(np.asarray(x), np.asarray(y), color=colour, label=_plain(name))
        if name in (prevalence or {}):
            axes.axhline(cast(Any, prevalence)[name], color=colour, linewidth=1, linestyle=(0, (4, 3)))
    axes.legend(loc="upper right")
    return figure


@mpl.rc_context(_STYLE)
def plot_distribution(measures: Mapping[str, ArrayLike], groups: Sequence[str] = ()) -> Figure:
    """Every task as a dot, a row a group and a panel a measure; the bar is the median.

    Args:
        measures: Name to values (T,); NaN is left out.
        groups: The group of each task.
    """
    n_tasks = len(np.asarray(next(iter(measures.values()))))
    rows = _coloured(groups, n_tasks)
    figure, panels = _panels(1, len(measures), height=max(2.0, 0.8 * len(rows) + 0.8), sharey=True)
    # The same figure for the same numbers.
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
                markersize=_dot_size(n_tasks),
                markeredgewidth=0,
            )
            if here.any():
                axes.plot([np.median(scores[here])] * 2, [row - 0.38, row + 0.38], color=INK, linewidth=2)
        axes.set_xlabel(measure)
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
    panels[0].set_yticks(range(len(rows)), [_plain(name) or "all tasks" for name in rows])
    panels[0].set_ylim(len(rows) - 0.45, -0.55)
    for axes in panels:
        axes.tick_params(axis="y", length=0)
    return figure


@mpl.rc_context(_STYLE)
def plot_auroc_by_positives(
    positives: ArrayLike, auroc: ArrayLike, groups: Sequence[str] = (), x_label: str = "positives"
) -> Figure:
    """AUROC of each task against its number of positives.

    Args:
        positives: Counts (T,), drawn on a logarithmic scale.
        auroc: Values (T,); NaN is left out.
        groups: The group of each task, for the colours.
        x_label: What the horizontal axis counts.
    """
    figure, (axes,) = _panels(1, 1, height=3.4)
    counts, scores = np.asarray(positives, dtype=float), np.asarray(auroc, dtype=float)
    for group, (members, colour) in _coloured(groups, counts.size).items():
        here = np.isfinite(scores) & (counts > 0) & members
        label = _plain(group) or None
        axes.plot(
            counts[here],
            scores[here],
            "o",
            color=colour,
            alpha=0.5,
            markersize=_dot_size(counts.size),
            markeredgewidth=0,
            label=label,
        )
    axes.axhline(0.5, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    axes.annotate("guessing", (1, 0.5), xycoords=("axes fraction", "data"), xytext=(-2, 3),
                  textcoords="offset points", ha="right", fontsize=9)  # fmt: skip
    axes.set_xscale("log")
    _label_decades(axes.xaxis)
    axes.set(xlabel=x_label, ylabel="AUROC")
    _legend(axes, groups)
    return figure


def figure_svg(figure: Figure, name: str = "", label: str = "") -> str:
    """A figure as SVG to be put into a page.

    Its colours become CSS variables (--ink, --rule, --grey, --paper, --c0 to --c5) that fall back on themselves, so
    that a page's dark mode reaches them. The same figure gives the same text.

    Args:
        figure: The figure.
        name: Starts every id in it; by default a digest of the figure, which sets different figures of one page apart.
        label: What it shows, for a reader who does not see it.
    """
    text = io.StringIO()
    with mpl.rc_context(_STYLE):
        # Nothing in the page may depend on when it was made.
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|\s+xmlns(:\w+)?=\"[^\"]*\"", "", svg, flags=re.S)
    # Coordinates to a hundredth of a point; not the numbers that are text.
    svg = re.sub(r"<[^>]+>", lambda tag: re.sub(r"\d+\.\d{3,}", _hundredths, tag[0]), svg)
    svg = svg.replace("xlink:href", "href").replace("'DejaVu Sans', sans-serif", _FONTS)
    prefix = name or "f" + hashlib.sha256(svg.encode()).hexdigest()[:8]
    used = dict.fromkeys(re.findall(r"(?:href=\"#|url\(#)([\w.-]+)", svg))
    short = {long: f"{prefix}-{i}" for i, long in enumerate(used)}
    svg = re.sub(r' id="([\w.-]+)"', lambda found: f' id="{short[found[1]]}"' if found[1] in short else "", svg)
    svg = re.sub(r'(href="#|url\(#)([\w.-]+)', lambda found: found[1] + short[found[2]], svg)
    svg = _classes(_variables(svg), prefix)
    described = f' role="img" aria-label="{html.escape(label)}"' if label else ' role="img"'
    # The view box alone lets the page decide on the width.
    svg = re.sub(r'<svg ([^>]*?)(?:width|height)="[^"]*"', r"<svg \1", svg)
    svg = re.sub(r'<svg ([^>]*?)(?:width|height)="[^"]*"', rf"<svg{described} \1", svg)
    return re.sub(r"\s*\n\s*", "\n", svg).strip()


def save_figure(figure: Figure, path: Path) -> None:
    """Writes a figure; the ending says in which format.

    Args:
        figure: The figure.
        path: The file, such as positives.png, .pdf or .svg.
    """
    with mpl.rc_context(_STYLE):
        figure.savefig(path, dpi=160, facecolor="white")


def _panels(
    rows: int, columns: int, width: float = 9.6, height: float = 3.0, **share: Any
) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, **share)
    return figure, list(grid.flat)


def _unit_square(x_label: str, y_label: str) -> tuple[Figure, Axes]:
    figure, (axes,) = _panels(1, 1, width=4.4, height=4.2)
    axes.set(xlabel=x_label, ylabel=y_label, xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    return figure, axes


def _coloured(groups: Sequence[str], n_tasks: int) -> dict[str, tuple[NDArray[np.bool_], str]]:
    """Group to its members (T,) and colour: the largest in their own, in order of appearance, the rest in grey."""
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


def _dot_size(n_tasks: int) -> float:
    return 7 if n_tasks <= _FEW_TASKS else 3.8


def _label_decades(axis: Axis, text: Callable[[float, object], str] | None = None) -> None:
    """Ticks of a logarithmic axis at powers of ten, and at their double and fivefold where it spans few."""
    low, high = sorted(axis.get_view_interval())
    axis.set_major_locator(LogLocator(subs=(1,) if high > 40 * low else (1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(text or _short))
    axis.set_minor_formatter(NullFormatter())


def _legend(axes: Axes, names: Sequence[str]) -> None:
    if any(names):
        columns = min(_MOST_GROUPS + 1, len(set(names)))
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=columns, handlelength=1, columnspacing=1.4)


def _thin(at: ArrayLike, values: ArrayLike, most: int = 300) -> tuple[Floats, Floats]:
    """Means of equal blocks where there are more points than a screen shows; a point with NaN is left out."""
    points = np.array([at, values], dtype=float)
    points = points[:, np.isfinite(points).all(axis=0)]
    starts = np.arange(0, points.shape[1], max(1, -(-points.shape[1] // most)))
    lengths = np.diff(np.append(starts, points.shape[1]))
    x, y = np.add.reduceat(points, starts, axis=1) / lengths if starts.size else points
    return x, y


def _plain(name: str, most: int = 32) -> str:
    """A name as matplotlib shows it unchanged: no formula, no hidden label, not endless."""
    name = name if len(name) <= most else f"{name[: most - 1]}…"
    return re.sub(r"^_+", "", name).replace("$", r"\$")


def _short(value: float, _: object = None) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _hundredths(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


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
    """A style that many marks share is said once; a scatter of a thousand tasks shrinks to a third."""
    styles = re.findall(r' style="([^"]+)"', svg)
    common = [style for style in dict.fromkeys(styles) if styles.count(style) > 2]
    for i, style in enumerate(common):
        svg = svg.replace(f' style="{style}"', f' class="{prefix}-s{i}"')
    rules = "".join(f".{prefix}-s{i}{{{html.unescape(style)}}}" for i, style in enumerate(common))
    return re.sub(r"(<svg[^>]*>)", lambda found: f"{found[1]}<style>{rules}</style>", svg, count=1) if rules else svg

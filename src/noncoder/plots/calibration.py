"""Figures of the calibration of predicted probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter, LogLocator, NullLocator
from numpy.typing import ArrayLike, NDArray

from noncoder.plots.performance import plot_distribution
from noncoder.plots.style import GREY, PALETTE, STYLE, plain_text, short_number

_TICKS = (1e-5, 1e-4, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)


@mpl.rc_context(STYLE)
def plot_reliability(curves: Mapping[str, tuple[ArrayLike, ArrayLike, ArrayLike]]) -> Figure:
    """Observed fractions of positives against predicted probabilities, and below, the number of predictions.

    Both axes have even steps in the logit, as labels are rare and most probabilities are small.

    Args:
        curves: Mean probability, fraction of positives and count of each bin, (B,) each, by name; empty bins are left
            out, and fractions of 0 or 1 are drawn at the edge.
    """
    figure = Figure(figsize=(4.6, 5.6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    filled = {name: _filled(*curve) for name, curve in curves.items()}
    seen = np.concatenate([np.empty(0), *(np.append(x, y) for x, y, _ in filled.values())])
    seen = seen[(seen > 0) & (seen < 1)]
    # Narrower ranges would show nothing more in a larger drawing.
    low, high = _logit(np.quantile(np.append(seen, (0.01, 0.5)), [0, 1]))
    low, high = float(low) - 0.4, float(high) + 0.4
    above.plot([low, high], [low, high], color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    for i, (name, (predicted, observed, count)) in enumerate(filled.items()):
        x, y = (np.clip(_logit(values), low, high) for values in (predicted, observed))
        colour = PALETTE[i % len(PALETTE)]
        above.plot(x, y, color=colour, marker="o", markersize=3.5, label=plain_text(name), clip_on=False)
        below.plot(x, count, color=colour, marker="o", markersize=2.5, linewidth=1.2)
    for axis in (above.xaxis, above.yaxis):
        _label_probabilities(axis, low, high)
    above.set(xlim=(low, high), ylim=(low, high), ylabel="observed share of positives")
    above.legend(loc="upper left")
    below.set(yscale="log", xlabel="predicted probability", ylabel="labels")
    counts = np.concatenate([np.ones(1), *(count for *_, count in filled.values())])
    below.set_ylim(0.7, 2 * 10 ** float(np.ceil(np.log10(counts.max()))))
    below.yaxis.set_major_locator(LogLocator(numticks=4))
    below.yaxis.set_major_formatter(FuncFormatter(short_number))
    below.yaxis.set_minor_locator(NullLocator())
    return figure


@mpl.rc_context(STYLE)
def plot_temperatures(temperatures: ArrayLike, groups: Sequence[str] = ()) -> Figure:
    """Every task's temperature as a dot, a row per group; above 1 the model was overconfident, below underconfident.

    Args:
        temperatures: Values (T,); NaN is left out.
        groups: The group of each task.
    """
    figure = plot_distribution({"temperature": temperatures}, groups)
    axes = figure.axes[0]
    axes.axvline(1, color=GREY, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
    figure.set_size_inches(4.6, figure.get_size_inches()[1])
    return figure


def _filled(*columns: ArrayLike) -> list[NDArray[np.float64]]:
    table = np.array(columns, dtype=float)
    return list(table[:, np.isfinite(table).all(axis=0) & (table[2] > 0)])


def _logit(probabilities: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(probabilities, dtype=float)
    with np.errstate(divide="ignore"):
        logits: NDArray[np.float64] = np.log(values) - np.log1p(-values)
    return logits


def _label_probabilities(axis: Any, low: float, high: float) -> None:
    ticks = [(float(at), f"{tick:g}") for tick, at in zip(_TICKS, _logit(_TICKS), strict=True) if low <= at <= high]
    axis.set_major_locator(FixedLocator([at for at, _ in ticks]))
    axis.set_major_formatter(FixedFormatter([text for _, text in ticks]))

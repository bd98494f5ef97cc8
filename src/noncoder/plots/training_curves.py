"""Figures of trainings: several compared, the flow of gradients, the course and the choice of the learning rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import ArrayLike, NDArray

from noncoder.plots.style import GREY, INK, PALETTE, STYLE, make_panels, plain_text, short_number, thin

_DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)))
# As many names of layers as can be read side by side.
_MOST_LAYERS = 48
# What share of a run's rows a smoothed training loss is the mean of.
SMOOTHED = 0.05

Floats = NDArray[np.floating[Any]]


class Curve(NamedTuple):
    """How one training went, against something that grows with it.

    Args:
        at: Where the training loss was logged, (n,).
        loss: The training loss, (n,).
        valid_at: Where the validations were, (m,).
        valid: The validation's loss first, then any other measures, (m,) each.
    """

    at: Floats
    loss: Floats
    valid_at: Floats
    valid: Mapping[str, Floats]


@mpl.rc_context(STYLE)
def plot_comparison(curves: Mapping[str, Curve], x_label: str) -> Figure:
    """Trainings side by side: a panel a measure, a colour a run; pale lines are the smoothed training loss.

    Args:
        curves: Name of each run to its curve.
        x_label: What the horizontal axis counts.
    """
    measures = list(next(iter(curves.values())).valid)
    figure, panels = make_panels(1, len(measures), height=2.9, sharex=True)
    for axes, measure in zip(panels, measures, strict=True):
        for i, curve in enumerate(curves.values()):
            if measure == measures[0]:
                _training_loss(axes, i, curve)
            axes.plot(curve.valid_at, curve.valid[measure], marker="o", markersize=3, **_look(i))
        axes.set(title=_title(measure), xlabel=x_label)
        _count(axes)
    _limit_loss(panels[0], list(curves.values()), measures[0])
    _legend_of_runs(figure, list(curves))
    return figure


@mpl.rc_context(STYLE)
def plot_efficiency(panels: Mapping[str, Mapping[str, Curve]]) -> Figure:
    """Loss against several things that grow with a training, e.g. passes (efficiency of data) and hours (speed).

    Lines with dots are the validation, pale lines the smoothed training loss. All panels share the vertical axis.

    Args:
        panels: What a horizontal axis counts, to the curve of each run.
    """
    figure, axes_of = make_panels(1, len(panels), width=8.4, height=3.4, sharey=True)
    for axes, (label, curves) in zip(axes_of, panels.items(), strict=True):
        for i, curve in enumerate(curves.values()):
            _training_loss(axes, i, curve)
            loss = next(iter(curve.valid.values()))
            axes.plot(curve.valid_at, loss, marker="o", markersize=3.5, **_look(i))
        axes.set_xlabel(label)
        axes.set_xlim(left=0)
        _count(axes)
    first = next(iter(panels.values()))
    measure = next(iter(next(iter(first.values())).valid))
    axes_of[0].set_ylabel(_title(measure))
    for axes, curves in zip(axes_of, panels.values(), strict=True):
        _limit_loss(axes, list(curves.values()), measure)
    kinds = [
        Line2D([], [], color=INK, marker="o", markersize=3.5, label="validation"),
        Line2D([], [], color=INK, alpha=0.4, linewidth=1, label="training"),
    ]
    axes_of[-1].legend(handles=kinds, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)  # above the curves
    _legend_of_runs(figure, list(first))
    return figure


def smoothed(values: ArrayLike) -> Floats:
    """Centred running mean over 5% of the values, at least over one; over fewer at both ends."""
    row = np.asarray(values, dtype=float)
    reach = round(SMOOTHED * row.size / 2)
    sums = np.concatenate([[0.0], np.cumsum(np.nan_to_num(row))])
    counts = np.concatenate([[0], np.cumsum(np.isfinite(row))])
    low = np.maximum(np.arange(row.size) - reach, 0)
    high = np.minimum(np.arange(row.size) + reach + 1, row.size)
    n = counts[high] - counts[low]
    means: Floats = np.divide(sums[high] - sums[low], n, out=np.full(row.size, np.nan), where=n > 0)
    return means


@mpl.rc_context(STYLE)
def plot_learning_rate(at: ArrayLike, rate: ArrayLike, x_label: str) -> Figure:
    """The course of the learning rate.

    Args:
        at: Where, (n,).
        rate: The learning rate there, (n,).
        x_label: What the horizontal axis counts.
    """
    figure, (axes,) = make_panels(1, 1, height=1.9)
    axes.plot(*thin(at, rate), color=PALETTE[0], linewidth=1.2)
    axes.set(xlabel=x_label, ylabel="learning rate")
    axes.set_ylim(bottom=0)
    _count(axes)
    return figure


@mpl.rc_context(STYLE)
def plot_rate_test(
    rates: ArrayLike, losses: ArrayLike, smooth: ArrayLike, marks: Mapping[str, float], y_top: float
) -> Figure:
    """A range test of the learning rate: the loss of each step, smoothed, and the rates that it suggests.

    Args:
        rates: The learning rate of each step, (n,).
        losses: The loss of each step, (n,).
        smooth: The smoothed loss, (n,).
        marks: Name of a suggestion to its learning rate.
        y_top: The highest loss to show.
    """
    figure, (axes,) = make_panels(1, 1, width=6.4, height=3.6)
    axes.plot(np.asarray(rates), np.asarray(losses), color=GREY, linewidth=0.8, alpha=0.6, label="each step")
    axes.plot(np.asarray(rates), np.asarray(smooth), color=PALETTE[0], label="smoothed")
    for i, (name, rate) in enumerate(marks.items()):
        axes.axvline(rate, color=PALETTE[1 + i], linewidth=1.2, linestyle=_DASHES[1], label=f"{name}: {rate:.2g}")
    axes.set(xscale="log", xlabel="learning rate", ylabel="training loss")
    low = float(np.nanmin(smooth))
    axes.set_ylim(low - 0.08 * (y_top - low), y_top)
    axes.xaxis.set_major_locator(LogLocator(numticks=12))
    figure.legend(loc="outside upper left", ncols=2, handlelength=1.8)
    return figure


@mpl.rc_context(STYLE)
def plot_gradient_flow(
    names: Sequence[str],
    steps: ArrayLike,
    gradient_mean: ArrayLike,
    gradient_max: ArrayLike,
    weight_mean: ArrayLike,
    update_ratio: ArrayLike,
) -> Figure:
    """How gradients flow: bars a layer at the last record, and gradient, weight and update of every layer over steps.

    Args:
        names: The layers from the input to the output, (P,).
        steps: Optimiser steps of the records, (S,).
        gradient_mean: Mean absolute gradient, (S, P).
        gradient_max: Largest absolute gradient, (S, P).
        weight_mean: Mean absolute weight, (S, P).
        update_ratio: Mean absolute update over mean absolute weight, (S, P).
    """
    at, mean = np.asarray(steps), np.asarray(gradient_mean, dtype=float)
    figure = Figure(figsize=(9.6, 6.6), layout="constrained")
    panels = figure.subplot_mosaic([["bars"] * 3, ["gradient", "weight", "update"]])
    top, *below = panels.values()
    _bars(top, names, mean, np.asarray(gradient_max, dtype=float), at)
    colours = LinearSegmentedColormap.from_list("depth", [PALETTE[5], PALETTE[0], PALETTE[1]])
    shade = Normalize(0, max(1, len(names) - 1))
    titles = ("mean |gradient|", "mean |weight|", "mean |update| / mean |weight|")
    for axes, title, values in zip(below, titles, (mean, weight_mean, update_ratio), strict=True):
        for i, line in enumerate(_above_zero(values).T):
            mark = "o" if at.size < 30 else None
            axes.plot(at, line, color=colours(shade(i)), linewidth=1, marker=mark, markersize=2)
        axes.set(title=title, xlabel="optimiser step")
        _log(axes, at)
    bar = figure.colorbar(ScalarMappable(shade, colours), ax=below, aspect=30, pad=0.01)
    bar.set_ticks([0, max(1, len(names) - 1)], labels=["input", "output"])
    bar.outline.set_visible(False)
    return figure


def _bars(axes: Axes, names: Sequence[str], mean: Floats, most: Floats, steps: NDArray[Any]) -> None:
    place = np.arange(len(names))
    last, first = _above_zero(mean[-1]), _above_zero(mean[0])
    high = _above_zero(most[-1])
    lowest = float(np.nanmin([last, first], initial=np.inf)) / 3
    lowest = lowest if np.isfinite(lowest) else 1e-8
    axes.bar(place, high - lowest, bottom=lowest, width=0.8, color=PALETTE[5], alpha=0.45, label="largest")
    axes.bar(place, last - lowest, bottom=lowest, width=0.8, color=PALETTE[0], label="mean")
    if len(mean) > 1:
        axes.plot(place, first, "_", color=PALETTE[1], markersize=min(14, 400 / len(names)), markeredgewidth=1.6,
                  label=f"mean at step {steps[0]:,}")  # fmt: skip
    axes.set(yscale="log", title=f"|gradient| of each layer at step {steps[-1]:,}", xlim=(-0.7, len(names) - 0.3))
    axes.set_ylim(bottom=lowest)
    axes.yaxis.set_minor_locator(NullLocator())
    every = -(-len(names) // _MOST_LAYERS)
    labels = [plain_text(name.removesuffix(".weight"), 26) for name in names[::every]]
    few = len(names) <= 14
    turn: dict[str, Any] = {"rotation": 25, "ha": "right", "rotation_mode": "anchor"} if few else {"rotation": 90}
    axes.set_xticks(place[::every], labels, fontsize=7.5 if len(names) > 24 else 8.5, **turn)
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="x", visible=False)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, handlelength=1.2)


def _above_zero(values: ArrayLike) -> Floats:
    """What a logarithmic axis can show."""
    numbers = np.asarray(values, dtype=float)
    return np.where((numbers > 0) & np.isfinite(numbers), numbers, np.nan)


def _log(axes: Axes, steps: NDArray[Any]) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_minor_locator(NullLocator())
    if steps.size > 2 and steps[-1] >= 20 * steps[0]:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(numticks=6))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(short_number))


def _look(run: int) -> dict[str, Any]:
    return {"color": PALETTE[run % len(PALETTE)], "linestyle": _DASHES[run // len(PALETTE) % len(_DASHES)]}


def _training_loss(axes: Axes, run: int, curve: Curve) -> None:
    axes.plot(*thin(curve.at, smoothed(curve.loss)), alpha=0.4, linewidth=1, **_look(run))


def _limit_loss(axes: Axes, curves: Sequence[Curve], measure: str) -> None:
    """Leaves out what would press the rest flat: first steps, and single validations, which get a mark."""
    late = [_finite(smoothed(curve.loss)[curve.loss.size // 20 :]) for curve in curves]
    valid = [_finite(curve.valid[measure]) for curve in curves]
    every = np.concatenate([*late, *valid])
    if not every.size:
        return
    low = float(every.min())
    later = max((float(np.quantile(part, 0.97)) for part in late if part.size), default=low)
    usual = max([float(np.quantile(part, 0.9)) for part in valid if part.size] + [later])
    highest = max([float(part.max()) for part in valid if part.size] + [later])
    high = highest if highest - low <= 2 * (usual - low) else usual + 0.25 * (usual - low)
    margin = 0.06 * (high - low or 1)
    axes.set_ylim(low - margin, high + margin)
    for i, curve in enumerate(curves):
        above = curve.valid_at[curve.valid[measure] > high + margin]
        if above.size:
            axes.plot(above, np.full(above.size, high + 0.6 * margin), "^", color=_look(i)["color"], markersize=5)


def _finite(values: Floats) -> Floats:
    return values[np.isfinite(values)]


def _count(axes: Axes) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.xaxis.set_major_formatter(FuncFormatter(short_number))


def _title(measure: str) -> str:
    return measure.replace("_", " ").replace("auroc", "AUROC")


def _legend_of_runs(figure: Figure, names: Sequence[str]) -> None:
    handles = [Line2D([], [], linewidth=2, label=plain_text(name), **_look(i)) for i, name in enumerate(names)]
    figure.legend(handles=handles, loc="outside upper left", ncols=min(len(names), 4), handlelength=1.6)

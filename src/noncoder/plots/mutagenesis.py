"""Figures of in-silico mutagenesis, and of the agreement of two methods on the same windows."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from noncoder.plots.attribution import label_places, scale_both_ways, strongest
from noncoder.plots.logos import BASE_COLOURS, BASES, draw_logo, observed_heights
from noncoder.plots.matrices import diverging, picture, tinted
from noncoder.plots.style import GREY, PALETTE, STYLE, plain_text
from noncoder.sequence.tracks import mutation_importance, rank_agreement

# Cells along a side of the map of ranks.
_CELLS = 40

Floats = NDArray[np.floating[Any]]


@mpl.rc_context(STYLE)
def plot_mutations(
    codes: ArrayLike,
    substitutions: ArrayLike,
    region: tuple[int, int] | None = None,
    place: tuple[str, int] | None = None,
) -> Figure:
    """In-silico mutagenesis: the effect of each substitution on the logit, and the importance of each base as letters.

    Args:
        codes: The sequence, (L,).
        substitutions: Logit of the mutated sequence minus that of the sequence, (4, L); NaN if not measured.
        region: First base and end of the region to show; by default the strongest region.
        place: Chromosome and 0-based start of the sequence.
    """
    sequence, effects = np.asarray(codes), np.asarray(substitutions, dtype=float)
    importance = np.nan_to_num(mutation_importance(sequence, effects))
    low, high = region or strongest(importance)
    begin = (place[1] if place else 0) + low
    shown, here = effects[:, low:high], sequence[low:high]
    figure = Figure(figsize=(9.6, 2.9), layout="constrained")
    letters, map_ = figure.subplots(2, 1, height_ratios=[1.3, 1])
    draw_logo(letters, observed_heights(here, importance[low:high]), begin)
    letters.set_ylabel("importance,\nlogit", fontsize=9)
    letters.yaxis.set_major_locator(MaxNLocator(3))
    letters.tick_params(labelbottom=False)
    top = float(np.nanmax(np.abs(shown), initial=0)) or 1.0
    picture(map_, diverging(np.nan_to_num(shown) / top), (begin, begin + high - low, 4, 0))
    _mark_present(map_, here, begin)
    map_.set(xlim=(begin, begin + high - low), ylim=(4, 0))
    map_.set_yticks(np.arange(4) + 0.5, list(BASES), fontfamily="monospace", fontweight="bold")
    map_.tick_params(axis="y", length=0)
    for text, base in zip(map_.get_yticklabels(), BASES, strict=True):
        text.set_color(BASE_COLOURS[base])
    label_places(map_)
    map_.set_xlabel(f"{plain_text(place[0])}, bp" if place else "position in the window, bp")
    scale_both_ways(map_, top, "change, logit")
    return figure


@mpl.rc_context(STYLE)
def plot_agreement(first: ArrayLike, second: ArrayLike, names: tuple[str, str]) -> Figure:
    """How two methods rank the positions of the same windows: joint ranks, and the correlation in each window.

    Args:
        first: Magnitudes by one method, (n, L).
        second: Magnitudes by the other, (n, L).
        names: Names of the methods.
    """
    sides = [np.asarray(side, dtype=float) for side in (first, second)]
    correlation = rank_agreement(*sides).each
    figure = Figure(figsize=(6.2, 2.9), layout="constrained")
    map_, dots = figure.subplots(1, 2, width_ratios=[1, 1.1])
    edges = np.linspace(0, 1, _CELLS + 1)
    shares = [_ranks(side).ravel() / side.shape[1] for side in sides]
    cells = np.histogram2d(shares[1], shares[0], [edges, edges])[0]
    top = float(np.quantile(cells, 0.99)) or 1.0
    picture(map_, tinted(np.clip(cells / top, 0, 1)[::-1], PALETTE[0]), (0, 1, 0, 1))
    map_.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=(0, (3, 2)))
    map_.set(aspect="equal", xlabel=f"rank by {plain_text(names[0])}", ylabel=f"rank by {plain_text(names[1])}")
    map_.set(xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    there = np.sort(correlation[np.isfinite(correlation)])
    dots.plot(there, np.arange(1, there.size + 1), "o", color=PALETTE[0], markersize=4, markeredgewidth=0)
    dots.axvline(0, color=GREY, linewidth=0.8)
    if there.size:
        dots.axvline(there.mean(), color=PALETTE[1], linewidth=1.2)
        dots.set_title(f"mean {there.mean():.2f}".replace("-", "−"))
    dots.set(xlim=(-1.02, 1.02), ylim=(0, there.size + 1), xlabel="Spearman's correlation", ylabel="windows, in order")
    dots.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    return figure


def _ranks(rows: Floats) -> Floats:
    """Ranks the values of each row from 0.5, ties share their mean; NaN has no rank."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(rows, axis=1, nan_policy="omit") - 0.5)


def _mark_present(axes: Axes, codes: NDArray[Any], begin: int) -> None:
    """Draws a small square on the cell of the observed base."""
    at = np.flatnonzero(codes < 4)
    corners = np.array([(0.35, 0.38), (0.65, 0.38), (0.65, 0.62), (0.35, 0.62), (0, 0)])
    places = np.column_stack([begin + at, codes[at]])[:, None] + corners
    kinds = [
        mpl.path.Path.MOVETO,
        mpl.path.Path.LINETO,
        mpl.path.Path.LINETO,
        mpl.path.Path.LINETO,
        mpl.path.Path.CLOSEPOLY,
    ]
    axes.add_artist(PathPatch(mpl.path.Path(places.reshape(-1, 2), kinds * at.size), facecolor=GREY, linewidth=0))

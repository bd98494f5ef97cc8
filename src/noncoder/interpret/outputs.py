"""Output files of a task: figures, and tracks for genome browsers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from noncoder.bars import progress_bar
from noncoder.interpret.browser import GenomeSite, chromosome_sizes, write_bigwig, write_sites, write_stretches
from noncoder.interpret.browser import GenomeWindows as Places
from noncoder.interpret.job import Job
from noncoder.interpret.motifs import Named
from noncoder.interpret.steps import Skipped
from noncoder.interpret.task_arrays import Found
from noncoder.plots import (
    Hit,
    plot_agreement,
    plot_contribution_logo,
    plot_heat_map,
    plot_mutations,
    plot_window,
    save_figure,
)

SHOWN = 3
"""Number of windows with a figure: those with the highest logits."""


def write_tracks(job: Job, found: Found, named: Sequence[Named]) -> list[str]:
    """Writes attributions as bigWig and BED and motif sites as BED; returns the file names, none without a genome."""
    windows = job.windows
    if not windows.on_genome or job.store is None:
        return []
    sizes, places = chromosome_sizes(job.store), Places(windows.chrom, windows.start)
    write_bigwig(job.folder.track, places, found.attribution.projected, sizes)
    write_stretches(job.folder.intervals, places, found.attribution.projected, sizes)
    sites = [
        GenomeSite(
            str(windows.chrom[site.row]),
            int(windows.start[site.row]) + site.start,
            int(windows.start[site.row]) + site.end,
            one.name or one.pattern.name,
            abs(site.score),
            site.strand,
        )
        for one in named
        for site in one.pattern.sites
    ]
    write_sites(job.folder.hits, sites, sizes)
    return [path.name for path in (job.folder.track, job.folder.intervals, job.folder.hits)]


class FigureTracks(NamedTuple):
    """Tracks that are drawn beside the attributions of n windows; None for those that are not available.

    Attributes:
        activation: The class activation, (n, L).
        mutations: See `Job.mutations`.
    """

    activation: NDArray[np.floating[Any]] | None
    mutations: Mapping[str, NDArray[Any]] | None


def draw(job: Job, found: Found, named: Sequence[Named], tracks: FigureTracks, skipped: Skipped) -> list[str]:
    """Draws the task's figures in the requested formats, and returns the file names.

    Args:
        job: The task.
        found: Its attributions.
        named: Its patterns.
        tracks: Tracks beside the attributions.
        skipped: Records the figures that cannot be drawn.
    """
    figures: dict[str, Callable[[], Figure]] = {}
    best = np.argsort(-found.logit, kind="stable")[:SHOWN]
    for i, row in enumerate(best, start=1):
        figures[f"window-{i}"] = partial(_window, job, found, hits_in(named, int(row)), tracks, int(row))
    figures["windows"] = lambda: plot_heat_map(found.attribution.projected, job.bin)
    for one in named:
        title = f"{one.pattern.name}: {one.name or 'no known motif'}, {one.pattern.seqlets:,} sites"
        figures[f"motif-{one.pattern.name}"] = partial(plot_contribution_logo, one.pattern.core_cwm, title=title)
    figures |= _mutagenesis(job, found, tracks)
    names: list[str] = []
    for name, make in progress_bar(figures.items(), "drawing", unit="pictures"):
        names += skipped.attempt(f"the figure {name}", partial(_save, job, name, make)) or []
    return names


def _save(job: Job, name: str, make: Callable[[], Figure]) -> list[str]:
    paths = [job.folder.figures / f"{name}.{ending}" for ending in job.config.figures]
    for path in paths:
        save_figure(make(), path)
    return [f"{job.folder.figures.name}/{path.name}" for path in paths]


def hits_in(named: Sequence[Named], row: int) -> list[Hit]:
    """Returns the sites of the patterns in one window."""
    return [
        Hit(site.start, site.end, one.name or one.pattern.name, site.strand)
        for one in named
        for site in one.pattern.sites
        if site.row == row
    ]


def _window(job: Job, found: Found, hits: Sequence[Hit], tracks: FigureTracks, row: int) -> Figure:
    drawn = {} if tracks.activation is None else {"Grad-CAM": tracks.activation[row]}
    if tracks.mutations is not None:
        at = np.flatnonzero(tracks.mutations["index"] == row)
        if at.size:
            drawn["mutagenesis"] = tracks.mutations["importance"][at[0]]
    windows = job.windows
    place = (str(windows.chrom[row]), int(windows.start[row])) if windows.on_genome else None
    return plot_window(windows.codes[row], found.attribution.projected[row], hits, drawn, bin=job.bin, place=place)


def _mutagenesis(job: Job, found: Found, tracks: FigureTracks) -> dict[str, Callable[[], Figure]]:
    mutations, windows = tracks.mutations, job.windows
    if mutations is None:
        return {}
    index, importance = mutations["index"], np.abs(mutations["importance"])
    row = int(index[0])
    place = (str(windows.chrom[row]), int(windows.start[row])) if windows.on_genome else None
    own = np.abs(found.attribution.projected[index])
    figures = {
        "mutagenesis": lambda: plot_mutations(mutations["codes"][0], mutations["substitutions"][0], place=place),
        "method-mutagenesis": lambda: plot_agreement(own, importance, (job.config.method, "mutagenesis")),
    }
    if tracks.activation is not None:
        cam = tracks.activation[index]
        figures["gradcam-mutagenesis"] = lambda: plot_agreement(cam, importance, ("Grad-CAM", "mutagenesis"))
    return figures

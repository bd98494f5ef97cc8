"""Files of a task for others to look at: pictures, and tracks for genome browsers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from matplotlib.figure import Figure
from tqdm import tqdm

from noncoder.interpret.browser import Site, chromosome_sizes, write_bigwig, write_sites, write_stretches
from noncoder.interpret.browser import Windows as Places
from noncoder.interpret.job import Job
from noncoder.interpret.motifs import Named
from noncoder.interpret.records import Found
from noncoder.interpret.steps import find_activation, find_mutations
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
"""Windows of which there is a picture: those of the highest logits."""


def write_tracks(job: Job, found: Found, named: Sequence[Named]) -> list[str]:
    """Writes attributions as bigWig and BED and motif sites as BED; the files' names, none without a genome."""
    windows = job.windows
    if not windows.on_genome or job.store is None:
        return []
    sizes, places = chromosome_sizes(job.store), Places(windows.chrom, windows.start)
    write_bigwig(job.folder / "attributions.bw", places, found.attribution.projected, sizes)
    write_stretches(job.folder / "attributions.bed", places, found.attribution.projected, sizes)
    sites = [
        Site(
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
    write_sites(job.folder / "hits.bed", sites, sizes)
    return ["attributions.bw", "attributions.bed", "hits.bed"]


def draw(job: Job, found: Found, named: Sequence[Named]) -> list[str]:
    """Draws the task's pictures in the formats that are asked for; the files' names.

    Args:
        job: The task.
        found: Its attributions.
        named: Its patterns.
    """
    figures: dict[str, Callable[[], Figure]] = {}
    best = np.argsort(-found.logit, kind="stable")[:SHOWN]
    for i, row in enumerate(best, start=1):
        figures[f"window-{i}"] = partial(_window, job, found, named, int(row))
    figures["windows"] = lambda: plot_heat_map(found.attribution.projected, job.bin)
    for one in named:
        title = f"{one.pattern.name}: {one.name or 'no known motif'}, {one.pattern.seqlets:,} sites"
        figures[f"motif-{one.pattern.name}"] = partial(plot_contribution_logo, one.pattern.core_cwm, title=title)
    if job.config.mutated:
        figures |= _mutagenesis(job, found)
    names = []
    for name, make in tqdm(figures.items(), "drawing", unit="pictures", delay=2, disable=None):
        for ending in job.config.figures:
            path = job.folder / "figures" / f"{name}.{ending}"
            save_figure(make(), path)
            names.append(f"figures/{path.name}")
    return names


def hits_in(named: Sequence[Named], row: int) -> list[Hit]:
    """The sites of the patterns in one window."""
    return [
        Hit(site.start, site.end, one.name or one.pattern.name, site.strand)
        for one in named
        for site in one.pattern.sites
        if site.row == row
    ]


def _window(job: Job, found: Found, named: Sequence[Named], row: int) -> Figure:
    tracks = {"Grad-CAM": find_activation(job)[row]}
    if job.config.mutated:
        mutations = find_mutations(job)
        at = np.flatnonzero(mutations["index"] == row)
        if at.size:
            tracks["mutagenesis"] = mutations["importance"][at[0]]
    windows = job.windows
    place = (str(windows.chrom[row]), int(windows.start[row])) if windows.on_genome else None
    projected = found.attribution.projected[row]
    return plot_window(windows.codes[row], projected, hits_in(named, row), tracks, bin=job.bin, place=place)


def _mutagenesis(job: Job, found: Found) -> dict[str, Callable[[], Figure]]:
    mutations, windows = find_mutations(job), job.windows
    index, importance = mutations["index"], np.abs(mutations["importance"])
    row = int(index[0])
    place = (str(windows.chrom[row]), int(windows.start[row])) if windows.on_genome else None
    cam, own = find_activation(job)[index], np.abs(found.attribution.projected[index])
    return {
        "mutagenesis": lambda: plot_mutations(mutations["codes"][0], mutations["substitutions"][0], place=place),
        "gradcam-mutagenesis": lambda: plot_agreement(cam, importance, ("Grad-CAM", "mutagenesis")),
        "method-mutagenesis": lambda: plot_agreement(own, importance, (job.config.method, "mutagenesis")),
    }

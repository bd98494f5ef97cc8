"""The most influential genome block of a mean over tasks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from noncoder.data.store import Store
from noncoder.evaluate.measuring import RANKED, MeasuredSplit
from noncoder.metrics import Mean
from noncoder.metrics.uncertainty import parts_of
from noncoder.runs.results import Influence, Influences
from noncoder.sequence.genome import Interval


def most_influential(measured: MeasuredSplit, store: Store, indices: NDArray[np.int64]) -> Influences | None:
    """The genome block whose removal changes the mean over tasks most, for each resampled measure.

    A single block that moves a mean by as much as its standard error should be inspected. It may hold repeated
    sequence, an assembly gap, or a locus with the same artefact in many experiments.

    Args:
        measured: The measures with their resamples.
        store: The dataset.
        indices: The measured windows, (n,).

    Returns:
        The blocks by measure; None without resamples, or if all windows are in one block.
    """
    blocks, resampled = measured.blocks, measured.ways[-1].resampled
    if blocks is None or resampled is None:
        return None
    mean, part = Mean(np.ones(len(measured.measures.auroc))), parts_of(blocks.n)[blocks.of]
    found = {}
    for name in RANKED:
        draws = getattr(resampled, name).map(mean.of)
        change = draws.left_out - draws.estimate
        if np.isnan(change).all():
            return None
        most = int(np.nanargmax(np.abs(change)))
        inside = indices[part == most]
        first, last = store.intervals(inside[np.argsort(store.start[inside])[[0, -1]]])
        found[name] = Influence(
            stretch=_stretch(first, last),
            windows=int(inside.size),
            without=float(draws.left_out[most]),
            change=float(change[most]),
        )
    return Influences(**found)


def _stretch(first: Interval, last: Interval) -> str:
    end = f"{last.end:,}" if last.chrom == first.chrom else f"{last.chrom}:{last.end:,}"
    return f"{first.chrom}:{first.start + 1:,}-{end}"

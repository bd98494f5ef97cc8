"""Determines which bins of a contig peaks make positive."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Bins = NDArray[np.int64]


def positive_bins(
    start: NDArray[np.integer],
    end: NDArray[np.integer],
    summit: NDArray[np.integer],
    bin: int,
    n_bins: int,
    rule: str,
) -> Bins:
    """Returns the bins of a contig that are positive for one task's peaks.

    Args:
        start: First bases of the peaks, 0-based, (n,).
        end: Ends of the peaks, (n,).
        summit: Their summits, (n,).
        bin: Width of a bin, bp.
        n_bins: Number of whole bins of the contig.
        rule: "summit", or "overlap:F": peaks together cover strictly more than this fraction of the bin.

    Returns:
        Bin numbers, ascending.
    """
    if rule == "summit":
        bins = np.unique(summit // bin).astype(np.int64)
        return bins[bins < n_bins]
    if not start.size:
        return np.zeros(0, dtype=np.int64)
    start, end = _merged(start, end)
    first, last = start // bin, (end - 1) // bin
    spanned = last - first + 1
    # One entry for each bin that each merged peak reaches.
    peak = np.repeat(np.arange(start.size), spanned)
    bins = np.arange(spanned.sum()) - np.repeat(np.cumsum(spanned) - spanned, spanned) + first[peak]
    covered = np.minimum(end[peak], (bins + 1) * bin) - np.maximum(start[peak], bins * bin)
    unique, inverse = np.unique(bins, return_inverse=True)
    total = np.bincount(inverse, weights=covered, minlength=unique.size)
    # In floating point 0.29 * 100 is below 29, and a bin of exactly this fraction would count.
    share = Fraction(repr(float(rule.partition(":")[2])))
    return unique[(total > math.floor(share * bin)) & (unique < n_bins)]


def _merged(start: NDArray[np.integer], end: NDArray[np.integer]) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Merges peaks that overlap or touch, so that no base counts twice."""
    order = np.argsort(start, kind="stable")
    start, reach = start[order], np.maximum.accumulate(end[order])
    opens = np.concatenate([[True], start[1:] > reach[:-1]])
    closes = np.concatenate([opens[1:], [True]])
    return start[opens], reach[closes]


def overlapped_bins(start: NDArray[np.integer], end: NDArray[np.integer], bin: int, n_bins: int) -> Bins:
    """Returns the bins that share at least one base with an interval."""
    edges = np.zeros(n_bins + 1, dtype=np.int64)
    np.add.at(edges, np.minimum(start // bin, n_bins), 1)
    np.add.at(edges, np.minimum((end - 1) // bin + 1, n_bins), -1)
    return np.flatnonzero(np.cumsum(edges)[:n_bins] > 0)

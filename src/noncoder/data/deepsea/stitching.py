"""Stitches overlapping windows into contigs, in which shared bases are stored once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint8]


def find_shifts(codes: Codes, step: int) -> NDArray[np.int64]:
    """Returns the distance of each window from the one before it, bp.

    It is the smallest multiple of `step` at which the two agree wherever they overlap. In a repeat this may be less
    than the true distance: both windows are still exact, but the contig is shorter than the chromosome's region.

    Args:
        codes: Consecutive windows, (n, L).
        step: Distances of windows are multiples of it, bp.

    Returns:
        (n,); 0 for a window without overlap with the one before it, and for the first.
    """
    n, width = codes.shape
    shifts = np.zeros(n, dtype=np.int64)
    open_ = np.arange(1, n)
    for shift in range(step, width, step):
        if not open_.size:
            break
        # The overlap's first and last bases distinguish most pairs without comparing the rest.
        likely = open_[
            (codes[open_, 0] == codes[open_ - 1, shift]) & (codes[open_, width - shift - 1] == codes[open_ - 1, -1])
        ]
        joined = likely[(codes[likely - 1, shift:] == codes[likely, : width - shift]).all(axis=1)]
        shifts[joined] = shift
        open_ = open_[shifts[open_] == 0]
    return shifts


def new_bases(codes: Codes, shifts: NDArray[np.int64]) -> Codes:
    """Returns the bases that each window adds to its contig, end to end: its last `shift`, or all at a contig's start.

    Args:
        codes: Consecutive windows, (n, L).
        shifts: Result of `find_shifts`, (n,).
    """
    width = codes.shape[1]
    added = np.where(shifts == 0, width, shifts)
    bases: Codes = codes[np.arange(width) >= width - added[:, None]]
    return bases

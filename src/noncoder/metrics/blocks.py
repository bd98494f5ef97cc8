"""Blocks of the genome as the units of resampling, and how often each is drawn."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from noncoder.errors import InputError

_LONGEST = 1_000_000
_WANTED = 200
_WIDTHS = 10


class Blocks(NamedTuple):
    """The blocks of windows that are resampled together.

    Args:
        of: Block of each window, (N,) int32 in 0..B-1; each of the B blocks has a window.
        length: Length of a block, bp.
    """

    of: NDArray[np.int32]
    length: int

    @property
    def n(self) -> int:
        """Number of blocks, B."""
        return int(self.of.max()) + 1 if self.of.size else 0


def genome_blocks(start: ArrayLike, window: int, length: int | None = None) -> Blocks:
    """Groups windows whose starts lie in the same block of the genome.

    Neighbouring windows are not independent: overlapping windows share bases, a peak covers several windows, and
    chromatin is open or closed over domains of tens to hundreds of kilobases. Resampling single windows would give
    intervals that are too narrow for another genome. Blocks must be longer than the correlation, and a bootstrap needs
    enough of them. So they are as long as possible: at most 1,000,000 bp, halved until there are 200, never under ten
    windows' widths. A block at a contig's end includes the next contig's beginning, which only makes it larger.

    Args:
        start: Position of each window's first base in the store's concatenated bases, (N,) int64.
        window: Width of a window, bp.
        length: Length of a block, bp; None to choose it as above.

    Raises:
        InputError: There is no window, or a length is not positive.
    """
    start = np.asarray(start, dtype=np.int64)
    if start.ndim != 1 or not start.size:
        raise InputError(f"the starts of windows have the shape {start.shape}", expected="(N,), at least one window")
    if window < 1 or (length is not None and length < 1):
        raise InputError(f"a window of {window} bp, a block of {length} bp", expected="lengths of at least 1 bp")
    if length is None:
        length = max(_LONGEST, _WIDTHS * window)
        while length // 2 >= _WIDTHS * window and np.unique(start // length).size < _WANTED:
            length //= 2
    of = np.unique(start // length, return_inverse=True)[1]
    return Blocks(of.astype(np.int32), length)


def resample_weights(n_blocks: int, resamples: int, seed: int = 0) -> NDArray[np.int16]:
    """Draws B of B blocks with replacement, and counts how often each is drawn.

    Args:
        n_blocks: Number of blocks, B.
        resamples: Number of resamples, R.
        seed: Random seed.

    Returns:
        (R, B) int16; each row sums to B.
    """
    drawn = np.random.default_rng(seed).multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), size=resamples)
    return drawn.astype(np.int16)

"""Stretches of the genome as the units of chance, and how often each is drawn in a resample."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from noncoder.errors import InputError

_LONGEST = 1_000_000
_WANTED = 200
_WIDTHS = 10


class Blocks(NamedTuple):
    """Which windows stand or fall together.

    Args:
        of: The block of each window, (N,) int32 in 0..B-1; each of the B has a window.
        length: The length of a block, bp.
    """

    of: NDArray[np.int32]
    length: int

    @property
    def n(self) -> int:
        """How many blocks there are."""
        return int(self.of.max()) + 1 if self.of.size else 0


def genome_blocks(start: ArrayLike, window: int, length: int | None = None) -> Blocks:
    """Windows whose starts lie in the same stretch of the genome, as blocks.

    Neighbouring windows are not independent: they share bases where they overlap, a peak covers several of them, and
    chromatin is open or closed over domains of tens to hundreds of kilobases. Drawn one by one they would promise a
    precision that another genome would not confirm. Blocks longer than the correlation keep it inside; there must be
    enough of them for a bootstrap, so they are as long as that allows: at most 1,000,000 bp, halved until there are
    200, never under ten windows' widths. A block at a contig's end takes in the next one's beginning; that only makes a
    larger block.

    Args:
        start: Where each window's first base lies in the store's concatenated bases, (N,) int64.
        window: The width of a window, bp.
        length: The length of a block, bp; None for one chosen as above.

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
    """How often each block is drawn when as many as there are get drawn with replacement.

    Args:
        n_blocks: B.
        resamples: R.
        seed: The same gives the same draws.

    Returns:
        (R, B) int16; each row sums to B.
    """
    drawn = np.random.default_rng(seed).multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), size=resamples)
    return drawn.astype(np.int16)

"""The positions of a store's windows on its stored bases, and blocks of bases that cut no window."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from noncoder.errors import StoreError

# Fewer bases are not worth starting threads.
_LEAST = 1 << 22

Longs = NDArray[np.int64]


@dataclass(frozen=True)
class WindowLayout:
    """Windows sorted by their stored bases.

    Args:
        window: Width, bp.
        order: Store index of each window, (N,).
        begin: First stored base that it covers, (N,); neither this nor `end` ever decreases.
        end: End of the stored bases that it covers, (N,). The rest of its width is outside its contig and reads as N.
        before: Number of its bases before its contig, (N,).
        contig: Contig of each window, (N,).
        offsets: Start of each contig, (C,).
    """

    window: int
    order: Longs
    begin: Longs
    end: Longs
    before: Longs
    contig: Longs
    offsets: Longs

    def __len__(self) -> int:
        return int(self.order.size)


def lay_out(start: Longs, window: int, offsets: Longs, lengths: Longs) -> WindowLayout:
    """Sorts windows by their stored bases.

    Args:
        start: Position of each window's first base among all stored bases, (N,).
        window: Width, bp.
        offsets: Start of each contig, (C,).
        lengths: Length of each contig, (C,).

    Raises:
        StoreError: The middle of a window is in no contig.
    """
    order = np.argsort(start, kind="stable")
    sorted_start = start[order]
    contig = np.searchsorted(offsets, sorted_start + window // 2, side="right") - 1
    begin = np.maximum(sorted_start, offsets[contig])
    end = np.minimum(sorted_start + window, (offsets + lengths)[contig])
    if order.size and (contig[0] < 0 or not (begin < end).all()):
        raise StoreError("the middle of a window lies outside of every contig", hint="build the store again")
    return WindowLayout(window, order, begin, end, begin - sorted_start, contig, np.asarray(offsets, dtype=np.int64))


def overlapping_blocks(blocks: Iterable[NDArray[np.uint8]], overlap: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yields blocks of consecutive bases, each with the last bases before it.

    Args:
        blocks: All bases, in order; small blocks, such as contigs of a few bases, are merged.
        overlap: Number of preceding bases that each block begins with, if there are as many.

    Yields:
        Position of the block's first base, and the block.
    """
    at, new, parts = 0, 0, [np.empty(0, dtype=np.uint8)]
    for block in chain(blocks, [None]):
        if block is not None:
            parts.append(block)
            new += block.size
        if new and (block is None or new >= _LEAST):
            joined = np.concatenate(parts)
            yield at, joined
            parts, new = [joined[max(0, joined.size - overlap) :]], 0
            at += joined.size - parts[0].size

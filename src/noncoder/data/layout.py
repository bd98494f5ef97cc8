"""Where the windows of a store lie on its stored bases, and the bases in blocks that no window is cut by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from noncoder.errors import StoreError

# Bases: fewer are not worth a round of threads.
_LEAST = 1 << 22

Longs = NDArray[np.int64]


@dataclass(frozen=True)
class WindowLayout:
    """Windows in the order of their stored bases.

    Args:
        window: Their width, bp.
        order: Which window of the store each is, (N,).
        begin: The first stored base that it reads, (N,); neither this nor `end` ever falls.
        end: One past the last, (N,). What a window lacks of its width lies outside its contig and reads as N.
        before: How many bases of it lie before its contig, (N,).
        contig: The contig of each, (N,).
        offsets: Where each contig starts, (C,).
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
    """Puts windows in the order of their stored bases.

    Args:
        start: Where each window's first base lies among all stored bases, (N,).
        window: Their width, bp.
        offsets: Where each contig starts, (C,).
        lengths: Its length, (C,).

    Raises:
        StoreError: A window's middle lies in no contig.
    """
    order = np.argsort(start, kind="stable")
    sorted_start = start[order]
    contig = np.searchsorted(offsets, sorted_start + window // 2, side="right") - 1
    begin = np.maximum(sorted_start, offsets[contig])
    end = np.minimum(sorted_start + window, (offsets + lengths)[contig])
    if order.size and (contig[0] < 0 or not (begin < end).all()):
        raise StoreError("a window's middle lies outside of every contig", hint="build the store again")
    return WindowLayout(window, order, begin, end, begin - sorted_start, contig, np.asarray(offsets, dtype=np.int64))


def overlapping_blocks(blocks: Iterable[NDArray[np.uint8]], overlap: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Blocks of consecutive bases, each with the last bases of those before it.

    Args:
        blocks: All bases, in order; small ones, such as contigs of a few bases, are joined.
        overlap: How many bases of what came before each block begins with, where there are as many.

    Yields:
        Where the block's first base lies among all, and the block.
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

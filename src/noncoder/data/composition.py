"""GC content, N and a digest of each window, from one read of the stored bases."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from noncoder.compiled import compiled, in_threads
from noncoder.data.layout import Longs, WindowLayout, overlapping_blocks

# Bases whose running sums are in memory at once, per thread: 6 MB.
_SPAN = 1 << 18
# An odd multiplier: a window's hash is the polynomial of its bases at this point, modulo 2^64.
_POINT = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Composition:
    """Composition of the windows of a store, (N,) each.

    Args:
        gc: Number of bases that are C or G.
        known: Number of bases that are A, C, G or T; the others are N or outside the contig.
        digest: A hash of the bases that is equal for the reverse complement. Two different windows have equal hashes
            with a probability of 2^-64.
    """

    gc: NDArray[np.int32]
    known: NDArray[np.int32]
    digest: NDArray[np.uint64]


def compose(blocks: Callable[[], Iterable[NDArray[np.uint8]]], layout: WindowLayout) -> Composition:
    """Counts the bases of every window; each base is read once, however many windows cover it.

    Args:
        blocks: Yields all stored bases in order, in blocks of any size.
        layout: The windows.
    """
    gc, known = np.zeros(len(layout), dtype=np.int32), np.zeros(len(layout), dtype=np.int32)
    digest = np.zeros(len(layout), dtype=np.uint64)
    after = layout.window - layout.before - (layout.end - layout.begin)
    powers = np.full(layout.window + 1, _POINT, dtype=np.uint64)
    powers[0] = 1
    powers = np.multiply.accumulate(powers)
    done = 0
    for at, codes in overlapping_blocks(blocks(), layout.window):
        ready = int(np.searchsorted(layout.end, at + codes.size, side="right"))
        if ready == done:
            continue
        steps = np.arange(int(layout.begin[done]), int(layout.begin[ready - 1]) + _SPAN, _SPAN)
        cuts = np.unique(np.clip(np.searchsorted(layout.begin, steps), done, ready)).tolist()
        cuts = [done, *(cut for cut in cuts if cut > done)]
        cuts += [ready] if cuts[-1] < ready else []
        in_threads(
            _count,
            [(codes, at, low, high, layout.begin, layout.end, layout.before, after, powers, gc, known, digest)
             for low, high in pairwise(cuts)],
        )  # fmt: skip
        done = ready
    counted = Composition(np.empty_like(gc), np.empty_like(known), np.empty_like(digest))
    for column, values in ((counted.gc, gc), (counted.known, known), (counted.digest, digest)):
        column[layout.order] = values
    return counted


@compiled
def _count(
    codes: NDArray[np.uint8], at: int, low: int, high: int, begin: Longs, end: Longs, before: Longs, after: Longs,
    powers: NDArray[np.uint64], gc: NDArray[np.int32], known: NDArray[np.int32], digest: NDArray[np.uint64],
) -> None:  # fmt: skip
    """Computes windows `low` to `high` from running sums over the bases that they span."""
    first, size = begin[low], end[high - 1] - begin[low]
    gcs, knowns = np.zeros(size + 1, dtype=np.int32), np.zeros(size + 1, dtype=np.int32)
    forward, reverse = np.zeros(size + 1, dtype=np.uint64), np.zeros(size + 1, dtype=np.uint64)
    point = powers[1]
    for i in range(size):
        code = codes[first - at + i]
        gcs[i + 1] = gcs[i] + (1 if code == 1 or code == 2 else 0)
        knowns[i + 1] = knowns[i] + (1 if code < 4 else 0)
        forward[i + 1] = forward[i] * point + np.uint64(code + 1 if code < 4 else 0)
    for i in range(size - 1, -1, -1):
        code = codes[first - at + i]
        reverse[i] = reverse[i + 1] * point + np.uint64(4 - code if code < 4 else 0)
    for w in range(low, high):
        a, b = begin[w] - first, end[w] - first
        gc[w], known[w] = gcs[b] - gcs[a], knowns[b] - knowns[a]
        # N counts as zero, so positions outside the contig only shift the powers.
        one = (forward[b] - forward[a] * powers[b - a]) * powers[after[w]]
        other = (reverse[a] - reverse[b] * powers[b - a]) * powers[before[w]]
        h = min(one, other)
        h = (h ^ (h >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
        digest[w] = h ^ (h >> np.uint64(32))

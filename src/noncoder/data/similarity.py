"""Finds windows that share sequence by their common sampled k-mers.

A k-mer (21 bp) and its reverse complement count as one. One in 2^s k-mers is sampled: those whose hash ends in s zeros
(FracMinHash: Irber et al. 2022, doi:10.1101/2022.01.11.475838). The sampling depends only on the k-mer itself, so two
copies of a sequence have the same samples at any position and on either strand, and the fraction of common samples is
an unbiased estimate of the fraction of common k-mers. Minimizers depend on their surroundings, so their estimate is
biased (Belbasi et al. 2022, doi:10.1093/bioinformatics/btac244). s is the largest at which a window has at least 100
samples, so 3 at 1,000 bp.

A window is a near-duplicate of another with which it shares no stored base if at least half (`NEAR`) of its samples
occur in the other, on either strand. An identical half suffices, or copies that differ at about 3% of their bases.
Limits:

- A k-mer that occurs more than `MOST_OCCURRENCES` times in the stored bases is ignored: repeats such as Alu and LINE
  would make all windows similar. So windows that consist of repeats are not found.
- k-mers with N are not sampled; a window with fewer than `LEAST_SAMPLES` samples is not compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noncoder.compiled import compiled, in_threads
from noncoder.data.layout import Longs, WindowLayout, overlapping_blocks

K = 21
NEAR = 0.5
MOST_OCCURRENCES = 100
LEAST_SAMPLES = 10

_SAMPLES = 100
_PART = 1 << 20
# One byte per slot, two slots per sample: 128 MB for windows that cover 500 Mb, 1 GB for a mammal's genome. With few
# slots, some k-mers without a repeat pass this filter and are discarded later.
_MOST_SLOTS = 1 << 30
_FEW_GROUPS = 8
_PAIRS = 1 << 18

Hashes = NDArray[np.uint64]
Bytes = NDArray[np.uint8]
Blocks = Callable[[], Iterable[Bytes]]
Ints = NDArray[np.int32]
Occurrences = tuple[Longs, Ints, Longs, Longs]


@dataclass(frozen=True)
class Pairs:
    """Windows with near-duplicates in other groups, by store index.

    Args:
        window: The window, (P,).
        other: The window of another group that contains most of its samples, one per such group, (P,).
        share: Fraction of the window's samples that occur there, (P,).
        judged: Which windows of the store have enough samples, (N,).
    """

    window: Longs
    other: Longs
    share: NDArray[np.float64]
    judged: NDArray[np.bool_]


def sampling(window: int) -> int:
    """Returns the number of zeros at the end of a sampled k-mer's hash, for windows of a width in bp."""
    return max(0, int(np.log2(max(window, 1) / _SAMPLES)))


def near_duplicates(blocks: Blocks, layout: WindowLayout, group: NDArray[np.integer[Any]], near: float = NEAR) -> Pairs:
    """Finds the windows that are near-duplicates of a window of another group.

    The bases are read twice. Beyond a block, memory holds a table of two bytes per sample of the covered bases, and
    about 40 bytes per occurrence of a sampled k-mer that occurs in windows of several groups.

    Args:
        blocks: Yields all stored bases in order, in blocks of any size, at each call.
        layout: Positions of the windows.
        group: Group of each window of the store, (N,), from 0.
        near: Least fraction of a window's samples that occur in the other.
    """
    groups = np.ascontiguousarray(group[layout.order], dtype=np.int32)
    samples, table = _survey(blocks, layout, groups)
    found = _shared(blocks, layout, table)
    del table
    window, other, count = _compare(layout, groups, samples, found, near)
    judged = np.zeros(len(layout), dtype=bool)
    judged[layout.order] = samples >= LEAST_SAMPLES
    return Pairs(layout.order[window], layout.order[other], count / samples[window], judged)


def _survey(blocks: Blocks, layout: WindowLayout, groups: Ints) -> tuple[Longs, Bytes]:
    """Returns the number of samples of each window, and the table slots with k-mers of several groups."""
    covered = np.maximum(0, layout.end - np.maximum(layout.begin, np.append(0, layout.end[:-1]))).sum()
    wanted = max(1 << 10, 2 * int(covered) >> sampling(layout.window))
    table = np.zeros(min(_MOST_SLOTS, 1 << (wanted - 1).bit_length()), dtype=np.uint8)
    n_groups = int(groups.max(initial=0)) + 1
    few = n_groups <= _FEW_GROUPS
    samples, reach = np.zeros(len(layout), dtype=np.int64), np.zeros(n_groups if few else 1, dtype=np.int64)
    next_window = 0
    for hashes, at in _samples(blocks, layout):
        if not at.size:
            continue
        low = int(np.searchsorted(layout.end, at[0], side="right"))
        high = int(np.searchsorted(layout.begin, at[-1], side="right"))
        first, last = layout.begin[low:high], layout.end[low:high] - K
        samples[low:high] += np.maximum(0, np.searchsorted(at, last, side="right") - np.searchsorted(at, first))
        next_window = _mark(
            hashes,
            at,
            layout.begin,
            layout.end,
            groups if few else np.zeros_like(groups),
            few,
            next_window,
            reach,
            table,
        )
    return samples, table


def _shared(blocks: Blocks, layout: WindowLayout, table: Bytes) -> Occurrences:
    """Returns the occurrences of k-mers that may be shared.

    Returns:
        Position and k-mer of each occurrence, sorted by position; the positions sorted by k-mer; and the start of each
        k-mer's positions among those.
    """
    parts = [(hashes, at) for hashes, at in _samples(blocks, layout, table)]
    hashes = np.concatenate([part[0] for part in parts] or [np.empty(0, dtype=np.uint64)])
    at = np.concatenate([part[1] for part in parts] or [np.empty(0, dtype=np.int64)])
    del parts
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    first = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])[: ordered.size])
    counts = np.diff(np.append(first, ordered.size))
    del hashes, ordered
    kept = (counts > 1) & (counts <= MOST_OCCURRENCES)
    kept_order = order[np.repeat(kept, counts)]
    kmers = np.full(at.size, -1, dtype=np.int32)
    kmers[kept_order] = np.repeat(np.arange(int(kept.sum()), dtype=np.int32), counts[kept])
    whole = kmers >= 0
    return at[whole], kmers[whole], at[kept_order], np.append(0, np.cumsum(counts[kept]))


def _compare(
    layout: WindowLayout, groups: Ints, samples: Longs, found: Occurrences, near: float
) -> tuple[Longs, Longs, Longs]:
    at, kmers, postings, bounds = found
    # The windows that contain each position.
    low = np.searchsorted(layout.end, postings + K).astype(np.int32)
    high = np.searchsorted(layout.begin, postings, side="right").astype(np.int32)
    del postings
    step = max(1, min(1 << 14, -(-len(layout) // 16)))
    parts = [(first, min(first + step, len(layout))) for first in range(0, len(layout), step)]

    def compare(first: int, last: int) -> list[tuple[Longs, Longs, Longs]]:
        count, best = np.zeros(len(layout), dtype=np.int32), np.full(int(groups.max(initial=0)) + 1, -1, np.int32)
        rows = np.empty((3, _PAIRS + best.size), dtype=np.int64)
        results = []
        while first < last:
            first, n = _match(
                first, last, layout.begin, layout.end, groups, samples, at, kmers, bounds, low, high, near, count, best,
                rows,
            )  # fmt: skip
            results.append(tuple(rows[:, :n].copy()))
        return results

    results = [result for part in in_threads(compare, parts) for result in part]
    columns = [np.concatenate([result[i] for result in results] or [np.empty(0, np.int64)]) for i in range(3)]
    return columns[0], columns[1], columns[2]


def _samples(blocks: Blocks, layout: WindowLayout, table: Bytes | None = None) -> Iterator[tuple[Hashes, Longs]]:
    """Returns hashes and positions of the sampled k-mers, in order; with a table, only of slots with several groups."""
    zeros = sampling(layout.window)
    slots = np.zeros(1, dtype=np.uint8) if table is None else table
    for at, codes in overlapping_blocks(blocks(), K - 1):
        last = at + codes.size - K + 1
        parts = [
            (codes, at, low, min(low + _PART, last), layout.offsets, zeros, table is not None, slots)
            for low in range(at, last, _PART)
        ]
        results = in_threads(_sample, parts)
        if results:
            yield np.concatenate([hashes for hashes, _ in results]), np.concatenate([where for _, where in results])


@compiled
def _sample(
    codes: Bytes, at: int, low: int, high: int, offsets: Longs, zeros: int, filtered: bool, table: Bytes
) -> tuple[Hashes, Longs]:
    """Returns the sampled k-mers whose first base is from `low` to below `high`; the first code is at `at`."""
    hashes, where = np.empty(high - low, dtype=np.uint64), np.empty(high - low, dtype=np.int64)
    top, wanted = np.uint64(2 * (K - 1)), np.uint64((1 << zeros) - 1)
    mask, slots, two = np.uint64((1 << (2 * K)) - 1), np.uint64(table.size - 1), np.uint64(2)
    forward, reverse, run, n = np.uint64(0), np.uint64(0), 0, 0
    contig = np.searchsorted(offsets, low, side="right")
    for i in range(low, high + K - 1):
        if contig < offsets.size and i == offsets[contig]:
            run = 0
            while contig < offsets.size and i == offsets[contig]:
                contig += 1
        code = codes[i - at]
        if code > 3:
            run = 0
            continue
        forward = ((forward << two) | np.uint64(code)) & mask
        reverse = (reverse >> two) | (np.uint64(3 - code) << top)
        run += 1
        if run < K:
            continue
        # The finaliser of MurmurHash3 is one to one, so equal hashes are equal k-mers.
        h = min(forward, reverse)
        h = (h ^ (h >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
        h = (h ^ (h >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
        h = h ^ (h >> np.uint64(33))
        if h & wanted:
            continue
        if filtered:
            seen = table[(h >> np.uint64(20)) & slots]
            if seen & (seen - 1) == 0:
                continue
        hashes[n], where[n] = h, i - K + 1
        n += 1
    return hashes[:n].copy(), where[:n].copy()


@compiled
def _mark(
    hashes: Hashes, at: Longs, begin: Longs, end: Longs, groups: Ints, few: bool, window: int,
    reach: Longs, table: Bytes,
) -> int:  # fmt: skip
    """Records in the table the group of each k-mer, or that several groups have it.

    `reach` holds the ends of each group's windows that begin before the position where the last call stopped, which is
    window `window`; returns the next window. Only windows of one contig contain a k-mer, since ends never decrease and
    a k-mer never spans contigs.
    """
    slots = np.uint64(table.size - 1)
    for i in range(at.size):
        while window < begin.size and begin[window] <= at[i]:
            reach[groups[window]] = end[window]
            window += 1
        slot, bits = (hashes[i] >> np.uint64(20)) & slots, 0
        for g in range(reach.size):
            if reach[g] >= at[i] + K:
                bits |= 1 << g
        if few:
            table[slot] |= bits
        elif bits:
            table[slot] = 1 if table[slot] == 0 else 3
    return window


@compiled
def _match(
    first: int, last: int, begin: Longs, end: Longs, groups: Ints, samples: Longs, at: Longs,
    kmers: Ints, bounds: Longs, low: Ints, high: Ints, near: float,
    count: Ints, best: Ints, rows: Longs,
) -> tuple[int, int]:  # fmt: skip
    """Writes window, other window and number of shared samples for the windows from `first` on, until rows run out.

    `count` and `best` are scratch arrays, zeros and -1 before and after. Returns the next window and the rows used.
    """
    touched, hit = np.empty(count.size, dtype=np.int32), np.empty(best.size, dtype=np.int32)
    n = 0
    for w in range(first, last):
        if n + best.size > rows.shape[1]:
            return w, n
        need = near * samples[w]
        start, stop = np.searchsorted(at, begin[w]), np.searchsorted(at, end[w] - K + 1)
        if samples[w] < LEAST_SAMPLES or stop - start < need:
            continue
        n_touched = n_hit = 0
        for i in range(start, stop):
            done = 0  # postings are sorted, so those that an earlier sample counted are before this
            for j in range(bounds[kmers[i]], bounds[kmers[i] + 1]):
                for v in range(max(low[j], done), high[j]):
                    if groups[v] != groups[w]:
                        if count[v] == 0:
                            touched[n_touched] = v
                            n_touched += 1
                        count[v] += 1
                done = max(done, high[j])
        for t in range(n_touched):
            v = touched[t]
            if count[v] >= need and not (begin[v] < end[w] and begin[w] < end[v]):
                g = groups[v]
                if best[g] < 0:
                    hit[n_hit] = g
                    n_hit += 1
                if best[g] < 0 or count[v] > count[best[g]] or (count[v] == count[best[g]] and v < best[g]):
                    best[g] = v
        for t in range(n_hit):
            rows[0, n], rows[1, n], rows[2, n] = w, best[hit[t]], count[best[hit[t]]]
            best[hit[t]] = -1
            n += 1
        for t in range(n_touched):
            count[touched[t]] = 0
    return last, n

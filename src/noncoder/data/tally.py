"""Counts the bits of packed labels without unpacking them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from noncoder.compiled import compiled, in_threads
from noncoder.data.info import SPLITS
from noncoder.data.store import Store

# Rows that one thread counts before counts are added.
_BLOCK = 1 << 17

Counts = NDArray[np.int64]
Packed = NDArray[np.uint8]


@dataclass(frozen=True)
class Tally:
    """Counts from one read of the labels.

    An unknown label is not counted, neither as a positive nor as a negative.

    Args:
        positives: By split and task, (3, T).
        known: By split and task, (3, T).
        windows_with: Windows with 0, 1, 2, ... positive labels by split, (3, T + 1).
        places: Positives by place and task, (P, T).
    """

    positives: Counts
    known: Counts
    windows_with: Counts
    places: Counts


def tally(store: Store, place: NDArray[np.int32], n_places: int) -> Tally:
    """Counts the labels of a store.

    Args:
        store: The dataset.
        place: Place of each window, such as its chromosome, (N,).
        n_places: Number of places.
    """
    labels, known, n_tasks = store.packed_labels, store.packed_known, len(store.tasks)
    positives, windows_with, places = _count(labels, known, store.split, place, n_places, n_tasks)
    windows = windows_with.sum(axis=1)
    if known is None:
        known_counts = np.repeat(windows[:, None], n_tasks, axis=1)
    else:
        known_counts, _, _ = _count(known, None, store.split, np.zeros_like(place), 1, n_tasks)
    return Tally(positives, known_counts, windows_with, places)


def _count(
    labels: Packed, known: Packed | None, split: Packed, place: NDArray[np.int32], n_places: int, n_tasks: int
) -> tuple[Counts, Counts, Counts]:
    sums = [np.zeros(shape, dtype=np.int64) for shape in _shapes(n_places, n_tasks)]

    def part(at: int) -> list[Counts]:
        counts = [np.zeros(shape, dtype=np.int64) for shape in _shapes(n_places, n_tasks)]
        rows = slice(at, at + _BLOCK)
        bits = labels[rows] if known is None else labels[rows] & known[rows]
        _count_bits(bits, split[rows], place[rows], n_tasks, *counts)
        return counts

    for counts in in_threads(part, [(at,) for at in range(0, len(labels), _BLOCK)]):
        for whole, one in zip(sums, counts, strict=True):
            whole += one
    return sums[0], sums[1], sums[2]


def _shapes(n_places: int, n_tasks: int) -> tuple[tuple[int, int], ...]:
    return (len(SPLITS), n_tasks), (len(SPLITS), n_tasks + 1), (n_places, n_tasks)


@compiled
def _count_bits(
    bits: Packed, split: Packed, place: NDArray[np.int32], n_tasks: int, positives: Counts, windows_with: Counts,
    places: Counts,
) -> None:  # fmt: skip
    for i in range(bits.shape[0]):
        s, p, n = split[i], place[i], 0
        for b in range(bits.shape[1]):
            byte = bits[i, b]
            if byte:  # most bytes are zero if labels are rare
                for k in range(min(8, n_tasks - 8 * b)):
                    if byte & (128 >> k):
                        positives[s, 8 * b + k] += 1
                        places[p, 8 * b + k] += 1
                        n += 1
        windows_with[s, n] += 1

"""Counts how often tasks are positive in the same windows."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noncoder.compiled import compiled, in_threads
from noncoder.data.store import Store
from noncoder.files import write_bytes
from noncoder.threads import count_for_numba

# Windows whose labels are transposed to one row of bits per task at once: 2 MB at 919 tasks, which fit in a cache.
_BLOCK = 1 << 14
# With more tasks, the counts of all pairs take more than 200 MB per thread.
MOST_TASKS = 5000
_PAIRS = 50
# Number of cells that a figure has pixels for; a cell then holds several tasks.
_CELLS = 460

Counts = NDArray[np.int64]
Packed = NDArray[np.uint8]


def count_together(labels: Packed, known: Packed | None, n_tasks: int) -> Counts:
    """Counts the windows in which each pair of tasks is positive, (T, T); on the diagonal the task's positives.

    Args:
        labels: Bit-packed, (N, ceil(T / 8)).
        known: Bit-packed, (N, ceil(T / 8)), 1 if the label is known; None if all are.
        n_tasks: Number of tasks.
    """
    n_parts = min(count_for_numba(), -(-len(labels) // _BLOCK))

    def part(first: int) -> Counts:
        together, bits = np.zeros((n_tasks, n_tasks), dtype=np.int64), np.empty((n_tasks, _BLOCK // 64), np.uint64)
        for at in range(first * _BLOCK, len(labels), n_parts * _BLOCK):
            rows = slice(at, at + _BLOCK)
            bits[:] = 0
            _transpose(labels[rows] if known is None else labels[rows] & known[rows], bits)
            _count_pairs(bits, together)
        return together

    total = sum(in_threads(part, [(i,) for i in range(n_parts)]), np.zeros((n_tasks, n_tasks), dtype=np.int64))
    both: Counts = total + np.triu(total, 1).T
    return both


def jaccard(together: Counts) -> NDArray[np.float64]:
    """Returns the Jaccard index of each pair of tasks: windows positive for both over those for either, (T, T)."""
    positives = np.diag(together)
    either = positives[:, None] + positives[None, :] - together
    index: NDArray[np.float64] = np.divide(together, either, out=np.zeros(together.shape), where=either > 0)
    return index


def cluster_order(similarity: NDArray[np.float64]) -> list[int]:
    """Orders tasks such that similar ones are adjacent; tasks that are similar to none come last.

    The order is that of the leaves of an average-linkage tree of 1 - similarity, optimized so that neighbours are as
    similar as possible (Bar-Joseph et al. 2001, doi:10.1093/bioinformatics/17.suppl_1.S22).

    Args:
        similarity: Symmetric, from 0 to 1, (T, T).
    """
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    alone = np.triu(similarity, 1).sum(axis=0) + np.triu(similarity, 1).sum(axis=1) == 0
    like = np.flatnonzero(~alone)
    if like.size > 2:
        distance = 1 - similarity[np.ix_(like, like)]
        np.fill_diagonal(distance, 0)
        tree = linkage(squareform(distance, checks=False), "average", optimal_ordering=True)
        like = like[leaves_list(tree)]
    return [*like.tolist(), *np.flatnonzero(alone).tolist()]


def describe_cooccurrence(together: Counts, names: Sequence[str]) -> dict[str, Any]:
    """Returns JSON values: the order of the tasks for a heat map, its cells, and the most similar pairs.

    Args:
        together: Result of `count_together`, (T, T).
        names: The tasks, (T,).

    Returns:
        `measure`; `order`; `pairs` with tasks, windows together and Jaccard index; `cells` and `heatmap`, the base64 of
        cells x cells bytes, row by row in that order: 255 times the mean Jaccard index of a cell's pairs of tasks.
    """
    similarity = jaccard(together)
    order = cluster_order(similarity)
    rows, columns = np.triu_indices(len(names), 1)
    values = similarity[rows, columns]
    best = np.argpartition(-values, min(_PAIRS, values.size) - 1)[:_PAIRS] if values.size else np.arange(0)
    best = best[np.lexsort((columns[best], rows[best], -values[best]))]
    cells = _pool(similarity[np.ix_(order, order)])
    return {
        "measure": "jaccard",
        "order": order,
        "pairs": [
            {
                "tasks": [names[rows[i]], names[columns[i]]],
                "together": int(together[rows[i], columns[i]]),
                "jaccard": float(values[i]),
            }
            for i in best
            if values[i] > 0
        ],
        "cells": len(cells),
        "heatmap": base64.b64encode(np.round(255 * cells).astype(np.uint8).tobytes()).decode(),
    }


def save_cooccurrence(store: Store, path: Path) -> None:
    """Writes an NPZ file with `tasks` (T,), `together` (T, T) and `jaccard` (T, T), in the store's order.

    Args:
        store: The dataset.
        path: The file.
    """
    together = count_together(store.packed_labels, store.packed_known, len(store.tasks))
    content = io.BytesIO()
    names = np.array([task.name for task in store.tasks])
    np.savez_compressed(content, tasks=names, together=together, jaccard=jaccard(together))
    write_bytes(path, content.getvalue())


def _pool(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    n = len(matrix)
    edges = np.linspace(0, n, min(n, _CELLS) + 1).astype(int)
    sums = np.add.reduceat(np.add.reduceat(matrix, edges[:-1], axis=0), edges[:-1], axis=1)
    pooled: NDArray[np.float64] = sums / np.outer(np.diff(edges), np.diff(edges))
    return pooled


@compiled
def _transpose(packed: Packed, bits: NDArray[np.uint64]) -> None:
    for i in range(packed.shape[0]):
        word, bit = i >> 6, np.uint64(1) << np.uint64(i & 63)
        for b in range(packed.shape[1]):
            byte = packed[i, b]
            if byte:
                for k in range(min(8, bits.shape[0] - 8 * b)):
                    if byte & (128 >> k):
                        bits[8 * b + k, word] |= bit


@compiled
def _count_pairs(bits: NDArray[np.uint64], together: Counts) -> None:
    """Adds the number of common bits of each pair of rows; bit counts are computed in words of eight bytes."""
    ones, twos, fours = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333), np.uint64(0x0F0F0F0F0F0F0F0F)
    bytes_, by1, by2, by4, by56 = np.uint64(0x0101010101010101), np.uint64(1), np.uint64(2), np.uint64(4), np.uint64(56)
    for a in range(bits.shape[0]):
        for c in range(a, bits.shape[0]):
            total = np.uint64(0)
            for w in range(bits.shape[1]):
                x = bits[a, w] & bits[c, w]
                x = x - ((x >> by1) & ones)
                x = (x & twos) + ((x >> by2) & twos)
                x = (x + (x >> by4)) & fours
                total += (x * bytes_) >> by56
            together[a, c] += np.int64(total)

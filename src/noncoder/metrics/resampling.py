"""AUROC and average precision of every task under many sets of weights, from one sort per task.

A block that a bootstrap draws twice counts twice: the measures of repeated windows equal the measures with integer
weights of their blocks. The windows are sorted once. Then one walk down the ranking handles 128 sets of weights at a
time, whose running sums lie side by side in vector registers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from noncoder.compiled import compiled, in_threads
from noncoder.errors import InputError
from noncoder.metrics.blocks import Blocks
from noncoder.metrics.column_reader import Columns, Scores

# A table of 128 weights per block in int16 fits in the second-level cache for up to some thousand blocks.
_LANES = 128


class Reweighted(NamedTuple):
    """Measures under each set of weights, NaN if it leaves a task without a positive or without a negative.

    Args:
        auroc: (R, T) float64.
        average_precision: (R, T) float64.
    """

    auroc: NDArray[np.float64]
    average_precision: NDArray[np.float64]


class _Ranked(NamedTuple):
    """One task's windows in the order of the ranking, down to its lowest positive.

    Args:
        negative: Blocks of the negatives, highest score first.
        positive: Blocks of the positives, highest score first.
        end: Index after the last positive of each of the K distinct scores, (K,).
        above: Number of negatives with a higher score than each of the K, (K,).
        upto: Number of negatives with at least this score, (K,).
    """

    negative: NDArray[np.int32]
    positive: NDArray[np.int32]
    end: NDArray[np.int64]
    above: NDArray[np.int64]
    upto: NDArray[np.int64]


def reweighted(columns: Columns, blocks: Blocks, weights: NDArray[np.int16]) -> Reweighted:
    """Computes AUROC and average precision of each task with every window weighted by its block's weight.

    Both are exactly the plain measures over so many copies of the windows: ties count a half in the AUROC and share one
    threshold in the average precision.

    Args:
        columns: N windows, T tasks.
        blocks: The B blocks of the N windows.
        weights: (R, B), integers of at least 0.

    Raises:
        InputError: The blocks do not fit the windows, or a logit or label is not allowed.
    """
    n, n_tasks = columns.shape
    if blocks.of.shape != (n,) or weights.shape[1] != blocks.n:
        raise InputError(
            f"{blocks.of.size:,} windows in {blocks.n:,} blocks, {weights.shape[1]:,} weights",
            expected=f"a block for each of {n:,} windows, and a weight for each block",
        )
    if n and (weights @ np.bincount(blocks.of).astype(np.float64)).max(initial=0) >= 2**31:
        raise InputError("a resample of more than 2,147,483,647 windows", expected="fewer windows")
    lanes = _in_lanes(weights)
    result = Reweighted(*(np.full((lanes.shape[0] * _LANES, n_tasks), np.nan) for _ in Reweighted._fields))
    for tile in columns.tiles():
        known = [None] * len(tile.scores) if tile.known is None else tile.known
        parts = zip(range(tile.first, n_tasks), tile.scores, tile.truth, known, strict=False)
        in_threads(_one_task, ((result, blocks, lanes, *part) for part in parts))
    return Reweighted(result.auroc[: len(weights)], result.average_precision[: len(weights)])


def _in_lanes(weights: NDArray[np.int16]) -> NDArray[np.int16]:
    """Returns (R, B) as (R / 128, B, 128), padded with zeros."""
    n_lanes = -(-len(weights) // _LANES)
    padded = np.zeros((n_lanes * _LANES, weights.shape[1]), dtype=np.int16)
    padded[: len(weights)] = weights
    return np.ascontiguousarray(padded.reshape(n_lanes, _LANES, -1).transpose(0, 2, 1))


def _one_task(
    result: Reweighted,
    blocks: Blocks,
    lanes: NDArray[np.int16],
    task: int,
    score: Scores,
    truth: NDArray[np.bool_],
    known: NDArray[np.bool_] | None,
) -> None:
    negative = ~truth if known is None else known & ~truth
    ranked = _ranked(blocks, score, truth, negative)
    if not ranked.positive.size:
        return
    in_block = np.bincount(blocks.of[negative], minlength=blocks.n)
    for at in range(len(lanes)):
        rows = slice(at * _LANES, (at + 1) * _LANES)
        outranked, precision, positives, negatives = sums = np.zeros((4, _LANES))
        _walk(lanes[at], in_block, ranked, sums)
        defined = (positives > 0) & (negatives > 0)
        result.auroc[rows, task] = 1 - outranked / np.where(defined, positives * negatives, np.nan)
        result.average_precision[rows, task] = precision / np.where(defined, positives, np.nan)


def _ranked(blocks: Blocks, score: Scores, truth: NDArray[np.bool_], negative: NDArray[np.bool_]) -> _Ranked:
    # Negated, so that ascending order is the ranking from its top.
    hit, missed = -score[truth], -score[negative]
    order = np.argsort(hit)
    distinct, ties = np.unique(hit, return_counts=True)
    relevant = missed <= hit.max(initial=-np.inf)
    missed = missed[relevant]
    down = np.argsort(missed)
    missed = missed[down]
    return _Ranked(
        blocks.of[negative][relevant][down],
        blocks.of[truth][order],
        np.cumsum(ties),
        np.searchsorted(missed, distinct, "left"),
        np.searchsorted(missed, distinct, "right"),
    )


@compiled
def _walk(weights: NDArray[np.int16], in_block: NDArray[np.int64], ranked: _Ranked, sums: NDArray[np.float64]) -> None:
    """Sums, one lane per set of weights: pairs ranked wrong, precision at each positive, positives and negatives."""
    # Rows are looked up before the loop over lanes; else that loop is not vectorized and takes twice as long.
    negative, positive, end, above, upto = ranked
    outranked, precision = sums[0], sums[1]
    false, true = np.zeros(_LANES, dtype=np.int32), np.zeros(_LANES, dtype=np.int32)
    tied, here = np.zeros(_LANES, dtype=np.int32), np.zeros(_LANES, dtype=np.int32)
    at, first = 0, 0
    for k in range(end.size):
        # Four rows at a time, so that the running sums are read and written once per four rows.
        while at + 4 <= above[k]:
            a, b, c, d = negative[at], negative[at + 1], negative[at + 2], negative[at + 3]
            for r in range(_LANES):
                false[r] += weights[a, r] + weights[b, r] + weights[c, r] + weights[d, r]
            at += 4
        while at < above[k]:
            a = negative[at]
            for r in range(_LANES):
                false[r] += weights[a, r]
            at += 1
        tied[:] = 0
        here[:] = 0
        while first < end[k]:
            a = positive[first]
            for r in range(_LANES):
                here[r] += weights[a, r]
            first += 1
        while at < upto[k]:
            a = negative[at]
            for r in range(_LANES):
                tied[r] += weights[a, r]
            at += 1
        for r in range(_LANES):
            found = np.float64(here[r])
            outranked[r] += found * (false[r] + 0.5 * tied[r])
            false[r] += tied[r]
            true[r] += here[r]
            precision[r] += found * true[r] / max(1, true[r] + false[r])
    sums[2] = true
    for block in range(in_block.size):
        for r in range(_LANES):
            sums[3, r] += weights[block, r] * in_block[block]

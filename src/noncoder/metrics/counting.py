"""Counts the negatives that score above each positive, from which all ranking measures follow.

Of N windows only the P positives are sorted. All others are located among them by a table of equally wide steps of the
score, so their cost does not depend on P; a task with rare positives costs little more than reading its scores.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from noncoder.compiled import compiled, in_threads
from noncoder.metrics.column_reader import Columns, Scores

Longs = NDArray[np.int64]
R = TypeVar("R")

# Table steps per distinct positive score, and the largest number of steps: 256 KiB, which fit in a core's own cache.
_STEPS, _MOST_STEPS = 4, 1 << 16
# At each end this many distinct scores share a step with all scores beyond, so that a few outliers do not press all
# other scores into one step.
_OUTLIERS = 6
# Above this number of distinct scores in a step, they are searched by bisection instead of one by one.
_FEW = 12
# Number of windows whose steps are computed at once, in vector registers.
_AT_ONCE = 512


class Counts(NamedTuple):
    """The D distinct scores of one task's positives, ascending, with counts.

    Args:
        score: The scores, (D,).
        positives: Positives with exactly this score, (D,).
        tied: Negatives with exactly this score, (D,).
        above: Negatives with a higher score, (D,).
        n_positives: Number of positives.
        n_negatives: Number of negatives.
    """

    score: Scores
    positives: Longs
    tied: Longs
    above: Longs
    n_positives: int
    n_negatives: int

    @property
    def defined(self) -> bool:
        """Whether there are both positives and negatives."""
        return self.n_positives > 0 and self.n_negatives > 0

    @property
    def true_positives(self) -> Longs:
        """Positives with at least this score, (D,)."""
        return np.cumsum(self.positives[::-1])[::-1]


def count_tasks(columns: Columns, measure: Callable[[Counts], R]) -> list[R]:
    """Applies a function to the counts of each task, several tasks at a time.

    Args:
        columns: Scores and labels of T tasks.
        measure: The function, called in several threads.

    Returns:
        T results.

    Raises:
        InputError: A logit is NaN or infinite, or a label is neither 0 nor 1.
    """
    results: list[R] = []
    for tile in columns.tiles():
        known = [None] * len(tile.scores) if tile.known is None else tile.known
        results += in_threads(
            lambda score, truth, mask: measure(_count(score, truth, mask)),
            zip(tile.scores, tile.truth, known, strict=True),
        )
    return results


def _count(score: Scores, truth: NDArray[np.bool_], known: NDArray[np.bool_] | None) -> Counts:
    if known is not None:
        score, truth = score[known], truth[known]
    ordered = _taken(score, truth)
    ordered.sort()
    hit, positives, tied, above = _place(score, ordered, _MOST_STEPS, _STEPS)
    return Counts(hit, positives, tied, above, ordered.size, score.size - ordered.size)


@compiled
def _taken(score: Scores, truth: NDArray[np.bool_]) -> Scores:
    n = 0
    for i in range(truth.size):
        n += truth[i]
    taken, at = np.empty(n, dtype=score.dtype), 0
    for i in range(truth.size):
        if truth[i]:
            taken[at] = score[i]
            at += 1
    return taken


@compiled
def _place(score: Scores, ordered: Scores, most_steps: int, steps_each: int) -> tuple[Scores, Longs, Longs, Longs]:
    hit, positives = np.empty(ordered.size + 2, dtype=ordered.dtype), np.zeros(ordered.size, dtype=np.int64)
    n = 0
    for i in range(ordered.size):
        if i == 0 or ordered[i] != ordered[i - 1]:
            hit[n] = ordered[i]
            n += 1
        positives[n - 1] += 1
    # Two sentinels above all scores end every search.
    hit[n], hit[n + 1] = np.inf, np.inf
    positives, tied, above = positives[:n], np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    if n == 0:
        return hit[:n], positives, tied, above
    steps = min(most_steps, steps_each * n)
    step = np.empty(_AT_ONCE, dtype=np.int32)
    outliers = min(_OUTLIERS, (n - 1) // 4)
    low, high = hit[outliers], hit[n - 1 - outliers]
    first, scale = _table(hit[:n], low, high, steps, step)
    widest = 0
    for i in range(steps + 1):
        widest = max(widest, first[i + 1] - first[i])
    # Index 2 i counts windows between hit i - 1 and hit i; index 2 i + 1 counts windows with the score of hit i.
    found = np.zeros(2 * n + 2, dtype=np.int32)
    for begin in range(0, score.size, _AT_ONCE):
        part = score[begin : begin + _AT_ONCE]
        _find_steps(part, low, scale, steps, step)
        for i in range(part.size):
            value, at = part[i], first[step[i]]
            if widest <= _FEW:
                # Most steps hold at most two hits: two comparisons without a branch avoid mispredicted branches.
                at += np.int32(hit[at] < value)
                at += np.int32(hit[at] < value)
                while hit[at] < value:
                    at += 1
            else:
                end = first[step[i] + 1]
                while at < end:
                    middle = (at + end) >> 1
                    if hit[middle] < value:
                        at = middle + 1
                    else:
                        end = middle
            found[2 * at + np.int32(hit[at] == value)] += 1
    over = np.int64(found[2 * n])
    for i in range(n - 1, -1, -1):
        above[i], tied[i] = over, found[2 * i + 1] - positives[i]
        over += found[2 * i] + tied[i]
    return hit[:n], positives, tied, above


@compiled
def _table(
    hit: Scores, low: np.floating[Any], high: np.floating[Any], steps: int, step: NDArray[np.int32]
) -> tuple[NDArray[np.int32], Scores]:
    """Returns the first hit of each step from low to high, and the number of steps per unit of score, (1,)."""
    scale = np.zeros(1, dtype=hit.dtype)
    # In float64 the range of float32 scores does not overflow; an overflow of float64 scores leaves one step for all.
    spread = np.float64(high) - np.float64(low)
    if spread > 0 and np.isfinite(spread):
        scale[0] = steps / spread
    if not np.isfinite(scale[0]):
        scale[0] = 0
    first = np.zeros(steps + 2, dtype=np.int32)
    for begin in range(0, hit.size, step.size):
        part = hit[begin : begin + step.size]
        _find_steps(part, low, scale, steps, step)
        for i in range(part.size):
            first[step[i] + 1] += 1
    for i in range(steps + 1):
        first[i + 1] += first[i]
    return first, scale


@compiled
def _find_steps(scores: Scores, low: np.floating[Any], scale: Scores, steps: int, step: NDArray[np.int32]) -> None:
    """Returns the step of each score, which never decreases with the score: a hit in a lower step is a lower hit."""
    each = scale[0]
    for i in range(scores.size):
        height = max((scores[i] - low) * each, each * 0) if each > 0 else each
        step[i] = np.int32(steps) if height >= steps else np.int32(height)


__all__ = ["Counts", "count_tasks"]

"""How many negatives score above each positive: all that a ranking is measured by.

Of N windows only the P positives are sorted. All others find their place among them through a table of equally wide
steps of the score, so that their cost does not depend on P; a task with rare positives costs little more than reading.
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

# Steps of the table a distinct positive score, and the most there are: 256 KiB, which stay in a core's own cache.
_STEPS, _MOST_STEPS = 4, 1 << 16
# So many distinct scores at either end share a step with all that lies beyond, so that few far from all others do not
# press the rest into one.
_OUTLIERS = 6
# Distinct scores in one step beyond which they are searched by halves, not one after the other.
_FEW = 12
# Steps are computed for so many windows at once, in vector registers.
_AT_ONCE = 512


class Counts(NamedTuple):
    """One task's D distinct scores of positives, rising, and what lies where.

    Args:
        score: The scores, (D,).
        positives: Positives that have exactly this score, (D,).
        tied: Negatives that have exactly this score, (D,).
        above: Negatives with a higher one, (D,).
        n_positives: All positives.
        n_negatives: All negatives.
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
    """What a function says of the counts of each task, several tasks at a time.

    Args:
        columns: Scores and labels of T tasks.
        measure: Called in several threads.

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
    # Two that nothing reaches end every search.
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
    # At 2 i the windows between hit i - 1 and hit i, at 2 i + 1 those that have the score of hit i.
    found = np.zeros(2 * n + 2, dtype=np.int32)
    for begin in range(0, score.size, _AT_ONCE):
        part = score[begin : begin + _AT_ONCE]
        _find_steps(part, low, scale, steps, step)
        for i in range(part.size):
            value, at = part[i], first[step[i]]
            if widest <= _FEW:
                # Most steps hold two hits at the most: two comparisons without a branch spare a wrong guess of one.
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
    """Which hit is the first in each step from low to high, and how many steps there are to a unit of score, (1,)."""
    scale = np.zeros(1, dtype=hit.dtype)
    # In float64, where the range of float32 scores does not overflow; that of float64 scores leaves one step for all.
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
    """The step of each score, which never falls as the score rises: a hit in a lower step lies below."""
    each = scale[0]
    for i in range(scores.size):
        height = max((scores[i] - low) * each, each * 0) if each > 0 else each
        step[i] = np.int32(steps) if height >= steps else np.int32(height)


__all__ = ["Counts", "count_tasks"]

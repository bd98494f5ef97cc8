"""How many negatives score above each positive: all that a ranking is measured by.

Of N windows only the P positives are sorted. A negative finds its place among them through a table of equally wide
steps of the score, so that its cost does not depend on P; with rare positives a task costs little more than reading it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from noncoder.compiled import compiled, in_threads
from noncoder.metrics.columns import Columns, Scores

Longs = NDArray[np.int64]
R = TypeVar("R")

# Steps of the table a distinct positive score, and the most there are: 256 KiB, which stay in a core's own cache.
_STEPS, _MOST_STEPS = 8, 1 << 16
# Hits in one step beyond which they are searched by halves: a score far from all others can press these into one.
_FEW = 6


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
        known = tile.truth if tile.known is None else tile.known
        results += in_threads(
            lambda score, truth, mask, masked: measure(_count(score, truth, mask if masked else None)),
            zip(tile.scores, tile.truth, known, [tile.known is not None] * len(tile.scores), strict=True),
        )
    return results


def _count(score: Scores, truth: NDArray[np.bool_], known: NDArray[np.bool_] | None) -> Counts:
    if known is not None:
        score, truth = score[known], truth[known]
    ordered = _taken(score, truth)
    ordered.sort()
    hit, positives, tied, above = _place(score, truth, ordered, _MOST_STEPS, _STEPS)
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
def _step(height: float, scale: float, steps: int) -> int:
    return min(int(height * scale), steps) if scale > 0 else 0


@compiled
def _place(
    score: Scores, truth: NDArray[np.bool_], ordered: Scores, most_steps: int, steps_each: int
) -> tuple[Scores, Longs, Longs, Longs]:
    hit, positives = np.empty_like(ordered), np.zeros(ordered.size, dtype=np.int64)
    n_hits = 0
    for i in range(ordered.size):
        if i == 0 or ordered[i] != ordered[i - 1]:
            hit[n_hits] = ordered[i]
            n_hits += 1
        positives[n_hits - 1] += 1
    hit, positives = hit[:n_hits], positives[:n_hits]
    tied, above = np.zeros(n_hits, dtype=np.int64), np.zeros(n_hits, dtype=np.int64)
    if n_hits == 0:
        return hit, positives, tied, above
    # The step of a score rises with it, so that a hit in a lower step lies below, one in a higher step above.
    low, high = np.float64(hit[0]), np.float64(hit[n_hits - 1])
    steps = min(most_steps, steps_each * n_hits)
    scale = steps / (high - low) if high > low else 0.0
    if not np.isfinite(scale) or not np.isfinite(high - low):
        scale = 0.0  # one step for all, searched by halves
    first = np.zeros(steps + 2, dtype=np.int32)
    for i in range(n_hits):
        first[_step(np.float64(hit[i]) - low, scale, steps) + 1] += 1
    for step in range(steps + 1):
        first[step + 1] += first[step]
    # At 2 i the negatives between hit i - 1 and hit i, at 2 i + 1 those that tie with hit i.
    found, over = np.zeros(2 * n_hits, dtype=np.int64), 0
    for i in range(score.size):
        value = np.float64(score[i])
        if truth[i] or value < low:
            continue
        if value > high:
            over += 1
            continue
        step = _step(value - low, scale, steps)
        at, end = first[step], first[step + 1]
        if end - at > _FEW:
            while at < end:
                middle = (at + end) >> 1
                if np.float64(hit[middle]) < value:
                    at = middle + 1
                else:
                    end = middle
        else:
            # Most steps hold two hits at the most: two comparisons without a branch spare a wrong guess of one.
            at += np.float64(hit[at]) < value
            at += np.float64(hit[at]) < value
            while np.float64(hit[at]) < value:
                at += 1
        found[2 * at + (np.float64(hit[at]) == value)] += 1
    for i in range(n_hits - 1, -1, -1):
        above[i], tied[i] = over, found[2 * i + 1]
        over += found[2 * i] + found[2 * i + 1]
    return hit, positives, tied, above


__all__ = ["Counts", "count_tasks"]

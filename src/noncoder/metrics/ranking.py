"""Exact per-task measures of a ranking, and the curves behind them.

Scores are float32 logits, because a float32 probability ties large logits. A task without a positive or without a
negative has no AUROC and no average precision: it is NaN, never 0. Unknown labels are left out task by task.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from noncoder.metrics.columns import Columns, Scores


class Ranking(NamedTuple):
    """AUROC and average precision of each task, and what they were computed from.

    Args:
        auroc: (T,) float64, NaN where undefined.
        average_precision: (T,) float64, NaN where undefined.
        positives: (T,) int64.
        known: Windows with a known label, (T,) int64.
    """

    auroc: NDArray[np.float64]
    average_precision: NDArray[np.float64]
    positives: NDArray[np.int64]
    known: NDArray[np.int64]


class Curves(NamedTuple):
    """ROC and precision-recall curves at P points for each task, (T, P) float32; NaN where undefined."""

    roc_fpr: NDArray[np.float32]
    roc_tpr: NDArray[np.float32]
    pr_recall: NDArray[np.float32]
    pr_precision: NDArray[np.float32]


def auroc(logits: ArrayLike, labels: ArrayLike, known: ArrayLike | None = None) -> NDArray[np.float64]:
    """The area under the ROC curve of each task: the share of (positive, negative) pairs ranked right, ties a half.

    Args:
        logits: (N, T) scores; any increasing function of them gives the same.
        labels: (N, T), 0 or 1.
        known: (N, T), true where the label counts; None for everywhere.

    Returns:
        (T,); NaN for a task without a positive or without a negative.

    Raises:
        InputError: Shapes differ, a logit is NaN or infinite, or a label is neither 0 nor 1.
    """
    return rank(logits, labels, known).auroc


def average_precision(logits: ArrayLike, labels: ArrayLike, known: ArrayLike | None = None) -> NDArray[np.float64]:
    """The mean, over the positives of each task, of the precision at their score; tied scores share one threshold.

    This is the step-wise area under the precision-recall curve, as scikit-learn's `average_precision_score`.

    Args:
        logits: (N, T) scores; any increasing function of them gives the same.
        labels: (N, T), 0 or 1.
        known: (N, T), true where the label counts; None for everywhere.

    Returns:
        (T,); NaN for a task without a positive or without a negative.

    Raises:
        InputError: Shapes differ, a logit is NaN or infinite, or a label is neither 0 nor 1.
    """
    return rank(logits, labels, known).average_precision


def rank(logits: ArrayLike, labels: ArrayLike, known: ArrayLike | None = None) -> Ranking:
    """AUROC and average precision of each task from one sort.

    Only the positives are looked up among the sorted scores, which makes rare positives cheap.

    Args:
        logits: (N, T) scores.
        labels: (N, T), 0 or 1.
        known: (N, T), true where the label counts; None for everywhere.

    Raises:
        InputError: Shapes differ, a logit is NaN or infinite, or a label is neither 0 nor 1.
    """
    return rank_columns(Columns(logits, labels, known))


def rank_columns(columns: Columns) -> Ranking:
    """As `rank`, of scores and labels wherever they are.

    Raises:
        InputError: A logit is NaN or infinite, or a label is neither 0 nor 1.
    """
    n_tasks = columns.shape[1]
    area, precision = np.full(n_tasks, np.nan), np.full(n_tasks, np.nan)
    positives, counted = np.zeros(n_tasks, dtype=np.int64), np.zeros(n_tasks, dtype=np.int64)
    for task, score, truth_of_task in _each(columns):
        n, p = score.size, int(truth_of_task.sum())
        counted[task], positives[task] = n, p
        if p in (0, n):
            continue
        ordered = np.sort(score)
        hit, ties = np.unique(score[truth_of_task], return_counts=True)
        below, not_above = np.searchsorted(ordered, hit, "left"), np.searchsorted(ordered, hit, "right")
        # Ranks count from 1; scores that tie share the mean of their ranks.
        rank_sum = np.dot(ties, (below + not_above + 1) / 2)
        area[task] = (rank_sum - p * (p + 1) / 2) / (p * (n - p))
        true_positives = np.cumsum(ties[::-1])[::-1]
        precision[task] = np.dot(ties, true_positives / (n - below)) / p
    return Ranking(area, precision, positives, counted)


def curves(logits: ArrayLike, labels: ArrayLike, known: ArrayLike | None = None, points: int = 120) -> Curves:
    """ROC and precision-recall curves of each task, thinned to a fixed number of points for drawing.

    Args:
        logits: (N, T) scores.
        labels: (N, T), 0 or 1.
        known: (N, T), true where the label counts; None for everywhere.
        points: Points a curve.

    Raises:
        InputError: Shapes differ, a logit is NaN or infinite, or a label is neither 0 nor 1.
    """
    columns = Columns(logits, labels, known)
    drawn = Curves(*(np.full((columns.shape[1], points), np.nan, dtype=np.float32) for _ in Curves._fields))
    for task, score, truth_of_task in _each(columns):
        p = int(truth_of_task.sum())
        if p in (0, score.size):
            continue
        order = np.argsort(-score, kind="stable")
        ends = np.flatnonzero(np.diff(score[order], append=np.inf))
        true_positives = np.cumsum(truth_of_task[order])[ends]
        called = ends + 1
        tpr = np.concatenate([[0.0], true_positives / p])
        fpr = np.concatenate([[0.0], (called - true_positives) / (score.size - p)])
        # Half of the points by threshold, half by rate: the curve is steep at its start and long at its end.
        by_rate = np.searchsorted(fpr, np.linspace(0, 1, points // 2), side="right") - 1
        # Of those by rate, half where it is first reached, half where it is last held: else tied negatives, then tied
        # positives, would lose the corner between them.
        by_first, quarter = _first_by(tpr, points - points // 2 - points // 4), points // 4
        by_last = np.searchsorted(tpr, np.linspace(0, 1, quarter), side="right") - 1
        at = np.sort(np.concatenate([by_rate, by_first, by_last]))
        drawn.roc_fpr[task], drawn.roc_tpr[task] = fpr[at], tpr[at]
        at = _first_by(tpr[1:], points)
        drawn.pr_recall[task], drawn.pr_precision[task] = tpr[1:][at], (true_positives / called)[at]
    return drawn


def _first_by(values: NDArray[np.float64], points: int) -> NDArray[np.int64]:
    """Where an ascending array first reaches each of evenly spaced levels."""
    levels = np.linspace(values[0], values[-1], points)
    return np.minimum(np.searchsorted(values, levels - 1e-12, side="left"), values.size - 1)


def weighted_mean(values: NDArray[np.float64], weights: ArrayLike) -> float:
    """The mean over the defined values, weighted; NaN where none is defined or all weights are 0."""
    weights = np.where(np.isnan(values), 0.0, np.asarray(weights, dtype=np.float64))
    total = weights.sum()
    return float(np.dot(np.nan_to_num(values), weights) / total) if total else float("nan")


def _each(columns: Columns) -> Iterator[tuple[int, Scores, NDArray[np.bool_]]]:
    for tile in columns.tiles():
        for row, (score, truth) in enumerate(zip(tile.scores, tile.truth, strict=True)):
            if tile.known is None:
                yield tile.first + row, score, truth
            else:
                yield tile.first + row, score[tile.known[row]], truth[tile.known[row]]

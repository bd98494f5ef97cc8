"""AUROC and average precision of each task.

Scores are float32 logits, because a float32 probability ties large logits. A task without a positive or without a
negative has no AUROC and no average precision: it is NaN, never 0. Unknown labels are left out task by task.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from noncoder.metrics.column_reader import Columns
from noncoder.metrics.counting import Counts, count_tasks


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
    """AUROC and average precision of each task; of a tensor on a GPU, computed there.

    Args:
        logits: (N, T) scores.
        labels: (N, T), 0 or 1.
        known: (N, T), true where the label counts; None for everywhere.

    Raises:
        InputError: Shapes differ, a logit is NaN or infinite, or a label is neither 0 nor 1.
    """
    if getattr(logits, "is_cuda", False):
        from noncoder.metrics.gpu_ranking import rank_on_device  # torch, which whoever has such a tensor has imported

        return rank_on_device(cast(Any, logits), labels, known)
    return rank_columns(Columns(logits, labels, known))


def rank_columns(columns: Columns) -> Ranking:
    """As `rank`, of scores and labels wherever they are.

    Raises:
        InputError: A logit is NaN or infinite, or a label is neither 0 nor 1.
    """
    found = count_tasks(
        columns,
        lambda counts: (
            area_under_roc(counts),
            mean_precision(counts),
            counts.n_positives,
            counts.n_positives + counts.n_negatives,
        ),
    )
    areas, precisions, positives, known = zip(*found, strict=True) if found else ((), (), (), ())
    return Ranking(
        np.array(areas, dtype=np.float64),
        np.array(precisions, dtype=np.float64),
        np.array(positives, dtype=np.int64),
        np.array(known, dtype=np.int64),
    )


def area_under_roc(counts: Counts) -> float:
    """Wins of positives over negatives, ties a half, as whole numbers until the one division; NaN where undefined."""
    if not counts.defined:
        return float("nan")
    # Twice the wins: each of the negatives below counts twice, each that ties once.
    doubled = 2 * (counts.n_negatives - counts.above) - counts.tied
    return int(np.dot(counts.positives, doubled)) / (2 * counts.n_positives * counts.n_negatives)


def mean_precision(counts: Counts) -> float:
    """The mean over positives of the precision at their score; NaN where undefined."""
    if not counts.defined:
        return float("nan")
    hits = counts.true_positives
    return float(np.dot(counts.positives, hits / (hits + counts.above + counts.tied)) / counts.n_positives)


__all__ = ["Ranking", "auroc", "average_precision", "rank", "rank_columns"]

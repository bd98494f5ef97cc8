"""AUROC and average precision of each task.

Scores are float32 logits, because float32 probabilities tie large logits. A task without a positive or without a
negative has no AUROC and no average precision: both are NaN, never 0. Unknown labels are left out task by task.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from noncoder.metrics.column_reader import Columns
from noncoder.metrics.counting import Counts, count_tasks


class Ranking(NamedTuple):
    """AUROC and average precision of each task, with the numbers of labels.

    Args:
        auroc: (T,) float64, NaN if undefined.
        average_precision: (T,) float64, NaN if undefined.
        positives: (T,) int64.
        known: Windows with a known label, (T,) int64.
    """

    auroc: NDArray[np.float64]
    average_precision: NDArray[np.float64]
    positives: NDArray[np.int64]
    known: NDArray[np.int64]


def auroc(logits: ArrayLike, labels: ArrayLike, known: ArrayLike | None = None) -> NDArray[np.float64]:
    """Computes the area under the ROC curve of each task: the fraction of correctly ranked pairs, ties a half.

    Args:
        logits: (N, T) scores; increasing functions of them give the same result.
        labels: (N, T), 0 or 1.
        known: (N, T), true where the label counts; None for all.

    Returns:
        (T,); NaN for a task without a positive or without a negative.

    Raises:
        InputError: Shapes differ, a logit is NaN or infinite, or a label is neither 0 nor 1.
    """
    return rank(logits, labels, known).auroc


def average_precision(logits: ArrayLike, labels: ArrayLike, known: ArrayLike | None = None) -> NDArray[np.float64]:
    """Computes the average precision of each task: the mean precision at its positives' scores, ties share a threshold.

    This is the step-wise area under the precision-recall curve, as scikit-learn's `average_precision_score`.

    Args:
        logits: (N, T) scores; increasing functions of them give the same result.
        labels: (N, T), 0 or 1.
        known: (N, T), true where the label counts; None for all.

    Returns:
        (T,); NaN for a task without a positive or without a negative.

    Raises:
        InputError: Shapes differ, a logit is NaN or infinite, or a label is neither 0 nor 1.
    """
    return rank(logits, labels, known).average_precision


def rank(logits: ArrayLike, labels: ArrayLike, known: ArrayLike | None = None) -> Ranking:
    """Computes AUROC and average precision of each task; for a tensor on a GPU, on the GPU.

    Args:
        logits: (N, T) scores.
        labels: (N, T), 0 or 1.
        known: (N, T), true where the label counts; None for all.

    Raises:
        InputError: Shapes differ, a logit is NaN or infinite, or a label is neither 0 nor 1.
    """
    if getattr(logits, "is_cuda", False):
        from noncoder.metrics.gpu_ranking import rank_on_device  # imports torch, which is already imported here

        return rank_on_device(cast(Any, logits), labels, known)
    return rank_columns(Columns(logits, labels, known))


def rank_columns(columns: Columns) -> Ranking:
    """Computes `rank` of scores and labels in memory or on disk.

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
    """AUROC from integer counts, ties a half; NaN if undefined."""
    if not counts.defined:
        return float("nan")
    # Twice the number of correctly ranked pairs: each negative below counts twice, each tied one once.
    doubled = 2 * (counts.n_negatives - counts.above) - counts.tied
    return int(np.dot(counts.positives, doubled)) / (2 * counts.n_positives * counts.n_negatives)


def mean_precision(counts: Counts) -> float:
    """Mean precision at the scores of positives; NaN if undefined."""
    if not counts.defined:
        return float("nan")
    hits = counts.true_positives
    return float(np.dot(counts.positives, hits / (hits + counts.above + counts.tied)) / counts.n_positives)


__all__ = ["Ranking", "auroc", "average_precision", "rank", "rank_columns"]

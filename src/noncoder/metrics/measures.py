"""All measures of a task's ranking, from one read of its scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from noncoder.metrics.column_reader import Columns
from noncoder.metrics.counting import Counts, count_tasks
from noncoder.metrics.ranking import area_under_roc, mean_precision
from noncoder.metrics.roc import Curves, curve_points, stack_curves
from noncoder.metrics.thresholds import best_f1, precision_at_recall, trapezoid_pr_area

Floats = NDArray[np.float64]

RECALLS = (0.1, 0.5, 0.9)
"""Recalls at which the precision is reported."""


class Measures(NamedTuple):
    """Measures of each task's ranking, (T,); NaN if the task lacks a positive or a negative.

    Args:
        auroc: Area under the ROC curve.
        average_precision: Step-wise area under the precision-recall curve.
        pr_auc_trapezoid: Trapezoidal area from a first point (0, 0), as in the 2020 report.
        best_f1: Best F1 over all thresholds.
        best_f1_logit: Lowest logit that counts as positive at this threshold.
        precision_at_recall: Best precision with at least each of R recalls, (T, R).
        positives: Known positives.
        known: Known labels.
        curves: ROC and precision-recall curves.
    """

    auroc: Floats
    average_precision: Floats
    pr_auc_trapezoid: Floats
    best_f1: Floats
    best_f1_logit: Floats
    precision_at_recall: Floats
    positives: NDArray[np.int64]
    known: NDArray[np.int64]
    curves: Curves


def measure_columns(columns: Columns, recalls: Sequence[float] = RECALLS, points: int = 120) -> Measures:
    """Measures the ranking of every task.

    Args:
        columns: Scores and labels.
        recalls: Recalls at which the precision is reported.
        points: Points per curve.

    Raises:
        InputError: A logit is NaN or infinite, or a label is neither 0 nor 1.
    """
    wanted = tuple(recalls)

    def measure(counts: Counts) -> tuple[list[float], list[int], Floats]:
        numbers = [
            area_under_roc(counts),
            mean_precision(counts),
            trapezoid_pr_area(counts),
            *best_f1(counts),
            *precision_at_recall(counts, wanted).tolist(),
        ]
        sizes = [counts.n_positives, counts.n_positives + counts.n_negatives]
        return numbers, sizes, curve_points(counts, points)

    found = count_tasks(columns, measure)
    numbers = np.array([task[0] for task in found], dtype=np.float64).reshape(len(found), 5 + len(wanted))
    sizes = np.array([task[1] for task in found], dtype=np.int64).reshape(len(found), 2)
    area, precision, trapezoid, f1, logit = numbers[:, :5].T
    drawn = stack_curves([task[2] for task in found], points)
    return Measures(area, precision, trapezoid, f1, logit, numbers[:, 5:], sizes[:, 0], sizes[:, 1], drawn)


__all__ = ["RECALLS", "Measures", "measure_columns"]

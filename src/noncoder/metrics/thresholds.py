"""Measures of a task's ranking at single thresholds, and the trapezoidal area under its precision-recall curve."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from noncoder.metrics.counting import Counts


class BestF1(NamedTuple):
    """The highest F1 over all thresholds, and the lowest logit that counts as positive there."""

    f1: float
    logit: float


def trapezoid_pr_area(counts: Counts) -> float:
    """The trapezoidal area under the precision-recall curve from a first point (0, 0), as computed in the 2020 report.

    It differs from the average precision: straight lines between points of this curve imply precisions that no
    threshold has (Davis and Goadrich 2006), and the first point removes half of the first step. NaN if undefined.
    """
    if not counts.defined:
        return float("nan")
    hits = counts.true_positives
    # Each step of the recall starts at the precision just above its threshold, where only negatives may follow.
    called_before = hits - counts.positives + counts.above
    before = np.divide(hits - counts.positives, called_before, out=np.zeros(hits.size), where=called_before > 0)
    at = hits / (hits + counts.above + counts.tied)
    return float(np.dot(counts.positives, before + at) / (2 * counts.n_positives))


def best_f1(counts: Counts) -> BestF1:
    """Returns the best F1 over all thresholds; NaN if undefined.

    Only scores of positives need to be tried: between two of them, a lower threshold only adds negatives.
    """
    if not counts.defined:
        return BestF1(float("nan"), float("nan"))
    hits = counts.true_positives
    f1 = 2 * hits / (hits + counts.above + counts.tied + counts.n_positives)
    # Of equal values the highest threshold: it calls the fewest windows positive.
    best = f1.size - 1 - int(np.argmax(f1[::-1]))
    return BestF1(float(f1[best]), float(counts.score[best]))


def precision_at_recall(counts: Counts, recalls: tuple[float, ...]) -> NDArray[np.float64]:
    """Returns the highest precision of any threshold whose recall is at least each given value; NaN if undefined."""
    if not counts.defined:
        return np.full(len(recalls), np.nan)
    hits = counts.true_positives
    precision = hits / (hits + counts.above + counts.tied)
    # Recall decreases along the array, so the best over all thresholds up to one is a running maximum.
    best = np.maximum.accumulate(precision)
    needed = np.ceil(np.asarray(recalls) * counts.n_positives - 1e-9)
    last = np.searchsorted(-hits, -needed, side="right") - 1
    return best[np.maximum(last, 0)]


__all__ = ["BestF1", "best_f1", "precision_at_recall", "trapezoid_pr_area"]

"""ROC and precision-recall curves, thinned to the resolution of a figure."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from noncoder.metrics.column_reader import Columns
from noncoder.metrics.counting import Counts, count_tasks

Floats = NDArray[np.float64]


class Curves(NamedTuple):
    """ROC and precision-recall curves at P points for each task, (T, P) float32; NaN if undefined."""

    roc_fpr: NDArray[np.float32]
    roc_tpr: NDArray[np.float32]
    pr_recall: NDArray[np.float32]
    pr_precision: NDArray[np.float32]


def curves(logits: ArrayLike, labels: ArrayLike, known: ArrayLike | None = None, points: int = 120) -> Curves:
    """Computes ROC and precision-recall curves of each task, thinned to a fixed number of points for drawing.

    Args:
        logits: (N, T) scores.
        labels: (N, T), 0 or 1.
        known: (N, T), true where the label counts; None for all.
        points: Points per curve.

    Raises:
        InputError: Shapes differ, a logit is NaN or infinite, or a label is neither 0 nor 1.
    """
    return stack_curves(
        count_tasks(Columns(logits, labels, known), lambda counts: curve_points(counts, points)), points
    )


def stack_curves(drawn: list[Floats], points: int) -> Curves:
    """Returns the curves of T tasks, (4, P) each, as arrays (T, P)."""
    return Curves(*np.array(drawn, dtype=np.float32).reshape(len(drawn), 4, points).transpose(1, 0, 2))


def curve_points(counts: Counts, points: int) -> Floats:
    """Returns the four rows of one task's `Curves`, (4, P)."""
    if not counts.defined:
        return np.full((4, points), np.nan)
    # From the highest threshold down; between the positives' scores a curve moves right, then up or diagonally.
    hits, above, tied = (part[::-1] for part in (counts.true_positives, counts.above, counts.tied))
    before = hits - counts.positives[::-1]
    tpr = np.concatenate([[0], np.stack([before, hits], axis=1).ravel(), [counts.n_positives]]) / counts.n_positives
    fpr = np.concatenate([[0], np.stack([above, above + tied], axis=1).ravel(), [counts.n_negatives]])
    fpr = fpr / counts.n_negatives
    # Half of the points by threshold, half by rate: the curve is steep at its start and long at its end.
    by_rate = np.searchsorted(fpr, np.linspace(0, 1, points // 2), side="right") - 1
    # Of the points by rate, half take the first index that reaches the rate, half the last: otherwise tied negatives
    # followed by tied positives would lose the corner between them.
    by_first, quarter = _first_by(tpr, points - points // 2 - points // 4), points // 4
    by_last = np.searchsorted(tpr, np.linspace(0, 1, quarter), side="right") - 1
    roc = np.sort(np.concatenate([by_rate, by_first, by_last]))
    recall = hits / counts.n_positives
    pr = _first_by(recall, points)
    return np.stack([fpr[roc], tpr[roc], recall[pr], (hits / (hits + above + tied))[pr]])


def _first_by(values: Floats, points: int) -> NDArray[np.int64]:
    """Returns the index at which an ascending array first reaches each of evenly spaced levels."""
    levels = np.linspace(values[0], values[-1], points)
    return np.minimum(np.searchsorted(values, levels - 1e-12, side="left"), values.size - 1)


__all__ = ["Curves", "curve_points", "curves", "stack_curves"]

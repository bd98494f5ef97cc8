"""Quality of probabilities: log loss, Brier score, calibration error and reliability of each task."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from noncoder.compiled import compiled, in_threads
from noncoder.metrics.column_reader import Columns, Scores
from noncoder.metrics.temperature import check_temperatures

Floats = NDArray[np.float64]

ECE_BINS = 15
"""Bins of equal width in the probability, as in Guo et al. (2017)."""

# Labels are rare: nearly all windows have probabilities below a tenth, which steps of the logit resolve.
_LOWEST, _BINS_A_LOGIT, _BINS = -10.0, 2, 34


class Reliability(NamedTuple):
    """Fraction of positives among windows with similar predicted probabilities, in B bins of half a logit.

    Args:
        predicted: Mean predicted probability of the bin's windows, (T, B); NaN in an empty bin.
        observed: Fraction of positives among them, (T, B); NaN in an empty bin.
        windows: Number of windows in the bin, (T, B).
    """

    predicted: Floats
    observed: Floats
    windows: NDArray[np.int64]


class Calibration(NamedTuple):
    """Quality of each task's probabilities; NaN for a task without a known label.

    Args:
        log_loss: Mean of -log of the probability of the true label, nats, (T,).
        brier: Mean squared difference between the probability and the label, (T,).
        ece: Expected calibration error: mean absolute difference between probability and fraction of positives over
            bins of equal width in the probability, weighted by windows (Naeini et al. 2015; Guo et al. 2017), (T,).
        accuracy: Fraction of labels that the threshold 1/2 predicts, (T,). With rare positives close to that of a
            model that always predicts negative.
        known: Windows with a known label, (T,).
        reliability: Reliability curve.
    """

    log_loss: Floats
    brier: Floats
    ece: Floats
    accuracy: Floats
    known: NDArray[np.int64]
    reliability: Reliability

    @property
    def mean_log_loss(self) -> float:
        """Mean log loss over all known labels of all tasks, as training minimizes it; NaN if there is none."""
        total = int(self.known.sum())
        return float(np.nansum(self.log_loss * self.known) / total) if total else float("nan")


def calibration(
    logits: ArrayLike, labels: ArrayLike, known: ArrayLike | None = None, temperatures: ArrayLike | None = None
) -> Calibration:
    """Computes log loss, Brier score, expected calibration error, accuracy and reliability of each task.

    Args:
        logits: (N, T) scores; probabilities are their sigmoid.
        labels: (N, T), 0 or 1.
        known: (N, T), true where the label counts; None for all.
        temperatures: Divisor of each task's logits, (T,); None for 1.

    Raises:
        InputError: Shapes differ, a logit is NaN or infinite, a label is neither 0 nor 1, or there are not T positive
            temperatures.
    """
    return calibrate_columns(Columns(logits, labels, known), temperatures)


def calibrate_columns(columns: Columns, temperatures: ArrayLike | None = None) -> Calibration:
    """Computes `calibration` of scores and labels in memory or on disk.

    Raises:
        InputError: A logit is NaN or infinite, a label is neither 0 nor 1, or there are not T positive temperatures.
    """
    n_tasks = columns.shape[1]
    divisors = np.ones(n_tasks) if temperatures is None else np.asarray(temperatures, dtype=np.float64)
    check_temperatures(divisors, n_tasks)
    scale = 1 / divisors
    sums, by_share, by_logit = np.zeros((n_tasks, 4)), np.zeros((n_tasks, ECE_BINS, 3)), np.zeros((n_tasks, _BINS, 3))
    for tile in columns.tiles():
        rows = range(tile.first, tile.first + len(tile.scores))
        in_threads(
            _score,
            (
                (
                    tile.scores[row - tile.first],
                    tile.truth[row - tile.first],
                    tile.truth[:0, :0].ravel() if tile.known is None else tile.known[row - tile.first],
                    scale[row],
                    sums[row],
                    by_share[row],
                    by_logit[row],
                )
                for row in rows
            ),
        )
    n = sums[:, 0]
    with np.errstate(invalid="ignore", divide="ignore"):
        loss, brier, right = (sums[:, i] / n for i in (1, 2, 3))
        ece = np.abs(by_share[:, :, 1] - by_share[:, :, 2]).sum(axis=1) / n
        predicted, observed = (by_logit[:, :, i] / by_logit[:, :, 0] for i in (1, 2))
    reliability = Reliability(predicted, observed, by_logit[:, :, 0].astype(np.int64))
    return Calibration(loss, brier, ece, right, n.astype(np.int64), reliability)


@compiled
def _score(
    score: Scores,
    truth: NDArray[np.bool_],
    known: NDArray[np.bool_],
    scale: float,
    sums: Floats,
    by_share: Floats,
    by_logit: Floats,
) -> None:
    masked, last, n_shares = known.size > 0, by_logit.shape[0] - 1, by_share.shape[0]
    # One logarithm for many windows: of the product of 1 + exp(-|z|), whose factors lie between 1 and 2.
    product, factors = 1.0, 0
    for i in range(score.size):
        if masked and not known[i]:
            continue
        z, positive = np.float64(score[i]) * scale, truth[i]
        small = np.exp(-abs(z))
        share = 1 / (1 + small)
        if z < 0:
            share *= small
        product *= 1 + small
        factors += 1
        if factors == 512:
            sums[1] += np.log(product)
            product, factors = 1.0, 0
        sums[0] += 1
        sums[1] += max(z, 0.0) - (z if positive else 0.0)
        sums[2] += (share - positive) ** 2
        sums[3] += (z > 0) == positive
        bin = min(int(share * n_shares), n_shares - 1)
        by_share[bin, 0] += 1
        by_share[bin, 1] += share
        by_share[bin, 2] += positive
        bin = int(min(max((z - _LOWEST) * _BINS_A_LOGIT, 0.0), float(last)))
        by_logit[bin, 0] += 1
        by_logit[bin, 1] += share
        by_logit[bin, 2] += positive
    sums[1] += np.log(product)


__all__ = ["ECE_BINS", "Calibration", "Reliability", "calibrate_columns", "calibration"]

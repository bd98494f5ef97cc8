"""Whether probabilities are what they say: log loss, Brier score, calibration error and reliability of each task."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from noncoder.compiled import compiled, in_threads
from noncoder.metrics.column_reader import Columns, Scores
from noncoder.metrics.temperature import check_temperatures

Floats = NDArray[np.float64]

ECE_BINS = 15
"""Bins of equal width in the probability, as Guo et al. (2017) took them."""

# Labels are rare: nearly all windows lie in the first tenth of the probabilities, which steps of the logit spread out.
_LOWEST, _BINS_A_LOGIT, _BINS = -10.0, 2, 34


class Reliability(NamedTuple):
    """How often windows of about one predicted probability are positive, in B bins of half a logit.

    Args:
        predicted: Mean predicted probability of the bin's windows, (T, B); NaN in an empty bin.
        observed: Share of them that is positive, (T, B); NaN in an empty bin.
        windows: Windows in the bin, (T, B).
    """

    predicted: Floats
    observed: Floats
    windows: NDArray[np.int64]


class Calibration(NamedTuple):
    """What each task's probabilities are worth; NaN for a task without a known label.

    Args:
        log_loss: Mean of -log of the probability of what was so, nats, (T,).
        brier: Mean squared distance of the probability from the label, (T,).
        ece: Expected calibration error: mean distance between probability and share of positives over bins of equal
            width in the probability, weighted by windows (Naeini et al. 2015; Guo et al. 2017), (T,).
        accuracy: Share of labels on whose side of 1/2 the probability lies, (T,). With rare positives nearly that of a
            model that always says no.
        known: Windows with a known label, (T,).
        reliability: The reliability curve.
    """

    log_loss: Floats
    brier: Floats
    ece: Floats
    accuracy: Floats
    known: NDArray[np.int64]
    reliability: Reliability

    @property
    def mean_log_loss(self) -> float:
        """The mean over all known labels of all tasks, as a training minimises it; NaN where there is none."""
        total = int(self.known.sum())
        return float(np.nansum(self.log_loss * self.known) / total) if total else float("nan")


def calibration(
    logits: ArrayLike, labels: ArrayLike, known: ArrayLike | None = None, temperatures: ArrayLike | None = None
) -> Calibration:
    """Log loss, Brier score, expected calibration error, accuracy and reliability of each task.

    Args:
        logits: (N, T) scores; a probability is their sigmoid.
        labels: (N, T), 0 or 1.
        known: (N, T), true where the label counts; None for everywhere.
        temperatures: What each task's logits are divided by first, (T,); None for nothing.

    Raises:
        InputError: Shapes differ, a logit is NaN or infinite, a label is neither 0 nor 1, or there are not T positive
            temperatures.
    """
    return calibrate_columns(Columns(logits, labels, known), temperatures)


def calibrate_columns(columns: Columns, temperatures: ArrayLike | None = None) -> Calibration:
    """As `calibration`, of scores and labels wherever they are.

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
    # One logarithm for many windows: that of the product of 1 + exp(-|z|), each factor between 1 and 2.
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

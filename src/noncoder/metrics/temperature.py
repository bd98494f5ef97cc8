"""Temperatures: one number per task that divides its logits so that probabilities are calibrated.

C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, On Calibration of Modern Neural Networks, ICML 2017, section 4.2
(https://arxiv.org/abs/1706.04599): the temperature that minimizes the log loss of held-out labels. A temperature does
not change ranks, so AUROC and average precision stay the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from noncoder.compiled import compiled, in_threads
from noncoder.errors import InputError
from noncoder.metrics.column_reader import Columns, Scores, Tile

LOWEST, HIGHEST = 0.05, 20.0
"""Bounds of temperatures: a task that the logits separate perfectly tends to 0, an uninformative one to infinity."""


class Temperatures(NamedTuple):
    """Temperatures of T tasks.

    Args:
        values: (T,) float64, from `LOWEST` to `HIGHEST`.
        own: (T,) bool, true if the task has enough labels for its own temperature; otherwise it has the shared one.
        shared: Temperature fitted on all known labels of all tasks; 1 if these have no positive or no negative.
    """

    values: NDArray[np.float64]
    own: NDArray[np.bool_]
    shared: float


def fit_temperatures(columns: Columns, min_positives: int = 30) -> Temperatures:
    """Fits the temperature of each task that minimizes the log loss of sigmoid(logit / temperature).

    The loss is convex in 1 / temperature: Newton's method within shrinking bounds finds the minimum.

    Args:
        columns: Raw logits and labels of windows that the model was not trained on.
        min_positives: A task with fewer positives, or without a negative, gets the shared temperature.

    Raises:
        InputError: A logit is NaN or infinite, or a label is neither 0 nor 1.
    """
    n_tasks = columns.shape[1]
    values, own = np.ones(n_tasks), np.zeros(n_tasks, dtype=np.bool_)
    positives = negatives = 0
    for tile in columns.tiles():
        rows = list(_rows(tile))
        found = [int(truth.sum()) for _, truth in rows]
        lacking = [truth.size - count for (_, truth), count in zip(rows, found, strict=True)]
        positives, negatives = positives + sum(found), negatives + sum(lacking)
        fit = [row for row in range(len(rows)) if found[row] >= max(1, min_positives) and lacking[row] > 0]
        places = [tile.first + row for row in fit]
        values[places], own[places] = in_threads(_fit, (rows[row] for row in fit)), True
    shared = 1.0
    if positives and negatives:
        # Starting at the median of the tasks' own temperatures saves one or two reads of all logits.
        start = float(np.median(values[own])) if own.any() else 1.0
        shared = 1 / _least(lambda inverse: _slopes_of_all(columns, inverse), 1 / start)
    values[~own] = shared
    return Temperatures(values, own, shared)


def calibrate(logits: ArrayLike, temperatures: ArrayLike) -> Scores:
    """Divides logits (n, T) by temperatures (T,); float32 stays float32.

    Raises:
        InputError: The number of temperatures is not that of the tasks, or one is not a positive number.
    """
    scores, divisors = np.asarray(logits), np.asarray(temperatures, dtype=np.float64)
    scores = scores if scores.dtype in (np.float32, np.float64) else scores.astype(np.float32)
    check_temperatures(divisors, scores.shape[-1])
    calibrated: Scores = scores / divisors.astype(scores.dtype)
    return calibrated


def check_temperatures(temperatures: NDArray[np.float64], n_tasks: int) -> None:
    """Checks that each task has a positive temperature.

    Raises:
        InputError: The number of temperatures is wrong, or one is not a positive number.
    """
    expected = f"{n_tasks} positive numbers, one per task"
    if temperatures.shape != (n_tasks,):
        raise InputError(f"temperatures of shape {temperatures.shape}", expected=expected)
    wrong = temperatures[~(np.isfinite(temperatures) & (temperatures > 0))]
    if wrong.size:
        raise InputError(f"the temperature {wrong[0]}", expected=expected)


def _rows(tile: Tile) -> Iterator[tuple[Scores, NDArray[np.bool_]]]:
    for row, (score, truth) in enumerate(zip(tile.scores, tile.truth, strict=True)):
        yield (score, truth) if tile.known is None else (score[tile.known[row]], truth[tile.known[row]])


def _fit(scores: Scores, truth: NDArray[np.bool_]) -> float:
    return 1 / _least(lambda inverse: _slopes(scores, truth, inverse), 1.0)


def _slopes_of_all(columns: Columns, inverse: float) -> tuple[float, float]:
    slope = curvature = 0.0
    for tile in columns.tiles():
        for one, other in in_threads(_slopes, ((score, truth, inverse) for score, truth in _rows(tile))):
            slope, curvature = slope + one, curvature + other
    return slope, curvature


def _least(slopes: Callable[[float], tuple[float, float]], start: float) -> float:
    """Minimizes a convex function of 1 / temperature.

    Args:
        slopes: Its first and second derivatives.
        start: Initial value.
    """
    low, high = 1 / HIGHEST, 1 / LOWEST
    at = min(max(start, low), high)
    seen = {at}
    for _ in range(100):
        slope, curvature = slopes(at)
        if slope == 0:
            break
        low, high = (low, at) if slope > 0 else (at, high)
        if high - low <= 1e-12 * high:  # the bounds have met, or the function still decreases towards a bound
            break
        following = at - slope / curvature if curvature > 0 else math.inf if slope < 0 else 0.0
        if abs(following - at) <= 1e-6 * at:  # the error after a Newton step is about the square of the step
            return min(max(following, low), high)
        if not low < following < high:
            bound = high if slope < 0 else low
            following = bound if bound not in seen else math.sqrt(low * high)
        seen.add(following)
        at = following
    return at


@compiled
def _slopes(scores: Scores, truth: NDArray[np.bool_], inverse: float) -> tuple[float, float]:
    """Returns the first and second derivatives of the summed log loss by 1 / temperature."""
    slope = curvature = 0.0
    for i in range(scores.size):
        # Signed distance of the logit to the correct side. No term subtracts nearly equal numbers, so the small loss
        # of a separated task keeps its precision.
        margin = float(scores[i]) if truth[i] else -float(scores[i])
        small = math.exp(-abs(inverse * margin))
        share = 1.0 / (1.0 + small)
        slope -= margin * (small * share if margin >= 0 else share)
        curvature += margin * margin * (small * share * share)
    return slope, curvature

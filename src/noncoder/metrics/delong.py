"""Compares the AUROC of two models on the same windows: DeLong's test, and its form for blocks of windows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from noncoder.compiled import compiled, in_threads
from noncoder.errors import InputError
from noncoder.metrics.blocks import Blocks
from noncoder.metrics.column_reader import Columns, Scores, Tile
from noncoder.metrics.uncertainty import freedom_of

Floats = NDArray[np.float64]

# Fractions of whole numbers of windows differ by far more than this, or not at all.
_ROUNDING = 1e-12


class PairedTest(NamedTuple):
    """A test of the difference, (T,) float64 each, NaN if undefined.

    Args:
        error: Standard error of the difference.
        z: The difference in standard errors.
        p: Two-sided p value.
        low: Lower end of the 95% interval of the difference.
        high: Upper end of the interval.
    """

    error: Floats
    z: Floats
    p: Floats
    low: Floats
    high: Floats


class DeLongComparison(NamedTuple):
    """AUROC of two models on the same windows, task by task.

    Args:
        auroc_a: (T,) float64, NaN if undefined.
        auroc_b: (T,) float64, NaN if undefined.
        difference: a minus b, (T,).
        independent: Test by DeLong's variance, which treats windows as independent: too confident if neighbours are
            alike.
        clustered: Test by Obuchowski's variance, which treats blocks of windows as independent; None without blocks.
    """

    auroc_a: Floats
    auroc_b: Floats
    difference: Floats
    independent: PairedTest
    clustered: PairedTest | None


def compare_tasks(a: Columns, b: Columns, blocks: Blocks | None = None) -> DeLongComparison:
    """Compares two models' AUROC on the same windows, task by task.

    The variance is that of the structural components (DeLong, DeLong & Clarke-Pearson, Biometrics 44:837, 1988): for a
    positive the fraction of negatives that it outranks, for a negative the fraction of positives that outrank it, both
    from one sort of the windows (Sun & Xu, IEEE Signal Process. Lett. 21:1389, 2014). With blocks, the components are
    first summed in each block (Obuchowski, Biometrics 53:567, 1997). The first test uses a normal z. The second uses a
    t distribution with the degrees of freedom of `uncertainty.spread`, because the normal rejects too often if the
    positives lie in few blocks.

    Args:
        a: N windows, T tasks, of one model.
        b: The same windows and tasks of the other.
        blocks: The windows' blocks; None to treat all windows as independent.

    Raises:
        InputError: Shapes, labels or known windows differ, the blocks do not fit the windows, or a logit or label
            is not allowed.
    """
    if a.shape != b.shape:
        raise InputError(f"windows and tasks {a.shape} of the one, {b.shape} of the other", expected="the same")
    if blocks is not None and blocks.of.shape != (a.shape[0],):
        raise InputError(f"blocks of {blocks.of.size:,} windows", expected=f"those of the {a.shape[0]:,} windows")
    rows = [_NOTHING] * a.shape[1]
    for of_a, of_b in zip(a.tiles(), b.tiles(), strict=True):
        _check_same(of_a, of_b)
        parts = [(of_a, of_b, row, blocks) for row in range(len(of_a.scores))]
        rows[of_a.first : of_a.first + len(parts)] = in_threads(_one_task, parts)
    table = np.array(rows, dtype=np.float64).reshape(-1, len(_NOTHING)).T
    difference = table[0] - table[1]
    clustered = None if blocks is None else _test(difference, table[3], table[4])
    return DeLongComparison(
        table[0], table[1], difference, _test(difference, table[2], np.full(len(rows), np.inf)), clustered
    )


# AUROC of both models, DeLong's error, Obuchowski's error and its degrees of freedom.
_Row = tuple[float, float, float, float, float]
_NOTHING: _Row = (np.nan,) * 5


def _check_same(a: Tile, b: Tile) -> None:
    known_a, known_b = (np.ones_like(tile.truth) if tile.known is None else tile.known for tile in (a, b))
    for name, one, other in (("known windows", known_a, known_b), ("labels", a.truth, b.truth)):
        unlike = np.any(one ^ other, axis=1)
        if unlike.any():
            raise InputError(
                f"the {name} of column {a.first + int(np.flatnonzero(unlike)[0])} differ between the two models",
                expected="predictions for the same windows of the same store",
            )


def _one_task(a: Tile, b: Tile, row: int, blocks: Blocks | None) -> _Row:
    truth, known = a.truth[row], None if a.known is None else a.known[row]
    of = np.zeros(truth.size, dtype=np.int32) if blocks is None else blocks.of
    of_a, of_b = a.scores[row], b.scores[row]
    if known is not None:
        truth, of, of_a, of_b = truth[known], of[known], of_a[known], of_b[known]
    m, n = int(truth.sum()), int((~truth).sum())
    if not m or not n:
        return _NOTHING
    component_a, component_b = _components(of_a, truth), _components(of_b, truth)
    sums = np.zeros((0 if blocks is None else blocks.n, 4))
    auroc_a, auroc_b, of_positives, of_negatives = _add_up(component_a, component_b, truth, of, sums)
    error = np.sqrt(_over(of_positives, m - 1) / m + _over(of_negatives, n - 1) / n)
    return auroc_a, auroc_b, error, *_of_blocks(sums, m, n)


def _of_blocks(sums: Floats, m: int, n: int) -> tuple[float, float]:
    """Returns Obuchowski's standard error and its degrees of freedom."""
    positive, negative = sums[:, 0] / m, sums[:, 1] / n
    with_positive, with_negative = sums[:, 2] > 0, sums[:, 3] > 0
    variance = 0.0
    for product, there in (
        (positive * positive, with_positive),
        (negative * negative, with_negative),
        (2 * positive * negative, with_positive | with_negative),
    ):
        blocks = int(there.sum())
        variance += _over(float(product.sum()) * blocks, blocks - 1)
    if not variance >= 0:
        return np.nan, np.nan
    return float(np.sqrt(variance)), float(freedom_of(positive + negative, blocks))


def _over(total: float, count: int) -> float:
    return total / count if count > 0 else np.nan


def _components(score: Scores, truth: NDArray[np.bool_]) -> Floats:
    """Returns the fraction of windows of the other label that each window is ranked correctly against, (N,)."""
    components = np.empty(score.size)
    _fill_components(score, truth, np.argsort(score), components)
    return components


@compiled
def _add_up(
    a: NDArray[np.float64], b: NDArray[np.float64], truth: NDArray[np.bool_], of: NDArray[np.int32], sums: Floats
) -> tuple[float, float, float, float]:
    """Returns both AUROCs, and the sums of squares of the components' differences of positives and of negatives.

    The variance of a difference is that of the components' differences from their mean. Each block's sums and window
    counts are added to `sums`, (B, 4): sums of positives and negatives, then their numbers.
    """
    m, auroc_a, auroc_b = 0, 0.0, 0.0
    for i in range(truth.size):
        if truth[i]:
            m += 1
            auroc_a += a[i]
            auroc_b += b[i]
    auroc_a, auroc_b = auroc_a / m, auroc_b / m
    squares = np.zeros(2)
    for i in range(truth.size):
        label = 0 if truth[i] else 1
        apart = a[i] - b[i] - (auroc_a - auroc_b)
        squares[label] += apart * apart
        if sums.size:
            sums[of[i], label] += apart
            sums[of[i], 2 + label] += 1
    return auroc_a, auroc_b, squares[0], squares[1]


@compiled
def _fill_components(
    score: Scores, truth: NDArray[np.bool_], order: NDArray[np.int64], components: NDArray[np.float64]
) -> None:
    n = order.size
    m = truth.sum()
    at, positives, negatives = 0, 0, 0
    while at < n:
        end, tied = at, 0
        while end < n and score[order[end]] == score[order[at]]:
            tied += truth[order[end]]
            end += 1
        for i in range(at, end):
            window = order[i]
            if truth[window]:
                components[window] = (negatives + 0.5 * (end - at - tied)) / (n - m)
            else:
                components[window] = (m - positives - 0.5 * tied) / m
        positives += tied
        negatives += end - at - tied
        at = end


def _test(difference: Floats, error: Floats, freedom: Floats) -> PairedTest:
    from scipy.stats import t

    same = np.abs(difference) <= _ROUNDING
    # Without variance there is nothing to test, except a difference of 0.
    possible = (error > _ROUNDING) | same
    error = np.where(possible, error, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        z = np.where(same, np.where(np.isnan(error), np.nan, 0.0), difference / error)
    half = t.ppf(0.975, freedom) * error
    return PairedTest(error, z, 2 * t.sf(np.abs(z), freedom), difference - half, difference + half)

"""Uncertainty of measures: a bootstrap of the genome's blocks, for a task and for means over tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from noncoder.errors import InputError
from noncoder.metrics.blocks import Blocks, resample_weights
from noncoder.metrics.column_reader import Columns
from noncoder.metrics.resampling import reweighted

Floats = NDArray[np.float64]

# Logit for a resampled measure of 0 or 1; the steps of a measure of few positives are about this small.
_NEAREST = 1e-6

# With more blocks than this, neighbouring blocks are left out together.
_PARTS = 400


class BootstrapDraws(NamedTuple):
    """A measure, or a mean or difference of measures, with its resampled values.

    Args:
        estimate: From all windows, of any shape (...), NaN if undefined.
        resampled: From each of R resamples of the blocks, (R, ...), NaN if one has no positive or no negative.
        left_out: From all blocks but one, leaving out each once, (J, ...), NaN if undefined. J is the number of
            blocks, at most 400; with more blocks, several neighbours are left out together.
        bounded: Whether the values lie between 0 and 1, so that intervals are formed from their logits.
    """

    estimate: Floats
    resampled: Floats
    left_out: Floats
    bounded: bool

    @property
    def undefined(self) -> NDArray[np.int64]:
        """Number of resamples without a value, (...)."""
        counted: NDArray[np.int64] = np.isnan(self.resampled).sum(axis=0)
        return counted

    def map(self, function: Callable[[Floats], Floats]) -> BootstrapDraws:
        """Applies a function to the tasks' values in each resample, e.g. `Mean.of`, or their median.

        A task that is undefined in a resample is left out of that resample's mean, as if the resample were the test
        set.

        Args:
            function: Takes values (..., T) with T tasks in the last axis, which it may reduce; it keeps values between
                0 and 1 if they are.
        """
        return BootstrapDraws(function(self.estimate), function(self.resampled), function(self.left_out), self.bounded)


class Resampled(NamedTuple):
    """Both measures of T tasks in the same resamples."""

    auroc: BootstrapDraws
    average_precision: BootstrapDraws


class ConfidenceInterval(NamedTuple):
    """Confidence interval of the population's measure; NaN if undefined."""

    low: Floats
    high: Floats


class Spread(NamedTuple):
    """The basis of intervals and p-values, on the logit scale if the values are bounded.

    Args:
        centre: The estimate minus its bias, (...).
        error: Its standard error, (...).
        freedom: Degrees of freedom of that standard error, (...).
    """

    centre: Floats
    error: Floats
    freedom: Floats


def bootstrap(columns: Columns, blocks: Blocks, resamples: int = 1000, seed: int = 0) -> Resampled:
    """Computes AUROC and average precision of each task in resamples of the genome's blocks (a cluster bootstrap).

    All tasks share their resamples, so means over tasks can be resampled too. Two models with the same blocks and seed
    share them as well, so their differences can.

    Args:
        columns: N windows, T tasks.
        blocks: The windows' blocks.
        resamples: Number of resamples, R.
        seed: Random seed.

    Raises:
        InputError: There are fewer than two blocks or resamples, or a logit or label is not allowed.
    """
    n = blocks.n
    if n < 2 or resamples < 2:
        raise InputError(
            f"{n} blocks, {resamples} resamples", expected="at least two of each", hint="make the blocks shorter"
        )
    part_of = parts_of(n)
    parts = int(part_of[-1]) + 1
    all_but_one = (part_of != np.arange(parts)[:, None]).astype(np.int16)
    weights = np.concatenate([np.ones((1, n), np.int16), all_but_one, resample_weights(n, resamples, seed)])
    measured = reweighted(columns, blocks, weights)
    return Resampled(*(BootstrapDraws(m[0], m[1 + parts :], m[1 : 1 + parts], True) for m in measured))


def parts_of(n_blocks: int) -> NDArray[np.int64]:
    """Returns the group of blocks with which each block is left out, (B,): neighbours, if there are many blocks."""
    return np.arange(n_blocks) * min(n_blocks, _PARTS) // n_blocks


def difference(a: BootstrapDraws, b: BootstrapDraws) -> BootstrapDraws:
    """Subtracts one from the other in each resample: two models on the same windows with the same blocks and seed.

    Raises:
        InputError: Their shapes differ.
    """
    if a.resampled.shape != b.resampled.shape or a.left_out.shape != b.left_out.shape:
        raise InputError(
            f"resamples of the shapes {a.resampled.shape} and {b.resampled.shape}, "
            f"{len(a.left_out)} and {len(b.left_out)} blocks",
            expected="two models' measures of the same tasks, in the same resamples of the same blocks",
        )
    return BootstrapDraws(a.estimate - b.estimate, a.resampled - b.resampled, a.left_out - b.left_out, False)


def spread(draws: BootstrapDraws) -> Spread:
    """Computes bias, standard error and its degrees of freedom.

    The bias is the jackknife's, from leaving out each block once (Quenouille 1956). The average precision of few
    positives is biased upwards: little for one task relative to its error, but much for a mean over many tasks, whose
    error is small. The standard error is the larger of the resamples' standard deviation and the jackknife's. The first
    is too small where removing the bias adds to the error, the second where a few positives are ranked almost
    perfectly. The degrees of freedom are Satterthwaite's (1946) for a variance of J terms with the kurtosis of the
    blocks' influences: J - 1 if these are normal, few if some blocks dominate. `docs/decisions/intervals.md` has the
    coverage of this and of the alternatives that were tried.

    NaN if a single block has all positives or all negatives of a task, or all windows are ranked correctly or wrongly.
    """
    values = draws.map(_logit) if draws.bounded else draws
    n = len(draws.left_out)
    mean = values.left_out.mean(axis=0)
    influence = values.left_out - mean
    freedom = freedom_of(influence, n)
    jackknife = np.sqrt((n - 1) / n * (influence**2).sum(axis=0))
    centre = values.estimate - (n - 1) * (mean - values.estimate)
    possible = ~np.isnan(centre)
    if draws.bounded:
        possible &= (draws.estimate > 0) & (draws.estimate < 1)
    error = np.fmax(_deviation(values.resampled), jackknife)
    return Spread(*(np.where(possible, part, np.nan) for part in (centre, error, freedom)))


def interval(draws: BootstrapDraws, level: float = 0.95) -> ConfidenceInterval:
    """Computes a confidence interval of each value: centre and t times the standard error of `spread`, mapped back.

    It covers the measure in the population, not the estimate: the interval of a mean average precision over many tasks
    may lie below the estimate, if the bias exceeds the error.

    Args:
        draws: Result of `bootstrap`, `BootstrapDraws.map` or `difference`.
        level: Coverage of the interval.

    Raises:
        InputError: The level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise InputError(f"the level {level}", expected="between 0 and 1, e.g. 0.95")
    from scipy.stats import t

    centre, error, freedom = spread(draws)
    half = t.ppf((1 + level) / 2, freedom) * error
    back = _expit if draws.bounded else np.asarray
    return ConfidenceInterval(back(centre - half), back(centre + half))


def p_value(draws: BootstrapDraws) -> Floats:
    """Computes the two-sided p-value of a difference of 0, from the same t statistic as the interval.

    So it is below 0.05 exactly if the 95% interval excludes 0. Counting resamples beyond 0 could not give less than
    1 / (R + 1), which no correction for a thousand tasks would leave significant.

    Args:
        draws: Result of `difference`, possibly after `BootstrapDraws.map`.

    Returns:
        (...); 1 if no resample differs, NaN where the interval is NaN.

    Raises:
        InputError: These are measures, not differences.
    """
    if draws.bounded:
        raise InputError("a measure itself, between 0 and 1", expected="a difference of two models' measures")
    from scipy.stats import t

    centre, error, freedom = spread(draws)
    with np.errstate(invalid="ignore", divide="ignore"):
        statistic = np.where((error == 0) & (centre == 0), 0.0, np.abs(centre) / error)
    return np.asarray(2 * t.sf(statistic, freedom))


def freedom_of(influence: Floats, n: int) -> Floats:
    """Degrees of freedom of a variance that is a sum of squares of n blocks' influences, which sum to 0.

    A sample variance has the variance s^4 (k - (n - 3) / (n - 1)) / n, where k is the kurtosis; a chi-square with that
    mean and variance has these degrees of freedom (Satterthwaite 1946): n - 1 for normal influences.

    Args:
        influence: (J, ...); 0 for blocks that do not count.
        n: Number of blocks that count.
    """
    square, fourth = (influence**2).sum(axis=0), (influence**4).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        kurtosis = np.where(square > 0, n * fourth / square**2, 3.0)
        return np.asarray(np.clip(2 * n / (kurtosis - (n - 3) / (n - 1)), 1, n - 1))


def _deviation(values: Floats) -> Floats:
    """Returns the standard deviation over the defined values of the first axis."""
    there = ~np.isnan(values)
    n = there.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.nan_to_num(values).sum(axis=0) / n
        off = np.where(there, values - mean, 0.0)
        return np.asarray(np.sqrt((off**2).sum(axis=0) / (n - 1)))


def _logit(values: Floats) -> Floats:
    inside = np.clip(values, _NEAREST, 1 - _NEAREST)
    return np.log(inside) - np.log1p(-inside)


def _expit(values: Any) -> Floats:
    from scipy.special import expit

    return np.asarray(expit(values))

"""How far a measure might be off: a bootstrap of the genome's blocks, for a task and for means over tasks."""

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

# The logit of a measure that some resample puts at 0 or 1; the steps of a measure of few positives are about so small.
_NEAREST = 1e-6

# Of more blocks than this, neighbours are left out together.
_PARTS = 400


class BootstrapDraws(NamedTuple):
    """A measure, or a mean or a difference of measures, and its values as chance might have had them.

    Args:
        estimate: From all windows, of any shape (...), NaN where undefined.
        resampled: From each of R resamples of the blocks, (R, ...), NaN where one has no positive or no negative.
        left_out: From all blocks but one, each once, likewise, (J, ...): J is the number of blocks, or 400 where there
            are more, of which as many neighbours as it takes are then left out together.
        bounded: Whether the values lie between 0 and 1, so that intervals are formed from their logits.
    """

    estimate: Floats
    resampled: Floats
    left_out: Floats
    bounded: bool

    @property
    def undefined(self) -> NDArray[np.int64]:
        """In how many of the resamples there is no value, (...)."""
        counted: NDArray[np.int64] = np.isnan(self.resampled).sum(axis=0)
        return counted

    def map(self, function: Callable[[Floats], Floats]) -> BootstrapDraws:
        """What a function makes of the tasks' values in each resample, e.g. `Mean.of`, or their median.

        A task that is undefined in a resample is left out of that resample's mean, as it would be if the resample were
        the test set.

        Args:
            function: Of values (..., T), T tasks in the last axis, which it may take away; they stay between 0 and 1
                if they are.
        """
        return BootstrapDraws(function(self.estimate), function(self.resampled), function(self.left_out), self.bounded)


class Resampled(NamedTuple):
    """Both measures of T tasks in the same resamples."""

    auroc: BootstrapDraws
    average_precision: BootstrapDraws


class ConfidenceInterval(NamedTuple):
    """Where the measure of the population lies with the confidence asked for; NaN where that cannot be said."""

    low: Floats
    high: Floats


class Spread(NamedTuple):
    """What intervals and p-values are made of, on the logit's scale where the values are bounded.

    Args:
        centre: The estimate less its bias, (...).
        error: Its standard error, (...).
        freedom: Degrees of freedom of that standard error, (...).
    """

    centre: Floats
    error: Floats
    freedom: Floats


def bootstrap(columns: Columns, blocks: Blocks, resamples: int = 1000, seed: int = 0) -> Resampled:
    """AUROC and average precision of each task in resamples of the genome's blocks (a cluster bootstrap).

    All tasks share their resamples, so means over tasks can be resampled too; two models with the same blocks and seed
    share them as well, so their differences can.

    Args:
        columns: N windows, T tasks.
        blocks: The windows' blocks.
        resamples: R.
        seed: The same gives the same resamples.

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
    """With which others each block is left out at once, (B,): neighbours, where there are many blocks."""
    return np.arange(n_blocks) * min(n_blocks, _PARTS) // n_blocks


def difference(a: BootstrapDraws, b: BootstrapDraws) -> BootstrapDraws:
    """The one less the other, resample by resample: two models, from the same windows, blocks and seed.

    Raises:
        InputError: They have not the same shape.
    """
    if a.resampled.shape != b.resampled.shape or a.left_out.shape != b.left_out.shape:
        raise InputError(
            f"resamples of the shapes {a.resampled.shape} and {b.resampled.shape}, "
            f"{len(a.left_out)} and {len(b.left_out)} blocks",
            expected="two models' measures of the same tasks, in the same resamples of the same blocks",
        )
    return BootstrapDraws(a.estimate - b.estimate, a.resampled - b.resampled, a.left_out - b.left_out, False)


def spread(draws: BootstrapDraws) -> Spread:
    """Bias, standard error and its degrees of freedom.

    The bias is the jackknife's, from leaving out each block once (Quenouille 1956): the average precision of few
    positives is too high, by little in a task beside its error, but by much in a mean over many tasks, whose error is
    small. The standard error is the resamples' standard deviation or the jackknife's, which is larger: the first falls
    short where taking off the bias adds to the error, the second where a few positives are ranked almost perfectly.
    The degrees of freedom are Satterthwaite's (1946) for a variance from J terms of the kurtosis that the blocks'
    influences show: J - 1 where these are normal, few where some blocks decide all. `docs/decisions/intervals.md` has
    the coverage of this and of what else was tried.

    NaN where one block alone has all positives or all negatives of a task, or all windows are ranked right or wrong.
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
    """A confidence interval of each value: centre and t times the standard error of `spread`, mapped back.

    It is of the measure in the population, not of the estimate: the interval of a mean of many tasks' average precision
    may lie below the estimate, where its bias exceeds its error.

    Args:
        draws: What `bootstrap`, `BootstrapDraws.map` or `difference` gave.
        level: How often the interval is to cover the truth.

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
    """The two-sided p-value of a difference of 0, from the same t statistic as the interval.

    So it is below 0.05 exactly where the 95% interval leaves 0 out. Counting resamples beyond 0 could not go below
    1 / (R + 1), which no correction for a thousand tasks would leave significant.

    Args:
        draws: What `difference` gave, perhaps after `BootstrapDraws.map`.

    Returns:
        (...); 1 where no resample differs, NaN where the interval is.

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
        influence: (J, ...); of those that do not count, 0.
        n: Blocks that count.
    """
    square, fourth = (influence**2).sum(axis=0), (influence**4).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        kurtosis = np.where(square > 0, n * fourth / square**2, 3.0)
        return np.asarray(np.clip(2 * n / (kurtosis - (n - 3) / (n - 1)), 1, n - 1))


def _deviation(values: Floats) -> Floats:
    """The standard deviation over the defined values of the first axis."""
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

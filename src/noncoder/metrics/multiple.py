"""p-values of many tasks, adjusted for their number."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from noncoder.errors import InputError, UnknownNameError

_METHODS = ("holm", "bh", "bonferroni")


def adjust(p: ArrayLike, method: Literal["holm", "bh", "bonferroni"] = "holm") -> NDArray[np.float64]:
    """Adjusts p-values so that they can be compared with the level of a single test.

    Args:
        p: (T,), NaN where there was no test, which does not count.
        method: "holm" (Holm 1979) and "bonferroni" bound the probability of at least one false finding; the first is
            never weaker. "bh" (Benjamini & Hochberg 1995) bounds the expected fraction of false findings.

    Returns:
        (T,), NaN where p is NaN.

    Raises:
        UnknownNameError: There is no such method.
        InputError: A value is not between 0 and 1.
    """
    if method not in _METHODS:
        raise UnknownNameError("correction", method, _METHODS)
    p = np.asarray(p, dtype=np.float64)
    tested = ~np.isnan(p)
    found = p[tested]
    if ((found < 0) | (found > 1)).any():
        raise InputError("a p-value below 0 or above 1", expected="between 0 and 1, or NaN")
    adjusted = np.full(p.shape, np.nan)
    if found.size:
        adjusted[tested] = np.minimum(_CORRECTIONS[method](found), 1.0)
    return adjusted


def _holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    order = np.argsort(p)
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    return adjusted


def _benjamini_hochberg(p: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.stats import false_discovery_control

    return np.asarray(false_discovery_control(p))


def _bonferroni(p: NDArray[np.float64]) -> NDArray[np.float64]:
    return p * p.size


_CORRECTIONS = dict(zip(_METHODS, (_holm, _benjamini_hochberg, _bonferroni), strict=True))

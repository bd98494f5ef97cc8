"""How far two tracks over the same bases agree."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from noncoder.errors import InputError


class Agreement(NamedTuple):
    """Spearman's rank correlation of two tracks.

    Attributes:
        mean: The mean over windows; NaN where there is none.
        windows: How many windows have one.
        each: Of each window, (n,); NaN where one of the tracks is the same everywhere, or fewer than three bases are
            known in both.
    """

    mean: float
    windows: int
    each: NDArray[np.float64]


def rank_agreement(a: ArrayLike, b: ArrayLike) -> Agreement:
    """Spearman's rank correlation of two tracks within each window, ties in the middle of their ranks.

    Args:
        a: (n, L); NaN where unknown.
        b: (n, L); NaN where unknown.

    Raises:
        InputError: The shapes differ.
    """
    from scipy.stats import rankdata

    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 2:
        raise InputError(f"tracks of shapes {a.shape} and {b.shape}", expected="two tracks of one shape, (n, L)")
    each = np.full(len(a), np.nan)
    for i, (one, other) in enumerate(zip(a, b, strict=True)):
        known = ~(np.isnan(one) | np.isnan(other))
        if known.sum() < 3 or np.ptp(one[known]) == 0 or np.ptp(other[known]) == 0:
            continue
        each[i] = np.corrcoef(rankdata(one[known]), rankdata(other[known]))[0, 1]
    found = each[~np.isnan(each)]
    return Agreement(float(found.mean()) if found.size else float("nan"), found.size, each)

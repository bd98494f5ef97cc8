"""Values along sequences: importance from substitutions, and the agreement of two tracks over the same bases."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from noncoder.errors import InputError
from noncoder.sequence.encoding import N_CODE

Floats = NDArray[np.floating[Any]]


def mutation_importance(codes: ArrayLike, substitutions: ArrayLike) -> Floats:
    """Returns the importance of the observed bases: minus the mean effect of their substitutions, (..., L).

    It is 0 at an N, as all attributions are: no base is observed there. It is NaN if no substitution was measured.

    Args:
        codes: Sequences, (..., L).
        substitutions: Logit of the mutated sequence minus the sequence's own, (..., 4, L); NaN if not measured.
    """
    present, effects = np.asarray(codes)[..., None, :], np.asarray(substitutions)
    effects = effects if effects.dtype.kind == "f" else effects.astype(np.float64)
    tried = np.isfinite(effects)
    others = tried & (np.arange(4)[:, None] != present)
    total = np.where(others, effects, 0).sum(axis=-2)
    mean = total / np.maximum(1, others.sum(axis=-2)).astype(effects.dtype)
    importance = np.where(present[..., 0, :] < N_CODE, -mean, effects.dtype.type(0))
    return np.asarray(np.where(tried.any(axis=-2), importance, effects.dtype.type(np.nan)))


class Agreement(NamedTuple):
    """Spearman's rank correlation of two tracks.

    Attributes:
        mean: Mean over windows; NaN if no window has a correlation.
        windows: Number of windows with a correlation.
        each: Correlation of each window, (n,); NaN if one of the tracks is constant, or fewer than three bases are
            known in both.
    """

    mean: float
    windows: int
    each: NDArray[np.float64]


def rank_agreement(a: ArrayLike, b: ArrayLike) -> Agreement:
    """Computes Spearman's rank correlation of two tracks within each window; ties share their mean rank.

    Args:
        a: (n, L); NaN where unknown.
        b: (n, L); NaN where unknown.

    Raises:
        InputError: The shapes differ.
    """
    from scipy.stats import spearmanr

    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 2:
        raise InputError(f"tracks of shapes {a.shape} and {b.shape}", expected="two tracks of one shape, (n, L)")
    each = np.full(len(a), np.nan)
    for i, (one, other) in enumerate(zip(a, b, strict=True)):
        known = ~(np.isnan(one) | np.isnan(other))
        if known.sum() >= 3 and np.ptp(one[known]) > 0 and np.ptp(other[known]) > 0:
            each[i] = spearmanr(one[known], other[known]).statistic
    found = each[~np.isnan(each)]
    return Agreement(float(found.mean()) if found.size else float("nan"), found.size, each)

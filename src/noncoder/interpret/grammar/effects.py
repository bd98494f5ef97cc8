"""Differences of logits by background, and their means with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Summary(NamedTuple):
    """Mean effects and their intervals, arrays of one shape.

    Args:
        mean: Mean over the units.
        low: Lower end of the interval; NaN with fewer than two units.
        high: Upper end of the interval.
        units: Number of independent backgrounds.
    """

    mean: Floats
    low: Floats
    high: Floats
    units: int

    def task(self, k: int) -> Summary:
        """Returns the effects on the k-th task, the last axis."""
        return Summary(self.mean[..., k], self.low[..., k], self.high[..., k], self.units)

    def take(self, index: NDArray[np.int64]) -> Summary:
        """Returns some entries of the first axis."""
        return Summary(self.mean[index], self.low[index], self.high[index], self.units)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain lists, or numbers for a single effect."""
        return {"mean": self.mean.tolist(), "low": self.low.tolist(), "high": self.high.tolist(), "units": self.units}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Summary:
        """The inverse; None, which stands for NaN in JSON, becomes NaN."""
        mean, low, high = (np.array(values[name], dtype=np.float64) for name in ("mean", "low", "high"))
        return cls(mean, low, high, int(values["units"]))


@dataclass(frozen=True)
class Effects:
    """Logit with the change minus logit without it, by background.

    Args:
        values: (n, ..., K), n backgrounds and K tasks.
        source: Window from which each background was shuffled, (n,).
    """

    values: Floats
    source: NDArray[np.int64]

    def summary(self, level: float = 0.95, comparisons: int = 1) -> Summary:
        """Returns mean effects with Student's t intervals, (..., K).

        The units are the windows from which the backgrounds were made: shuffles of one window are not independent and
        are averaged first. If all are from one window, the shuffles are the units, and the interval holds for this
        window only.

        Args:
            level: Confidence of the interval.
            comparisons: Number of intervals that are to hold together with this confidence (Bonferroni).
        """
        from scipy.stats import t  # takes half a second to import

        units = self._units()
        n = len(units)
        mean = units.mean(axis=0)
        if n < 2:
            nowhere = np.full(mean.shape, np.nan)
            return Summary(mean, nowhere, nowhere, n)
        half = t.ppf(1 - (1 - level) / (2 * comparisons), n - 1) * units.std(axis=0, ddof=1) / np.sqrt(n)
        return Summary(mean, mean - half, mean + half, n)

    def _units(self) -> Floats:
        windows, member = np.unique(self.source, return_inverse=True)
        if windows.size in (1, len(self.values)):
            return self.values
        total = np.zeros((windows.size, *self.values.shape[1:]))
        np.add.at(total, member, self.values)
        return total / np.bincount(member).reshape(-1, *(1,) * (self.values.ndim - 1))

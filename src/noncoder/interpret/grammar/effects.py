"""Differences of logits by background, and what they say of the backgrounds they were drawn from."""

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
        mean: The mean over the units.
        low: The lower end of the interval; NaN with fewer than two units.
        high: Its upper end.
        units: How many independent backgrounds the interval is from.
    """

    mean: Floats
    low: Floats
    high: Floats
    units: int

    def task(self, k: int) -> Summary:
        """Of the k-th of the tasks, the last axis."""
        return Summary(self.mean[..., k], self.low[..., k], self.high[..., k], self.units)

    def take(self, index: NDArray[np.int64]) -> Summary:
        """Some entries of the first axis."""
        return Summary(self.mean[index], self.low[index], self.high[index], self.units)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, or numbers for a single effect."""
        return {"mean": self.mean.tolist(), "low": self.low.tolist(), "high": self.high.tolist(), "units": self.units}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Summary:
        """The inverse; None, as JSON has it for NaN, becomes NaN again."""
        mean, low, high = (np.array(values[name], dtype=np.float64) for name in ("mean", "low", "high"))
        return cls(mean, low, high, int(values["units"]))


@dataclass(frozen=True)
class Effects:
    """Logit with less logit without, background by background.

    Args:
        values: (n, ..., K), n backgrounds and K tasks.
        source: The window that each background is a shuffle of, (n,).
    """

    values: Floats
    source: NDArray[np.int64]

    def summary(self, level: float = 0.95, comparisons: int = 1) -> Summary:
        """Mean effects with Student's t intervals, (..., K).

        The units are the windows that the backgrounds were made of: shuffles of one window are no independent draws
        and are averaged first. Where all are of one window, the shuffles are the units, and nothing is said of others.

        Args:
            level: Confidence of the interval.
            comparisons: Of how many intervals that all hold together with this confidence it is one (Bonferroni).
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

"""Means over tasks, with the tasks that they include and their weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


class Mean(NamedTuple):
    """A rule that combines the values of tasks into one number.

    Args:
        weights: Weight of each task, (T,); 0 for a task that is not included.
        undefined: "left out" for a mean over the defined tasks only, whose weights are rescaled to sum to 1; "zero"
            for a mean in which an undefined value counts as 0 and keeps its weight.
    """

    weights: Floats
    undefined: str = "left out"

    def of(self, values: ArrayLike) -> Floats:
        """Returns the mean of values (..., T) along their last axis; NaN if no included value is defined."""
        values = np.asarray(values, dtype=np.float64)
        defined = ~np.isnan(values)
        total = self.weights.sum() if self.undefined == "zero" else defined @ self.weights
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(defined, values, 0.0) @ self.weights / total
        return np.where((defined & (self.weights > 0)).any(axis=-1), mean, np.nan)

    def tasks(self, values: ArrayLike) -> int:
        """Returns the number of tasks in the mean of values (T,)."""
        return int(((self.weights > 0) & ~np.isnan(np.asarray(values, dtype=np.float64))).sum())


def named_means(positives: ArrayLike, train_positives: ArrayLike, min_positives: int) -> dict[str, Mean]:
    """Returns the means that are reported side by side.

    Args:
        positives: Positives of each task in the evaluated windows, (T,).
        train_positives: Positives of each task in training, (T,).
        min_positives: Least number of positives of a task in `mean_min_positives`.

    Returns:
        "mean", over the tasks with a value; "mean_min_positives", over those of them with enough positives; "weighted",
        by training positives, over those with a value; "weighted_as_report", by training positives as in the 2020
        report: an undefined task counts as 0 and keeps its weight, so the mean is too low.
    """
    counts, weights = np.asarray(positives), np.asarray(train_positives, dtype=np.float64)
    return {
        "mean": Mean(np.ones(counts.size)),
        "mean_min_positives": Mean((counts >= min_positives).astype(np.float64)),
        "weighted": Mean(weights),
        "weighted_as_report": Mean(weights, "zero"),
    }


def group_means(groups: Mapping[str, Sequence[int]], n_tasks: int) -> dict[str, Mean]:
    """Returns the mean over each group's tasks with a value.

    Args:
        groups: Columns of each group.
        n_tasks: Number of tasks, T.
    """
    members = {name: np.isin(np.arange(n_tasks), columns) for name, columns in groups.items()}
    return {name: Mean(inside.astype(np.float64)) for name, inside in members.items()}


def why_undefined(positives: ArrayLike, known: ArrayLike) -> list[str]:
    """Returns the reason why each task has neither AUROC nor average precision.

    Args:
        positives: Known positives, (T,).
        known: Known labels, (T,).

    Returns:
        T texts: "", "no known label", "no positive" or "no negative".
    """
    return [
        "no known label" if n == 0 else "no positive" if p == 0 else "no negative" if p == n else ""
        for p, n in zip(np.asarray(positives).tolist(), np.asarray(known).tolist(), strict=True)
    ]


__all__ = ["Mean", "group_means", "named_means", "why_undefined"]

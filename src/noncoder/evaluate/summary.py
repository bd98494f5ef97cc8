"""Means over tasks, each named, with how many tasks are in it, why others are not, and its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noncoder.data.tasks import Task, group_columns
from noncoder.evaluate.measuring import RANKED, Measured
from noncoder.metrics import Mean, group_means, named_means, why_undefined
from noncoder.metrics.uncertainty import Draws, difference, interval

_LEVEL = 0.95
# How often intervals hold was measured for genomes of at least so many stretches.
_TESTED = 50

Floats = NDArray[np.float64]


def summarize(
    tasks: Sequence[Task], measured: Measured, train_positives: NDArray[np.int64], min_positives: int
) -> dict[str, Any]:
    """What summary.json says of the tasks.

    Args:
        tasks: T of them.
        measured: What was measured of each.
        train_positives: Positives of each task in training, (T,): the weights of the weighted means.
        min_positives: The fewest positives of the tasks in `mean_min_positives`.
    """
    found = measured.measures
    names, why = [task.name for task in tasks], why_undefined(found.positives, found.known)
    means = named_means(found.positives, train_positives, min_positives)
    columns = group_columns(tasks)
    scored = ~np.isnan(found.auroc)
    told = {name: _told(mean, measured) for name, mean in means.items()}
    return {
        "tasks": len(names),
        "scored": int(scored.sum()),
        "undefined": [name for name, reason in zip(names, why, strict=True) if reason],
        "left_out": {
            reason: [name for name, its in zip(names, why, strict=True) if its == reason]
            for reason in dict.fromkeys(why)
            if reason
        },
        "prevalence": float(found.positives.sum() / max(1, found.known.sum())),
        **told,
        "median": _medians(measured, np.ones(len(names), dtype=bool)),
        "min_positives": min_positives,
        "tasks_with_min_positives": told["mean_min_positives"]["tasks"],
        "groups": {
            name: {"scored": int(scored[columns[name]].sum())}
            | _told(mean, measured)
            | {"tasks": len(columns[name]), "median": _medians(measured, mean.weights > 0)}
            for name, mean in group_means(columns, len(names)).items()
        },
        "bootstrap": _bootstrap(measured),
        "averaging": _averaging(measured, means),
    }


def _told(mean: Mean, measured: Measured) -> dict[str, Any]:
    values = _values(measured)
    told: dict[str, Any] = {"tasks": mean.tasks(measured.measures.auroc)}
    told |= {name: _or_none(mean.of(column)) for name, column in values.items()}
    resampled = measured.ways[-1].resampled
    if resampled is not None:
        told["interval"] = {name: _ends(getattr(resampled, name).map(mean.of)) for name in RANKED}
    return told


def _medians(measured: Measured, members: NDArray[np.bool_]) -> dict[str, Any]:
    inside = members & ~np.isnan(measured.measures.auroc)
    told: dict[str, Any] = {"tasks": int(inside.sum())}
    for name, values in _values(measured).items():
        told[name] = _or_none(np.median(values[inside])) if inside.any() else None
    return told


def _values(measured: Measured) -> Mapping[str, Floats]:
    found, raw = measured.measures, measured.raw
    # A task that cannot be ranked is in no mean of its probabilities either: one set of tasks a row.
    scored = np.where(np.isnan(found.auroc), np.nan, 1.0)
    return {
        "auroc": found.auroc,
        "average_precision": found.average_precision,
        "pr_auc_trapezoid": found.pr_auc_trapezoid,
        "best_f1": found.best_f1,
        **{name: getattr(raw, name) * scored for name in ("accuracy", "log_loss", "brier", "ece")},
    }


def _bootstrap(measured: Measured) -> dict[str, Any] | None:
    if measured.blocks is None:
        return None
    return {
        "resamples": measured.resamples,
        "level": _LEVEL,
        "blocks": measured.blocks.n,
        "block": measured.blocks.length,
        "few": measured.blocks.n < _TESTED,
        "seed": 0,
    }


def _averaging(measured: Measured, means: Mapping[str, Mean]) -> list[dict[str, Any]]:
    """Each way of averaging, with its distance from the plain one; resamples are the same for all, so they pair."""
    plain = measured.ways[0]
    rows = []
    for way in measured.ways:
        row: dict[str, Any] = {"name": way.name}
        for name in ("mean", "weighted"):
            row[name] = {key: _or_none(means[name].of(getattr(way.ranking, key))) for key in RANKED}
        row["difference"] = {
            key: _or_none(means["mean"].of(getattr(way.ranking, key)) - means["mean"].of(getattr(plain.ranking, key)))
            for key in RANKED
        }
        if way is not plain and way.resampled is not None and plain.resampled is not None:
            apart = {key: difference(getattr(way.resampled, key), getattr(plain.resampled, key)) for key in RANKED}
            row["difference"]["interval"] = {key: _ends(apart[key].map(means["mean"].of)) for key in RANKED}
        rows.append(row)
    return rows


def _ends(draws: Draws) -> list[float | None]:
    return [_or_none(end) for end in interval(draws, _LEVEL)]


def _or_none(value: Floats | float) -> float | None:
    # JSON has no NaN.
    return None if np.isnan(value) else float(value)

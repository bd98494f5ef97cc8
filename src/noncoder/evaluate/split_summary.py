"""Means over tasks with their intervals, their numbers of tasks, and the reasons why tasks are left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from noncoder.data.tasks import Task, group_columns
from noncoder.evaluate.measuring import RANKED, MeasuredSplit
from noncoder.metrics import Mean, group_means, named_means, why_undefined
from noncoder.metrics.uncertainty import BootstrapDraws, difference, interval
from noncoder.runs.results import (
    AveragingRow,
    BootstrapSummary,
    Difference,
    GroupScores,
    Influences,
    Ranked,
    RankedEnds,
    Scores,
    TaskMeans,
)

_LEVEL = 0.95
# The coverage of the intervals was measured with at least this many genome blocks.
_TESTED = 50

Floats = NDArray[np.float64]


def summarize(
    tasks: Sequence[Task],
    measured: MeasuredSplit,
    train_positives: NDArray[np.int64],
    min_positives: int,
    influences: Influences | None,
) -> TaskMeans:
    """Means over the tasks of a split.

    Args:
        tasks: The T tasks.
        measured: Their measures.
        train_positives: Positives of each task in training, (T,): the weights of the weighted means.
        min_positives: The minimum number of positives of the tasks in `mean_min_positives`.
        influences: The most influential genome blocks.
    """
    found = measured.measures
    names, why = [task.name for task in tasks], why_undefined(found.positives, found.known)
    means = named_means(found.positives, train_positives, min_positives)
    columns = group_columns(tasks)
    scored = ~np.isnan(found.auroc)
    rows = {name: _scores(mean, measured) for name, mean in means.items()}
    return TaskMeans(
        tasks=len(names),
        scored=int(scored.sum()),
        undefined=[name for name, reason in zip(names, why, strict=True) if reason],
        left_out={
            reason: [name for name, its in zip(names, why, strict=True) if its == reason]
            for reason in dict.fromkeys(why)
            if reason
        },
        prevalence=float(found.positives.sum() / max(1, found.known.sum())),
        **rows,
        median=_medians(measured, np.ones(len(names), dtype=bool)),
        min_positives=min_positives,
        tasks_with_min_positives=rows["mean_min_positives"].tasks,
        groups={
            name: GroupScores(
                **dict(_scores(mean, measured)) | {"tasks": len(columns[name])},
                scored=int(scored[columns[name]].sum()),
                median=_medians(measured, mean.weights > 0),
            )
            for name, mean in group_means(columns, len(names)).items()
        },
        bootstrap=_bootstrap(measured, influences),
        averaging=_averaging(measured, means),
    )


def _scores(mean: Mean, measured: MeasuredSplit) -> Scores:
    resampled = measured.ways[-1].resampled
    return Scores(
        tasks=mean.tasks(measured.measures.auroc),
        **{name: float(mean.of(column)) for name, column in _values(measured).items()},
        interval=None if resampled is None else _ends({name: getattr(resampled, name) for name in RANKED}, mean),
    )


def _medians(measured: MeasuredSplit, members: NDArray[np.bool_]) -> Scores:
    inside = members & ~np.isnan(measured.measures.auroc)
    if not inside.any():
        return Scores(tasks=0)
    values = {name: float(np.median(column[inside])) for name, column in _values(measured).items()}
    return Scores(tasks=int(inside.sum()), **values)


def _values(measured: MeasuredSplit) -> Mapping[str, Floats]:
    found, raw = measured.measures, measured.raw
    # All means of a row are over the same tasks: those with a defined AUROC.
    scored = np.where(np.isnan(found.auroc), np.nan, 1.0)
    return {
        "auroc": found.auroc,
        "average_precision": found.average_precision,
        "pr_auc_trapezoid": found.pr_auc_trapezoid,
        "best_f1": found.best_f1,
        **{name: getattr(raw, name) * scored for name in ("accuracy", "log_loss", "brier", "ece")},
    }


def _bootstrap(measured: MeasuredSplit, influences: Influences | None) -> BootstrapSummary | None:
    if measured.blocks is None:
        return None
    return BootstrapSummary(
        resamples=measured.resamples,
        level=_LEVEL,
        blocks=measured.blocks.n,
        block=measured.blocks.length,
        few=measured.blocks.n < _TESTED,
        most_influential=influences,
    )


def _averaging(measured: MeasuredSplit, means: Mapping[str, Mean]) -> list[AveragingRow]:
    """One row for each way of averaging. All ways use the same resamples, so differences are paired."""
    plain = measured.ways[0]
    rows = []
    for way in measured.ways:
        by_name = {
            name: Ranked(**{key: float(means[name].of(getattr(way.ranking, key))) for key in RANKED})
            for name in ("mean", "weighted")
        }
        found = {
            key: float(means["mean"].of(getattr(way.ranking, key)) - means["mean"].of(getattr(plain.ranking, key)))
            for key in RANKED
        }
        ends = None
        if way is not plain and way.resampled is not None and plain.resampled is not None:
            apart = {key: difference(getattr(way.resampled, key), getattr(plain.resampled, key)) for key in RANKED}
            ends = _ends(apart, means["mean"])
        rows.append(AveragingRow(name=way.name, **by_name, difference=Difference(**found, interval=ends)))
    return rows


def _ends(draws: Mapping[str, BootstrapDraws], mean: Mean) -> RankedEnds:
    found = {key: interval(one.map(mean.of), _LEVEL) for key, one in draws.items()}
    # JSON has no NaN.
    ends = {key: tuple(None if np.isnan(end) else float(end) for end in pair) for key, pair in found.items()}
    return RankedEnds(**ends)

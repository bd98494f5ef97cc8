"""Compares our scores with published ones: means with their definitions, and differences in each task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from noncoder.benchmarks.published import Published, published
from noncoder.benchmarks.task_scores import (
    FROM_ZERO,
    GROUPS,
    MODELS,
    N_TASKS,
    STEPS,
    TEST_WINDOWS,
    Score,
    column,
    in_group,
    over_groups,
    task_scores,
    weighted_by_test_positives,
)
from noncoder.errors import InputError, UnknownNameError

TABLES = ("report", "report_test", "field")

Row = dict[str, Any]
Floats = NDArray[np.float64]

# Largest deviation of a mean weighted by the bundle's own positives from one that was reported to four digits.
_ROUNDED = 5e-4
# Number of tasks that a message names.
_NAMED = 3


@dataclass(frozen=True)
class ModelScores:
    """Scores of one of our models on a split.

    Args:
        tasks: Names of the tasks, (T,), in any order.
        auroc: (T,), NaN if undefined.
        average_precision: (T,).
        pr_auc_trapezoid: (T,), by trapezoid from precision 0, as in the 2020 report.
        windows: Number of scored windows of the split.
        strands: "both" for averaged strands; "forward" or "reverse".
        weighted: auroc, average_precision and pr_auc_trapezoid weighted by training positives as in the report, with an
            undefined task as 0; None if unknown.
        positives: Positives of each task, (T,); None if unknown.
        train_positives: Positives of each task in training, (T,), the weights of `weighted`; None if unknown.
        model: Name of the model.

    Raises:
        InputError: The arrays differ in length.
    """

    tasks: Sequence[str]
    auroc: ArrayLike
    average_precision: ArrayLike
    pr_auc_trapezoid: ArrayLike
    windows: int
    strands: str
    weighted: Mapping[str, Any] | None = None
    positives: ArrayLike | None = None
    train_positives: ArrayLike | None = None
    model: str = "ours"

    def __post_init__(self) -> None:
        arrays = [self.auroc, self.average_precision, self.pr_auc_trapezoid]
        arrays += [counts for counts in (self.positives, self.train_positives) if counts is not None]
        lengths = [len(self.tasks), *(len(np.asarray(array)) for array in arrays)]
        if len(set(lengths)) > 1:
            raise InputError(f"arrays of {', '.join(map(str, lengths))} values", expected="one value per task in each")

    def in_order(self, name: str) -> Floats:
        """Returns one of its arrays in DeepSEA's order, (919,), NaN for missing tasks."""
        at = {task: i for i, task in enumerate(self.tasks)}
        values = np.append(np.asarray(getattr(self, name), dtype=float), np.nan)
        ordered: Floats = values[[at.get(task, -1) for task in task_scores()["task"]]]
        return ordered


class ModelMeans(NamedTuple):
    """Means of all models as arrays, for a figure.

    Args:
        models: Names of the models, (M,).
        groups: Names of the groups, (G,).
        values: (M, G), NaN if unknown.
        ours: (M,), true for our models.
        comparable: (M,), true for comparable models.
    """

    models: list[str]
    groups: tuple[str, ...]
    values: Floats
    ours: NDArray[np.bool_]
    comparable: NDArray[np.bool_]


def compare_with_published(measured: ModelScores) -> dict[str, Any] | None:
    """Compares our means with those of the literature, in three tables.

    The table "report" is the 2020 report's: means weighted by training positives. "report_test" weights by the test
    set's positives, which are known for all models with scores of each task. "field" is that of all other work:
    unweighted means and medians over the scorable tasks of a group. A row is for one model and one definition of the
    area under the precision-recall curve, so ours has two rows in each table.

    Args:
        measured: Our scores.

    Returns:
        None if no task is DeepSEA's. Else {"comparable", "why": reasons why ours are not comparable, "rows"}. A row has
        table, model, year, parameters, ours, comparable, why, definition, pr_auc_by, strands_averaged,
        strands_certainty, source, certainty and note. In the table "field" it has mean and median, each with auroc and
        pr_auc by group; in the others it has auroc and pr_auc.
    """
    if not set(measured.tasks) & set(task_scores()["task"]):
        return None
    why = _why_not(measured)
    rows = [row for entry in published() for row in _published_rows(entry)]
    rows += _our_rows(measured, why)
    rows.sort(key=lambda row: TABLES.index(row["table"]))
    return {"comparable": not why, "why": why, "rows": rows}


def model_means(
    comparison: Mapping[str, Any], statistic: Literal["mean", "median"], measure: Literal["auroc", "pr_auc"]
) -> ModelMeans:
    """Returns the table "field" as arrays; models without a value are left out.

    Args:
        comparison: Result of `compare_with_published`.
        statistic: "mean" or "median".
        measure: "auroc" or "pr_auc".
    """
    rows: list[Mapping[str, Any]] = []
    values = []
    for row in comparison["rows"]:
        scores = row.get(statistic, {})
        line = [np.nan if (value := scores.get(group, {}).get(measure)) is None else value for group in GROUPS]
        # Our two rows differ only in the area under the precision-recall curve.
        again = measure == "auroc" and row["ours"] and any(other["ours"] for other in rows)
        if not np.isnan(line).all() and not again:
            rows.append(row)
            values.append(line)
    named = [
        f"{row['model']}, {row['pr_auc_by']}" if row["ours"] and measure == "pr_auc" else row["model"] for row in rows
    ]
    return ModelMeans(named, GROUPS, np.array(values).reshape(-1, len(GROUPS)), np.array([row["ours"] for row in rows]),
                      np.array([row["comparable"] for row in rows]))  # fmt: skip


def task_differences(measured: ModelScores, model: str = "DanQ", top: int = 5) -> dict[str, Any]:
    """Compares our scores of each task with a published model.

    The area under the precision-recall curve has the model's definition: by trapezoid for DeepSEA and DanQ, whose first
    point is at precision 1 and ours at 0 (a difference of at most half of 1 / positives), else average precision.

    Args:
        measured: Our scores.
        model: One of `MODELS`.
        top: Number of tasks that are named among the largest gains and losses.

    Returns:
        {"model", "pr_auc_by", "tasks": for each common task its name, group, and for auroc and pr_auc a dict of ours,
        published and difference; "groups": for each group, all first, for auroc and pr_auc a dict of tasks (number
        compared), better (number), mean and median of the differences, best and worst (tasks with their difference)}.

    Raises:
        UnknownNameError: The model has no published scores of each task.
    """
    if model not in MODELS:
        raise UnknownNameError("model with published scores of each task", model, MODELS)
    by_steps = MODELS[model].pr_auc_by == STEPS
    ours = {
        "auroc": measured.in_order("auroc"),
        "pr_auc": measured.in_order("average_precision" if by_steps else "pr_auc_trapezoid"),
    }
    theirs = {"auroc": column(model, "auroc"), "pr_auc": column(model, "pr_auc")}
    moved = {measure: ours[measure] - theirs[measure] for measure in ours}
    names = task_scores()["task"].to_list()
    tasks = [
        {"task": names[i], "group": task_scores()["group"][i]}
        | {
            measure: {"ours": float(ours[measure][i]), "published": float(theirs[measure][i]),
                      "difference": float(moved[measure][i])}
            for measure in ours
        }
        for i in np.flatnonzero(~np.isnan(moved["auroc"]) & ~np.isnan(moved["pr_auc"])).tolist()
    ]  # fmt: skip
    groups = {
        group: {measure: _movers(names, moved[measure], in_group(group), top) for measure in moved} for group in GROUPS
    }
    return {"model": model, "pr_auc_by": MODELS[model].pr_auc_by, "tasks": tasks, "groups": groups}


def _movers(names: Sequence[str], moved: Floats, members: NDArray[np.bool_], top: int) -> dict[str, Any]:
    there = np.flatnonzero(members & ~np.isnan(moved))
    order = there[np.argsort(-moved[there], kind="stable")]

    def named(tasks: NDArray[np.int64]) -> list[dict[str, Any]]:
        return [{"task": names[i], "difference": float(moved[i])} for i in tasks.tolist()]

    return {
        "tasks": int(there.size),
        "better": int((moved[there] > 0).sum()),
        "mean": float(moved[there].mean()) if there.size else None,
        "median": float(np.median(moved[there])) if there.size else None,
        "best": named(order[:top]),
        "worst": named(order[::-1][:top]),
    }


def _why_not(measured: ModelScores) -> list[str]:
    """Returns the reasons why our numbers are not comparable with the published ones."""
    known = set(task_scores()["task"])
    shared = len(known & set(measured.tasks))
    why = []
    if shared < N_TASKS:
        why.append(f"{shared} of DeepSEA's {N_TASKS} tasks")
    if shared < len(measured.tasks):
        other = len(measured.tasks) - shared
        why.append(f"{other} other {'task' if other == 1 else 'tasks'}, left out here")
    if measured.windows not in (TEST_WINDOWS, 2 * TEST_WINDOWS):
        why.append(f"{measured.windows:,} windows; the test set has {TEST_WINDOWS:,}")
    elif measured.positives is not None:
        strands = measured.windows // TEST_WINDOWS
        found, expected = measured.in_order("positives"), strands * task_scores()["test_positives"].to_numpy()
        differ = np.flatnonzero(~np.isnan(found) & (found != expected)).tolist()
        if differ:
            names = ", ".join(task_scores()["task"][i] for i in differ[:_NAMED]) + ", …" * (len(differ) > _NAMED)
            why.append(f"positives of the test set differ in number in {len(differ)} of the tasks: {names}")
    return why


def _other_weights(measured: ModelScores) -> list[str]:
    """Checks that the training positives are the bundle's: then they weight DanQ's scores to the report's mean."""
    if measured.train_positives is None:
        return []
    weights = measured.in_order("train_positives")
    if np.isnan(weights).any() or not weights.sum():
        return []  # missing tasks are reported elsewhere
    expected = next(entry.weighted for entry in published() if entry.model == "DanQ")
    assert expected is not None
    theirs = np.array(expected, dtype=float)
    scores = column("DanQ", "auroc"), column("DanQ", "pr_auc")
    ours = np.nan_to_num(scores) @ weights / weights.sum()
    if np.abs(ours - theirs).max() <= _ROUNDED:
        return []
    return [
        "the training positives are not the bundle's: they weigh DanQ's scores to "
        f"{ours[0]:.4f} and {ours[1]:.4f}, the report's to {theirs[0]:.4f} and {theirs[1]:.4f}"
    ]


def _published_rows(entry: Published) -> list[Row]:
    about: Row = {
        "model": entry.model,
        "year": entry.year,
        "parameters": entry.parameters,
        "ours": False,
        "comparable": not entry.why_not,
        "why": [entry.why_not] if entry.why_not else [],
        "pr_auc_by": entry.pr_auc_by,
        "strands_averaged": entry.strands_averaged,
        "strands_certainty": entry.strands_certainty,
        "source": entry.source,
        "certainty": entry.certainty,
        "note": entry.note,
    }
    rows = []
    if entry.weighted:
        rows.append(about | _weighted("report", entry.weighted))
    if entry.weighted_by_test:
        rows.append(about | _weighted("report_test", entry.weighted_by_test))
    if entry.mean or entry.median:
        rows.append(about | _unweighted(entry.mean, entry.median))
    return rows


def _our_rows(measured: ModelScores, why: list[str]) -> list[Row]:
    averaged = measured.strands == "both"
    about: Row = {
        "model": measured.model,
        "year": None,
        "parameters": None,
        "ours": True,
        "comparable": not why,
        "why": why,
        "strands_averaged": averaged,
        "strands_certainty": "measured",
        "source": "this run",
        "certainty": "measured",
        "note": "" if averaged else f"the {measured.strands} strand alone",
    }
    auroc, rows = measured.in_order("auroc"), []
    for pr_auc_by, name in ((FROM_ZERO, "pr_auc_trapezoid"), (STEPS, "average_precision")):
        pr_auc, row = measured.in_order(name), about | {"pr_auc_by": pr_auc_by}
        if measured.weighted is not None:
            told = [*why, *_other_weights(measured)]
            score = Score(measured.weighted["auroc"], measured.weighted[name])
            rows.append(row | _weighted("report", score) | {"comparable": not told, "why": told})
        rows.append(row | _weighted("report_test", weighted_by_test_positives(auroc, pr_auc)))
        means, medians = over_groups("mean", auroc, pr_auc), over_groups("median", auroc, pr_auc)
        rows.append(row | _unweighted(means, medians))
    return rows


def _weighted(table: str, score: Score) -> Row:
    weights = {"report": "training", "report_test": "test"}[table]
    return {"table": table, "definition": f"mean weighted by {weights} positives", **score._asdict()}


def _unweighted(mean: Mapping[str, Score], median: Mapping[str, Score]) -> Row:
    return {
        "table": "field",
        "definition": "mean and median of a group's scorable tasks",
        "mean": {group: score._asdict() for group, score in mean.items()},
        "median": {group: score._asdict() for group, score in median.items()},
    }


__all__ = ["TABLES", "ModelMeans", "ModelScores", "compare_with_published", "model_means", "task_differences"]

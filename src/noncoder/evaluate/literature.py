"""Comparison of a test split's measures with the literature."""

from __future__ import annotations

from typing import Any

from noncoder.benchmarks import GROUPS, ModelScores, compare_with_published, model_means, task_differences
from noncoder.evaluate.measuring import MeasuredSplit
from noncoder.plots import plot_against_published, plot_published_means, save_figure
from noncoder.predictor.task_labels import Labels
from noncoder.runs.folder import SplitFolder
from noncoder.runs.results import Scores

# The published model for the scatter plot of tasks: the usual baseline.
AGAINST = "DanQ"


def write_published(
    folder: SplitFolder, labels: Labels, measured: MeasuredSplit, weighted: Scores | None, strands: str
) -> dict[str, Any] | None:
    """Compares a test split with published results, and draws published-tasks.png and published-means.png.

    Args:
        folder: The folder of the figures.
        labels: Labels of the T tasks.
        measured: Measures of the T tasks.
        weighted: Means weighted by training positives, computed as in the 2020 report.
        strands: The strands that were predicted.

    Returns:
        The result of `noncoder.benchmarks.compare_with_published`; None if no task is DeepSEA's.
    """
    found, way = measured.measures, measured.ways[-1].name
    ours = ModelScores(
        labels.names,
        found.auroc,
        found.average_precision,
        found.pr_auc_trapezoid,
        int(found.known.max(initial=0)),
        strands,
        weighted=None if weighted is None else weighted.to_json(),
        positives=found.positives,
        train_positives=labels.train_positives,
        # Published scores are of single models without shifts. Strands have their own column.
        model="ours" if way.endswith(("strand", "strands")) else f"ours, {way}",
    )
    comparison = compare_with_published(ours)
    by_task, of_means = folder.published_tasks, folder.published_means
    if comparison is None:
        for left in (by_task, of_means):
            left.unlink(missing_ok=True)
        return None
    rows = task_differences(ours, AGAINST)["tasks"]
    if rows:
        measures = {
            label: ([row[key]["published"] for row in rows], [row[key]["ours"] for row in rows])
            for key, label in (("auroc", "ROC AUC"), ("pr_auc", "PR AUC"))
        }
        names, groups = [row["task"] for row in rows], [row["group"] for row in rows]
        save_figure(plot_against_published(measures, names, groups, AGAINST), by_task)
    means = model_means(comparison, "mean", "auroc")
    figure = plot_published_means(means.models, means.values, GROUPS, means.ours, means.comparable, "mean ROC AUC")
    save_figure(figure, of_means)
    return comparison

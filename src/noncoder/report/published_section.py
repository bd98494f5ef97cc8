"""Figures of an evaluated split beside published results."""

from __future__ import annotations

import polars as pl
from matplotlib.figure import Figure

from noncoder import plots
from noncoder.benchmarks import GROUPS, ModelScores, model_means, task_differences
from noncoder.report.run_files import Split
from noncoder.runs.results import SplitSummary

# The published model whose task scores are drawn against ours: the usual baseline.
AGAINST = "DanQ"
_NEEDED = ("auroc", "average_precision", "pr_auc_trapezoid")


def published_figures(split: Split) -> dict[str, Figure]:
    """Returns the figures "published", means of models, and "against", task by task; none without a comparison.

    Args:
        split: An evaluated split.
    """
    summary = split.summary or SplitSummary()
    comparison = summary.published
    if not comparison:
        return {}
    figures = {}
    means = model_means(comparison, "mean", "auroc")
    if means.models:
        figures["published"] = plots.plot_published_means(
            means.models, means.values, GROUPS, means.ours, means.comparable, "mean AUROC"
        )
    if split.tasks is not None and set(_NEEDED) <= set(split.tasks.columns):
        figures |= _against(split.tasks, summary)
    return figures


def _against(tasks: pl.DataFrame, summary: SplitSummary) -> dict[str, Figure]:
    auroc, precision, trapezoid = (tasks[name].cast(pl.Float64).to_numpy() for name in _NEEDED)
    windows = int(tasks["windows"].to_numpy().max())
    ours = ModelScores(tasks["task"].to_list(), auroc, precision, trapezoid, windows, summary.strands or "")
    rows = task_differences(ours, AGAINST)["tasks"]
    if not rows:
        return {}
    measures = {
        label: ([row[key]["published"] for row in rows], [row[key]["ours"] for row in rows])
        for key, label in (("auroc", "AUROC"), ("pr_auc", "PR-AUC"))
    }
    names, groups = [row["task"] for row in rows], [row["group"] for row in rows]
    return {"against": plots.plot_against_published(measures, names, groups, AGAINST)}

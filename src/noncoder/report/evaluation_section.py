"""The content of the section on one evaluated split: figures, the table of tasks, and the numbers in its sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from numpy.typing import NDArray

from noncoder import plots
from noncoder.report.explorer import explorer, tasks_table
from noncoder.report.figures import svgs
from noncoder.report.published_section import published_figures
from noncoder.report.run_files import CURVES, Split

# The sentence on calibration describes the bin next to this probability, neither rare nor certain.
_SPOKEN = 0.3
# Least expected positives in this bin.
_LEAST_SPOKEN = 50


def split_section(split: Split, wanted: Sequence[str]) -> dict[str, Any]:
    """Returns the content of the section on one evaluated split, with the curves of the requested tasks first."""
    section: dict[str, Any] = {"name": split.name, "summary": split.summary, "explorer": None, "figures": {}}
    if split.tasks is None or not split.tasks.height:
        return section
    table = tasks_table(split.tasks)
    scored = table.filter(pl.col("average_precision").is_not_null())
    names = scored["task"].to_list()
    default = list(dict.fromkeys([names[0], names[len(names) // 2], names[-1]])) if names else []
    rows = {row["task"]: row for row in table.iter_rows(named=True)}
    first = [rows[name] for name in [name for name in wanted if name in rows] or default]
    pooled = pooled_reliability(split.curves or {})
    return section | {
        "grouped": any(row["group"] for row in rows.values()),
        "best": list(scored.head(3).iter_rows(named=True)),
        "worst": list(scored.tail(3).iter_rows(named=True)),
        "figures": svgs(
            _task_figures(split, scored.sort("index"), first)
            | _calibration_figures(table.sort("index"), pooled)
            | published_figures(split),
            split.name,
        ),
        "spoken": _spoken_bins(pooled),
        "explorer": explorer(split, table, [row["index"] for row in first]),
    }


def pooled_reliability(curves: Mapping[str, NDArray[np.floating[Any]]]) -> dict[str, NDArray[np.float64]]:
    """Pools the reliability of all tasks: the bins of each task, weighted by their windows.

    Args:
        curves: Content of curves.npz; (T, B) each.

    Returns:
        "as predicted" and "calibrated", if they exist, each with the mean probability, the fraction of positives and
        the count of each bin, (3, B); NaN in an empty bin.
    """
    pooled = {}
    for name, kind in (("as predicted", "reliability"), ("calibrated", "reliability_calibrated")):
        if f"{kind}_count" in curves:
            count = np.nan_to_num(curves[f"{kind}_count"].astype(np.float64))
            whole = count.sum(axis=0)
            means = [
                np.divide((np.nan_to_num(curves[f"{kind}_{what}"]) * count).sum(axis=0), whole,
                          out=np.full(whole.shape, np.nan), where=whole > 0)
                for what in ("predicted", "observed")
            ]  # fmt: skip
            pooled[name] = np.stack([*means, whole])
    return pooled


def _spoken_bins(pooled: Mapping[str, NDArray[np.float64]]) -> dict[str, list[float]]:
    """Returns prediction, observation and count of the bin that a sentence describes, for each pooled curve."""
    spoken = {}
    for name, curve in pooled.items():
        # A handful of positives would show only chance.
        counts = curve[2] * np.nan_to_num(curve[0]) >= _LEAST_SPOKEN
        filled = curve[:, counts if counts.any() else curve[2] > 0]
        if filled.size:
            spoken[name] = filled[:, np.abs(filled[0] - _SPOKEN).argmin()].tolist()
    return spoken


def _task_figures(split: Split, scored: pl.DataFrame, first: Sequence[Mapping[str, Any]]) -> dict[str, Figure]:
    if not scored.height:
        return {}
    groups = [group or "" for group in scored["group"]]
    auroc, precision = scored["auroc"].to_numpy(), scored["average_precision"].to_numpy()
    trained = scored["train_positives"].to_numpy()
    figures = {
        "distribution": plots.plot_distribution({"AUROC": auroc, "average precision": precision}, groups),
        "scatter": plots.plot_auroc_by_positives(trained, auroc, groups, "positive windows in training"),
    }
    if split.curves and first:
        roc, pr = ({row["task"]: (split.curves[x][row["index"]], split.curves[y][row["index"]]) for row in first}
                   for x, y in (CURVES[:2], CURVES[2:]))  # fmt: skip
        figures["roc"] = plots.plot_roc(roc)
        figures["pr"] = plots.plot_precision_recall(pr, {row["task"]: row["prevalence"] or 0 for row in first})
    return figures


def _calibration_figures(tasks: pl.DataFrame, pooled: Mapping[str, NDArray[np.float64]]) -> dict[str, Figure]:
    figures = {}
    if any(np.nansum(curve[2]) for curve in pooled.values()):
        figures["reliability"] = plots.plot_reliability({name: tuple(curve) for name, curve in pooled.items()})
    if "temperature" in tasks.columns and tasks["temperature"].drop_nulls().len():
        temperatures = tasks["temperature"].cast(pl.Float64).to_numpy()
        figures["temperatures"] = plots.plot_temperatures(temperatures, [group or "" for group in tasks["group"]])
    return figures

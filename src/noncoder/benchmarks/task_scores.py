"""Published scores of each of DeepSEA's tasks, and means of them."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

GROUPS = ("all", "TF", "DNase", "histone")
# Forward strand; the bundle's test.mat holds each window a second time as its reverse complement.
TEST_WINDOWS = 227_512
N_TASKS = 919

FROM_ONE = "trapezoid from precision 1"
FROM_ZERO = "trapezoid from precision 0"
STEPS = "average precision"
UNKNOWN = "unknown"


class TaskColumns(NamedTuple):
    """Where a model's scores stand in the table, and what its PR AUC is.

    Args:
        key: Its columns are auroc_KEY and pr_auc_KEY.
        pr_auc_by: How the area under the precision-recall curve was taken.
    """

    key: str
    pr_auc_by: str


MODELS = {
    "DeepSEA": TaskColumns("deepsea", FROM_ONE),
    "DanQ": TaskColumns("danq", FROM_ONE),
    "DanQ-JASPAR": TaskColumns("danq_jaspar", FROM_ONE),
    "DeepATT (focal)": TaskColumns("deepatt", STEPS),
    "DeepATT (BCE)": TaskColumns("deepatt_bce", STEPS),
    "DanQ trained by DeepATT's authors": TaskColumns("danq_deepatt", STEPS),
    "ChromDL": TaskColumns("chromdl", STEPS),
}
"""The models with a score a task.

How the area under a precision-recall curve was taken is told by the code of DeepATT and ChromDL. Of DanQ's table the
numbers tell it. In a task with one positive, at rank r of n, the AUROC gives r, and the PR AUC is 1 / 2r, which is the
trapezoid; average precision would be 1 / r. And DanQ's table gives for DeepSEA either what DeepSEA's own table gives or
1 / positives more, which is the area of a first step from precision 1 at recall 0 to a positive that stands first.
"""


class Score(NamedTuple):
    """A pair of measures, None where none was published.

    Args:
        auroc: Area under the receiver operating characteristic.
        pr_auc: Area under the precision-recall curve, by whatever definition goes with it.
    """

    auroc: float | None
    pr_auc: float | None = None


@cache
def task_scores() -> pl.DataFrame:
    """What was published of each task, on DeepSEA's test set (chr8 and chr9).

    DeepSEA, DanQ and DanQ-JASPAR: Quang & Xie 2016 (doi:10.1093/nar/gkw226), github.com/uci-cbcl/DanQ, aucs.txt.
    DeepATT and the DanQ that its authors trained: Li et al. 2020, test_result.xlsx of its repository. ChromDL: Hill et
    al. 2023, auc_auprc_list.txt of its repository.

    Returns:
        919 rows in DeepSEA's order: task, group, test_positives (of the 227,512 windows), and auroc_KEY and pr_auc_KEY
        for the key of each of `MODELS`; null for K562|BRF1|None, which has no positive in the test set.
    """
    # DanQ's table is kept once, in the data package; siblings may not import each other, but a file may be read.
    tasks = _read("data/deepsea/tasks.tsv").rename({"name": "task"})
    tasks = tasks.rename({name: name.replace("auprc_", "pr_auc_") for name in tasks.columns})
    scores = _read("benchmarks/tasks.tsv")
    assert tasks["task"].equals(scores["task"])
    kept = [f"{measure}_{columns.key}" for measure in Score._fields for columns in MODELS.values()]
    return pl.concat([tasks, scores.drop("task")], how="horizontal").select("task", "group", "test_positives", *kept)


def in_group(group: str) -> NDArray[np.bool_]:
    """Which of the 919 tasks are in a group, (919,).

    Args:
        group: One of `GROUPS`.
    """
    groups = task_scores()["group"].to_numpy()
    everywhere: NDArray[np.bool_] = (groups == group) | (group == "all")
    return everywhere


def column(model: str, measure: Literal["auroc", "pr_auc"]) -> NDArray[np.float64]:
    """A model's published score in each of the 919 tasks, NaN where it is undefined.

    Args:
        model: One of `MODELS`.
        measure: "auroc" or "pr_auc".
    """
    scores: NDArray[np.float64] = task_scores()[f"{measure}_{MODELS[model].key}"].cast(pl.Float64).to_numpy()
    return scores


def over_groups(
    statistic: Literal["mean", "median"], auroc: NDArray[np.float64], pr_auc: NDArray[np.float64]
) -> dict[str, Score]:
    """A statistic over the scorable tasks of each group.

    Args:
        statistic: "mean" or "median".
        auroc: (919,), NaN where undefined.
        pr_auc: (919,), the same.

    Returns:
        Of all of `GROUPS`; None in a group without a scorable task.
    """

    def over(values: NDArray[np.float64], members: NDArray[np.bool_]) -> float | None:
        there = values[members & ~np.isnan(values)]
        if not there.size:
            return None
        return float(there.mean() if statistic == "mean" else np.median(there))

    return {group: Score(over(auroc, in_group(group)), over(pr_auc, in_group(group))) for group in GROUPS}


def weighted_by_test_positives(auroc: NDArray[np.float64], pr_auc: NDArray[np.float64]) -> Score:
    """Means over the tasks weighted by their positives in the test set.

    Args:
        auroc: (919,), NaN where undefined.
        pr_auc: (919,), the same.
    """
    positives = task_scores()["test_positives"].to_numpy().astype(float)

    def over(values: NDArray[np.float64]) -> float | None:
        weights = np.where(np.isnan(values), 0, positives)
        return float(np.nansum(values * weights) / weights.sum()) if weights.any() else None

    return Score(over(auroc), over(pr_auc))


def _read(path: str) -> pl.DataFrame:
    text = files("noncoder").joinpath(path).read_bytes()
    return pl.read_csv(text, separator="\t", comment_prefix="#", quote_char=None, infer_schema_length=None)


__all__ = ["FROM_ONE", "FROM_ZERO", "GROUPS", "MODELS", "N_TASKS", "STEPS", "TEST_WINDOWS", "UNKNOWN", "Score",
           "TaskColumns", "column", "in_group", "over_groups", "task_scores", "weighted_by_test_positives"]  # fmt: skip

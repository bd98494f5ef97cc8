"""The table of tasks: one row per task, with its measures and their intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit

from noncoder.data.tasks import Task
from noncoder.evaluate.measuring import MeasuredSplit
from noncoder.metrics import RECALLS, why_undefined
from noncoder.metrics.uncertainty import interval


def task_table(tasks: Sequence[Task], measured: MeasuredSplit, train_positives: NDArray[np.int64]) -> pl.DataFrame:
    """The table of tasks.

    Args:
        tasks: The T tasks.
        measured: Their measures.
        train_positives: Positives in training, (T,).

    Returns:
        T rows. Undefined and unmeasured values are null. Thresholds are probabilities.
    """
    found, resampled = measured.measures, measured.ways[-1].resampled
    columns: dict[str, object] = {
        "task": [task.name for task in tasks],
        **{key: [task.to_dict()[key] for task in tasks] for key in ("group", "cell", "assay", "treatment")},
        "windows": found.known,
        "positives": found.positives,
        "train_positives": train_positives,
        "left_out": why_undefined(found.positives, found.known),
    }
    for name, values in (("auroc", found.auroc), ("average_precision", found.average_precision)):
        columns[name] = values
        if resampled is not None:
            columns[f"{name}_low"], columns[f"{name}_high"] = interval(getattr(resampled, name))
    columns |= {
        "pr_auc_trapezoid": found.pr_auc_trapezoid,
        "best_f1": found.best_f1,
        "best_f1_threshold": expit(found.best_f1_logit),
        **{f"precision_at_recall_{100 * at:.0f}": found.precision_at_recall[:, i] for i, at in enumerate(RECALLS)},
        "accuracy": measured.raw.accuracy,
    }
    for suffix, probabilities in (("", measured.raw), ("_calibrated", measured.calibrated)):
        if probabilities is not None:
            columns |= {f"{key}{suffix}": getattr(probabilities, key) for key in ("log_loss", "brier", "ece")}
    if measured.temperatures is not None:
        columns |= {"temperature": measured.temperatures.values, "own_temperature": measured.temperatures.own}
    return pl.DataFrame(columns).with_columns(pl.col(pl.Float64).fill_nan(None))

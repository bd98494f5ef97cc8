"""The table of all tasks, which readers sort and filter, and from which they draw curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from noncoder.report.curves import embedded_curves, probability_ticks
from noncoder.report.run_files import Split


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Args:
        key: Name in tasks.parquet.
        label: Heading.
        kind: "text", "count", "share", "times", "metric" (three digits) or "fine" (four).
        shown: Whether it is visible at first.
        about: Description, if the heading needs one.
    """

    key: str
    label: str
    kind: str
    shown: bool = False
    about: str = ""

    @property
    def scored(self) -> bool:
        """Whether it is drawn as a bar."""
        return self.key in ("auroc", "average_precision")


COLUMNS = (
    Column("task", "Task", "text", True),
    Column("group", "Group", "text", True),
    Column("cell", "Cell", "text"),
    Column("assay", "Assay", "text"),
    Column("treatment", "Treatment", "text"),
    Column("windows", "Windows", "count", about="windows with a known label"),
    Column("positives", "Positives", "count", True),
    Column("train_positives", "Positives in training", "count"),
    Column("prevalence", "Share", "share", True, "share of windows that are positive"),
    Column("auroc", "AUROC", "metric", True),
    Column("auroc_low", "AUROC from", "metric", about="lower end of the interval"),
    Column("auroc_high", "AUROC to", "metric", about="upper end of the interval"),
    Column("average_precision", "AP", "metric", True, "average precision"),
    Column("average_precision_low", "AP from", "metric", about="lower end of the interval"),
    Column("average_precision_high", "AP to", "metric", about="upper end of the interval"),
    Column(
        "lift", "AP / share", "times", True, "average precision over the share of positives, that of random ranking"
    ),
    Column("pr_auc_trapezoid", "PR-AUC, trapezoids", "metric", about="area under straight lines between the points"),
    Column("accuracy", "Accuracy", "metric", about="share of windows that a threshold of 0.5 classifies correctly"),
    Column("best_f1", "Best F1", "metric", True, "highest harmonic mean of precision and recall over all thresholds"),
    Column("best_f1_threshold", "Threshold of best F1", "fine", about="lowest probability that counts as positive"),
    Column("precision_at_recall_10", "Precision at recall 10%", "metric"),
    Column("precision_at_recall_50", "Precision at recall 50%", "metric"),
    Column("precision_at_recall_90", "Precision at recall 90%", "metric"),
    Column("log_loss", "Log loss", "fine", True, "mean cross-entropy; lower is better"),
    Column("brier", "Brier", "fine", about="mean squared difference of probability and label; lower is better"),
    Column("ece", "ECE", "fine", True, "expected calibration error: mean gap between predicted and observed share"),
    Column("temperature", "Temperature", "metric", about="divisor of the logits that calibrates them"),
    Column("log_loss_calibrated", "Log loss, calibrated", "fine"),
    Column("brier_calibrated", "Brier, calibrated", "fine"),
    Column("ece_calibrated", "ECE, calibrated", "fine"),
    Column("left_out", "Left out", "text", about="why the task has no score"),
)
# Columns with a menu of values, beside free text.
_CHOICES = ("group", "cell", "assay")


def tasks_table(tasks: pl.DataFrame) -> pl.DataFrame:
    """Returns the tasks with "index", their position in the files, "prevalence" and "lift", by average precision."""
    table = tasks.with_row_index("index").with_columns(
        prevalence=pl.when(pl.col("windows") > 0).then(pl.col("positives") / pl.col("windows")),
    )
    return table.with_columns(
        lift=pl.when(pl.col("prevalence") > 0).then(pl.col("average_precision") / pl.col("prevalence"))
    ).sort("average_precision", descending=True, nulls_last=True, maintain_order=True)


def explorer(split: Split, table: pl.DataFrame, first: Sequence[int]) -> dict[str, Any]:
    """Returns the content of a split's explorer.

    Args:
        split: The evaluated split.
        table: Result of `tasks_table` for its tasks.
        first: Positions in the files of tasks whose curves are drawn first.

    Returns:
        "columns" (those with content), "rows" (a mapping each), "choices" (values of each menu column), "intervals"
        (whether there are any), "curves" (which), "ticks" of the probability axes, and "embedded", the data for the
        script.
    """
    columns = [column for column in COLUMNS if column.key in table.columns and _has_content(table[column.key])]
    choices = {key: sorted(set(table[key].drop_nulls()) - {""}) for key in _CHOICES if key in table.columns}
    curves = embedded_curves(split.curves) if split.curves else {}
    ordered = table.sort("index")
    return {
        "columns": columns,
        "rows": list(table.iter_rows(named=True)),
        "choices": {key: values for key, values in choices.items() if len(values) > 1},
        "intervals": any(column.key == "auroc_low" for column in columns),
        "curves": list(curves),
        "ticks": probability_ticks(),
        "embedded": {
            "name": split.name,
            "columns": [_described(column) for column in columns],
            "values": {column.key: _values(ordered[column.key]) for column in columns},
            "curves": curves,
            "first": list(first),
        },
    }


def _described(column: Column) -> Mapping[str, Any]:
    return {"key": column.key, "label": column.label, "kind": column.kind, "shown": column.shown, "about": column.about}


def _has_content(values: pl.Series) -> bool:
    return any(value not in (None, "") for value in values)


def _values(values: pl.Series) -> list[Any]:
    # Six digits exceed the precision of any split, and take a third of the bytes.
    return [float(f"{value:.6g}") if isinstance(value, float) else value for value in values]

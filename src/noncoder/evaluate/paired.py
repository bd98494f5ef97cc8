"""Two models on the same windows: by how much they differ, how sure that is, and in which tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from noncoder.data.store import Store, open_store
from noncoder.data.tasks import Task, group_columns
from noncoder.errors import InputError, did_you_mean
from noncoder.evaluate.matching import Labels, labels_of
from noncoder.files import read_json, unreadable
from noncoder.metrics import Columns, Mean, Ranking, group_means, named_means, rank_columns
from noncoder.metrics.blocks import Blocks, genome_blocks
from noncoder.metrics.bootstrap import Resampled, bootstrap, interval

_RANKED = ("auroc", "average_precision")


@dataclass(frozen=True)
class Evaluation:
    """An evaluated split of a run.

    Args:
        name: What the run is called.
        folder: RUN/evaluate/SPLIT.
        summary: Its summary.json.
        tasks: Its tasks, in the order of the columns of its logits.
    """

    name: str
    folder: Path
    summary: dict[str, Any]
    tasks: tuple[Task, ...]

    @property
    def logits(self) -> Path:
        """Its predictions."""
        return self.folder / "logits.npy"


def read_evaluation(name: str, run: Path, split: str) -> Evaluation:
    """What `noncoder evaluate` left of a split.

    Raises:
        InputError: It was not evaluated, or its files cannot be read.
    """
    folder = run / "evaluate" / split
    summary = read_json(folder / "summary.json")
    if summary is None or not (folder / "logits.npy").is_file():
        there = sorted(path.parent.name for path in (run / "evaluate").glob("*/summary.json"))
        raise InputError(
            f"{run} was not evaluated on the split {split!r}" + (f", only on {', '.join(there)}" if there else ""),
            mend=did_you_mean(split, there) or f"`noncoder evaluate {run} --split {split}`",
        )
    try:
        table = pl.read_parquet(folder / "tasks.parquet")
        rows = table.select("task", "group", "cell", "assay", "treatment").iter_rows()
        tasks = tuple(Task(*row) for row in rows)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise unreadable(folder / "tasks.parquet", error) from error
    return Evaluation(name, folder, summary, tasks)

"""The files of a run's folder; each may be missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from noncoder.files import check_file, read_arrays, unreadable, whole_lines
from noncoder.runs.folder import EvaluateFolder, SplitFolder
from noncoder.runs.results import SplitSummary

# The split that was held out to the end comes first.
_SPLITS = ("test", "valid", "train")
CURVES = ("roc_fpr", "roc_tpr", "pr_recall", "pr_precision")
_RELIABILITY = [
    tuple(f"{kind}_{what}" for what in ("predicted", "observed", "count"))
    for kind in ("reliability", "reliability_calibrated")
]
LOG = ("step", "seconds", "loss", "learning_rate", "windows_per_second")
VALID = ("step", "seconds", "loss", "auroc", "average_precision")


@dataclass(frozen=True)
class Split:
    """One evaluated split; a missing result is None."""

    name: str
    summary: SplitSummary | None
    tasks: pl.DataFrame | None
    curves: dict[str, NDArray[np.floating[Any]]] | None


def read_csv(
    path: Path, columns: Sequence[str], digests: Mapping[str, str] | None = None
) -> dict[str, NDArray[np.float64]]:
    """Reads columns of a CSV file as numbers, NaN for cells without one; no rows if there is no file.

    Args:
        path: The file.
        columns: Names of the columns.
        digests: Digests of finished files of its folder, by name.

    Raises:
        InputError: It cannot be read, or has changed.
    """
    check_file(path, digests)
    content = whole_lines(path) if path.is_file() else b""
    if not content:
        return {name: np.empty(0) for name in columns}
    try:
        table = pl.read_csv(content, infer_schema=False, truncate_ragged_lines=True)
        return {name: table[name].cast(pl.Float64, strict=False).to_numpy() for name in columns}
    except pl.exceptions.PolarsError as error:
        raise unreadable(path, error) from error


def read_splits(folder: EvaluateFolder) -> list[Split]:
    """Reads the evaluated splits of a run, the test split first.

    Raises:
        InputError: A file cannot be read.
    """
    order = {name: i for i, name in enumerate(_SPLITS)}
    found = sorted(folder.splits(), key=lambda split: (order.get(split.path.name, 9), split.path.name))
    return [_read_split(split) for split in found]


def _read_split(folder: SplitFolder) -> Split:
    tasks, curves, summary = None, None, SplitSummary.read(folder.summary)
    # Digests are checked before parsing: some damage makes polars end the process.
    for path in (folder.tasks, folder.curves):
        check_file(path, summary.digests if summary else None)
    try:
        if folder.tasks.is_file():
            tasks = pl.read_parquet(folder.tasks).with_columns(pl.col(pl.Float32, pl.Float64).fill_nan(None))
        if folder.curves.is_file():
            stored = read_arrays(folder.curves)
            # Evaluations of earlier versions have no reliability, and are calibrated only on request.
            later = [name for names in _RELIABILITY if set(names) <= set(stored) for name in names]
            curves = {name: stored[name] for name in (*CURVES, *later)}
    except (pl.exceptions.PolarsError, OSError, KeyError) as error:
        raise unreadable(folder.path, error) from error
    if tasks is not None and curves is not None and any(len(curve) != tasks.height for curve in curves.values()):
        raise unreadable(folder.curves, f"it does not have one row per task of {folder.tasks.name}")
    return Split(folder.path.name, summary, tasks, curves)

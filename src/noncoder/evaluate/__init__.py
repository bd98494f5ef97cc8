"""A predictor on a split of a store: a table a task, and means that say what they are."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from noncoder.config import EvaluateConfig
from noncoder.data.store import Store
from noncoder.data.tasks import group_columns
from noncoder.errors import InputError
from noncoder.files import write_bytes, write_json
from noncoder.losses import binary_cross_entropy
from noncoder.metrics import Curves, Ranking, curves, rank, weighted_mean
from noncoder.predictor import Predictor


def evaluate(predictor: Predictor, store: Store, split: str, config: EvaluateConfig, folder: Path) -> dict[str, Any]:
    """Measures a predictor on one split.

    Writes tasks.parquet (a row a task), summary.json, curves.npz (ROC and precision-recall curves a task) and
    logits.npy (float32 (n, T), windows in the order of the split) into the folder.

    Args:
        predictor: The trained model.
        store: A dataset with the same tasks, in any order, and the same window.
        split: Which part of it.
        config: Strands, batch size, and the fewest positives of the restricted mean.
        folder: Where the files go.

    Returns:
        The content of summary.json.

    Raises:
        InputError: The split is empty, or the store's tasks or window differ from the predictor's.
    """
    began = time.perf_counter()
    indices = store.indices(split)
    if indices.size == 0:
        raise InputError(f"{store.path} has no window in the split {split!r}", mend="build the store with this split")
    columns = _matching_columns(predictor, store)
    logits = predictor.predict_store(store, indices, config.strands, config.batch_size)
    labels, known = store.read_labels(indices)[:, columns], store.read_known(indices)
    known = None if known is None else known[:, columns]
    ranking = rank(logits, labels, known)
    train_positives = store.positives("train")[columns]
    _write_arrays(folder, logits, curves(logits, labels, known))
    table = io.BytesIO()
    _table(predictor, ranking, train_positives).write_parquet(table)
    write_bytes(folder / "tasks.parquet", table.getbuffer())
    loss = binary_cross_entropy(
        torch.from_numpy(logits), torch.from_numpy(labels), None if known is None else torch.from_numpy(known)
    )
    summary = {
        "split": split,
        "strands": config.strands,
        "windows": int(indices.size),
        "loss": float(loss),
        **summarize(predictor, ranking, train_positives, config.min_positives),
        "store": str(store.path),
        "store_digest": store.digest,
        "seconds": round(time.perf_counter() - began, 2),
    }
    write_json(folder / "summary.json", summary)
    return summary


def summarize(
    predictor: Predictor, ranking: Ranking, train_positives: NDArray[np.int64], min_positives: int
) -> dict[str, Any]:
    """The means over tasks, each named; a task that cannot be scored is counted, listed and in no mean.

    Args:
        predictor: For its tasks.
        ranking: Measures a task, (T,) each.
        train_positives: Positives of each task in training, (T,): the weights of the weighted mean.
        min_positives: The fewest positives of the tasks in `mean_min_positives`.
    """
    names = [task.name for task in predictor.tasks]
    scored = ~np.isnan(ranking.auroc)
    enough = scored & (ranking.positives >= min_positives)
    groups = {
        group: {"tasks": len(columns), "scored": int(scored[columns].sum())}
        | _means(ranking, np.isin(np.arange(len(names)), columns) & scored)
        for group, columns in group_columns(predictor.tasks).items()
    }
    return {
        "tasks": len(names),
        "scored": int(scored.sum()),
        "undefined": [name for name, ok in zip(names, scored, strict=True) if not ok],
        "prevalence": float(ranking.positives.sum() / max(1, ranking.known.sum())),
        "mean": _means(ranking, scored),
        "median": {
            "auroc": _or_none(np.median(ranking.auroc[scored]) if scored.any() else np.nan),
            "average_precision": _or_none(np.median(ranking.average_precision[scored]) if scored.any() else np.nan),
        },
        "min_positives": min_positives,
        "tasks_with_min_positives": int(enough.sum()),
        "mean_min_positives": _means(ranking, enough),
        "weighted": {
            "auroc": _or_none(weighted_mean(ranking.auroc, train_positives)),
            "average_precision": _or_none(weighted_mean(ranking.average_precision, train_positives)),
        },
        "groups": groups,
    }


def _means(ranking: Ranking, which: NDArray[np.bool_]) -> dict[str, float | None]:
    return {
        "auroc": _or_none(weighted_mean(ranking.auroc, which)),
        "average_precision": _or_none(weighted_mean(ranking.average_precision, which)),
    }


def _or_none(value: float) -> float | None:
    # JSON has no NaN.
    return None if np.isnan(value) else float(value)


def _write_arrays(folder: Path, logits: NDArray[np.float32], drawn: Curves) -> None:
    content = io.BytesIO()
    np.save(content, logits)
    write_bytes(folder / "logits.npy", content.getbuffer())
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **drawn._asdict())
    write_bytes(folder / "curves.npz", content.getbuffer())


def _table(predictor: Predictor, ranking: Ranking, train_positives: NDArray[np.int64]) -> pl.DataFrame:
    tasks = [task.to_dict() for task in predictor.tasks]
    return pl.DataFrame(
        {
            "task": [task["name"] for task in tasks],
            **{key: [task[key] for task in tasks] for key in ("group", "cell", "assay", "treatment")},
            "windows": ranking.known,
            "positives": ranking.positives,
            "train_positives": train_positives,
            "auroc": ranking.auroc,
            "average_precision": ranking.average_precision,
        }
    ).with_columns(pl.col("auroc", "average_precision").fill_nan(None))


def _matching_columns(predictor: Predictor, store: Store) -> list[int]:
    columns = {task.name: i for i, task in enumerate(store.tasks)}
    names = [task.name for task in predictor.tasks]
    missing = [name for name in names if name not in columns]
    if missing:
        raise InputError(
            f"{store.path} lacks {len(missing)} of the model's {len(names)} tasks: {', '.join(missing[:6])}",
            expected="a store with the model's tasks, by name",
        )
    return [columns[name] for name in names]

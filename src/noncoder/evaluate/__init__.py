"""Evaluation of a predictor on one split of a store: a table with one row per task, and means with intervals.

`split_logits` writes logits to disk for each way of averaging. `measuring` computes scores from them. `split_summary`
and `table` turn the scores into the files of the split. `literature` compares them with published results.
`calibrating` fits temperatures on the validation split. `evaluation_stage` reuses earlier results. `paired_comparison`
compares models on the same windows.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from noncoder.config import EvaluateConfig
from noncoder.data.store import Store
from noncoder.errors import InputError
from noncoder.evaluate.calibrating import calibration_summary
from noncoder.evaluate.influence import most_influential
from noncoder.evaluate.literature import write_published
from noncoder.evaluate.measuring import MeasuredSplit, measure
from noncoder.evaluate.split_logits import predict_to
from noncoder.evaluate.split_summary import summarize
from noncoder.evaluate.table import task_table
from noncoder.files import file_digests, write_bytes
from noncoder.metrics import Blocks
from noncoder.metrics.temperature import Temperatures, fit_temperatures
from noncoder.predictor import Predictor, cut_short
from noncoder.predictor.task_labels import labels_of, stretches, tasks_besides
from noncoder.runs.folder import SplitFolder
from noncoder.runs.results import SplitSummary


def evaluate(
    predictors: Sequence[Predictor],
    store: Store,
    split: str,
    config: EvaluateConfig,
    folder: Path,
    temperatures: Temperatures | None = None,
) -> SplitSummary:
    """Measures a predictor, or the mean of several, on one split.

    Writes tasks.parquet and tasks.tsv (one row per task), summary.json, curves.npz (ROC, precision-recall and
    reliability curves of each task) and logits.npy (float32 (n, T) in Fortran order, windows in the order of the
    split) into the folder. For DeepSEA's tasks it also writes figures against published results. The full matrix of
    predictions is never held in memory.

    Args:
        predictors: The trained model. Any further models are averaged with it.
        store: A dataset with the same tasks, in any order, and the same window.
        split: The split to evaluate.
        config: Settings of averaging, resampling and reporting.
        folder: The output folder.
        temperatures: Temperatures of the tasks, fitted on the validation split. With None, they are fitted here if
            this is the validation split, and omitted otherwise.

    Returns:
        The summary, as written to summary.json.

    Raises:
        InputError: The split is empty, the store's tasks or window differ from the predictor's, or a logit is NaN.
    """
    began = time.perf_counter()
    first = predictors[0]
    indices = store.indices(split)
    if indices.size == 0:
        raise InputError(f"{store.path} has no window in the split {split!r}", hint="build the store with this split")
    labels, files = labels_of(first.tasks, store, indices), SplitFolder(folder)
    with predict_to(folder, predictors, store, indices, config) as predictions:
        # If this is interrupted, an earlier summary would not belong to the new logits.
        files.summary.unlink(missing_ok=True)
        if config.calibrate and split == "valid" and temperatures is None:
            temperatures = fit_temperatures(labels.columns(predictions.final), config.min_positives)
        blocks, why_none = _blocks(store, indices, config)
        measured = measure(predictions, labels, blocks, config.resamples, temperatures)
    _write_curves(files.curves, measured)
    _write_table(files, first, measured, labels.train_positives)
    influences = None if blocks is None else most_influential(measured, store, indices)
    means = summarize(first.tasks, measured, labels.train_positives, config.min_positives, influences)
    published = None
    if split == "test":
        published = write_published(files, labels, measured, means.weighted_as_report, config.strands)
    summary = SplitSummary(
        **dict(means),
        split=split,
        strands=config.strands,
        shifts=config.shifts,
        shifts_cut_short=cut_short(store, indices, config.shifts),
        models=len(predictors),
        windows=int(indices.size),
        loss=measured.raw.mean_log_loss,
        calibration=calibration_summary(measured, temperatures, split),
        published=published,
        unknown_to_the_model=tasks_besides(first.tasks, store),
        no_intervals=why_none,
        store=str(store.path),
        store_digest=store.digest,
        seconds=round(time.perf_counter() - began, 2),
        digests=file_digests(files.files),
    )
    summary.write(files.summary)
    return summary


def _blocks(store: Store, indices: NDArray[np.int64], config: EvaluateConfig) -> tuple[Blocks | None, str]:
    """The blocks that the bootstrap draws, or None and the reason."""
    if not config.resamples:
        return None, "evaluate.resamples is 0"
    blocks = stretches(store, indices, config.block)
    if blocks.n < 2:
        return None, f"all windows lie in one genome block of {blocks.length:,} bp"
    return blocks, ""


def _write_curves(path: Path, measured: MeasuredSplit) -> None:
    arrays = dict(measured.measures.curves._asdict())
    for prefix, found in (("reliability", measured.raw), ("reliability_calibrated", measured.calibrated)):
        if found is not None:
            predicted, observed, windows = found.reliability
            arrays |= {
                f"{prefix}_predicted": predicted.astype(np.float32),
                f"{prefix}_observed": observed.astype(np.float32),
                f"{prefix}_count": windows.astype(np.int32),
            }
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **arrays)
    write_bytes(path, content.getbuffer())


def _write_table(
    folder: SplitFolder, predictor: Predictor, measured: MeasuredSplit, train_positives: NDArray[np.int64]
) -> None:
    table = task_table(predictor.tasks, measured, train_positives)
    parquet, text = io.BytesIO(), io.BytesIO()
    table.write_parquet(parquet)
    table.write_csv(text, separator="\t", float_precision=6)
    write_bytes(folder.tasks, parquet.getbuffer())
    write_bytes(folder.tasks_text, text.getbuffer())


class _CallablePackage(ModuleType):
    """Calling the package calls its function: `noncoder.evaluate(…)` stands for `noncoder.evaluate.evaluate(…)`."""

    __call__ = staticmethod(evaluate)


sys.modules[__name__].__class__ = _CallablePackage

__all__ = ["evaluate"]

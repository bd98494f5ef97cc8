"""Temperatures fitted on the validation split, and their effect on calibration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from noncoder.config import EvaluateConfig
from noncoder.data.store import Store
from noncoder.evaluate.measuring import MeasuredSplit
from noncoder.evaluate.split_logits import predict_to
from noncoder.metrics import Calibration
from noncoder.metrics.temperature import Temperatures, fit_temperatures
from noncoder.predictor import Predictor
from noncoder.predictor.task_labels import labels_of
from noncoder.runs.results import CalibrationErrors, CalibrationSummary
from noncoder.temporary import scratch_folder


def fit_on_validation(
    predictors: Sequence[Predictor], store: Store, config: EvaluateConfig, folder: Path
) -> Temperatures | None:
    """Predicts the validation split and fits temperatures on it.

    Args:
        predictors: The trained model, and the models averaged with it.
        store: The dataset.
        config: What is averaged, and the minimum number of positives for a task to get its own temperature.
        folder: A folder for temporary logits.

    Returns:
        The temperatures; None if the store has no validation split.

    Raises:
        InputError: The store does not fit the predictors, or a logit is NaN.
    """
    indices = store.indices("valid")
    if not indices.size:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    labels = labels_of(predictors[0].tasks, store, indices)
    with (
        scratch_folder(folder, "valid") as scratch,
        predict_to(scratch, predictors, store, indices, config) as predictions,
    ):
        return fit_temperatures(labels.columns(predictions.final), config.min_positives)


def calibration_summary(
    measured: MeasuredSplit, temperatures: Temperatures | None, split: str
) -> CalibrationSummary | None:
    """Summary of the temperatures: calibration errors before and after, as means over tasks with a known label.

    None without temperatures.
    """
    if temperatures is None or measured.calibrated is None:
        return None
    return CalibrationSummary(
        split="valid",
        same_windows=split == "valid",
        shared=float(temperatures.shared),
        fitted=int(temperatures.own.sum()),
        before=_means(measured.raw),
        after=_means(measured.calibrated),
    )


def _means(found: Calibration) -> CalibrationErrors:
    columns = {name: getattr(found, name) for name in ("log_loss", "brier", "ece")}
    means = {name: None if np.isnan(column).all() else float(np.nanmean(column)) for name, column in columns.items()}
    return CalibrationErrors(**means)

"""Scores of a split from its logits on disk, with bootstrap resamples, for each way of averaging."""

from __future__ import annotations

from dataclasses import dataclass

from noncoder.evaluate.split_logits import Predictions
from noncoder.metrics import Calibration, Measures, Ranking, calibrate_columns, measure_columns, rank_columns
from noncoder.metrics.blocks import Blocks
from noncoder.metrics.temperature import Temperatures
from noncoder.metrics.uncertainty import Resampled, bootstrap
from noncoder.predictor.task_labels import Labels

RANKED = ("auroc", "average_precision")
"""The resampled measures."""


@dataclass(frozen=True)
class Way:
    """One way of averaging.

    Args:
        name: What is averaged, e.g. both strands.
        ranking: Its ranking measures of each task.
        resampled: The same measures in each resample; None without a bootstrap.
    """

    name: str
    ranking: Ranking
    resampled: Resampled | None


@dataclass(frozen=True)
class MeasuredSplit:
    """All measures of a split.

    Args:
        measures: Ranking measures of each task, for the last way of averaging.
        raw: Calibration measures of the predicted probabilities.
        calibrated: The same after temperature scaling; None without temperatures.
        ways: Each way of averaging; the first averages nothing.
        blocks: The resampled genome blocks; None without a bootstrap.
        resamples: The number of resamples.
        temperatures: The temperatures of the tasks; None without calibration.
    """

    measures: Measures
    raw: Calibration
    calibrated: Calibration | None
    ways: tuple[Way, ...]
    blocks: Blocks | None
    resamples: int
    temperatures: Temperatures | None


def measure(
    predictions: Predictions,
    labels: Labels,
    blocks: Blocks | None,
    resamples: int,
    temperatures: Temperatures | None,
) -> MeasuredSplit:
    """Measures a split's logits.

    Args:
        predictions: Files of logits.
        labels: Labels of the same windows and tasks.
        blocks: The genome blocks to resample; None for no intervals.
        resamples: The number of resamples.
        temperatures: The temperatures of the tasks; None for no calibration.

    Raises:
        InputError: A logit is NaN or infinite. The message gives the tasks and the number.
    """
    ways, final = [], labels.columns(predictions.final)
    measures = measure_columns(final)
    for name, file in zip(predictions.names, predictions.files, strict=True):
        columns = labels.columns(file)
        ranking = (
            Ranking(measures.auroc, measures.average_precision, measures.positives, measures.known)
            if file == predictions.final
            else rank_columns(columns)
        )
        resampled = None if blocks is None else bootstrap(columns, blocks, resamples)
        ways.append(Way(name, ranking, resampled))
    return MeasuredSplit(
        measures,
        calibrate_columns(final),
        None if temperatures is None else calibrate_columns(final, temperatures.values),
        tuple(ways),
        blocks,
        resamples,
        temperatures,
    )

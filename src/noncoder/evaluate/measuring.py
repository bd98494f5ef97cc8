"""From logits on disk to numbers: a split's measures, their resamples, and what each way of averaging brings."""

from __future__ import annotations

from dataclasses import dataclass

from noncoder.evaluate.predicting import Predictions
from noncoder.metrics import Calibration, Measures, Ranking, calibrate_columns, measure_columns, rank_columns
from noncoder.metrics.blocks import Blocks
from noncoder.metrics.temperature import Temperatures
from noncoder.metrics.uncertainty import Resampled, bootstrap
from noncoder.predictor.matching import Labels

RANKED = ("auroc", "average_precision")
"""What is resampled."""


@dataclass(frozen=True)
class Way:
    """One way of averaging.

    Args:
        name: What is averaged over.
        ranking: Its measures a task.
        resampled: The same in each resample; None without a bootstrap.
    """

    name: str
    ranking: Ranking
    resampled: Resampled | None


@dataclass(frozen=True)
class Measured:
    """All that was measured of a split.

    Args:
        measures: Of each task's ranking, by the last way of averaging.
        raw: Of its probabilities.
        calibrated: The same with temperatures; None without.
        ways: Each way of averaging, the plain one first.
        blocks: What was resampled; None without a bootstrap.
        resamples: How often.
        temperatures: Of each task; None without.
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
) -> Measured:
    """Measures a split's logits.

    Args:
        predictions: Files of logits.
        labels: Their labels.
        blocks: What a resample draws; None for no intervals.
        resamples: How many.
        temperatures: Of each task; None for none.

    Raises:
        InputError: A logit is NaN or infinite: of which tasks, and how many.
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
    return Measured(
        measures,
        calibrate_columns(final),
        None if temperatures is None else calibrate_columns(final, temperatures.values),
        tuple(ways),
        blocks,
        resamples,
        temperatures,
    )

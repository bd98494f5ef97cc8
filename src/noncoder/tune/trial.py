"""One trial: a training, or several of growing length, and its score."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from noncoder.config import RunConfig
from noncoder.errors import InputError, NoncoderError
from noncoder.runs.folder import RunFolder
from noncoder.runs.results import TrainingSummary
from noncoder.tune.space import Space
from noncoder.tune.study import ETA, validations
from noncoder.tune.tune_config import TuneConfig

FAILURES = (NoncoderError, RuntimeError, MemoryError, FloatingPointError)
"""Errors of one trial that need not occur in the next."""

Report = Callable[[int | None, float], bool]
"""Called with the number of validations (of a rung, for trainings from the start; none between rungs) and the score;
the trial ends if it returns true."""

_RUNGS = 3


def trial_config(config: RunConfig, space: Space, values: Mapping[str, Any], folder: Path) -> RunConfig:
    """Returns the recipe of a trial, with its own folder.

    Raises:
        ConfigError: The recipe does not allow these values together.
    """
    data = config.data.model_copy(update={"store": config.store})
    return space.apply(config, values).model_copy(update={"run": folder, "data": data})


def run_trial(config: RunConfig, settings: TuneConfig, report: Report) -> float | None:
    """Trains, and resumes the same trial if it was interrupted.

    Args:
        config: The trial's recipe.
        settings: The study's settings.
        report: Called with each score.

    Returns:
        The best validation, or None if `report` ended the trial.

    Raises:
        NoncoderError: The training fails, or no task can be scored.
    """
    if settings.fidelity == "along":
        return _train(config, lambda row: _told_along(config, row, report))
    for rung in range(_RUNGS):
        share = ETA ** (rung + 1 - _RUNGS)
        part = config
        if rung + 1 < _RUNGS:
            shorter = config.train.model_copy(update={"epochs": config.train.epochs * share})
            part = config.model_copy(update={"run": config.run / f"rung-{rung + 1}", "train": shorter})
        value = _train(part, lambda row: report(None, row[config.train.monitor]))
        if value is None or (report(ETA**rung, value) and rung + 1 < _RUNGS):
            return None
    return value


def _told_along(config: RunConfig, row: Mapping[str, float], report: Report) -> bool:
    # The log also holds the validations before an interruption.
    with RunFolder(config.run).train.validations.open() as log:
        done = sum(1 for _ in log) - 1
    # After the last validation nothing is left to save by stopping.
    return report(done, row[config.train.monitor]) and done < validations(config)


def _train(config: RunConfig, on_validation: Callable[[dict[str, float]], bool]) -> float | None:
    from noncoder.train import train

    # The process may have died between the end of the training and the report to the study.
    summary = TrainingSummary.read(RunFolder(config.run).train.summary) or train(config, on_validation=on_validation)
    if summary is None:
        return None
    value = getattr(summary.best, config.train.monitor)
    if value is None:
        raise InputError("no task could be scored", hint="see the validation split: noncoder explore STORE")
    return float(value)


def drop_checkpoints(folder: Path) -> None:
    """Removes files of a finished trial that are not needed: checkpoints, several times the size of its predictor.

    Files that reproduce a loss that was not finite are kept.
    """
    for path in folder.rglob("*.ckpt"):
        if not path.name.startswith("fault"):
            path.unlink(missing_ok=True)

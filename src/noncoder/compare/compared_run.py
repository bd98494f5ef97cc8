"""Reads a run's folder for a comparison. The run may still be training, or may come from another machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noncoder.config import read_yaml
from noncoder.data.store import open_store
from noncoder.errors import InputError, NoncoderError
from noncoder.files import is_locked, plain_json, read_json
from noncoder.kinds import is_no_run, mistaken
from noncoder.plots import Curve
from noncoder.report import read_csv, read_splits
from noncoder.runs.folder import RunFolder
from noncoder.runs.results import SplitSummary, TrainingStart, TrainingSummary

_LOG = ("step", "epoch", "windows", "seconds", "loss", "windows_per_second")
_VALID = ("step", "epoch", "windows", "seconds", "loss", "auroc", "average_precision")
MEASURES = _VALID[4:]
AXES = ("step", "epoch", "seconds", "positives")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ComparedRun:
    """Logs and facts of a training.

    Args:
        name: Its name in the comparison.
        state: "finished", "running", or "unfinished" if no process on this machine is training it.
        log: log.csv, and `trained`, the seconds of training without validations.
        valid: valid.csv, and `trained`.
        facts: summary.json, or the facts recorded at the start.
        recipe: The recipe as written, as dotted keys and values.
        positives_per_window: Mean positive labels of a training window; None if unknown.
        tests: Summaries of the evaluated splits, by split.
    """

    name: str
    state: str
    log: dict[str, Floats]
    valid: dict[str, Floats]
    facts: TrainingSummary
    recipe: dict[str, Any]
    positives_per_window: float | None
    tests: dict[str, SplitSummary]

    def along(self, rows: dict[str, Floats], axis: str) -> Floats:
        """The rows of a log on an axis: steps, epochs, seconds of training, or positive labels seen."""
        if axis == "positives":
            return rows["windows"] * (np.nan if self.positives_per_window is None else self.positives_per_window)
        return rows["trained" if axis == "seconds" else axis]

    def curve(self, axis: str, unit: float = 1) -> Curve:
        """Its losses and scores against an axis.

        Args:
            axis: One of `AXES`.
            unit: The divisor of the axis, e.g. 3600 for hours.
        """
        valid = {name: self.valid[name] for name in MEASURES}
        return Curve(self.along(self.log, axis) / unit, self.log["loss"], self.along(self.valid, axis) / unit, valid)

    @property
    def best(self) -> dict[str, float | None] | None:
        """The best validation so far, with None for undefined scores.

        It is the validation of the best checkpoint. Without one, it is the validation with the highest average
        precision, or, if the split has one class only, with the lowest loss.
        """
        if self.facts.best:
            return dict(self.facts.best)
        scores = self.valid["average_precision"]
        if not np.isfinite(scores).any():
            scores = -self.valid["loss"]
        if not np.isfinite(scores).any():
            return None
        row = int(np.nanargmax(scores))
        return dict(plain_json({name: float(self.valid[name][row]) for name in ("step", *MEASURES)}))


def read_run_folder(path: Path, name: str) -> ComparedRun:
    """Reads a run.

    Raises:
        InputError: The folder is missing, is not a run or has no log yet, or a file cannot be read.
    """
    run = RunFolder(path)
    train = run.train
    if is_no_run(path):
        found, hint = mistaken(path, "run", "make one with `noncoder run RECIPE`")
        raise InputError(found, expected="a run's folder", hint=hint)
    summary = TrainingSummary.read(train.summary)
    digests = summary.digests if summary else None
    log, valid = read_csv(train.log, _LOG, digests), read_csv(train.validations, _VALID, digests)
    if not log["step"].size and not valid["step"].size:
        raise InputError(
            f"{path} has nothing to compare: no row in {train.log.name} and {train.validations.name}",
            hint="choose a run that has trained, or wait for its first rows",
        )
    log["trained"] = _trained(log)
    valid["trained"] = _interpolated(valid, log)
    started = TrainingStart.read(train.started) or TrainingStart()
    state = "finished" if summary is not None else "running" if is_locked(train.path) else "unfinished"
    facts = _known(started, summary)
    tests = {split.name: split.summary for split in read_splits(run.evaluate) if split.summary is not None}
    recipe = _recipe(run.recipe)
    return ComparedRun(name, state, log, valid, facts, recipe, _positives(run, facts, recipe), tests)


def _known(started: TrainingStart, summary: TrainingSummary | None) -> TrainingSummary:
    """The summary. Its missing fields are filled from the facts recorded at the start."""
    known = dict(started) | {key: value for key, value in dict(summary or {}).items() if value is not None}
    return TrainingSummary(**known)


def _trained(log: dict[str, Floats]) -> Floats:
    """Seconds of training without validations, computed from the speed in each row."""
    windows = np.diff(log["windows"], prepend=0)
    speed = log["windows_per_second"]
    whole = np.diff(log["seconds"], prepend=0)
    return np.cumsum(np.divide(windows, speed, out=whole, where=np.isfinite(speed) & (speed > 0)))


def _interpolated(valid: dict[str, Floats], log: dict[str, Floats]) -> Floats:
    if not log["windows"].size:
        return valid["seconds"]
    at = np.append(0.0, log["windows"])
    seconds: Floats = np.interp(valid["windows"], at, np.append(0.0, log["trained"]))
    # The last rows of the log may not be written yet: extrapolate at the speed so far.
    beyond = valid["windows"] > at[-1]
    if beyond.any() and at[-1] > 0:
        seconds[beyond] = log["trained"][-1] * valid["windows"][beyond] / at[-1]
    return seconds


def _positives(run: RunFolder, facts: TrainingSummary, recipe: dict[str, Any]) -> float | None:
    if facts.positives_per_window is not None:
        return facts.positives_per_window
    # Earlier versions did not record it.
    digest = facts.store_digest
    place = facts.store or recipe.get("data.store") or run.store
    try:
        store = open_store(place)
        if digest in (None, store.digest):
            return float(store.positives("train").sum() / store.indices("train").size)
    except NoncoderError:
        pass
    stats = read_json(run.explore) or {}
    train = stats.get("splits", {}).get("train", {})
    if digest in (None, stats.get("digest")) and train.get("windows"):
        return float(train["positives"] / train["windows"])
    return None


def _recipe(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    values = read_yaml(path, "recipe")
    return _flat(values) if isinstance(values, dict) else {}


def _flat(values: dict[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{before}{key}.") if isinstance(value, dict) and value else {f"{before}{key}": value}
    return flat

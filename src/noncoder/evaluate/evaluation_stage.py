"""The evaluation of a run. Results of splits that were measured with the same settings are reused."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from noncoder.config import EvaluateConfig
from noncoder.data.store import Store
from noncoder.errors import InputError
from noncoder.evaluate import evaluate
from noncoder.evaluate.calibrating import fit_on_validation
from noncoder.files import changed_file
from noncoder.metrics.temperature import Temperatures, fit_temperatures
from noncoder.predictor import Averaging, Predictor
from noncoder.predictor.task_labels import labels_of, match_tasks
from noncoder.runs.folder import EvaluateFolder, SplitFolder
from noncoder.runs.record import Record
from noncoder.runs.results import SplitSummary

# Incremented when the files of an evaluation change; files of an earlier version are written again.
_FORMAT = 4
# Settings that do not change the results of a split. The record holds the weights of the models, not their paths.
_ASIDE = {"splits", "batch_size", "ensemble"}


@dataclass
class EvaluationStage:
    """The folder evaluate/ of a run.

    Args:
        folder: The folder.
        predictors: The run's predictor, and the predictors averaged with it.
        store: The dataset.
        config: The settings of the evaluation.
        force: Measure again and replace earlier results.
    """

    folder: EvaluateFolder
    predictors: Sequence[Predictor]
    store: Store
    config: EvaluateConfig
    force: bool = False

    def evaluate(self, split: str) -> SplitSummary:
        """The summary of a split, read from its folder or measured now.

        Raises:
            InputError: The folder holds results with other settings, or the split cannot be measured.
        """
        self._check_ensemble()
        folder = self.folder.split(split)
        record, summary = self._record(folder), SplitSummary.read_or_none(folder.summary)
        if summary is not None and record.is_same() and not self.force:
            digests = dict(summary.digests or {})
            if not folder.logits.is_file():
                digests.pop(folder.logits.name, None)  # users delete these large files
            changed = changed_file(folder.path, digests)
            if changed is None:
                return summary
            print(f"{changed} is missing or has changed; {split} is measured again", file=sys.stderr)
            summary = None
        # Measurements of weights that no longer exist are useless; those with other settings may still be wanted.
        if summary and not self.force and record.is_same("format", "weights"):
            raise InputError(
                f"{folder.path} holds measurements of the same weights with other settings: {record.differences()}",
                hint="`noncoder evaluate --force` replaces them",
            )
        match_tasks(self.predictors[0].tasks, self.store)  # before earlier measurements are removed
        temperatures = None if split == "valid" else self.temperatures
        record.remove()  # files are replaced one by one: an interrupted evaluation must not look complete
        summary = evaluate(self.predictors, self.store, split, self.config, folder.path, temperatures)
        record.write()
        return summary

    @cached_property
    def temperatures(self) -> Temperatures | None:
        """Temperatures fitted on the validation split. Its logits are read from its folder if they exist there."""
        if not self.config.calibrate:
            return None
        logits = self._kept_logits("valid")
        if logits is None:
            return fit_on_validation(self.predictors, self.store, self.config, self.folder.path)
        labels = labels_of(self.predictors[0].tasks, self.store, self.store.indices("valid"))
        return fit_temperatures(labels.columns(logits), self.config.min_positives)

    def own_logits(self, split: str) -> Path | None:
        """Logits of a split by the run's predictor alone, if they were made with these settings; else None."""
        alone = len(self.predictors) == 1 and not self.config.shifts
        return self._kept_logits(split) if alone else None

    def _kept_logits(self, split: str) -> Path | None:
        """Logits of a split that were made with these settings and have not changed since."""
        folder = self.folder.split(split)
        summary = SplitSummary.read_or_none(folder.summary, "predicted again")
        if summary is None or not folder.logits.is_file() or not self._record(folder).is_same():
            return None
        if changed_file(folder.path, summary.digests, [folder.logits.name]) is not None:
            print(f"{folder.logits} has changed; predicted again", file=sys.stderr)
            return None
        return folder.logits

    def check_saving(self) -> None:
        """Checks that temperatures can be fitted and can be used by the predictor alone.

        Raises:
            InputError: They would be those of several models or of shifted windows, or none can be fitted.
        """
        if len(self.predictors) > 1 or self.config.shifts:
            of = "an ensemble" if len(self.predictors) > 1 else "shifted windows"
            raise InputError(
                f"temperatures of {of} do not fit the predictor alone, which reads each window without shifts",
                hint="leave out --ensemble and --shift, or --save-temperatures",
            )
        if not self.config.calibrate or not self.store.indices("valid").size:
            why = f"{self.store.path} has no validation split" if self.config.calibrate else "calibrate is false"
            raise InputError(f"there are no temperatures to save: {why}", hint="leave out --save-temperatures")

    def save_temperatures(self, predictor_folder: Path) -> None:
        """Saves the temperatures with the run's predictor.

        Raises:
            InputError: As `check_saving`.
        """
        self.check_saving()
        assert self.temperatures is not None
        calibrated = self.predictors[0].calibrated(np.asarray(self.temperatures.values))
        # Temperatures are valid for one way of averaging only.
        averaging = Averaging(self.config.strands).schemes()[-1].name
        fitted = {"averaged_over": averaging, "split": "valid", "store_digest": self.store.digest}
        replace(calibrated, info=calibrated.info | {"temperatures": fitted}).save(predictor_folder)

    def _check_ensemble(self) -> None:
        weights = self._made_from["weights"]
        for number, digest in enumerate(weights, start=1):
            if weights.index(digest) < number - 1:
                raise InputError(
                    f"models {weights.index(digest) + 1} and {number} of the ensemble have the same weights",
                    expected="each model once; the run itself is model 1",
                )

    @cached_property
    def _made_from(self) -> dict[str, Any]:
        return {
            "format": _FORMAT,
            "evaluate": self.config.model_dump(mode="json", exclude=_ASIDE),
            "store": self.store.digest,
            "weights": [predictor.digest() for predictor in self.predictors],
        }

    def _record(self, folder: SplitFolder) -> Record:
        return Record(folder.made_from, self._made_from)

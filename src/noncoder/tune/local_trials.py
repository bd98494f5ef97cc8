"""Runs trials in this process, possibly beside other processes on the same study."""

from __future__ import annotations

import time
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noncoder.errors import InputError, NoncoderError
from noncoder.runs.folder import StudyFolder
from noncoder.tune.finished_trials import write_record
from noncoder.tune.study import StudyWorker
from noncoder.tune.study_page import note
from noncoder.tune.trial import FAILURES, drop_checkpoints, run_trial, trial_config
from noncoder.tune.trials import MOST_FAILURES, again, left, queue_cut_off, read_trials

if TYPE_CHECKING:
    import optuna


class _CutOffError(Exception):
    """The time ran out during a trial."""


class Search(StudyWorker):
    """Runs trials until there are enough, the time runs out, or too many fail.

    Arguments are those of `StudyWorker`.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self._turn = ExitStack()
        self._cut_off: int | None = None
        self._number = 0

    def run(self) -> bool:
        """Runs trials; returns false if the time ran out before there were enough.

        Raises:
            InputError: Too many trials failed in a row.
        """
        import_module("noncoder.train.fit")  # else the import of Lightning would count as time of the first trial
        while time.monotonic() < self.deadline:
            with ExitStack() as self._turn:
                # Only one process at a time counts the trials and starts one; else too many would be started.
                self._turn.enter_context(self.workers.turn())
                queue_cut_off(self.study, self.workers, self.settings.storage is not None)
                if not left(read_trials(self.study, self.space), self.settings):
                    return True
                self._one()
        return False

    def _one(self) -> None:
        try:
            self.study.optimize(self._objective, n_trials=1, catch=(*FAILURES, _CutOffError))
        finally:
            if self._cut_off is not None:
                again(self.study, self.study.get_trials(deepcopy=False)[self._cut_off])
                self._cut_off = None
        trials = read_trials(self.study, self.space)
        write_record(self.study, self.folder)
        note(trials, self._number, self.config, self.space, self.folder)
        if self.failures >= MOST_FAILURES:
            raise InputError(
                f"{self.failures} trials in a row failed; the last: {trials[self._number].message}",
                hint=f"see {StudyFolder(self.folder).table}; finished trials are kept",
            )

    def _objective(self, trial: optuna.Trial) -> float:
        self._number = trial.number
        values = self.space.suggest(trial)
        name = trial.user_attrs.get("folder", f"{trial.number:04d}")
        trial.set_user_attr("folder", name)
        trial.set_user_attr("worker", self.workers.name)
        self._turn.close()
        folder, began = StudyFolder(self.folder).trial(name), time.perf_counter()
        try:
            return self._score(trial, values, folder)
        except (KeyboardInterrupt, _CutOffError):
            self._cut_off = trial.number
            trial.set_user_attr("interrupted", True)
            raise
        except Exception as error:
            self._note_failure(trial, error)
            raise
        finally:
            trial.set_user_attr("seconds", round(time.perf_counter() - began, 2))
            if self._cut_off is None:
                drop_checkpoints(folder)

    def _score(self, trial: optuna.Trial, values: dict[str, Any], folder: Path) -> float:
        from optuna import TrialPruned

        try:
            config = trial_config(self.config, self.space, values, folder)
        except NoncoderError as error:
            trial.set_user_attr("message", str(error))
            raise TrialPruned from error  # the sampler learns to avoid this point; it ignores failed trials
        told = self.study.get_trials(deepcopy=False)[trial.number].intermediate_values
        given_up = False

        def report(step: int | None, score: float) -> bool:
            nonlocal given_up
            # A resumed training repeats the last validations before its interruption.
            if step is not None and step not in told:
                trial.report(score, step)
                given_up = trial.should_prune()
            return given_up or time.monotonic() >= self.deadline

        value = run_trial(config, self.settings, report)
        if value is None and given_up:
            self.failures = 0  # it has trained well enough to be scored
        if value is None:
            raise TrialPruned if given_up else _CutOffError
        self.failures = 0
        return value

    def _note_failure(self, trial: optuna.Trial, error: Exception) -> None:
        from optuna import TrialPruned

        if not isinstance(error, TrialPruned):
            trial.set_user_attr("message", str(error) or type(error).__name__)
            self.failures += 1

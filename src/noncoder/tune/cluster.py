"""Runs the trials of a study through Ray Tune: on the machines of a cluster, or on all cores of one machine.

The study's database remains the only record: Ray asks it for points and reports scores to it, so a study can start on
a laptop and continue on a cluster. Ray alone decides where a trial runs, and which trials are stopped by asynchronous
successive halving (Li et al., MLSys 2020). All machines must see the study's folder and the store.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray import tune as ray_tune
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler
from ray.tune.search import Searcher

from noncoder.config import RunConfig
from noncoder.errors import InputError, NoncoderError
from noncoder.runs.folder import StudyFolder
from noncoder.threads import leave_to_others
from noncoder.tune.space import Space
from noncoder.tune.study import ETA, StudyWorker, direction, first_rung, validations
from noncoder.tune.study_page import note
from noncoder.tune.trial import FAILURES, drop_checkpoints, run_trial, trial_config
from noncoder.tune.trials import MOST_FAILURES, again, left, queue_cut_off, read_trials
from noncoder.tune.tune_config import TuneConfig
from noncoder.tune.workers import Workers

if TYPE_CHECKING:
    import optuna


def run_on_cluster(
    study: optuna.Study, config: RunConfig, space: Space, settings: TuneConfig, folder: Path, workers: Workers
) -> bool:
    """Runs trials until there are enough; returns false if the time ran out first.

    Raises:
        InputError: Too many trials failed in a row, or the cluster cannot be reached.
        KeyboardInterrupt: Ray was interrupted.
    """
    _connect(settings)
    seen_by_all = config.model_copy(update={"data": config.data.model_copy(update={"store": config.store.resolve()})})
    points = StudySearcher(study, config, space, settings, folder.resolve(), workers)
    without_address = settings.model_copy(update={"storage": None})
    train_one = partial(_train_one, config=seen_by_all, settings=without_address, space=space)
    gpus = ray.cluster_resources().get("GPU", 0)
    tuner = ray_tune.Tuner(
        ray_tune.with_resources(train_one, {"cpu": 1, "gpu": 1 if gpus else 0}),
        tune_config=ray_tune.TuneConfig(
            search_alg=points,
            scheduler=_scheduler(config, settings),
            num_samples=-1,
            time_budget_s=60 * settings.budget if settings.budget else None,
        ),
        run_config=ray_tune.RunConfig(
            storage_path=str(StudyFolder(folder.resolve()).ray), name=workers.name, verbose=0
        ),
    )
    # Standard output is reserved for results, and Ray prints messages on it.
    with redirect_stdout(sys.stderr):
        tuner.fit()
    points.cut_off_rest()
    if points.failures >= MOST_FAILURES:
        raise InputError(f"{points.failures} trials in a row failed", hint=f"see {StudyFolder(folder).table}")
    if not left(read_trials(study, space), settings):
        return True
    if time.monotonic() < points.deadline:
        raise KeyboardInterrupt
    return False


def _connect(settings: TuneConfig) -> None:
    # Paths mean the same in a trial as in the process that started it.
    os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # a trial writes its own logs
    if ray.is_initialized():
        return
    leave_to_others()  # Ray assigns cores to each trial
    local = {"include_dashboard": False} if settings.cluster == "local" else {}
    try:
        ray.init(settings.cluster, log_to_driver=False, **local)
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"no Ray at {settings.cluster!r}: {reason}", "an address, `auto` or `local`") from error


def _scheduler(config: RunConfig, settings: TuneConfig) -> Any:
    if settings.pruner == "none":
        return FIFOScheduler()
    last = ETA**2 if settings.fidelity == "restart" else validations(config)
    first = first_rung(config, settings)
    return ASHAScheduler(
        time_attr="step", metric="score", mode=direction(config)[:3], grace_period=first,
        reduction_factor=ETA, max_t=max(last, first) + 1,
    )  # fmt: skip


def _train_one(point: dict[str, Any], config: RunConfig, settings: TuneConfig, space: Space) -> None:
    """A trial in a process of its own; Ray ends the process during a report if it stops the trial."""
    folder = Path(point["folder"])
    last = ETA**2 if settings.fidelity == "restart" else validations(config)

    def report(step: int | None, score: float) -> bool:
        if step is not None and step < last:
            ray_tune.report({"score": score, "step": step, "finished": False})
        return False

    try:
        value = run_trial(trial_config(config, space, space.unnamed(point["names"]), folder), settings, report)
    except FAILURES as error:
        folder.mkdir(parents=True, exist_ok=True)
        StudyFolder.failure(folder).write_text(str(error) or type(error).__name__)
        raise
    ray_tune.report({"score": value, "step": last, "finished": True})


class StudySearcher(StudyWorker, Searcher):  # type: ignore[misc]
    """Asks the study for points and reports scores to it.

    Arguments are those of `StudyWorker`.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        Searcher.__init__(self, metric="score", mode=direction(self.config)[:3])
        self._running: dict[str, optuna.Trial] = {}

    def suggest(self, trial_id: str) -> Any:
        """Returns the next point, or reports that there is none."""
        with self.workers.turn():
            queue_cut_off(self.study, self.workers, self.settings.storage is not None)
            while time.monotonic() < self.deadline and self.failures < MOST_FAILURES:
                if not left(read_trials(self.study, self.space), self.settings):
                    break
                with warnings.catch_warnings():
                    warnings.simplefilter(
                        "ignore"
                    )  # Ray knows which trials are alive; heartbeats are for other workers
                    trial = self.study.ask()
                values = self.space.suggest(trial)
                name = trial.user_attrs.get("folder", f"{trial.number:04d}")
                trial.set_user_attr("folder", name)
                trial.set_user_attr("worker", self.workers.name)
                try:
                    trial_config(self.config, self.space, values, self.folder)
                except NoncoderError as error:
                    trial.set_user_attr("message", str(error))
                    self._tell(trial, "PRUNED")
                    continue
                self._running[trial_id] = trial
                return {"names": self.space.named(values), "folder": str(StudyFolder(self.folder).trial(name))}
        return Searcher.FINISHED

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Stores an intermediate score."""
        self._report(self._running[trial_id], result)

    def _report(self, trial: optuna.Trial, result: dict[str, Any]) -> None:
        if result["step"] not in self._known(trial).intermediate_values:
            trial.report(result["score"], result["step"])

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Reports to the study how a trial ended."""
        trial = self._running.pop(trial_id, None)
        if trial is None:
            return
        folder = StudyFolder(self.folder).trial(trial.user_attrs["folder"])
        if error:
            message = StudyFolder.failure(folder)
            trial.set_user_attr("message", message.read_text() if message.exists() else "its process died")
            self.failures += 1
            self._tell(trial, "FAIL")
        elif result is not None and result.get("finished"):
            self.failures = 0
            self._tell(trial, "COMPLETE", result["score"])
        elif time.monotonic() >= self.deadline or result is None:
            self._cut_off(trial)
            return
        else:
            self._report(trial, result)  # Ray reports the last score only here
            self._tell(trial, "PRUNED")
        drop_checkpoints(folder)

    def cut_off_rest(self) -> None:
        """Puts trials about which Ray reported nothing back into the queue."""
        for trial_id in list(self._running):
            self._cut_off(self._running.pop(trial_id))

    def _cut_off(self, trial: optuna.Trial) -> None:
        trial.set_user_attr("interrupted", True)
        self._tell(trial, "FAIL")
        again(self.study, self._known(trial))

    def _tell(self, trial: optuna.Trial, state: str, value: float | None = None) -> None:
        from optuna.trial import TrialState

        self.study.tell(trial, value, TrialState[state])
        note(read_trials(self.study, self.space), trial.number, self.config, self.space, self.folder)

    def _known(self, trial: optuna.Trial) -> optuna.trial.FrozenTrial:
        return self.study.get_trials(deepcopy=False)[trial.number]

    def __getstate__(self) -> dict[str, Any]:
        """Returns no state: Ray would write it to a file, and the address of the study's database must not be in it."""
        return {name: value for name, value in self.__dict__.items() if name in ("_metric", "_mode", "deadline")}

    def save(self, checkpoint_path: str) -> None:
        """Stores nothing: the study's database holds everything."""
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        """Restores nothing."""

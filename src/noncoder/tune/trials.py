"""The trials of a study: their results, and which are repeated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from noncoder.tune.space import Space
from noncoder.tune.tune_config import TuneConfig
from noncoder.tune.workers import Workers

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

MOST_FAILURES = 5
"""Number of trials that may fail in a row."""
# Trials in one of these states count towards the requested number.
_COUNTED = ("complete", "pruned", "infeasible", "failed", "running")
_MOST_ATTEMPTS = 3
_SECONDS_TO_START = 60


@dataclass(frozen=True)
class Trial:
    """The result of a trial."""

    number: int
    state: str
    """complete, pruned, infeasible, failed, interrupted, running or waiting."""
    value: float | None
    """Best validation; the last one for a trial that was stopped early."""
    seconds: float | None
    values: dict[str, Any]
    """Values of the recipe's keys."""
    curve: dict[int, float]
    """Validations (or rungs, for trainings from the start on a share of the epochs) and their scores."""
    message: str
    folder: str


def again(study: Study, trial: FrozenTrial) -> None:
    """Puts an interrupted trial back into the queue: its training resumes in its folder."""
    import optuna

    attempt = trial.user_attrs.get("attempt", 1) + (not trial.user_attrs.get("interrupted", False))
    # The process may have died before it recorded the folder of a given point.
    given = f"{trial.number:04d}" if "fixed_params" in trial.system_attrs else None
    folder = trial.user_attrs.get("folder", given)
    # A trial that always kills its process must not be retried forever; a point that was not drawn can be drawn again.
    if attempt > _MOST_ATTEMPTS or folder is None:
        return
    study.add_trial(
        optuna.create_trial(
            state=optuna.trial.TrialState.WAITING,
            params=trial.params,
            distributions=trial.distributions,
            user_attrs={"folder": folder, "attempt": attempt},
            system_attrs=trial.system_attrs,
            intermediate_values=trial.intermediate_values,
        )
    )


def queue_cut_off(study: Study, workers: Workers, shared: bool) -> None:
    """Finds trials whose process has ended without a report; only one worker may call this at a time.

    Args:
        study: The study.
        workers: Processes that work on the study.
        shared: Whether there may be workers of other folders: several machines share a database.
    """
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        name = trial.user_attrs.get("worker")
        if name is None:  # it is being started, or its worker died at that moment
            assert trial.datetime_start is not None
            # In this folder a trial is started and named within one turn, and it is our turn now.
            gone = not shared or (datetime.now() - trial.datetime_start).total_seconds() > _SECONDS_TO_START
        else:
            gone = workers.is_gone(name)
        if gone:
            study.tell(trial.number, state=TrialState.FAIL)
            again(study, trial)


def read_trials(study: Study, space: Space) -> list[Trial]:
    """Returns all trials, in order."""
    return [_trial(trial, space) for trial in study.get_trials(deepcopy=False)]


def _trial(trial: FrozenTrial, space: Space) -> Trial:
    attrs: Mapping[str, Any] = trial.user_attrs
    message = attrs.get("message", "")
    state = trial.state.name.lower()
    if state == "fail":
        attempts = attrs.get("attempt", 1)
        state = "failed" if message else "interrupted"
        if not message and attempts >= _MOST_ATTEMPTS and not attrs.get("interrupted"):
            state, message = "failed", f"its process died {attempts} times"
    elif state == "pruned" and message:
        state = "infeasible"
    seconds = attrs.get("seconds")
    if seconds is None and trial.duration is not None:
        seconds = trial.duration.total_seconds()
    return Trial(
        number=trial.number,
        state=state,
        value=trial.value,
        seconds=seconds,
        values=space.unnamed(trial.params),
        curve=dict(trial.intermediate_values),
        message=message,
        folder=attrs.get("folder", ""),
    )


def left(trials: Sequence[Trial], settings: TuneConfig) -> int:
    """Returns the number of trials that remain to be started."""
    if settings.sampler == "grid" and all(trial.state != "waiting" for trial in trials):
        return 0
    return max(0, settings.trials - sum(trial.state in _COUNTED for trial in trials))

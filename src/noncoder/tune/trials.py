"""The trials of a study: what each came to, and which are done again."""

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
"""How many trials may fail in a row."""
# A trial with one of these states counts among those that were asked for.
_COUNTED = ("complete", "pruned", "infeasible", "failed", "running")
_MOST_ATTEMPTS = 3
_SECONDS_TO_START = 60


@dataclass(frozen=True)
class Trial:
    """What a trial came to."""

    number: int
    state: str
    """complete, pruned, infeasible, failed, interrupted, running or waiting."""
    value: float | None
    """The best validation; of a trial that was given up, the last one."""
    seconds: float | None
    values: dict[str, Any]
    """The recipe's keys and what they were."""
    curve: dict[int, float]
    """Validations (of a training from the start on each share of the passes: rungs) and their scores."""
    message: str
    folder: str


def again(study: Study, trial: FrozenTrial) -> None:
    """Puts a trial that was cut off back into the queue: its training goes on in its folder."""
    import optuna

    attempt = trial.user_attrs.get("attempt", 1) + (not trial.user_attrs.get("interrupted", False))
    # A process may have died before it named the folder of a point that was given.
    given = f"{trial.number:04d}" if "fixed_params" in trial.system_attrs else None
    folder = trial.user_attrs.get("folder", given)
    # What kills its process each time must not be tried for ever; a point that was not yet drawn can be drawn again.
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
    """Finds trials whose process has ended without a word; to be called by one worker at a time.

    Args:
        study: The study.
        workers: Who is at it.
        shared: Whether workers of other folders may be, too: in a database of several machines.
    """
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        name = trial.user_attrs.get("worker")
        if name is None:  # it is being started, or its worker died in that moment
            assert trial.datetime_start is not None
            # Here a trial is started and named within one turn, which is ours now.
            gone = not shared or (datetime.now() - trial.datetime_start).total_seconds() > _SECONDS_TO_START
        else:
            gone = workers.is_gone(name)
        if gone:
            study.tell(trial.number, state=TrialState.FAIL)
            again(study, trial)


def read_trials(study: Study, space: Space) -> list[Trial]:
    """All trials, in order."""
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
    """How many trials are still to be begun."""
    if settings.sampler == "grid" and all(trial.state != "waiting" for trial in trials):
        return 0
    return max(0, settings.trials - sum(trial.state in _COUNTED for trial in trials))

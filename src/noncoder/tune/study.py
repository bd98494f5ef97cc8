"""Creates a study in its database, or opens an existing one."""

from __future__ import annotations

import random
import time
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noncoder.config import RunConfig
from noncoder.errors import ConfigError, InputError
from noncoder.runs.folder import StudyFolder
from noncoder.runs.record import differences
from noncoder.tune.space import Space
from noncoder.tune.trials import again
from noncoder.tune.tune_config import TuneConfig
from noncoder.tune.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from optuna import Study
    from optuna.pruners import BasePruner
    from optuna.storages import RDBStorage

ETA = 3
"""Fraction of trials that continue, and growth of the trainings, in successive halving: one in so many."""
_MOST_POINTS = 2000


def direction(config: RunConfig) -> str:
    """Direction of better scores."""
    return "minimize" if config.train.monitor == "loss" else "maximize"


@dataclass(eq=False)
class StudyWorker:
    """A process that works on a study.

    Args:
        study: The study.
        config: The recipe.
        space: The search space.
        settings: Settings of the study.
        folder: The study's folder.
        workers: Processes that work on the study.
    """

    study: Study
    config: RunConfig
    space: Space
    settings: TuneConfig
    folder: Path
    workers: Workers
    failures: int = field(default=0, init=False)
    """Trials that failed in a row."""

    def __post_init__(self) -> None:
        seconds = 60 * self.settings.budget if self.settings.budget else float("inf")
        self.deadline = time.monotonic() + seconds
        """Time at which no further trial is started."""


def open_study(folder: Path, config: RunConfig, space: Space, settings: TuneConfig, made_from: dict[str, Any]) -> Study:
    """Opens a study, or creates it; only one worker may call this at a time.

    Args:
        folder: Folder of the database, if no other database is given.
        config: The recipe.
        space: The search space.
        settings: Settings of the study.
        made_from: Inputs of the study; a study with other inputs is refused.

    Raises:
        ConfigError: The existing study has another recipe, space or settings.
        InputError: Optuna is missing, or the database cannot be used.
    """
    optuna = import_optuna()
    from noncoder.tune.sampler import make_sampler

    with _database_errors(settings.storage):
        study: Study = optuna.create_study(
            storage=_storage(folder, settings),
            study_name=config.run.resolve().name,
            sampler=make_sampler(settings),
            pruner=_pruner(config, settings),
            direction=direction(config),
            load_if_exists=True,
        )
        before = study.user_attrs.get("made from")
    if before is None:
        _first_points(study, config, space, settings)
        study.set_user_attr("made from", made_from)  # last: until then, creating it can be repeated
    elif changed := differences(before, made_from):
        raise ConfigError(
            f"{folder} holds a study of another kind: {', '.join(changed)}",
            hint="give the old values, another --out (and run=, in a shared database), or --force to start again",
        )
    return study


def delete_study(folder: Path, config: RunConfig, settings: TuneConfig) -> None:
    """Deletes the study in the database, if it exists."""
    optuna = import_optuna()
    with _database_errors(settings.storage):
        storage = _storage(folder, settings)
        if config.run.resolve().name in {study.study_name for study in optuna.get_all_study_summaries(storage)}:
            optuna.delete_study(study_name=config.run.resolve().name, storage=storage)


def import_optuna() -> Any:
    """Imports Optuna and silences its message after every trial.

    Raises:
        InputError: It is not installed.
    """
    try:
        import optuna
    except ModuleNotFoundError as error:
        if error.name != "optuna":
            raise
        raise InputError("tuning needs Optuna", hint="pip install 'noncoder[tune]'") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def _storage(folder: Path, settings: TuneConfig) -> RDBStorage:
    from optuna.exceptions import ExperimentalWarning
    from optuna.storages import RDBStorage

    url = settings.storage or f"sqlite:///{StudyFolder(folder).database.resolve()}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return RDBStorage(
            url,
            # Several processes write to one file, each briefly.
            {"connect_args": {"timeout": 60}} if url.startswith("sqlite:") else None,
            # Workers on other machines are known only by their heartbeats.
            heartbeat_interval=30,
            grace_period=120,
            heartbeat_stale_trial_callback=again,
        )


@contextmanager
def _database_errors(address: str | None) -> Iterator[None]:
    """Describes what is wrong with a database, without its password."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    try:
        yield
    except ImportError as error:
        raise InputError(
            f"no driver for the database {address and make_url(address).render_as_string(hide_password=True)}",
            hint="pip install psycopg2-binary, for PostgreSQL",
        ) from error
    except ArgumentError:
        raise InputError("--storage is not a database address", "postgresql://USER:PASSWORD@HOST/DATABASE") from None
    except SQLAlchemyError as error:
        shown = make_url(address).render_as_string(hide_password=True) if address else StudyFolder(Path()).database.name
        reason = str(getattr(error, "orig", None) or type(error).__name__).strip().splitlines()[0]
        raise InputError(f"the study's database {shown} cannot be used: {reason}") from None


def validations(config: RunConfig) -> int:
    """Number of validations of a complete training."""
    return max(1, round(config.train.epochs * config.train.validations))


def _pruner(config: RunConfig, settings: TuneConfig) -> BasePruner:
    from optuna.pruners import MedianPruner, NopPruner

    from noncoder.tune.pruning import HalvingOfTheLiving

    if settings.pruner == "none":
        return NopPruner()
    if settings.pruner == "median":
        return MedianPruner()
    return HalvingOfTheLiving(min_resource=first_rung(config, settings), reduction_factor=ETA)


def first_rung(config: RunConfig, settings: TuneConfig) -> int:
    """Validation, or shortest training, after which trials are first compared."""
    return 1 if settings.fidelity == "restart" else max(1, validations(config) // ETA**3)


def _first_points(study: Study, config: RunConfig, space: Space, settings: TuneConfig) -> None:
    """Queues the recipe's own values first for comparison, or queues the whole grid."""
    if settings.sampler == "grid":
        points = space.grid()
        if len(points) > _MOST_POINTS:
            raise ConfigError(f"{space.origin}: a grid of {len(points):,} points", f"at most {_MOST_POINTS:,}",
                              "fewer choices or wider steps, or --sampler random")  # fmt: skip
        random.Random(settings.seed).shuffle(points)
        for values in points:
            study.enqueue_trial(space.named(values), skip_if_exists=True)
    elif (values := space.own_values(config)) is not None:  # type: ignore[assignment]
        study.enqueue_trial(space.named(values), skip_if_exists=True)

"""The study in its database: made, or gone on with."""

from __future__ import annotations

import random
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noncoder.config import RunConfig
from noncoder.errors import ConfigError, InputError
from noncoder.runs.folder import StudyFolder
from noncoder.runs.record import differences
from noncoder.tune.space import Space
from noncoder.tune.trials import again
from noncoder.tune.tune_config import TuneConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from optuna import Study
    from optuna.pruners import BasePruner
    from optuna.storages import RDBStorage

ETA = 3
"""Of how many trials one goes on, and how many times further, in successive halving."""
_MOST_POINTS = 2000


def direction(config: RunConfig) -> str:
    """Where better scores lie."""
    return "minimize" if config.train.monitor == "loss" else "maximize"


def open_study(folder: Path, config: RunConfig, space: Space, settings: TuneConfig, made_from: dict[str, Any]) -> Study:
    """Opens a study, or makes it; to be called by one worker at a time.

    Args:
        folder: The folder of the database, if no other database is given.
        config: The recipe.
        space: What is varied.
        settings: How.
        made_from: What the study is; a study of something else is refused.

    Raises:
        ConfigError: The study is one of another recipe, space or way to tune.
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
        study.set_user_attr("made from", made_from)  # last: until then its making can be repeated
    elif changed := differences(before, made_from):
        raise ConfigError(
            f"{folder} holds a study of another kind: {', '.join(changed)}",
            hint="give the old values, another --out (and run=, in a shared database), or --force to begin anew",
        )
    return study


def delete_study(folder: Path, config: RunConfig, settings: TuneConfig) -> None:
    """Forgets the study in the database, if there is one."""
    optuna = import_optuna()
    with _database_errors(settings.storage):
        storage = _storage(folder, settings)
        if config.run.resolve().name in {study.study_name for study in optuna.get_all_study_summaries(storage)}:
            optuna.delete_study(study_name=config.run.resolve().name, storage=storage)


def import_optuna() -> Any:
    """Optuna, without its messages of every trial.

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
            # Several processes write to one file, each for a moment.
            {"connect_args": {"timeout": 60}} if url.startswith("sqlite:") else None,
            # Workers of other machines are known by their heartbeats alone.
            heartbeat_interval=30,
            grace_period=120,
            heartbeat_stale_trial_callback=again,
        )


@contextmanager
def _database_errors(address: str | None) -> Iterator[None]:
    """Tells what is wrong with a database, without its password."""
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
        raise InputError("--storage is no address of a database", "postgresql://USER:PASSWORD@HOST/DATABASE") from None
    except SQLAlchemyError as error:
        shown = make_url(address).render_as_string(hide_password=True) if address else StudyFolder(Path()).database.name
        reason = str(getattr(error, "orig", None) or type(error).__name__).strip().splitlines()[0]
        raise InputError(f"the study's database {shown} cannot be used: {reason}") from None


def validations(config: RunConfig) -> int:
    """How often a whole training is validated."""
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
    """After which validation, or shortest training, trials are compared first."""
    return 1 if settings.fidelity == "restart" else max(1, validations(config) // ETA**3)


def _first_points(study: Study, config: RunConfig, space: Space, settings: TuneConfig) -> None:
    """Puts the recipe's own values first, to be compared with; or the whole grid."""
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

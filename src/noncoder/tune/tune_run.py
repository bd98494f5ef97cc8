"""Searches from a recipe and a search space to the best recipe."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from noncoder.config import RunConfig
from noncoder.data.selection import trained_tasks
from noncoder.data.store import Store, open_store
from noncoder.errors import InputError
from noncoder.files import unwritable
from noncoder.machine import Stopped
from noncoder.models import check_model
from noncoder.runs.folder import RunFolder, StudyFolder
from noncoder.temporary import remove_whole, sweep
from noncoder.tune.finished_trials import check_record, whole_database, write_record
from noncoder.tune.local_trials import Search
from noncoder.tune.space import Space, read_space
from noncoder.tune.study import delete_study, import_optuna, open_study, validations
from noncoder.tune.study_page import ENDINGS, FIGURES, draw, summarise, write_best, write_page, write_table
from noncoder.tune.trials import read_trials
from noncoder.tune.tune_config import TuneConfig
from noncoder.tune.workers import Workers


def tune(config: RunConfig, settings: TuneConfig, out: Path | None = None, force: bool = False) -> dict[str, Any]:
    """Runs trials until there are enough; continues an existing study in the folder, possibly beside other processes.

    Args:
        config: The recipe.
        settings: Settings of the study.
        out: The study's folder; by default `tune` in the run's folder.
        force: Start again if a study exists.

    Returns:
        "study", "trials" by state, "best" with its values, "importance", "stopped", "page" and "figures".

    Raises:
        ConfigError: The space does not fit the recipe, or the folder holds another study.
        StoreError: The store is missing or damaged.
        InputError: No trial could be scored, too many failed in a row, or Optuna or the database cannot be used.
        KeyboardInterrupt: Ctrl-C; the message says how to continue.
    """
    folder = out or RunFolder(config.run).tune.path
    import_optuna()
    check_model(config.model.name, config.model.parameters)
    space = read_space(settings.space)
    space.check(config)
    store = open_store(config.store)
    trained_tasks(store, config.train)
    _check_monitor(config, store)
    workers = Workers(folder)
    with workers.present():
        with workers.turn():
            if force:
                _clear(folder, config, settings, workers)
            sweep(folder, deep=True)
            with whole_database(StudyFolder(folder).database):
                study = open_study(folder, config, space, settings, _made_from(config, space, settings, store))
                check_record(study, folder)
        _say_what_cannot_be_given_up(config, settings)
        try:
            enough = _search(study, config, space, settings, folder, workers)
        except KeyboardInterrupt as error:
            told = f"the study in {folder} is saved; the same command continues it and resumes an interrupted trial"
            raise Stopped.by(error, told) from None
        with workers.turn():
            trials = read_trials(study, space)
            write_record(study, folder)
            write_table(trials, space, folder)
            write_best(trials, config, space, folder)
            summary = summarise(study, trials, config, folder)
            running = summary["trials"].get("running")
            done = f"{running} trials still run in other processes" if running else "all trials done"
            summary["stopped"] = done if enough else f"{settings.budget:g} minutes are over"
            _write_figures(trials, summary, config, space, settings)
    return summary


def _search(study: Any, config: RunConfig, space: Space, settings: TuneConfig, folder: Path, workers: Workers) -> bool:
    if settings.cluster is None:
        return Search(study, config, space, settings, folder, workers).run()
    try:
        from noncoder.tune.cluster import run_on_cluster
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise InputError("--cluster needs Ray", hint="pip install 'noncoder[cluster]'") from None
    return run_on_cluster(study, config, space, settings, folder, workers)


def _made_from(config: RunConfig, space: Space, settings: TuneConfig, store: Store) -> dict[str, Any]:
    """Returns all that determines the result of a study; a study continues only if it is unchanged."""
    return {
        "recipe": {
            "seed": config.seed,
            "model": config.model.model_dump(mode="json"),
            "train": config.train.model_dump(mode="json", exclude={"device"}),
        },
        "space": {key: entry.model_dump(mode="json") for key, entry in space.entries.items()},
        "tuning": settings.model_dump(mode="json", include={"sampler", "pruner", "fidelity", "seed"}),
        "store": store.digest,
    }


def _check_monitor(config: RunConfig, store: Store) -> None:
    positives, known = store.positives("valid"), store.known_counts("valid")
    if config.train.monitor != "loss" and known.any() and not ((positives > 0) & (positives < known)).any():
        raise InputError(
            f"no task of the validation split of {store.path} has both positives and negatives: the average precision, "
            "by which trials are compared, is undefined",
            expected="a task of both classes in validation",
            hint="set train.monitor: loss, or choose another validation split",
        )


def _say_what_cannot_be_given_up(config: RunConfig, settings: TuneConfig) -> None:
    if settings.pruner != "none" and settings.fidelity == "along" and validations(config) < 2:
        print(
            "tune: a trial has one validation, so none can be stopped early; train.validations=9 validates at every "
            "ninth of an epoch",
            file=sys.stderr,
        )


def _clear(folder: Path, config: RunConfig, settings: TuneConfig, workers: Workers) -> None:
    """Removes a study, and nothing else."""
    if others := workers.others():
        raise InputError(f"{others} other processes work on the study in {folder}", hint="wait for them, or end them")
    study = StudyFolder(folder)
    if not study.database.exists() and not study.table.exists():
        strange = [path.name for path in (study.trials, study.best_run, study.ray) if path.exists()]
        if strange:
            raise InputError(f"{folder} holds no study, but {', '.join(strange)}", hint="give another --out")
    try:
        # First remove what a new study would resume, in case the process is killed meanwhile.
        for path in (study.trials, study.best_run, study.ray):
            if path.is_dir():
                remove_whole(path)
        if settings.storage:
            delete_study(folder, config, settings)
        files = (study.database, study.finished, study.table, study.recipe, study.page)
        for path in (*files, *study.figures(FIGURES, ENDINGS)):
            path.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error


def _write_figures(trials: Any, summary: dict[str, Any], config: RunConfig, space: Space, settings: TuneConfig) -> None:
    from noncoder.plots import save_figure

    folder = Path(summary["study"])
    figures = draw(trials, summary["importance"], config, space, settings)
    summary["page"] = str(write_page(trials, summary, config, space, figures))
    for name, figure in figures.items():
        for ending in ENDINGS:
            save_figure(figure, folder / f"{name}.{ending}")
    summary["figures"] = list(figures)

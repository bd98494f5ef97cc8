"""Runs all stages of a recipe, from data to report."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from noncoder.config import RunConfig
from noncoder.data.selection import trained_tasks
from noncoder.data.store import Store, open_store
from noncoder.data.tasks import find_tasks
from noncoder.errors import ConfigError, InputError, NoncoderError
from noncoder.files import locked, write_json
from noncoder.interpret.attribution import attribution_method
from noncoder.interpret.choosing import check_regions
from noncoder.interpret.interpretation_stage import note_skipped
from noncoder.models import check_model
from noncoder.pipeline.evaluating import evaluate_run
from noncoder.pipeline.interpreting import interpret_run
from noncoder.predictor import load
from noncoder.report import write_report
from noncoder.runs.folder import RunFolder
from noncoder.runs.record import Record
from noncoder.runs.results import Scores
from noncoder.train.claim import check_place, is_trained


def run_recipe(config: RunConfig, force: bool = False) -> dict[str, Any]:
    """Runs all stages; finished ones are skipped and interrupted ones resume.

    Args:
        config: The recipe.
        force: Run every stage again.

    Returns:
        "run", "report", and "evaluate" with the summary of each split; empty in the further processes of a training
        on several devices, which only train.

    Raises:
        NoncoderError: A stage fails with the settings of the recipe.
    """
    began = time.perf_counter()
    check_place(config.run)
    check_model(config.model.name, config.model.parameters)  # fail before hours of data preparation, not after
    attribution_method(config.interpret.method)
    if _only_trains(config):
        from noncoder.train import train

        train(config)
        return {}
    with locked(config.run):
        return _walk(config, force, began)


def _only_trains(config: RunConfig) -> bool:
    """Whether the first process has started this one for its training.

    Raises:
        InputError: Another launcher has started several processes, which cannot share the other stages.
    """
    if not {"WORLD_SIZE", "SLURM_NTASKS"} & set(os.environ):
        return False
    from noncoder.train.ranks import find_world

    world = find_world(config.train)
    if world.external and world.ranks > 1:
        raise InputError(
            f"`noncoder run` was started in {world.ranks} processes, but only training uses several",
            hint="make the store with `noncoder data`, start `noncoder train` in this way, then `noncoder run` in one "
            "process for the other stages",
        )
    return world.rank > 0


def make_data(config: RunConfig) -> None:
    """Makes the store of a recipe if it does not exist.

    Raises:
        NoncoderError: The recipe does not say how to make it, or making it fails.
    """
    with locked(config.run):
        _data_stage(config, force=False)


def _walk(config: RunConfig, force: bool, began: float) -> dict[str, Any]:
    store = _data_stage(config, force)
    _check_before_training(config, store)
    _explore_stage(config, store, force)
    if not force and is_trained(config, store):
        _say("train", "already done, skipped")
    else:
        from noncoder.train import train  # imports Lightning, which a finished run does not need

        trained = train(config, force)
        assert trained is not None
        _say(
            "train",
            f"{trained.model}, {trained.epochs:.1f} epochs, {trained.windows_per_second:,.0f} windows/s, "
            f"{trained.seconds:,.0f} s",
        )
    chosen = config.evaluate
    summaries = evaluate_run(config.run, chosen, config.store, force)
    for summary in summaries:
        mean = summary.mean or Scores()
        _say(
            "evaluate",
            f"{summary.split}: mean AUROC {_digits(mean.auroc)}, average precision "
            f"{_digits(mean.average_precision)} over {summary.scored} tasks",
        )
    try:
        _interpret_stage(config, force)
    except Exception:
        # A bug in the report does not invalidate the results of the run.
        write_report(config.run, tasks=config.report.tasks, title=config.report.title)
        raise
    report = write_report(config.run, tasks=config.report.tasks, title=config.report.title)
    _say("report", f"{report}; {time.perf_counter() - began:,.0f} s in total")
    return {
        "run": str(config.run),
        "report": str(report),
        "seconds": round(time.perf_counter() - began, 1),
        "evaluate": {summary.split: summary.to_json() for summary in summaries},
    }


def _data_stage(config: RunConfig, force: bool) -> Store:
    source = config.data.build or config.data.pack or config.data.deepsea or config.data.simulate
    if config.store.exists():
        store = open_store(config.store)
        record = _data_record(config, store)
        ours = record.is_same("digest")
        if ours and source and not record.is_same("source") and not force:
            raise ConfigError(
                f"{config.store} was made with another data section than the recipe's",
                hint="give another run=, or --force to make it and all later results again",
            )
        # Only a store that this run has made is replaced; any other store may be someone's data.
        if not (force and source and ours):
            _say("data", f"{config.store}: {len(store):,} windows, {len(store.tasks)} tasks; existing store")
            return store
    if source is None:
        raise ConfigError(
            f"the store {config.store} does not exist, and the recipe does not say how to make it",
            expected="data.store, or one of data.build, data.pack, data.deepsea and data.simulate",
        )
    if config.interpret.windows and config.interpret.regions and (config.data.pack or config.data.deepsea):
        raise ConfigError(
            f"interpret.regions, {config.interpret.regions}, needs genome coordinates, and a store of "
            f"{'a table' if config.data.pack else 'the bundle'} has none",
            hint="leave it out, or give sequences as FASTA with interpret.sequences",
        )
    began = time.perf_counter()
    store = _make_store(config, force)
    _data_record(config, store).write()
    seconds = time.perf_counter() - began
    _say("data", f"{config.store}: {len(store):,} windows, {len(store.tasks)} tasks, {seconds:.0f} s")
    for text in (f"split by {store.info.split_rule}" if store.info.split_rule else "", *store.info.notes):
        if text:
            _say("data", text)
    return store


def _data_record(config: RunConfig, store: Store) -> Record:
    source = config.data.build or config.data.pack or config.data.deepsea or config.data.simulate
    made_with = None if source is None else source.model_dump(mode="json")
    return Record(RunFolder(config.run).data, {"source": made_with, "digest": store.digest}, strict=True)


def _check_before_training(config: RunConfig, store: Store) -> None:
    """Reports what would fail after hours of training."""
    trained = trained_tasks(store, config.train)
    find_tasks([*config.report.tasks, *config.interpret.tasks], trained.tasks)
    if config.interpret.windows and config.interpret.regions is not None:
        check_regions(store, config.interpret.regions)
    for name, path in (("regions", config.interpret.regions), ("sequences", config.interpret.sequences)):
        if config.interpret.windows and path is not None and not path.is_file():
            raise InputError(f"{path}, the file of interpret.{name}, does not exist", hint="give another one, or none")
    for split in ("train", "valid", *config.evaluate.splits):
        if not store.indices(split).size:
            raise InputError(
                f"{store.path} has no window in the split {split!r}", hint="build it with this split, or leave it out"
            )


def _make_store(config: RunConfig, force: bool) -> Store:
    if config.data.build:
        from noncoder.data.peaks import build_store

        return build_store(config.data.build, config.store, force)
    if config.data.pack:
        from noncoder.data.table import pack_table

        return pack_table(config.data.pack, config.store, force)
    if config.data.deepsea:
        from noncoder.data.deepsea.bundle import pack_deepsea

        return pack_deepsea(config.data.deepsea, config.store, force)
    from noncoder.data.simulate import simulate_store

    assert config.data.simulate is not None
    return simulate_store(config.data.simulate, config.store, force)


def _explore_stage(config: RunConfig, store: Store, force: bool) -> None:
    from noncoder.data.explore import explore

    path = RunFolder(config.run).explore
    if not force and Record(path, {"digest": store.digest}).is_same("digest"):
        _say("explore", "already done, skipped")
        return
    write_json(path, explore(store, config.evaluate.min_positives) | {"digest": store.digest})
    _say("explore", str(path))


def _digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _say(stage: str, text: str) -> None:
    print(f"{stage:9} {text}", file=sys.stderr, flush=True)


def _interpret_stage(config: RunConfig, force: bool) -> None:
    if not config.interpret.windows:
        return
    try:
        found = interpret_run(config.run, config.interpret, force=force)
    except NoncoderError as error:
        # If nothing can be interpreted, as in a small split, the report is still written and says so.
        note_skipped(RunFolder(config.run).interpret, error.found, load(config.run).digest())
        _say("interpret", f"left out: {error.found}")
        return
    named = sum(motif["named"] is not None for task in found["done"] for motif in task["motifs"])
    _say("interpret", f"{len(found['done'])} tasks, {named} motifs with a name")
    for one in found["skipped"]:
        _say("interpret", f"left out: {one['task'] or 'filters'}: {one['why']}")
    for task in found["done"]:
        for one in task.get("skipped", ()):
            _say("interpret", f"left out: {task['task']}, {one['step']}: {one['why']}")

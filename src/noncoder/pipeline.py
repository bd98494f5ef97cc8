"""The road from a recipe to a report, a stage at a time."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from noncoder.config import EvaluateConfig, InterpretConfig, RunConfig, validate
from noncoder.data.store import Store, open_store
from noncoder.data.tasks import find_tasks
from noncoder.errors import ConfigError, InputError
from noncoder.evaluate.stage import EvaluationStage
from noncoder.files import locked, read_json, write_bytes, write_json
from noncoder.models import check_model
from noncoder.predictor import Strands, load
from noncoder.report import write_report
from noncoder.train.run import is_trained, read_run


def run_recipe(config: RunConfig, force: bool = False) -> dict[str, Any]:
    """Walks the whole road; what is finished is skipped, what was interrupted goes on.

    Args:
        config: The recipe.
        force: Do every stage anew.

    Returns:
        "run", "report", and "evaluate" with the summary of each split; nothing in the further processes of a training
        on several devices, which do no more than train.

    Raises:
        NoncoderError: A stage cannot be done with what the recipe says.
    """
    began = time.perf_counter()
    check_model(config.model.name, config.model.parameters)  # before hours of data, not after
    if _only_trains(config):
        from noncoder.train import train

        train(config)
        return {}
    with locked(config.run):
        return _walk(config, force, began)


def _only_trains(config: RunConfig) -> bool:
    """Whether this is a process that the first one has started for its training.

    Raises:
        InputError: Something else has started several processes, which cannot share the other stages.
    """
    if not {"WORLD_SIZE", "SLURM_NTASKS"} & set(os.environ):
        return False
    from noncoder.train.ranks import find_world

    world = find_world(config.train)
    if world.external and world.ranks > 1:
        raise InputError(
            f"`noncoder run` was started in {world.ranks} processes, and only training has work for them",
            mend="make the store with `noncoder data`, start `noncoder train` in this way, then `noncoder run` in one "
            "process for the rest",
        )
    return world.rank > 0


def make_data(config: RunConfig) -> None:
    """Makes the store of a recipe, if it is not there.

    Raises:
        NoncoderError: The recipe does not say how, or it cannot be done.
    """
    with locked(config.run):
        _data_stage(config, force=False)


def _walk(config: RunConfig, force: bool, began: float) -> dict[str, Any]:
    store = _data_stage(config, force)
    _check_before_training(config, store)
    _explore_stage(config, store, force)
    if not force and is_trained(config, store):
        _say("train", "done before, skipped")
    else:
        from noncoder.train import train  # with Lightning, which a finished run can do without

        summary = train(config, force)
        _say(
            "train",
            f"{summary['model']}, {summary['epochs']:.1f} passes, {summary['windows_per_second']:,.0f} windows/s, "
            f"{summary['seconds']:,.0f} s",
        )
    chosen = config.evaluate
    summaries = evaluate_run(config.run, chosen, config.store, force)
    for summary in summaries:
        mean = summary["mean"]
        _say(
            "evaluate",
            f"{summary['split']}: mean AUROC {_digits(mean['auroc'])}, average precision "
            f"{_digits(mean['average_precision'])} over {summary['scored']} tasks",
        )
    _interpret_stage(config, store, force)
    report = write_report(config.run, tasks=config.report.tasks, title=config.report.title)
    _say("report", f"{report}; {time.perf_counter() - began:,.0f} s in all")
    return {
        "run": str(config.run),
        "report": str(report),
        "seconds": round(time.perf_counter() - began, 1),
        "evaluate": {summary["split"]: summary for summary in summaries},
    }


def evaluate_run(
    run: Path,
    config: EvaluateConfig | Mapping[str, Any],
    store: Path | None = None,
    force: bool = False,
    save_temperatures: bool = False,
) -> list[dict[str, Any]]:
    """Measures the predictor of a run; a split that was measured in the same way before is read, not measured again.

    Args:
        run: The run's folder.
        config: The section to go by, or what is other than in the recipe's.
        store: Another store than the run's own.
        force: Measure again.
        save_temperatures: Keep the fitted temperatures with the predictor, whose probabilities are then calibrated.

    Raises:
        NoncoderError: There is no predictor, no such split, or the store does not fit.
    """
    recipe = read_run(run)
    if not isinstance(config, EvaluateConfig):
        config = validate(EvaluateConfig, recipe.evaluate.model_dump() | dict(config), origin="the options")
    device = _device()
    predictors = [load(path).to(device) for path in (run, *config.ensemble)]
    opened = open_store(store or recipe.store)
    for split in config.splits:
        opened.indices(split)  # an unknown split is told before anything is measured
    stage = EvaluationStage(run / "evaluate", predictors, opened, config, force)
    if save_temperatures:
        stage.check_saving()  # what cannot be kept is told before anything is measured
    with locked(stage.folder, mend="wait for it"):
        summaries = [stage.evaluate(split) for split in config.splits]
        if save_temperatures:
            stage.save_temperatures(run / "predictor")
    return summaries


def interpret_run(
    run: Path,
    config: InterpretConfig | Mapping[str, Any],
    store: Path | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Looks into the predictor of a run; tasks that were looked into in the same way before are read.

    Args:
        run: The run's folder, or one with a predictor alone, which has no store of its own.
        config: The section to go by, or what is other than in the recipe's.
        store: Another store than the run's own.
        force: Do it again.

    Returns:
        As `noncoder.interpret.stage.InterpretationStage.interpret`.

    Raises:
        NoncoderError: There is no predictor, no such task, or nothing to look at.
    """
    from noncoder.interpret.choosing import judged_split
    from noncoder.interpret.stage import InterpretationStage

    predictor = load(run).to(_device())
    recipe = read_run(run) if (run / "recipe.yaml").is_file() else None
    if not isinstance(config, InterpretConfig):
        before = {} if recipe is None else recipe.interpret.model_dump()
        config = validate(InterpretConfig, before | dict(config), origin="the options")
    path = store or (None if recipe is None or config.sequences else recipe.store)
    opened = None if path is None else open_store(path)
    logits = None
    if recipe is not None and opened is not None and store is None:
        evaluation = EvaluationStage(run / "evaluate", [predictor], opened, recipe.evaluate)
        logits = None if recipe.evaluate.ensemble else evaluation.own_logits(judged_split(opened))
    stage = InterpretationStage(run / "interpret", predictor, opened, config, force)
    with locked(stage.folder, mend="wait for it"):
        return stage.interpret(logits, () if recipe is None else recipe.report.tasks)


def layers_of(run: Path) -> list[dict[str, Any]]:
    """The layers of a run's model at which Grad-CAM can look: name, channels, positions and the bp between them."""
    from noncoder.interpret.layers import list_layers

    return [
        {"name": layer.name, "channels": layer.channels, "positions": layer.positions, "step": layer.step}
        for layer in list_layers(load(run).model)
    ]


def _interpret_stage(config: RunConfig, store: Store, force: bool) -> None:
    if not config.interpret.windows:
        return
    from noncoder.interpret.choosing import NoTaskError

    try:
        found = interpret_run(config.run, config.interpret, force=force)
    except NoTaskError as error:
        # That nothing can be chosen in a small split is no reason to withhold the report.
        _say("interpret", f"left out: {error.found}")
        return
    named = sum(motif["named"] is not None for task in found["done"] for motif in task["motifs"])
    _say("interpret", f"{len(found['done'])} tasks, {named} motifs with a name")


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def predict_fasta(run: Path, fasta: Path, out: Path, strands: str, force: bool = False) -> int:
    """Writes the probability of every task for each record of a FASTA file.

    Args:
        run: The run's or predictor's folder.
        fasta: Records as long as the model's window.
        out: A .tsv, .csv or .parquet file: a column `record`, then one a task.
        strands: Which strands are read.
        force: Replace a file that is there.

    Returns:
        How many records there were.

    Raises:
        NoncoderError: There is no predictor, a record has another length, or the file is there.
    """
    import polars as pl

    from noncoder.sequence.genome import Genome

    if out.exists() and not force:
        raise InputError(f"{out} is there already", mend="give another name, or --force to replace it")
    if out.suffix not in (".tsv", ".csv", ".parquet"):
        raise InputError(f"{out} has an unknown ending", expected=".tsv, .csv or .parquet")
    predictor = load(run).to(_device())
    with Genome(fasta) as records:
        wrong = [(name, n) for name, n in records.lengths.items() if n != predictor.window]
        if wrong:
            raise InputError(
                f"{fasta}: the record {wrong[0][0]!r} has {wrong[0][1]:,} bp", expected=f"{predictor.window:,} bp",
                mend="crop or pad the records around their middle",
            )  # fmt: skip
        codes = np.stack([records.contig(name) for name in records.lengths])
        names = list(records.lengths)
    probs = predictor.predict(codes, cast(Strands, strands))
    table = pl.DataFrame({"record": names} | {task.name: probs[:, i] for i, task in enumerate(predictor.tasks)})
    content = io.BytesIO()
    if out.suffix == ".parquet":
        table.write_parquet(content)
    else:
        table.write_csv(content, separator="\t" if out.suffix == ".tsv" else ",", float_precision=6)
    write_bytes(out, content.getbuffer())
    return len(names)


def _data_stage(config: RunConfig, force: bool) -> Store:
    source = config.data.build or config.data.pack or config.data.deepsea or config.data.simulate
    marker = config.run / "data.json"
    if config.store.exists():
        store = open_store(config.store)
        made = read_json(marker)
        ours = made is not None and made.get("digest") == store.digest
        if ours and source and made and made.get("source") != source.model_dump(mode="json") and not force:
            raise ConfigError(
                f"{config.store} was made by another data section than the recipe's",
                mend="give another run=, or --force to make it and all that follows anew",
            )
        # Only what this run has made is made anew: another store is somebody's data.
        if not (force and source and ours):
            _say("data", f"{config.store}: {len(store):,} windows, {len(store.tasks)} tasks; there before, used")
            return store
    if source is None:
        raise ConfigError(
            f"the store {config.store} does not exist, and the recipe does not say how to make it",
            expected="data.store, or one of data.build, data.pack, data.deepsea and data.simulate",
        )
    began = time.perf_counter()
    store = _make_store(config, force)
    write_json(marker, {"source": source.model_dump(mode="json"), "digest": store.digest})
    seconds = time.perf_counter() - began
    _say("data", f"{config.store}: {len(store):,} windows, {len(store.tasks)} tasks, {seconds:.0f} s")
    return store


def _check_before_training(config: RunConfig, store: Store) -> None:
    """Tells of what would fail after hours of training."""
    find_tasks([*config.report.tasks, *config.interpret.tasks], store.tasks)
    for split in ("train", "valid", *config.evaluate.splits):
        if not store.indices(split).size:
            raise InputError(
                f"{store.path} has no window in the split {split!r}", mend="build it with this split, or leave it out"
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

    path = config.run / "explore.json"
    if not force and (read_json(path) or {}).get("digest") == store.digest:
        _say("explore", "done before, skipped")
        return
    write_json(path, explore(store, config.evaluate.min_positives) | {"digest": store.digest})
    _say("explore", str(path))


def _digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _say(stage: str, text: str) -> None:
    print(f"{stage:9} {text}", file=sys.stderr, flush=True)


__all__ = ["evaluate_run", "make_data", "predict_fasta", "run_recipe"]

"""The road from a recipe to a report, a stage at a time."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from noncoder.config import EvaluateConfig, RunConfig
from noncoder.data.store import Store, open_store
from noncoder.errors import ConfigError, InputError
from noncoder.evaluate import evaluate
from noncoder.models import check_model
from noncoder.predictor import Strands, load
from noncoder.report import write_report
from noncoder.train.fit import train
from noncoder.train.run import is_trained, read_run, write_json


def run_recipe(config: RunConfig, force: bool = False) -> dict[str, Any]:
    """Walks the whole road; what is finished is skipped, what was interrupted goes on.

    Args:
        config: The recipe.
        force: Do every stage anew.

    Returns:
        "run", "report", and "evaluate" with the summary of each split.

    Raises:
        NoncoderError: A stage cannot be done with what the recipe says.
    """
    began = time.perf_counter()
    check_model(config.model.name, config.model.parameters)  # before hours of data, not after
    config.run.mkdir(parents=True, exist_ok=True)
    store = _data_stage(config, force)
    _explore_stage(config, store, force)
    if not force and is_trained(config, store):
        _say("train", "done before, skipped")
    else:
        summary = train(config, force)
        _say(
            "train",
            f"{summary['model']}, {summary['epochs']:.1f} passes, {summary['windows_per_second']:,.0f} windows/s, "
            f"{summary['seconds']:,.0f} s",
        )
    chosen = config.evaluate
    summaries = evaluate_run(config.run, chosen.splits, config.store, force=force, config=chosen)
    for summary in summaries:
        mean = summary["mean"]
        _say(
            "evaluate",
            f"{summary['split']}: mean AUROC {_digits(mean['auroc'])}, average precision "
            f"{_digits(mean['average_precision'])} over {summary['scored']} tasks",
        )
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
    splits: Sequence[str] = (),
    store: Path | None = None,
    strands: str | None = None,
    force: bool = False,
    config: EvaluateConfig | None = None,
) -> list[dict[str, Any]]:
    """Measures the predictor of a run; a split that was measured in the same way before is read, not measured again.

    Args:
        run: The run's folder.
        splits: Which splits; by default those of the run's recipe.
        store: Another store than the run's own.
        strands: Another way to read the strands than the recipe's.
        force: Measure again.
        config: Another section than the recipe's.

    Raises:
        NoncoderError: There is no predictor, no such split, or the store does not fit.
    """
    recipe = read_run(run)
    config = config or recipe.evaluate
    if strands:
        config = config.model_copy(update={"strands": strands})
    predictor, opened = load(run), open_store(store or recipe.store)
    summaries = []
    for split in splits or config.splits:
        opened.indices(split)  # an unknown split is told before anything is measured
        folder = run / "evaluate" / split
        made_from = {
            "config": config.model_dump(mode="json", exclude={"splits", "batch_size"}),
            "store": opened.digest,
            "weights": predictor.info.get("training", {}).get("started"),
        }
        if not force and _made_from(folder) == made_from:
            summaries.append(json.loads((folder / "summary.json").read_text()))
            continue
        summaries.append(evaluate(predictor, opened, split, config, folder))
        write_json(folder / "made-from.json", made_from)
    return summaries


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
    predictor = load(run)
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
    partial = out.with_name(f".{out.name}")
    if out.suffix == ".parquet":
        table.write_parquet(partial)
    else:
        table.write_csv(partial, separator="\t" if out.suffix == ".tsv" else ",", float_precision=6)
    partial.replace(out)
    return len(names)


def _data_stage(config: RunConfig, force: bool) -> Store:
    source = config.data.build or config.data.pack or config.data.simulate
    marker = config.run / "data.json"
    if config.store.exists() and not (force and source and marker.exists()):
        _check_source(config, marker)
        store = open_store(config.store)
        _say("data", f"{config.store}: {len(store):,} windows, {len(store.tasks)} tasks; there before, used")
        return store
    if source is None:
        raise ConfigError(
            f"the store {config.store} does not exist, and the recipe does not say how to make it",
            expected="data.store, or one of data.build, data.pack and data.simulate",
        )
    began = time.perf_counter()
    store = _make_store(config, force)
    write_json(marker, source.model_dump(mode="json"))
    seconds = time.perf_counter() - began
    _say("data", f"{config.store}: {len(store):,} windows, {len(store.tasks)} tasks, {seconds:.0f} s")
    return store


def _make_store(config: RunConfig, force: bool) -> Store:
    if config.data.build:
        from noncoder.data.peaks import build_store

        return build_store(config.data.build, config.store, force)
    if config.data.pack:
        from noncoder.data.table import pack_table

        return pack_table(config.data.pack, config.store, force)
    from noncoder.data.simulate import simulate_store

    assert config.data.simulate is not None
    return simulate_store(config.data.simulate, config.store, force)


def _check_source(config: RunConfig, marker: Path) -> None:
    source = config.data.build or config.data.pack or config.data.simulate
    if source and marker.exists() and json.loads(marker.read_text()) != source.model_dump(mode="json"):
        raise ConfigError(
            f"{config.store} was made by another data section than the recipe's",
            mend="give another run=, or --force to make it and all that follows anew",
        )


def _explore_stage(config: RunConfig, store: Store, force: bool) -> None:
    from noncoder.data.explore import explore

    path = config.run / "explore.json"
    if not force and path.exists() and json.loads(path.read_text()).get("digest") == store.digest:
        _say("explore", "done before, skipped")
        return
    write_json(path, explore(store) | {"digest": store.digest})
    _say("explore", str(path))


def _made_from(folder: Path) -> Any:
    path = folder / "made-from.json"
    return json.loads(path.read_text()) if path.exists() and (folder / "summary.json").exists() else None


def _digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _say(stage: str, text: str) -> None:
    print(f"{stage:9} {text}", file=sys.stderr, flush=True)


__all__ = ["evaluate_run", "predict_fasta", "run_recipe"]

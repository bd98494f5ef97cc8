"""Every model, trained by its own recipe on one store for the same number of windows: its costs, and what it learns.

Each row of ROWS is a recipe with overrides. A row is trained, validated once at the end, measured on a split, and
written to a file of JSON lines at once; rows that the file holds are not done again, and an interrupted training goes
on. At the end the rows are printed as a Markdown table. Windows are rounded up to whole optimiser steps.

    noncoder data build ... yeast.zarr      # as in the README
    python benchmarks/zoo.py yeast.zarr --windows 8000
    python benchmarks/zoo.py yeast.zarr --passes 10 --rows danq,chromdl train.precision=auto
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import noncoder
from noncoder.config import EvaluateConfig, RunConfig, read_recipe
from noncoder.data.store import Store
from noncoder.errors import NoncoderError
from noncoder.pipeline import evaluate_run
from noncoder.runs.folder import RunFolder
from noncoder.runs.results import TrainingSummary
from noncoder.train import train
from noncoder.train.claim import is_trained

RECIPES = Path(__file__).parents[1] / "recipes"


@dataclass(frozen=True)
class Row:
    """A line of the table: its name, a recipe, and what is set differently."""

    name: str
    recipe: str
    overrides: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """The name of its run's folder."""
        return self.name.replace(", ", "-").replace(" ", "_")


def _txl(what: str, *overrides: str) -> Row:
    return Row(f"wideresnet-txl, {what}", "deepsea/wideresnet-txl", tuple(f"model.parameters.{o}" for o in overrides))


# A small version, trained fast enough on two cores to leave chance: what differs between its rows is what is named.
_SMALL = (
    *(f"model.parameters.{o}" for o in ("width=64", "expansion=4", "core_layers=2", "hidden=128", "dropout=0.3")),
    "train.optimizer=adamw", "train.learning_rate=0.003", "train.weight_decay=0.05", "train.warmup_steps=0",
    "train.warmup=0.1", "train.decay=cosine", "train.batch_size=64", "train.accumulate=1", "train.clip=1",
    "train.shift=20", "train.output_bias=prevalence",
)  # fmt: skip


def _small(what: str, *overrides: str) -> Row:
    own = tuple(f"model.parameters.{o}" for o in overrides)
    return Row(f"small wideresnet-txl, {what}", "deepsea/wideresnet-txl", _last(*_SMALL, *own))


def _last(*overrides: str) -> tuple[str, ...]:
    """The overrides with the last value of each key."""
    values = dict(override.split("=", 1) for override in overrides)
    return tuple(f"{key}={value}" for key, value in values.items())


ROWS = (
    Row("compact", "yeast"),
    *(
        Row(name, f"deepsea/{name}")
        for name in ("deepsea", "danq", "danq-jaspar", "ncnet-brr", "ncnet-rbr", "chromdl", "deepatt")
    ),
    Row("wideresnet-lstm", "deepsea/wideresnet-lstm"),
    Row("wideresnet-txl", "deepsea/wideresnet-txl"),
    _txl("bidirectional", "bidirectional=true"),
    _txl("one-hot", "embedding=0"),
    _txl("without core", "core=none"),
    _txl("Transformer encoder", "core=encoder"),
    _txl("convolution in heads", "core_kernel=3"),
    _txl("without skip", "skip=none"),
    _txl("skip added", "skip=add"),
    _txl("squeeze-and-excitation", "squeeze=16"),
    _txl("ResNeXt", "cardinality=32"),
    _txl("post-activation", "activation=post"),
    _txl("weight vector normalisation", "wvn=true"),
    _small("causal"),
    _small("bidirectional", "bidirectional=true"),
    _small("one-hot", "embedding=0"),
    _small("without core", "core=none"),
    _small("Transformer encoder", "core=encoder"),
    _small("LSTM", "core=lstm", "core_layers=1"),
)


def recipe_of(row: Row, store: Store, options: argparse.Namespace) -> RunConfig:
    """The recipe of a row for so many windows, with one validation at the end."""
    passes = options.passes or options.windows / store.indices("train").size
    run = options.runs / (f"{options.passes:g}-passes" if options.passes else f"{options.windows}-windows") / row.folder
    settings = (f"data={{store: '{store.path}'}}", f"run={run}", f"train.epochs={passes!r}",
                f"train.validations={1 / passes!r}")  # fmt: skip
    return read_recipe(RECIPES / f"{row.recipe}.yaml", _last(*settings, *row.overrides, *options.overrides))


def do(row: Row, config: RunConfig, store: Store, options: argparse.Namespace) -> dict[str, Any]:
    """Trains and measures a row, or what of that is left to do."""
    folder = RunFolder(config.run)
    summary = TrainingSummary.read(folder.train.summary) if is_trained(config, store) else train(config)
    assert summary is not None
    chosen = EvaluateConfig(splits=(options.split,), strands=options.strands, min_positives=options.min_positives)
    (measured,) = evaluate_run(config.run, chosen, config.store)
    for checkpoint in (folder.train.last, folder.train.best):
        checkpoint.unlink(missing_ok=True)
    means = measured.mean_min_positives
    assert means is not None
    assert summary.epochs is not None
    return {
        "name": row.name,
        "parameters": summary.n_parameters,
        "windows": round(summary.epochs * store.indices("train").size),
        "steps": summary.steps,
        "auroc": means.auroc,
        "average_precision": means.average_precision,
        "tasks": measured.tasks_with_min_positives,
        "seconds": summary.seconds,
        "windows_per_second": summary.windows_per_second,
        "device": summary.device,
        "threads": summary.threads,
        "precision": summary.precision,
    }


def key_of(row: Row, options: argparse.Namespace, store: Store) -> dict[str, Any]:
    """All that decides what a row comes to."""
    return {
        "row": row.name,
        "recipe": row.recipe,
        "overrides": [*row.overrides, *options.overrides],
        "amount": f"{options.passes:g} passes" if options.passes else f"{options.windows} windows",
        "measured": [options.split, options.strands, options.min_positives],
        "store": store.digest,
    }


def table(done: list[dict[str, Any]], options: argparse.Namespace) -> str:
    """The rows in Markdown."""
    first = done[0]
    lines = [
        f'{options.store.name}, split {options.split}, {options.strands} strands where "both" averages probabilities; '
        f"means over the {first['tasks']} tasks with at least {options.min_positives} positives; "
        f"{first['device']}, {first['threads']} threads.",
        "",
        "| model | parameters | windows | AUROC | average precision | training, s | windows/s | arithmetic |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for row in done:
        figures = f"{row['auroc']:.3f} | {row['average_precision']:.3f}" if row["auroc"] is not None else "- | -"
        lines.append(
            f"| {row['name']} | {row['parameters']:,} | {row['windows']:,} | {figures} | {row['seconds']:,.0f} | "
            f"{row['windows_per_second']:,.0f} | {row['precision']} |"
        )
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="set in every row")
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument("--windows", type=int, default=8000, help="training windows a row")
    amount.add_argument("--passes", type=float, help="passes over the training split a row, in place of windows")
    parser.add_argument("--rows", help="names or models, separated by commas; all by default")
    parser.add_argument("--split", default="test")
    parser.add_argument("--strands", choices=["both", "forward"], default="both")
    parser.add_argument("--min-positives", type=int, default=30)
    parser.add_argument("--runs", type=Path, default=Path("runs/zoo"), help="where the runs' folders go")
    parser.add_argument("--out", type=Path, default=Path("runs/zoo/zoo.jsonl"))
    return parser.parse_intermixed_args()


def main() -> None:
    options = parse()
    store = noncoder.open_store(options.store)
    names = options.rows.split(",") if options.rows else [row.name for row in ROWS]
    unknown = set(names) - {name for row in ROWS for name in (row.name, row.folder)}
    if unknown:
        sys.exit(f"no row is called {', '.join(unknown)}; there are: {', '.join(row.folder for row in ROWS)}")
    rows = [row for row in ROWS if row.name in names or row.folder in names]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    done, failed = [], []
    for row in rows:
        key = key_of(row, options, store)
        before = [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.exists() else []
        result = next((found for found in before if found["key"] == key), None)
        if result is None:
            print(f"--- {row.name}", file=sys.stderr)
            try:
                result = {"key": key} | do(row, recipe_of(row, store, options), store, options)
            except (NoncoderError, RuntimeError) as error:  # the others are done all the same
                failed.append(f"{row.name}: {error}")
                continue
            with options.out.open("a") as file:
                file.write(json.dumps(result) + "\n")
        done.append(result)
    if done:
        print(table(done, options))
    if failed:
        sys.exit("\n".join(["failed:", *failed]))


if __name__ == "__main__":
    main()

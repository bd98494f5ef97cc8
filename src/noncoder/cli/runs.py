"""Verbs on recipes, runs and models."""

from __future__ import annotations

from pathlib import Path

import click

from noncoder.cli.options import as_json, emit, force, model_source
from noncoder.cli.verbs import Verb
from noncoder.config import split_list

_RECIPE = click.argument("recipe", type=click.Path(path_type=Path))
_OVERRIDES = click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
_RUN = click.argument("run", type=click.Path(path_type=Path))


@click.command(cls=Verb)
@_RECIPE
@_OVERRIDES
@force
@as_json
def run(recipe: Path, overrides: tuple[str, ...], force: bool, as_json: bool) -> None:
    """Run all stages of a RECIPE: data, exploration, training, evaluation, interpretation, report.

    Finished stages are skipped; interrupted stages resume.

    \b
    Example:
      noncoder run recipes/yeast.yaml train.epochs=3 run=runs/quick
    """
    from noncoder.config import read_recipe
    from noncoder.data.sources import check_sources

    config = read_recipe(recipe, overrides)
    check_sources(config)  # before torch is loaded
    from noncoder.pipeline import run_recipe

    result = run_recipe(config, force)
    if not result:
        return  # another process of this training; the first process reports
    emit(result, f"report: {result['report']}", as_json)


@click.command(cls=Verb)
@_RECIPE
@_OVERRIDES
@force
@as_json
def train(recipe: Path, overrides: tuple[str, ...], force: bool, as_json: bool) -> None:
    """Train the model of a RECIPE; the same command resumes an interrupted training.

    \b
    Example:
      noncoder train recipes/yeast.yaml data.store=yeast.zarr run=runs/yeast
      noncoder train recipes/yeast.yaml train.devices=4
    """
    from noncoder.config import read_recipe
    from noncoder.data.sources import check_sources

    config = read_recipe(recipe, overrides)
    check_sources(config, makes=False)  # before torch is loaded
    from noncoder.interpret.attribution import attribution_method
    from noncoder.train import train as fit
    from noncoder.train.log import describe_scores
    from noncoder.train.ranks import is_first

    attribution_method(config.interpret.method)  # refuse a wrong name before training
    summary = fit(config, force)
    if not is_first() or summary is None or summary.best is None:
        return
    best = summary.best
    text = (
        f"trained {summary.model} ({summary.n_parameters:,} parameters) for {summary.epochs:.1f} epochs in "
        f"{summary.seconds:,.0f} s; best validation at step {best.step}: loss {best.loss:.4f}, "
        f"{describe_scores(best.auroc, best.average_precision)}"
    )
    emit(summary.to_json(), text, as_json)


@click.command(cls=Verb)
@_RUN
@click.argument("fasta", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Output .tsv, .csv or .parquet file.")
@click.option("--strands", type=click.Choice(["both", "forward", "reverse"]), default="both", show_default=True)
@model_source
@force
@as_json
def predict(run: Path, fasta: Path, out: Path, strands: str, force: bool, as_json: bool) -> None:
    """Predict the probability of every task for each record of a FASTA file.

    The first column holds the names of the records. It is called record, or record_ if a task is called record.

    \b
    Example:
      noncoder predict runs/yeast windows.fa --out probabilities.tsv
    """
    from noncoder.pipeline import predict_fasta

    n, column = predict_fasta(run, fasta, out, strands, force)
    text = f"{out}: {n:,} records" + ("" if column == "record" else f", their names in the column {column!r}")
    emit({"out": str(out), "records": n, "record_column": column, "strands": strands}, text, as_json)


@click.command(cls=Verb)
@_RUN
@click.option("--out", type=click.Path(path_type=Path), help="Output file; by default RUN/report.html.")
@click.option("--tasks", multiple=True, metavar="A,B", help="Tasks whose curves are shown first.")
@force
@as_json
def report(run: Path, out: Path | None, tasks: tuple[str, ...], force: bool, as_json: bool) -> None:
    """Write the report of a RUN as one HTML file, from the results in the run's folder.

    \b
    Example:
      noncoder report runs/yeast --tasks Reb1,Abf1
    """
    from noncoder.files import refuse_existing
    from noncoder.report import write_report

    if out is not None:
        refuse_existing(out, force)
    written = str(write_report(run, out, [task for given in tasks for task in split_list(given)]))
    emit({"report": written}, f"report: {written}", as_json)

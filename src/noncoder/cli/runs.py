"""Verbs on recipes, runs and models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from noncoder.cli.options import as_json, emit, force

_RECIPE = click.argument("recipe", type=click.Path(path_type=Path))
_OVERRIDES = click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
_RUN = click.argument("run", type=click.Path(path_type=Path))


@click.command()
@_RECIPE
@_OVERRIDES
@force
@as_json
def run(recipe: Path, overrides: tuple[str, ...], force: bool, as_json: bool) -> None:
    """Walk the whole road of a RECIPE: data, exploration, training, evaluation, report.

    Stages that are finished are skipped, an interrupted one is taken up again.

    \b
    Example:
      noncoder run recipes/yeast.yaml train.epochs=3 run=runs/quick
    """
    from noncoder.config import read_recipe
    from noncoder.pipeline import run_recipe

    result = run_recipe(read_recipe(recipe, overrides), force)
    if not result:
        return  # another process of the training, which the first tells of
    emit(result, f"report: {result['report']}", as_json)


@click.command()
@_RECIPE
@_OVERRIDES
@force
@as_json
def train(recipe: Path, overrides: tuple[str, ...], force: bool, as_json: bool) -> None:
    """Train the model of a RECIPE; an interrupted training goes on with the same command.

    \b
    Example:
      noncoder train recipes/yeast.yaml data.store=yeast.zarr run=runs/yeast
      noncoder train recipes/yeast.yaml train.devices=4
    """
    from noncoder.config import read_recipe
    from noncoder.train import train as fit
    from noncoder.train.ranks import is_first

    summary = fit(read_recipe(recipe, overrides), force)
    if not is_first():
        return
    best = summary["best"]
    text = (
        f"trained {summary['model']} ({summary['n_parameters']:,} parameters) for {summary['epochs']:.1f} passes in "
        f"{summary['seconds']:,.0f} s; best validation at step {best['step']}: "
        f"AUROC {best['auroc']:.4f}, average precision {best['average_precision']:.4f}"
    )
    emit(summary, text, as_json)


@click.command()
@_RUN
@click.option("--split", "splits", multiple=True, help="Which split, train, valid or test; may stand several times.")
@click.option("--store", type=click.Path(path_type=Path), help="Another store than the run's own.")
@click.option("--strands", type=click.Choice(["both", "forward", "reverse"]), help="both averages the probabilities.")
@force
@as_json
def evaluate(
    run: Path, splits: tuple[str, ...], store: Path | None, strands: str | None, force: bool, as_json: bool
) -> None:
    """Measure the trained model of a RUN on a split.

    With --json and one split, the summary; with several, the summary of each by name.

    \b
    Example:
      noncoder evaluate runs/yeast --split test --json
    """
    from noncoder.pipeline import evaluate_run

    summaries = evaluate_run(run, splits, store, strands, force)
    single = summaries[0] if len(summaries) == 1 else {summary["split"]: summary for summary in summaries}
    emit(single, "\n".join(map(_evaluation_text, summaries)), as_json)


@click.command()
@_RUN
@click.argument("fasta", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A .tsv, .csv or .parquet file.")
@click.option("--strands", type=click.Choice(["both", "forward", "reverse"]), default="both", show_default=True)
@force
@as_json
def predict(run: Path, fasta: Path, out: Path, strands: str, force: bool, as_json: bool) -> None:
    """Predict the probability of every task for each record of a FASTA file.

    \b
    Example:
      noncoder predict runs/yeast windows.fa --out probabilities.tsv
    """
    from noncoder.pipeline import predict_fasta

    n = predict_fasta(run, fasta, out, strands, force)
    emit({"out": str(out), "records": n, "strands": strands}, f"{out}: {n:,} records", as_json)


@click.command()
@_RUN
@click.option("--out", type=click.Path(path_type=Path), help="Another place than RUN/report.html.")
@click.option("--task", "tasks", multiple=True, help="A task whose curves are shown first; may stand several times.")
@force
@as_json
def report(run: Path, out: Path | None, tasks: tuple[str, ...], force: bool, as_json: bool) -> None:
    """Write the report of a RUN, one HTML file, from what the run's folder holds.

    \b
    Example:
      noncoder report runs/yeast --task Reb1 --task Abf1
    """
    from noncoder.errors import InputError
    from noncoder.report import write_report

    if out is not None and out.exists() and not force:
        raise InputError(f"{out} is there already", mend="give another name, or --force to replace it")
    written = str(write_report(run, out, tasks))
    emit({"report": written}, f"report: {written}", as_json)


def _evaluation_text(summary: dict[str, Any]) -> str:
    def line(label: str, values: dict[str, Any], tasks: int) -> str:
        shown = [
            f"{values[key]:.4f}" if values[key] is not None else "   -  " for key in ("auroc", "average_precision")
        ]
        return f"  {label:34} {shown[0]}   {shown[1]}   {tasks:,}"

    few = summary["min_positives"]
    out = summary["tasks"] - summary["scored"]
    return "\n".join(
        [
            f"{summary['split']}: {summary['windows']:,} windows, strands: {summary['strands']}",
            f"  {'':34} AUROC    AP       tasks",
            line("mean", summary["mean"], summary["scored"]),
            line(f"mean, at least {few} positives", summary["mean_min_positives"], summary["tasks_with_min_positives"]),
            line("median", summary["median"], summary["scored"]),
            line("weighted by training positives", summary["weighted"], summary["scored"]),
            *(line(f"group {name}", group, group["scored"]) for name, group in summary["groups"].items()),
            f"  left out, no positive or no negative: {out}",
            f"  average precision of chance (share of positives): {summary['prevalence']:.4f}",
        ]
    )

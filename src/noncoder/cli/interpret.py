"""The verb that looks into a trained model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from noncoder.cli.options import as_json, emit, force, given_options, section_options
from noncoder.config import InterpretConfig

_SHORT = {"windows": "--n", "figures": "--figure"}


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@section_options(InterpretConfig, _SHORT, needed=False)
@click.option("--store", type=click.Path(path_type=Path), help="Another store than the run's own.")
@force
@as_json
def interpret(run: Path, store: Path | None, force: bool, as_json: bool, **given: Any) -> None:
    """Show what the trained model of a RUN has learned of tasks: attributions, motifs and their grammar.

    Options stand for the section `interpret` of the run's recipe; what is not given is as it says. All is written to
    RUN/interpret/, from which `noncoder report` takes it; what was done before is not done again, and an interrupted
    interpretation goes on with the same command.

    \b
    Example:
      noncoder interpret runs/yeast --tasks Reb1 --taxon fungi
      noncoder interpret runs/yeast --tasks Reb1 --method gradcam --layer first
      noncoder interpret runs/yeast --tasks Abf1 --regions promoters.bed --n 50
    """
    from noncoder.pipeline import interpret_run, layers_of

    if given.get("layer") == "list":
        layers = layers_of(run)
        emit({"layers": layers}, "\n".join(_layer_line(layer) for layer in layers), as_json)
        return
    summary = interpret_run(run, given_options(InterpretConfig, given), store, force)
    emit(summary, "\n".join(interpretation_lines(summary)), as_json)


def _layer_line(layer: dict[str, Any]) -> str:
    return (
        f"{layer['name']:28} {layer['channels']:>5} channels  {layer['positions']:>5} positions of {layer['step']:g} bp"
    )


def interpretation_lines(summary: dict[str, Any]) -> Iterator[str]:
    """What a terminal shows of an interpretation."""
    for task in summary["done"]:
        yield f"{task['task']}: {task['method']}, {task['chosen']}"
        for note in (*task["notes"], *task["warnings"]):
            yield f"  careful: {note}"
        if task["auroc"] is not None:
            yield f"  AUROC {task['auroc']:.4f}, average precision {task['average_precision']:.4f}"
        yield f"  {task['completeness']['text']}"
        agreement = task["agreement"]
        if agreement:
            yield (
                f"  rank correlation with mutagenesis, mean of {agreement['windows']} windows: Grad-CAM "
                f"{_digits(agreement['gradcam_ism_spearman'])}, {task['method']} "
                f"{_digits(agreement['method_ism_spearman'])}"
            )
        for motif in task["motifs"]:
            named = f"{motif['named']} (q {motif['q']:.1g})" if motif["named"] else "no known motif"
            yield f"  {motif['name']:8} {motif['seqlets']:>5} sites  {motif['consensus']:24} {named}"
        for line in task["diagnosis"]["text"]:
            yield f"  {line}"
        yield f"  {task['folder']}"


def _digits(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.2f}"

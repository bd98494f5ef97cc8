"""Verbs that interpret a trained model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from noncoder.cli.options import as_json, emit, force, given_options, model_source, section_from, section_options
from noncoder.cli.verbs import Verb
from noncoder.config import DesignConfig, GrammarConfig, InterpretConfig
from noncoder.interpret.method_names import method_names


@click.command(cls=Verb)
@click.argument("run", type=click.Path(path_type=Path))
@section_options(InterpretConfig, needed=False, names={"method": method_names()})
@click.option("--store", type=click.Path(path_type=Path), help="Store to use instead of the run's own.")
@model_source
@force
@as_json
def interpret(run: Path, store: Path | None, force: bool, as_json: bool, **given: Any) -> None:
    """Show what the trained model of a RUN has learned about tasks: attributions, motifs and their grammar.

    Options override the section `interpret` of the run's recipe. The results are written to RUN/interpret/, where
    `noncoder report` reads them. Finished results are not computed again, and the same command resumes an interrupted
    interpretation.

    \b
    Example:
      noncoder interpret runs/yeast --tasks Reb1 --taxon fungi
      noncoder interpret runs/yeast --tasks Reb1 --method gradcam --layer first
      noncoder interpret runs/yeast --tasks Abf1 --regions promoters.bed --windows 50
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
    """Lines of an interpretation's summary for the terminal."""
    for task in summary["done"]:
        yield f"{task['task']}: {task['method']}, {task['chosen']}"
        for note in (*task["notes"], *task["warnings"]):
            yield f"  careful: {note}"
        if task["auroc"] is not None:
            yield f"  AUROC {task['auroc']:.4f}, average precision {task['average_precision']:.4f}"
        yield f"  {task['completeness']['text']}"
        agreement = task["agreement"]
        if agreement:
            own = (
                "" if task["method"] == "gradcam" else f", {task['method']} {_digits(agreement['method_ism_spearman'])}"
            )
            yield (
                f"  rank correlation with mutagenesis, mean of {agreement['windows']} windows: Grad-CAM "
                f"{_digits(agreement['gradcam_ism_spearman'])}{own}"
            )
        for motif in task["motifs"]:
            named = f"{motif['named']} (q {motif['q']:.1g})" if motif["named"] else "no known motif"
            yield f"  {motif['name']:8} {motif['seqlets']:>5} sites  {motif['consensus']:24} {named}"
        for line in task["diagnosis"]["text"]:
            yield f"  {line}"
        yield f"  {task['folder']}"
    yield from skipped_lines(summary)


def skipped_lines(summary: dict[str, Any]) -> Iterator[str]:
    """Lines for the parts of an interpretation that were left out."""
    for task in summary["done"]:
        for one in task.get("skipped", ()):
            yield f"left out: {task['task']}, {one['step']}: {one['why']}"
    for one in summary["skipped"]:
        yield f"left out: {one['task'] or 'filters'}: {one['why']}"


def _digits(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.2f}"


@click.command(cls=Verb)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--task", required=True, help="Task whose logit is measured.")
@click.option(
    "--motif",
    "motifs",
    multiple=True,
    required=True,
    help="JASPAR motif by name or id, file in MEME format (.meme, .txt), or k-mer; may be given several times.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Output .json file; figures go beside it.")
@section_options(GrammarConfig)
@model_source
@force
@as_json
def grammar(run: Path, task: str, motifs: tuple[str, ...], out: Path, force: bool, as_json: bool, **given: Any) -> None:
    """Insert motifs into shuffled windows: effects of position, distance, strand and removal on a task of a RUN.

    \b
    Example:
      noncoder grammar runs/demo --task GATA3+SPI1 --motif GATA3 --motif SPI1 --out grammar.json
      noncoder grammar runs/yeast --task Reb1 --motif TTACCCG --kmer 6 --out reb1.json
    """
    from noncoder.pipeline import explore_run

    found = explore_run(run, task, motifs, section_from(GrammarConfig, given), out, force)
    emit(found.to_dict(), "\n".join([*grammar_lines(found.to_dict()), str(out)]), as_json)


def grammar_lines(found: dict[str, Any]) -> Iterator[str]:
    """Lines of a grammar's summary for the terminal."""
    for row in found["marginal"]:
        yield f"{row['motif']:16} inserted: {_effect(row['effect'])}"
    for row in found["ablation"]:
        yield f"{row['motif']:16} removed: {_effect(row['effect'])}"
    for row in found["importance"]["kmers"][:10] if found["importance"] else []:
        yield f"{row:16} among the strongest k-mers"
    for warning in found["warnings"]:
        yield f"careful: {warning}"


def _effect(effect: dict[str, Any]) -> str:
    return (
        f"{effect['mean']:+.2f} [{effect['low']:+.2f}, {effect['high']:+.2f}] logits"
        if effect["mean"] is not None
        else "-"
    )


@click.command(cls=Verb)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--task", required=True, help="Task whose logit is raised.")
@click.option("--against", help="Second task, whose logit is lowered, or held constant with --mode hold.")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Output .fa file; values and figures go beside it."
)
@section_options(DesignConfig, {"change": "--change"})
@model_source
@force
@as_json
def design(run: Path, task: str, against: str | None, out: Path, force: bool, as_json: bool, **given: Any) -> None:
    """Design sequences with a high predicted logit for a task of a RUN, or for one task and not another.

    \b
    Example:
      noncoder design runs/demo --task CTCF --sequences 4 --most-edits 12 --out designed.fa
      noncoder design runs/yeast --task Reb1 --against Abf1 --method gumbel --out designed.fa
    """
    from noncoder.pipeline import design_for_run

    found = design_for_run(run, task, section_from(DesignConfig, given), out, against, force)
    summary = found.summary()
    text = (
        f"{summary['sequences']} sequences: logit {summary['logit_before']:.2f} before, "
        f"{summary['logit_after']:.2f} after (best {summary['logit_best']:.2f}), {summary['edits']:.0f} bases changed; "
        f"{summary['above_all_windows']} above every real window\n{out}"
    )
    emit(summary, text, as_json)

"""Verbs that look into a trained model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from noncoder.cli.options import as_json, emit, force, given_options, model_source, section_from, section_options
from noncoder.cli.verbs import Verb
from noncoder.config import DesignSettings, GrammarSettings, InterpretConfig

_SHORT = {"windows": "--n", "figures": "--figure"}


@click.command(cls=Verb)
@click.argument("run", type=click.Path(path_type=Path))
@section_options(InterpretConfig, _SHORT, needed=False)
@click.option("--store", type=click.Path(path_type=Path), help="Another store than the run's own.")
@model_source
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
    """What of an interpretation could not be done, a line each."""
    for task in summary["done"]:
        for one in task.get("skipped", ()):
            yield f"left out: {task['task']}, {one['step']}: {one['why']}"
    for one in summary["skipped"]:
        yield f"left out: {one['task'] or 'filters'}: {one['why']}"


def _digits(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.2f}"


@click.command(cls=Verb)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--task", required=True, help="The task whose logit is looked at.")
@click.option(
    "--motif",
    "motifs",
    multiple=True,
    required=True,
    help="A motif of JASPAR by name or id, a file in MEME's format (.meme, .txt), or a k-mer; may stand several times.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A .json file; figures lie beside it.")
@section_options(GrammarSettings)
@model_source
@force
@as_json
def grammar(run: Path, task: str, motifs: tuple[str, ...], out: Path, force: bool, as_json: bool, **given: Any) -> None:
    """Put motifs into shuffled windows, to see what place, distance, strand and absence do to a task of a RUN.

    \b
    Example:
      noncoder grammar runs/demo --task GATA3+SPI1 --motif GATA3 --motif SPI1 --out grammar.json
      noncoder grammar runs/yeast --task Reb1 --motif TTACCCG --kmer 6 --out reb1.json
    """
    from noncoder.pipeline import explore_run

    found = explore_run(run, task, motifs, section_from(GrammarSettings, given), out, force)
    emit(found.to_dict(), "\n".join([*grammar_lines(found.to_dict()), str(out)]), as_json)


def grammar_lines(found: dict[str, Any]) -> Iterator[str]:
    """What a terminal shows of a grammar."""
    for row in found["marginal"]:
        yield f"{row['motif']:16} put in: {_effect(row['effect'])}"
    for row in found["ablation"]:
        yield f"{row['motif']:16} taken away: {_effect(row['effect'])}"
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
@click.option("--task", required=True, help="The task whose logit is made high.")
@click.option("--against", help="A second task, which is made low, or held with --mode hold.")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="A .fa file; numbers and figures beside it."
)
@section_options(DesignSettings, {"change": "--change"})
@model_source
@force
@as_json
def design(run: Path, task: str, against: str | None, out: Path, force: bool, as_json: bool, **given: Any) -> None:
    """Design sequences that please a task of a RUN, or one task and not another.

    \b
    Example:
      noncoder design runs/demo --task CTCF --sequences 4 --most-edits 12 --out designed.fa
      noncoder design runs/yeast --task Reb1 --against Abf1 --method gumbel --out designed.fa
    """
    from noncoder.pipeline import design_for_run

    found = design_for_run(run, task, section_from(DesignSettings, given), out, against, force)
    told = found.summary()
    text = (
        f"{told['sequences']} sequences: logit {told['logit_before']:.2f} before, {told['logit_after']:.2f} after "
        f"(best {told['logit_best']:.2f}), {told['edits']:.0f} bases changed; "
        f"{told['above_all_windows']} above every real window\n{out}"
    )
    emit(told, text, as_json)

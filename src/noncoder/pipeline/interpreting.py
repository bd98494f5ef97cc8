"""Interprets the predictor of a run: its tasks, the grammar of motifs, and designed sequences."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from noncoder.config import DesignConfig, GrammarConfig, InterpretConfig, RunConfig, validate
from noncoder.data.store import open_store
from noncoder.data.tasks import find_tasks
from noncoder.errors import InputError
from noncoder.evaluate.evaluation_stage import EvaluationStage
from noncoder.files import locked, only_writer, refuse_existing, write_bytes, write_json
from noncoder.interpret.attribution import attribution_method
from noncoder.interpret.choosing import check_regions, judged_split, positive_windows
from noncoder.interpret.design import Design, design_sequences
from noncoder.interpret.design.design_figures import design_figures
from noncoder.interpret.grammar import Grammar, explore_grammar
from noncoder.interpret.grammar.grammar_figures import grammar_figures
from noncoder.interpret.interpretation_stage import InterpretationStage
from noncoder.interpret.layers import list_layers
from noncoder.pipeline.best_device import best_device
from noncoder.plots import save_figure
from noncoder.predictor import Predictor, load
from noncoder.runs.folder import RunFolder
from noncoder.runs.run_recipe import read_run
from noncoder.sequence.motifs import Motif, load_jaspar, read_meme

# Other formats are refused by the file's suffix.
_MOTIF_FILES = (".meme", ".txt", ".jaspar", ".pfm", ".motif", ".motifs", ".homer", ".transfac")
_WINDOWS = 500  # windows of a task from which backgrounds are made and with which designs are compared


def interpret_run(
    run: Path,
    config: InterpretConfig | Mapping[str, Any],
    store: Path | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Interprets the predictor of a run; results of tasks that were interpreted with the same settings are reused.

    Args:
        run: The run's folder, or a folder with only a predictor, which has no store of its own.
        config: Settings of the interpretation, or changes of those in the recipe.
        store: Another store than the run's own.
        force: Interpret again.

    Returns:
        As `noncoder.interpret.interpretation_stage.InterpretationStage.interpret`.

    Raises:
        NoncoderError: There is no predictor, no such task, or nothing to interpret.
    """
    folder = RunFolder(run)
    recipe = read_run(run) if folder.recipe.is_file() else None
    if not isinstance(config, InterpretConfig):
        before = {} if recipe is None else recipe.interpret.model_dump()
        config = validate(InterpretConfig, before | dict(config), origin="the options")
    attribution_method(config.method)  # refuse a wrong name before the store and the predictor are loaded
    path = store or (None if recipe is None or config.sequences else recipe.store)
    opened = None if path is None else open_store(path)
    if opened is not None and config.regions is not None:
        check_regions(opened, config.regions)
    predictor, logits = load(run).to(best_device()), None
    if recipe is not None and opened is not None and store is None:
        evaluation = EvaluationStage(folder.evaluate, [predictor], opened, recipe.evaluate)
        logits = None if recipe.evaluate.ensemble else evaluation.own_logits(judged_split(opened))
    stage = InterpretationStage(folder.interpret, predictor, opened, config, force)
    with locked(folder.interpret.path, hint="wait for it"):
        return stage.interpret(logits, () if recipe is None else recipe.report.tasks)


def layers_of(run: Path) -> list[dict[str, Any]]:
    """Lists the layers of a run's model that Grad-CAM supports: name, channels, positions and bp between positions."""
    return [
        {"name": layer.name, "channels": layer.channels, "positions": layer.positions, "step": layer.step}
        for layer in list_layers(load(run).model)
    ]


def explore_run(
    run: Path, task: str, motifs: Sequence[str], settings: GrammarConfig, out: Path, force: bool = False
) -> Grammar:
    """Measures the motif grammar of a task, and writes it with its figures.

    Args:
        run: The run's folder.
        task: The task.
        motifs: JASPAR names or ids, files of motifs in MEME format, or k-mers.
        settings: What to measure.
        out: A .json file; figures are written beside it.
        force: Replace an existing file.

    Raises:
        NoncoderError: There is no such run, task or motif, or the file exists.
    """
    predictor, recipe, windows = _open(run, task)
    _check_out(out, ".json", force)
    read = [read_motifs(text, recipe.interpret) for text in motifs]
    with only_writer(out):
        found = explore_grammar(predictor, task, [motif for known, _ in read for motif in known], windows, settings)
        found.warnings.extend(note for _, left_out in read for note in left_out)
        values = found.to_dict()
        write_json(out, values)
        _save_figures(grammar_figures(values), out)
    return found


def design_for_run(
    run: Path, task: str, settings: DesignConfig, out: Path, against: str | None = None, force: bool = False
) -> Design:
    """Designs sequences with a high predicted logit for a task; writes FASTA, all numbers as JSON, and figures.

    Args:
        run: The run's folder.
        task: The task.
        settings: Settings of the design.
        out: A .fa or .fasta file.
        against: A second task, whose logit is lowered or held.
        force: Replace an existing file.

    Raises:
        NoncoderError: There is no such run or task, or the file exists.
    """
    predictor, _, windows = _open(run, task)
    _check_out(out, ".fa, .fasta", force)
    with only_writer(out):
        found = design_sequences(predictor, task, settings, against, windows=windows)
        column = found.tasks.index(task)
        name = re.sub(r"\s+", "_", task)  # a record's name ends at the first blank
        records = [
            f">{name}_{i + 1} logit={found.logits['after'][i][column]:.4f} edits={found.edits[i]}\n{text}\n"
            for i, text in enumerate(found.sequences)
        ]
        write_bytes(out, "".join(records).encode())
        values = found.to_dict()
        write_json(out.with_suffix(".json"), values)
        _save_figures(design_figures(values), out)
    return found


def read_motifs(text: str, config: InterpretConfig) -> tuple[list[Motif | str], tuple[str, ...]]:
    """Resolves a motif that a user names: the motifs of a MEME file, a k-mer, or a JASPAR motif.

    Returns:
        The motifs, and a message for each motif of a file that was left out.

    Raises:
        InputError: The file cannot be read.
        UnknownNameError: JASPAR has no such motif; the message offers the nearest.
    """
    if Path(text).suffix.lower() in _MOTIF_FILES:
        found = read_meme(text)
        return list(found), found.left_out
    if text and set(text.upper()) <= set("ACGTN"):
        return [text.upper()], ()
    return list(load_jaspar([text], config.release, config.taxon)), ()


def _open(run: Path, task: str) -> tuple[Predictor, RunConfig, NDArray[np.uint8]]:
    predictor, recipe = load(run).to(best_device()), read_run(run)
    (column,) = find_tasks([task], predictor.tasks)
    store = open_store(recipe.store)
    chosen = recipe.interpret.model_copy(update={"split": "all", "windows": _WINDOWS})
    return predictor, recipe, positive_windows(predictor, store, column, chosen).codes


def _check_out(out: Path, endings: str, force: bool) -> None:
    if out.suffix not in endings.split(", "):
        raise InputError(f"{out} has an unknown ending", expected=endings)
    refuse_existing(out, force)


def _save_figures(figures: Mapping[str, Figure], out: Path) -> None:
    for name, figure in figures.items():
        save_figure(figure, out.with_name(f"{out.stem}-{name}.png"))

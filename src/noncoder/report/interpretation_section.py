"""The content of the section on what the model learned: motifs, filters, and figures of windows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from noncoder import plots
from noncoder.files import read_json
from noncoder.report.figures import svg
from noncoder.report.interpret_files import Interpretation, TaskFiles, as_written, read_interpretation
from noncoder.report.interpret_grammar import design_part, grammar_part
from noncoder.report.motif_logos import PairOfLogos, filter_logo, known_motifs, pattern_logos
from noncoder.runs.folder import RunFolder
from noncoder.runs.results import PatternResult
from noncoder.sequence.tracks import mutation_importance

# Numbers of windows that are drawn for the first tasks, of rows of a heat map, and of filters with a logo.
_WINDOWS, _ROWS, _FILTERS = (2, 1, 1), 48, 60
# Number of motifs that the overview names per task.
_NAMED = 2

Floats = NDArray[np.floating[Any]]


def learned_section(run: RunFolder) -> dict[str, Any] | None:
    """Returns the content of the section; None for a run without an interpretation.

    Args:
        run: The run's folder.

    Raises:
        InputError: A file cannot be read, or differs from what this version writes.
    """
    found = read_interpretation(run.interpret, len(_WINDOWS))
    if found is None:
        return None
    bin_ = (read_json(run.predictor.description) or {}).get("bin")
    folder = run.interpret
    with as_written(folder.tasks):
        known = known_motifs(found)
    tasks = []
    for i, task in enumerate(found.tasks):
        with as_written(folder.task(task.folder).path):
            drawn = _WINDOWS[i] if i < len(_WINDOWS) else 0
            tasks.append(_task(task, f"t{i}", known, bin_, drawn))
    with as_written(folder.filters.filters):
        filters = _filters(found)
    return {
        "summary": found.summary,
        "tasks": tasks,
        "with_motif": sum(bool(task["named"]) for task in tasks),
        "methods": list(dict.fromkeys(task["summary"].get("method") for task in tasks)),
        "figured": len(_WINDOWS),
        **filters,
    }


def _task(task: TaskFiles, part: str, known: Mapping[str, Floats], bin_: int | None, windows: int) -> dict[str, Any]:
    patterns = [_pattern(pattern, known) for pattern in task.patterns or []]
    named = [pattern for pattern in patterns if pattern["named"]]
    return {
        "name": task.name,
        "part": part,
        "summary": task.summary or {},
        "patterns": patterns,
        "named": named,
        "first": (named or patterns)[:_NAMED],
        "searched": task.patterns is not None,
        "figures": _figures(task, part, bin_, windows) if windows else {},
        "grammar": grammar_part(task.grammar, part) if windows else None,
        "design": design_part(task.design, part) if windows else None,
    }


def _pattern(pattern: PatternResult, known: Mapping[str, Floats]) -> dict[str, Any]:
    match = pattern.matches[0] if pattern.matches else None
    logos: PairOfLogos = pattern_logos(pattern, match, known)
    return {
        "name": pattern.name,
        "sign": pattern.sign,
        "seqlets": pattern.seqlets,
        "sites": len(pattern.sites),
        "named": pattern.named,
        "match": match,
        "others": [other.name for other in pattern.matches[1:6]],
        "logo": logos.found,
        "known": logos.known,
    }


def _filters(found: Interpretation) -> dict[str, Any]:
    if found.filters is None:
        return {"filters": None}
    ordered = sorted(found.filters, key=lambda row: -row.information)
    rows = [
        {**dict(row), "logo": filter_logo(row), "match": row.matches[0] if row.matches else None,
         "driven": sorted(row.tasks, key=lambda one: -abs(one.effect))[:3]}
        for row in ordered[:_FILTERS]
    ]  # fmt: skip
    return {"filters": rows, "more_filters": len(ordered) - len(rows), "all_filters": len(ordered)}


def _figures(task: TaskFiles, part: str, bin_: int | None, count: int) -> dict[str, Any]:
    stored = task.attributions
    if stored is None or not len(stored["codes"]):
        return {}
    codes, length = stored["codes"], stored["codes"].shape[1]
    values = np.take_along_axis(
        np.pad(stored["values"], ((0, 0), (0, 1), (0, 0))), np.minimum(codes, 4)[:, None].astype(np.int64), axis=1
    )[:, 0]
    centre = ((length - bin_) // 2, (length + bin_) // 2) if bin_ and bin_ < length else None
    order = np.argsort(-stored["logit"], kind="stable")
    map_ = plots.plot_heat_map(values[order[:_ROWS]], centre)
    figures: dict[str, Any] = {"map": svg(map_, f"{part}-map", f"heat map of the attributions of {task.name}")}
    mutated = {int(row): i for i, row in enumerate(task.mutations["index"])} if task.mutations else {}
    # Mutated windows have more to show.
    shown = sorted(order.tolist(), key=lambda row: row not in mutated)[:count]
    windows = [_window(task, row, values[row], centre, mutated.get(row)) for row in shown]
    figures["windows"] = [
        (svg(figure, f"{part}-w{i}", f"attribution of a window of {task.name}"), _where(stored, row, length))
        for i, (row, figure) in enumerate(zip(shown, windows, strict=True))
    ]
    if task.mutations is not None and mutated:
        row = next((row for row in shown if row in mutated), next(iter(mutated)))
        one = task.mutations["substitutions"][mutated[row]]
        figure = plots.plot_mutations(codes[row], one, plots.strongest(values[row]), _place(stored, row))
        figures["mutations"] = svg(figure, f"{part}-ism", f"substitutions in a window of {task.name}")
        figures["mutated"] = _where(stored, row, length)
        if task.gradcam is not None:
            importance = mutation_importance(task.mutations["codes"], task.mutations["substitutions"])
            cams = task.gradcam["cam"][task.mutations["index"]]
            figure = plots.plot_agreement(cams, np.abs(importance), ("Grad-CAM", "mutagenesis"))
            figures["agreement"] = svg(figure, f"{part}-cam", f"Grad-CAM against mutagenesis, {task.name}")
    return figures


def _window(task: TaskFiles, row: int, values: Floats, centre: tuple[int, int] | None, mutated: int | None) -> Figure:
    assert task.attributions is not None
    tracks = {}
    if task.gradcam is not None:
        tracks["Grad-CAM"] = task.gradcam["cam"][row]
    if mutated is not None and task.mutations is not None:
        one = task.mutations
        tracks["mutagenesis, logit"] = mutation_importance(one["codes"][mutated], one["substitutions"][mutated])
    hits = [
        plots.Hit(site.start, site.end, pattern.named or pattern.name, site.strand)
        for pattern in task.patterns or []
        for site in pattern.sites
        if site.row == row
    ]
    return plots.plot_window(
        task.attributions["codes"][row], values, hits, tracks, None, centre, _place(task.attributions, row)
    )


def _place(stored: Mapping[str, NDArray[Any]], row: int) -> tuple[str, int] | None:
    if "chrom" not in stored or not str(stored["chrom"][row]) or not stored.get("on_genome", True):
        return None
    return str(stored["chrom"][row]), int(stored["start"][row])


def _where(stored: Mapping[str, NDArray[Any]], row: int, length: int) -> str:
    place = _place(stored, row)
    if place:
        return f"{place[0]}:{place[1] + 1:,}–{place[1] + length:,}"
    return f"{stored['chrom'][row]}" if "chrom" in stored and str(stored["chrom"][row]) else f"window {row}"

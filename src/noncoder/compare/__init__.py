"""Comparison of trainings: curves, a table, differing recipe keys and speed of learning, as a page and a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from noncoder import plots
from noncoder.compare.compared_run import AXES, ComparedRun, read_run_folder
from noncoder.compare.comparison_text import comparison_text, paired_text
from noncoder.compare.measure import default_reach, differing_keys, reached, table_row, warnings_of
from noncoder.errors import InputError
from noncoder.files import plain_json
from noncoder.report import paired_section, render
from noncoder.runs.results import PairedComparison

_FIGURES = (".png", ".svg", ".pdf")
_LABELS = {"step": "optimiser steps", "epoch": "epochs", "positives": "positive labels seen"}


def read_runs(paths: Sequence[Path], names: Sequence[str] = ()) -> list[ComparedRun]:
    """Reads runs. Without names, they are named by their folders, with as many parents as make them unique.

    Raises:
        InputError: There is no run, a run cannot be read or is listed twice, two names are equal, or there are not as
            many names as runs.
    """
    if not paths:
        raise InputError("there is no run to compare", expected="the folders of one or more runs")
    places = [path.resolve() for path in paths]
    again = [path for path, place in zip(paths, places, strict=True) if places.count(place) > 1]
    if again:
        raise InputError(f"the run {again[0]} is listed more than once", hint="list each run once")
    if names and len(names) != len(paths):
        raise InputError(
            f"{len(names)} names for {len(paths)} runs", expected="one name for each run, separated by commas"
        )
    if len(set(names)) < len(names):
        raise InputError(f"the names {', '.join(names)} are not all different", hint="give each run a name of its own")
    return [read_run_folder(path, name) for path, name in zip(paths, names or _own_names(places), strict=True)]


def _own_names(places: Sequence[Path]) -> list[str]:
    """The shortest endings of the paths that make the names unique."""
    for parts in range(1, max(len(place.parts) for place in places)):
        names = ["/".join(place.parts[-parts:]) for place in places]
        if len(set(names)) == len(names):
            return names
    return [str(place) for place in places]


def compare(runs: Sequence[ComparedRun], reach: float | None = None) -> dict[str, Any]:
    """Compares several trainings. Returns plain values.

    Args:
        runs: The trainings.
        reach: The average precision to reach; by default the highest one that all runs reached.

    Returns:
        "runs" (a row each), "reach" (average_precision; and for each run the steps, epochs, seconds of training and
        positives until then), "differing" (recipe keys), "warnings".
    """
    differing = differing_keys(runs)
    goal = default_reach(runs) if reach is None else reach
    values = {
        "runs": [table_row(run) for run in runs],
        "reach": None
        if goal is None
        else {
            "average_precision": goal,
            "lowest_best": reach is None,
            "runs": {run.name: reached(run, goal) for run in runs},
        },
        "differing": differing,
        "warnings": warnings_of(runs, differing),
    }
    return dict(plain_json(values))


def write_comparison(
    runs: Sequence[ComparedRun], values: Mapping[str, Any], out: Path, paired: PairedComparison | None = None
) -> Path:
    """Writes the comparison as one self-contained HTML file.

    Args:
        runs: The trainings.
        values: The result of `compare`.
        out: The output file.
        paired: The paired comparison of the runs on the same windows.
    """
    unit, size = time_unit(runs)
    figures = {}
    for axis in AXES:
        shown = [run for run in runs if axis != "positives" or run.positives_per_window is not None]
        if shown:
            label = _LABELS.get(axis, f"{unit} of training")
            curves = {run.name: run.curve(axis, size if axis == "seconds" else 1) for run in shown}
            svg = plots.figure_svg(
                plots.plot_comparison(curves, label), axis, f"loss, AUROC and average precision against {label}"
            )
            figures[axis] = Markup(svg)
    figures["losses"] = Markup(plots.figure_svg(_efficiency(runs), "losses", "loss against epochs and against time"))
    return render("compare.html.j2", out, title=" · ".join(run.name for run in runs), unit=unit, figures=figures,
                  **values, paired=paired_section(paired))  # fmt: skip


def write_losses(runs: Sequence[ComparedRun], path: Path) -> Path:
    """Writes the figure of losses against epochs (data efficiency) and against time (speed).

    Raises:
        InputError: The file's ending is not a supported format.
    """
    if path.suffix.lower() not in _FIGURES:
        raise InputError(f"{path} has an unknown ending", expected=", ".join(_FIGURES))
    plots.save_figure(_efficiency(runs), path)
    return path


def _efficiency(runs: Sequence[ComparedRun]) -> Any:
    unit, size = time_unit(runs)
    return plots.plot_efficiency({
        "epochs": {run.name: run.curve("epoch") for run in runs},
        f"{unit} of training": {run.name: run.curve("seconds", size) for run in runs},
    })  # fmt: skip


def time_unit(runs: Sequence[ComparedRun]) -> tuple[str, int]:
    """The time unit for the longest training, and its length in seconds."""
    last = max(float(np.max(run.log["trained"], initial=0)) for run in runs)
    return ("hours", 3600) if last >= 7200 else ("minutes", 60) if last >= 120 else ("seconds", 1)


__all__ = ["ComparedRun", "compare", "comparison_text", "paired_text", "read_runs", "write_comparison", "write_losses"]

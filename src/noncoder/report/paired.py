"""What a comparison shows of models that were evaluated on the same windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from noncoder import plots
from noncoder.report.figures import svg

LEVEL = 0.05
"""Below it, a difference counts as told apart from chance."""

_MEASURES = {"auroc": "AUROC", "average_precision": "average precision"}


def paired_section(paired: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What the section on the same windows shows; None without it.

    Args:
        paired: "split", "windows" and "pairs"; each pair has the names "a" and "b", "means" and "tasks" with their
            differences, a less b, "method", "correction", and perhaps the "measure" of the tasks, AUROC if not.

    Returns:
        The same, and in each pair "of_measures", "measures", "groups", "first" and "second" (tasks that either is
        surely better in), "counted" and "figure".
    """
    if not paired or not paired["pairs"]:
        return None
    return {**paired, "pairs": [_pair(pair, number) for number, pair in enumerate(paired["pairs"])]}


def _pair(pair: Mapping[str, Any], number: int) -> dict[str, Any]:
    tasks = pair.get("tasks") or []
    measure = _MEASURES[pair.get("measure", "auroc")]
    tested = [row for row in tasks if row["difference"] is not None]
    sure = [row["difference"] for row in tested if row["adjusted"] is not None and row["adjusted"] < LEVEL]
    return {
        **pair,
        "of_measures": _by_name(pair["means"]),
        "measures": {
            key: label for key, label in _MEASURES.items() if key in {row["measure"] for row in pair["means"]}
        },
        "measure": measure,
        "tasks": sorted(tasks, key=lambda row: (row["difference"] is None, -(row["difference"] or 0))),
        "groups": sorted({row.get("group") or "" for row in tasks} - {""}),
        "counted": len(tested),
        "first": sum(difference > 0 for difference in sure),
        "second": sum(difference < 0 for difference in sure),
        "figure": _figure(pair, tested, measure, number) if tested else None,
    }


def _by_name(means: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Name of the mean to measure to what was found."""
    rows: dict[str, dict[str, Mapping[str, Any]]] = {}
    for mean in means:
        rows.setdefault(mean["name"], {})[mean["measure"]] = mean
    return rows


def _figure(pair: Mapping[str, Any], tested: Sequence[Mapping[str, Any]], measure: str, number: int) -> str:
    a, b, low, high, adjusted = ([row[key] for row in tested] for key in ("a", "b", "low", "high", "adjusted"))
    figure = plots.plot_differences((a, b), (low, high), adjusted, (pair["a"], pair["b"]), measure)
    return svg(figure, f"paired-{number}", f"{measure} of every task by both models, and the differences in order")

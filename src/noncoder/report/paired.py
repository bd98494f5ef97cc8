"""What a comparison shows of models that were evaluated on the same windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from noncoder import plots
from noncoder.report.figures import svg

LEVEL = 0.05
"""Below it, a difference counts as told apart from chance."""

_MEASURES = {"auroc": "AUROC", "average_precision": "average precision"}
# What the keys of a task's row begin with.
_PREFIXES = {"auroc": "", "average_precision": "ap_"}


def paired_section(paired: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What the section on the same windows shows; None without it.

    Args:
        paired: What `noncoder.evaluate.paired.compare_evaluations` returned, without NaN. Differences are a less b; of
            tasks, those in average precision may be missing.

    Returns:
        The same; in each pair the tasks are in order of the difference, and "means" is each mean's name to measure to
        row, with "measures" (those of the means), "by" (of each measure of the tasks its label, prefix, the tasks
        counted, those in which the first and the second is surely better, and a figure) and "groups" besides.
    """
    if not paired or not paired["pairs"]:
        return None
    return {**paired, "pairs": [_pair(pair, number) for number, pair in enumerate(paired["pairs"])]}


def _pair(pair: Mapping[str, Any], number: int) -> dict[str, Any]:
    tasks = pair.get("tasks") or []
    means: dict[str, dict[str, Mapping[str, Any]]] = {}
    for mean in pair["means"]:
        means.setdefault(mean["name"], {})[mean["measure"]] = mean
    return {
        **pair,
        "means": means,
        "measures": {key: label for key, label in _MEASURES.items() if any(key in row for row in means.values())},
        "tasks": sorted(tasks, key=lambda row: (row["difference"] is None, -(row["difference"] or 0))),
        "groups": sorted({row.get("group") or "" for row in tasks} - {""}),
        "by": [
            _measure(pair, label, _PREFIXES[key], f"paired-{number}-{key}")
            for key, label in _MEASURES.items()
            if tasks and f"{_PREFIXES[key]}difference" in tasks[0]
        ],
    }


def _measure(pair: Mapping[str, Any], label: str, prefix: str, name: str) -> dict[str, Any]:
    keys = ("a", "b", "low", "high", "adjusted", "difference")
    tested = [
        {key: row[f"{prefix}{key}"] for key in keys} for row in pair["tasks"] if row[f"{prefix}difference"] is not None
    ]
    sure = [row["difference"] for row in tested if row["adjusted"] is not None and row["adjusted"] < LEVEL]
    return {
        "label": label,
        "prefix": prefix,
        "counted": len(tested),
        "first": sum(difference > 0 for difference in sure),
        "second": sum(difference < 0 for difference in sure),
        "figure": _figure(pair, tested, label, name) if tested else None,
    }


def _figure(pair: Mapping[str, Any], tested: Sequence[Mapping[str, Any]], measure: str, name: str) -> str:
    a, b, low, high, adjusted = ([row[key] for row in tested] for key in ("a", "b", "low", "high", "adjusted"))
    figure = plots.plot_differences((a, b), (low, high), adjusted, (pair["a"], pair["b"]), measure)
    return svg(figure, name, f"{measure} of every task by both models, and the differences in order")

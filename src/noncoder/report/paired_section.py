"""The content of a comparison of models that were evaluated on the same windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from noncoder import plots
from noncoder.report.figures import svg
from noncoder.runs.results import Pair, PairedComparison, PairedMean, TestedDifference

LEVEL = 0.05
"""p value below which a difference counts as significant."""

_MEASURES = {"auroc": "AUROC", "average_precision": "average precision"}
# Prefixes of the keys of a task's row.
_PREFIXES = {"auroc": "", "average_precision": "ap_"}


def paired_section(paired: PairedComparison | None) -> dict[str, Any] | None:
    """Returns the content of the section on the same windows; None without pairs.

    Args:
        paired: The comparison. Differences are a minus b.

    Returns:
        The fields of the comparison. In each pair, tasks are sorted by difference. "means" maps the name of a mean to
        its rows by measure. "measures" are those of the means. "by" has, for each measure of the tasks, its label,
        prefix, the number of compared tasks, the number in which each model is better, and a figure. "groups" are
        those of the tasks.
    """
    if paired is None or not paired.pairs:
        return None
    return {**dict(paired), "pairs": [_pair(pair, number) for number, pair in enumerate(paired.pairs)]}


def _pair(pair: Pair, number: int) -> dict[str, Any]:
    means: dict[str, dict[str, PairedMean]] = {}
    for mean in pair.means:
        means.setdefault(mean.name, {})[mean.measure] = mean
    return {
        **dict(pair),
        "means": means,
        "measures": {key: label for key, label in _MEASURES.items() if any(key in row for row in means.values())},
        "tasks": sorted(pair.tasks, key=lambda row: (row.difference is None, -(row.difference or 0))),
        "groups": sorted({row.group for row in pair.tasks} - {""}),
        "by": [
            _measure(pair, measure, f"paired-{number}-{measure}")
            for measure in _MEASURES
            if any(task.by(measure).difference is not None for task in pair.tasks)
        ],
    }


def _measure(pair: Pair, measure: str, name: str) -> dict[str, Any]:
    tested = [row for row in (task.by(measure) for task in pair.tasks) if row.difference is not None]
    sure = [row.difference or 0 for row in tested if row.adjusted is not None and row.adjusted < LEVEL]
    return {
        "label": _MEASURES[measure],
        "prefix": _PREFIXES[measure],
        "counted": len(tested),
        "first": sum(difference > 0 for difference in sure),
        "second": sum(difference < 0 for difference in sure),
        "figure": _figure(pair, tested, _MEASURES[measure], name) if tested else None,
    }


def _figure(pair: Pair, tested: Sequence[TestedDifference], measure: str, name: str) -> str:
    a, b, low, high, adjusted = ([getattr(row, k) for row in tested] for k in ("a", "b", "low", "high", "adjusted"))
    figure = plots.plot_differences((a, b), (low, high), adjusted, (pair.a, pair.b), measure)
    return svg(figure, name, f"{measure} of every task by both models, and the differences in order")

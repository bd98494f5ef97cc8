"""The comparison with the literature for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from noncoder.benchmarks.task_scores import FROM_ONE, FROM_ZERO, GROUPS, STEPS

_TITLES = {
    "report": "The 2020 report's metric: means weighted by training positives",
    "report_test": "Means weighted by the test set's positives",
    "mean": "Unweighted means over the scorable tasks of a group",
    "median": "Medians over the scorable tasks of a group",
}
_SHORT = {FROM_ONE: "trap. 1", FROM_ZERO: "trap. 0", STEPS: "AP"}
_LEGEND = (
    "> ours, ~ not comparable, - not published, ? not known; strands: whether the predictions of both were averaged",
    "by: PR AUC by trapezoid with precision 1 or 0 at recall 0, or as average precision (AP)",
)


def published_text(comparison: Mapping[str, Any]) -> str:
    """Returns the tables of the comparison as text, with ours marked, and reasons of incomparable rows in notes.

    Args:
        comparison: Result of `compare_with_published`.
    """
    notes: dict[str, int] = {}
    blocks = [_weighted_table(table, comparison["rows"], notes) for table in ("report", "report_test")]
    blocks += [_group_table(statistic, comparison["rows"], notes) for statistic in ("mean", "median")]
    last = [*_LEGEND, *(f"[{number}] {note}" for note, number in notes.items())]
    return "\n\n".join("\n".join(block) for block in [*blocks, last] if block)


def _weighted_table(table: str, rows: Iterable[Mapping[str, Any]], notes: dict[str, int]) -> list[str]:
    lines = [
        [*_name(row, notes), _number(row["auroc"]), _number(row["pr_auc"]), *_made(row)]
        for row in rows
        if row["table"] == table
    ]
    return (
        [_TITLES[table], *_aligned([["", "model", "ROC AUC", "PR AUC", "by", "strands"], *lines], 2)] if lines else []
    )


def _group_table(statistic: str, rows: Iterable[Mapping[str, Any]], notes: dict[str, int]) -> list[str]:
    lines = []
    for row in rows:
        scores = row.get(statistic)
        if scores:
            cells = [_number(scores.get(group, {}).get(name)) for name in ("auroc", "pr_auc") for group in GROUPS]
            lines.append([*_name(row, notes), *cells, *_made(row)])
    above = ["", "", "ROC AUC", *[""] * (len(GROUPS) - 1), "PR AUC", *[""] * (len(GROUPS) - 1), "", ""]
    head = ["", "model", *GROUPS, *GROUPS, "by", "strands"]
    return [_TITLES[statistic], *_aligned([above, head, *lines], 2 * len(GROUPS))] if lines else []


def _name(row: Mapping[str, Any], notes: dict[str, int]) -> list[str]:
    told = "".join(f" [{notes.setdefault(note, len(notes) + 1)}]" for note in row["why"])
    mark = (">" if row["ours"] else "") + ("" if row["comparable"] else "~")
    return [mark, row["model"] + told]


def _made(row: Mapping[str, Any]) -> list[str]:
    strands = {True: "yes", False: "no", None: "?"}[row["strands_averaged"]]
    return [_SHORT.get(row["pr_auc_by"], "?"), strands]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _aligned(table: list[list[str]], numbers: int) -> list[str]:
    """Formats rows in columns: mark and name left-aligned, then numbers right-aligned, then text."""
    widths = [max(map(len, cells)) for cells in zip(*table, strict=True)]
    right = range(2, 2 + numbers)
    return [
        "  ".join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]


__all__ = ["published_text"]

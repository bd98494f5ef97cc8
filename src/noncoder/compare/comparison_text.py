"""Comparisons as text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from noncoder.runs.results import PairedComparison

_SURE = 0.05
_SAID = {"finished": "", "running": "running", "unfinished": "unfinished"}


def comparison_text(values: Mapping[str, Any]) -> str:
    """The comparison of trainings as text."""
    width = max(12, *(len(row["name"]) for row in values["runs"]))
    lines = [f"{'run':{width}}  {'model':16} {'parameters':>12} {'windows/s':>10} {'epochs':>7} {'seconds':>9}"
             f" {'loss':>7} {'AUROC':>7} {'AP':>7}"]  # fmt: skip
    for row in values["runs"]:
        best = row["best"] or {}
        scores = " ".join(f"{_number(best.get(key), '.4f'):>7}" for key in ("loss", "auroc", "average_precision"))
        lines.append(
            f"{row['name']:{width}}  {row['model'] or '-':16} {_number(row['parameters'], ',.0f'):>12} "
            f"{_number(row['windows_per_second'], ',.0f'):>10} {_number(row['epochs'], '.2f'):>7} "
            f"{_number(row['seconds'], ',.0f'):>9} {scores}  {_SAID[row['state']]}".rstrip()
        )  # fmt: skip
    reach = values["reach"]
    if reach:
        lines.append(f"first validation with an average precision of at least {reach['average_precision']:.4f}:")
        for name, at in reach["runs"].items():
            lines.append(f"  {name:{width}}  " + ("never" if at is None else (
                f"{at['epoch']:.2f} epochs, {at['seconds']:,.0f} s of training, step {at['step']:,.0f}")))  # fmt: skip
    return "\n".join([*lines, *(f"careful: {text}" for text in values["warnings"])])


def paired_text(paired: PairedComparison) -> str:
    """A paired comparison as text."""
    lines = [
        f"on the {paired.windows:,} windows of {paired.split}; [95% intervals] from {paired.blocks:,} genome blocks of "
        f"{paired.block:,} bp"
    ]
    lines += [f"careful: {text}" for text in paired.warnings]
    for pair in paired.pairs:
        lines.append(f"{pair.a} minus {pair.b}:")
        for row in pair.means:
            what = f"{row.name}, {'AUROC' if row.measure == 'auroc' else 'AP'} ({_tasks(row.tasks)})"
            if row.difference is None:
                lines.append(f"  {what:48} -")
                continue
            ends = f"[{_number(row.low, '+.4f')}, {_number(row.high, '+.4f')}]"
            lines.append(f"  {what:48} {_number(row.difference, '+.4f')} {ends:20} p {_number(row.p, '.2g')}")
        for measure, label in (("auroc", "AUROC"), ("average_precision", "AP")):
            sure = [
                one.difference
                for one in (task.by(measure) for task in pair.tasks)
                if one.difference is not None and one.adjusted is not None and one.adjusted < _SURE
            ]
            better = sum(apart > 0 for apart in sure)
            lines.append(
                f"  single tasks, {label}: {pair.a} better in {better:,}, {pair.b} in {len(sure) - better:,} "
                f"of {len(pair.tasks):,} (p < {_SURE} after {pair.correction}'s correction)"
            )
        lines += [f"  only {name} has {_tasks(len(names))} more" for name, names in pair.only.items() if names]
    return "\n".join(lines)


def _tasks(n: int) -> str:
    return f"{n:,} task{'' if n == 1 else 's'}"


def _number(value: float | None, how: str) -> str:
    return "-" if value is None else format(value, how)

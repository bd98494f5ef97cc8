"""Determines which columns of a table are tasks, and reads their labels."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from noncoder.config import PackConfig
from noncoder.data.peak_files import read_sheet
from noncoder.data.table.reading import Table, listed
from noncoder.data.table.splits import SPLIT_NAMES
from noncoder.data.tasks import Task, check_names
from noncoder.errors import ConfigError, InputError, UnknownNameError

UNKNOWN = ("", "na", "nan", "null", "none", ".", "n/a", "#n/a")
"""Spellings of an unknown label, in any case."""
_YES, _NO = ("true", "yes"), ("false", "no")
_ODD = 2.0
# Up to this fraction of other values, a column counts as labels with errors.
_MISTAKES = 0.05
_EXPECTED = "0 or 1, true or false, yes or no, and empty for unknown"
_NO_NAME = re.compile(r"unnamed column \d+'*|Unnamed: \d+")

Labels = NDArray[np.float64]


@dataclass(frozen=True)
class Labelled:
    """The tasks of a table.

    Args:
        tasks: The tasks.
        labels: uint8 (N, T), 0 or 1; 0 if unknown.
        known: Which labels are known, (N, T).
        dropped: Columns that were not used, and why.
    """

    tasks: tuple[Task, ...]
    labels: NDArray[np.uint8]
    known: NDArray[np.bool_]
    dropped: tuple[Mapping[str, Any], ...]


def read_labels(table: Table, config: PackConfig, used: Sequence[str]) -> Labelled:
    """Finds the label columns and reads them.

    Args:
        table: The rows.
        config: Label columns, if named, and names of their tasks.
        used: Columns with another purpose: sequences, names, splits.

    Raises:
        InputError: A value is not a label, a column is almost one of labels, there is no label column, or a file lacks
            one.
    """
    for name in config.ignore_columns:
        if name not in table.frame.columns:
            raise UnknownNameError("column", name, table.frame.columns)
    chosen = _chosen(table, config)
    others = [name for name in table.frame.columns if name not in used and name not in config.ignore_columns]
    values: dict[str, Labels] = {}
    dropped: list[Mapping[str, Any]] = []
    if config.ignore_columns:
        dropped.append(_drop(config.ignore_columns, "named by --ignore-columns"))
    if chosen:
        values = {name: _values(table.frame[name]) for name in chosen}
        passed = [name for name in others if name not in chosen]
        dropped += [_drop(passed, "not named as labels")] if passed else []
    else:
        values, reasons = _find(table, others)
        dropped += reasons
    for name, column in values.items():
        table.need(name)
        odd = np.flatnonzero(column == _ODD)
        if odd.size:
            raise _no_label(table, name, int(odd[0]), chosen is not None)
    if not values:
        raise InputError(
            f"{table.name} has no column of 0, 1 and empty alone", expected=f"at least one label column: {_EXPECTED}",
            hint=_what_there_is([*table.dropped, *dropped]) or "name the label columns with --label-columns",
        )  # fmt: skip
    tasks = chosen or {name: Task(name) for name in values}
    matrix = np.stack(list(values.values()), axis=1)
    known = ~np.isnan(matrix)
    named = _renamed(list(tasks.values()), list(tasks), config)
    return Labelled(named, np.where(known, matrix, 0).astype(np.uint8), known, tuple(dropped))


def _chosen(table: Table, config: PackConfig) -> dict[str, Task] | None:
    """Returns the columns that the user names as labels, with their tasks; None if they are to be detected."""
    if config.tasks is not None:
        rows = read_sheet(config.tasks, ("name",), ("column",))
        columns = [row.pop("column", "") or row["name"] for row in rows]
        for row in rows:
            row.pop("path", None)
        tasks = [Task(**row) for row in rows]
    elif config.label_columns:
        columns = list(config.label_columns)
        tasks = [Task(name) for name in columns]
    else:
        return None
    for name in columns:
        table.need(name)
    check_names(columns)
    return dict(zip(columns, tasks, strict=True))


def _renamed(tasks: Sequence[Task], columns: Sequence[str], config: PackConfig) -> tuple[Task, ...]:
    """Renames the tasks of columns as --name says."""
    names = dict(zip(columns, (task.name for task in tasks), strict=True))
    renamed_before: set[str] = set()
    for text in config.name:
        # A column and a name may both contain an equals sign.
        cuts = [at for at, letter in enumerate(text) if letter == "=" and text[:at] in names]
        if "=" not in text:
            raise ConfigError(f"name: {text!r} names no column", expected="COLUMN=NAME")
        if not cuts:
            raise UnknownNameError("label column", text.partition("=")[0], columns)
        column = text[: cuts[-1]]
        if column in renamed_before:
            raise ConfigError(f"name: the column {column!r} is named twice", expected="one name a column")
        renamed_before.add(column)
        names[column] = text[cuts[-1] + 1 :]
    renamed = [Task(names[column], *list(task.to_dict().values())[1:])
               for column, task in zip(columns, tasks, strict=True)]  # fmt: skip
    check_names([task.name for task in renamed])
    return tuple(renamed)


def _find(table: Table, names: Sequence[str]) -> tuple[dict[str, Labels], list[Mapping[str, Any]]]:
    """Returns the columns with labels, or almost, and the reasons why others are not used."""
    found: dict[str, Labels] = {}
    reasons: dict[str, list[str]] = {}
    for name in names:
        values = _values(table.frame[name])
        odd, unknown = np.flatnonzero(values == _ODD), int(np.isnan(values).sum())
        n_labels = values.size - unknown - odd.size
        if _NO_NAME.fullmatch(name):
            reasons.setdefault("have no name", []).append(name)
        elif unknown == values.size:
            reasons.setdefault("hold no value", []).append(name)
        elif name.casefold() in SPLIT_NAMES:
            reasons.setdefault("are called as splits are, and were not named with --label-columns", []).append(name)
        elif odd.size <= max(_MISTAKES * (n_labels + odd.size), n_labels >= 3):
            found[name] = values
        else:
            why, what = _why_not(table, name, odd, n_labels)
            reasons.setdefault(why, []).append(what)
    return found, [_drop(columns, why) for why, columns in reasons.items()]


def _why_not(table: Table, name: str, odd: NDArray[np.int64], n_labels: int) -> tuple[str, str]:
    """Returns the reason why a column has no labels, and its name with an example."""
    column = table.frame[name]
    first = f"{column[int(odd[0])][:30]!r} in {table.where(int(odd[0])).rpartition(', ')[2]}"
    numbers = column.str.strip_chars().cast(pl.Float64, strict=False).drop_nulls().drop_nans().to_numpy()
    if numbers.size >= odd.size + n_labels:
        return (
            "hold numbers other than 0 and 1 (labels can be made of them by a threshold)",
            f"{name} ({numbers.min():g} to {numbers.max():g})",
        )
    if n_labels:
        return "hold other values beside labels", f"{name} ({odd.size:,} of {odd.size + n_labels:,}, first {first})"
    return "hold text", f"{name} ({column[int(odd[0])][:30]!r})"


def _drop(columns: Sequence[str], why: str) -> dict[str, Any]:
    return {"what": "columns", "count": len(columns), "why": f"{why}: {listed(columns)}"}


def _no_label(table: Table, name: str, row: int, chosen: bool) -> InputError:
    return InputError(
        f"{table.where(row)}, column {name!r}: the label is {table.frame[name][row][:60]!r}",
        expected=_EXPECTED,
        hint="" if chosen else f"correct it; or leave the column out with --ignore-columns {name!r}",
    )


def _what_there_is(dropped: Sequence[Mapping[str, Any]]) -> str:
    reasons = [drop["why"] for drop in dropped if drop["what"] == "columns"]
    shown = "; ".join(reason if len(reason) <= 200 else reason[:197] + "..." for reason in reasons)
    return f"give each task a column of its own; the columns that there are {shown}" if shown else ""


def _values(column: pl.Series) -> Labels:
    """Returns 0, 1, NaN for unknown, and 2 for anything else, (N,)."""
    if column.is_in(["0", "1"]).all():
        return (column == "1").cast(pl.Float64).to_numpy()
    text = column.str.strip_chars().str.to_lowercase()
    numbers = text.str.replace(r"^([+-]?\d+),(\d+)$", "$1.$2").cast(pl.Float64, strict=False)
    value = (
        pl.when(text.is_in(UNKNOWN)).then(float("nan"))
        .when(text.is_in(_YES)).then(1.0)
        .when(text.is_in(_NO)).then(0.0)
        .when(numbers.is_in([0.0, 1.0])).then(numbers)
    )  # fmt: skip
    return pl.select(value.otherwise(_ODD)).to_series().to_numpy()

"""Parses delimited text: separator, header, and rows."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from noncoder.data.table.formats import TABLES
from noncoder.errors import InputError

_SEPARATORS = "\t,;| "
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\n', re.IGNORECASE)
_DNA = re.compile(r"[ACGTUN]{4,}", re.IGNORECASE)
# Fields that are in memory as Python strings at once.
_FIELDS = 1 << 21


@dataclass
class _Lines:
    """Iterates over the lines of a text; between records, comments and blank lines are skipped; counts comments."""

    stream: io.StringIO
    between: bool = True
    comments: int = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        for line in self.stream:
            if self.between and line.startswith("#"):
                self.comments += 1
            elif not self.between or line.strip(" \n"):
                self.between = False
                return line
        raise StopIteration


@dataclass(frozen=True)
class _Header:
    """Names of the columns, separator, start of the rows, and number of comments before them."""

    names: list[str]
    separator: str
    end: int
    comments: int = 0


def read_delimited(path: Path, text: str, wanted: Sequence[str], sequence: str | None) -> tuple[pl.DataFrame, int]:
    """Parses delimited text: a header, and rows with as many fields.

    The separator is the tab, comma, semicolon, bar or blank that gives the header a wanted column. Lines that begin
    with # are comments; the last comment before the rows may be the header.

    Args:
        path: The file, for messages.
        text: Its content, with line feeds as line ends.
        wanted: Names of which the header should have one.
        sequence: Column of sequences, which distinguishes row names without a column name from a row that is too long.

    Returns:
        The table, all of it text, and the number of comments among and before its rows.

    Raises:
        InputError: There is no header, a name occurs twice, a row has too few or too many fields, or a quote is open.
    """
    with _fields_of_any_length():
        stream = io.StringIO(text if text.endswith("\n") else text + "\n")
        header = _find_header(path, stream, wanted)
        stream.seek(header.end)
        lines = _Lines(stream)
        frame = _read_rows(path, header, lines, sequence)
    return frame, header.comments + lines.comments


@contextmanager
def _fields_of_any_length() -> Iterator[None]:
    before = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _find_header(path: Path, stream: io.StringIO, wanted: Sequence[str]) -> _Header:
    told = _SEPARATOR_LINE.match(stream.readline())
    separators, begin = (told[1], stream.tell()) if told else (_SEPARATORS, 0)
    stream.seek(begin)
    above = []
    while (line := stream.readline()) and (line.startswith("#") or not line.strip(" \n")):
        above += [line] if line.startswith("#") else []
        begin = stream.tell()
    if not line:
        raise InputError(f"{path} is not a table: it is empty", expected=TABLES)
    found = []
    for separator in separators:
        stream.seek(begin)
        found += _split_header(stream, separator)
    if above and not any(set(wanted) & set(header.names) for header in found):
        for separator in separators:
            named = _split_header(io.StringIO(above[-1].lstrip("# ")), separator)
            found += [replace(header, end=begin, comments=-1) for header in named]
    if not found:
        raise InputError(f"{path} is not a table: its first line has a quote that is not closed", expected=TABLES)
    header = max(found, key=lambda header: _fitness(header, wanted))
    header = replace(header, comments=header.comments + len(above))
    if not set(wanted) & set(header.names) and any(_DNA.fullmatch(name) for name in header.names if len(name) >= 8):
        first = ", ".join(name[:12] for name in header.names[:3])
        raise InputError(
            f"{path} has no header: its first line begins with {first}", expected="a first line that names the columns",
            hint=f"add one, with {wanted[0]!r} above the sequences" if wanted else "add one",
        )  # fmt: skip
    columns = Counter(name for name in header.names if name)
    if columns and max(columns.values()) > 1:
        raise InputError(
            f"{path} has the column {columns.most_common(1)[0][0]!r} twice", expected="a name of its own for each"
        )
    return header


def _fitness(header: _Header, wanted: Sequence[str]) -> tuple[bool, bool, int]:
    """Ranks how likely a header is split correctly: it has a wanted column, else a separator that is not a blank."""
    return bool(set(wanted) & set(header.names)), header.separator != " " and len(header.names) > 1, len(header.names)


def _split_header(stream: io.StringIO, separator: str) -> list[_Header]:
    """Splits the header by one separator; None if quotes do not fit it."""
    try:
        names = next(_reader(_Lines(stream), separator), [])
    except csv.Error:
        return []
    if separator == " " and names and not names[-1]:
        names.pop()
    return [_Header([name.strip() for name in names], separator, stream.tell())] if names else []


def _reader(lines: Iterator[str], separator: str) -> Iterator[list[str]]:
    return csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)


def _read_rows(path: Path, header: _Header, lines: _Lines, sequence: str | None) -> pl.DataFrame:
    names, extra, parts = header.names, False, []
    rows: list[list[str]] = []
    count = 0
    reader = _reader(lines, header.separator)
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise InputError(
                f"{path} is not a table: row {count + 1}: {error}", expected="a closing quote for every opening one",
                hint='a quote inside a quoted field is written twice: ""',
            ) from error  # fmt: skip
        if row is None:
            break
        lines.between = True
        count += 1
        if header.separator == " " and not row[-1]:
            row.pop()
        if count == 1 and len(row) == len(names) + 1:
            extra = True
            names = _with_extra(names, row, sequence)
        if len(row) != len(names):
            raise _ragged(path, count, row, len(header.names), extra)
        rows.append(row)
        if len(rows) * len(names) >= _FIELDS:
            parts.append(_frame(rows, len(names)))
            rows = []
    parts.append(_frame(rows, len(names)))
    return pl.concat(parts).rename(dict(zip(map(str, range(len(names))), unique_names(names), strict=True)))


def _with_extra(names: list[str], row: list[str], sequence: str | None) -> list[str]:
    """Returns the header for rows with one more field: a trailing one, or R's row names before the others."""
    if not row[-1]:
        return [*names, ""]
    if sequence in names:
        at = names.index(sequence)
        if _DNA.fullmatch(row[at + 1].strip()) and not _DNA.fullmatch(row[at].strip()):
            return ["", *names]
    return names


def _ragged(path: Path, number: int, row: list[str], columns: int, extra: bool) -> InputError:
    return InputError(
        f"{path} is not a table: row {number} has {len(row)} field{'s'[: len(row) != 1]}, the header {columns}"
        + (" (and the first row one more)" if extra and number > 1 else ""),
        expected="as many fields in every row as in the header",
        hint="put quotes around a field that holds the separator; an unknown label is an empty field",
    )


def _frame(rows: list[list[str]], n_columns: int) -> pl.DataFrame:
    columns = list(zip(*rows, strict=True)) or [()] * n_columns
    return pl.DataFrame({str(i): pl.Series(column, dtype=pl.String) for i, column in enumerate(columns)})


def unique_names(names: Sequence[str]) -> list[str]:
    """Returns the names of columns; an unnamed one is called "unnamed column 3", by its position."""
    taken, result = set(names), []
    for i, name in enumerate(names):
        called = name or f"unnamed column {i + 1}"
        while not name and called in taken:
            called += "'"
        taken.add(called)
        result.append(called)
    return result

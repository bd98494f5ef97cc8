"""Reads the rows of an interval file line by line, if the quick reader cannot read them or a line is wrong."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from noncoder.data.bed_text import COMMENT, resembles
from noncoder.errors import InputError

LARGEST = 1 << 62
"""Positions are smaller than this, so that a sum of two does not overflow."""
MISSING = ("", ".", "NA", "na", "N/A", "NaN", "nan", "NAN", "null", "NULL", "None", "-", "*")
_CHROM = {"chr", "chrom", "chromosome", "seqnames", "seqname", "seqid", "seq", "contig", "chrom_name", "reference"}
_START = {"start", "chromstart", "chrom_start", "begin", "peak_start", "start_position", "txstart", "chr_start", "from"}
_END = {"end", "chromend", "chrom_end", "stop", "peak_end", "end_position", "txend", "chr_end", "to"}
_ROW_NAMES = {"", "row.names", "rownames", "row_names", "index", "unnamed: 0"}
_LENGTH = {"length", "width"}
_SUMMIT = {"abs_summit", "summit", "peak"}
_WORD = re.compile(r"[A-Za-z_][\w. ()-]*")
_WHOLE = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_NO_NUMBER = re.compile(r"[+-]?(?:inf|infinity|nan)", re.IGNORECASE)
_PARTS = re.compile(r'"[^"]*"|[^ \t]+')
_BLANKS = re.compile(r"[ \t]+")
SAMPLED = 1000
"""Number of rows that are examined completely."""
_NARROW = slice(6, 10)


@dataclass(frozen=True)
class BedColumns:
    """The columns that a header names, counted from the chromosome's.

    Args:
        first: Column of the chromosome; 1 if the rows begin with R's row names.
        length: Column of the intervals' length; -1 for none.
        summit: Column of the summit; -1 for none.
        name: Name of the summit's column.
        certain: Whether a header names them; otherwise they are inferred from the first row and checked on all rows.
    """

    first: int = 0
    length: int = -1
    summit: int = -1
    name: str = ""
    certain: bool = True


UNNAMED_TABLE = BedColumns(length=3, summit=4, name="abs_summit", certain=False)
"""The columns of MACS's table, and of R's ranges, without their header."""


@dataclass
class BedRows:
    """The rows of an interval file, unchanged.

    Args:
        names: Chromosome names.
        chrom: Index of each row's chromosome, (n,).
        start: (n,).
        end: (n,).
        values: Columns 7 to 10, NaN if there is no number, (n, 4).
        text: Whether one of these four is not a number, (n,).
        full: Whether column 10 is not empty, (n,).
        layout: The columns that the header names.
        length: The length in the file, NaN if there is none, (n,).
        summit: The summit in the file, NaN if there is none, (n,).
        line: Line numbers, (n,); empty if lines were not counted.
        sample: Fields of the first rows.
    """

    names: list[str]
    chrom: NDArray[np.int32]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    values: NDArray[np.float64]
    text: NDArray[np.bool_]
    full: NDArray[np.bool_]
    layout: BedColumns
    length: NDArray[np.float64]
    summit: NDArray[np.float64]
    line: NDArray[np.int64]
    sample: list[list[str]]


def read_rows(path: Path, text: bytes) -> BedRows:
    """Reads an interval file line by line.

    Args:
        path: The file, for messages.
        text: Its text with its comments, as returned by `plain_text`.

    Raises:
        InputError: A line is not an interval; names the file and the line.
    """
    layout, header = BedColumns(), None
    names: dict[str, int] = {}
    places: list[tuple[int, int, int, int]] = []
    columns: list[list[float]] = []
    table: list[tuple[float, float]] = []
    sample: list[list[str]] = []
    for number, line in _lines(text):
        commented = line.startswith("#")
        fields = split_fields(line.lstrip("#") if commented else line)
        if commented or fields == header:
            if not places and is_known_header(fields):
                layout = layout_of(fields)
            continue
        if not places and header is None and is_header(fields):
            header, layout = fields, layout_of(fields)
            continue
        if not places:
            layout = _shifted(layout, header, fields) if header else layout
            layout = UNNAMED_TABLE if layout == BedColumns() and is_unnamed_table(fields) else layout
        fields = fields[layout.first :]
        name, start, end = _interval(path, number, line, fields)
        places.append((names.setdefault(name, len(names)), start, end, number))
        columns.append(_narrow_columns(fields))
        table.append((_at(fields, layout.length), _at(fields, layout.summit)))
        if len(sample) < SAMPLED:
            sample.append(fields)
    place = np.array(places, dtype=np.int64).reshape(-1, 4)
    values = np.array(columns, dtype=np.float64).reshape(-1, 6)
    told = np.array(table, dtype=np.float64).reshape(-1, 2)
    return BedRows(
        list(names), place[:, 0].astype(np.int32), place[:, 1], place[:, 2], values[:, :4], values[:, 4] > 0,
        values[:, 5] > 0, layout, told[:, 0], told[:, 1], place[:, 3], sample,
    )  # fmt: skip


def _lines(text: bytes) -> Iterator[tuple[int, str]]:
    """Yields number and text of each line that is a row or a comment with "#"."""
    for number, line in enumerate(text.split(b"\n"), start=1):
        commented = line.lstrip().startswith(b"#")
        if commented or not COMMENT.fullmatch(line):
            decoded = line.decode("utf-8", errors="replace")
            yield number, decoded.lstrip() if commented else decoded


def split_fields(line: str) -> list[str]:
    """Splits a line into fields without surrounding blanks and quotes; at tabs, or at blanks if that fits better."""
    fields = [_bare(part) for part in line.split("\t")]
    if len(fields) >= 3 and all(position(part) is not None for part in fields[1:3]):
        return fields
    blanks = [_bare(part) for part in (_PARTS.findall(line) if '"' in line else _BLANKS.split(line.strip(" \t")))]
    # A blank inside a number separates thousands, not columns.
    if len(fields) >= 3 and not _BLANKS.search(fields[0]):
        return fields
    if len(fields) < 3 or (len(blanks) >= 3 and all(position(part) is not None for part in blanks[1:3])):
        return blanks if "\t" not in line or len(blanks) >= 3 else fields
    return fields


def _bare(part: str) -> str:
    part = part.strip()
    quoted = len(part) > 1 and part[0] == part[-1] and part[0] in "\"'"
    return part[1:-1].strip() if quoted else part


def position(part: str) -> int | None:
    """Parses an integer, also 250.0 or 1e+03; None for anything else."""
    if _WHOLE.fullmatch(part):
        value = int(part) if len(part) < 20 else LARGEST
        return value if abs(value) < LARGEST else None
    if not _NUMBER.fullmatch(part):
        return None
    number = Decimal(part)
    return int(number) if abs(number) < LARGEST and number == number.to_integral_value() else None


def _value(part: str) -> float | None:
    """Parses a number; NaN if empty, None for text."""
    if part in MISSING:
        return float("nan")
    return float(part) if _NUMBER.fullmatch(part) or _NO_NUMBER.fullmatch(part) else None


def _narrow_columns(fields: list[str]) -> list[float]:
    """Returns columns 7 to 10 as numbers, whether one of them is text, and whether column 10 is not empty."""
    four = [_value(part) for part in fields[_NARROW]]
    numbers = [math.nan if value is None else value for value in four] + [math.nan] * (4 - len(four))
    return [*numbers, None in four, len(four) == 4 and (four[3] is None or not math.isnan(four[3]))]


def _at(fields: list[str], i: int) -> float:
    value = _value(fields[i]) if 0 <= i < len(fields) else float("nan")
    return float("nan") if value is None or abs(value) >= LARGEST else value


def _interval(path: Path, number: int, line: str, fields: list[str]) -> tuple[str, int, int]:
    where = f"{path}, line {number}: {line[:80]!r}"
    hint = resembles(fields)
    if len(fields) < 3:
        raise InputError(
            f"{where} has {len(fields)} column{'s'[: len(fields) != 1]}" + (f"; {hint}" if hint else ""),
            expected="at least chrom, start and end, separated by tabs or blanks",
        )
    if not fields[0]:
        raise InputError(f"{where} has no chromosome", expected="chrom, start, end, separated by tabs")
    start, end = position(fields[1]), position(fields[2])
    if start is None or end is None:
        large = all(_WHOLE.fullmatch(part) for part in fields[1:3])
        raise InputError(
            f"{where}: start or end is {'too large' if large else 'not an integer'}" + (f"; {hint}" if hint else ""),
            expected="chrom, start, end, separated by tabs; numbers without thousands separators",
        )
    return fields[0], start, end


def is_header(fields: Sequence[str]) -> bool:
    """Whether a first line names columns: it contains chrom, start and end, or words and no number."""
    if is_known_header(fields) or _names_rows(fields):
        return True
    words = len(fields) >= 3 and all(_WORD.fullmatch(part) and not _NO_NUMBER.fullmatch(part) for part in fields[1:3])
    return words and not any(part in MISSING[1:] or _NUMBER.fullmatch(part) for part in fields)


def is_known_header(fields: Sequence[str]) -> bool:
    """Whether a line begins with names for chromosome, start and end."""
    lower = [part.strip("# ").lower() for part in fields[:3]]
    return len(lower) == 3 and lower[0] in _CHROM and lower[1] in _START and lower[2] in _END


def _names_rows(header: Sequence[str]) -> bool:
    """Whether the first column has row numbers or names, as R and pandas write them."""
    return bool(header) and header[0].lower() in _ROW_NAMES and is_known_header(header[1:])


def layout_of(header: Sequence[str]) -> BedColumns:
    """Returns the columns that a header names; a summit in column 10 is the standard one of narrowPeak."""
    first = int(_names_rows(header))
    lower = [part.strip("# ").lower() for part in header[first:]]
    length = next((i for i, name in enumerate(lower) if name in _LENGTH), -1)
    summit = next((i for i, name in enumerate(lower) if name in _SUMMIT), -1)
    if summit < 0 or (lower[summit] == "peak" and summit == _NARROW.stop - 1):
        return BedColumns(first, length)
    return BedColumns(first, length, summit, lower[summit])


def _shifted(layout: BedColumns, header: list[str], row: list[str]) -> BedColumns:
    """R writes row names without a name for their column."""
    no_place = len(row) > 1 and position(row[1]) is None
    return replace(layout, first=1) if no_place and len(row) == len(header) + 1 else layout


def is_unnamed_table(fields: Sequence[str]) -> bool:
    """Whether a row's length is end - start + 1, as in tables of MACS and R."""
    start, end, length = (position(part) for part in fields[1:4]) if len(fields) > 3 else (None, None, None)
    return start is not None and end is not None and length == end - start + 1

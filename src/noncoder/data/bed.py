"""Reads intervals from files: BED, narrowPeak, broadPeak and the tables of MACS and R, plain or gzipped."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from noncoder.data.bed_rows import (
    LARGEST,
    MISSING,
    SAMPLED,
    BedColumns,
    BedRows,
    is_header,
    is_known_header,
    is_unnamed_table,
    layout_of,
    read_rows,
    split_fields,
)
from noncoder.data.bed_text import first_lines, plain_text, refuse_other_formats, without_comments
from noncoder.data.summits import find_summits, first_base
from noncoder.errors import InputError
from noncoder.files import refuse_pipe

_COLUMNS = tuple(f"column {i + 1}" for i in range(10))
_READ = (0, 1, 2, 6, 7, 8, 9)
_TYPES = dict.fromkeys(_COLUMNS, pl.String()) | {_COLUMNS[0]: pl.Categorical()}
_NUMBERS = dict.fromkeys(_COLUMNS[1:3], pl.Int64()) | dict.fromkeys(_COLUMNS[6:], pl.Float64())


@dataclass(frozen=True)
class Reading:
    """How an interval file was read, and which of its rows were left out or changed.

    Args:
        base: Number of a chromosome's first base in the file: 0, or 1 in tables of MACS and R.
        summits: Column of the summits; empty for midpoints.
        why: Why a column that might hold summits is not used as such.
        empty: Number of rows that end where they start; they are left out.
        before: Number of rows that start before their chromosome; they are left out or truncated.
        first_before: The first of these.
        midpoints: Number of peaks whose summit is missing or outside the peak; their midpoint is used.
    """

    base: int = 0
    summits: str = ""
    why: str = ""
    empty: int = 0
    before: int = 0
    first_before: str = ""
    midpoints: int = 0


@dataclass(frozen=True)
class Peaks:
    """The intervals of one peak file, 0-based and half-open, in the file's order.

    Args:
        path: The file.
        chroms: Names of its chromosomes.
        chrom: Index of each peak's chromosome, (n,).
        start: 0 or more, (n,).
        end: Greater than the start, (n,).
        summit: Position of the highest signal, else the midpoint, (n,).
        reading: How the file was understood.
    """

    path: Path
    chroms: tuple[str, ...]
    chrom: NDArray[np.int32]
    start: NDArray[np.integer]
    end: NDArray[np.integer]
    summit: NDArray[np.integer]
    reading: Reading = Reading()


def read_bed(path: str | Path, before: Literal["leave out", "cut"] = "leave out") -> Peaks:
    """Reads an interval file; comments, track lines and a header line are skipped.

    The summit is the tenth column of a narrowPeak file (an offset from the start) if it is not -1, or the column that
    the header of a table names, else the midpoint, the right one of two. The content of the columns decides; the
    file's name is used only if the content is ambiguous: see `noncoder.data.summits`.

    Args:
        path: The file.
        before: Whether a row that starts before its chromosome is left out, or truncated at the first base.

    Raises:
        InputError: The file is missing, binary, truncated or of another format, or a line is not an interval; names
            the file and the line.
            line.
    """
    path = Path(path)
    text = plain_text(path, read_bytes(path))
    refuse_other_formats(path, text)
    rows = _quick_rows(text)
    return _to_peaks(path, read_rows(path, text) if rows is None else rows, text, before)


def _to_peaks(path: Path, rows: BedRows, text: bytes, before: str) -> Peaks:
    base = first_base(rows)
    start, end = rows.start - base, rows.end
    wrong = np.flatnonzero(end < start)
    if wrong.size:
        # Only the slow reader counts lines.
        number = (rows if rows.line.size else read_rows(path, text)).line[wrong[0]]
        line = text.split(b"\n")[number - 1][:80].decode("utf-8", errors="replace")
        raise InputError(
            f"{path}, line {number}: {line!r} ends before it starts",
            expected="an end greater than the start (0-based, half-open)",
            hint="a single base at 0-based position p is p, p+1",
        )
    summits = find_summits(rows, base, path.name)
    empty, early = start == end, (start < 0) & (start < end)
    kept = ~(empty | early) if before == "leave out" else ~empty & (end > 0)
    reading = Reading(
        base, summits.source, summits.why, int(empty.sum()), int(early.sum()),
        next((f"{rows.names[rows.chrom[i]]}:{start[i]}-{end[i]}" for i in np.flatnonzero(early)), ""),
        int((summits.midpoint & kept).sum()),
    )  # fmt: skip
    summit = summits.at
    if early.any() and before == "cut":
        summit = np.maximum(summit, 0)
        start = np.maximum(start, 0)
    chrom, names = rows.chrom, rows.names
    if not kept.all():
        chrom, start, end, summit = chrom[kept], start[kept], end[kept], summit[kept]
        used = np.unique(chrom)
        chrom, names = np.searchsorted(used, chrom).astype(np.int32), [names[i] for i in used]
    return Peaks(path, tuple(names), chrom, _narrow(start), _narrow(end), _narrow(summit), reading)


def _narrow(values: NDArray[np.int64]) -> NDArray[np.integer]:
    """Stores positions in four bytes if possible: a set as large as DeepSEA's has a hundred million peaks."""
    return values.astype(np.int32) if values.max(initial=0) < 2**31 else values


def _quick_rows(text: bytes) -> BedRows | None:
    """Reads the rows of a file with plain rows; None if it must be read line by line."""
    rows = without_comments(text)
    if len(rows) != len(text) and _has_layout(text):
        return None
    header = _fields(rows)
    if is_header(header):
        if layout_of(header) != BedColumns():
            return None
        rows = rows[len(first_lines(rows, 1)[0]) + 1 :]
    first = _fields(rows)
    if is_unnamed_table(first) or (len(first) > len(header) and is_header(header)):
        return None
    if b"\t" not in first_lines(rows, 1)[0]:
        if b"\t" in rows or b'"' in rows:
            return None
        rows = re.sub(rb"[ ]+", b"\t", re.sub(rb"^[ ]+", b"", rows, flags=re.MULTILINE))
    table = _read_columns(rows)
    return None if table is None else _rows_of(table, rows)


def _has_layout(text: bytes) -> bool:
    """Whether a comment names columns in a way that changes how the rows are read."""
    comments = re.findall(rb"^[ \t]*#+([^\n]*)", text[: 1 << 16], re.MULTILINE)
    headers = (split_fields(line.decode(errors="replace")) for line in comments)
    return any(is_known_header(fields) and layout_of(fields) != BedColumns() for fields in headers)


def _fields(text: bytes) -> list[str]:
    return split_fields(first_lines(text, 1)[0].decode("utf-8", errors="replace"))


def _read_columns(text: bytes) -> pl.DataFrame | None:
    if not text:
        return pl.DataFrame(schema={_COLUMNS[i]: _TYPES[_COLUMNS[i]] for i in _READ})
    for types in (_TYPES | _NUMBERS, _TYPES):
        try:
            return pl.read_csv(
                io.BytesIO(text), separator="\t", has_header=False, schema=types, quote_char=None,
                truncate_ragged_lines=True, missing_columns="insert", encoding="utf8-lossy", columns=list(_READ),
            )  # fmt: skip
        except pl.exceptions.PolarsError:
            continue
    return None


def _rows_of(table: pl.DataFrame, text: bytes) -> BedRows | None:
    start, end = (_positions(table.to_series(i)) for i in (1, 2))
    chrom = table.to_series(0)
    if chrom.has_nulls() or start is None or end is None:
        return None
    found = chrom.unique(maintain_order=True)
    bare = [name.strip() for name in found.cast(pl.String).to_list()]
    if any(not name or len(name.split()) > 1 or name[0] in "\"'" for name in bare):
        return None
    names = list(dict.fromkeys(bare))
    number, codes = {name: i for i, name in enumerate(names)}, found.to_physical().to_numpy()
    numbers = np.zeros(codes.max(initial=0) + 1, dtype=np.int32)
    numbers[codes] = [number[name] for name in bare]
    columns, texts, full = [], np.zeros(len(table), dtype=bool), np.zeros(len(table), dtype=bool)
    for i in range(3, len(_READ)):
        values, text_there = _values(table.to_series(i))
        columns.append(values)
        texts |= text_there
        full = ~np.isnan(values) | text_there
    sample = [split_fields(line.decode(errors="replace")) for line in first_lines(text, SAMPLED) if line]
    none = np.full(len(table), np.nan)
    return BedRows(
        names, numbers[chrom.to_physical().to_numpy()], start, end, np.array(columns).T, texts, full, BedColumns(),
        none, none, np.zeros(0, dtype=np.int64), sample,
    )  # fmt: skip


def _positions(column: pl.Series) -> NDArray[np.int64] | None:
    """Converts to integers; None if one is not an integer, or needs a closer look."""
    whole = column
    if column.dtype == pl.String:
        text = column.str.strip_chars()
        whole = text.cast(pl.Int64, strict=False)
        if whole.has_nulls():
            # Written as 250.0 or 1e+03.
            numbers = text.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
            if not ((numbers == np.floor(numbers)) & (np.abs(numbers) < 2**53)).all():
                return None
            whole = whole.zip_with(whole.is_not_null(), pl.Series(numbers.astype(np.int64)))
    if whole.has_nulls():
        return None
    values: NDArray[np.int64] = whole.to_numpy()
    return values if max(-values.min(initial=0), values.max(initial=0)) < LARGEST else None


def _values(column: pl.Series) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Returns numbers, NaN if missing, and where there is something else."""
    if column.dtype != pl.String:
        return column.fill_null(float("nan")).to_numpy(), np.zeros(len(column), dtype=bool)
    text = column.str.strip_chars().fill_null("")
    numbers = text.cast(pl.Float64, strict=False)
    other = numbers.is_null() & ~text.is_in(MISSING)
    return numbers.fill_null(float("nan")).to_numpy(), other.to_numpy()


def read_bytes(path: Path) -> bytes:
    """Returns the content of a file, decompressed if it is gzipped.

    Raises:
        InputError: It is missing, a folder, a pipe, or a truncated gzip file.
    """
    refuse_pipe(path)
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}", expected="a readable file") from error
    except (EOFError, zlib.error) as error:
        raise InputError(f"{path} is truncated or damaged: {error}", hint="download it again") from error


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

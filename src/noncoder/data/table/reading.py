"""Reads tables: one or several files with the same columns, as text, with the origin of each row."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from noncoder.config import PackConfig
from noncoder.data.table.delimited import read_delimited, unique_names
from noncoder.data.table.formats import TABLES, decode_text, read_unpacked
from noncoder.errors import InputError, UnknownNameError
from noncoder.sequence.genome import Genome, head

_BINARY = {b"PAR1": "Parquet", b"ARROW1": "Arrow", b"\xff\xff\xff\xff": "Arrow stream"}
_READERS = {"Parquet": pl.read_parquet, "Arrow": pl.read_ipc, "Arrow stream": pl.read_ipc_stream}
_MISSING_SEQUENCES = ("na", "nan", "")


@dataclass(frozen=True)
class Table:
    """Rows of one or several files.

    Args:
        frame: The columns, all as text; an empty field is an empty string.
        files: The files.
        rows: Number of rows of each file.
        lacking: Columns that some files lack, with the first such file.
        dropped: Data that were left out while reading.
        notes: Remarks for readers.
    """

    frame: pl.DataFrame
    files: tuple[Path, ...]
    rows: tuple[int, ...]
    lacking: Mapping[str, Path]
    dropped: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()

    def where(self, row: int) -> str:
        """Returns the file and the number of a row, from 1, for a message."""
        ends = np.cumsum(self.rows)
        file = int(np.searchsorted(ends, row, side="right"))
        return f"{self.files[file]}, row {row - int(ends[file]) + self.rows[file] + 1}"

    @property
    def name(self) -> str:
        """Returns the first file, and the number of further ones."""
        return str(self.files[0]) + (f" (and {len(self.files) - 1} more)" if len(self.files) > 1 else "")

    def need(self, column: str) -> None:
        """Checks that each file has a column.

        Raises:
            UnknownNameError: No file has it.
            InputError: Some files lack it.
        """
        if column not in self.frame.columns:
            raise UnknownNameError("column", column, self.frame.columns)
        if column in self.lacking:
            raise InputError(
                f"{self.lacking[column]} lacks the column {column!r}, which another of the files has",
                expected="the same columns in each",
                hint="add it, empty for unknown labels; or leave the column out with --ignore-columns",
            )


def read_tables(config: PackConfig) -> Table:
    """Reads the rows of all files, each with a sequence; a FASTA file is joined with its labels.

    Raises:
        InputError: A file is not a table, a column is missing, or a row has no sequence.
    """
    if config.labels is not None:
        table = _join(config.table[0], config.labels, config.id_column, config.sequence_column)
    else:
        parts = []
        for path, _ in config.files:
            parts.append(read_table(path, (config.sequence_column,), config.sequence_column))
            if config.sequence_column not in parts[-1].frame.columns:
                raise UnknownNameError("column", config.sequence_column, parts[-1].frame.columns)
        table = _concatenate(parts)
    column = pl.col(config.sequence_column).str.strip_chars().str.strip_chars("\"'")
    frame = table.frame.with_columns(column)
    for path, rows in zip(table.files, table.rows, strict=True):
        if not rows:
            comments = any(drop["what"] == "lines" for drop in table.dropped)
            raise InputError(
                f"{path} has no row" + (" but lines that begin with #, which are comments" if comments else ""),
                expected="a row a sequence, under a header",
            )
    missing = frame[config.sequence_column].str.to_lowercase().is_in(_MISSING_SEQUENCES).arg_true()
    if missing.len():
        file, _, row = table.where(int(missing[0])).rpartition(", ")
        more = f", and {missing.len() - 1} more" if missing.len() > 1 else ""
        raise InputError(f"{file} has an empty sequence, in {row}{more}", expected="a sequence in every row")
    return Table(frame, table.files, table.rows, table.lacking, table.dropped, table.notes)


def read_table(path: Path, wanted: Sequence[str], sequence: str | None = None) -> Table:
    """Reads one file.

    Args:
        path: Delimited text, Parquet or Arrow.
        wanted: Names of columns of which the header should have one.
        sequence: The column of sequences.

    Raises:
        InputError: It is not a table.
    """
    raw = read_unpacked(path)
    kind = next((kind for magic, kind in _BINARY.items() if raw.startswith(magic)), None)
    if kind is not None:
        frame, dropped = _as_text(path, _read_binary(path, raw, kind), sequence)
        return Table(frame, (path,), (frame.height,), {}, dropped)
    text, note = decode_text(path, raw)
    del raw
    frame, comments = read_delimited(path, text, wanted, sequence)
    lines = {"what": "lines", "count": comments, "why": f"{path.name}: begin with #"}
    return Table(frame, (path,), (frame.height,), {}, (lines,) if comments else (), (note,) if note else ())


@contextmanager
def _without_panics() -> Iterator[None]:
    """Suppresses polars' messages on standard error, with a backtrace, before it raises an error for a damaged file."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _read_binary(path: Path, raw: bytes, kind: str) -> pl.DataFrame:
    try:
        with _without_panics():
            frame = _READERS[kind](io.BytesIO(raw))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise InputError(f"{path} is not a table: {lines[0]}", expected=f"{kind}, whole", hint=TABLES) from error
    stripped = [name.strip() for name in frame.columns]
    twice = {name for name in stripped if stripped.count(name) > 1 and name}
    if twice:
        raise InputError(f"{path} has the column {min(twice)!r} twice", expected="a name of its own for each")
    return frame.rename(dict(zip(frame.columns, unique_names(stripped), strict=True)))


def _as_text(
    path: Path, frame: pl.DataFrame, sequence: str | None
) -> tuple[pl.DataFrame, tuple[Mapping[str, Any], ...]]:
    """Converts columns to text; columns with lists, bytes or structures are left out."""
    columns: list[pl.Series] = []
    nested: list[str] = []
    for column in frame:
        try:
            if column.dtype.is_nested() or column.dtype == pl.Object:
                raise pl.exceptions.InvalidOperationError("holds lists")
            columns.append(column.cast(pl.String).fill_null(""))
        except pl.exceptions.PolarsError as error:
            if column.name == sequence:
                raise InputError(
                    f"{path}: the column {column.name!r} holds {column.dtype}", expected="sequences as text",
                    hint="write the bases as letters",
                ) from error  # fmt: skip
            nested.append(f"{column.name} ({str(column.dtype).lower()})")
    drop = {"what": "columns", "count": len(nested), "why": f"hold no single values: {listed(nested)}"}
    return pl.DataFrame(columns), (drop,) if nested else ()


def _concatenate(tables: Sequence[Table]) -> Table:
    if len(tables) == 1:
        return tables[0]
    every = list(dict.fromkeys(name for table in tables for name in table.frame.columns))
    lacking = {name: table.files[0] for name in every for table in reversed(tables) if name not in table.frame.columns}
    frame = pl.concat([table.frame for table in tables], how="diagonal").select(every).fill_null("")
    return Table(
        frame,
        tuple(path for table in tables for path in table.files),
        tuple(table.frame.height for table in tables),
        lacking,
        tuple(drop for table in tables for drop in table.dropped),
        tuple(note for table in tables for note in table.notes),
    )


def _join(fasta: Path, path: Path, id_column: str, sequence_column: str) -> Table:
    """Joins the labels of a FASTA file's records with their sequences; records without labels are left out."""
    labels = read_table(path, (id_column,))
    labels.need(id_column)
    names = labels.frame[id_column].str.strip_chars()
    if names.is_duplicated().any():
        twice = names.filter(names.is_duplicated())[0]
        raise InputError(f"{path} has the record {twice!r} twice", expected="a row a record")
    with Genome(fasta) as genome:
        missing = [name for name in names if name not in genome.lengths]
        if missing:
            raise InputError(
                f"{fasta} lacks {len(missing)} of the {len(labels.frame)} records of {path}: {head(missing)}",
                expected=f"names such as {head(genome.lengths, 3)}",
            )
        texts = [genome.text(name) for name in names]
        spare = len(genome.lengths) - len(texts)
    frame = labels.frame.with_columns(pl.Series(sequence_column, texts, dtype=pl.String))
    drop = {"what": "records", "count": spare, "why": f"have no row in {path}"}
    return Table(frame, (path,), labels.rows, {}, (*labels.dropped, *([drop] if spare else [])), labels.notes)


def listed(names: Sequence[str], most: int = 20) -> str:
    """Joins names for a message: the first of them, and the number of the others."""
    shown = ", ".join(name if len(name) <= 60 else name[:57] + "..." for name in names[:most])
    return shown + (f" and {len(names) - most:,} more" if len(names) > most else "")

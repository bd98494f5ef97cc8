"""Packs tables of sequences with labels into a store."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from noncoder.bars import progress_bar
from noncoder.config import PackConfig
from noncoder.data.bed import sha256
from noncoder.data.info import StoreInfo
from noncoder.data.store import Store, open_store
from noncoder.data.table.columns import Labelled, read_labels
from noncoder.data.table.reading import Table, read_tables
from noncoder.data.table.splits import RowSplits, find_split_column, split_rows, twin_key
from noncoder.data.writer import StoreWriter, check_target
from noncoder.errors import SequenceError
from noncoder.sequence.encoding import encode

_BLOCK = 1 << 14

Codes = list[NDArray[np.uint8]]


def pack_table(config: PackConfig, path: str | Path, force: bool = False) -> Store:
    """Writes sequences with labels as a store; each sequence is a contig of its own.

    A label may be 0, 1 or unknown (empty, NA, NaN), or true, false, yes or no. Sequences shorter than the window are
    padded with N on both sides; of longer ones the middle is used.

    Args:
        config: The tables and their columns.
        path: Path of the store.
        force: Replace an existing store.

    Returns:
        The store; its `info.dropped` says what was left out, its `info.split_rule` how the splits were made.

    Raises:
        InputError: A file is not a table, a column is missing, or a value is not a label or a split.
        SequenceError: A sequence contains a character that is not a base.
    """
    check_target(Path(path), force)
    rows = read_rows(config)
    with StoreWriter(path, len(rows.labelled.tasks), force) as writer:
        _write(writer, rows)
        info = _describe(config, rows)
        writer.finish(replace(info, notes=(*info.notes, *writer.classes.notes(info.tasks))))
    return open_store(path)


@dataclass(frozen=True)
class TableRows:
    """The content of tables.

    Args:
        table: The rows as text.
        names: Names of the sequences.
        codes: Bases of the sequences.
        labelled: Tasks and labels.
        split: Splits.
        window: Length of the model's input, bp.
    """

    table: Table
    names: list[str]
    codes: Codes
    labelled: Labelled
    split: RowSplits
    window: int


def read_rows(config: PackConfig) -> TableRows:
    """Reads tables with everything that will be written.

    Raises:
        InputError: See `pack_table`.
        SequenceError: A sequence contains a character that is not a base.
    """
    table = read_tables(config)
    column = find_split_column(table, config)
    used = [config.sequence_column, config.id_column, *([column] if column else [])]
    labelled = read_labels(table, config, used)
    names, codes = _encode(table, config)
    window = config.window or max(one.size for one in codes)
    split = split_rows(table, config, column, [twin_key(one, window) for one in codes])
    return TableRows(table, names, codes, labelled, split, window)


def _encode(table: Table, config: PackConfig) -> tuple[list[str], Codes]:
    """Returns the name and the codes of each row."""
    sequences = table.frame[config.sequence_column]
    given = table.frame[config.id_column] if config.id_column in table.frame.columns else [""] * len(sequences)
    names, codes = [], []
    for i, (text, name) in enumerate(zip(progress_bar(sequences, "encoding", unit="sequences"), given, strict=True)):
        names.append(name.replace("\n", " ") or f"row{i + 1}")
        try:
            codes.append(encode(text))
        except SequenceError as error:
            file, _, row = table.where(i).rpartition(", ")
            found = error.found.removeprefix("sequence: ")
            found = f"{file}, {name}: {found}, in {row}" if name else f"{file}, {row.replace(' ', '')}: {found}"
            raise SequenceError(found, error.expected, error.hint) from None
    return names, codes


def _write(writer: StoreWriter, rows: TableRows) -> None:
    starts = np.empty(len(rows.codes), dtype=np.int64)
    for i, (name, one) in enumerate(zip(rows.names, rows.codes, strict=True)):
        # The window's middle base is the sequence's middle base, so the window belongs to this contig.
        starts[i] = writer.add_contig(name, one) + one.size // 2 - rows.window // 2
    labels, known = rows.labelled.labels, None if rows.labelled.known.all() else rows.labelled.known
    for at in range(0, starts.size, _BLOCK):
        part = slice(at, at + _BLOCK)
        writer.add_windows(
            starts[part], np.packbits(labels[part], axis=1), rows.split.of[part],
            None if known is None else np.packbits(known[part], axis=1),
        )  # fmt: skip


def _describe(config: PackConfig, rows: TableRows) -> StoreInfo:
    table, window, labelled, split = rows.table, rows.window, rows.labelled, rows.split
    longer = sum(one.size > window for one in rows.codes)
    sources = [path for path, _ in config.files] + [path for path in (config.labels, config.tasks) if path]
    ends = {"what": "sequence ends", "count": longer, "why": f"longer than {window} bp"}
    return StoreInfo(
        window=window,
        bin=window,
        tasks=labelled.tasks,
        label_rule="as given",
        coordinates=False,
        split_rule=split.rule,
        sources=tuple({"name": source.name, "sha256": sha256(source)} for source in sources),
        dropped=(*([ends] if longer else []), *table.dropped, *labelled.dropped),
        notes=(*table.notes, *split.notes),
        version=version("noncoder"),
    )

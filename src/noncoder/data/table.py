"""From a table of sequences with labels to a store."""

from __future__ import annotations

import codecs
import csv
import io
import zlib
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from tqdm import tqdm

from noncoder.config import PackConfig
from noncoder.data.bed import read_bytes, sha256
from noncoder.data.info import SPLITS, StoreInfo
from noncoder.data.store import Store, open_store
from noncoder.data.tasks import Task, check_names
from noncoder.data.writer import StoreWriter
from noncoder.errors import InputError, UnknownNameError, did_you_mean
from noncoder.sequence.encoding import encode
from noncoder.sequence.genome import Genome, head

_SPLIT_WORDS = {
    "train": 0, "training": 0,
    "valid": 1, "validation": 1, "val": 1, "dev": 1,
    "test": 2, "testing": 2,
}  # fmt: skip
_UNKNOWN = ("", "NA", "NaN", "nan", "null", "None", ".")
_BLOCK = 1 << 14


def pack_table(config: PackConfig, path: str | Path, force: bool = False) -> Store:
    """Writes sequences with labels as a store; each sequence is a contig of its own.

    A label may be 0, 1 or unknown (empty, NA, NaN). Sequences shorter than the window are filled up with N on both
    sides, longer ones are read around their middle.

    Args:
        config: The table and its columns.
        path: Where the store will be.
        force: Replace a store that is there.

    Returns:
        The store.

    Raises:
        InputError: A column is missing, a label is not 0, 1 or unknown, a split has an unknown name.
        SequenceError: A sequence holds a character that is no base.
    """
    table, unlabelled = _read(config)
    sequences = table[config.sequence_column].cast(pl.String).fill_null("")
    lengths = sequences.str.len_bytes().to_numpy().astype(np.int64)
    if lengths.size == 0 or lengths.min() == 0:
        what = f"an empty sequence, in row {lengths.argmin() + 1}" if lengths.size else "no row"
        raise InputError(f"{config.table} has {what}", expected="a row a sequence, under a header")
    names = _label_columns(table, config)
    labels, known = _labels(table, names, config)
    split = _split(table, config)
    window = config.window or int(lengths.max())
    records = table[config.id_column] if config.id_column in table.columns else None
    with StoreWriter(path, len(names), force) as writer:
        starts = np.empty(lengths.size, dtype=np.int64)
        for i, text in enumerate(tqdm(sequences, "encoding", unit="sequences", delay=2, disable=None)):
            record = str(records[i]) if records is not None else f"row{i + 1}"
            codes = encode(text, name=f"{config.table.name}, {record}")
            # The window's middle base is the sequence's middle base, so the window belongs to this contig.
            starts[i] = writer.add_contig(record.replace("\n", " "), codes) + codes.size // 2 - window // 2
        for at in range(0, lengths.size, _BLOCK):
            rows = slice(at, at + _BLOCK)
            writer.add_windows(
                starts[rows], np.packbits(labels[rows], axis=1), split[rows],
                None if known.all() else np.packbits(known[rows], axis=1),
            )  # fmt: skip
        sources = [config.table, *([config.labels] if config.labels else [])]
        dropped = (
            {"what": "sequence ends", "count": int((lengths > window).sum()), "why": f"longer than {window} bp"},
            {"what": "records", "count": unlabelled, "why": f"have no row in {config.labels}"},
        )
        writer.finish(
            StoreInfo(
                window=window,
                bin=window,
                tasks=tuple(Task(name) for name in names),
                label_rule="as given",
                coordinates=False,
                sources=tuple({"name": source.name, "sha256": sha256(source)} for source in sources),
                dropped=tuple(drop for drop in dropped if drop["count"]),
                version=version("noncoder"),
            )
        )
    return open_store(path)


def _read(config: PackConfig) -> tuple[pl.DataFrame, int]:
    """The table with a sequence column; a FASTA is joined with its labels. Also, how many records have no labels."""
    if config.labels is None:
        table = _read_table(config.table)
        if config.sequence_column not in table.columns:
            raise UnknownNameError("column", config.sequence_column, table.columns)
        return table, 0
    labels = _read_table(config.labels)
    if config.id_column not in labels.columns:
        raise UnknownNameError("column", config.id_column, labels.columns)
    labels = labels.with_columns(pl.col(config.id_column).cast(pl.String).fill_null(""))
    if labels[config.id_column].is_duplicated().any():
        twice = labels.filter(labels[config.id_column].is_duplicated())[config.id_column][0]
        raise InputError(f"{config.labels} has the record {twice!r} twice", expected="a row a record")
    with Genome(config.table) as genome:
        missing = [name for name in labels[config.id_column] if name not in genome.lengths]
        if missing:
            raise InputError(
                f"{config.table} lacks {len(missing)} of the {len(labels)} records of {config.labels}: {head(missing)}",
                expected=f"names such as {head(genome.lengths, 3)}",
            )
        texts = [genome.text(name) for name in labels[config.id_column]]
        unlabelled = len(genome.lengths) - len(texts)
    return labels.with_columns(pl.Series(config.sequence_column, texts)), unlabelled


def _read_table(path: Path) -> pl.DataFrame:
    raw = read_bytes(path)
    try:
        if raw[:4] == b"PAR1":
            return pl.read_parquet(io.BytesIO(raw))
        first = raw.split(b"\n", 1)[0].removeprefix(codecs.BOM_UTF8).decode()
        separator = "\t" if "\t" in first else ","
        columns = Counter(next(csv.reader([first], delimiter=separator), []))
        if columns and max(columns.values()) > 1:
            raise InputError(
                f"{path} has the column {columns.most_common(1)[0][0]!r} twice", expected="a name of its own for each"
            )
        return pl.read_csv(io.BytesIO(raw), separator=separator, infer_schema=False)
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} is no table: {str(error).splitlines()[0]}", expected="CSV, TSV or Parquet with a header"
        ) from error


def _label_columns(table: pl.DataFrame, config: PackConfig) -> list[str]:
    if config.label_columns:
        for name in config.label_columns:
            if name not in table.columns:
                raise UnknownNameError("column", name, table.columns)
        check_names(config.label_columns)
        return list(config.label_columns)
    others = {config.sequence_column, config.id_column, config.split_column}
    names = [name for name in table.columns if name not in others and _is_label(table[name])]
    if not names:
        raise InputError(
            f"{config.table} has no column of 0, 1 and empty alone", expected="at least one label column",
            hint="name the label columns with --label-columns",
        )  # fmt: skip
    return names


def _is_label(column: pl.Series) -> bool:
    values = _numbers(column)
    return bool(values.is_in([0.0, 1.0]).any()) and bool((values.is_in([0.0, 1.0]) | values.is_nan()).all())


def _numbers(column: pl.Series) -> pl.Series:
    """0, 1, NaN for unknown, and 2 for anything else."""
    column = column.cast(pl.UInt8) if column.dtype == pl.Boolean else column
    text = column.cast(pl.String).fill_null("").str.strip_chars()
    numbers = text.cast(pl.Float64, strict=False)
    return pl.select(
        pl.when(text.is_in(_UNKNOWN)).then(float("nan")).when(numbers.is_in([0.0, 1.0])).then(numbers).otherwise(2.0)
    ).to_series()


def _labels(table: pl.DataFrame, names: list[str], config: PackConfig) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    values = np.stack([_numbers(table[name]).to_numpy() for name in names], axis=1)
    wrong = np.argwhere(values == 2)
    if wrong.size:
        row, column = wrong[0]
        raise InputError(
            f"{config.labels or config.table}, row {row + 1}, column {names[column]!r}: the label is "
            f"{table[names[column]][int(row)]!r}",
            expected="0, 1, or empty for unknown",
        )
    known = ~np.isnan(values)
    return np.where(known, values, 0).astype(np.uint8), known


def _split(table: pl.DataFrame, config: PackConfig) -> NDArray[np.uint8]:
    if config.split_column is not None:
        if config.split_column not in table.columns:
            raise UnknownNameError("column", config.split_column, table.columns)
        words = table[config.split_column].cast(pl.String).fill_null("").str.strip_chars().str.to_lowercase()
        for i, word in enumerate(words):
            if word not in _SPLIT_WORDS:
                raise InputError(
                    f"{config.labels or config.table}, row {i + 1}: the split is {word!r}",
                    expected=f"one of {', '.join(SPLITS)}", hint=did_you_mean(word, _SPLIT_WORDS),
                )  # fmt: skip
        return np.array([_SPLIT_WORDS[word] for word in words], dtype=np.uint8)
    if config.valid_fraction + config.test_fraction >= 1:
        raise InputError("valid and test fractions leave nothing to train on", expected="a sum below 1")
    # A row's split follows from its sequence and the seed: equal sequences never part, and the order does not matter.
    texts = table[config.sequence_column].cast(pl.String).str.to_uppercase()
    salt = f"{config.seed}:".encode()
    draw = np.array([zlib.crc32(salt + text.encode()) for text in texts], dtype=np.float64) / 2**32
    split = np.zeros(draw.size, dtype=np.uint8)
    split[draw < config.valid_fraction + config.test_fraction] = SPLITS.index("test")
    split[draw < config.valid_fraction] = SPLITS.index("valid")
    return split

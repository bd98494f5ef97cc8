"""Assigns the rows of a table to splits: by file, by a column, or at random."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import polars as pl
from numpy.typing import NDArray

from noncoder.config import PackConfig
from noncoder.config.pack import NO_COLUMN
from noncoder.data.info import SPLITS
from noncoder.data.table.reading import Table, listed
from noncoder.errors import InputError, did_you_mean
from noncoder.sequence.encoding import reverse_complement

SPLIT_WORDS: Mapping[str, int] = {
    "train": 0, "training": 0,
    "valid": 1, "validation": 1, "validate": 1, "val": 1, "dev": 1, "development": 1,
    "test": 2, "testing": 2, "holdout": 2, "hold-out": 2, "held-out": 2, "heldout": 2,
}  # fmt: skip
"""Words for the splits, in lower case."""
SPLIT_NAMES = frozenset(
    (
        "split", "splits", "fold", "folds", "set", "sets", "subset", "partition", "partitions", "data_split",
        "dataset_split", "train_test_split",
    )
)  # fmt: skip
"""Names of columns, in lower case, that may hold splits."""
_TRAIN, _VALID, _TEST = range(3)
_FRACTION = 0.1

Splits = NDArray[np.uint8]
Codes = NDArray[np.uint8]


@dataclass(frozen=True)
class RowSplits:
    """The splits of rows.

    Args:
        of: 0 train, 1 valid, 2 test, (N,).
        rule: Rule of the splits.
        notes: Remarks for readers.
    """

    of: Splits
    rule: str
    notes: tuple[str, ...]


def find_split_column(table: Table, config: PackConfig) -> str | None:
    """Finds the column of splits: the one that the user names, else one with such a name and words for splits.

    Raises:
        InputError: Several columns are possible, or the named one is missing.
    """
    if config.split_column is not None and (config.split_column != NO_COLUMN or NO_COLUMN in table.frame.columns):
        table.need(config.split_column)
        return config.split_column
    if config.split_column == NO_COLUMN or any(split for _, split in config.files):
        return None
    taken = {config.sequence_column, config.id_column, *config.label_columns, *config.ignore_columns}
    named = [name for name in table.frame.columns if name.casefold() in SPLIT_NAMES and name not in taken]
    found = [name for name in named if _words(table.frame[name]).is_in(list(SPLIT_WORDS)).any()]
    if len(found) > 1 and any((_words(table.frame[found[0]]) != _words(table.frame[name])).any() for name in found):
        raise InputError(
            f"{table.name} has several columns of splits: {', '.join(map(repr, found))}", expected="one",
            hint=f"name it: --split-column {found[0]}; or draw the splits: --split-column {NO_COLUMN}",
        )  # fmt: skip
    if found:
        table.need(found[0])
    return found[0] if found else None


def split_rows(table: Table, config: PackConfig, column: str | None, keys: Sequence[bytes]) -> RowSplits:
    """Splits the rows of a table.

    Args:
        table: The rows.
        config: Settings of the splits.
        column: Column of splits, as returned by `find_split_column`.
        keys: Key that a row shares with its twins, (N,); see `twin_key`.

    Raises:
        InputError: A row has an unknown split, a given value does not occur, or nothing is left for training.
    """
    notes: list[str] = []
    fractions = [config.valid_fraction, config.test_fraction]
    if any(split for _, split in config.files):
        numbers = [SPLITS.index(split or SPLITS[0]) for _, split in config.files]
        of = np.repeat(np.array(numbers, dtype=np.uint8), table.rows)
        rule = "files: " + "; ".join(f"{split} {path.name}" for path, split in config.files)
    elif column is not None:
        by_values = config.valid_values or config.test_values
        of = _by_values(table, config, column) if by_values else _by_words(table, config, column)
        rule = f"the column {column!r}" + ("" if config.split_column else ", found by its name and words")
    else:
        of = np.zeros(len(keys), dtype=np.uint8)
        fractions = [_FRACTION if fraction is None else fraction for fraction in fractions]
        rule = ""
        notes += _overlooked(table, config) if config.split_column is None else []
    given = bool(rule)
    if given:
        fractions = _fractions_beside(of, config)
    shares = [fraction or 0.0 for fraction in fractions]
    if sum(shares) >= 1:
        raise InputError("valid and test fractions leave nothing to train on", expected="a sum below 1")
    if not given or any(shares):
        of = _drawn(of, keys, config.seed, shares)
        drawn = ", ".join(f"{name} {share:.0%}" for name, share in zip(SPLITS[1:], shares, strict=True) if share)
        rule += ("; of the training rows " if given else "") + (
            f"drawn, seed {config.seed}: {drawn or 'none'}; equal and reverse-complementary sequences together"
        )
    return RowSplits(of, rule, (*notes, *_empty(of, given), *_leaks(of, keys)))


def twin_key(codes: Codes, window: int) -> bytes:
    """Returns a key that a sequence shares with equal ones, on either strand, within the window.

    It is the sequence around its middle, on the strand that comes first. If the window and the sequence have no common
    middle, a base is left out at one end, so that both strands give the same key.
    """
    spare = max(0, codes.size - window)
    cut = (spare + 1) // 2
    core = codes[cut : codes.size - cut]
    return min(core.tobytes(), reverse_complement(core).tobytes())


def _words(column: pl.Series) -> pl.Series:
    return column.str.strip_chars().str.to_lowercase()


def _by_words(table: Table, config: PackConfig, column: str) -> Splits:
    words = _words(table.frame[column])
    numbers = words.replace_strict(dict(SPLIT_WORDS), default=None, return_dtype=pl.UInt8)
    unknown = numbers.is_null().arg_true()
    if unknown.len():
        row, word = int(unknown[0]), words[int(unknown[0])]
        of_column = "" if config.split_column else f", in the column {column!r}"
        raise InputError(
            f"{table.where(row)}: the split is {word!r}{of_column}",
            expected=f"one of {', '.join(SPLITS)}",
            hint=did_you_mean(word, SPLIT_WORDS)
            or "say which values are meant with --valid-values and --test-values beside --split-column; or draw the "
            f"splits with --split-column {NO_COLUMN}",
        )
    return numbers.to_numpy().astype(np.uint8)


def _by_values(table: Table, config: PackConfig, column: str) -> Splits:
    values = table.frame[column].str.strip_chars()
    of = np.zeros(values.len(), dtype=np.uint8)
    for which, named in ((_VALID, config.valid_values), (_TEST, config.test_values)):
        for value in named:
            here = (values == value) | (values == f"{value}.0")
            if not here.any():
                raise InputError(
                    f"the column {column!r} of {table.name} has no value {value!r}",
                    expected=f"one of {', '.join(sorted(values.unique().to_list())[:20])}",
                )
            of[here.to_numpy()] = which
    return of


def _fractions_beside(of: Splits, config: PackConfig) -> list[float | None]:
    """Returns the fractions to draw from the training rows if splits are given.

    Raises:
        InputError: A fraction is given for a split that already has rows.
    """
    for which, fraction in ((_VALID, config.valid_fraction), (_TEST, config.test_fraction)):
        if fraction and (of == which).any():
            raise InputError(
                f"the {SPLITS[which]} split has its rows already, and {SPLITS[which]}_fraction asks for {fraction:g}",
                expected="one of the two", hint=f"leave out --{SPLITS[which]}-fraction",
            )  # fmt: skip
    return [config.valid_fraction, config.test_fraction]


def _drawn(of: Splits, keys: Sequence[bytes], seed: int, shares: Sequence[float]) -> Splits:
    # A row's split follows from its sequence and the seed: twins stay together, and the order does not matter.
    # A checksum is not a suitable hash: another seed changes all of its values by the same bits.
    salt = f"{seed}:".encode()
    draw = np.array([int.from_bytes(blake2b(salt + key, digest_size=6).digest()) for key in keys]) / 2**48
    valid, test = shares
    split = of.copy()
    split[(of == _TRAIN) & (draw < valid + test)] = _TEST
    split[(of == _TRAIN) & (draw < valid)] = _VALID
    return split


def _overlooked(table: Table, config: PackConfig) -> list[str]:
    """Returns notes on columns that may hold splits but are not used as such."""
    notes = []
    for name in table.frame.columns:
        if name in (config.sequence_column, config.id_column, *config.label_columns, *config.ignore_columns):
            continue
        values = sorted(_words(table.frame[name]).unique().to_list())
        if len(values) > 1 and set(values) <= set(SPLIT_WORDS):
            notes.append(
                f"the column {name!r} holds {', '.join(values)} and was not used for the splits: give --split-column "
                f"{name} to use it"
            )
        elif name.casefold() in SPLIT_NAMES:
            notes.append(
                f"the column {name!r} was not used for the splits: it holds {listed(values, 5)}; --split-column {name} "
                "with --valid-values and --test-values says which are which"
            )
    return notes


def _empty(of: Splits, given: bool) -> list[str]:
    notes = []
    for which, why in ((_TRAIN, "training"), (_VALID, "training"), (_TEST, "an evaluation on it")):
        if not (of == which).any():
            hint = f"--{SPLITS[which]}-fraction draws it from the training rows" if given else "try another --seed"
            told = f"; {hint}" if which and (of == _TRAIN).any() else ""
            notes.append(f"no row is in the split {SPLITS[which]}, which {why} needs{told}")
    return notes


def _leaks(of: Splits, keys: Sequence[bytes]) -> list[str]:
    """How many held-out rows have a twin in an earlier split."""
    found: list[Counter[bytes]] = [Counter() for _ in SPLITS]
    for which, key in zip(of.tolist(), keys, strict=True):
        found[which][key] += 1
    notes = []
    for held, against in ((_VALID, _TRAIN), (_TEST, _TRAIN), (_TEST, _VALID)):
        shared = sum(count for key, count in found[held].items() if key in found[against])
        if shared:
            notes.append(
                f"{shared:,} of the {int((of == held).sum()):,} sequences in {SPLITS[held]} are also in "
                f"{SPLITS[against]}, equal or as reverse complement: scores on them are too good"
            )
    return notes

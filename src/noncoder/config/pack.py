"""Recipe section on tables of sequences with labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from noncoder.config.section import Section

NO_COLUMN = "none"
"""Value in place of a split column: draw the splits."""


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str | Path) else value


Files = Annotated[tuple[Path, ...], BeforeValidator(_listed)]


class PackConfig(Section):
    """How a store is made from tables of sequences with labels."""

    table: Files = ()
    """Table with a sequence column: CSV, TSV or other delimited text, Parquet, or Arrow; or a FASTA file, with
    `labels`. Several tables with the same columns are read one after the other."""
    train: Files = ()
    """Tables of training rows, in place of `table`."""
    valid: Files = ()
    """Tables of validation rows, used with `train`."""
    test: Files = ()
    """Tables of test rows, used with `train`."""
    labels: Path | None = None
    """Table of labels for the records of a FASTA file, joined by `id_column`."""
    sequence_column: str = "sequence"
    """Column of sequences."""
    id_column: str = "id"
    """Column of record names, if there is one."""
    label_columns: tuple[str, ...] = ()
    """Label columns. Values: 0 and 1, true and false, or yes and no; empty for unknown. By default all columns that
    hold only such values."""
    ignore_columns: tuple[str, ...] = ()
    """Columns that are not labels, whatever they hold."""
    tasks: Path | None = None
    """Task sheet: TSV with the column name, and any of group, cell, assay, treatment. For a table, its rows are the
    tasks, and an optional column `column` gives the table's column where its name differs."""
    name: tuple[str, ...] = ()
    """Task names of columns, as COLUMN=NAME; by default the column's name."""
    split_column: str | None = None
    """Column of splits: train, valid or test (also training, val, validation, dev, testing, holdout). By default a
    column with a name such as split, fold, set or partition that holds these words; `none` draws the splits."""
    valid_values: tuple[str, ...] = ()
    """Values of the split column for validation, such as 8 for a fold or chr2; all others are training."""
    test_values: tuple[str, ...] = ()
    """Values of the split column for the test split; all others are training."""
    valid_fraction: float | None = Field(None, ge=0, lt=1)
    """Fraction of the rows drawn for validation if no splits are given; by default 0.1. If splits are given without
    validation: fraction of the training rows; by default none."""
    test_fraction: float | None = Field(None, ge=0, lt=1)
    """Fraction of the rows drawn for the test split, in the same way."""
    window: int | None = Field(None, ge=1)
    """Width of the model's input, bp, around each sequence's middle; by default the longest sequence."""
    seed: int = 0
    """Random seed of the splits; equal and reverse-complementary sequences stay together."""

    @property
    def files(self) -> tuple[tuple[Path, str | None], ...]:
        """The tables in order, each with the split of its rows; None if the file does not determine the split."""
        named = [(path, name) for name in ("train", "valid", "test") for path in getattr(self, name)]
        return (*((path, None) for path in self.table), *named)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        split_files = bool(self.train or self.valid or self.test)
        if split_files == bool(self.table):
            raise ValueError("give either table, or train with valid and test: one or more files each")
        if split_files and not self.train:
            raise ValueError("train: should be given with valid and test: a table of training rows")
        paths = [path.resolve() for path, _ in self.files]
        twice = [path for i, (path, _) in enumerate(self.files) if paths[i] in paths[:i]]
        if twice:
            raise ValueError(f"{twice[0]} is given twice: should be one or more files, each once")
        if self.labels is not None and (split_files or len(self.table) > 1):
            raise ValueError("labels: should be used with one FASTA file, given as table")
        if split_files and self.split_column is not None:
            raise ValueError("split_column has no effect where the files train, valid and test are the splits")
        if (self.valid_values or self.test_values) and self.split_column in (None, NO_COLUMN):
            raise ValueError("valid_values and test_values need split_column, the column that holds them")
        both = set(self.valid_values) & set(self.test_values)
        if both:
            raise ValueError(f"valid_values and test_values: {min(both)!r} should be in one of them")
        contradicted = {self.sequence_column, *self.label_columns} & set(self.ignore_columns)
        if contradicted:
            raise ValueError(f"ignore_columns: {min(contradicted)!r} is the sequences' column or one of label_columns")
        if self.tasks is not None and (self.label_columns or self.name):
            raise ValueError("tasks: the sheet names columns and tasks; leave out label_columns and name")
        return self

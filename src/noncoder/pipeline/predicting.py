"""Probabilities for sequences of a FASTA file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np

from noncoder.errors import InputError
from noncoder.files import refuse_existing, write_bytes
from noncoder.pipeline.best_device import best_device
from noncoder.predictor import Strands, load


class Predicted(NamedTuple):
    """The number of records that were written, and the name of the column of record names."""

    records: int
    column: str


def predict_fasta(run: Path, fasta: Path, out: Path, strands: str, force: bool = False) -> Predicted:
    """Writes the probability of every task for each record of a FASTA file.

    Args:
        run: The run's or predictor's folder.
        fasta: A FASTA file whose records have the length of the model's window.
        out: A .tsv, .csv or .parquet file: first the names of the records, then a column per task. The first column is
            called `record`, or `record_` if a task has that name.
        strands: Which strands are read.
        force: Replace an existing file.

    Raises:
        NoncoderError: There is no predictor, the input is not FASTA, a record has another length, or the file exists.
    """
    from noncoder.sequence.genome import Genome

    refuse_existing(out, force)
    if out.suffix not in (".tsv", ".csv", ".parquet"):
        raise InputError(f"{out} has an unknown ending", expected=".tsv, .csv or .parquet")
    predictor = load(run).to(best_device())
    with Genome(fasta) as records:
        wrong = [(name, n) for name, n in records.lengths.items() if n != predictor.window]
        if wrong:
            raise InputError(
                f"{fasta}: the record {wrong[0][0]!r} has {wrong[0][1]:,} bp", expected=f"{predictor.window:,} bp",
                hint="crop or pad the records around their middle",
            )  # fmt: skip
        codes = np.stack([records.contig(name) for name in records.lengths])
        names = list(records.lengths)
    table = predictor.predict_table(codes, names, cast(Strands, strands))
    content = io.BytesIO()
    if out.suffix == ".parquet":
        table.write_parquet(content)
    else:
        table.write_csv(content, separator="\t" if out.suffix == ".tsv" else ",", float_precision=6)
    write_bytes(out, content.getbuffer())
    return Predicted(len(names), table.columns[0])

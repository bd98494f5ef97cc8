"""`noncoder predict`: a row a record, whatever the FASTA and the tasks are called; else one message."""

from __future__ import annotations

import csv
import gzip
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from noncoder.cli import main
from noncoder.data.tasks import Task, column_beside
from noncoder.models import create_model
from noncoder.predictor import Predictor, load
from tests.conftest import listing, random_dna
from tests.sequence.fastas import bgzip

WINDOW = 200
Predict = Callable[..., tuple[int, str, str]]
RECORDS = {f"seq{i}": random_dna(WINDOW, i) for i in range(5)}


def save_predictor(folder: Path, names: tuple[str, ...]) -> None:
    torch.manual_seed(0)
    model = create_model("compact", len(names), WINDOW, {"channels": 8, "dilations": [1]})
    Predictor(model.eval(), tuple(map(Task, names)), 100, {"store_digest": "abc"}).save(folder)


@pytest.fixture
def predict(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Predict:
    """Runs `noncoder predict` on content in an empty folder: exit code, output and messages."""
    monkeypatch.chdir(tmp_path)

    def run(
        content: bytes, *options: str, names: tuple[str, ...] = ("A", "B"), out: str = "p.tsv"
    ) -> tuple[int, str, str]:
        save_predictor(tmp_path / "model", names)
        Path("in.fa").write_bytes(content)
        monkeypatch.setattr(sys, "argv", ["noncoder", "predict", "model", "in.fa", "--out", out, *options])
        with pytest.raises(SystemExit) as done:
            main()
        printed = capsys.readouterr()
        return int(done.value.code or 0), printed.out, printed.err

    return run


def fasta(end: str = "\n", title: str = ">{}", width: int = 60, records: dict[str, str] = RECORDS) -> bytes:
    lines = []
    for name, text in records.items():
        lines += [title.format(name), *(text[at : at + width] for at in range(0, len(text), width))]
    return "".join(line + end for line in lines).encode()


def expected(folder: Path) -> np.ndarray:
    return load(folder / "model").predict(list(RECORDS.values()))


@pytest.mark.parametrize(
    "content",
    [
        fasta(), fasta("\r\n"), fasta("\r"), fasta(width=10**6), fasta(title=">{} 7 bp"), fasta("\n\n"), fasta(" \n"),
        b"\xef\xbb\xbf" + fasta(), b"\n\n" + fasta(), fasta().rstrip(), fasta().lower().replace(b">SEQ", b">seq"),
        fasta().replace(b"T", b"U"), gzip.compress(fasta()), bgzip(fasta(), 100),
        gzip.compress(fasta()[:600]) + gzip.compress(fasta()[600:]),
    ],
)  # fmt: skip
def test_a_row_a_record(predict: Predict, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "in.fa.fai").write_text("seq0\t100\t6\t60\t61\n")
    code, _, err = predict(content)
    assert code == 0, err
    table = pl.read_csv(tmp_path / "p.tsv", separator="\t")
    assert table["record"].to_list() == list(RECORDS)
    np.testing.assert_allclose(table.select("A", "B").to_numpy(), expected(tmp_path), atol=2e-6)
    assert listing(tmp_path) == ["in.fa", "in.fa.fai", "model", "p.tsv"]


@pytest.mark.parametrize("out", ["p.tsv", "p.csv", "p.parquet"])
@pytest.mark.parametrize(
    ("names", "column"),
    [(("record", "B"), "record_"), (("B", "record", "record_"), "record__"), (("Record", "B"), "record"),
     (("a,b", 'say "hi"', "tab\there", "new\nline", "é"), "record"), (("chrom", "start", "name", "index"), "record")],
)  # fmt: skip
def test_names_of_records_stand_beside_tasks_of_any_name(
    predict: Predict, tmp_path: Path, names: tuple[str, ...], column: str, out: str
) -> None:
    code, text, err = predict(fasta(), "--json", names=names, out=out)
    assert code == 0, err
    assert json.loads(text)["record_column"] == column
    columns, rows = read_rows(tmp_path / out)
    assert columns == [column, *names]
    assert [row[0] for row in rows] == list(RECORDS)
    np.testing.assert_allclose(np.array([row[1:] for row in rows], dtype=float), expected(tmp_path), atol=2e-6)


def read_rows(path: Path) -> tuple[list[str], list[Sequence[object]]]:
    """The header and the rows of a table of any format."""
    if path.suffix == ".parquet":
        table = pl.read_parquet(path)
        return table.columns, list(table.iter_rows())
    with path.open(newline="") as file:
        header, *rows = csv.reader(file, delimiter="\t" if path.suffix == ".tsv" else ",")
        return header, list(rows)


def test_another_column_than_usual_is_said(predict: Predict) -> None:
    assert predict(fasta(), names=("record",))[1] == "p.tsv: 5 records, their names in the column 'record_'\n"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (fasta() + b">seq3\n" + b"A" * WINDOW, "records 4 and 6 are both called 'seq3'"),
        (bgzip(fasta() + b">seq3\n" + b"A" * WINDOW), "records 4 and 6 are both called 'seq3'"),
        (fasta(title=">seq {}"), "a name ends at the first space"),
        (fasta() + b">last\n", "the record 'last', number 6, has no sequence"),
        (fasta(records={"a": "ACGT"}), "the record 'a' has 4 bp"),
        (fasta(records={"a": "A" * 99 + "-" + "C" * 100}), "in.fa, a: '-' at position 100 is not a base"),
        (fasta(records={"a": "MKVL" * 50}), "is it a protein?"),
        (fasta().replace(b"seq1\nA", b"seq1\n\xe9").replace(b"seq1\nC", b"seq1\n\xe9")
         .replace(b"seq1\nG", b"seq1\n\xe9").replace(b"seq1\nT", b"seq1\n\xe9"),
         "in.fa, seq1: the byte 0xE9 at position 1 is not a base and not ASCII"),
        (fasta().decode().encode("utf-16"), "looks like UTF-16 text"),
        (b"@r\nACGT\n+\nIIII\n", "looks like a FASTQ file"),
        (b"chr1\t0\t200\n", "looks like a BED file"),
        (b"sequence,A\nACGT,1\n", "looks like a table"),
        (gzip.compress(fasta())[:-9], "in.fa is truncated or damaged"),
        (b"", "in.fa is empty"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_one_message(predict: Predict, tmp_path: Path, content: bytes, found: str) -> None:
    code, text, err = predict(content)
    assert (code, text, err.count("noncoder: ")) == (2, "", 1)
    assert found in err
    assert listing(tmp_path) == ["in.fa", "model"]


def test_column_beside() -> None:
    assert column_beside([Task("a")], "record") == "record"
    assert column_beside([Task("record_"), Task("record")], "record") == "record__"

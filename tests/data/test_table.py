from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noncoder.config import PackConfig
from noncoder.data.info import SPLITS
from noncoder.data.store import Store
from noncoder.data.table import pack_table
from noncoder.errors import InputError, NoncoderError, SequenceError, UnknownNameError
from noncoder.sequence.encoding import decode
from tests.conftest import listing, padded_slice, random_dna, write_fasta

LAW = settings(deadline=None, max_examples=8)
ROWS = {"id": ["r1", "r2", "r3", "r4"], "sequence": ["ACGTACGT", "ACGTA", "NNacgtnn", "TTTTTTTTTT"],
        "a": ["1", "0", "", "1"], "b": ["0", "1", "1", "0"], "note": ["x", "y", "z", "0"],
        "split": ["train", "Valid", "test", "training"]}  # fmt: skip


def pack(folder: Path, content: str | bytes, name: str = "t.csv", **settings: Any) -> Store:
    table = folder / name
    table.write_bytes(content if isinstance(content, bytes) else content.encode())
    return pack_table(PackConfig(table=table, **settings), folder / "s.zarr")


def refused(folder: Path, content: str | bytes, **settings: Any) -> NoncoderError:
    with pytest.raises(NoncoderError) as caught:
        pack(folder, content, **settings)
    assert "s.zarr" not in "".join(listing(folder))
    return caught.value


class TestPackTable:
    @pytest.mark.parametrize("kind", ["csv", "tsv", "parquet", "csv.gz"])
    def test_every_kind(self, tmp_path: Path, kind: str) -> None:
        frame = pl.DataFrame(ROWS)
        path = tmp_path / f"t.{kind}"
        if kind == "parquet":
            frame = frame.with_columns(
                pl.col("a").cast(pl.Float64, strict=False), pl.col("b").cast(pl.Int8).cast(pl.Boolean)
            )
            frame.write_parquet(path)
        else:
            text = frame.write_csv(separator="\t" if kind == "tsv" else ",")
            path.write_bytes(gzip.compress(text.encode(), mtime=0) if kind.endswith("gz") else text.encode())
        store = pack_table(PackConfig(table=path, split_column="split"), tmp_path / "s.zarr")
        store.check()
        assert [task.name for task in store.tasks] == ["a", "b"]
        assert store.contigs[0] == ("r1", "r2", "r3", "r4")
        assert store.split.tolist() == [0, 1, 2, 0]
        assert (store.window, store.bin, store.n_bases) == (10, 10, 31)
        codes, labels = store.read(store.indices())
        assert labels.tolist() == [[1, 0], [0, 1], [0, 1], [1, 0]]
        known = store.read_known(store.indices())
        assert known is not None
        assert known.tolist() == [[True, True], [True, True], [False, True], [True, True]]
        assert [decode(row) for row in codes] == ["NACGTACGTN", "NNNACGTANN", "NNNACGTNNN", "TTTTTTTTTT"]
        assert store.info.sources[0]["name"] == path.name
        passed = [(drop["what"], drop["count"], drop["why"].rpartition(": ")[2]) for drop in store.info.dropped]
        assert passed == [("columns", 1, "note (3 of 4, first 'x' in row 1)")]
        assert store.info.split_rule == "the column 'split'"

    def test_named_columns(self, tmp_path: Path) -> None:
        text = "seq,y,z\nACGT,1,0\nACGA,NA,1.0\nACGC,nan, 1\n"
        store = pack(tmp_path, text, sequence_column="seq", label_columns=("z", "y"), valid_fraction=0, test_fraction=0)
        assert [task.name for task in store.tasks] == ["z", "y"]
        assert store.read_labels([0, 1, 2]).tolist() == [[0, 1], [1, 0], [1, 0]]
        assert store.contigs[0] == ("row1", "row2", "row3")
        assert store.indices("train").size == 3

    @LAW
    @given(st.lists(st.integers(1, 30), min_size=1, max_size=12), st.integers(1, 40))
    def test_windows_are_read_around_the_middle(
        self, tmp_path_factory: pytest.TempPathFactory, lengths: list[int], window: int
    ) -> None:
        texts = [random_dna(length, seed=i) for i, length in enumerate(lengths)]
        table = "sequence,y\n" + "".join(f"{text},{i % 2}\n" for i, text in enumerate([*texts, "A"]))
        store = pack(tmp_path_factory.mktemp("t"), table, window=window)
        store.check()
        for text, codes in zip(texts, store.read_codes(np.arange(len(texts))), strict=True):
            start = len(text) // 2 - window // 2
            assert decode(codes) == padded_slice(text, start, start + window)
        longer = sum(length > window for length in lengths)
        assert sum(drop["count"] for drop in store.info.dropped) == longer

    def test_fractions_keep_equal_sequences_together_and_do_not_depend_on_the_order(self, tmp_path: Path) -> None:
        texts = [random_dna(12, seed=i) for i in range(300)]
        texts += [text.lower() for text in texts]
        splits: dict[str, set[str]] = {}
        for name, order in (("one", texts), ("two", texts[::-1])):
            (tmp_path / name).mkdir()
            table = "sequence,y\n" + "".join(f"{text},{i % 2}\n" for i, text in enumerate(order))
            store = pack(tmp_path / name, table, valid_fraction=0.2, test_fraction=0.1, seed=3)
            for text, split in zip(order, store.split, strict=True):
                splits.setdefault(text.upper(), set()).add(SPLITS[split])
        assert all(len(split) == 1 for split in splits.values())
        shares = Counter(next(iter(split)) for split in splits.values())
        assert 35 < shares["valid"] < 85
        assert 15 < shares["test"] < 50

    def test_fasta_with_labels(self, tmp_path: Path) -> None:
        fasta = write_fasta(tmp_path / "g.fa", {"one": "acgt", "two": "TTTT", "spare": "CCCC"})
        labels = tmp_path / "labels.tsv"
        labels.write_text("id\ty\ntwo\t0\none\t1\n")
        store = pack_table(PackConfig(table=fasta, labels=labels), tmp_path / "s.zarr")
        assert [decode(codes) for codes in store.read_codes([0, 1])] == ["TTTT", "ACGT"]
        assert store.read_labels([0, 1]).tolist() == [[0], [1]]
        assert [source["name"] for source in store.info.sources] == ["g.fa", "labels.tsv"]
        assert [(drop["what"], drop["count"]) for drop in store.info.dropped] == [("records", 1)]


class TestBadTable:
    @pytest.mark.parametrize(
        ("content", "settings", "kind", "told"),
        [
            ("", {}, InputError, "t.csv is not a table"),
            ("sequence,y\n", {}, InputError, "t.csv has no row"),
            ("sequence,y\nACGT,1\n,0\n", {}, InputError, "t.csv has an empty sequence, in row 2"),
            ("sequence,y\nACGT,1,7\n", {}, InputError, "t.csv is not a table"),
            ("sequence,y,y\nACGT,1,0\n", {}, InputError, "t.csv has the column 'y' twice"),
            ("sequence,y\nACGT,x\n", {}, InputError, "t.csv has no column of 0, 1 and empty alone"),
            ("sequence,y\nACGT,\n", {}, InputError, "t.csv has no column of 0, 1 and empty alone"),
            ("sequence,y\nACGT,1\nACG-,0\n", {}, SequenceError, "t.csv, row2: '-' at position 4 is not a base"),
            ("sequence,id,y\nACGT,a,1\nAC T,b,0\n", {}, SequenceError, "t.csv, b: ' ' at position 3 is not a base"),
            ("seqeunce,y\nACGT,1\n", {}, UnknownNameError, "did you mean 'seqeunce'?"),
            ("sequence,y\nACGT,1\n", {"label_columns": ("z",)}, UnknownNameError, "no column is called 'z'"),
            ("sequence,y\nACGT,1\n", {"label_columns": ("y", "y")}, InputError, "the task 'y' is named twice"),
            ("sequence,y\nACGT,1\nACGT,2\n", {"label_columns": ("y",)}, InputError, "row 2, column 'y': the label is"),
            ("sequence,y\nACGT,1\nACGT,ja\n", {"label_columns": ("y",)}, InputError, "the label is 'ja'"),
            ("sequence,y,s\nACGT,1,train\nACGA,1,trian\n", {"split_column": "s"}, InputError, "row 2: the split is"),
            ("sequence,y,s\nACGT,1,\n", {"split_column": "s"}, InputError, "row 1: the split is ''"),
            ("sequence,y\nACGT,1\n", {"split_column": "s"}, UnknownNameError, "no column is called 's'"),
            ("sequence,y\nACGT,1\n", {"valid_fraction": 0.5, "test_fraction": 0.5}, InputError, "leave nothing"),
            (b"PAR1 is this PAR1", {}, InputError, "t.csv is not a table"),
            (bytes(range(256)) * 20, {}, InputError, "t.csv is not a table"),
            (gzip.compress(b"sequence,y\nACGT,1\n" * 99, mtime=0)[:-9], {}, InputError, "t.csv is truncated or"),
        ],
    )  # fmt: skip
    def test_refused(
        self, tmp_path: Path, content: str | bytes, settings: dict[str, Any], kind: type[NoncoderError], told: str
    ) -> None:
        error = refused(tmp_path, content, **settings)
        assert type(error) is kind
        assert told in str(error)
        assert error.expected or error.hint

    def test_the_file_is_named_with_its_row(self, tmp_path: Path) -> None:
        error = refused(tmp_path, "sequence,y,s\nACGT,1,train\nACGA,5,tset\n", label_columns=("y",))
        assert error.found == f"{tmp_path / 't.csv'}, row 2, column 'y': the label is '5'"
        error = refused(tmp_path, "sequence,y,s\nACGT,1,train\nACGA,1,tset\n", split_column="s")
        assert error.found == f"{tmp_path / 't.csv'}, row 2: the split is 'tset'"
        assert error.hint == "did you mean 'test'?"

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"none\.csv cannot be read: No such file"):
            pack_table(PackConfig(table=tmp_path / "none.csv"), tmp_path / "s.zarr")
        assert listing(tmp_path) == []

    @pytest.mark.parametrize(
        ("labels", "told"),
        [
            ("id,y\none,1\nthree,0\n", "lacks 1 of the 2 records of"),
            ("id,y\none,1\n,0\n", "lacks 1 of the 2 records of"),
            ("id,y\none,1\none,0\n", "has the record 'one' twice"),
            ("name,y\none,1\n", "no column is called 'id'"),
            ("id,y\none,1\ntwo,3\n", "has no column of 0, 1 and empty alone"),
        ],
    )
    def test_labels_of_a_fasta(self, tmp_path: Path, labels: str, told: str) -> None:
        fasta = write_fasta(tmp_path / "g.fa", {"one": "ACGT", "two": "TTTT"})
        (tmp_path / "l.csv").write_text(labels)
        with pytest.raises(NoncoderError) as caught:
            pack_table(PackConfig(table=fasta, labels=tmp_path / "l.csv"), tmp_path / "s.zarr")
        assert told in caught.value.found
        assert listing(tmp_path) == ["g.fa", "l.csv"]

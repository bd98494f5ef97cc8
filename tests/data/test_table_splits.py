from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noncoder.config import PackConfig, validate
from noncoder.data.store import Store
from noncoder.data.table import pack_table
from noncoder.data.table.splits import twin_key
from noncoder.errors import NoncoderError
from noncoder.sequence.encoding import reverse_complement
from tests.conftest import listing, random_dna

SEQUENCES = [random_dna(20, seed=i) for i in range(24)]
COMPLEMENT = str.maketrans("ACGT", "TGCA")


def rows(which: range, **columns: Any) -> str:
    """A table of some sequences with the task A and further columns, which are functions of the row's number."""
    lines = [",".join(["sequence", "A", *columns])]
    for i in which:
        lines.append(",".join([SEQUENCES[i], str(i % 2), *(str(of(i)) for of in columns.values())]))
    return "\n".join(lines) + "\n"


def pack(folder: Path, files: dict[str, str], **settings: Any) -> Store:
    for name, content in files.items():
        (folder / name).write_text(content)
    given = {key: [str(folder / name) for name in value] if key in ("table", "train", "valid", "test") else value
             for key, value in settings.items()}  # fmt: skip
    return pack_table(validate(PackConfig, given, "test"), folder / "s.zarr")


def refused(folder: Path, files: dict[str, str], **settings: Any) -> str:
    with pytest.raises(NoncoderError) as caught:
        pack(folder, files, **settings)
    assert "s.zarr" not in "".join(listing(folder))
    return str(caught.value).replace(f"{folder}/", "")


class TestColumn:
    @pytest.mark.parametrize("name", ["split", "Fold", "SET", "partition", "subset"])
    def test_a_column_of_known_words_is_used_and_told(self, tmp_path: Path, name: str) -> None:
        words = ["Train", "training", "VAL", "validation", "dev", "valid", "test", " Testing", "holdout"]
        store = pack(tmp_path, {"t.csv": rows(range(18), **{name: lambda i: words[i % 9]})}, table=["t.csv"])
        assert store.split.tolist() == [0, 0, 1, 1, 1, 1, 2, 2, 2] * 2
        assert store.info.split_rule == f"the column {name!r}, found by its name and words"
        assert [task.name for task in store.tasks] == ["A"]
        assert store.info.dropped == ()

    def test_an_unknown_word_among_known_ones(self, tmp_path: Path) -> None:
        table = {"t.csv": rows(range(6), split=lambda i: "tset" if i == 4 else "train")}
        told = refused(tmp_path, table, table=["t.csv"])
        assert told.startswith("t.csv, row 5: the split is 'tset', in the column 'split'")
        assert "did you mean 'test'?" in told
        drawn = pack(tmp_path, table, table=["t.csv"], split_column="none")
        assert drawn.info.split_rule.startswith("drawn")

    @pytest.mark.parametrize("fold", [lambda i: i % 10, lambda i: i % 2, lambda i: "abc"[i % 3]])
    def test_numbers_and_other_words_are_told_and_not_used(self, tmp_path: Path, fold: Any) -> None:
        store = pack(tmp_path, {"t.csv": rows(range(20), fold=fold)}, table=["t.csv"])
        assert store.info.split_rule.startswith("drawn")
        assert [task.name for task in store.tasks] == ["A"]
        assert "the column 'fold' was not used for the splits" in store.info.notes[0]
        assert "--valid-values and --test-values" in store.info.notes[0]
        assert "fold" in store.info.dropped[0]["why"]

    def test_values_of_a_column(self, tmp_path: Path) -> None:
        table = {"t.csv": rows(range(20), fold=lambda i: i % 10)}
        settings = {"table": ["t.csv"], "split_column": "fold", "valid_values": "8", "test_values": ["9", "0"]}
        store = pack(tmp_path, table, **settings)
        assert store.split.tolist() == [2, 0, 0, 0, 0, 0, 0, 0, 1, 2] * 2
        (tmp_path / "other").mkdir()
        told = refused(tmp_path / "other", table, **settings | {"test_values": ["11"]})
        assert "has no value '11'" in told

    def test_a_column_that_looks_like_one(self, tmp_path: Path) -> None:
        table = {"t.csv": rows(range(6), data_label=lambda i: ["training", "validation", "test"][i % 3])}
        store = pack(tmp_path, table, table=["t.csv"])
        assert "--split-column data_label to use it" in store.info.notes[0]
        (tmp_path / "other").mkdir()
        used = pack(tmp_path / "other", table, table=["t.csv"], split_column="data_label")
        assert used.split.tolist() == [0, 1, 2] * 2
        assert used.info.notes == ()

    def test_two_columns(self, tmp_path: Path) -> None:
        def word(i: int) -> str:
            return ["train", "valid", "test"][i % 3]

        table = {"t.csv": rows(range(6), split=word, fold=lambda i: word(i + 1))}
        assert "several columns of splits: 'split', 'fold'" in refused(tmp_path, table, table=["t.csv"])
        chosen = pack(tmp_path, table, table=["t.csv"], split_column="fold")
        assert chosen.split.tolist() == [1, 2, 0] * 2

    def test_a_label_column_may_be_called_so(self, tmp_path: Path) -> None:
        store = pack(tmp_path, {"t.csv": rows(range(6), set=lambda i: i // 3)}, table=["t.csv"], label_columns=["set"])
        assert [task.name for task in store.tasks] == ["set"]


FILES = {"a.csv": rows(range(8)), "b.csv": rows(range(8, 12)), "c.csv": rows(range(12, 16)).replace(",", "\t")}


class TestFiles:
    def test_a_file_a_split(self, tmp_path: Path) -> None:
        store = pack(tmp_path, FILES, train=["a.csv"], valid=["b.csv"], test=["c.csv"])
        assert store.split.tolist() == [0] * 8 + [1] * 4 + [2] * 4
        assert store.read_labels(store.indices())[:, 0].tolist() == [0, 1] * 8
        assert store.info.split_rule == "files: train a.csv; valid b.csv; test c.csv"
        assert [source["name"] for source in store.info.sources] == ["a.csv", "b.csv", "c.csv"]
        assert store.info.notes == ()

    def test_several_tables_in_another_order_of_columns(self, tmp_path: Path) -> None:
        turned = "A,sequence\n" + "".join(f"{i % 2},{SEQUENCES[i]}\n" for i in range(8, 12))
        store = pack(tmp_path, FILES | {"b.csv": turned}, table=["a.csv", "b.csv"], split_column="none")
        assert store.read_labels(store.indices())[:, 0].tolist() == [0, 1] * 6
        assert store.contigs[0][-1] == "row12"

    def test_the_file_is_named_with_its_row(self, tmp_path: Path) -> None:
        for row, told in (
            (f"{SEQUENCES[0]},2", "b.csv, row 5, column 'A': the label is '2'"),
            ("AC-GT,1", "b.csv, row5: '-' at position 3 is not a base"),
            (",1", "b.csv has an empty sequence, in row 5"),
        ):
            files = FILES | {"b.csv": FILES["b.csv"] + row + "\n"}
            assert refused(tmp_path, files, train=["a.csv"], valid=["b.csv"]).startswith(told)

    def test_a_task_that_a_file_lacks(self, tmp_path: Path) -> None:
        files = FILES | {"b.csv": rows(range(8, 12), B=lambda i: i % 2, note=lambda i: "x")}
        told = refused(tmp_path, files, train=["a.csv"], valid=["b.csv"])
        assert told.startswith("a.csv lacks the column 'B', which another of the files has")
        store = pack(tmp_path, files, train=["a.csv"], valid=["b.csv"], ignore_columns=["B"])
        assert [task.name for task in store.tasks] == ["A"]

    def test_a_split_without_a_file_is_told_and_may_be_drawn(self, tmp_path: Path) -> None:
        (tmp_path / "one").mkdir()
        store = pack(tmp_path / "one", FILES, train=["a.csv"], test=["c.csv"])
        assert store.split.tolist() == [0] * 8 + [2] * 4
        assert store.info.notes[0].startswith("no row is in the split valid, which training needs; --valid-fraction")
        drawn = pack(tmp_path, FILES, train=["a.csv"], test=["c.csv"], valid_fraction=0.5)
        assert 0 < drawn.indices("valid").size < 8
        assert drawn.split.tolist()[8:] == [2] * 4
        assert "of the training rows drawn, seed 0: valid 50%" in drawn.info.split_rule

    @pytest.mark.parametrize(
        ("settings", "told"),
        [
            ({"train": ["a.csv"], "valid": ["a.csv"]}, "a.csv is given twice"),
            ({"table": ["a.csv"], "test": ["c.csv"]}, "give either table, or train with valid and test"),
            ({}, "give either table, or train with valid and test"),
            ({"train": ["a.csv"], "split_column": "x"}, "split_column has no effect"),
            ({"train": ["a.csv"], "valid": ["b.csv"], "valid_fraction": 0.1}, "the valid split has its rows already"),
            ({"table": ["a.csv"], "valid_values": ["1"]}, "valid_values and test_values need split_column"),
            ({"table": ["a.csv", "b.csv"], "labels": "c.csv"}, "labels: should be used with one FASTA file"),
            ({"table": ["a.csv"], "tasks": "s.tsv", "name": ["A=x"]}, "tasks: the sheet names columns and tasks"),
            ({"table": ["a.csv", "../" + "{folder}/a.csv"]}, "a.csv is given twice"),
            ({"valid": ["a.csv"]}, "train: should be given"),
            ({"table": ["a.csv"], "label_columns": ["A"], "ignore_columns": ["A"]}, "ignore_columns: 'A' is the"),
            ({"table": ["a.csv"], "ignore_columns": ["sequence"]}, "ignore_columns: 'sequence' is the"),
            ({"table": ["a.csv"], "name": ["A=x", "A=y"]}, "the column 'A' is named twice"),
        ],
    )
    def test_what_does_not_go_together(self, tmp_path: Path, settings: dict[str, Any], told: str) -> None:
        if len(settings.get("table", ())) > 1:
            settings["table"] = [name.format(folder=tmp_path.name) for name in settings["table"]]
        assert told in refused(tmp_path, FILES, **settings)

    def test_a_file_without_rows(self, tmp_path: Path) -> None:
        told = refused(tmp_path, FILES | {"b.csv": "sequence,A\n"}, train=["a.csv"], valid=["b.csv"])
        assert told.startswith("b.csv has no row")


class TestSeeds:
    def test_each_seed_draws_other_rows(self, tmp_path: Path) -> None:
        """Of two independent draws of a tenth, a tenth of the one is in the other: 20 of 200, 42 at five sigma."""
        draw, chosen = random.Random(0), []
        text = "sequence,A\n" + "".join(f"{''.join(draw.choices('ACGT', k=30))},{i % 2}\n" for i in range(2000))
        for seed in range(6):
            folder = tmp_path / str(seed)
            folder.mkdir()
            store = pack(folder, {"a.csv": text}, table=["a.csv"], seed=seed, valid_fraction=0.1, test_fraction=0)
            chosen.append(set(store.indices("valid").tolist()))
            assert 140 <= len(chosen[-1]) <= 260
        for i, one in enumerate(chosen):
            for other in chosen[:i]:
                assert 3 <= len(one & other) <= 42


class TestTwins:
    @pytest.mark.parametrize("kind", ["reverse complement", "RNA", "lower case"])
    def test_twins_fall_into_one_split(self, tmp_path: Path, kind: str) -> None:
        texts = [random_dna(30 + i % 2, seed=i) for i in range(200)]
        twin = {
            "reverse complement": lambda text: text.translate(COMPLEMENT)[::-1],
            "RNA": lambda text: text.replace("T", "U"),
            "lower case": str.lower,
        }[kind]
        lines = [f"{text},{i % 2}" for i, text in enumerate([*texts, *map(twin, texts)])]
        (tmp_path / "t.csv").write_text("sequence,A\n" + "\n".join(lines))
        config = PackConfig(table=tmp_path / "t.csv", valid_fraction=0.25, test_fraction=0.25)
        store = pack_table(config, tmp_path / "s.zarr")
        assert store.split[:200].tolist() == store.split[200:].tolist()
        assert min(store.indices(split).size for split in ("train", "valid", "test")) > 50
        assert store.info.notes == ()

    def test_twins_across_given_splits_are_counted(self, tmp_path: Path) -> None:
        turned = [text.translate(COMPLEMENT)[::-1].lower() for text in SEQUENCES]
        lines = [f"{SEQUENCES[i]},{i % 2}" for i in range(8)]
        held = [f"{turned[i]},{i % 2}" for i in (0, 1, 1, 9)]
        last = [f"{SEQUENCES[i]},{i % 2}" for i in (2, 9, 10)]
        files = {f"{name}.csv": "sequence,A\n" + "\n".join(part) for name, part in
                 (("train", lines), ("valid", held), ("test", last))}  # fmt: skip
        store = pack(tmp_path, files, train=["train.csv"], valid=["valid.csv"], test=["test.csv"])
        end = "equal or as reverse complement: scores on them are too good"
        assert store.info.notes == (
            f"3 of the 4 sequences in valid are also in train, {end}",
            f"1 of the 3 sequences in test are also in train, {end}",
            f"1 of the 3 sequences in test are also in valid, {end}",
        )

    @given(st.binary(min_size=1, max_size=30), st.integers(1, 40))
    def test_a_key_is_that_of_the_other_strand_and_of_what_the_window_shows(self, raw: bytes, window: int) -> None:
        codes = np.frombuffer(raw, dtype=np.uint8) % 5
        key = twin_key(codes, window)
        assert key == twin_key(reverse_complement(codes), window)
        assert min(window, codes.size) - 1 <= len(key) <= window
        padded = np.concatenate([[0, 1], codes, [2, 2]]).astype(np.uint8)
        if window == codes.size:
            assert twin_key(padded, window) == key

from __future__ import annotations

import bz2
import datetime
import decimal
import gzip
import io
import lzma
import os
import random
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numcodecs.zstd import Zstd

from noncoder.config import PackConfig
from noncoder.data.bed import read_bed
from noncoder.data.store import Store
from noncoder.data.table import pack_table
from noncoder.data.table.packing import read_rows
from noncoder.data.table.reading import read_table
from noncoder.errors import InputError, NoncoderError
from tests.conftest import listing, random_dna
from tests.fuzzing import fuzzed

N = 12
SEQUENCES = [random_dna(20, seed=i) for i in range(N)]
A, B = [i % 2 for i in range(N)], [i // 2 % 2 for i in range(N)]


def write(folder: Path, content: str | bytes, file: str = "t.csv", **settings: Any) -> PackConfig:
    table = folder / file
    table.write_bytes(content if isinstance(content, bytes) else content.encode())
    return PackConfig(table=table, **settings)


def pack(folder: Path, content: str | bytes, file: str = "t.csv", **settings: Any) -> Store:
    return pack_table(write(folder, content, file, **settings), folder / "s.zarr")


def refused(folder: Path, content: str | bytes, file: str = "t.csv", **settings: Any) -> str:
    with pytest.raises(NoncoderError) as caught:
        pack(folder, content, file, **settings)
    assert "s.zarr" not in "".join(listing(folder))
    return str(caught.value).replace(f"{folder}/", "")


def text(separator: str = ",", header: str = "sequence,A,B", a: Any = None, b: Any = None, end: str = "\n") -> str:
    rows = zip(SEQUENCES, A if a is None else a, B if b is None else b, strict=True)
    lines = [header.replace(",", separator), *(separator.join(map(str, row)) for row in rows)]
    return end.join(lines) + end


def labels_of(store: Store) -> list[list[int]]:
    return [[int(value) for value in column] for column in store.read_labels(store.indices()).T]


def left_out(store: Store) -> list[str]:
    return [f"{drop['count']} {drop['what']}: {drop['why']}" for drop in store.info.dropped]


PLAIN = text()
NUMBERS = "hold numbers other than 0 and 1 (labels can be made of them by a threshold)"
FORMS: dict[str, str | bytes] = {
    **{f"separated by {mark!r}": text(mark) for mark in ("\t", ";", "|", " ", ", ", " ;  ")},
    "sep=": "sep=;\n" + text(";"),
    "CR": text(end="\r"),
    "CRLF": text(end="\r\n"),
    "BOM": b"\xef\xbb\xbf" + PLAIN.encode(),
    "UTF-16": PLAIN.encode("utf-16"),
    "UTF-16, big end first": b"\xfe\xff" + PLAIN.encode("utf-16-be"),
    "gzip": gzip.compress(PLAIN.encode(), mtime=0),
    "bzip2": bz2.compress(PLAIN.encode()),
    "xz": lzma.compress(PLAIN.encode()),
    "Zstandard": bytes(Zstd().encode(PLAIN.encode())),
    "a header after a mark": "#" + PLAIN,
    "a title before": "\n\n" + PLAIN,
    "quotes": '"sequence","A","B"\n' + "".join(f'"{s}","{a}",{b}\n' for s, a, b in zip(SEQUENCES, A, B, strict=True)),
    "quoted sequences": "sequence,A,B\n" + "".join(f"'{s}',{a},{b}\n" for s, a, b in zip(SEQUENCES, A, B, strict=True)),
    "true and false": text(a=["True" if a else "False" for a in A], b=["TRUE" if b else "false" for b in B]),
    "yes and no": text(a=["yes" if a else "No" for a in A]),
    "decimals": text(a=[f"{a}.0" for a in A], b=[f"{b}.00" for b in B]),
    "decimal commas": text(";", a=[f"{a},0" for a in A], b=[f"{b},00" for b in B]),
    "another order": "B,sequence,A\n" + "".join(f"{b},{s},{a}\n" for s, a, b in zip(SEQUENCES, A, B, strict=True)),
    "no line feed at the end": PLAIN.rstrip("\n"),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same(tmp_path: Path, form: str) -> None:
    store = pack(tmp_path, FORMS[form])
    columns = {task.name: labels for task, labels in zip(store.tasks, labels_of(store), strict=True)}
    assert columns == {"A": A, "B": B}
    assert store.packed_known is None
    assert store.n_bases == 20 * N


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_columns_of_any_type(tmp_path: Path, kind: str) -> None:
    day, hours = datetime.date(2020, 1, 1), datetime.timedelta(hours=3)
    frame = pl.DataFrame({"sequence": SEQUENCES, "A": A, "B": B}).with_columns(
        pl.col("sequence").cast(pl.Categorical), day=pl.lit(day), span=pl.lit(hours),
        whole=pl.lit(decimal.Decimal("1.00")), kind=pl.lit("x").cast(pl.Categorical), pair=pl.struct("A", "B"),
        several=pl.concat_list("A", "B"), fixed=pl.concat_list("A", "B").list.to_array(2), raw=pl.lit(b"\xff"),
        truth=pl.col("A") == 1, nothing=pl.lit(None), small=pl.col("A").cast(pl.Float32), signal=pl.col("B") * 2.5,
    )  # fmt: skip
    file = io.BytesIO()
    frame.write_parquet(file) if kind == "parquet" else frame.write_ipc(file)
    store = pack(tmp_path, file.getvalue(), "t.parquet")
    assert [task.name for task in store.tasks] == ["A", "B", "whole", "truth", "small"]
    assert labels_of(store) == [A, B, [1] * N, A, A]
    assert [line.partition(": ")[0] for line in left_out(store)] == ["5 columns", "2 columns", "1 columns", "1 columns"]
    told = "\n".join(left_out(store))
    for name in ("day", "span", "kind", "pair", "several", "fixed", "raw", "nothing", "signal (0 to 2.5)"):
        assert name in told


def test_a_list_is_no_label_and_no_sequence(tmp_path: Path) -> None:
    for column, other, told in (
        ("labels", "sequence", "labels (list(int64))"),
        ("sequence", "A", "the column 'sequence' holds List(Int64)"),
    ):
        file = io.BytesIO()
        pl.DataFrame({other: SEQUENCES, column: [[0, 1]] * N}).write_parquet(file)
        assert told in refused(tmp_path, file.getvalue())


def test_quotes_and_line_feeds_in_names(tmp_path: Path) -> None:
    header = 'sequence,"say ""hi""","a\nb"'
    store = pack(tmp_path, text(header=header))
    assert [task.name for task in store.tasks] == ['say "hi"', "a\nb"]
    assert labels_of(store) == [A, B]


def test_sequences_longer_than_a_field_of_the_csv_module(tmp_path: Path) -> None:
    store = pack(tmp_path, f"sequence,A\n{'A' * 140_000},1\n{'C' * 140_000},0\n{'G' * 9},0\n")
    assert store.window == 140_000


def test_latin_1_is_read_and_told(tmp_path: Path) -> None:
    store = pack(tmp_path, text(header="sequence,Zäh,B").encode("latin-1"))
    assert store.tasks[0].name == "Zäh"
    assert "read as Latin-1" in store.info.notes[0]


def test_names_that_begin_with_a_hash_are_told(tmp_path: Path) -> None:
    told = refused(tmp_path, "id,sequence,A\n" + "".join(f"#r{i},ACGT,1\n" for i in range(4)))
    assert "has no row but lines that begin with #, which are comments" in told


def test_an_arrow_stream(tmp_path: Path) -> None:
    content = io.BytesIO()
    pl.DataFrame({"sequence": ["ACGT", "CCGT"], "A": [1, 0]}).write_ipc_stream(content)
    store = pack(tmp_path, content.getvalue(), "t.arrows", valid_fraction=0, test_fraction=0)
    assert labels_of(store) == [[1, 0]]


@pytest.mark.parametrize("kind", ["pipe", "null"])
def test_a_pipe_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "p.csv" if kind == "pipe" else Path("/dev/null")
    if kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(InputError, match="is a pipe or a device"):
        pack_table(PackConfig(table=(path,)), tmp_path / "s.zarr")
    with pytest.raises(InputError, match="is a pipe or a device"):
        read_bed(path)


def test_comments_are_counted(tmp_path: Path) -> None:
    lines = PLAIN.splitlines()
    store = pack(tmp_path, "\n".join(["# title", *lines[:4], "#" + lines[4], *lines[5:], "", "# end"]))
    assert labels_of(store) == [A[:3] + A[4:], B[:3] + B[4:]]
    assert left_out(store) == ["3 lines: t.csv: begin with #"]


def test_row_names_and_columns_without_a_name(tmp_path: Path) -> None:
    rows = list(zip(range(N), SEQUENCES, A, strict=True))
    forms = {
        "pandas": ",sequence,A\n" + "".join(f"{i},{s},{a}\n" for i, s, a in rows),
        "pandas, two rows": ",sequence,A\n" + "".join(f"{i},{s},{a}\n" for i, s, a in rows[:2]),
        "pandas, read again": "Unnamed: 0,sequence,A\n" + "".join(f"{i},{s},{a}\n" for i, s, a in rows),
        "R": '"sequence"\t"A"\n' + "".join(f'"{i}"\t"{s}"\t{a}\n' for i, s, a in rows),
        "a comma too much": "sequence,A\n" + "".join(f"{s},{a},\n" for _, s, a in rows),
    }
    for name, content in forms.items():
        (tmp_path / name).mkdir()
        store = pack(tmp_path / name, content)
        assert [task.name for task in store.tasks] == ["A"], name
        assert labels_of(store) == [A[: len(store)]]
        assert "1 columns: have no name" in left_out(store)[0]


class TestColumns:
    @pytest.mark.parametrize("odd", ["2", "?", "O", "-1", "0.5", "0,5", "50%"])
    def test_one_odd_value_is_named_with_its_row(self, tmp_path: Path, odd: str) -> None:
        told = refused(tmp_path, text(";", a=[odd if i == 7 else a for i, a in enumerate(A)]))
        assert told.startswith(f"t.csv, row 8, column 'A': the label is {odd!r}")
        assert "--ignore-columns 'A'" in told
        assert [task.name for task in pack(tmp_path, text(), ignore_columns=("A",)).tasks] == ["B"]

    def test_one_of_a_hundred_thousand(self, tmp_path: Path) -> None:
        rows = [f"ACGTACGT,{i % 2}" for i in range(3000)]
        rows[2345] = "ACGTACGT,l"
        assert refused(tmp_path, "sequence,A\n" + "\n".join(rows)).startswith(
            "t.csv, row 2346, column 'A': the label is 'l'"
        )

    @pytest.mark.parametrize(
        ("values", "told"),
        [
            ([f"{i / 4}" for i in range(N)], f"{NUMBERS}: A (0 to 2.75)"),
            ([f"{i}%" for i in range(N)], "hold text: A ('0%')"),
            (["x", "0", "1", "y"] * 3, "hold other values beside labels: A (6 of 12, first 'x' in row 1)"),
            ([""] * N, "hold no value: A"),
            (["NA"] * N, "hold no value: A"),
            (["chr1", "chr2"] * 6, "hold text: A ('chr1')"),
        ],
    )  # fmt: skip
    def test_what_is_passed_over_is_told(self, tmp_path: Path, values: list[str], told: str) -> None:
        store = pack(tmp_path, text(a=values))
        assert [task.name for task in store.tasks] == ["B"]
        assert left_out(store) == [f"1 columns: {told}"]

    def test_unknown_labels(self, tmp_path: Path) -> None:
        values = ["NA", "", "nan", "null", "None", ".", "N/A", "1", "0", "1", "0", "1"]
        store = pack(tmp_path, text(a=values))
        known = store.read_known(store.indices())
        assert known is not None
        assert known[:, 0].tolist() == [False] * 7 + [True] * 5
        assert labels_of(store)[0] == [0] * 7 + [1, 0, 1, 0, 1]

    def test_names_of_tasks(self, tmp_path: Path) -> None:
        content = text(header="sequence,a=b,B")
        store = pack(tmp_path, content, name=("a=b=Reb 1", "B=x=y"))
        assert [task.name for task in store.tasks] == ["Reb 1", "x=y"]
        assert labels_of(store) == [A, B]
        for names, told in (
            (("C=x",), "no label column is called 'C'"),
            (("B",), "'B' names no column"),
            (("B=a=b",), "the task 'a=b' is named twice"),
            (("B=",), "task 2 has no name"),
        ):
            (tmp_path / told[:9]).mkdir()
            assert told in refused(tmp_path / told[:9], content, name=names)

    def test_a_task_sheet(self, tmp_path: Path) -> None:
        sheet = tmp_path / "s.tsv"
        sheet.write_text("name\tcolumn\tgroup\tcell\nReb1\tB\tTF\tyeast\nA\t\tDNase\t\n")
        store = pack(tmp_path, PLAIN, tasks=sheet)
        assert [(task.name, task.group, task.cell) for task in store.tasks] == [
            ("Reb1", "TF", "yeast"),
            ("A", "DNase", ""),
        ]
        assert labels_of(store) == [B, A]
        assert [source["name"] for source in store.info.sources] == ["t.csv", "s.tsv"]


class TestRefused:
    @pytest.mark.parametrize(
        ("content", "told"),
        [
            (PLAIN + "ACGT,1\n", "row 13 has 2 fields, the header 3"),
            (PLAIN + "ACGT,1,1,1\n", "row 13 has 4 fields, the header 3"),
            (PLAIN + '"ACGT,1,1\n', "row 13: unexpected end of data"),
            (PLAIN + 'ACGT,1,"1\n' + PLAIN, "row 13: unexpected end of data"),
            (PLAIN.split("\n", 1)[1], "t.csv has no header"),
            (text(header="sequence, A,A "), "t.csv has the column 'A' twice"),
            (PLAIN + "NA,1,1\n", "t.csv has an empty sequence, in row 13"),
            (PLAIN + " ,1,1\n", "t.csv has an empty sequence, in row 13"),
            ("# only a comment\n", "t.csv is not a table: it is empty"),
            (" \n\n", "t.csv is not a table: it is empty"),
            (b"\xd0\xcf\x11\xe0" + bytes(99), "t.csv is an Excel file"),
            (b"\x93NUMPY" + bytes(99), "t.csv is a NumPy array"),
            (b"\x89HDF" + bytes(99), "t.csv is an HDF5 file"),
            (b"FEA1" + bytes(99), "t.csv is a Feather file"),
            ('[{"sequence": "ACGT"}]', "t.csv is JSON"),
            ('{"sequence": "ACGT", "A": 1}\n', "t.csv is JSON"),
            ("<!DOCTYPE html><html>", "t.csv is a web page"),
            (">one\nACGT\n", "--table FASTA --labels TABLE"),
            (PLAIN.encode("utf-16-le"), "it is binary"),
            (PLAIN.encode("utf-16")[:-1], "it is truncated or not UTF-16 text"),
            (bytes(Zstd().encode(PLAIN.encode()))[:-9], "t.csv is truncated or damaged"),
            (bz2.compress(PLAIN.encode())[:-9], "t.csv is truncated or damaged"),
            (lzma.compress(PLAIN.encode())[:-9], "t.csv is truncated or damaged"),
        ],
    )
    def test_refused(self, tmp_path: Path, content: str | bytes, told: str) -> None:
        assert told in refused(tmp_path, content)

    @pytest.mark.parametrize(
        ("member", "told"),
        [("xl/workbook.xml", "an Excel file"), ("content.xml", "LibreOffice"), ("a.npy", "NumPy"), ("t.csv", "zip")],
    )
    def test_archives_by_what_they_hold(self, tmp_path: Path, member: str, told: str) -> None:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(member, "x")
        assert told in refused(tmp_path, file.getvalue())

    def test_a_damaged_parquet_file_says_nothing_else(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        file = io.BytesIO()
        pl.DataFrame({"sequence": SEQUENCES, "A": A}).write_parquet(file)
        raw, rng, refusals = file.getvalue(), random.Random(0), 0
        for _ in range(30):
            broken = bytearray(raw)
            for _ in range(3):
                broken[rng.randrange(4, len(raw))] = rng.randrange(256)
            (tmp_path / "t.parquet").write_bytes(broken)
            try:
                read_table(tmp_path / "t.parquet", ("sequence",), "sequence")
            except NoncoderError:
                refusals += 1
        assert refusals > 10
        assert capfd.readouterr().err == ""


# Generated tables, whose labels are known, and the same after mutations.
SPELLINGS = {0: ("0", "0.0", "false", "No"), 1: ("1", "1.0", "TRUE", "yes"), None: ("", "NA", ".", "null")}
NAMES = ("a", "b c", 'say "x"', "ü,;|\tx", "line\nfeed", "x=y")
WORDS = ("train", "Validation", "TEST")


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, list[str], list[list[int | None]], list[int]]:
    """The text of a table, its tasks, their labels, and the splits of its rows."""
    rows = draw(st.integers(1, 12))
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    # A column without a label is none, so each has one.
    one = st.lists(st.sampled_from((0, 1, None)), min_size=rows, max_size=rows)
    labels = [draw(one.filter(lambda column: column != [None] * len(column))) for _ in names]
    splits = draw(st.lists(st.integers(0, 2), min_size=rows, max_size=rows))
    mark, end, quoted = draw(st.sampled_from(",\t;|")), draw(st.sampled_from(["\n", "\r\n", "\r"])), draw(st.booleans())

    def field(value: str) -> str:
        needed = any(letter in value for letter in f'{mark}"\n')
        return '"' + value.replace('"', '""') + '"' if quoted or needed else value

    lines = [["sequence", *names, "split"]]
    for i in range(rows):
        spelled = [SPELLINGS[column[i]][draw(st.integers(0, 3))] for column in labels]
        lines.append([random_dna(draw(st.integers(5, 12)), seed=i), *spelled, WORDS[splits[i]]])
    content = end.join(mark.join(map(field, line)) for line in lines) + draw(st.sampled_from(["", end, end * 2]))
    return content, names, labels, splits


@fuzzed
@given(tables())
def test_generated_tables_give_their_labels(
    tmp_path_factory: pytest.TempPathFactory, table: tuple[str, list[str], list[list[int | None]], list[int]]
) -> None:
    content, names, labels, splits = table
    rows = read_rows(write(tmp_path_factory.mktemp("t"), content))
    assert [task.name for task in rows.labelled.tasks] == names
    assert rows.split.of.tolist() == splits
    assert rows.labelled.labels.T.tolist() == [[value or 0 for value in column] for column in labels]
    assert rows.labelled.known.T.tolist() == [[value is not None for value in column] for column in labels]


@fuzzed
@given(tables(), st.randoms(use_true_random=False), st.booleans())
def test_mutated_tables_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, table: tuple[str, Any, Any, Any], rng: random.Random, packed: bool
) -> None:
    folder = tmp_path_factory.mktemp("t")
    content = bytearray(table[0].encode())
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(content) + 1)
        match rng.randrange(4):
            case 0:
                content[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                del content[at : at + rng.randint(1, 6)]
            case 2:
                content[at:at] = rng.choice(
                    [b'"', b"\n", b"\r", b",", b"\t", b"#", b"\0", b"\xff", b"1e9", b"nan", b"'"]
                )
            case _:
                content[at:at] = content[rng.randrange(len(content) + 1) :][: rng.randint(1, 30)]
    raw = gzip.compress(bytes(content), mtime=0) if packed else bytes(content)
    try:
        rows = read_rows(write(folder, raw))
    except NoncoderError:
        return
    assert rows.labelled.labels.shape == (len(rows.codes), len(rows.labelled.tasks))
    assert set(rows.split.of.tolist()) <= {0, 1, 2}

from __future__ import annotations

import contextlib
import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noncoder.data.bed import Peaks, read_bed, read_bytes, sha256
from noncoder.data.peak_files import find_peak_files, read_aliases, read_task_sheet, task_names
from noncoder.data.tasks import Task
from noncoder.errors import InputError
from tests.fuzzing import fuzzed

LAW = settings(deadline=None, max_examples=40)
PEAK = st.tuples(st.sampled_from(["chr1", "chrX", "2"]), st.integers(0, 10**9), st.integers(1, 10**6))
NARROW = "chr1\t{start}\t{end}\tp\t0\t.\t5.1\t-1\t2.2\t{offset}\n"


def read(folder: Path, content: str | bytes, name: str = "x.bed") -> Peaks:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_bed(path)


def rows(peaks: Peaks) -> list[tuple[str, int, int, int]]:
    assert peaks.start.dtype == peaks.end.dtype == peaks.summit.dtype == np.int32
    names = [peaks.chroms[i] for i in peaks.chrom]
    return list(zip(names, peaks.start.tolist(), peaks.end.tolist(), peaks.summit.tolist(), strict=True))


def refused(folder: Path, content: str | bytes, name: str = "x.bed") -> InputError:
    with pytest.raises(InputError) as caught:
        read(folder, content, name)
    assert str(folder / name) in caught.value.found
    assert caught.value.expected or caught.value.hint
    return caught.value


class TestReadBed:
    def test_positions_beyond_four_bytes(self, tmp_path: Path) -> None:
        peaks = read(tmp_path, "chr1\t4000000000\t4000000100\n")
        assert (peaks.start[0], peaks.end[0], peaks.summit[0]) == (4_000_000_000, 4_000_000_100, 4_000_000_050)

    @LAW
    @given(
        st.lists(PEAK, min_size=1, max_size=20),
        st.sampled_from(["\n", "\r\n"]),
        st.sampled_from("\t "),
        st.integers(0, 7),
    )
    def test_any_peaks_in_any_dress(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        peaks: list[tuple[str, int, int]],
        end: str,
        separator: str,
        extra: int,
    ) -> None:
        more = ["name", "0", "+", "1", "2", "0,0,0", "-1"][:extra]
        lines = ["track name=x", "# chrom start end", "", separator.join(("chrom", "start", "end", *more))]
        lines += [separator.join((chrom, str(at), str(at + width), *more)) for chrom, at, width in peaks]
        lines.insert(6, "# a comment within")
        text = end.join(lines) + end
        expected = [(chrom, at, at + width, at + width // 2) for chrom, at, width in peaks]
        folder = tmp_path_factory.mktemp("bed")
        assert rows(read(folder, text)) == expected
        assert rows(read(folder, gzip.compress(text.encode(), mtime=0), "x.bed.gz")) == expected
        assert rows(read(folder, text.encode().removesuffix(end.encode()))) == expected

    @pytest.mark.parametrize(
        "header",
        ["", "#chrom\tstart\tend\n", "chrom\tstart\tend\n", "chrom start end\n", "Chrom\tchromStart\tchromEnd\tname\n",
         "track name=a\nbrowser position chr1:1-2\n", "\n\n", "\r\n", "  \n\t\n", "# a\n# b\nseqnames\tstart\tend\n",
         "\ufeff", "\ufeff# x\n"],
    )  # fmt: skip
    def test_headers(self, tmp_path: Path, header: str) -> None:
        assert rows(read(tmp_path, header + "chr1\t10\t20\tname\n")) == [("chr1", 10, 20, 15)]

    def test_a_header_above_spaces(self, tmp_path: Path) -> None:
        assert rows(read(tmp_path, "chrom start end\n chr1  10 20\nchr2 1   4 x\n")) == [
            ("chr1", 10, 20, 15),
            ("chr2", 1, 4, 2),
        ]

    def test_ragged_lines(self, tmp_path: Path) -> None:
        text = "chr1\t1\t5\nchr1\t1\t5\tn\t0\t+\nchr1\t7\t9\n"
        assert [row[:3] for row in rows(read(tmp_path, text))] == [("chr1", 1, 5), ("chr1", 1, 5), ("chr1", 7, 9)]

    def test_quotes_and_foreign_letters_in_names(self, tmp_path: Path) -> None:
        text = 'chr1\t1\t5\t"open\nchr2\t1\t5\té\n'.encode("latin-1")
        assert [row[0] for row in rows(read(tmp_path, text))] == ["chr1", "chr2"]

    @pytest.mark.parametrize(
        ("offset", "summit"), [("0", 100), ("13", 113), ("49", 149), ("50", 125), ("-1", 125), ("999", 125), (".", 125)]
    )
    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    def test_summit_of_a_narrow_peak(self, tmp_path: Path, offset: str, summit: int, end: str) -> None:
        text = NARROW.format(start=100, end=150, offset=offset).replace("\n", end)
        assert rows(read(tmp_path, text, "x.narrowPeak")) == [("chr1", 100, 150, summit)]

    def test_a_broad_peak_has_its_midpoint(self, tmp_path: Path) -> None:
        text = "chr1\t100\t151\tp\t0\t.\t5.1\t-1\t2.2\n"
        assert rows(read(tmp_path, text, "x.broadPeak")) == [("chr1", 100, 151, 125)]

    @pytest.mark.parametrize("content", ["", "\n\n", "# only\n", "track x\n", "chrom\tstart\tend\n", "\r\n"])
    def test_without_peaks(self, tmp_path: Path, content: str) -> None:
        for raw in (content.encode(), gzip.compress(content.encode(), mtime=0)):
            peaks = read(tmp_path, raw)
            assert peaks.chroms == ()
            assert rows(peaks) == []


class TestBadBed:
    @pytest.mark.parametrize(
        ("content", "line", "told"),
        [
            ("chr1\t5\t9\nchr1\t30\t20\n", 2, "ends before it starts"),
            ("chr1\t5\t4\n", 1, "ends before it starts"),
            ("# c\nchrom\tstart\tend\nchr1\t5\t3\n", 3, "ends before it starts"),
            ("\n\ntrack x\nchr1\t5\t9\n#\nchr1\t9\t5\r\n", 6, "ends before it starts"),
            ("chr1\t1\t5\nchr1\tx\t5\n", 2, "is not an integer"),
            ("chr1\t1.5\t5\n", 1, "is not an integer"),
            ("chr1\t1e-3\t5000\n", 1, "is not an integer"),
            ("chr1\t1e999\t5000\n", 1, "is not an integer"),
            ("chr1\tnan\t5\n", 1, "is not an integer"),
            ("chr1\t1\tInf\n", 1, "is not an integer"),
            ("chr1\t1_0\t50\n", 1, "is not an integer"),
            ("chr1\t1\t100000000000000000000\n", 1, "is too large"),
            ("chr1\t1,000\t2,000\n", 1, "is not an integer"),
            ("chr1\t1 500\t1 900\n", 1, "is not an integer"),
            ("chr1\t1\u00a0500\t1\u00a0900\n", 1, "is not an integer"),
            ("chr1\t1\u202f500\t1\u202f900\t.\n", 1, "is not an integer"),
            ("chr1 1\u00a0500 1\u00a0900\n", 1, "is not an integer"),
            ("chr1\t1\n", 1, "has 2 columns"),
            ("hello\nworld\n", 1, "has 1 column\n"),
            ("chr1\t1\t5\nchr1\t9\n", 2, "has 2 columns"),
            ("chr1\t1\t5\n\t7\t9\n", 2, "has no chromosome"),
            ("chr1 1 5\nchr1 7\n", 2, "has 2 columns"),
            ("chr1,1,5\n", 1, "has 1 column; its columns are separated by commas\n"),
            ("chr1\t1000\t1400 \t\nchr1\tsource\tpeak\t1\t9\t.\t+\t.\tID=1\n", 2, "it is GFF or GTF"),
            ("r1\t16\tchr1\t100\t60\t4M\t*\t0\t0\tACGT\tIIII\n", 1, "it is SAM"),
            ("chr1\t100\trs1\tA\tG\t.\tPASS\t.\n", 1, "it is VCF"),
            ("p1\tchr1\t100\t200\t+\n", 1, "its chromosome is column 2"),
            ("585\tchr1\t100\t200\n", 1, "its chromosome is column 2"),
            ("chr1\t1\t5\nchr1\t\t9\n", 2, "is not an integer"),
        ],
    )
    def test_file_and_line_are_named(self, tmp_path: Path, content: str, line: int, told: str) -> None:
        message = str(refused(tmp_path, content))
        assert f"x.bed, line {line}: " in message
        assert told in message
        assert f"line {line}: " in str(refused(tmp_path, gzip.compress(content.encode(), mtime=0), "x.bed.gz"))

    @pytest.mark.parametrize(
        "content", [b"\x89PNG\r\n\x1a\n\0\0", b"chr1\t1\t5\n\0", bytes(range(256)) * 9, b"\0" * 99]
    )
    def test_binary(self, tmp_path: Path, content: bytes) -> None:
        assert "is binary" in refused(tmp_path, content).found
        assert "is binary" in refused(tmp_path, gzip.compress(content, mtime=0)).found

    def test_binary_without_a_zero(self, tmp_path: Path) -> None:
        refused(tmp_path, bytes(range(1, 256)) * 9)

    @pytest.mark.parametrize("size", [2, 9, 15, 40, -1, -9])
    def test_cut_off_gzip(self, tmp_path: Path, size: int) -> None:
        whole = gzip.compress(b"".join(b"chr1\t%d\t%d\n" % (at * 7919 % 10007, 20_000) for at in range(500)))
        error = refused(tmp_path, whole[:size], "x.bed.gz")
        assert "is truncated or damaged" in error.found
        assert error.hint == "download it again"

    def test_damaged_gzip(self, tmp_path: Path) -> None:
        whole = bytearray(gzip.compress(b"".join(b"chr1\t%d\t%d\n" % (at * 7919 % 10007, 20_000) for at in range(500))))
        for at in (30, len(whole) // 2, len(whole) - 6):
            flipped = whole.copy()
            flipped[at] ^= 0xFF
            refused(tmp_path, bytes(flipped), "x.bed.gz")

    def test_missing_and_folder(self, tmp_path: Path) -> None:
        for path in (tmp_path / "none.bed", tmp_path):
            with pytest.raises(InputError, match=r"cannot be read: (No such file|Is a directory)") as caught:
                read_bytes(path)
            assert str(path) in caught.value.found


class TestFindPeakFiles:
    def test_sorted_and_named(self, tmp_path: Path) -> None:
        for name in ("b.bed", "a.narrowPeak.gz", "c.txt"):
            (tmp_path / name).touch()
        paths, tasks = find_peak_files([str(tmp_path / "*.bed"), str(tmp_path / "a*"), str(tmp_path / "c.txt")])
        assert [path.name for path in paths] == ["b.bed", "a.narrowPeak.gz", "c.txt"]
        assert tasks == [Task("b"), Task("a"), Task("c")]

    def test_no_match(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(InputError, match=r"no file matches 'peaks/\*\.bed'") as caught:
            find_peak_files(["peaks/*.bed"])
        assert str(tmp_path) in caught.value.hint

    def test_a_task_named_twice(self, tmp_path: Path) -> None:
        for name in ("a.bed", "a.narrowPeak"):
            (tmp_path / name).touch()
        for patterns in (["*"], ["a.bed", "*.bed"]):
            with pytest.raises(InputError, match="the task 'a' is named twice, as number 1 and 2"):
                find_peak_files([str(tmp_path / pattern) for pattern in patterns])

    @pytest.mark.parametrize(
        ("files", "names"),
        [
            (["Abf1_CX.bed", "Reb1_CX.bed"], ["Abf1", "Reb1"]),
            (["Abf1_1.bed", "Abf1_2.bed"], ["Abf1_1", "Abf1_2"]),
            (["one_CX.bed.gz"], ["one_CX"]),
            (["a.x.bed", "b.x.bed.bgz", "c.x.broadPeak"], ["a", "b", "c"]),
            ([*(f"t{i}_CX.bed" for i in range(9)), "odd.bed"], [*(f"t{i}" for i in range(9)), "odd"]),
            # Without the ending that most share, two would have one name.
            ([*(f"t{i}_CX.bed" for i in range(9)), "t3.bed"], [*(f"t{i}_CX" for i in range(9)), "t3"]),
            (["x_peaks.xls", "y.NARROWPEAK.gz", "z.bed6", "w.gappedPeak"], ["x_peaks", "y", "z", "w"]),
            ([], []),
        ],
    )
    def test_names(self, files: list[str], names: list[str]) -> None:
        assert task_names([Path(file) for file in files]) == names


class TestTaskSheet:
    def test_reads_what_is_there(self, tmp_path: Path) -> None:
        sheet = tmp_path / "tasks.tsv"
        sheet.write_text("# mine\nname\tpath\tgroup\tcell\r\nReb1\tp/a.bed\tTF\tyeast\r\nx\t/abs/b.bed\t\t\n")
        paths, tasks = read_task_sheet(sheet)
        assert paths == [tmp_path / "p/a.bed", Path("/abs/b.bed")]
        assert tasks == [Task("Reb1", "TF", "yeast"), Task("x")]

    @pytest.mark.parametrize(
        "text",
        [
            "path\tname\rp/a.bed\tReb1\rb.bed\tx\r",
            "\ufeffpath\tname\n\n p/a.bed \tReb1\t\t\n# a comment\nb.bed\t x\n\t\n",
            "#path\tname\np/a.bed\tReb1\nb.bed\tx\x1a",
            '"path"\t"name"\n"p/a.bed"\t"Reb1"\n"b.bed"\t"x"\n',
        ],
    )
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
    def test_line_ends_blanks_and_encodings(self, tmp_path: Path, text: str, encoding: str) -> None:
        sheet = tmp_path / "tasks.tsv"
        sheet.write_bytes(text.encode(encoding))
        paths, tasks = read_task_sheet(sheet)
        assert paths == [tmp_path / "p/a.bed", tmp_path / "b.bed"]
        assert tasks == [Task("Reb1"), Task("x")]

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            ("", "is not a task sheet"),
            ("path\tname\n", "lists no task"),
            ("path\tname\na\tb\tc\n", "is not a task sheet"),
            ("name\nx\n", "has the columns name"),
            ("path,name\na,b\n", "has the columns path,name"),
            ("path\tname\tgruop\na\tb\tc\n", "has the columns path, name, gruop"),
            ("path\tname\tname\na\tb\tc\n", "has the columns path, name, name"),
            ("path\tname\na\tb\nc\tb\n", "the task 'b' is named twice, as number 1 and 2"),
            ("path\tname\na\t\n", "task 1 has no name"),
        ],
    )
    def test_refused(self, tmp_path: Path, content: str, told: str) -> None:
        sheet = tmp_path / "tasks.tsv"
        sheet.write_text(content)
        with pytest.raises(InputError) as caught:
            read_task_sheet(sheet)
        assert told in caught.value.found
        assert caught.value.expected

    def test_binary(self, tmp_path: Path) -> None:
        sheet = tmp_path / "tasks.tsv"
        sheet.write_bytes(bytes(range(128, 256)))
        with pytest.raises(InputError, match=r"is not a task sheet|has the columns"):
            read_task_sheet(sheet)


def test_aliases(tmp_path: Path) -> None:
    table = tmp_path / "a.tsv"
    table.write_text("# peaks\tgenome\n\nchr1\tNC_1\r\nchr2 NC_2\n")
    assert read_aliases(table) == {"chr1": "NC_1", "chr2": "NC_2"}
    table.write_text("chr1\tNC_1\nchr2\n")
    with pytest.raises(InputError, match=r"a\.tsv, line 2: 'chr2'"):
        read_aliases(table)


def test_aliases_of_other_systems(tmp_path: Path) -> None:
    table = tmp_path / "a.tsv"
    table.write_bytes(b"\xef\xbb\xbf chr1 \t NC_1 \t\r\r  # c\r chr2  NC_2 \r\t\r")
    assert read_aliases(table) == {"chr1": "NC_1", "chr2": "NC_2"}
    table.write_text("chr1\tNC_1\nchr1\tNC_2\n")
    with pytest.raises(InputError, match=r"a\.tsv, line 2: 'chr1' is given a second name"):
        read_aliases(table)


@fuzzed
@given(
    st.lists(
        st.sampled_from(["path", "name", "a.bed", "x", "\t", "\t", "\n", "\r", " ", "#", '"', "\0", "é", "\ufeff"])
    )
)
def test_damaged_sheets_and_aliases(tmp_path_factory: pytest.TempPathFactory, parts: list[str]) -> None:
    path = tmp_path_factory.mktemp("s") / "sheet"
    path.write_bytes(("path\tname\na.bed\tt\n" + "".join(parts)).encode())
    with contextlib.suppress(InputError):
        assert all(task.name for task in read_task_sheet(path)[1])
    path.write_bytes("".join(parts).encode())
    with contextlib.suppress(InputError):
        assert all(name and contig for name, contig in read_aliases(path).items())


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert sha256(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

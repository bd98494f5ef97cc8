"""The records of a FASTA file are those of the file itself, whatever its layout, packing and the index beside it."""

from __future__ import annotations

import gzip
import os
import time
from pathlib import Path

import numpy as np
import pysam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noncoder.errors import SequenceError
from noncoder.sequence.encoding import decode, encode
from noncoder.sequence.file_types import recognize
from noncoder.sequence.genome import Genome, Interval
from tests.conftest import listing, random_dna, random_genome, write_fasta
from tests.fuzzing import fuzzed
from tests.sequence.fastas import Fasta, bgzip, fastas, mutations, packings, slow_read


@pytest.fixture(params=[(16, 48), (1 << 14, 1 << 23)], ids=["small steps", "own steps"])
def steps(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Letters are counted every few bytes, so that small files have many of these places."""
    monkeypatch.setattr("noncoder.sequence.fasta._STEP", request.param[0])
    monkeypatch.setattr("noncoder.sequence.fasta._READ", request.param[1])


def refused(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(SequenceError) as caught:
        Genome(path)
    assert listing(path.parent) == [path.name]
    return str(caught.value)


@pytest.mark.usefixtures("steps")
class TestAsTheSlowReader:
    @fuzzed
    @given(fastas(), st.data())
    def test_valid_files(self, tmp_path: Path, fasta: Fasta, data: st.DataObject) -> None:
        path = tmp_path / "g.fa"
        path.write_bytes(fasta.content)
        for index in (tmp_path / "g.fa.fai", tmp_path / "g.fa.gzi"):
            index.write_bytes(data.draw(st.binary(max_size=30) | st.just(b"a\t4\t0\t4\t5\n")))
        with Genome(path) as genome:
            assert genome.lengths == {name: len(letters) for name, letters in fasta.records.items()}
            for name, letters in fasta.records.items():
                assert genome.text(name) == letters
                start = data.draw(st.integers(0, len(letters) - 1))
                end = data.draw(st.integers(start + 1, len(letters) + 9))
                padded = letters[start:end].ljust(end - start, "N")
                assert np.array_equal(genome.fetch(Interval(name, start, end)), encode(padded))

    @fuzzed
    @given(st.data())
    def test_changed_files(self, tmp_path: Path, data: st.DataObject) -> None:
        """A file with a few wrong bytes is read as it stands, or refused in one message."""
        plain = data.draw(mutations(data.draw(fastas(packed=False)).content))
        path = tmp_path / "g.fa"
        path.write_bytes(data.draw(packings(plain)))
        expected = slow_read(plain)
        genome = opened(path)
        if isinstance(genome, str):
            assert genome.startswith("g.fa")
            assert (
                expected is None
                or not all(f">{name}{text}".count(">") == 1 for name, text in expected.items())
                or (not all(name.isascii() and name.isprintable() for name in expected))
            )
            return
        assert expected is not None
        with genome:
            assert genome.lengths == {_name(name): len(text) for name, text in expected.items()}
            for name, text in expected.items():
                assert contig(genome, _name(name)) == codes_of(text, f"g.fa, {_name(name)}")

    @fuzzed
    @given(st.data())
    def test_changed_archives(self, tmp_path: Path, data: st.DataObject) -> None:
        """A packed file with wrong bytes has the right letters, or is refused."""
        fasta = data.draw(fastas())
        path = tmp_path / "g.fa.gz"
        path.write_bytes(data.draw(mutations(fasta.content)))
        genome = opened(path)
        if isinstance(genome, str):
            assert genome.startswith("g.fa.gz")
            return
        with genome:
            found = {name: contig(genome, name) for name in genome.lengths}
        if fasta.content[:2] == path.read_bytes()[:2] == b"\x1f\x8b":
            assert found == {name: encode(text).tobytes() for name, text in fasta.records.items()}


def opened(path: Path) -> Genome | str:
    """The genome, or the message that refuses it."""
    try:
        return Genome(path)
    except SequenceError as error:
        return str(error)


def contig(genome: Genome, name: str) -> bytes | str:
    """The codes of a contig, or the message that refuses it."""
    try:
        return genome.contig(name).tobytes()
    except SequenceError as error:
        return str(error)


def codes_of(text: str, label: str) -> bytes | str:
    """The codes of letters, or the message that refuses them."""
    try:
        return encode(text.encode("latin-1"), label).tobytes()
    except SequenceError as error:
        return str(error)


def _name(name: str) -> str:
    return name.encode("latin-1").decode("utf-8", errors="backslashreplace")


class TestIndexBeside:
    """An index beside the file is not believed, however new it is."""

    def write(self, folder: Path, bgzipped: bool) -> tuple[Path, dict[str, str]]:
        records = random_genome({"chr2": 3_000, "chr1": 2_000, "chrX": 500}, seed=5)
        path = write_fasta(folder / "g.fa", records)
        if bgzipped:
            path.write_bytes(bgzip(path.read_bytes(), 700))
        return path, records

    def foreign(self, folder: Path, width: int = 60, order: tuple[str, ...] = ("chr1", "chr2", "chrX")) -> bytes:
        folder.mkdir()
        lengths = {"chr2": 3_000, "chr1": 2_000, "chrX": 500}
        path = write_fasta(folder / "g.fa", {name: random_dna(lengths[name]) for name in order}, width)
        pysam.faidx(str(path))
        return Path(f"{path}.fai").read_bytes()

    @pytest.mark.parametrize("bgzipped", [False, True])
    @pytest.mark.parametrize("age", [-3_600, 3_600])
    @pytest.mark.parametrize("kind", ["order", "width", "fewer", "empty", "noise", "folder", "dangling"])
    def test_is_not_read(self, tmp_path: Path, kind: str, age: int, bgzipped: bool) -> None:
        path, records = self.write(tmp_path, bgzipped)
        fai, gzi = tmp_path / "g.fa.fai", tmp_path / "g.fa.gzi"
        if kind in ("folder", "dangling"):
            fai.mkdir() if kind == "folder" else fai.symlink_to(tmp_path / "nowhere")
        else:
            content = {
                "order": lambda: self.foreign(tmp_path / "other"),
                "width": lambda: self.foreign(tmp_path / "other", 80),
                "fewer": lambda: self.foreign(tmp_path / "other", order=("chr2",)),
                "empty": lambda: b"",
                "noise": lambda: bytes(range(256)),
            }[kind]()
            for index in (fai, gzi):
                index.write_bytes(content)
                os.utime(index, (time.time() + age,) * 2)
        before = listing(tmp_path)
        with Genome(path) as genome:
            assert {name: genome.text(name) for name in genome.lengths} == records
            assert list(genome.lengths) == list(records)
            assert decode(genome.fetch(Interval("chr1", 1_990, 2_005))) == records["chr1"][1_990:] + "N" * 5
        assert listing(tmp_path) == before

    def test_a_right_one_changes_nothing(self, tmp_path: Path) -> None:
        path, records = self.write(tmp_path, bgzipped=True)
        pysam.faidx(str(path))
        before = {name: (tmp_path / name).read_bytes() for name in listing(tmp_path)}
        with Genome(path) as genome:
            assert {name: genome.text(name) for name in genome.lengths} == records
        assert {name: (tmp_path / name).read_bytes() for name in listing(tmp_path)} == before


class TestNames:
    @pytest.mark.parametrize("pack", [bytes, gzip.compress, bgzip])
    @pytest.mark.parametrize("with_index", [False, True])
    def test_two_of_one_name(self, tmp_path: Path, pack: type[bytes], with_index: bool) -> None:
        path = tmp_path / "g.fa"
        path.write_bytes(pack(b">a\nACGT\n>b\nACGT\n>a\nTTTT\n>c\nA\n"))
        if with_index:
            (tmp_path / "g.fa.fai").write_text("a\t4\t3\t4\t5\nb\t4\t11\t4\t5\nc\t1\t27\t1\t2\n")
        with pytest.raises(SequenceError, match=r"g\.fa: records 1 and 3 are both called 'a'") as caught:
            Genome(path)
        assert "first space" not in caught.value.hint

    @pytest.mark.parametrize("blank", [" ", "\t"])
    def test_a_name_ends_at_the_first_blank(self, tmp_path: Path, blank: str) -> None:
        path = tmp_path / "g.fa"
        path.write_text(f">one{blank}1\nACGT\n>two >2\nGG\n")
        with Genome(path) as genome:
            assert genome.lengths == {"one": 4, "two": 2}
        says = refused(path, f">seq{blank}0\nACGT\n>seq{blank}1\nGG\n".encode())
        assert "records 1 and 2 are both called 'seq'" in says
        assert "a name ends at the first space or tab" in says

    @pytest.mark.parametrize(
        ("content", "found"),
        [
            (b">\nACGT\n", "record 1 has no name: its header is '>'"),
            (b">a\nAC\n> b\nACGT\n", "record 2 has no name: its header is '> b'"),
            (b">a\nAC\n>", "record 2 has no name"),
            (b">a\x00b\nACGT\n", r"the name of record 1 has characters that cannot be printed: 'a\x00b'"),
            (b">a\x0b\nACGT\n", r"the name of record 1 has characters that cannot be printed: 'a\x0b'"),
            (">é\nACGT\n".encode("utf-16-le"), "cannot be printed"),
        ],
    )
    def test_wrong_ones(self, tmp_path: Path, content: bytes, found: str) -> None:
        assert found in refused(tmp_path / "g.fa", content)


class TestRecords:
    @pytest.mark.parametrize(
        ("content", "found"),
        [
            (b">a\n", "the record 'a', number 1, has no sequence"),
            (b">a\nAC\n>b\n\n \n>c\nG\n", "the record 'b', number 2, has no sequence"),
            (b">a\nAC\n>b", "the record 'b', number 2, has no sequence"),
            (b">a\nACGT>b\nAC\n", "g.fa, a: '>' at position 5 is inside a line"),
            (b"ACGT\n>a\nAC\n", "is not FASTA: it begins with 'ACGT"),
            (b"\n >a\nAC\n", "is not FASTA: it has a blank before its first '>'"),
            (b"\n \r\n\t", "g.fa is empty"),
            (b"; a comment alone", "g.fa is empty"),
            (b"\xef\xbb\xbf", "g.fa is empty"),
        ],
    )
    def test_wrong_ones(self, tmp_path: Path, content: bytes, found: str) -> None:
        assert found in refused(tmp_path / "g.fa", content)

    @pytest.mark.parametrize("at", [0, 59, 60, 700, 20_000])
    @pytest.mark.parametrize(
        ("letter", "found"),
        [(b"\xc6", "the byte 0xC6 at position {} is not a base and not ASCII"),
         (b"\0", r"'\x00' at position {} is not a base"),
         (b"*", "'*' at position {} is not a base"), (b"-", "'-' at position {} is not a base"),
         (b"1", "'1' at position {} is not a base"), (b";", "';' at position {} is not a base")],
    )  # fmt: skip
    def test_what_is_no_base_is_named_with_its_place(self, tmp_path: Path, at: int, letter: bytes, found: str) -> None:
        text = random_dna(30_000).encode()
        text = text[:at] + letter + text[at + 1 :]
        lines = b"\n".join(text[i : i + 60] for i in range(0, len(text), 60))
        (tmp_path / "g.fa").write_bytes(b">first\nACGT\n>second\n" + lines + b"\n")
        with Genome(tmp_path / "g.fa") as genome:
            assert genome.contig("first").size == 4
            for read in (
                lambda: genome.contig("second"),
                lambda: genome.fetch(Interval("second", max(0, at - 7), at + 9)),
            ):
                with pytest.raises(SequenceError) as caught:
                    read()
                assert f"g.fa, second: {found.format(at + 1)}" in caught.value.found

    def test_text_of_a_record_with_other_bytes(self, tmp_path: Path) -> None:
        (tmp_path / "g.fa").write_bytes(b">a\nAC\xc3\xa9GT\n")
        with (
            Genome(tmp_path / "g.fa") as genome,
            pytest.raises(SequenceError, match="0xC3 at position 3 is not a base and not ASCII"),
        ):
            genome.text("a")

    def test_a_protein(self, tmp_path: Path) -> None:
        (tmp_path / "g.fa").write_text(">p\nMKVLQQE\n")
        with Genome(tmp_path / "g.fa") as genome, pytest.raises(SequenceError, match="is it a protein"):
            genome.contig("p")


class TestOtherFormats:
    @pytest.mark.parametrize(
        ("content", "known"),
        [
            (b"@read1\nACGT\n+\nIIII\n", "a FASTQ file"),
            (b"@HD\tVN:1.6\n", "a SAM file"),
            (b"LOCUS       SCU49845     5028 bp    DNA\n", "a GenBank file"),
            (b"ID   X56734; SV 1; linear;\n", "an EMBL or TRANSFAC file"),
            (b"\x43\x27\x41\x1a\0\0\0\0", "a 2bit file"),
            (b"chr1\t10\t20\tpeak\n", "a BED file"),
            (b"sequence,label\nACGT,1\n", "a table"),
            (b"name\tsequence\na\tACGT\n", "a table"),
            (b"<!DOCTYPE html>\n", "a web page"),
            (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
            (b"BZh91AY&SY", "bzip2"),
            (b"\x28\xb5\x2f\xfd\x04", "Zstandard"),
            (b"\xfd7zXZ\x00\x00", "xz"),
            (b"PK\x03\x04\x14", "a zip archive"),
            (b"PAR1\x15\x04", "a Parquet file"),
            (">a\nACGT\n".encode("utf-16"), "UTF-16"),
        ],
    )
    @pytest.mark.parametrize("pack", [bytes, gzip.compress, bgzip])
    def test_are_called_by_name(self, tmp_path: Path, content: bytes, known: str, pack: type[bytes]) -> None:
        assert f"g.fa is not FASTA: it looks like {known}" in refused(tmp_path / "g.fa", pack(content))

    @pytest.mark.parametrize("pack", [gzip.compress, bgzip])
    def test_packed_twice(self, tmp_path: Path, pack: type[bytes]) -> None:
        says = refused(tmp_path / "g.fa", pack(gzip.compress(b">a\nACGT\n", mtime=0)))
        assert "it looks like gzip data within gzip data" in says

    def test_what_is_known_by_no_mark(self) -> None:
        assert recognize(b"") == recognize(b"ACGT\n") == recognize(b">a\nAC,GT\n") == recognize(b"\0\1\2\3") == ""


@pytest.mark.parametrize("pack", [bytes, bgzip])
def test_a_file_that_changes_while_it_is_open(tmp_path: Path, pack: type[bytes]) -> None:
    path = tmp_path / "g.fa"
    path.write_bytes(pack(b">a\nACGT\n"))
    with Genome(path) as genome:
        path.write_bytes(pack(b">a\nTTTTT\n"))
        with pytest.raises(SequenceError, match=r"g\.fa changed while it was read"):
            genome.contig("a")


def test_a_file_that_another_replaces_is_read_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "g.fa").write_bytes(b">a\nACGT\n")
    with Genome(tmp_path / "g.fa") as genome:
        (tmp_path / "new.fa").write_bytes(b">b\nTTTTT\n")
        (tmp_path / "new.fa").replace(tmp_path / "g.fa")
        assert genome.text("a") == "ACGT"


def test_a_very_long_line_and_many_records(tmp_path: Path) -> None:
    records = {"long": random_dna(300_000)} | {f"r{i}": random_dna(40, i) for i in range(3_000)}
    path = write_fasta(tmp_path / "g.fa", records, width=10**6)
    with Genome(path) as genome:
        assert {name: genome.text(name) for name in genome.lengths} == records
        for start in (0, 16_383, 16_384, 99_999, 299_990):
            codes = genome.fetch(Interval("long", start, start + 10, "-"))
            assert decode(codes[::-1]) == records["long"][start : start + 10].translate(str.maketrans("ACGT", "TGCA"))

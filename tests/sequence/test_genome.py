from __future__ import annotations

import gzip
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noncoder.errors import SequenceError
from noncoder.sequence.encoding import decode, encode, reverse_complement
from noncoder.sequence.genome import Genome, Interval, head, match_names
from tests.conftest import listing, padded_slice, random_dna, random_genome, write_fasta

LAW = settings(deadline=None, max_examples=60)
NAMES = st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1, max_size=12)
RECORDS = {"chr1": random_dna(1_000), "chr2": random_dna(333, seed=1), "tiny": "ACGTN"}


@st.composite
def intervals(draw: st.DrawFn) -> Interval:
    start = draw(st.integers(0, 10**9))
    return Interval(draw(NAMES), start, start + draw(st.integers(1, 10**6)), draw(st.sampled_from("+-.")))


class TestInterval:
    @LAW
    @given(intervals())
    def test_parse_inverts_printing_for_browsers(self, one: Interval) -> None:
        unstranded = Interval(one.chrom, one.start, one.end)
        assert Interval.parse(f"{one.chrom}:{one.start + 1}-{one.end}") == unstranded
        assert Interval.parse(f"  {one.chrom}:{one.start + 1:,}-{one.end:,}\n") == unstranded
        assert str(one) == f"{one.chrom}:{one.start}-{one.end}"

    def test_a_colon_in_the_name(self) -> None:
        assert Interval.parse("HLA-A*01:01:11-20") == Interval("HLA-A*01:01", 10, 20)

    @pytest.mark.parametrize(
        "text",
        ["", "chr1", "chr1:", "chr1:5", "chr1:5-", "chr1:-5", "chr1:a-b", ":1-2", "chr1:,-,", "chr1:1,-", "chr1:1.5-9",
         "chr1:1-2-3x", "chr1 1 2", "chr1:-1-5"],
    )  # fmt: skip
    def test_what_is_no_region(self, text: str) -> None:
        with pytest.raises(SequenceError, match="is not a region"):
            Interval.parse(text)

    @pytest.mark.parametrize(("text", "why"), [("c:0-5", "starts before"), ("c:5-4", "ends before"), ("c:9-2", "ends")])
    def test_regions_that_cannot_be(self, text: str, why: str) -> None:
        with pytest.raises(SequenceError, match=why):
            Interval.parse(text)

    @LAW
    @given(
        st.integers(-5, 5),
        st.integers(-5, 5),
        st.sampled_from(["+", "-", ".", "", "x", "*"]),
        st.sampled_from(["", "c"]),
    )
    def test_cannot_be_built_wrong(self, start: int, end: int, strand: str, chrom: str) -> None:
        if chrom and 0 <= start < end and strand in ("+", "-", "."):
            assert len(Interval(chrom, start, end, strand)) == end - start
        else:
            with pytest.raises(SequenceError):
                Interval(chrom, start, end, strand)

    def test_is_frozen(self) -> None:
        with pytest.raises(FrozenInstanceError):
            Interval("c", 1, 2).end = 0  # type: ignore[misc]

    @LAW
    @given(intervals(), st.integers(1, 10**6))
    def test_resize_keeps_the_midpoint(self, one: Interval, width: int) -> None:
        if one.midpoint < width // 2:
            with pytest.raises(SequenceError, match="starts before the chromosome"):
                one.resize(width)
            return
        resized = one.resize(width)
        assert (len(resized), resized.midpoint) == (width, one.midpoint)
        assert (resized.chrom, resized.strand) == (one.chrom, one.strand)

    @pytest.mark.parametrize("width", [0, -4])
    def test_resize_to_nothing(self, width: int) -> None:
        with pytest.raises(SequenceError, match="ends before it starts"):
            Interval("c", 10, 20).resize(width)

    @LAW
    @given(st.tuples(*[st.integers(0, 12)] * 4), st.booleans())
    def test_overlaps_against_sets_of_bases(self, ends: tuple[int, int, int, int], same: bool) -> None:
        a, b = (
            Interval("c", ends[0], ends[0] + ends[1] + 1),
            Interval("c" if same else "d", ends[2], ends[2] + ends[3] + 1),
        )
        shared = same and bool(set(range(a.start, a.end)) & set(range(b.start, b.end)))
        assert a.overlaps(b) is shared
        assert b.overlaps(a) is shared


def plain(folder: Path) -> Path:
    return write_fasta(folder / "g.fa", RECORDS)


def windows_lines(folder: Path) -> Path:
    return write_fasta(folder / "g.fa", RECORDS, end="\r\n")


def one_line(folder: Path) -> Path:
    return write_fasta(folder / "g.fa", RECORDS, width=10**6)


def gzipped(folder: Path) -> Path:
    path = folder / "g.fa.gz"
    path.write_bytes(gzip.compress(plain(folder).read_bytes()))
    (folder / "g.fa").unlink()
    return path


def bgzipped(folder: Path) -> Path:
    path = folder / "g.fa.gz"
    pysam.tabix_compress(str(plain(folder)), str(path))
    (folder / "g.fa").unlink()
    return path


def bgzipped_without_block_index(folder: Path) -> Path:
    path = bgzipped(folder)
    pysam.faidx("--gzi-idx", str(folder / "elsewhere"), str(path))
    (folder / "elsewhere").unlink()
    return path


KINDS = [plain, windows_lines, one_line, gzipped, bgzipped, bgzipped_without_block_index]


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Genome]:
    with Genome(plain(tmp_path_factory.mktemp("fetch"))) as opened:
        yield opened


class TestGenome:
    @pytest.mark.parametrize("make", KINDS)
    def test_reads_every_kind_and_writes_nothing_beside_it(
        self, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch,
        make: Callable[[Path], Path],
    ) -> None:  # fmt: skip
        path, scratch = make(tmp_path), tmp_path_factory.mktemp("scratch")
        monkeypatch.setattr(tempfile, "tempdir", str(scratch))
        before = listing(tmp_path)
        with Genome(path) as genome:
            assert genome.lengths == {name: len(text) for name, text in RECORDS.items()}
            for name, text in RECORDS.items():
                assert decode(genome.contig(name)) == text
                assert genome.text(name) == text
            assert bool(listing(scratch)) is (make is gzipped)
        assert not listing(scratch)
        assert listing(tmp_path) == before

    @pytest.mark.parametrize("make", [plain, gzipped, bgzipped])
    def test_in_a_folder_that_cannot_be_written(self, tmp_path: Path, make: Callable[[Path], Path]) -> None:
        path = make(tmp_path)
        tmp_path.chmod(0o555)
        try:
            with Genome(path) as genome:
                assert decode(genome.contig("chr2")) == RECORDS["chr2"]
            assert listing(tmp_path) == [path.name]
        finally:
            tmp_path.chmod(0o755)

    def test_a_later_fasta_is_read_anew(self, tmp_path: Path) -> None:
        path = plain(tmp_path)
        pysam.faidx(str(path))
        write_fasta(path, {"new": "ACGT" * 10})
        os.utime(path, (time.time() + 10,) * 2)
        with Genome(path) as genome:
            assert genome.lengths == {"new": 40}

    def test_lower_case_and_iupac(self, tmp_path: Path) -> None:
        with Genome(write_fasta(tmp_path / "g.fa", {"a": "acgtnRyKACGT"})) as genome:
            assert decode(genome.contig("a")) == "ACGTNNNNACGT"
            assert genome.text("a") == "acgtnRyKACGT"

    @LAW
    @given(start=st.integers(0, 332), width=st.integers(1, 400), strand=st.sampled_from("+-."))
    def test_fetch_against_slicing(self, genome: Genome, start: int, width: int, strand: str) -> None:
        expected = encode(padded_slice(RECORDS["chr2"], start, start + width))
        if strand == "-":
            expected = reverse_complement(expected)
        assert np.array_equal(genome.fetch(Interval("chr2", start, start + width, strand)), expected)

    def test_fetch_past_the_end(self, genome: Genome) -> None:
        with pytest.raises(
            SequenceError, match=r"chr2:333-340 begins beyond the end of chr2, 333 bp in g\.fa"
        ) as caught:
            genome.fetch(Interval("chr2", 333, 340))
        assert "genome build" in caught.value.hint

    def test_no_such_contig(self, genome: Genome) -> None:
        for ask in (genome.contig, genome.text, lambda name: genome.fetch(Interval(name, 0, 1))):
            with pytest.raises(SequenceError, match=r"g\.fa has no contig 'chr9'\nexpected: one of chr1, chr2, tiny"):
                ask("chr9")

    def test_a_character_that_is_no_base_is_named_with_its_record(self, tmp_path: Path) -> None:
        with (
            Genome(write_fasta(tmp_path / "g.fa", {"ok": "ACGT", "bad": "ACGTAC-T"})) as genome,
            pytest.raises(SequenceError, match=r"g\.fa, bad: '-' at position 7 is not a base"),
        ):
            genome.fetch(Interval("bad", 5, 8))


class TestBadFasta:
    @pytest.mark.parametrize(
        ("content", "found"),
        [
            (b"", "bad.fa is empty"),
            (b"ACGT\n", "bad.fa is not FASTA"),
            (b"chr1\t1\t5\n", "bad.fa is not FASTA"),
            (b"\0\1\2\3", "bad.fa is not FASTA"),
            (gzip.compress(b"", mtime=0), "bad.fa is empty|bad is empty"),
            (gzip.compress(b"ACGT\n", mtime=0), "is not FASTA"),
            (gzip.compress(random_dna(9_000).encode(), mtime=0)[:1_500], "bad.fa is truncated or damaged"),
            (b"\x1f\x8b", "bad.fa is truncated or damaged"),
        ],
    )
    def test_content(self, tmp_path: Path, content: bytes, found: str) -> None:
        path = tmp_path / "bad.fa"
        path.write_bytes(content)
        with pytest.raises(SequenceError, match=found) as caught:
            Genome(path)
        assert caught.value.expected
        assert listing(tmp_path) == ["bad.fa"]

    def test_missing_and_folder(self, tmp_path: Path) -> None:
        for path in (tmp_path / "none.fa", tmp_path):
            with pytest.raises(SequenceError, match="is not a file") as caught:
                Genome(path)
            assert str(path) in caught.value.found

    @pytest.mark.parametrize("bgzip", [True, False])
    def test_cut_off_anywhere(self, tmp_path: Path, bgzip: bool) -> None:
        records = random_genome({f"c{i}": 50_000 for i in range(3)})
        whole, path = tmp_path / "g.fa", tmp_path / "g.fa.gz"
        write_fasta(whole, records)
        if bgzip:
            pysam.tabix_compress(str(whole), str(path))
        else:
            path.write_bytes(gzip.compress(whole.read_bytes(), mtime=0))
        raw = path.read_bytes()
        # 28 bytes from the end lies the border of bgzip's last block, which is empty: nothing but it is missing.
        for size in (20, 40, len(raw) // 2, len(raw) - 28, len(raw) - 1):
            path.write_bytes(raw[:size])
            with pytest.raises(SequenceError, match=r"g\.fa\.gz is truncated or damaged") as caught:
                Genome(path)
            assert "download it again" in caught.value.hint

    @pytest.mark.parametrize("bgzip", [True, False])
    def test_a_flipped_byte(self, tmp_path: Path, bgzip: bool) -> None:
        whole, path = write_fasta(tmp_path / "g.fa", random_genome({"c": 100_000})), tmp_path / "g.fa.gz"
        if bgzip:
            pysam.tabix_compress(str(whole), str(path))
        else:
            path.write_bytes(gzip.compress(whole.read_bytes(), mtime=0))
        raw = bytearray(path.read_bytes())
        for at in (60, len(raw) // 2):
            flipped = raw.copy()
            flipped[at] ^= 0x55
            path.write_bytes(flipped)
            with pytest.raises(SequenceError, match=r"g\.fa\.gz is truncated or damaged"):
                Genome(path)


ROMAN = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII", "XIII", "XIV", "XV", "XVI", "Mito"]
HUMAN = [str(i) for i in range(1, 23)] + ["X", "Y", "MT"]


class TestMatchNames:
    def test_chr_or_none(self) -> None:
        assert match_names(["chr1", "chrX", "1"], HUMAN) == {"chr1": "1", "chrX": "X", "1": "1"}
        assert match_names(["1", "Chr2"], ["chr1", "chr2"]) == {"1": "chr1", "Chr2": "chr2"}

    def test_arabic_peaks_on_a_roman_genome(self) -> None:
        wanted = [f"chr{i}" for i in range(1, 17)]
        assert list(match_names(wanted, ROMAN).values()) == ROMAN[:16]
        assert match_names(["10", "chrX"], ROMAN) == {"10": "X", "chrX": "X"}
        assert match_names(["17"], ROMAN) == {}

    def test_roman_peaks_on_an_arabic_genome(self) -> None:
        have = [f"chr{i}" for i in range(1, 17)]
        assert match_names(["chrII", "chrIII", "chrX"], have) == {"chrII": "chr2", "chrIII": "chr3", "chrX": "chr10"}

    def test_x_of_a_human_genome_is_no_ten(self) -> None:
        assert match_names(["chrX", "chr10"], HUMAN) == {"chrX": "X", "chr10": "10"}
        assert match_names(["chrX", "chr2", "chr3"], [n for n in HUMAN if n != "X"]) == {"chr2": "2", "chr3": "3"}
        assert match_names(["chr10"], ["chrX", "chrY", "chr1"]) == {}

    def test_a_worm_on_a_numbered_genome_with_x_keeps_its_x(self) -> None:
        assert match_names(["II", "III", "X"], ["1", "2", "3", "X"]) == {"X": "X"}

    @pytest.mark.parametrize("wanted", ["chrM", "MT", "Mito", "chrmt", "M", "chrMT"])
    @pytest.mark.parametrize("have", ["Mito", "chrM", "MT", "chrMt"])
    def test_mitochondrion(self, wanted: str, have: str) -> None:
        assert match_names([wanted], ["I", "II", "III", have]) == {wanted: have}

    def test_alias_table_first_and_only_to_names_there_are(self) -> None:
        aliases = {"chr1": "NC_1", "chr2": "NC_9"}
        assert match_names(["chr1", "chr2"], ["NC_1", "1", "2"], aliases) == {"chr1": "NC_1", "chr2": "2"}

    def test_the_name_itself_before_all_else(self) -> None:
        assert match_names(["1", "chr1"], ["chr1", "1"]) == {"1": "1", "chr1": "chr1"}

    def test_zeros_before_a_number(self) -> None:
        padded = [f"chr{i:02}" for i in range(1, 13)]
        plain = [f"chr{i}" for i in range(1, 13)]
        assert match_names(padded, plain) == dict(zip(padded, plain, strict=True))
        assert match_names(plain, padded) == dict(zip(plain, padded, strict=True))
        assert match_names(["Chr01", "01", "CHR1", "chr001"], ["1", "2"]) == dict.fromkeys(
            ["Chr01", "01", "CHR1", "chr001"], "1"
        )
        assert list(match_names(padded, ROMAN).values()) == ROMAN[:12]
        assert match_names(["chrII", "chrIX"], padded) == {"chrII": "chr02", "chrIX": "chr09"}

    @pytest.mark.parametrize("name", ["Chromosome1", "chromosome_1", "chrom1", "Chr_1", "chr-1", "chr.1", "CHR01"])
    def test_other_words_for_chromosome(self, name: str) -> None:
        assert match_names([name], ["chr1", "chr10"]) == {name: "chr1"}
        assert match_names(["chr1"], [name, "chr10"]) == {"chr1": name}

    def test_case(self) -> None:
        have = ["chrX", "chr2L", "chrUn_gl000220"]
        assert match_names(["CHRx", "2l", "chrUn_GL000220"], have) == dict(
            zip(["CHRx", "2l", "chrUn_GL000220"], have, strict=True)
        )

    def test_a_name_that_fits_two_equally_well_has_none(self) -> None:
        have = ["chr1", "chr01"]
        assert match_names(["chr1", "chr01", "1", "Chr001"], have) == {"chr1": "chr1", "chr01": "chr01", "1": "chr1"}
        assert match_names(["Chr1"], ["chr1", "1"]) == {}

    def test_names_that_only_look_alike(self) -> None:
        assert match_names(["chr1_random", "chr10", "scaffold01", "chr100"], ["chr1", "scaffold1", "chr0"]) == {}

    def test_nothing_in_common(self) -> None:
        assert match_names(["NC_000001.11", "scaffold_1"], HUMAN) == {}
        assert match_names([], HUMAN) == {}

    @LAW
    @given(st.lists(st.sampled_from([*ROMAN, *HUMAN, "chrM", "chr1", "chrX", "chr"]), unique=True), st.booleans())
    def test_finds_only_names_there_are(self, wanted: list[str], roman: bool) -> None:
        have = ROMAN if roman else HUMAN
        found = match_names(wanted, have)
        assert set(found) <= set(wanted)
        assert set(found.values()) <= set(have)
        assert all(found[name] == name for name in set(wanted) & set(have))


def test_head() -> None:
    assert head(["a", "b"]) == "a, b"
    assert head(map(str, range(9)), 3) == "0, 1, 2, … (9 in total)"

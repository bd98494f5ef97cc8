"""Files for genome browsers hold the numbers at their places, and are complete or absent."""

from pathlib import Path

import numpy as np
import pyBigWig
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noncoder.config import PackConfig
from noncoder.data.table import pack_table
from noncoder.errors import InputError, UnknownNameError
from noncoder.interpret.browser import (
    GenomeSite,
    GenomeWindows,
    chromosome_sizes,
    covered,
    place_windows,
    write_bigwig,
    write_sites,
    write_stretches,
)
from tests.conftest import listing, small_store

SIZES = {"chr2": 50, "chr10": 40, "chr1": 30}


def windows(*places: tuple[str, int]) -> GenomeWindows:
    return GenomeWindows(
        np.array([chrom for chrom, _ in places]), np.array([start for _, start in places], dtype=np.int64)
    )


def read_back(path: Path) -> dict[str, list[float]]:
    with pyBigWig.open(str(path)) as file:
        assert dict(file.chroms()) == SIZES
        return {name: file.values(name, 0, size) for name, size in SIZES.items()}


class TestBigWig:
    @settings(deadline=None, max_examples=25)
    @given(
        st.lists(st.tuples(st.sampled_from(sorted(SIZES)), st.integers(-3, 25)), min_size=1, max_size=9),
        st.integers(0, 99),
    )
    def test_each_base_has_the_mean_of_the_windows_that_cover_it(
        self, tmp_path_factory: pytest.TempPathFactory, places: list[tuple[str, int]], seed: int
    ) -> None:
        rng = np.random.default_rng(seed)
        values = rng.normal(size=(len(places), 7)).astype(np.float32)
        values[rng.random(values.shape) < 0.1] = np.nan
        path = tmp_path_factory.mktemp("bw") / "a.bw"
        expected: dict[str, list[list[float]]] = {name: [[] for _ in range(size)] for name, size in SIZES.items()}
        for (chrom, start), row in zip(places, values, strict=True):
            for i, value in enumerate(row.tolist()):
                if 0 <= start + i < SIZES[chrom] and np.isfinite(value):
                    expected[chrom][start + i].append(value)
        if not any(any(of_base) for of_chrom in expected.values() for of_base in of_chrom):
            return
        write_bigwig(path, windows(*places), values, SIZES)
        for name, found in read_back(path).items():
            means = [np.mean(one) if one else np.nan for one in expected[name]]
            np.testing.assert_allclose(np.array(found), np.array(means), rtol=1e-5)

    def test_nothing_to_write_is_said_and_nothing_is_left(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no base"):
            write_bigwig(tmp_path / "a.bw", windows(("chr1", 0)), np.full((1, 7), np.nan), SIZES)
        with pytest.raises(InputError, match="no base"):
            write_bigwig(tmp_path / "a.bw", windows(), np.zeros((0, 7)), SIZES)
        assert listing(tmp_path) == []

    def test_a_failed_write_leaves_the_file_that_was_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(name: str, mode: str) -> object:
            Path(name).write_bytes(b"half")
            raise RuntimeError("no room")

        (tmp_path / "a.bw").write_bytes(b"before")
        monkeypatch.setattr(pyBigWig, "open", refuse)
        with pytest.raises(InputError, match="no room"):
            write_bigwig(tmp_path / "a.bw", windows(("chr1", 0)), np.ones((1, 7)), SIZES)
        assert listing(tmp_path) == ["a.bw"]
        assert (tmp_path / "a.bw").read_bytes() == b"before"

    def test_wrong_shapes_and_contigs_are_refused(self) -> None:
        with pytest.raises(InputError, match="2 windows"):
            covered(windows(("chr1", 0), ("chr1", 3)), np.ones((1, 7)), SIZES)
        with pytest.raises(UnknownNameError, match=r"did you mean 'chr1'"):
            covered(windows(("Chr1", 0)), np.ones((1, 7)), SIZES)

    def test_windows_that_touch_are_one_run(self) -> None:
        runs = covered(windows(("chr2", 10), ("chr2", 3), ("chr2", 20)), np.ones((3, 7)), SIZES)
        assert [(run.chrom, run.start, run.values.size) for run in runs] == [("chr2", 3, 14), ("chr2", 20, 7)]

    def test_runs_are_clipped_at_both_ends_of_their_contig(self) -> None:
        values = np.arange(14, dtype=float).reshape(2, 7)
        first, last = covered(windows(("chr1", -3), ("chr1", 26)), values, SIZES)
        assert (first.start, first.values.tolist()) == (0, [3, 4, 5, 6])
        assert (last.start, last.values.tolist()) == (26, [7, 8, 9, 10])
        assert covered(windows(("chr1", 30), ("chr1", -7)), values, SIZES) == []


class TestStretches:
    def test_are_where_the_magnitude_is_high_with_the_sign_of_the_sum(self, tmp_path: Path) -> None:
        values = np.zeros((2, 40))
        values[0, 10:15], values[1, 20:25], values[1, 30:35] = 2, -1, 0.1
        found = write_stretches(tmp_path / "a.bed", windows(("chr2", 5), ("chr10", 0)), values, SIZES)
        # Smoothing over 5 bp widens each run of 5 by as much as is over a fifth of the highest average.
        assert (tmp_path / "a.bed").read_text() == "chr10\t19\t26\tlowers\t500\t.\nchr2\t13\t22\traises\t1000\t.\n"
        assert found == 2

    def test_close_ones_are_one_and_clipped_at_the_contigs_end(self, tmp_path: Path) -> None:
        values = np.zeros((1, 30))
        values[0, [3, 4, 5, 9, 10, 11]] = 1
        write_stretches(tmp_path / "a.bed", windows(("chr1", -4)), values, SIZES)
        assert [line.split("\t")[:3] for line in (tmp_path / "a.bed").read_text().splitlines()] == [["chr1", "0", "10"]]

    @pytest.mark.parametrize(("apart", "joined"), [(9, True), (10, False)])
    def test_join_where_they_are_less_than_five_bases_apart(self, tmp_path: Path, apart: int, joined: bool) -> None:
        values = np.zeros((1, 40))
        values[0, [10, 10 + apart]] = 1  # smoothed, each is a stretch of 5: the gap is that of both less 5
        write_stretches(tmp_path / "a.bed", windows(("chr2", 0)), values, SIZES)
        found = [tuple(map(int, line.split("\t")[1:3])) for line in (tmp_path / "a.bed").read_text().splitlines()]
        assert found == ([(8, 13 + apart)] if joined else [(8, 13), (8 + apart, 13 + apart)])

    def test_of_nothing_are_none(self, tmp_path: Path) -> None:
        assert write_stretches(tmp_path / "a.bed", windows(("chr1", 0)), np.zeros((1, 9)), SIZES) == 0
        assert (tmp_path / "a.bed").read_text() == ""


class TestSites:
    def test_are_sorted_clipped_and_each_there_once(self, tmp_path: Path) -> None:
        sites = [
            GenomeSite("chr2", 45, 56, "a b", 4.0, "-"), GenomeSite("chr10", -3, 8, "x", 1.0, "+"),
            GenomeSite("chr10", -3, 8, "x", 2.0, "+"), GenomeSite("chr1", 30, 41, "outside", 9.0, "+"),
            GenomeSite("chr1", 2, 5, "low", -1.0, "+"),
        ]  # fmt: skip
        assert write_sites(tmp_path / "hits.bed", sites, SIZES) == 3
        assert (tmp_path / "hits.bed").read_text().splitlines() == [
            "chr1\t2\t5\tlow\t0\t+", "chr10\t0\t8\tx\t500\t+", "chr2\t45\t50\ta_b\t1000\t-",
        ]  # fmt: skip

    def test_without_a_positive_score_have_none(self, tmp_path: Path) -> None:
        write_sites(tmp_path / "hits.bed", [GenomeSite("chr1", 2, 5, "low", -1.0, "+")], SIZES)
        assert (tmp_path / "hits.bed").read_text() == "chr1\t2\t5\tlow\t0\t+\n"

    def test_on_an_unknown_contig_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UnknownNameError, match="contig"):
            write_sites(tmp_path / "hits.bed", [GenomeSite("chrX", 0, 5, "x", 1.0, "+")], SIZES)


class TestPlaces:
    def test_of_windows_are_those_of_the_store(self, tmp_path: Path) -> None:
        store = small_store(tmp_path / "a.zarr")
        names, offsets, lengths = store.contigs
        assert chromosome_sizes(store) == dict(zip(names, lengths, strict=True))
        placed = place_windows(store, store.indices())
        contig = [names.index(chrom) for chrom in placed.chrom]
        np.testing.assert_array_equal(placed.start + offsets[contig], store.start)

    def test_of_sequences_without_a_genome_there_are_none(self, tmp_path: Path) -> None:
        table = tmp_path / "t.csv"
        table.write_text("id,sequence,a\nr1,ACGTACGT,1\nr2,ACGTACGG,0\n")
        store = pack_table(PackConfig(table=table), tmp_path / "s.zarr")
        with pytest.raises(InputError, match="without genome coordinates"):
            chromosome_sizes(store)

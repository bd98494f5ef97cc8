from __future__ import annotations

import gzip
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import noncoder.data.peaks as peaks_module
from noncoder.config import BuildConfig
from noncoder.data.labels import positive_bins
from noncoder.data.peaks import build_store
from noncoder.data.store import Store
from noncoder.data.writer import StoreWriter
from noncoder.errors import InputError, NoncoderError, SequenceError
from noncoder.sequence.builds import chromosome_lengths
from noncoder.sequence.encoding import decode
from tests.conftest import LENGTHS, listing, padded_slice, random_dna, write_fasta, write_peaks

Files = dict[str, list[tuple[object, ...]]]

LAW = settings(deadline=None, max_examples=80)
PEAKS = st.lists(st.tuples(st.integers(0, 250), st.integers(1, 120), st.integers(0, 119)), max_size=8)
PLACES = st.tuples(st.sampled_from(list(LENGTHS)), st.integers(0, 1_500), st.integers(1, 199))
NARROW = "label no bin: they cover no more than 0.5 of any bin; --label summit uses only their summits"
RULES = ["overlap:0.5", "overlap:0", "overlap:0.29", "overlap:0.57", "overlap:0.999", "overlap:1e-3", "summit"]


def columns(peaks: list[tuple[int, int, int]]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    start, width, summit = np.array(peaks, dtype=np.int64).reshape(-1, 3).T
    return start, start + width, start + np.minimum(summit, width - 1)


def naive(peaks: list[tuple[int, int, int]], bin: int, n_bins: int, rule: str) -> list[int]:
    start, end, summit = (column.tolist() for column in columns(peaks))
    covered = {base for a, b in zip(start, end, strict=True) for base in range(a, b)}
    positive = []
    for number in range(n_bins):
        bases = range(number * bin, (number + 1) * bin)
        if rule == "summit":
            hit = any(one in bases for one in summit)
        else:
            hit = Fraction(len(covered.intersection(bases)), bin) > Fraction(rule.removeprefix("overlap:"))
        if hit:
            positive.append(number)
    return positive


class TestPositiveBins:
    @LAW
    @given(PEAKS, st.integers(1, 120), st.integers(0, 12), st.sampled_from(RULES))
    def test_against_every_base(self, peaks: list[tuple[int, int, int]], bin: int, n_bins: int, rule: str) -> None:
        assert positive_bins(*columns(peaks), bin, n_bins, rule).tolist() == naive(peaks, bin, n_bins, rule)

    @pytest.mark.parametrize(("width", "positive"), [(99, []), (100, []), (101, [1])])
    def test_strictly_more_than_half(self, width: int, positive: list[int]) -> None:
        assert positive_bins(*columns([(200, width, 0)]), 200, 9, "overlap:0.5").tolist() == positive

    @pytest.mark.parametrize("percent", range(100))
    def test_exactly_the_share_is_negative(self, percent: int) -> None:
        rule = f"overlap:{percent / 100}"
        if percent:
            assert positive_bins(*columns([(0, percent, 0)]), 100, 1, rule).tolist() == []
        assert positive_bins(*columns([(0, percent + 1, 0)]), 100, 1, rule).tolist() == [0]

    def test_a_base_counts_once_however_many_peaks_cover_it(self) -> None:
        assert positive_bins(*columns([(0, 60, 0), (0, 60, 0), (20, 40, 0)]), 200, 1, "overlap:0.5").tolist() == []
        assert positive_bins(*columns([(0, 60, 0), (140, 60, 0)]), 200, 1, "overlap:0.5").tolist() == [0]

    def test_a_wide_peak(self) -> None:
        assert positive_bins(*columns([(150, 700, 0)]), 200, 9, "overlap:0.5").tolist() == [1, 2, 3]


def build(folder: Path, fasta: Path, files: Files, **options: Any) -> Store:
    sources = folder / "peaks"
    sources.mkdir(exist_ok=True)
    for name, rows in files.items():
        write_peaks(sources / f"{name}.bed", rows)
    defaults: dict[str, Any] = {"window": 1000, "bin": 200, "keep": "all", "peaks": (str(sources / "*"),)}
    if "tasks" in options:
        del defaults["peaks"]
    config = BuildConfig(genome=fasta, **{**defaults, **options})
    return build_store(config, folder / "s.zarr")


def refused(folder: Path, fasta: Path, files: Files, **options: Any) -> NoncoderError:
    with pytest.raises(NoncoderError) as caught:
        build(folder, fasta, files, **options)
    assert "zarr" not in "".join(listing(folder))
    return caught.value


def kept(store: Store) -> list[tuple[str, int]]:
    names, starts = store.bins(store.indices())
    return list(zip(names.tolist(), starts.tolist(), strict=True))


def dropped(store: Store) -> dict[str, int]:
    return {f"{drop['what']}: {drop['why']}": drop["count"] for drop in store.info.dropped}


class TestBuildStore:
    def test_sequences_labels_and_provenance(
        self, tmp_path: Path, genome_fasta: Path, genome_text: dict[str, str]
    ) -> None:
        peaks: Files = {
            "a": [("chr1", 0, 101), ("chr1", 4_850, 5_050), ("chr2", 250, 300)],
            "b": [("chr1", 100, 700), ("chr2", 2_900, 3_000)],
        }
        store = build(tmp_path, genome_fasta, peaks, window=1000)
        store.check()
        assert kept(store) == [("chr1", i * 200) for i in range(25)] + [("chr2", i * 200) for i in range(15)]
        labels = store.read_labels(store.indices())
        assert np.flatnonzero(labels[:, 0]).tolist() == [0, 24]
        assert np.flatnonzero(labels[:, 1]).tolist() == [1, 2]
        for (name, at), codes in zip(kept(store), store.read_codes(store.indices()), strict=True):
            assert decode(codes) == padded_slice(genome_text[name], at - 400, at + 600)
        assert dropped(store) == {
            f"peaks: {NARROW}": 2,
            "contigs: have no peak: chr3": 1,
            "bins: are the last of a contig and narrower than a bin": 1,
        }
        assert (store.info.genome, store.info.label_rule) == ("tiny", "overlap:0.5")
        assert [source["name"] for source in store.info.sources] == ["tiny.fa", "a.bed", "b.bed"]
        assert store.n_bases == LENGTHS["chr1"] + LENGTHS["chr2"]
        assert listing(tmp_path) == ["peaks", "s.zarr"]

    def test_in_blocks(self, tmp_path: Path, genome_fasta: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        peaks: Files = {
            "a": [("chr1", i * 300, i * 300 + 170) for i in range(16)],
            "b": [("chr2", 5, 2_000), ("chr1", 900, 3_333)],
        }
        whole = build(tmp_path, genome_fasta, peaks, test=("chr1:1001-2000",))
        monkeypatch.setattr(peaks_module, "_BLOCK", 3)
        (tmp_path / "again").mkdir()
        blocks = build(tmp_path / "again", genome_fasta, peaks, test=("chr1:1001-2000",))
        assert np.array_equal(whole.packed_labels, blocks.packed_labels)
        assert np.array_equal(whole.split, blocks.split)
        assert kept(whole) == kept(blocks)

    @settings(deadline=None, max_examples=8)
    @given(
        st.lists(st.lists(PLACES, min_size=1, max_size=6), min_size=1, max_size=10),
        st.sampled_from(["overlap:0.5", "overlap:0", "summit"]),
        st.sampled_from([(5, 5), (21, 7), (300, 40), (4_000, 100)]),
    )  # fmt: skip
    def test_against_every_base(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        genome_fasta: Path,
        genome_text: dict[str, str],
        tasks: list[list[tuple[str, int, int]]],
        rule: str,
        widths: tuple[int, int],
    ) -> None:
        window, bin = widths
        rows: Files = {
            f"t{i:02}": [(chrom, start, start + width) for chrom, start, width in task] for i, task in enumerate(tasks)
        }
        folder, options = tmp_path_factory.mktemp("b"), {"label": rule, "window": window, "bin": bin}
        parts = [[(at, width, width // 2) for c, at, width in task if c == name] for task in tasks for name in LENGTHS]
        n_bins = [LENGTHS[name] // bin for _ in tasks for name in LENGTHS]
        if not any(naive(part, bin, n, rule) for part, n in zip(parts, n_bins, strict=True)):
            assert "no peak labels a bin" in refused(folder, genome_fasta, rows, **options).found
            return
        store = build(folder, genome_fasta, rows, **options)
        store.check()
        used = [name for name in LENGTHS if any(name == chrom for task in tasks for chrom, *_ in task)]
        assert kept(store) == [(name, i * bin) for name in used for i in range(LENGTHS[name] // bin)]
        labels = store.read_labels(store.indices())
        names = np.array([name for name, _ in kept(store)])
        for i, task in enumerate(tasks):
            for name in used:
                mine = [(start, width, width // 2) for chrom, start, width in task if chrom == name]
                expected = naive(mine, bin, LENGTHS[name] // bin, rule)
                assert np.flatnonzero(labels[names == name, i]).tolist() == expected
        for row in np.linspace(0, len(store) - 1, 5).astype(int):
            name, at = kept(store)[row]
            start = at - (window - bin) // 2
            assert decode(store.read_codes([row])[0]) == padded_slice(genome_text[name], start, start + window)

    @pytest.mark.parametrize("kind", ["plain gzip", "bgzip"])
    def test_a_packed_genome(self, tmp_path: Path, genome_fasta: Path, genome_text: dict[str, str], kind: str) -> None:
        packed = tmp_path / "tiny.fa.gz"
        if kind == "bgzip":
            pysam.tabix_compress(str(genome_fasta), str(packed))
        else:
            packed.write_bytes(gzip.compress(genome_fasta.read_bytes()))
        store = build(tmp_path, packed, {"a": [("chr3", 0, 200)]})
        assert store.info.genome == "tiny"
        assert decode(store.read_codes([4])[0]) == padded_slice(genome_text["chr3"], 400, 1_400)
        assert listing(tmp_path) == ["peaks", "s.zarr", "tiny.fa.gz"]

    def test_peaks_of_two_names_of_one_chromosome(self, tmp_path: Path, genome_fasta: Path) -> None:
        store = build(tmp_path, genome_fasta, {"a": [("chr1", 0, 60), ("1", 100, 160), ("chr1", 400, 600)]})
        assert np.flatnonzero(store.read_labels(store.indices())[:, 0]).tolist() == [0, 2]


def test_a_peak_that_ends_where_a_positive_bin_begins_labels_none(tmp_path: Path, genome_fasta: Path) -> None:
    # The first covers 40 of its bin's 100 bp and touches the bin of the second.
    store = build(tmp_path, genome_fasta, {"A": [("chr1", 160, 200), ("chr1", 200, 300)]}, bin=100, window=200)
    assert {drop["count"] for drop in store.info.dropped if "label no bin" in drop["why"]} == {1}


class TestKeep:
    SHEET = "path\tname\tgroup\nctcf.bed\tCTCF\tTF\nmark.bed\tH3K4me3\thistone\n"

    def sheet(self, folder: Path) -> Path:
        write_peaks(folder / "ctcf.bed", [("chr1", 250, 290), ("chr2", 100, 600)])
        write_peaks(folder / "mark.bed", [("chr1", 1_000, 1_600)])
        (folder / "tasks.tsv").write_text(self.SHEET)
        return folder / "tasks.tsv"

    @pytest.mark.parametrize(
        ("keep", "bins"),
        [
            ("labelled", [("chr1", 1_000), ("chr1", 1_200), ("chr1", 1_400), ("chr2", 200), ("chr2", 400)]),
            # DeepSEA's rule: one base of a peak of the group is enough.
            ("group:TF", [("chr1", 200), ("chr2", 0), ("chr2", 200), ("chr2", 400)]),
            ("group:histone", [("chr1", 1_000), ("chr1", 1_200), ("chr1", 1_400)]),
            ("all", [("chr1", i * 200) for i in range(25)] + [("chr2", i * 200) for i in range(15)]),
        ],
    )
    def test_rules(self, tmp_path: Path, genome_fasta: Path, keep: str, bins: list[tuple[str, int]]) -> None:
        store = build(tmp_path, genome_fasta, {}, tasks=self.sheet(tmp_path), keep=keep)
        assert kept(store) == bins
        assert [task.group for task in store.tasks] == ["TF", "histone"]
        n_all = 40
        assert dropped(store).get(f"bins: are not kept by --keep {keep}", 0) == n_all - len(bins)
        assert store.info.sources[-1]["name"] == "tasks.tsv"

    def test_bins_that_a_file_lists(self, tmp_path: Path, genome_fasta: Path) -> None:
        listed = write_peaks(tmp_path / "bins.bed", [("2", 600, 800), ("chr1", 0, 200), ("1", 1_000, 1_200)])
        store = build(tmp_path, genome_fasta, {}, tasks=self.sheet(tmp_path), keep=f"bed:{listed}")
        assert kept(store) == [("chr1", 0), ("chr1", 1_000), ("chr2", 600)]
        assert store.read_labels(store.indices()).tolist() == [[0, 0], [0, 1], [0, 0]]

    @pytest.mark.parametrize(
        ("rows", "found"),
        [([("chr1", 100, 300)], "chr1:100-300"), ([("chr1", 0, 400)], "chr1:0-400"), ([("x", 0, 200)], "x")],
    )
    def test_listed_bins_that_are_none(
        self, tmp_path: Path, genome_fasta: Path, rows: list[tuple[object, ...]], found: str
    ) -> None:
        listed = write_peaks(tmp_path / "bins.bed", rows)
        error = refused(tmp_path, genome_fasta, {}, tasks=self.sheet(tmp_path), keep=f"bed:{listed}")
        assert error.found.endswith(f"lists {found}")

    def test_listed_bins_that_the_genome_lacks(self, tmp_path: Path, genome_fasta: Path) -> None:
        rows = [("chr1", 0, 200), ("chr1", 10**9, 10**9 + 200), ("chrZ", 0, 200)]
        listed = write_peaks(tmp_path / "bins.bed", rows)
        error = refused(tmp_path, genome_fasta, {}, tasks=self.sheet(tmp_path), keep=f"bed:{listed}")
        assert "chr1:1000000000-1000000200 lies outside its chromosome" in error.found
        store = build(tmp_path, genome_fasta, {}, tasks=self.sheet(tmp_path), keep=f"bed:{listed}", outside="drop")
        assert kept(store) == [("chr1", 0)]
        assert dropped(store)["listed bins: extend beyond the end of their chromosome"] == 1
        assert dropped(store)["listed bins: on chrZ, which the genome lacks"] == 1

    def test_listed_bins_of_a_chromosome_without_peaks(self, tmp_path: Path, genome_fasta: Path) -> None:
        listed = write_peaks(tmp_path / "bins.bed", [("chr1", 200, 400), ("chr3", 0, 200), ("chr3", 400, 600)])
        options: dict[str, Any] = {"keep": f"bed:{listed}", "test": ("chr3",)}
        store = build(tmp_path, genome_fasta, {}, tasks=self.sheet(tmp_path), **options)
        assert kept(store) == [("chr1", 200), ("chr3", 0), ("chr3", 400)]
        assert store.indices("test").size == 2
        assert store.info.sources[-1]["name"] == "bins.bed"

    def test_a_group_that_is_none(self, tmp_path: Path, genome_fasta: Path) -> None:
        error = refused(tmp_path, genome_fasta, {}, tasks=self.sheet(tmp_path), keep="group:DNase")
        assert "no task is in the group 'DNase'" in error.found
        assert error.expected == "one of TF, histone"
        error = refused(tmp_path, genome_fasta, {"a": [("chr1", 0, 200)]}, keep="group:TF")
        assert "--tasks" in error.expected

    def test_a_group_without_enough_peaks(self, tmp_path: Path, genome_fasta: Path) -> None:
        sheet = self.sheet(tmp_path)
        write_peaks(tmp_path / "ctcf.bed", [("chr1", 250, 290)])
        error = refused(tmp_path, genome_fasta, {}, tasks=sheet, keep="group:TF", min_positives=1)
        assert "no task of the group 'TF' has the required 1 peaks" in error.found

    def test_an_empty_file_excludes_nothing_and_is_told(self, tmp_path: Path, genome_fasta: Path) -> None:
        empty = write_peaks(tmp_path / "x.bed", [])
        store = build(tmp_path, genome_fasta, {"a": [("chr1", 0, 1_000)]}, exclude=(empty,))
        assert "x.bed excludes nothing: it is empty" in store.info.notes

    def test_excluded_regions(self, tmp_path: Path, genome_fasta: Path) -> None:
        excluded = write_peaks(tmp_path / "black.bed", [("1", 399, 401), ("chr9", 0, 5), ("chr1", 4_999, 99_999)])
        store = build(tmp_path, genome_fasta, {"a": [("chr1", 0, 1_000)]}, exclude=(excluded,))
        assert [at for _, at in kept(store)] == [i * 200 for i in range(25) if i not in (1, 2, 24)]
        assert store.positives().tolist() == [3]
        assert dropped(store)["bins: overlap an excluded region"] == 3

    def test_a_minimum_counts_peaks_that_label_a_bin(self, tmp_path: Path, genome_fasta: Path) -> None:
        peaks: Files = {
            "none": [],
            "one": [("chr1", 0, 200), ("chr1", 400, 410)],
            "two": [("chr1", 0, 150), ("chr1", 20, 200)],
        }
        store = build(tmp_path, genome_fasta, peaks, min_positives=2)
        assert [task.name for task in store.tasks] == ["two"]
        assert dropped(store)["tasks: fewer than 2 peaks that label a bin: none, one"] == 2
        store = build_store(
            BuildConfig(genome=genome_fasta, peaks=(str(tmp_path / "peaks/*"),), min_positives=2, label="summit"),
            tmp_path / "summit.zarr",
        )
        assert [task.name for task in store.tasks] == ["one", "two"]


class TestLeftOut:
    """What finds no place is counted, and what a reader should know is noted."""

    def test_a_peak_before_its_chromosome(self, tmp_path: Path, genome_fasta: Path) -> None:
        peaks: Files = {"a": [("chr1", 0, 200), ("chr1", 900, 900)], "b": [("chr1", -20, 180), ("chr1", 400, 600)]}
        error = refused(tmp_path, genome_fasta, peaks)
        assert "b.bed: chr1:-20-180 starts before its chromosome" in error.found
        assert "--outside drop" in error.hint
        store = build(tmp_path, genome_fasta, peaks, outside="drop", keep="labelled")
        assert kept(store) == [("chr1", 0), ("chr1", 400)]
        assert dropped(store)["peaks: start before their chromosome"] == 1
        assert dropped(store)["peaks: end where they start (zero-length)"] == 1

    def test_nothing_but_such_rows(self, tmp_path: Path, genome_fasta: Path) -> None:
        error = refused(tmp_path, genome_fasta, {"a": [("chr1", 7, 7)], "b": [("chr1", 0, 200)]})
        assert "a.bed contains no peak: 1 rows end where they start" in error.found
        error = refused(tmp_path, genome_fasta, {"a": [("chr1", 7, 7)], "b": []}, min_positives=1)
        assert "none of the 2 peak files contains a peak: 1 end where they start" in error.found
        error = refused(tmp_path, genome_fasta, {"a": [("chr1", -7, 7)], "b": []}, min_positives=1, outside="drop")
        assert "none of the 2 peak files contains a peak: 1 start before their chromosome" in error.found

    def test_a_blacklist_is_cut_at_the_first_base(self, tmp_path: Path, genome_fasta: Path) -> None:
        excluded = write_peaks(tmp_path / "black.bed", [("chr1", -100, 201), ("chr2", 0, 0), ("chr1", 700, 700)])
        store = build(tmp_path, genome_fasta, {"a": [("chr1", 0, 1_000)]}, exclude=(excluded,))
        assert [at for _, at in kept(store)] == [i * 200 for i in range(2, 25)]
        assert dropped(store)["excluded regions: black.bed: end where they start (zero-length)"] == 2

    def test_peaks_that_label_no_bin(self, tmp_path: Path, genome_fasta: Path) -> None:
        excluded = write_peaks(tmp_path / "black.bed", [("chr1", 400, 600)])
        peaks: Files = {"a": [("chr1", 0, 200), ("chr1", 400, 600), ("chr1", 700, 701), ("chr1", 5_000, 5_050)]}
        store = build(tmp_path, genome_fasta, peaks, exclude=(excluded,))
        silent = {why: count for why, count in dropped(store).items() if "label no bin" in why}
        tail = "peaks: label no bin: they are after the last whole bin of their contig"
        inside = "peaks: label no bin: they are in bins that overlap an excluded region"
        assert silent == {f"peaks: {NARROW}": 1, inside: 1, tail: 1}
        (tmp_path / "again").mkdir()
        store = build(tmp_path / "again", genome_fasta, peaks, exclude=(excluded,), label="summit")
        assert {why: count for why, count in dropped(store).items() if "label no bin" in why} == {inside: 1, tail: 1}

    def test_too_few_that_label(self, tmp_path: Path, genome_fasta: Path) -> None:
        peaks: Files = {"a": [("chr1", 0, 200), ("chr1", 400, 401)]}
        assert "--label summit" in refused(tmp_path, genome_fasta, peaks, min_positives=2).hint

    def test_tasks_of_one_kind_of_window(self, tmp_path: Path, genome_fasta: Path) -> None:
        peaks: Files = {"a": [("chr1", 0, 200), ("chr2", 0, 200)], "b": [("chr1", 0, 10)], "c": [("chr1", 0, 200)]}
        store = build(tmp_path, genome_fasta, peaks, valid=("chr2",), keep="labelled")
        assert store.info.notes == (
            "no window is positive for b",
            "no window of the valid split is positive for c",
            "every window is positive for a; --keep all keeps windows without a peak too",
            "in the training split 1 task has no positive (b), 2 tasks have no negative (a, c): "
            "training refuses this; see train.one_class",
        )

    def test_how_the_files_were_read(self, tmp_path: Path, genome_fasta: Path) -> None:
        narrow = ("n", 0, ".", 5.1, 3, 2)
        peaks: Files = {
            "a": [("chr1", 0, 400, *narrow, 350), ("chr1", 1_000, 1_400, *narrow, 999), ("chr1", 0, 99, *narrow, 0)],
            "b": [("chr1", 0, 400, "n", 0, "+", "gene", "x", "y", 3)],
            "c": [("chr", "start", "end", "length", "abs_summit"), ("chr1", 1, 400, 400, 301)],
        }
        store = build(tmp_path, genome_fasta, peaks, label="summit")
        assert store.info.notes[:3] == (
            "read as tables with 1-based starts: c.bed",
            "summits: column 10 in 1 of 3 files, the midpoint in 1 of 3 files, the column abs_summit in 1 of 3 files",
            "midpoints used instead of summits: b.bed (columns 7 to 10 are not all numbers)",
        )
        outside = "summits: no number, or outside of their peak; the midpoint is used"
        assert dropped(store)[outside] == 1
        bins = [np.flatnonzero(column).tolist() for column in store.read_labels(store.indices()).T]
        assert bins == [[0, 1, 6], [1], [1]]

    def test_zero_padded_names(self, tmp_path: Path, genome_fasta: Path) -> None:
        store = build(tmp_path, genome_fasta, {"a": [("chr01", 0, 200), ("Chr02", 0, 200)]}, keep="labelled")
        assert kept(store) == [("chr1", 0), ("chr2", 0)]


class TestSplit:
    def test_lists_with_blanks(self, tmp_path: Path, genome_fasta: Path) -> None:
        peaks: Files = {"a": [(name, 0, 200) for name in LENGTHS]}
        store = build(tmp_path, genome_fasta, peaks, valid=("chr2 , chr3:1-1,000 ",))
        assert np.unique(np.array(kept(store))[store.indices("valid"), 0]).tolist() == ["chr2", "chr3"]
        for i, names in enumerate(("chr2 chr3", "chr2;chr3", "chr2|chr3")):
            (tmp_path / str(i)).mkdir()
            error = refused(tmp_path / str(i), genome_fasta, peaks, test=(names,))
            assert error.hint == "separate chromosomes by commas"

    def test_by_chromosome_under_another_name(self, tmp_path: Path, genome_fasta: Path) -> None:
        peaks: Files = {"a": [(name, 0, 200) for name in LENGTHS]}
        store = build(tmp_path, genome_fasta, peaks, valid=("2",), test=("chr3",))
        names = np.array([name for name, _ in kept(store)])
        assert {s: set(names[store.indices(s)]) for s in ("train", "valid", "test")} == {
            "train": {"chr1"}, "valid": {"chr2"}, "test": {"chr3"},
        }  # fmt: skip

    def test_by_region_of_the_middle_base(self, tmp_path: Path, genome_fasta: Path) -> None:
        # Bases 0-based: 301 to 600 and 600 to 1,300; the middles of bins are 100, 300, 500, …
        store = build(
            tmp_path, genome_fasta, {"a": [("chr1", 0, 200)]}, valid=("chr1:302-600",), test=("1:601-1,301", "chr2")
        )
        assert [at for _, at in np.array(kept(store), dtype=object)[store.indices("valid")]] == [400]
        assert [at for _, at in np.array(kept(store), dtype=object)[store.indices("test")]] == [600, 800, 1_000, 1_200]

    @pytest.mark.parametrize(
        ("text", "kind", "told"),
        [
            ("chr7", InputError, "the valid split names 'chr7'"),
            ("chr7:1-5", InputError, "the valid split names 'chr7'"),
            ("chr1:x-y", SequenceError, "'chr1:x-y' is not a region"),
            ("chr1:9-2", SequenceError, "ends before it starts"),
            ("chr1:90,001-90,200", InputError, "beyond the end of"),
            ("chr1:1-2", InputError, "the valid split is empty"),
        ],
    )
    def test_refused(self, tmp_path: Path, genome_fasta: Path, text: str, kind: type[NoncoderError], told: str) -> None:
        error = refused(tmp_path, genome_fasta, {"a": [("chr1", 0, 200)]}, valid=(text,))
        assert type(error) is kind
        assert told in error.found
        assert error.expected


class TestBadInput:
    def test_a_region_in_both_splits(self, tmp_path: Path, genome_fasta: Path) -> None:
        error = refused(
            tmp_path, genome_fasta, {"a": [("chr1", 0, 200)]}, valid=("chr1:302-901",), test=("1:701-1,301",)
        )
        assert "both in the valid and the test split" in error.found

    def test_an_exclusion_of_nothing(self, tmp_path: Path, genome_fasta: Path) -> None:
        away = write_peaks(tmp_path / "away.bed", [("chrMars", 5, 9)])
        error = refused(tmp_path, genome_fasta, {"a": [("chr1", 0, 200)]}, exclude=(away,))
        assert "away.bed excludes nothing: it names chrMars" in error.found

    def test_an_alias_for_no_contig(self, tmp_path: Path, genome_fasta: Path) -> None:
        (tmp_path / "aliases.tsv").write_text("chr1\tNC_01\n")
        error = refused(tmp_path, genome_fasta, {"a": [("chr1", 0, 200)]}, aliases=tmp_path / "aliases.tsv")
        assert "gives 'NC_01' for 'chr1'" in error.found

    def test_no_chromosome_in_common(self, tmp_path: Path, genome_fasta: Path) -> None:
        error = refused(tmp_path, genome_fasta, {"a": [("NC_01", 0, 9), ("NC_02", 0, 9)]})
        assert type(error) is InputError
        assert "the peaks have NC_01, NC_02" in error.found
        assert "tiny.fa" in error.found
        assert "the genome has chr1, chr2, chr3" in error.found
        assert "--aliases" in error.hint

    def test_aliases_mend_it(self, tmp_path: Path, genome_fasta: Path) -> None:
        (tmp_path / "aliases.tsv").write_text("NC_01\tchr3\n")
        peaks: Files = {"a": [("NC_01", 0, 200), ("NC_02", 0, 9)]}
        store = build(tmp_path, genome_fasta, peaks, aliases=tmp_path / "aliases.tsv")
        assert {name for name, _ in kept(store)} == {"chr3"}
        assert dropped(store)["peaks: on NC_02, which the genome lacks"] == 1

    def test_a_roman_genome(self, tmp_path: Path) -> None:
        fasta = write_fasta(tmp_path / "y.fa", {name: random_dna(600) for name in ("I", "II", "III", "X", "Mito")})
        peaks: Files = {"a": [("chr10", 0, 200), ("chr2", 0, 200), ("chrM", 0, 200)]}
        assert {name for name, _ in kept(build(tmp_path, fasta, peaks))} == {"II", "X", "Mito"}

    def test_a_peak_outside_its_chromosome(self, tmp_path: Path, genome_fasta: Path) -> None:
        peaks: Files = {"a": [("3", 0, 200), ("3", 1_600, 1_701), ("chr2", 5_000, 5_001)]}
        error = refused(tmp_path, genome_fasta, peaks)
        assert "a.bed: the peak 3:1600-1701 lies outside its chromosome; chr3 has 1,700 bp in tiny.fa" in error.found
        assert "--outside drop" in error.hint
        store = build(tmp_path, genome_fasta, peaks, outside="drop")
        assert {name for name, _ in kept(store)} == {"chr3"}
        assert dropped(store)["peaks: extend beyond the end of their chromosome"] == 2

    def test_another_build_is_named(self, tmp_path: Path) -> None:
        fasta = write_fasta(tmp_path / "mouse.fa", {"chrY": "N" * chromosome_lengths("mm9")["Y"]})
        error = refused(tmp_path, fasta, {"a": [("chrY", 15_902_000, 15_902_600), ("chrY", 91_744_000, 91_744_500)]})
        assert error.expected.endswith("(the genome is mm9; the peaks of this file would fit mm10)")

    def test_every_peak_outside(self, tmp_path: Path, genome_fasta: Path) -> None:
        for minimum in (0, 1):
            peaks: Files = {"a": [("chr3", 1_700, 1_701)]}
            error = refused(tmp_path, genome_fasta, peaks, outside="drop", min_positives=minimum)
            assert "no peak is left: 1 extend beyond the end of their chromosome in tiny.fa" in error.found
            assert "the same build" in error.hint

    def test_an_empty_file(self, tmp_path: Path, genome_fasta: Path) -> None:
        peaks: Files = {"a": [("chr1", 0, 200)], "empty": []}
        error = refused(tmp_path, genome_fasta, peaks)
        assert "empty.bed is empty" in error.found
        assert "--min-positives 1" in error.hint
        store = build(tmp_path, genome_fasta, peaks, min_positives=1)
        assert [task.name for task in store.tasks] == ["a"]
        assert dropped(store)["tasks: fewer than 1 peaks that label a bin: empty"] == 1

    def test_all_files_empty(self, tmp_path: Path, genome_fasta: Path) -> None:
        error = refused(tmp_path, genome_fasta, {"a": [], "b": []}, min_positives=1)
        assert "none of the 2 peak files contains a peak" in error.found

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            (b"chr1\t9\t3\n", "bad.bed, line 1: 'chr1\\t9\\t3' ends before it starts"),
            (b"\0\1\2", "bad.bed is binary"),
            (gzip.compress(b"chr1\t1\t5\n" * 999, mtime=0)[:-5], "bad.bed is truncated or damaged"),
        ],
    )
    def test_a_bad_file_among_good_ones(self, tmp_path: Path, genome_fasta: Path, content: bytes, told: str) -> None:
        (tmp_path / "peaks").mkdir()
        (tmp_path / "peaks/bad.bed").write_bytes(content)
        error = refused(tmp_path, genome_fasta, {"a": [("chr1", 0, 200)]})
        assert told in error.found

    def test_a_task_named_twice(self, tmp_path: Path, genome_fasta: Path) -> None:
        write_peaks(tmp_path / "a.narrowPeak", [("chr1", 0, 200)])
        patterns = (str(tmp_path / "peaks/*"), str(tmp_path / "a.narrowPeak"))
        error = refused(tmp_path, genome_fasta, {"a": [("chr1", 0, 200)]}, peaks=patterns)
        assert "the task 'a' is named twice" in error.found

    def test_a_sheet_that_names_a_missing_file(self, tmp_path: Path, genome_fasta: Path) -> None:
        (tmp_path / "tasks.tsv").write_text("path\tname\nnone.bed\tx\n")
        error = refused(tmp_path, genome_fasta, {}, tasks=tmp_path / "tasks.tsv")
        assert "none.bed cannot be read: No such file" in error.found

    def test_too_many_asked_for(self, tmp_path: Path, genome_fasta: Path) -> None:
        error = refused(tmp_path, genome_fasta, {"a": [("chr1", 0, 200)]}, min_positives=5)
        assert "no task has 5 peaks that label a bin; the most is 1" in error.found
        assert "lower --min-positives" in error.hint

    def test_nothing_labelled(self, tmp_path: Path, genome_fasta: Path) -> None:
        error = refused(tmp_path, genome_fasta, {"a": [("chr1", 0, 5)]}, keep="labelled")
        assert error.found == "no peak labels a bin: 1 cover no more than 0.5 of any bin"
        assert "--label summit" in error.hint

    def test_a_genome_with_a_wrong_letter(self, tmp_path: Path) -> None:
        fasta = write_fasta(tmp_path / "g.fa", {"chr1": "ACGT" * 100 + "*" + "ACGT" * 100})
        error = refused(tmp_path, fasta, {"a": [("chr1", 0, 200)]})
        assert type(error) is SequenceError
        assert "g.fa, chr1: '*' at position 401 is not a base" in error.found

    def test_an_interrupt_leaves_nothing(
        self, tmp_path: Path, genome_fasta: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(StoreWriter, "add_windows", interrupt)
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path, genome_fasta, {"a": [("chr1", 0, 200)]})
        assert listing(tmp_path) == ["peaks"]

    def test_a_store_that_is_there(self, tmp_path: Path, genome_fasta: Path) -> None:
        build(tmp_path, genome_fasta, {"a": [("chr1", 0, 200)]})
        with pytest.raises(InputError, match="already exists"):
            build(tmp_path, genome_fasta, {"a": [("chr1", 0, 200)]})

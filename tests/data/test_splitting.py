"""Splits by homology: nothing shared, everything kept or counted, the fractions met."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from noncoder.config import BuildConfig, validate
from noncoder.data.explore import explore
from noncoder.data.peaks import build_store
from noncoder.data.similarity import near_duplicates
from noncoder.data.splitting import DROPPED, deal, split_by_homology, split_of_bins
from noncoder.data.store import Store
from noncoder.errors import ConfigError, InputError
from noncoder.sequence.genome import Interval
from tests.conftest import write_fasta, write_peaks
from tests.data.genomes import Sample, make_codes


def config(**given: Any) -> BuildConfig:
    return BuildConfig(genome=Path("g.fa"), peaks=("p.bed",), split="homology", **given)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), window=st.sampled_from([100, 251]), copies=st.integers(0, 8))
def test_nothing_is_shared_and_nothing_lost(seed: int, window: int, copies: int) -> None:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2_000, 8_000, 4)
    contigs = (np.append(0, np.cumsum(lengths))[:-1], lengths)
    codes = make_codes(rng, lengths, copies)
    start = rng.integers(-(window // 2), codes.size - window // 2, 500)
    sample = Sample(codes, *contigs, start, window, 999, seed)
    rule = config(window=window, bin=window, split_block=2 * window, seed=seed, valid_fraction=0.3, test_fraction=0.2)
    try:
        found = split_by_homology(sample.blocks, sample.start, sample.window, contigs, rule)
    except InputError:
        assume(False)
    kept = found.split != DROPPED
    assert set(found.split[kept].tolist()) == {0, 1, 2}
    # Only what reaches over a cut is dropped, a few windows a cut.
    assert kept.mean() > 0.5
    ends = np.array([sample.ends(i) for i in range(sample.start.size)])
    left = Sample(sample.codes, *contigs, sample.start[kept], sample.window, sample.block, 0)
    pairs = near_duplicates(left.blocks, left.layout, found.split[kept])
    assert pairs.window.size == 0
    for i in np.flatnonzero(kept):
        near = kept & (ends[:, 0] < ends[i, 1]) & (ends[i, 0] < ends[:, 1])
        assert set(found.split[near].tolist()) == {found.split[i]}
    before = near_duplicates(sample.blocks, sample.layout, found.unit)
    assert (found.component[found.unit[before.window]] == found.component[found.unit[before.other]]).all()
    again = split_by_homology(sample.blocks, sample.start, sample.window, contigs, rule)
    assert again.split.tolist() == found.split.tolist()


def test_drops_what_reaches_over_a_cut_between_splits_and_nothing_else() -> None:
    codes = np.random.default_rng(0).integers(0, 4, 10_050).astype(np.uint8)
    start = np.arange(0, 10_000, 50)
    rule = config(window=100, bin=100, split_block=1005, valid_fraction=0.3, test_fraction=0.3)
    found = split_by_homology(lambda: [codes], start, 100, (np.array([0]), np.array([10_050])), rule)
    assert found.component.size == found.component.max() + 1 == 10
    # The middles of windows lie at multiples of 50, the cuts at those of 1,005.
    of_unit = [int(found.split[(found.unit == unit) & (found.split != DROPPED)][0]) for unit in range(10)]
    dropped = [
        at for at in start.tolist()
        if of_unit[at // 1005] != of_unit[min((at + 99) // 1005, 9)]
    ]  # fmt: skip
    assert start[found.split == DROPPED].tolist() == dropped
    assert len(dropped) == 2 * int(np.count_nonzero(np.diff(of_unit))) > 0


@given(
    st.lists(st.integers(1, 1000), min_size=1, max_size=60),
    st.sampled_from([(0.8, 0.1, 0.1), (0.5, 0, 0.5), (1, 0, 0)]),
    st.integers(0, 9),
)  # fmt: skip
def test_deals_each_split_its_share_within_one_component(
    sizes: list[int], shares: tuple[float, ...], seed: int
) -> None:
    dealt = deal(np.array(sizes), shares, seed)
    got = np.bincount(dealt, weights=sizes, minlength=3)
    assert (np.abs(got - np.array(shares) * sum(sizes)) <= max(sizes) * 2).all()
    assert all(got[i] == 0 for i, share in enumerate(shares) if share == 0)


def test_small_components_are_dealt_at_random_and_exactly() -> None:
    sizes = np.full(1000, 10)
    first, second = (deal(sizes, (0.8, 0.1, 0.1), seed) for seed in (0, 1))
    assert np.bincount(first).tolist() == [800, 100, 100]
    assert (first != second).any()
    # Not the first for training and the rest for the others.
    assert 20 < np.bincount(first[:500])[2] < 80


def test_a_bin_is_in_the_split_that_holds_its_middle_base() -> None:
    # Bins of 10 bp, whose middle bases are 5, 15, 25 and 35.
    def split(first: int, end: int) -> list[int]:
        return [int(one) for one in split_of_bins(4, 10, [(1, Interval("chr1", first, end))])]

    assert split(10, 20) == [0, 1, 0, 0]
    assert split(15, 26) == [0, 1, 1, 0]  # the first and one past the last base: the middles of both are in it
    assert split(16, 25) == [0, 0, 0, 0]  # neither middle is, though bases of both are
    assert split(0, 6) == [1, 0, 0, 0]
    assert split(0, 5) == [0, 0, 0, 0]


def build(folder: Path, **options: Any) -> Store:
    """A store of a genome of 60 kb with repeats, every bin kept."""
    rng = np.random.default_rng(3)
    lengths = np.array([30_000, 20_000, 10_000])
    codes = make_codes(rng, lengths, 25)
    parts = np.split(codes, np.cumsum(lengths)[:-1])
    fasta = write_fasta(folder / "g.fa", {f"chr{i}": "".join("ACGTN"[c] for c in part) for i, part in enumerate(parts)})
    write_peaks(folder / "a.bed", [(f"chr{i}", at, at + 200) for i in range(3) for at in range(400, 9_000, 800)])
    given = {
        "genome": str(fasta),
        "peaks": [str(folder / "a.bed")],
        "keep": "all",
        "window": 500,
        "bin": 100,
        **options,
    }
    return build_store(validate(BuildConfig, given, origin="the test"), folder / "s.zarr", force=True)


class TestBuild:
    def test_explore_finds_nothing_shared(self, tmp_path: Path) -> None:
        before = explore(build(tmp_path, valid=["chr1"], test=["chr2"]))["leakage"]["splits"]
        store = build(tmp_path, split="homology", split_block=1_000)
        after = explore(store)["leakage"]["splits"]
        assert all(row["near_duplicates"] > 0 for row in before.values())
        assert all(row["any"] == 0 and row["windows"] > 0 for row in after.values())
        (cut,) = (drop for drop in store.info.dropped if "another split" in drop["why"])
        assert cut["count"] == 600 - len(store)
        assert store.info.split_rule.startswith("homology: ")
        assert "seed 0" in store.info.split_rule

    def test_fractions_and_seed(self, tmp_path: Path) -> None:
        one = build(tmp_path, split="homology", split_block=1_000, valid_fraction=0, test_fraction=0.25)
        counts = np.bincount(one.split, minlength=3) / len(one)
        assert counts[1] == 0
        assert counts[2] == pytest.approx(0.25, abs=0.05)
        other = build(tmp_path, split="homology", split_block=1_000, valid_fraction=0, test_fraction=0.25, seed=1)
        assert other.digest != one.digest

    def test_regions_are_told(self, tmp_path: Path) -> None:
        assert build(tmp_path, valid=["chr1"], test=["chr2:1-500"]).info.split_rule == (
            "regions: valid chr1; test chr2:1-500"
        )
        assert build(tmp_path).info.split_rule == ""

    def test_one_component_cannot_be_split(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="split is empty: of 3 units"):
            build(tmp_path, split="homology", split_block=50_000, valid_fraction=0.01, test_fraction=0.01)
        assert not (tmp_path / "s.zarr").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"split": "homology", "valid": ["chr1"]}, "leave out valid and test"),
        ({"split": "homology", "split_block": 100}, "at least as wide as the window"),
        ({"valid_fraction": 0.5, "test_fraction": 0.5}, "something for training"),
        ({"split": "random"}, "split"),
    ],
)
def test_settings_that_do_not_go_together(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        build(tmp_path, **options)

"""Regions against windows that are read one by one."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from noncoder.data.loading import EpochDraws, Share, reverse_strand
from noncoder.data.regions import RegionBatches, lay_regions
from noncoder.data.store import Store
from noncoder.errors import InputError
from noncoder.sequence.encoding import N_CODE, decode
from tests.conftest import make_store, padded_slice, random_genome

LAW = settings(deadline=None, max_examples=30)
GENOME = random_genome({"a": 400, "b": 90, "c": 230}, letters="ACGTN")
BIN, WINDOW, TASKS = 10, 30, 11


def neighbours(path: Path, seed: int, share: float, with_known: bool) -> Store:
    """Windows that begin every 10 bp from -10 on, some left out, and a few at other places or twice."""
    rng = np.random.default_rng(seed)
    places = [(name, start) for name, text in GENOME.items() for start in range(-10, len(text) - 15, BIN)]
    places = [place for place in places if rng.random() < share]
    odd = [("a", int(start)) for start in rng.integers(0, 350, 3)]
    places = sorted([*places, *odd, *places[:2]])
    n = len(places)
    labels = rng.integers(0, 2, (n, TASKS), dtype=np.uint8)
    known = rng.integers(0, 2, (n, TASKS), dtype=np.uint8) if with_known else None
    return make_store(path, GENOME, places, labels, window=WINDOW, bin=BIN, known=known,
                      split=rng.integers(0, 2, n, dtype=np.uint8))  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return neighbours(tmp_path_factory.mktemp("regions") / "s.zarr", 0, 0.9, True)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """All bins have a window with known labels, and regions of 5 bins are full."""
    places = [("a", start) for start in range(0, 250, BIN)]
    labels = np.random.default_rng(0).integers(0, 2, (25, TASKS), dtype=np.uint8)
    return make_store(tmp_path_factory.mktemp("regions") / "f.zarr", GENOME, places, labels, window=WINDOW, bin=BIN)


class TestLaying:
    @LAW
    @given(st.integers(0, 5), st.floats(0.7, 1), st.integers(1, 6), st.sampled_from(["train", "valid"]))
    def test_every_window_lies_in_one_bin_at_its_place(
        self, tmp_path_factory: pytest.TempPathFactory, seed: int, share: float, bins: int, split: str
    ) -> None:
        store = neighbours(tmp_path_factory.mktemp("law") / "s.zarr", seed, share, False)
        indices = store.indices(split)
        regions = lay_regions(store, indices, bins)
        assert sorted(regions.windows[regions.windows >= 0]) == sorted(indices)
        assert regions.counts.sum() == indices.size
        assert (regions.windows[:, 0] >= 0).all()
        place = regions.row[:, None] + np.arange(bins) * BIN
        held = regions.windows >= 0
        assert np.array_equal(store.layout.row[regions.windows[held]], place[held])

    def test_regions_follow_each_other_where_no_window_is_missing(self, full: Store) -> None:
        regions = lay_regions(full, full.indices(), 5)
        assert regions.windows.tolist() == np.arange(25).reshape(5, 5).tolist()

    def test_windows_that_lie_apart_are_refused(self, tmp_path: Path) -> None:
        sparse = make_store(tmp_path / "s.zarr", GENOME, [("a", 0), ("a", 200), ("c", 0)], np.eye(3, dtype=np.uint8))
        with pytest.raises(InputError, match="only 12% of the bins in regions of 8 bins have a window"):
            lay_regions(sparse, sparse.indices(), 8)


class TestReading:
    @LAW
    @given(st.integers(0, 2**31), st.integers(1, 7), st.integers(0, 40))
    def test_bases_and_labels_are_those_of_the_genome(self, store: Store, seed: int, bins: int, shift: int) -> None:
        draws = EpochDraws(seed, shuffle=True, random_strand=True, shift=shift)
        batches = RegionBatches(store, store.indices("train"), bins, 3 * bins, draws)
        drawn = batches.draw(0)
        names, offsets, _ = store.contigs
        known_labels, labels = store.read_known(store.indices()), store.read_labels(store.indices())
        assert known_labels is not None
        at = 0
        for batch in batches:
            assert batch.known is not None
            for codes, of_bins, known in zip(batch.codes, batch.labels, batch.known, strict=True):
                region = drawn.order[at]
                first = batches.regions.windows[region, 0]
                contig = int(np.searchsorted(offsets, store.start[first] + WINDOW // 2, side="right")) - 1
                start = int(store.start[first] - offsets[contig]) + int(drawn.shift[at])
                expected = padded_slice(GENOME[names[contig]], start, start + batches.length)
                if drawn.reverse[at]:
                    codes, of_bins, known = reverse_strand(codes[None])[0], of_bins.flip(0), known.flip(0)
                assert decode(codes.numpy()) == expected
                for i, window in enumerate(batches.regions.windows[region]):
                    assert np.array_equal(known[i].numpy(), known_labels[window] & (window >= 0))
                    if window >= 0:
                        assert np.array_equal(of_bins[i].numpy(), labels[window])
                at += 1
        assert at == len(batches.regions)

    def test_a_window_of_a_region_is_the_window(self, full: Store) -> None:
        batch = next(iter(RegionBatches(full, full.indices(), 5, 25)))
        assert batch.known is None
        windows = batch.codes.unfold(1, WINDOW, BIN).flatten(0, 1)
        codes, labels = full.read(full.indices())
        assert np.array_equal(windows.numpy(), codes)
        assert np.array_equal(batch.labels.flatten(0, 1).numpy(), labels)

    def test_inputs_have_a_row_per_bin(self, full: Store) -> None:
        batches = RegionBatches(full, full.indices(), 5, 10, EpochDraws(3, shuffle=True, mix=0.5))
        for batch in batches:
            x, labels, known = batch.inputs()
            assert x.shape[1:] == (4, batches.length)
            assert labels.shape == (5 * len(x), TASKS)
            assert known is None
            assert batch.mixed is not None
            share = batch.mixed.share.repeat_interleave(5)[:, None]
            expected = share * batch.labels.flatten(0, 1) + (1 - share) * batch.mixed.labels.flatten(0, 1)
            torch.testing.assert_close(labels, expected)


class TestEpochs:
    def test_each_epoch_reads_each_window_once(self, store: Store) -> None:
        indices = store.indices("train")
        batches = RegionBatches(store, indices, 4, 12, EpochDraws(1, shuffle=True))
        orders = []
        for epoch in range(2):
            read = list(batches)
            assert len(read) == len(batches)
            assert sum(batch.whole for batch in read) == indices.size
            assert [batch.full for batch in read[:-1]] == [True] * (len(read) - 1)
            windows = [batches.windows_of(epoch, i).tolist() for i in range(len(batches))]
            assert sorted(chain(*windows)) == indices.tolist()
            orders.append(windows)
        assert orders[0] != orders[1]

    def test_going_on_gives_the_same_batches(self, store: Store) -> None:
        def made() -> RegionBatches:
            return RegionBatches(store, store.indices("train"), 4, 8, EpochDraws(2, True, True, 3))

        whole, first = list(made()), made()
        reading = iter(first)
        for _ in range(3):
            next(reading)
        resumed = made()
        resumed.load_state_dict(first.state_dict())
        rest = list(resumed)
        assert len(rest) == len(whole) - 3
        for one, other in zip(whole[3:], rest, strict=True):
            assert torch.equal(one.codes, other.codes)
            assert torch.equal(one.labels, other.labels)

    def test_processes_divide_the_regions(self, store: Store) -> None:
        indices = store.indices("train")
        alone = list(RegionBatches(store, indices, 4, 20, EpochDraws(2, True, True, 3)))
        shares = [list(RegionBatches(store, indices, 4, 20, EpochDraws(2, True, True, 3), Share(r, 2))) for r in (0, 1)]
        for batch, *parts in zip(alone, *shares, strict=True):
            real = [part for part in parts if not part.stands_in]
            assert torch.equal(torch.cat([part.codes for part in real]), batch.codes)
            assert torch.equal(torch.cat([part.labels for part in real]), batch.labels)
            assert all(part.whole == batch.whole for part in parts)

    def test_a_change_sees_whole_regions(self, store: Store) -> None:
        seen: list[tuple[int, ...]] = []

        def change(codes: torch.Tensor, keys: torch.Tensor, epochs: float) -> torch.Tensor:
            seen.append(tuple(codes.shape))
            return torch.full_like(codes, N_CODE)

        batches = RegionBatches(store, store.indices("train"), 4, 8, EpochDraws(0), change=change)
        assert all((batch.codes == N_CODE).all() for batch in batches)
        assert {shape[1] for shape in seen} == {batches.length}

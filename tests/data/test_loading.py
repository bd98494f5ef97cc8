from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from torch import Tensor

from noncoder.data.loading import Batch, Batches, DeviceWindows, EpochDraws, Share, one_hot, reverse_strand
from noncoder.data.store import Store
from noncoder.errors import InputError
from noncoder.sequence.encoding import N_CODE, decode, encode, reverse_complement
from noncoder.sequence.encoding import one_hot as one_hot_numpy
from tests.conftest import make_store, padded_slice, random_dna, small_store

LAW = settings(deadline=None, max_examples=25)
CODES = arrays(np.uint8, (3, 9), elements=st.integers(0, 4))
STARTS = (-7, 0, 3, 55, 88)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return small_store(tmp_path_factory.mktemp("loading") / "s.zarr")


@pytest.fixture(scope="module")
def text() -> str:
    return random_dna(100)


@pytest.fixture(scope="module")
def one_contig(tmp_path_factory: pytest.TempPathFactory, text: str) -> Store:
    path = tmp_path_factory.mktemp("loading") / "one.zarr"
    neighbours = {"before": "A" * 70, "it": text, "after": "C" * 70}
    labels = np.eye(len(STARTS), dtype=np.uint8)
    return make_store(path, neighbours, [("it", start) for start in STARTS], labels)


def same(one: Batch, other: Batch) -> bool:
    return one.whole == other.whole and all(
        (a is None and b is None) or (a is not None and b is not None and torch.equal(a, b))
        for a, b in zip(one[:3], other[:3], strict=True)
    )


def training(store: Store, seed: int = 0, batch_size: int = 7, shift: int = 2) -> Batches:
    return Batches(store, store.indices(), batch_size, EpochDraws(seed, shuffle=True, random_strand=True, shift=shift))


class TestBatches:
    def test_in_order_they_are_the_store(self, store: Store) -> None:
        indices = store.indices("train")
        batches = list(Batches(store, indices, 8))
        codes, labels = store.read(indices)
        known = store.read_known(indices)
        assert known is not None
        assert np.array_equal(torch.cat([batch.codes for batch in batches]).numpy(), codes)
        assert np.array_equal(torch.cat([batch.labels for batch in batches]).numpy(), labels)
        assert np.array_equal(torch.cat([b.known for b in batches if b.known is not None]).numpy(), known)
        assert batches[0].codes.dtype == batches[0].labels.dtype == torch.uint8

    def test_known_is_none_where_all_are(self, one_contig: Store) -> None:
        assert next(iter(Batches(one_contig, one_contig.indices(), 2))).known is None

    @LAW
    @given(st.integers(1, 70), st.integers(0, 2**32 - 1))
    def test_every_window_once_a_pass(self, store: Store, batch_size: int, seed: int) -> None:
        batches = Batches(store, np.arange(60), batch_size, EpochDraws(seed, shuffle=True))
        # A last window by itself goes with the batch before it.
        assert len(batches) == max(1, -(-60 // batch_size) - (60 % batch_size == 1))
        for _ in range(2):
            read = list(batches)
            assert len(read) == len(batches)
            assert all(len(batch.codes) == batch_size for batch in read[:-1])
            rows = sorted(row.numpy().tobytes() for batch in read for row in torch.cat([batch.codes, batch.labels], 1))
            expected = np.concatenate(store.read(np.arange(60)), axis=1)
            assert rows == sorted(row.tobytes() for row in expected)

    def test_passes_differ_and_seeds_differ(self, store: Store) -> None:
        batches, other = training(store), training(store, seed=1)
        first, second = list(batches), list(batches)
        assert not all(same(a, b) for a, b in zip(first, second, strict=True))
        assert not all(same(a, b) for a, b in zip(first, other, strict=True))

    @LAW
    @given(st.integers(0, 40), st.integers(0, 2**32 - 1))
    def test_the_same_whatever_was_read_before(self, store: Store, steps: int, seed: int) -> None:
        expected = training(store, seed)
        flat = [batch for _ in range(6) for batch in expected]
        batches = training(store, seed)
        # Other readers and the global generators take nothing from the draw.
        np.random.default_rng(seed).random(steps)
        torch.rand(steps)
        store.read_codes(np.arange(steps))
        at = 0
        while at < steps:
            for batch in batches:
                assert same(batch, flat[at])
                at += 1
                if at >= steps:
                    break
        resumed = training(store, seed)
        resumed.load_state_dict(batches.state_dict())
        for ahead, batch in enumerate(resumed):
            assert same(batch, flat[steps + ahead])

    def test_the_state_is_plain_and_tells_the_position(self, store: Store) -> None:
        batches = training(store, batch_size=25)
        assert batches.state_dict() == {"epoch": 0, "position": 0}
        reading = iter(batches)
        next(reading)
        assert batches.state_dict() == {"epoch": 0, "position": 1}
        assert len(list(reading)) == 2
        assert batches.state_dict() == {"epoch": 1, "position": 0}

    def test_left_at_the_very_end_of_a_pass(self, store: Store) -> None:
        expected = [*training(store, batch_size=30), *(batches := training(store, batch_size=30))]
        assert len(expected) == 4
        for _, _ in zip(range(2), batches, strict=False):
            pass
        stopped = training(store, batch_size=30)
        reading = iter(stopped)
        next(reading), next(reading)
        resumed = training(store, batch_size=30)
        resumed.load_state_dict(stopped.state_dict())
        later = training(store, batch_size=30)
        list(later)
        assert all(same(a, b) for a, b in zip(resumed, later, strict=True))

    def test_both_strands_are_drawn(self, one_contig: Store) -> None:
        batches = Batches(one_contig, np.full(400, 2), 400, EpochDraws(random_strand=True))
        forward = one_contig.read_codes([2])[0]
        drawn = next(iter(batches)).codes.numpy()
        is_forward = (drawn == forward).all(axis=1)
        assert ((drawn == reverse_complement(forward)).all(axis=1) | is_forward).all()
        assert 150 < is_forward.sum() < 250

    def test_the_shift_stays_within_the_pads(self, one_contig: Store, text: str) -> None:
        """Windows reach 8 bp past the contig at most, so that no shift reads further or into a neighbour."""
        for row, start in enumerate(STARTS):
            batch = next(iter(Batches(one_contig, np.full(300, row), 300, EpochDraws(shift=6))))
            drawn = {decode(codes) for codes in batch.codes.numpy()}
            moved = {min(max(start + by, -8), 88) for by in range(-6, 7)}
            assert drawn == {padded_slice(text, at, at + 20) for at in moved}
            assert (batch.labels.numpy() == np.eye(len(STARTS), dtype=np.uint8)[row]).all()

    def test_without_a_window(self, store: Store) -> None:
        with pytest.raises(InputError, match="has no window in the requested split") as caught:
            Batches(store, np.zeros(0, dtype=np.int64), 4)
        assert str(store.path) in caught.value.found

    def test_what_a_batch_holds_is_its_own(self, store: Store) -> None:
        batches = Batches(store, store.indices(), 60)
        first = next(iter(batches))
        kept = first.codes.clone()
        first.codes.fill_(0)
        assert torch.equal(next(iter(Batches(store, store.indices(), 60))).codes, kept)

    def test_to_a_device(self, store: Store, one_contig: Store) -> None:
        for one in (store, one_contig):
            batch = next(iter(Batches(one, one.indices(), 4)))
            assert same(batch.to("cpu"), batch)
            assert batch.to(torch.device("meta")).codes.device.type == "meta"


class TestShares:
    @LAW
    @given(st.integers(1, 70), st.integers(1, 5))
    def test_the_parts_of_all_processes_are_the_batch(self, store: Store, batch_size: int, ranks: int) -> None:
        draws = EpochDraws(3, shuffle=True, random_strand=True, shift=2)
        whole = Batches(store, store.indices(), batch_size, draws)
        parts = [Batches(store, store.indices(), batch_size, draws, Share(rank, ranks)) for rank in range(ranks)]
        for batch, *read in zip(whole, *parts, strict=True):
            assert {part.whole for part in read} == {batch.whole} == {len(batch.codes)}
            real = [part for part in read if part.known is None or part.known.any()]
            assert batch.known is not None
            assert torch.equal(torch.cat([part.codes for part in real]), batch.codes)
            assert torch.equal(torch.cat([part.labels for part in real]), batch.labels)
            assert max(len(part.codes) for part in real) - min(len(part.codes) for part in real) <= 1

    def test_a_process_without_windows_has_one_that_does_not_count(self, one_contig: Store) -> None:
        parts = [next(iter(Batches(one_contig, np.arange(1), 4, share=Share(rank, 3)))) for rank in range(3)]
        assert [part.whole for part in parts] == [1, 1, 1]
        assert [part.known is None or bool(part.known.any()) for part in parts].count(True) == 1
        assert all(len(part.codes) == 1 for part in parts)

    @given(st.integers(2, 70), st.integers(1, 9))
    def test_with_a_batch_norm_no_process_reads_a_single_window(self, n: int, ranks: int) -> None:
        parts = [Share(rank, ranks, least=2).of(n) for rank in range(ranks)]
        assert [first for first, _ in parts[1:]] == [end for _, end in parts[:-1]]
        assert (parts[0][0], parts[-1][1]) == (0, n)
        assert all(end - first != 1 for first, end in parts)
        assert max(end - first for first, end in parts) <= n // ranks + 3

    def test_who_stands_in_with_a_batch_norm_reads_two(self, one_contig: Store) -> None:
        parts = [next(iter(Batches(one_contig, np.arange(3), 4, share=Share(rank, 2, 2)))) for rank in range(2)]
        assert [(len(part.codes), part.stands_in) for part in parts] == [(2, True), (3, False)]
        assert parts[0].known is not None
        assert not parts[0].known.any()


class TestDraws:
    @LAW
    @given(st.lists(st.floats(0.01, 5), min_size=60, max_size=60), st.integers(0, 2**32 - 1))
    def test_weights_set_how_often_a_window_comes(self, store: Store, weights: list[float], seed: int) -> None:
        batches = Batches(store, np.arange(60), 7, EpochDraws(seed, weights=np.array(weights)))
        times = np.bincount(batches.draw(0).order, minlength=60)
        expected = 60 * np.array(weights) / np.sum(weights)
        assert times.sum() == 60
        assert (np.abs(times - expected) < 1 + 1e-9).all()
        assert not np.array_equal(batches.draw(0).order, batches.draw(1).order)

    def test_which_windows_a_batch_holds(self, store: Store) -> None:
        batches = training(store)
        for epoch in range(2):
            for position, batch in enumerate(batches):
                assert np.array_equal(store.read_labels(batches.windows_of(epoch, position)), batch.labels.numpy())

    def test_a_change_knows_the_window_and_the_pass(self, store: Store) -> None:
        seen: list[tuple[Tensor, int]] = []

        def blank(codes: Tensor, keys: Tensor, behind: float) -> Tensor:
            seen.append((keys, int(behind)))
            return torch.full_like(codes, 4)

        def keys_of(batch_size: int) -> list[list[int]]:
            seen.clear()
            batches = Batches(store, np.arange(60), batch_size, EpochDraws(5, shuffle=True), change=blank)
            assert all((batch.codes == 4).all() for _ in range(2) for batch in batches)
            return [torch.cat([keys for keys, epoch in seen if epoch == wanted]).tolist() for wanted in (0, 1)]

        first, second = keys_of(7)
        assert len(set(first) | set(second)) == 120
        assert keys_of(60) == [first, second]


class TestOnDevice:
    @LAW
    @given(st.integers(0, 2**32 - 1))
    def test_a_store_on_a_device_reads_as_in_memory(self, store: Store, one_contig: Store, seed: int) -> None:
        for one in (store, one_contig):
            there = DeviceWindows(one, "cpu")
            drawn = Batches(one, one.indices(), 7, EpochDraws(seed, shuffle=True, random_strand=True, shift=9)).draw(0)
            codes, labels, known = there.read(*(there.put(part) for part in drawn[:3]))
            assert np.array_equal(codes.numpy(), one.read_codes(*drawn[:3]))
            assert np.array_equal(labels.numpy(), one.read_labels(drawn.order))
            expected = one.read_known(drawn.order)
            assert (known is None) == (expected is None)
            if known is not None and expected is not None:
                assert np.array_equal(known.numpy(), expected)
            assert torch.equal(there.read(there.put(drawn.order), there.put(drawn.reverse), None)[0],
                               torch.from_numpy(one.read_codes(drawn.order, drawn.reverse)))  # fmt: skip

    def test_there_is_no_other_place_than_a_cpu_and_a_gpu(self, store: Store) -> None:
        batches = training(store)
        assert batches.move("cpu")
        assert not batches.move("meta")
        assert next(iter(batches)).codes.device.type == "cpu"

    @LAW
    @given(CODES)
    def test_one_hot_as_in_numpy(self, codes: NDArray[np.uint8]) -> None:
        for dtype in (torch.float32, torch.bfloat16):
            x = one_hot(torch.from_numpy(codes), dtype)
            assert x.dtype == dtype
            assert np.array_equal(x.float().numpy(), one_hot_numpy(codes))

    @LAW
    @given(CODES)
    def test_reverse_strand_as_in_numpy(self, codes: NDArray[np.uint8]) -> None:
        turned = reverse_strand(torch.from_numpy(codes))
        assert turned.dtype == torch.uint8
        assert np.array_equal(turned.numpy(), reverse_complement(codes))
        assert np.array_equal(reverse_strand(turned).numpy(), codes)

    def test_n_is_four_zeros(self) -> None:
        assert not one_hot(torch.full((1, 3), N_CODE, dtype=torch.uint8)).any()
        assert decode(reverse_strand(torch.from_numpy(encode("ACNG")[None]))[0].numpy()) == "CNGT"


class TestMixing:
    def batches(self, store: Store, batch_size: int = 7, share: Share | None = None) -> Batches:
        draws = EpochDraws(4, shuffle=True, random_strand=True, shift=2, mix=0.4)

        def turn(codes: Tensor, keys: Tensor, behind: float) -> Tensor:
            return torch.where((keys % 2 == 0)[:, None], codes.flip(1), codes)

        return Batches(store, store.indices(), batch_size, draws, share, turn)

    def test_a_window_is_mixed_with_another_of_the_pass_as_it_would_be_read(self, store: Store) -> None:
        batches = self.batches(store)
        drawn = batches.draw(0)
        plain = self.batches(store)
        plain.draws = replace(plain.draws, mix=0)
        alone = list(plain)
        codes, labels, known = (torch.cat([batch[i] for batch in alone]) for i in range(3))  # type: ignore[misc]
        read = list(batches)
        mixed = [b.mixed for b in read if b.mixed is not None]
        assert torch.equal(torch.cat([b.codes for b in read]), codes)
        assert torch.equal(torch.cat([m.codes for m in mixed]), codes[drawn.partner])
        assert torch.equal(torch.cat([m.labels for m in mixed]), labels[drawn.partner])
        assert sorted(drawn.partner.tolist()) == list(range(60))
        both = torch.cat([b.known for b in read if b.known is not None])
        assert torch.equal(both, known & known[drawn.partner])
        share = torch.from_numpy(drawn.share)[:, None]
        own, other = one_hot(codes), one_hot(codes[drawn.partner])
        x = torch.cat([batch.inputs()[0] for batch in read])
        torch.testing.assert_close(x, share[:, :, None] * own + (1 - share[:, :, None]) * other)
        expected = share * labels + (1 - share) * labels[drawn.partner]
        torch.testing.assert_close(torch.cat([batch.inputs()[1] for batch in read]), expected)

    def test_shares_are_drawn_from_beta(self, store: Store) -> None:
        batches = Batches(store, np.arange(60).repeat(100), 7, EpochDraws(mix=0.4))
        share = batches.draw(0).share.astype(np.float64)
        assert share.mean() == pytest.approx(0.5, abs=0.02)
        assert share.var() == pytest.approx(1 / (4 * (2 * 0.4 + 1)), abs=0.01)
        assert not np.array_equal(share, batches.draw(1).share)

    @LAW
    @given(st.integers(1, 20), st.integers(1, 4))
    def test_parts_of_several_processes_are_the_whole(self, store: Store, batch_size: int, ranks: int) -> None:
        whole = list(self.batches(store, batch_size))
        parts = [list(self.batches(store, batch_size, Share(rank, ranks))) for rank in range(ranks)]
        for i, batch in enumerate(whole):
            n = len(batch.codes)
            sizes = [n * (rank + 1) // ranks - n * rank // ranks for rank in range(ranks)]
            x = torch.cat([part[i].inputs()[0][:size] for part, size in zip(parts, sizes, strict=True)])
            assert torch.equal(x, batch.inputs()[0])

    def test_what_else_is_drawn_stays_as_it_is(self, store: Store) -> None:
        plain = Batches(store, store.indices(), 7, EpochDraws(4, shuffle=True, random_strand=True, shift=2))
        mixed = Batches(store, store.indices(), 7, EpochDraws(4, shuffle=True, random_strand=True, shift=2, mix=1))
        for one, other in zip(plain, mixed, strict=True):
            assert torch.equal(one.codes, other.codes)
            assert torch.equal(one.labels, other.labels)
            assert one.mixed is None
            assert torch.equal(one.inputs()[0], one_hot(one.codes))

    def test_it_moves_as_one(self, store: Store) -> None:
        batch = next(iter(self.batches(store)))
        moved = batch.to("cpu")
        assert same(batch, moved)
        assert moved.mixed is not None
        assert batch.mixed is not None
        assert torch.equal(moved.mixed.share, batch.mixed.share)
        assert moved.to("meta").inputs()[0].device.type == "meta"

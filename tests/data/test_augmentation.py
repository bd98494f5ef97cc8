from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from torch import Tensor

from noncoder.config import AugmentConfig
from noncoder.data.augmentation import Augmentation, delete, insert, invert, mutate, rotate
from noncoder.sequence.encoding import N_CODE, reverse_complement

LAW = settings(deadline=None, max_examples=30)
LENGTH = 23
CODES = arrays(np.uint8, (4, LENGTH), elements=st.integers(0, 4))
SIZES = arrays(np.int64, (4,), elements=st.integers(0, LENGTH))
SHARES = arrays(np.float64, (4,), elements=st.floats(0, 1))
ALL = {"inversion": 9, "translocation": 7, "insertion": 5, "deletion": 6, "mutation": 0.1}
Codes = NDArray[np.uint8]


def keys(n: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(-(1 << 62), 1 << 62, n))


def windows(n: int, length: int, seed: int = 0, most: int = 4) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, most, (n, length), dtype=np.uint8))


def differing(a: Tensor, b: Tensor) -> Tensor:
    return (a != b).sum(dim=1)


@LAW
@given(CODES, SIZES, SHARES)
def test_an_inversion_puts_the_reverse_complement_in_place_and_undoes_itself(
    codes: Codes, size: NDArray[np.int64], share: NDArray[np.float64]
) -> None:
    start = (share * (LENGTH - size)).astype(np.int64)
    x, s, n = torch.from_numpy(codes), torch.from_numpy(start), torch.from_numpy(size)
    got = invert(x, s, n)
    for row, expected, at, many in zip(got.numpy(), codes.copy(), start, size, strict=True):
        expected[at : at + many] = reverse_complement(expected[None, at : at + many])[0]
        assert np.array_equal(row, expected)
    assert torch.equal(invert(got, s, n), x)


@LAW
@given(CODES, arrays(np.int64, (4,), elements=st.integers(-2 * LENGTH, 2 * LENGTH)))
def test_a_translocation_is_a_rotation(codes: Codes, by: NDArray[np.int64]) -> None:
    got = rotate(torch.from_numpy(codes), torch.from_numpy(by))
    assert all(np.array_equal(row, np.roll(old, n)) for row, old, n in zip(got.numpy(), codes, by, strict=True))
    assert torch.equal(rotate(got, torch.from_numpy(-by)), torch.from_numpy(codes))


@LAW
@given(CODES, CODES, SIZES, SHARES)
def test_an_insertion_moves_what_is_on_both_sides_apart(
    codes: Codes, bases: Codes, size: NDArray[np.int64], share: NDArray[np.float64]
) -> None:
    start = (share * (LENGTH + 1)).astype(np.int64).clip(max=LENGTH)
    got = insert(*(torch.from_numpy(part) for part in (codes, start, size, bases))).numpy()
    for row, old, new, at, many in zip(got, codes, bases, start, size, strict=True):
        longer = np.concatenate([old[:at], np.full(many, 9, dtype=np.uint8), old[at:]])
        expected = longer[many // 2 : many // 2 + LENGTH]
        assert np.array_equal(row, np.where(expected == 9, new, expected))


@LAW
@given(CODES, CODES, SIZES, SHARES)
def test_a_deletion_joins_what_is_on_both_sides(
    codes: Codes, bases: Codes, size: NDArray[np.int64], share: NDArray[np.float64]
) -> None:
    start = (share * (LENGTH - size)).astype(np.int64)
    got = delete(*(torch.from_numpy(part) for part in (codes, start, size, bases))).numpy()
    for row, old, new, at, many in zip(got, codes, bases, start, size, strict=True):
        left, right = new[: many // 2], new[LENGTH - (many - many // 2) :]
        assert np.array_equal(row, np.concatenate([left, old[:at], old[at + many :], right]))


@pytest.mark.parametrize("share", [0.05, 0.5, 1.0])
def test_mutations_hit_their_share_and_every_other_base_alike(share: float) -> None:
    codes = torch.zeros(200, 500, dtype=torch.uint8)
    got = mutate(codes, keys(200), torch.full((200,), share))
    n, hits = codes.numel(), int(differing(got, codes).sum())
    assert abs(hits - n * share) <= 5 * (n * share * (1 - share)) ** 0.5
    counts = torch.bincount(got.flatten().int(), minlength=4)[1:]
    assert ((counts - hits / 3).abs() < 5 * (hits / 3) ** 0.5).all()
    for base in range(5):
        other = mutate(torch.full((3, 50), base, dtype=torch.uint8), keys(3), torch.ones(3))
        assert (other == base).all() if base == N_CODE else (other != base).all()


@LAW
@given(arrays(np.uint8, (6, LENGTH), elements=st.integers(0, 4)), st.integers(0, 1000), st.integers(1, 5))
def test_length_and_alphabet_are_kept(codes: Codes, seed: int, most: int) -> None:
    augmentation = Augmentation(AugmentConfig(**ALL, most=most), passes=3)
    got = augmentation(torch.from_numpy(codes), keys(6, seed), 0)
    assert got.shape == codes.shape
    assert got.dtype == torch.uint8
    assert int(got.max()) <= N_CODE
    for row, old in zip(got.numpy(), codes, strict=True):
        assert (row == N_CODE).sum() <= (old == N_CODE).sum()
        if (old == N_CODE).all():
            assert (row != N_CODE).sum() <= 5 + 6  # what an insertion and a deletion bring in


@LAW
@given(st.integers(0, 1000), st.sampled_from([*ALL, None]))
def test_a_window_is_changed_the_same_in_any_company(seed: int, kind: str | None) -> None:
    config = AugmentConfig(**({kind: ALL[kind]} if kind else ALL), most=3)
    augmentation, codes, drawn = Augmentation(config, 3), windows(8, 40, seed), keys(8, seed)
    together = augmentation(codes, drawn, 0)
    alone = torch.cat([augmentation(codes[i : i + 1], drawn[i : i + 1], 0) for i in range(8)])
    assert torch.equal(together, alone)
    assert torch.equal(together, augmentation(codes, drawn, 1)), "the keys alone tell passes apart"
    assert not torch.equal(together, augmentation(codes, keys(8, seed + 1), 0))


def test_without_strength_nothing_changes() -> None:
    codes = windows(5, 30, most=5)
    assert Augmentation(AugmentConfig(), 3)(codes, keys(5), 0) is codes
    zero = torch.zeros(5, dtype=torch.int64)
    assert torch.equal(mutate(codes, keys(5), zero.float()), codes)
    for change in (insert, delete):
        assert torch.equal(change(codes, zero, zero, windows(5, 30, 1)), codes)
    assert torch.equal(invert(codes, zero, zero), codes)
    assert torch.equal(rotate(codes, zero), codes)


def test_the_last_passes_are_left_as_they_are() -> None:
    augmentation, codes = Augmentation(AugmentConfig(mutation=0.5, finetune=0.25), passes=8), windows(5, 30)
    assert [torch.equal(augmentation(codes, keys(5), epoch), codes) for epoch in (0, 5, 6, 7)] == [
        False,
        False,
        True,
        True,
    ]


@pytest.mark.parametrize(("least", "most"), [(1, 1), (0, 2), (2, 3), (1, 5), (3, 9)])
def test_each_window_gets_so_many_changes(least: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every change is made to leave a mark of its own, and how strong it was."""

    def marked(bit: int, strength: int) -> Any:
        def change(codes: Tensor, *given: Tensor) -> Tensor:
            return codes + bit * (given[strength] != 0).to(torch.uint8)[:, None]

        return change

    functions = {"invert": 1, "rotate": 0, "insert": 1, "delete": 1, "mutate": 1}
    for i, (name, strength) in enumerate(functions.items()):
        monkeypatch.setattr(f"noncoder.data.augmentation.{name}", marked(2**i, strength))
    # So strong that a change of no bp is rare.
    config = AugmentConfig(
        inversion=10**6, translocation=10**6, insertion=10**6, deletion=10**6, mutation=1.0, least=least, most=most
    )
    marks = Augmentation(config, 1)(torch.zeros(3000, 2000, dtype=torch.uint8), keys(3000), 0)[:, :1]
    applied = (marks >> torch.arange(5)) & 1
    counts = applied.sum(dim=1)
    most = min(most, 5)
    assert int(counts.max()) == most
    assert (counts < least).float().mean() < 0.01
    numbers = most - least + 1
    got = torch.bincount(counts, minlength=most + 1)[least:]
    assert ((got - 3000 / numbers).abs() < 6 * (3000 / numbers) ** 0.5).all(), "each number as often as another"
    each = applied.float().mean(dim=0)
    assert ((each - (least + most) / 2 / 5).abs() < 0.05).all(), "each change as often as another"


@pytest.mark.parametrize(
    ("kind", "amount"), [("insertion", 6), ("deletion", 6), ("inversion", 6), ("translocation", 6)]
)
def test_sizes_and_places_are_even_up_to_the_recipe_s(kind: str, amount: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Tensor, ...]] = []
    function = {"insertion": "insert", "deletion": "delete", "inversion": "invert", "translocation": "rotate"}[kind]

    def record(codes: Tensor, *given: Tensor) -> Tensor:
        seen.append(given)
        return codes

    monkeypatch.setattr(f"noncoder.data.augmentation.{function}", record)
    Augmentation(AugmentConfig(**{kind: amount}), 1)(windows(7000, 20), keys(7000), 0)
    ((first, *rest),) = seen
    low = -amount if kind == "translocation" else 0
    sizes = first if kind == "translocation" else rest[0]
    counts = torch.bincount(sizes - low, minlength=amount - low + 1)
    expected = 7000 / (amount - low + 1)
    assert counts.numel() == amount - low + 1
    assert ((counts - expected).abs() < 5 * expected**0.5).all()
    if kind != "translocation":
        last = 20 if kind == "insertion" else 20 - sizes
        assert (first >= 0).all()
        assert (first <= last).all()
        assert (first == last).any()
        assert (first == 0).any()


def test_strengths_beyond_the_window_are_held_to_it() -> None:
    config = AugmentConfig(inversion=99, translocation=99, insertion=99, deletion=99, most=4)
    got = Augmentation(config, 1)(windows(200, 7), keys(200), 0)
    assert got.shape == (200, 7)
    assert int(got.max()) < 4


@pytest.mark.parametrize(("passes", "share", "first"), [(6, 0.1, 5.4), (1, 0.2, 0.8), (10, 0.7, 3.0), (0.5, 0.5, 0.25)])
def test_the_last_share_of_the_passes_is_plain_to_the_batch(passes: float, share: float, first: float) -> None:
    augmentation, codes = Augmentation(AugmentConfig(mutation=0.5, finetune=share), passes), windows(5, 30)
    assert torch.equal(augmentation(codes, keys(5), first), codes)
    assert not torch.equal(augmentation(codes, keys(5), first - 0.01), codes)

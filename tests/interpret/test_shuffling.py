"""Dinucleotide shuffles keep dinucleotides, the places of N, and the ends of each run of bases."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from noncoder.interpret.shuffling import dinucleotide_shuffled, shuffle_dinucleotides
from noncoder.sequence.encoding import N_CODE

Codes = NDArray[np.uint8]


def sequences(n: int, length: int, seed: int = 0) -> Codes:
    return np.random.default_rng(seed).integers(0, 4, (n, length), dtype=np.uint8)


def dinucleotides(row: Codes) -> Counter[tuple[int, int]]:
    """All pairs of neighbours, those with an N among them."""
    return Counter(zip(row[:-1].tolist(), row[1:].tolist(), strict=True))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31 - 1), st.integers(0, 60), st.floats(0, 0.4))
def test_counts_n_and_ends_are_kept(seed: int, length: int, share: float) -> None:
    codes = sequences(3, length, seed)
    codes[np.random.default_rng(seed).random(codes.shape) < share] = N_CODE
    for before, after in zip(codes, shuffle_dinucleotides(codes, [seed] * 3), strict=True):
        np.testing.assert_array_equal(before == N_CODE, after == N_CODE)
        assert dinucleotides(before) == dinucleotides(after)
        known = np.pad(before != N_CODE, 1)
        ends = (known[1:-1]) & ~(known[:-2] & known[2:])
        np.testing.assert_array_equal(before[ends], after[ends])


def test_each_run_of_bases_gets_another_order() -> None:
    codes = sequences(4, 90)
    codes[:, 30], codes[1, 60:63] = N_CODE, N_CODE
    after = shuffle_dinucleotides(codes, [1, 2, 3, 4])
    for run in (slice(0, 30), slice(31, 60), slice(63, 90)):
        assert (after[:, run] != codes[:, run]).any(axis=1).all()


def test_the_seed_decides_and_other_rows_do_not() -> None:
    codes = sequences(5, 80)
    codes[2, :9] = N_CODE
    alone = np.concatenate([shuffle_dinucleotides(codes[i : i + 1], [i]) for i in range(5)])
    np.testing.assert_array_equal(shuffle_dinucleotides(codes, range(5)), alone)
    assert (shuffle_dinucleotides(codes, range(1, 6)) != alone).any(axis=1).all()


def test_repeated_runs_of_a_sequence_are_shuffled_differently() -> None:
    run = sequences(1, 60)
    codes = np.concatenate([run, np.full((1, 1), N_CODE, dtype=np.uint8), run], axis=1)
    after = shuffle_dinucleotides(codes, [7])
    assert (after[:, :60] != after[:, 61:]).any()


@pytest.mark.parametrize("shape", [(0, 10), (3, 0), (2, 3)])
def test_what_has_one_order_stays(shape: tuple[int, int]) -> None:
    codes = sequences(*shape)
    np.testing.assert_array_equal(dinucleotide_shuffled(codes, np.random.default_rng(0)), codes)

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from noncoder.data.randomness import uniform

LAW = settings(deadline=None, max_examples=25)
KEY = st.integers(-(1 << 63), (1 << 63) - 1)


def splitmix(state: int, steps: int) -> int:
    """The published generator, in whole numbers: the output after so many steps from a state."""
    z = (state + steps * 0x9E3779B97F4A7C15) % 2**64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
    return z ^ (z >> 31)


@LAW
@given(st.lists(KEY, min_size=1, max_size=5), st.integers(0, 9))
def test_they_are_those_of_the_published_generator(keys: list[int], stream: int) -> None:
    drawn = uniform(torch.tensor(keys), 4, stream)
    for row, key in zip(drawn, keys, strict=True):
        start = splitmix((key % 2**64) ^ splitmix(stream, 0), 0)
        assert row.tolist() == [(splitmix(start, i + 1) >> 40) / 2**24 for i in range(4)]


@LAW
@given(st.lists(KEY, min_size=2, max_size=6, unique=True), st.integers(1, 50))
def test_a_window_draws_the_same_in_any_company(keys: list[int], count: int) -> None:
    together = uniform(torch.tensor(keys), count, 1)
    alone = torch.cat([uniform(torch.tensor([key]), count, 1) for key in keys])
    assert torch.equal(together, alone)
    assert torch.equal(uniform(torch.tensor(keys), count + 9, 1)[:, :count], together)


def test_they_are_even_and_streams_are_not_alike() -> None:
    keys = torch.from_numpy(np.random.default_rng(0).integers(-(1 << 62), 1 << 62, 400))
    one, other = (uniform(keys, 500, stream) for stream in (0, 1))
    assert one.min() >= 0
    assert one.max() < 1
    counts = torch.histc(one, 100, 0, 1)
    assert ((counts - 2000).abs() < 6 * 2000**0.5).all()
    assert abs(float(np.corrcoef(one.numpy().ravel(), other.numpy().ravel())[0, 1])) < 0.015
    assert abs(float(np.corrcoef(one[:, 1:].numpy().ravel(), one[:, :-1].numpy().ravel())[0, 1])) < 0.015

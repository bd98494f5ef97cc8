from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from noncoder.config import TrainConfig
from noncoder.data.loading import Batches
from noncoder.train.passes import Passes


def passes(windows: int, batch_size: int, **values: Any) -> Passes:
    class Counted(Batches):
        def __init__(self) -> None:
            self.indices = self._rows = np.arange(windows)
            self.batch_size = self._per_batch = batch_size

    return Passes(Counted(), TrainConfig.model_validate({"batch_size": batch_size} | values))


@settings(deadline=None, max_examples=300)
@given(st.integers(1, 400), st.integers(1, 20), st.floats(0.1, 12), st.floats(0.1, 9), st.integers(1, 6))
def test_training_is_as_long_as_asked_and_leaves_room_for_checkpoints(
    windows: int, batch_size: int, epochs: float, validations: float, accumulate: int
) -> None:
    batches = len(passes(windows, batch_size).batches)
    accumulate = min(accumulate, batches)
    read = passes(windows, batch_size, epochs=epochs, validations=validations, accumulate=accumulate)
    asked = epochs * batches / accumulate
    assert read.steps % read.interval == 0
    assert asked <= read.steps + 1e-9
    assert read.steps <= max(math.ceil(asked), 1.02 * asked)
    assert read.interval >= min(2, read.steps)
    assert read.steps // read.interval <= max(1, round(epochs * validations))


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 20), st.integers(1, 4))
def test_each_pass_reads_each_window_once_and_no_batch_is_a_single_one(windows: int, size: int, passes_: int) -> None:
    read = passes(windows, size, epochs=passes_)
    sizes = [read.batches.size_of(i) for i in range(len(read.batches))]
    assert sum(sizes) == windows
    assert all(one == size for one in sizes[:-1])
    assert min(sizes) > 1 or min(windows, size) == 1
    assert max(sizes) <= size + (windows % size == 1 < size)
    assert read.windows == sum(read.batches.size_of(read.place(i)[1]) for i in range(len(read)))


def test_a_last_window_by_itself_goes_with_the_batch_before() -> None:
    read = passes(31, 10, accumulate=3)  # batches of 10, 10 and 11
    assert [read.batches.size_of(i) for i in range(len(read.batches))] == [10, 10, 11]
    assert [read.weight(i) for i in range(3)] == [30 / 31, 30 / 31, 33 / 31]


def test_a_small_last_batch_weighs_by_its_windows() -> None:
    read = passes(35, 10, accumulate=3)  # batches of 10, 10, 10 and 5; steps go across passes
    weights = [read.weight(i) for i in range(12)]
    sizes = [10, 10, 10, 5] * 3
    for first in range(0, 12, 3):
        group = slice(first, first + 3)
        assert np.isclose(sum(weights[group]), 3)
        np.testing.assert_allclose(np.array(weights[group]) / weights[first], np.array(sizes[group]) / sizes[first])

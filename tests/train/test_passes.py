from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from noncoder.config import TrainConfig
from noncoder.train.passes import Passes


def passes(windows: int, batch_size: int, **values: Any) -> Passes:
    class Road(SimpleNamespace):
        def __len__(self) -> int:
            return -(-windows // batch_size)

    batches: Any = Road(batch_size=batch_size, indices=np.arange(windows))
    return Passes(batches, TrainConfig.model_validate({"batch_size": batch_size} | values))


@settings(deadline=None, max_examples=300)
@given(st.integers(1, 400), st.integers(1, 20), st.floats(0.1, 12), st.floats(0.1, 9), st.integers(1, 6))
def test_training_is_as_long_as_asked_and_leaves_room_for_checkpoints(
    windows: int, batch_size: int, epochs: float, validations: float, accumulate: int
) -> None:
    batches = -(-windows // batch_size)
    accumulate = min(accumulate, batches)
    road = passes(windows, batch_size, epochs=epochs, validations=validations, accumulate=accumulate)
    asked = epochs * batches / accumulate
    assert road.steps % road.interval == 0
    assert asked <= road.steps + 1e-9
    assert road.steps <= max(math.ceil(asked), 1.02 * asked)
    assert road.interval >= min(2, road.steps)
    assert road.steps // road.interval <= max(1, round(epochs * validations))


def test_a_small_last_batch_weighs_by_its_windows() -> None:
    road = passes(35, 10, accumulate=3)  # batches of 10, 10, 10 and 5; steps go across passes
    weights = [road.weight(i) for i in range(12)]
    sizes = [10, 10, 10, 5] * 3
    for first in range(0, 12, 3):
        group = slice(first, first + 3)
        assert np.isclose(sum(weights[group]), 3)
        np.testing.assert_allclose(np.array(weights[group]) / weights[first], np.array(sizes[group]) / sizes[first])

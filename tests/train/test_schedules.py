from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from noncoder.config import TrainConfig
from noncoder.train.optim import make_optimizer
from noncoder.train.schedules import Schedule, learning_rate_factor


def test_warm_up_rises_linearly_and_cosine_falls_to_zero() -> None:
    factor = learning_rate_factor(TrainConfig(warmup=0.1, decay="cosine"), 100, 20)
    assert [factor(step) for step in range(10)] == pytest.approx([(step + 1) / 11 for step in range(10)])
    assert factor(10) == 1
    assert factor(55) == pytest.approx(0.5)
    assert factor(100) == pytest.approx(0)
    assert all(factor(step) >= factor(step + 1) for step in range(10, 100))


def test_a_warm_up_of_so_many_steps_ends_at_the_full_rate() -> None:
    for warmup in (0, 0.05):
        factor = learning_rate_factor(TrainConfig(warmup=warmup, warmup_steps=50, decay="constant"), 10_000, 500)
        assert [factor(step) for step in (0, 24, 48, 49, 50, 9_999)] == pytest.approx([0.02, 0.5, 0.98, 1, 1, 1])


def test_linear_and_constant() -> None:
    linear = learning_rate_factor(TrainConfig(warmup=0, decay="linear"), 10, 5)
    assert [linear(step) for step in (0, 5, 10, 12)] == pytest.approx([1, 0.5, 0, 0])
    constant = learning_rate_factor(TrainConfig(warmup=0, decay="constant"), 10, 5)
    assert {constant(step) for step in range(20)} == {1.0}


def test_step_decay_is_by_passes_and_inverse_decay_by_steps() -> None:
    config = TrainConfig(warmup=0, decay="step", decay_factor=0.9, decay_every=2)
    factor = learning_rate_factor(config, 1_000, 34)
    assert [factor(step) for step in (0, 67, 68, 135, 136)] == pytest.approx([1, 1, 0.9, 0.9, 0.81])
    factor = learning_rate_factor(TrainConfig(warmup=0, decay="inverse", decay_rate=8e-7), 1_000, 34)
    assert [factor(step) for step in (0, 1, 1_250_000)] == pytest.approx([1, 1 / (1 + 8e-7), 0.5], rel=1e-12)


def test_one_cycle_rises_and_falls_along_half_cosines() -> None:
    config = TrainConfig(decay="one-cycle", cycle_rise=0.31, cycle_start=25, cycle_end=1e4)
    factor = learning_rate_factor(config, 100, 20)
    assert [factor(step) for step in (0, 15, 30, 99, 100)] == pytest.approx(
        [1 / 25, (1 / 25 + 1) / 2, 1, 1 / 25e4, 1 / 25e4]
    )
    assert all(factor(step) < factor(step + 1) for step in range(30))
    assert all(factor(step) > factor(step + 1) for step in range(30, 99))


@settings(deadline=None, max_examples=20)
@given(st.integers(20, 60), st.floats(0.1, 0.9), st.floats(2, 100), st.floats(2, 1e5), st.sampled_from(["sgd", "adam"]))
def test_one_cycle_is_that_of_torch(steps: int, rise: float, start: float, end: float, kind: Any) -> None:
    config = TrainConfig(
        decay="one-cycle", learning_rate=2, optimizer=kind, cycle_rise=rise, cycle_start=start, cycle_end=end,
        cycle_momentum=(0.95, 0.85),
    )  # fmt: skip
    ours, theirs = (make_optimizer(torch.nn.Linear(1, 1), config) for _ in range(2))
    schedule = Schedule(ours, config, steps, 10)
    reference = torch.optim.lr_scheduler.OneCycleLR(
        theirs, 2.0, steps, pct_start=rise, div_factor=start, final_div_factor=end
    )
    for _ in range(steps - 1):
        a, b = ours.param_groups[0], theirs.param_groups[0]
        assert a["lr"] == pytest.approx(b["lr"], rel=1e-6, abs=1e-9)
        name = "momentum" if kind == "sgd" else "betas"
        assert a[name] == pytest.approx(b[name], rel=1e-9)
        for optimizer, scheduler in ((ours, schedule), (theirs, reference)):
            optimizer.step()
            scheduler.step()


def test_cyclical_goes_straight_up_and_down() -> None:
    config = TrainConfig(decay="cyclical", cycle_passes=2, decay_floor=0.2)
    factor = learning_rate_factor(config, 100, 10)
    expected = [0.2, 0.6, 1, 0.6, 0.2, 0.6, 1]
    assert [factor(step) for step in range(0, 35, 5)] == pytest.approx(expected)
    halved = learning_rate_factor(config.model_copy(update={"cycle_shape": "triangular2"}), 100, 10)
    assert [halved(step) for step in range(0, 55, 5)] == pytest.approx(
        [0.2, 0.6, 1, 0.6, 0.2, 0.4, 0.6, 0.4, 0.2, 0.3, 0.4]
    )
    assert learning_rate_factor(TrainConfig(decay="cyclical"), 100, 10)(0) == 0.25


def plateau(**changes: Any) -> tuple[torch.optim.Optimizer, Schedule]:
    config = TrainConfig(
        learning_rate=1, decay="plateau", warmup_steps=2, decay_factor=0.5, decay_patience=2, decay_floor=0.2, **changes
    )
    optimizer = make_optimizer(torch.nn.Linear(2, 2), config)
    return optimizer, Schedule(optimizer, config, 100, 10)


def test_plateau_falls_when_validations_get_no_better() -> None:
    optimizer, schedule = plateau()
    rates = []
    for score in (0.5, 0.4, 0.6, 0.6, 0.3, 0.6, 0.61, 0.1, 0.1, 0.1, 0.1, 0.1):
        optimizer.step()
        schedule.step()
        schedule.record_score(score)
        rates.append(optimizer.param_groups[0]["lr"])
    # Two validations that are no better, the second of which may be as good as the best; not below the floor.
    assert rates == pytest.approx([1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.2, 0.2])


def test_plateau_follows_the_warm_up_and_other_decays_do_not_heed_scores() -> None:
    optimizer, schedule = plateau()
    assert optimizer.param_groups[0]["lr"] == 0.5
    config = TrainConfig(learning_rate=1, decay="constant", warmup=0)
    optimizer = make_optimizer(torch.nn.Linear(2, 2), config)
    schedule = Schedule(optimizer, config, 100, 10)
    for _ in range(10):
        schedule.record_score(0.1)
    assert optimizer.param_groups[0]["lr"] == 1


@pytest.mark.parametrize("at", [3, 4, 9])
def test_a_schedule_goes_on_from_its_state(at: int) -> None:
    scores = [0.5, 0.4, 0.3, 0.2, 0.6, 0.5, 0.5, 0.5, 0.5, 0.4, 0.3, 0.2]

    def walk(pair: tuple[torch.optim.Optimizer, Schedule], chosen: list[float]) -> list[float]:
        rates = []
        for score in chosen:
            pair[0].step()
            pair[1].step()
            pair[1].record_score(score)
            rates.append(pair[0].param_groups[0]["lr"])
        return rates

    whole, first, second = plateau(), plateau(), plateau()
    expected = walk(whole, scores)
    walk(first, scores[:at])
    second[0].load_state_dict(first[0].state_dict())
    second[1].load_state_dict(first[1].state_dict())
    assert walk(second, scores[at:]) == expected[at:]
    assert all(isinstance(value, int | float | list) for value in first[1].state_dict().values())


def test_momentum_is_left_alone_unless_asked_for() -> None:
    config = TrainConfig(optimizer="sgd", decay="one-cycle")
    optimizer = make_optimizer(torch.nn.Linear(2, 2), config)
    Schedule(optimizer, config, 100, 10)
    assert math.isclose(optimizer.param_groups[0]["momentum"], 0.9)

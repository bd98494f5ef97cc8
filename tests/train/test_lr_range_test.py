"""The range test of the learning rate: what it suggests, and that it leaves all else alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noncoder.config import RunConfig, SimulateConfig, validate
from noncoder.data.simulate import simulate_store
from noncoder.errors import ConfigError, InputError, StoreError
from noncoder.files import read_json
from noncoder.train.lr_range_test import Ramp, find_learning_rate, range_test_text, smooth, suggest

TINY = {"channels": 8, "dilations": [1], "heads": 2}


@pytest.fixture(scope="module")
def store_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "sim.zarr"
    simulate_store(SimulateConfig(windows=200, tasks=3, window=200, bin=100, chromosomes=5), path)
    return path


@pytest.fixture
def recipe(tmp_path: Path, store_path: Path) -> Callable[..., RunConfig]:
    def make(**settings: Any) -> RunConfig:
        values = {
            "run": tmp_path / "run",
            "data": {"store": store_path},
            "model": {"parameters": TINY},
            "train": {"batch_size": 16, "precision": "32-true"} | settings,
        }
        return validate(RunConfig, values, origin="test")

    return make


class TestSuggestion:
    @given(st.floats(-4, -1), st.integers(100, 400))
    def test_is_where_a_valley_falls_fastest_and_a_tenth_of_its_floor(self, floor: float, steps: int) -> None:
        rates = np.geomspace(1e-6, 10, steps)
        # A step down of a logistic course one decade before the floor, and a rise behind it.
        x = np.log10(rates)
        losses = 1 - 0.5 / (1 + np.exp(-8 * (x - (floor - 1)))) + np.exp(6 * (x - floor - 0.7))
        found = suggest(rates, losses)
        assert found["steepest"] is not None
        assert found["tenth"] is not None
        assert abs(np.log10(found["steepest"]) - (floor - 1)) < 0.2
        assert floor - 2 < np.log10(found["tenth"]) < floor - 0.5

    def test_is_none_where_the_loss_never_falls(self) -> None:
        rates = np.geomspace(1e-6, 10, 100)
        assert suggest(rates, np.linspace(1, 3, 100)) == {"steepest": None, "tenth": None}
        assert suggest(rates[:1], np.ones(1))["steepest"] is None

    def test_smoothing_keeps_means_and_place(self) -> None:
        peak = np.zeros(201)
        peak[100] = 1
        assert smooth(peak).argmax() == 100
        assert smooth(peak).sum() == pytest.approx(1)


class TestRangeTest:
    def test_finds_a_rate_that_the_seed_decides_and_writes_it(
        self, recipe: Callable[..., RunConfig], tmp_path: Path
    ) -> None:
        ramp = Ramp(1e-5, 100, 60)
        result = find_learning_rate(recipe(), tmp_path / "a", ramp)
        again = find_learning_rate(recipe(), tmp_path / "b", ramp)
        assert result == again
        assert result.diverged
        assert len(result.rates) == len(result.losses) == len(result.smoothed) < 60
        np.testing.assert_allclose(result.rates, ramp.rates[: len(result.rates)])
        assert result.steepest is not None
        assert 1e-4 < result.steepest < 10
        written = sorted(path.name for path in (tmp_path / "a").iterdir())
        assert written == ["result.json", "result.png", "result.txt"]
        assert read_json(tmp_path / "a" / "result.json") == result.to_json()
        assert (tmp_path / "a" / "result.png").read_bytes().startswith(b"\x89PNG")
        assert (tmp_path / "a" / "result.txt").read_text() == range_test_text(result) + "\n"
        assert not recipe().run.exists()

    def test_takes_the_steps_of_the_recipes_optimiser(self, recipe: Callable[..., RunConfig], tmp_path: Path) -> None:
        # Rates too low to change the weights: every loss is that of the initial weights, without warm-up or schedule.
        still = find_learning_rate(
            recipe(accumulate=2, optimizer="sgd", weight_decay=0), tmp_path / "a", Ramp(1e-12, 1e-11, 20)
        )
        assert not still.diverged
        assert len(still.losses) == 20
        alone = find_learning_rate(recipe(weight_decay=0), tmp_path / "b", Ramp(1e-12, 1e-11, 40))
        # 120 windows are 8 batches of 16, the last one smaller.
        pairs = np.reshape(alone.losses, (20, 2)).mean(axis=1)
        np.testing.assert_allclose(still.losses, pairs, rtol=1e-4)

    def test_overwrites_nothing(self, recipe: Callable[..., RunConfig], tmp_path: Path) -> None:
        find_learning_rate(recipe(), tmp_path / "a", Ramp(1e-3, 1e-2, 20))
        with pytest.raises(InputError, match="--force"):
            find_learning_rate(recipe(), tmp_path / "a", Ramp(1e-3, 1e-2, 20))
        find_learning_rate(recipe(), tmp_path / "a", Ramp(1e-3, 1e-2, 25), force=True)
        assert len(json.loads((tmp_path / "a" / "result.json").read_text())["rates"]) <= 25

    def test_reports_mistakes(self, recipe: Callable[..., RunConfig], tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="0 < lowest < highest"):
            Ramp(1, 0.1)
        with pytest.raises(ConfigError, match="at least 20"):
            Ramp(steps=3)
        config = recipe()
        gone = config.model_copy(update={"data": config.data.model_copy(update={"store": tmp_path / "no.zarr"})})
        with pytest.raises(StoreError, match="does not exist"):
            find_learning_rate(gone, tmp_path / "a", Ramp())
        assert not (tmp_path / "a").exists()


def test_noise_without_a_fall_suggests_nothing() -> None:
    rates = np.geomspace(1e-6, 10, 300)
    noise = np.random.default_rng(0).normal(0, 0.02, 300)
    assert suggest(rates, 0.7 + noise) == {"steepest": None, "tenth": None}
    falling = 0.7 - 0.3 / (1 + np.exp(-2 * np.log(rates / 1e-3))) + noise
    assert suggest(rates, falling)["steepest"] == pytest.approx(1e-3, rel=1)

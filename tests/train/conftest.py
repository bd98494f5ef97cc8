"""Fixtures: a small store, and recipes that train a tiny model on it in a second or two."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from noncoder.config import RunConfig, SimulateConfig, validate

TINY = {"channels": 8, "dilations": [1], "heads": 2}


@pytest.fixture(scope="module")
def store_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from noncoder.data.simulate import simulate_store

    path = tmp_path_factory.mktemp("store") / "sim.zarr"
    simulate_store(SimulateConfig(windows=300, tasks=3, window=200, bin=100, chromosomes=5), path)
    return path


@pytest.fixture
def recipe(tmp_path: Path, store_path: Path) -> Callable[..., RunConfig]:
    def make(run: str = "run", **settings: Any) -> RunConfig:
        values = {
            "run": tmp_path / run,
            "data": {"store": store_path},
            "model": {"parameters": TINY},
            "train": {"epochs": 2, "batch_size": 16, "precision": "32-true"} | settings,
        }
        return validate(RunConfig, values, origin="test")

    return make

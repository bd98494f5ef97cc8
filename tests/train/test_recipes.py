"""Each recipe of a published model trains for two optimiser steps at the model's full size."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import noncoder
from noncoder.config import RunConfig, read_recipe
from noncoder.models import create_model
from noncoder.train.checkpoint import LastCheckpoint
from tests.conftest import make_store, random_genome
from tests.train.making import summary_of

RECIPES = sorted((Path(__file__).parents[2] / "recipes/deepsea").glob("*.yaml"))
TASKS, WINDOW, BIN = 919, 1000, 200


def store_of(path: Path, n_train: int) -> Path:
    """Random windows and labels, 2% of them positive, as in the DeepSEA data; two more windows for validation."""
    rng = np.random.default_rng(0)
    n = n_train + 2
    make_store(
        path,
        random_genome({"a": WINDOW + n * BIN}, letters="ACGTN"),
        [("a", i * BIN) for i in range(n)],
        (rng.random((n, TASKS)) < 0.02).astype(np.uint8),
        window=WINDOW,
        bin=BIN,
        split=np.repeat(np.array([0, 1], dtype=np.uint8), [n_train, 2]),
    )
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that does not outlive its test: the checkpoints of a model of 68 million weights take gigabytes."""
    yield tmp_path
    shutil.rmtree(tmp_path)


@pytest.fixture(autouse=True)
def no_resumption(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resumption has its own tests; its checkpoints would take much of the time of these."""
    monkeypatch.setattr(LastCheckpoint, "on_train_batch_end", lambda *_: None)


def check_two_steps(config: RunConfig) -> None:
    summary = summary_of(config)
    assert summary["steps"] == 2
    assert summary["best"]["step"] == 2
    assert np.isfinite(summary["best"]["loss"])
    predictor = noncoder.load(config.run)
    assert (len(predictor.tasks), predictor.window) == (TASKS, WINDOW)
    torch.manual_seed(config.seed)
    untrained = dict(create_model(config.model.name, TASKS, WINDOW, config.model.parameters).named_parameters())
    still = [name for name, p in predictor.model.named_parameters() if torch.equal(p, untrained[name])]
    assert not still


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_two_steps_of_small_batches(path: Path, folder: Path) -> None:
    store = store_of(folder / "store.zarr", n_train=8)
    small = ["batch_size=4", "accumulate=1", "epochs=1", "validations=1", "precision=32-true", "device=cpu",
             "one_class=keep"]  # fmt: skip
    config = read_recipe(path, [f"data.store={store}", f"run={folder / 'run'}", *(f"train.{key}" for key in small)])
    check_two_steps(config)


@pytest.mark.long
@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_two_steps_of_the_papers_batches(path: Path, folder: Path) -> None:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    if path.stem == "chromdl" and memory < 60:
        pytest.skip("500 windows of ChromDL take more than 22 GB, and this machine might end the whole test run")
    settings = read_recipe(path).train
    store = store_of(folder / "store.zarr", n_train=2 * settings.batch_size * settings.accumulate)
    once = ["epochs=1", "validations=1"]
    config = read_recipe(path, [f"data.store={store}", f"run={folder / 'run'}", *(f"train.{key}" for key in once)])
    check_two_steps(config)


def test_there_is_a_recipe_for_each() -> None:
    assert len(RECIPES) == 9 + 1  # of the models, and the one that rebuilds the data

"""Tasks of which the training split has one class: refused before anything is computed, or left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import noncoder
from noncoder.config import RunConfig, validate
from noncoder.errors import InputError
from noncoder.pipeline.evaluating import evaluate_run
from noncoder.pipeline.running import run_recipe
from noncoder.train import train
from noncoder.train.lr_range_test import Ramp, find_learning_rate
from tests.conftest import listing
from tests.data.test_classes import lopsided
from tests.train.making import COMPACT, summary_of

NAMES = [f"t{i}" for i in range(11) if i not in (2, 3)]


def recipe(folder: Path, **settings: object) -> RunConfig:
    values = {
        "run": folder / "run",
        "data": {"store": folder / "s.zarr"},
        "model": COMPACT,
        "train": {"epochs": 1, "batch_size": 8, "precision": "32-true", "device": "cpu"} | settings,
        "evaluate": {"splits": ["valid", "test"], "resamples": 0},
        "interpret": {"windows": 0},
    }
    return validate(RunConfig, values, origin="test")


def test_it_is_refused_before_anything_is_computed(tmp_path: Path) -> None:
    lopsided(tmp_path / "s.zarr")
    config = recipe(tmp_path)
    for step in (train, run_recipe):
        with pytest.raises(InputError) as caught:
            step(config)
        assert caught.value.found.endswith("1 task has no positive (t2), 1 task has no negative (t3)")
        assert not (tmp_path / "run").exists() or listing(tmp_path / "run") in ([], [".lock"])
    with pytest.raises(InputError, match="no positive"):
        find_learning_rate(config, tmp_path / "lr", Ramp(1e-4, 1e-1, 20))
    assert not (tmp_path / "lr").exists()


def test_kept_tasks_are_trained_like_others(tmp_path: Path) -> None:
    store = lopsided(tmp_path / "s.zarr")
    train(recipe(tmp_path, one_class="keep"))
    assert noncoder.load(tmp_path / "run").tasks == store.tasks


def test_left_out_tasks_are_no_tasks_of_the_predictor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = lopsided(tmp_path / "s.zarr")
    weights = tmp_path / "w.tsv"
    weights.write_text("task\tweight\nt2\t3\nt4\t2\n")
    config = recipe(tmp_path, one_class="leave-out", loss={"task_weights": "file", "weights_file": weights})
    summary = summary_of(config)
    assert summary["left_out"] == ["t2", "t3"]
    assert "2 tasks with labels of one class only are left out of training (t2, t3)" in capsys.readouterr().err
    predictor = noncoder.load(config.run)
    assert [task.name for task in predictor.tasks] == NAMES
    assert predictor.predict(["ACGT" * 5]).shape == (1, 9)
    valid, test = evaluate_run(config.run, config.evaluate, config.store)
    assert valid.tasks == test.tasks == 9
    logits = predictor.predict_store(store, store.indices("test"), "forward")
    assert logits.shape == (20, 9)
    assert np.isfinite(logits).all()


def test_the_whole_road_with_tasks_left_out(tmp_path: Path) -> None:
    lopsided(tmp_path / "s.zarr")
    done = run_recipe(recipe(tmp_path, one_class="leave-out"))
    assert Path(done["report"]).is_file()
    assert done["evaluate"]["test"]["tasks"] == 9

"""Trainings on awkward splits go to their end: a validation of one class, a last window by itself."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from noncoder.cli import app
from noncoder.compare.compared_run import read_run_folder
from noncoder.compare.comparison_text import comparison_text
from noncoder.config import write_recipe
from noncoder.data.store import Store
from noncoder.errors import ConfigError
from noncoder.models import create_model, list_models
from noncoder.runs.folder import RunFolder
from noncoder.train import train
from noncoder.train.lr_range_test import Ramp, find_learning_rate
from noncoder.train.prepare import norms_of_single_values, prepare, read_passes
from tests.conftest import make_store, random_genome
from tests.train.making import make_recipe, rows, same_weights, summary_of, weights
from tests.train.test_devices import in_two_processes

# A batch norm of (N, F), behind the pooling.
NORMED = {"name": "ncnet-brr", "parameters": {"stem": 4, "widths": [4, 4], "units": 2, "hidden": 4}}


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """33 training windows."""
    return store_of(tmp_path_factory.mktemp("odd") / "s.zarr", 33).path


def store_of(path: Path, train: int, valid: tuple[int, ...] = (0, 1, 0, 1), width: int = 60) -> Store:
    n = train + len(valid)
    labels = np.array([i % 2 for i in range(train)] + list(valid), dtype=np.uint8)[:, None]
    return make_store(
        path, random_genome({"a": width * n}), [("a", width * i) for i in range(n)], labels, window=width, bin=20,
        split=np.repeat([0, 1], [train, len(valid)]).astype(np.uint8),
    )  # fmt: skip


class TestOneClass:
    """No task of the validation split has both classes: AUROC and average precision are undefined."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Path:
        return store_of(tmp_path / "s.zarr", 33, valid=(1, 1, 1, 1)).path

    @pytest.mark.parametrize(
        "settings",
        [
            {}, {"monitor": "loss"}, {"decay": "plateau", "decay_patience": 1, "decay_factor": 0.5}, {"average": 0.5},
            {"average_last": 0.5}, {"patience": 1},
        ],
        ids=str,
    )  # fmt: skip
    def test_the_weights_of_the_lowest_loss_are_kept(
        self, tmp_path: Path, store: Path, settings: dict[str, Any], capsys: pytest.CaptureFixture[str]
    ) -> None:
        config = make_recipe(tmp_path / "run", store, epochs=4, learning_rate=0.03, **settings)
        summary = summary_of(config)
        best = summary["best"]
        assert (best["auroc"], best["average_precision"]) == (None, None)
        found = rows(RunFolder(config.run).train.validations)
        losses = {int(row["step"]): float(row["loss"]) for row in found}
        assert best["step"] == min(losses, key=lambda step: losses[step])
        assert best["loss"] == pytest.approx(min(losses.values()))
        said = capsys.readouterr().err
        assert "AUROC and average precision are undefined there" in said
        assert ("the weights of the lowest validation loss are kept" in said) == (settings.get("monitor") != "loss")
        assert said.count("AUROC and AP undefined") == len(found)
        assert said.count("nan") == 0

    def test_the_verbs_that_follow(self, tmp_path: Path, store: Path) -> None:
        config = make_recipe(tmp_path / "run", store, epochs=1)
        (tmp_path / "r.yaml").write_text(write_recipe(config))
        run, call = str(config.run), CliRunner().invoke
        done = call(app, ["train", str(tmp_path / "r.yaml")])
        assert done.exit_code == 0, done.output
        assert "AUROC and AP undefined" in done.output
        measured = call(app, ["evaluate", run, "--split", "valid", "--json"])
        assert json.loads(measured.stdout)["mean"]["auroc"] is None
        assert call(app, ["report", run]).exit_code == 0
        compared = call(app, ["compare", run, "--out", str(tmp_path / "c.html")])
        assert compared.exit_code == 0, compared.output
        (tmp_path / "s.yaml").write_text("train.l1: [0, 0.1]")
        tuned = call(app, ["tune", str(tmp_path / "r.yaml"), "--space", str(tmp_path / "s.yaml")])
        assert "no task of the validation split" in str(tuned.exception)
        assert "train.monitor: loss" in str(tuned.exception)
        assert not list(tmp_path.rglob("trials"))

    def test_a_run_that_goes_on_is_compared_by_its_loss(self, tmp_path: Path, store: Path) -> None:
        config = make_recipe(tmp_path / "run", store, epochs=3, learning_rate=0.03)
        train(config)
        RunFolder(config.run).train.summary.unlink()
        run = read_run_folder(config.run, "run")
        losses = run.valid["loss"]
        assert run.best == {
            "step": run.valid["step"][losses.argmin()], "loss": losses.min(), "auroc": None, "average_precision": None,
        }  # fmt: skip
        row: dict[str, Any] = {"name": "a", "state": "running", "model": None, "best": run.best}
        row |= dict.fromkeys(("parameters", "windows_per_second", "epochs", "seconds"), 1)
        assert "nan" not in comparison_text({"runs": [row], "reach": None, "warnings": []})


class TestLastWindow:
    """33 windows in batches of 16: the last window goes with the second batch."""

    @pytest.mark.parametrize(
        "settings",
        [
            {}, {"accumulate": 2}, {"mixup": 0.4}, {"resample": 0.5}, {"average_last": 0.5}, {"average": 0.9},
            {"l1": 0.01, "max_norm": 1.0},
        ],
        ids=str,
    )  # fmt: skip
    def test_a_batch_norm_trains(self, tmp_path: Path, odd: Path, settings: dict[str, Any]) -> None:
        config = make_recipe(tmp_path / "run", odd, NORMED, **settings)
        summary = summary_of(config)
        assert summary["epochs"] == pytest.approx(2)
        assert all(math.isfinite(float(value.float().sum())) for value in weights(config.run).values())

    def test_resumed_it_ends_as_if_it_had_not_been_cut_off(self, tmp_path: Path, odd: Path) -> None:
        settings = {"validations": 0.5, "epochs": 4, "mixup": 0.3}
        whole = make_recipe(tmp_path / "whole", odd, NORMED, **settings)
        train(whole)
        cut = make_recipe(tmp_path / "cut", odd, NORMED, **settings)
        train(cut, on_validation=lambda row: True)
        assert not RunFolder(cut.run).train.summary.exists()
        train(cut)
        assert same_weights(whole.run, cut.run)

    def test_two_processes_train_too(self, tmp_path: Path, odd: Path) -> None:
        # Batches of 2 and one of 3, of which a process has a window of its own or none.
        config = make_recipe(tmp_path / "two", odd, NORMED, batch_size=2, l1=0.01, epochs=1)
        done = in_two_processes(config, tmp_path / "r.yaml")
        assert done.returncode == 0, done.stderr
        assert all(math.isfinite(float(value.float().sum())) for value in weights(config.run).values())

    def test_the_range_test_too(self, tmp_path: Path, odd: Path) -> None:
        config = make_recipe(tmp_path / "run", odd, NORMED)
        assert len(find_learning_rate(config, tmp_path / "lr", Ramp(1e-4, 1e-2, 20)).losses) == 20


class TestTooSmall:
    def test_batches_of_one_are_refused_before_training(self, tmp_path: Path) -> None:
        store = store_of(tmp_path / "s.zarr", 9)
        config = make_recipe(tmp_path / "run", store.path, NORMED, batch_size=1)
        with pytest.raises(ConfigError, match=r"train\.batch_size is 1.*batch norm"):
            train(config)
        assert not config.run.exists()

    def test_so_is_a_single_window(self, tmp_path: Path) -> None:
        store = store_of(tmp_path / "s.zarr", 1)
        with pytest.raises(ConfigError, match=r"the training split has one window.*batch norm"):
            read_passes(make_recipe(tmp_path / "run", store.path, NORMED), store)

    def test_without_such_a_norm_they_are_not(self, tmp_path: Path) -> None:
        store = store_of(tmp_path / "s.zarr", 3)
        assert summary_of(make_recipe(tmp_path / "run", store.path, batch_size=1, epochs=1))["steps"] == 3

    def test_the_first_weights_are_the_same_whether_it_was_looked_or_not(self, tmp_path: Path) -> None:
        store = store_of(tmp_path / "s.zarr", 4)
        one, other = (prepare(make_recipe(tmp_path / "run", store.path, batch_size=size), store) for size in (1, 2))
        assert all(torch.equal(a, b) for a, b in zip(one.model.parameters(), other.model.parameters(), strict=True))

    def test_norms_that_need_several_windows_are_found(self) -> None:
        for name in list_models():
            model = create_model(name, 2, 1000)
            norms = norms_of_single_values(model)
            x = torch.zeros(1, 4, 1000)
            model.train()
            if norms:
                with pytest.raises(ValueError, match="more than 1 value per channel"):
                    model(x)
            else:
                model(x)

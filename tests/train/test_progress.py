"""Loggers and the flow of gradients: they tell what happened and change nothing of it."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from importlib.util import find_spec as really_find
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from noncoder.config import RunConfig, SimulateConfig, validate
from noncoder.data.simulate import simulate_store
from noncoder.errors import ConfigError, InputError
from noncoder.report import write_report
from noncoder.runs.folder import RunFolder
from noncoder.train import progress, train
from noncoder.train.checkpoint import LastCheckpoint
from noncoder.train.flow import read_flow
from noncoder.train.gradient_flow import GradientFlow, is_due
from tests.train.making import summary_of

TINY = {"channels": 8, "dilations": [1], "heads": 2}


@pytest.fixture(scope="module")
def store_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "sim.zarr"
    simulate_store(SimulateConfig(windows=200, tasks=3, window=200, bin=100, chromosomes=5), path)
    return path


@pytest.fixture
def recipe(tmp_path: Path, store_path: Path) -> Callable[..., RunConfig]:
    def make(run: str = "run", watch: dict[str, Any] | None = None, **settings: Any) -> RunConfig:
        values = {
            "run": tmp_path / run,
            "data": {"store": store_path},
            "model": {"parameters": TINY},
            "train": {"epochs": 2, "batch_size": 16, "precision": "32-true", "watch": {"loggers": []} | (watch or {})}
            | settings,
        }
        return validate(RunConfig, values, origin="test")

    return make


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def weights(config: RunConfig) -> dict[str, torch.Tensor]:
    return load_file(RunFolder(config.run).predictor.weights)


def interrupt_and_go_on(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some steps after the last save it fails; then it is trained to its end."""
    save = LastCheckpoint.on_train_batch_end

    def save_and_fail(self: LastCheckpoint, *args: Any) -> None:
        save(self, *args)
        if self.batches == 13:
            assert self.saved
            raise RuntimeError("the power is gone")

    with monkeypatch.context() as patch:
        patch.setattr(LastCheckpoint, "on_train_batch_end", save_and_fail)
        with pytest.raises(RuntimeError, match="power"):
            train(config)
    train(config)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A figure takes longer than these trainings."""
    monkeypatch.setattr(GradientFlow, "draw", lambda *_: None)


class TestGradients:
    @pytest.mark.usefixtures("undrawn")
    def test_are_written_for_every_parameter_at_the_chosen_steps(self, recipe: Callable[..., RunConfig]) -> None:
        config = recipe(watch={"gradients_every": 4})
        summary = summary_of(config)
        found = rows(RunFolder(config.run).train.gradients)
        steps = sorted({int(row["step"]) for row in found})
        assert steps == list(range(4, summary["steps"] + 1, 4))
        names = [name for name, value in weights(config).items() if value.is_floating_point()]
        assert {row["parameter"] for row in found} <= set(names)
        assert "stem.weight" in {row["parameter"] for row in found}
        assert all(float(row["gradient_max"]) >= float(row["gradient_mean"]) > 0 for row in found)
        assert {int(row["windows"]) for row in found} == {4 * 16, 120, 120 + 4 * 16, 240}

    @pytest.mark.usefixtures("undrawn")
    def test_of_plain_descent_move_the_weights_by_the_rate(self, recipe: Callable[..., RunConfig]) -> None:
        settings = {"optimizer": "sgd", "momentum": 0, "clip": 0, "weight_decay": 0, "warmup": 0, "decay": "constant"}
        config = recipe(watch={"gradients_every": 1}, epochs=1, learning_rate=0.01, accumulate=2, **settings)
        train(config)
        flow = read_flow(RunFolder(config.run).train.gradients)
        assert flow is not None
        # Weights are float32, of which a small update shows few digits. From zero there is no ratio.
        moved = np.nan_to_num(flow.update_ratio) * flow.weight_mean
        there = flow.weight_mean > 0
        np.testing.assert_allclose(moved[there], 0.01 * flow.gradient_mean[there], rtol=0.02, atol=1e-8)
        assert there.sum() > there.size / 2

    @pytest.mark.usefixtures("undrawn")
    def test_are_measured_before_clipping(self, recipe: Callable[..., RunConfig]) -> None:
        first = []
        for clip in (0, 1e-3):
            config = recipe(f"clip{clip}", watch={"gradients_every": 1}, epochs=0.5, clip=clip, average=0)
            train(config)
            flow = read_flow(RunFolder(config.run).train.gradients)
            assert flow is not None
            first.append(flow.gradient_mean[0])
        np.testing.assert_array_equal(first[0], first[1])

    @pytest.mark.usefixtures("undrawn")
    def test_do_not_change_what_is_learned(self, recipe: Callable[..., RunConfig]) -> None:
        watched, alone = recipe("a", watch={"gradients_every": 1}), recipe("b", watch={"gradients_every": 0})
        train(watched)
        train(alone)
        a, b = weights(watched), weights(alone)
        assert all(torch.equal(a[name], b[name]) for name in a)
        assert not RunFolder(alone.run).train.gradients.exists()

    @pytest.mark.usefixtures("undrawn")
    def test_of_an_interrupted_training_are_those_of_a_whole_one(
        self, recipe: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        watch = {"gradients_every": 1}
        whole, broken = recipe("whole", watch=watch, epochs=3), recipe("broken", watch=watch, epochs=3)
        train(whole)
        interrupt_and_go_on(broken, monkeypatch)
        a, b = (RunFolder(c.run).train.gradients.read_text() for c in (whole, broken))
        assert a == b

    def test_are_drawn(self, recipe: Callable[..., RunConfig]) -> None:
        config = recipe(watch={"gradients_every": 5})
        train(config)
        folder = RunFolder(config.run).train.path
        assert (folder / "gradients.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (folder / "gradients.svg").read_text()
        flow = read_flow(folder / "gradients.csv")
        assert flow is not None
        assert flow.steps.tolist() == [5, 10, 15]
        assert flow.names[0] == "stem.weight"
        assert not any(name.endswith("bias") for name in flow.names)

    def test_of_a_short_training_are_written_but_drawn_in_the_report_alone(
        self, recipe: Callable[..., RunConfig]
    ) -> None:
        config = recipe()
        train(config)
        folder = RunFolder(config.run).train.path
        flow = read_flow(folder / "gradients.csv")
        assert flow is not None
        assert flow.steps.tolist() == [1, 2, 5, 10]
        assert not (folder / "gradients.png").exists()
        assert "gradients, weights and updates of every layer" in write_report(config.run).read_text()

    def test_half_a_row_is_left_out(self, tmp_path: Path) -> None:
        path = tmp_path / "gradients.csv"
        head = "step,epoch,windows,parameter,dims,gradient_mean,gradient_max,weight_mean,update_ratio\n"
        path.write_text(head + "1,0.1,16,a.weight,2,0.1,0.2,0.3,0.01\n1,0.1,16,b.wei")
        flow = read_flow(path)
        assert flow is not None
        assert flow.names == ["a.weight"]
        path.write_text(head)
        assert read_flow(path) is None
        assert read_flow(tmp_path / "none.csv") is None
        path.write_text("something,else\n1,2\n")
        with pytest.raises(InputError, match="cannot be read"):
            read_flow(path)

    @given(st.integers(1, 10**7))
    def test_chosen_steps_by_the_logarithm_are_three_a_decade(self, step: int) -> None:
        decade = 10 ** int(math.log10(step) + 1e-9)
        assert is_due(step, "log") == (step in (decade, 2 * decade, 5 * decade))
        assert not is_due(step, 0)
        assert is_due(step, step)


class TestLoggers:
    def test_one_that_is_not_installed_is_told_before_anything_is_done(
        self, recipe: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(progress, "find_spec", lambda name: None if name == "wandb" else really_find(name))
        config = recipe(watch={"loggers": "wandb"})
        with pytest.raises(ConfigError, match=r"pip install 'noncoder\[wandb\]'"):
            train(config)
        assert not config.run.exists()

    def test_an_unknown_one_is_told(self, recipe: Callable[..., RunConfig]) -> None:
        with pytest.raises(ConfigError, match=r"train\.watch\.loggers.*'wandb'.*not 'wandv'"):
            recipe(watch={"loggers": ["wandv"]})

    def test_none_leaves_the_csv_logs(self, recipe: Callable[..., RunConfig]) -> None:
        config = recipe(epochs=1)
        train(config)
        names = {path.name for path in RunFolder(config.run).train.path.iterdir()}
        assert {"log.csv", "valid.csv"} <= names
        assert not {"tensorboard", "wandb", "loggers.json"} & names

    @pytest.mark.usefixtures("undrawn")
    def test_watching_in_another_way_does_not_keep_a_training_from_going_on(
        self, recipe: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = recipe(epochs=3)
        save = LastCheckpoint.on_train_batch_end

        def save_and_fail(self: LastCheckpoint, *args: Any) -> None:
            save(self, *args)
            if self.batches == 13:
                raise RuntimeError("the power is gone")

        with monkeypatch.context() as patch:
            patch.setattr(LastCheckpoint, "on_train_batch_end", save_and_fail)
            with pytest.raises(RuntimeError, match="power"):
                train(first)
        begun = RunFolder(first.run).train.last.stat().st_mtime_ns
        assert begun
        summary = summary_of(recipe(epochs=3, watch={"gradients_every": 1}))
        assert summary["epochs"] == pytest.approx(3, abs=0.4)
        first_row = rows(RunFolder(first.run).train.log)[0]
        assert int(first_row["step"]) == 1  # of the first part, which was kept

    def test_what_is_known_at_the_start_is_written(self, recipe: Callable[..., RunConfig]) -> None:
        config = recipe(epochs=1)
        summary = summary_of(config)
        started = json.loads(RunFolder(config.run).train.started.read_text())
        assert started["n_parameters"] == summary["n_parameters"]
        assert started["store_digest"] == summary["store_digest"]
        assert 0 < started["positives_per_window"] < 3


def stored(path: Path) -> bytes:
    """What Weights & Biases keeps for its server: records that are cut at the ends of blocks of 32 KiB, joined."""
    content, at, parts = path.read_bytes(), 7, []
    while at + 7 <= len(content):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        end = at + 7 + int.from_bytes(content[at + 4 : at + 6], "little")
        parts.append(content[at + 7 : end])
        at = end
    return b"".join(parts)


# What the packages themselves warn of is not ours to fix.
@pytest.mark.filterwarnings("ignore")
class TestTrackers:
    def test_weights_and_biases_offline_gets_one_run_of_an_interrupted_training(
        self, recipe: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wandb = pytest.importorskip("wandb")
        monkeypatch.setenv("WANDB_MODE", "offline")
        monkeypatch.setenv("WANDB_SILENT", "true")
        config = recipe(watch={"loggers": "wandb", "project": "here", "gradients_every": 5}, epochs=3)
        interrupt_and_go_on(config, monkeypatch)
        assert wandb.run is None  # it has ended in this process
        folder = RunFolder(config.run).train.path
        identity = json.loads((folder / "loggers.json").read_text())["wandb"]
        parts = sorted((folder / "wandb").glob("offline-run-*"))
        assert len(parts) >= 1
        assert all(part.name.endswith(f"-{identity}") for part in parts)
        records = b"".join(stored(part / f"run-{identity}.wandb") for part in parts)
        for key in (b"valid/average_precision", b"train/loss", b"gradient_mean/stem.weight", b"best/auroc"):
            assert key in records
        assert list(folder.glob("wandb/offline-run-*/files/media/images/gradient flow*.png"))

    def test_mlflow_gets_one_run_of_an_interrupted_training(
        self, recipe: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        tracking = pytest.importorskip("mlflow.tracking")
        pytest.importorskip("sqlalchemy")
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        config = recipe(watch={"loggers": "mlflow", "name": "first", "gradients_every": 5}, epochs=3)
        interrupt_and_go_on(config, monkeypatch)
        client = tracking.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
        experiment = client.get_experiment_by_name("noncoder")
        (run,) = client.search_runs([experiment.experiment_id])
        assert (run.info.run_name, run.info.status) == ("first", "FINISHED")
        assert run.data.params["train/epochs"] == "3.0"
        folder = RunFolder(config.run).train.path
        told = {m.step: m.value for m in client.get_metric_history(run.info.run_id, "valid/auroc")}
        valid = {int(row["step"]): float(row["auroc"]) for row in rows(folder / "valid.csv")}
        assert told == pytest.approx(valid, abs=1e-5)
        assert run.data.metrics["best/average_precision"] == pytest.approx(max(
            float(row["average_precision"]) for row in rows(folder / "valid.csv")), abs=1e-5)  # fmt: skip
        assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["gradients.png"]
        assert (tmp_path / "mlartifacts").is_dir()
        # Told somewhere else, it is another run there.
        elsewhere = recipe(watch={"loggers": "mlflow", "tracking": f"sqlite:///{tmp_path / 'other.db'}"})
        (logger,) = progress.make_loggers(elsewhere, RunFolder(config.run))
        assert logger.version != run.info.run_id
        (logger,) = progress.make_loggers(config, RunFolder(config.run))
        assert logger.version == run.info.run_id

    def test_a_tracker_that_goes_away_does_not_end_a_training(
        self, recipe: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        exceptions = pytest.importorskip("mlflow.exceptions")
        pytest.importorskip("sqlalchemy")
        from mlflow.tracking import MlflowClient

        def gone(*_: Any, metrics: Any = (), **__: Any) -> None:
            if metrics:
                raise exceptions.MlflowException("no answer")

        monkeypatch.setattr(MlflowClient, "log_batch", gone)
        summary = summary_of(recipe(watch={"loggers": ["mlflow"]}, epochs=1))
        assert summary["stopped"] == "all steps done"
        assert capsys.readouterr().err.count("MLflow failed") == 1

    def test_a_place_that_cannot_be_used_is_told(self, recipe: Callable[..., RunConfig]) -> None:
        pytest.importorskip("mlflow")
        with pytest.raises(ConfigError, match="MLflow cannot use nonsense"):
            train(recipe(watch={"loggers": ["mlflow"], "tracking": "nonsense://there"}))

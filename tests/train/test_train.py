from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import noncoder
from noncoder.config import RunConfig, TrainConfig, read_recipe, write_recipe
from noncoder.errors import ConfigError, InputError, StoreError
from noncoder.files import read_json
from noncoder.losses import binary_cross_entropy
from noncoder.metrics import rank
from noncoder.runs.folder import RunFolder
from noncoder.runs.run_recipe import read_run
from noncoder.train import train
from noncoder.train.checkpoint import LastCheckpoint
from noncoder.train.claim import is_trained
from noncoder.train.device import choose_precision
from noncoder.train.ranks import find_world
from tests.train.making import summary_of


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_training_leaves_a_predictor_logs_and_a_summary(recipe: Callable[..., RunConfig], store_path: Path) -> None:
    config = recipe(validations=2)
    summary = summary_of(config)
    folder = RunFolder(config.run)
    assert read_json(folder.train.summary) == summary
    store, predictor = noncoder.open_store(store_path), noncoder.load(config.run)
    batches = -(-store.indices("train").size // 16)
    assert summary["steps"] == 2 * batches
    assert summary["epochs"] == pytest.approx(2)
    assert predictor.info["store_digest"] == store.digest
    assert predictor.tasks == store.tasks
    logged, valid = rows(folder.train.log), rows(folder.train.validations)
    assert int(logged[-1]["windows"]) == 2 * store.indices("train").size
    assert [int(row["step"]) for row in valid] == [batches // 2, batches, batches + batches // 2, 2 * batches]
    assert all(float(row["loss"]) > 0 for row in logged)
    assert read_run(config.run) == config


def test_the_kept_weights_are_those_of_the_best_validation(recipe: Callable[..., RunConfig], store_path: Path) -> None:
    config = recipe(learning_rate=0.01, validations=2)
    summary = summary_of(config)
    valid = rows(RunFolder(config.run).train.validations)
    assert summary["best"]["average_precision"] == max(float(row["average_precision"]) for row in valid)
    store = noncoder.open_store(store_path)
    indices = store.indices("valid")
    logits = noncoder.load(config.run).predict_store(store, indices, "forward")
    measured = rank(logits, store.read_labels(indices))
    assert np.nanmean(measured.average_precision) == pytest.approx(summary["best"]["average_precision"], abs=1e-5)
    assert np.nanmean(measured.auroc) == pytest.approx(summary["best"]["auroc"], abs=1e-5)


def test_training_learns(recipe: Callable[..., RunConfig]) -> None:
    config = recipe(epochs=12, learning_rate=0.01, patience=12)
    train(config)
    losses = [float(row["loss"]) for row in rows(RunFolder(config.run).train.log)]
    assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:10])


def test_the_same_seed_gives_the_same_weights(recipe: Callable[..., RunConfig]) -> None:
    first, second = recipe("a", shift=4), recipe("b", shift=4)
    train(first)
    train(second)
    a, b = (load_file(RunFolder(c.run).predictor.weights) for c in (first, second))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_averaged_weights_are_those_validated_and_kept(recipe: Callable[..., RunConfig], store_path: Path) -> None:
    config = recipe(average=0.9, learning_rate=0.01)
    summary = summary_of(config)
    store = noncoder.open_store(store_path)
    logits = noncoder.load(config.run).predict_store(store, store.indices("valid"), "forward")
    measured = rank(logits, store.read_labels(store.indices("valid")))
    assert np.nanmean(measured.average_precision) == pytest.approx(summary["best"]["average_precision"], abs=1e-5)


def test_the_last_bias_starts_at_the_share_of_positives(recipe: Callable[..., RunConfig], store_path: Path) -> None:
    config = recipe(learning_rate=1e-9, epochs=1)
    train(config)
    store, predictor = noncoder.open_store(store_path), noncoder.load(config.run)
    share = store.positives("train") / store.indices("train").size
    np.testing.assert_allclose(torch.sigmoid(predictor.model.output.bias).detach().numpy(), share, rtol=1e-4)


@pytest.mark.parametrize(("start", "share"), [(0.02, 0.02), ("zero", 0.5)])
def test_the_last_bias_starts_at_a_number(recipe: Callable[..., RunConfig], start: float | str, share: float) -> None:
    config = recipe(learning_rate=1e-9, epochs=1, output_bias=start)
    train(config)
    bias = noncoder.load(config.run).model.output.bias
    np.testing.assert_allclose(torch.sigmoid(bias).detach().numpy(), share, rtol=1e-4)


def test_the_lowest_loss_can_decide_which_weights_are_kept(recipe: Callable[..., RunConfig]) -> None:
    # A rate so high that the loss grows while the ranking still gets better.
    kept = {}
    for monitor in ("loss", "average_precision"):
        config = recipe(monitor, monitor=monitor, epochs=8, learning_rate=0.03, validations=2, patience=16)
        summary = summary_of(config)
        valid = rows(RunFolder(config.run).train.validations)
        best = (min if monitor == "loss" else max)(float(row[monitor]) for row in valid)
        assert summary["best"][monitor] == best
        kept[monitor] = summary["best"]["step"]
    assert kept["loss"] != kept["average_precision"], "the two choose alike here"


def test_norms_are_limited_in_the_kept_weights(recipe: Callable[..., RunConfig]) -> None:
    config = recipe(max_norm=0.2, epochs=1)
    train(config)
    model = noncoder.load(config.run).model
    norms = [float(part.weight.detach().flatten(1).norm(dim=1).max()) for part in model.modules()
             if isinstance(part, torch.nn.Conv2d | torch.nn.Linear)]  # fmt: skip
    assert max(norms) == pytest.approx(0.2, rel=1e-3)


def test_accumulated_batches_count_as_one_step(recipe: Callable[..., RunConfig], store_path: Path) -> None:
    summary = summary_of(recipe(epochs=1, accumulate=3))
    batches = -(-noncoder.open_store(store_path).indices("train").size // 16)
    assert summary["steps"] == -(-batches // 3)


def test_tensorboard_gets_the_curves_where_it_is_installed(recipe: Callable[..., RunConfig]) -> None:
    event_files = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    config = recipe(epochs=1)
    train(config)
    events = event_files.EventAccumulator(str(RunFolder(config.run).train.path / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["scalars"]) >= {"train/loss", "valid/loss", "valid/auroc", "valid/average_precision"}
    last = rows(RunFolder(config.run).train.validations)[-1]
    assert events.Scalars("valid/auroc")[-1].value == pytest.approx(float(last["auroc"]), abs=1e-4)


def test_early_stopping_says_why(recipe: Callable[..., RunConfig]) -> None:
    summary = summary_of(recipe(epochs=30, patience=1, learning_rate=1e-9))
    assert summary["stopped"] == "no better validation in 1"
    assert summary["epochs"] < 30


def test_a_killed_training_goes_on_and_ends_as_if_it_had_not_been(
    recipe: Callable[..., RunConfig], tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"epochs": 3, "shift": 3, "accumulate": 2, "average": 0.8, "validations": 0.7}
    whole, broken = recipe("whole", **settings), recipe("broken", **settings)
    train(whole)
    path = tmp_path / "broken.yaml"
    path.write_text(write_recipe(broken))
    command = [sys.executable, "-m", "noncoder", "train", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    last = RunFolder(broken.run).train.last
    while process.poll() is None and not last.exists():
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it ended before it could be killed"
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    a, b = (load_file(RunFolder(c.run).predictor.weights) for c in (whole, broken))
    assert all(torch.equal(a[name], b[name]) for name in a)
    logs = [rows(RunFolder(c.run).train.log) for c in (whole, broken)]
    assert [(r["windows"], r["loss"]) for r in logs[0]] == [(r["windows"], r["loss"]) for r in logs[1]]


PAPERS: list[dict[str, Any]] = [
    {"optimizer": "sgd", "momentum": 0.9, "dampening": 0.9, "learning_rate": 0.5, "max_norm": 0.5, "l1": 1e-4,
     "decay": "inverse", "decay_rate": 0.01, "weight_decay": 1e-4},
    {"optimizer": "keras-rmsprop", "epsilon": 1e-5, "decay": "step", "monitor": "loss", "warmup_steps": 5,
     "accumulate": 2},
    {"optimizer": "adam", "amsgrad": True, "betas": [0.5, 0.9], "weight_decay": 1e-3, "output_bias": 0.02},
]  # fmt: skip

# Every choice of optimiser, schedule, average, loss, drawing and change is in one of these or of those above.
CHOICES: list[dict[str, Any]] = [
    {"optimizer": "muon", "decay": "one-cycle", "cycle_momentum": [0.95, 0.85], "loss": "asymmetric", "mixup": 0.4,
     "average_last": 0.5, "validations": 2},
    {"optimizer": "adamw", "decay": "plateau", "decay_patience": 1, "decay_factor": 0.5, "monitor": "loss",
     "learning_rate": 0.05, "validations": 4, "loss": {"kind": "focal", "smoothing": 0.05}, "augment": "evoaug",
     "resample": 0.5, "warmup_steps": 3, "patience": 99},
    {"optimizer": "rmsprop", "decay": "cyclical", "cycle_shape": "triangular2", "cycle_passes": 0.7, "average": 0.9,
     "loss": {"positive_weight": 8, "task_weights": "effective-number"}, "random_strand": False,
     "augment": {"inversion": 20, "mutation": 0.1, "finetune": 0.4}},
]  # fmt: skip


@pytest.mark.parametrize(
    "settings", PAPERS + CHOICES, ids=[str(settings["optimizer"]) for settings in PAPERS + CHOICES]
)
def test_each_choice_goes_on_as_if_it_had_not_been_interrupted(
    recipe: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    whole, broken = recipe("whole", epochs=3, **settings), recipe("broken", epochs=3, **settings)
    train(whole)
    save = LastCheckpoint.on_train_batch_end

    def save_and_fail(self: LastCheckpoint, *args: Any) -> None:
        save(self, *args)
        if self.saved and self.batches == 19:  # in the second pass, some steps after the last save
            raise RuntimeError("the power is gone")

    with monkeypatch.context() as patch:
        patch.setattr(LastCheckpoint, "on_train_batch_end", save_and_fail)
        with pytest.raises(RuntimeError, match="power"):
            train(broken)
    train(broken)
    a, b = (load_file(RunFolder(c.run).predictor.weights) for c in (whole, broken))
    assert all(torch.equal(a[name], b[name]) for name in a)
    logs = [rows(RunFolder(c.run).train.log) for c in (whole, broken)]
    assert [(r["windows"], r["loss"]) for r in logs[0]] == [(r["windows"], r["loss"]) for r in logs[1]]
    assert len({row["learning_rate"] for row in logs[0]}) > 1


def test_ctrl_c_ends_with_one_message_and_training_goes_on(recipe: Callable[..., RunConfig], tmp_path: Path) -> None:
    config = recipe(epochs=200, patience=1000)
    path = tmp_path / "r.yaml"
    path.write_text(write_recipe(config))
    command = [sys.executable, "-m", "noncoder", "train", str(path)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while process.poll() is None and not RunFolder(config.run).train.last.exists():
        time.sleep(0.01)
    saved = RunFolder(config.run).train.last.stat().st_mtime_ns
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert RunFolder(config.run).train.last.stat().st_mtime_ns > saved  # it saved once more, where it stood
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert RunFolder(config.run).train.last.exists()
    assert not RunFolder(config.run).train.summary.exists()


def test_a_finished_training_is_not_overwritten(recipe: Callable[..., RunConfig]) -> None:
    config = recipe(epochs=1)
    first = summary_of(config)
    with pytest.raises(InputError, match="--force"):
        train(config)
    assert summary_of(config, force=True)["started"] >= first["started"]


def test_changed_weights_of_tasks_are_noticed(
    recipe: Callable[..., RunConfig], store_path: Path, tmp_path: Path
) -> None:
    path = tmp_path / "weights.tsv"
    name = noncoder.open_store(store_path).tasks[1].name
    path.write_text(f"task\tweight\n{name}\t3\n")
    config = recipe(epochs=1, loss={"task_weights": "file", "weights_file": str(path)})
    train(config)
    assert is_trained(config, noncoder.open_store(store_path))
    path.write_text(f"task\tweight\n{name}\t4\n")
    with pytest.raises(ConfigError, match=r"made from something else: weights_file has changed"):
        is_trained(config, noncoder.open_store(store_path))
    path.write_text("task\tweight\nnobody\t3\n")
    other = recipe("other", loss={"task_weights": "file", "weights_file": str(path)})
    with pytest.raises(InputError, match="no task is called 'nobody'"):
        train(other)
    assert not RunFolder(other.run).recipe.exists()


def test_validation_tells_the_plain_loss(recipe: Callable[..., RunConfig], store_path: Path) -> None:
    config = recipe(epochs=1, loss={"kind": "focal", "positive_weight": 5, "smoothing": 0.2})
    summary = summary_of(config)
    store = noncoder.open_store(store_path)
    logits = noncoder.load(config.run).predict_store(store, store.indices("valid"), "forward")
    labels = store.read_labels(store.indices("valid"))
    plain = binary_cross_entropy(torch.from_numpy(np.asarray(logits)), torch.from_numpy(labels))
    assert summary["best"]["loss"] == pytest.approx(float(plain), rel=1e-4)


def test_a_changed_recipe_names_what_changed(recipe: Callable[..., RunConfig], store_path: Path) -> None:
    train(recipe(epochs=1))
    changed = recipe(epochs=2)
    with pytest.raises(ConfigError, match=r"train.epochs was 1.0, now 2.0"):
        is_trained(changed, noncoder.open_store(store_path))
    RunFolder(changed.run).train.summary.unlink()  # as if it had been interrupted
    with pytest.raises(ConfigError, match=r"train.epochs was 1.0, now 2.0"):
        train(changed)


def test_a_missing_store_or_split_is_told(recipe: Callable[..., RunConfig], tmp_path: Path) -> None:
    config = recipe().model_copy(update={"data": recipe().data.model_copy(update={"store": tmp_path / "no.zarr"})})
    with pytest.raises(StoreError, match="does not exist"):
        train(config)


def test_a_gpu_that_is_not_there_is_told(recipe: Callable[..., RunConfig]) -> None:
    if torch.cuda.is_available():
        pytest.skip("is not used")
    with pytest.raises(ConfigError, match="no GPU"):
        train(recipe(device="gpu"))


def test_precision_is_taken_as_given_or_chosen() -> None:
    settings = RunConfig(run=Path("x")).train
    assert choose_precision(settings.model_copy(update={"precision": "16-mixed"}), "cpu") == "16-mixed"
    assert choose_precision(settings, "cpu") in ("bf16-mixed", "32-true")


def test_a_folder_that_is_no_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is an empty folder"):
        read_run(tmp_path)


def test_the_written_recipe_is_the_recipe(recipe: Callable[..., RunConfig]) -> None:
    config = recipe(epochs=0.2)
    train(config)
    assert read_recipe(RunFolder(config.run).recipe) == config


def test_more_processes_than_cores_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"train\.devices is 999, but this machine has \d+ CPU cores"):
        find_world(TrainConfig(devices=999))

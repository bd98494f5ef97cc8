"""Training that is killed, interrupted, or finds damaged checkpoints gives the same result as without it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from noncoder.config import read_recipe, write_recipe
from noncoder.data.store import open_store
from noncoder.errors import ConfigError, InputError
from noncoder.files import read_json, write_json
from noncoder.pipeline import run_recipe
from noncoder.runs.folder import RunFolder
from noncoder.train import train
from noncoder.train.checkpoint import LastCheckpoint
from noncoder.train.storage import read_checkpoint, write_checkpoint
from tests.conftest import listing
from tests.train.making import logged, make_recipe, rows, same_weights, simulate, summary_of

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(tmp_path_factory.mktemp("store") / "sim.zarr")


def checkpoints(run: Path) -> dict[str, dict[str, torch.Tensor]]:
    """The weights of each of the best validations; the predictor has those of one alone, which may be an early one."""
    files = RunFolder(run).train.path.glob("best-*.ckpt")
    return {path.name: read_checkpoint(path)["state_dict"] for path in files}


def kill_again_and_again(
    folder: Path, store: Path, kills: int, seed: int, threads: int, **settings: Any
) -> dict[str, int]:
    """How many lives ended at each moment."""
    recipes = [folder / f"{name}.yaml" for name in ("whole", "broken")]
    whole, broken = (make_recipe(folder / path.stem, store, **settings) for path in recipes)
    for path, config in zip(recipes, (whole, broken), strict=True):
        path.write_text(write_recipe(config))
    command = [sys.executable, "-m", "tests.train.killing", *map(str, recipes), str(kills), str(seed)]
    # A number of numba's own, which does not reach torch: on a machine with one core the two would be the same.
    numbers = {"OMP_NUM_THREADS": str(threads), "NUMBA_NUM_THREADS": str(3 - threads)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=os.environ | numbers)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert result["done"], done.stderr
    assert same_weights(whole.run, broken.run)
    assert logged(whole.run) == logged(broken.run)
    one, other = (checkpoints(config.run) for config in (whole, broken))
    assert one.keys() == other.keys()
    for name, weights in one.items():
        assert all(torch.equal(value, other[name][key]) for key, value in weights.items()), name
    summary = read_json(RunFolder(broken.run).train.summary)
    assert summary is not None
    assert summary["threads"] == threads
    killed: dict[str, int] = result["killed"]
    return killed


@pytest.mark.parametrize("threads", [1, 2])
def test_killed_again_and_again_it_ends_bit_identical(tmp_path: Path, store: Path, threads: int) -> None:
    # Batches that a step's number does not divide, averaged weights, dropout, validations between passes.
    settings = {"epochs": 16, "shift": 3, "accumulate": 5, "average": 0.8, "validations": 0.7, "patience": 99,
                "keep_best": 99}  # fmt: skip
    killed = kill_again_and_again(tmp_path, store, kills=6, seed=5, threads=threads, **settings)
    assert {"writing", "before validation", "within validation", "after validation"} <= killed.keys()


@pytest.mark.long
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("seed", range(4))
def test_killed_many_more_times(tmp_path: Path, store: Path, seed: int, threads: int) -> None:
    killed = kill_again_and_again(
        tmp_path, store, kills=25, seed=seed, threads=threads, epochs=40, patience=60, keep_best=3
    )
    assert sum(killed.values()) >= 15


def stop_after(monkeypatch: pytest.MonkeyPatch, config: Any, batches: int) -> None:
    """Trains until so many batches are done, then fails as if the power had gone."""
    save = LastCheckpoint.on_train_batch_end

    def save_and_fail(self: LastCheckpoint, *args: Any) -> None:
        save(self, *args)
        self._rest_until = 0.0
        if self.batches == batches:
            raise RuntimeError("the power is gone")

    with monkeypatch.context() as patch:
        patch.setattr(LastCheckpoint, "on_train_batch_end", save_and_fail)
        with pytest.raises(RuntimeError, match="power"):
            train(config)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink])
def test_a_damaged_last_checkpoint_falls_back_to_the_one_before(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], damage: Any
) -> None:
    whole, broken = (make_recipe(tmp_path / name, store) for name in ("whole", "broken"))
    train(whole)
    stop_after(monkeypatch, broken, 15)
    folder = RunFolder(broken.run)
    damage(folder.train.last)
    capsys.readouterr()
    train(broken)
    told = capsys.readouterr().err
    assert ("last.ckpt is damaged" in told) == (damage is not Path.unlink)
    assert same_weights(whole.run, broken.run)
    assert logged(whole.run) == logged(broken.run)
    assert not folder.train.previous.exists()


def test_two_damaged_checkpoints_are_one_clear_error(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_recipe(tmp_path / "run", store)
    stop_after(monkeypatch, config, 15)
    folder = RunFolder(config.run)
    flip(folder.train.last)
    cut(folder.train.previous)
    with pytest.raises(InputError, match=r"(?s)last.ckpt: its content.*previous.ckpt: its end is missing.*--force"):
        train(config)
    assert summary_of(config, force=True)["steps"] > 0


def test_a_damaged_best_one_is_left_out_and_said(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = make_recipe(tmp_path / "run", store)
    stop_after(monkeypatch, config, 18)
    best = sorted(RunFolder(config.run).train.path.glob("best-*.ckpt"))
    assert best
    for path in best:
        flip(path)
    summary = summary_of(config)
    assert "is not used as a best checkpoint" in capsys.readouterr().err
    assert summary["best"]["step"] > int(best[0].stem.split("-")[1])


def test_the_best_are_kept_by_step(tmp_path: Path, store: Path) -> None:
    config = make_recipe(tmp_path / "run", store, validations=2, keep_best=2, learning_rate=0.01)
    summary = summary_of(config)
    folder = RunFolder(config.run).train.path
    valid = {int(row["step"]): float(row["average_precision"]) for row in rows(folder / "valid.csv")}
    two = sorted(valid, key=lambda step: (-valid[step], step))[:2]
    assert sorted(path.name for path in folder.glob("best-*.ckpt")) == [f"best-{s:08d}.ckpt" for s in sorted(two)]
    assert summary["best"]["step"] == two[0]
    assert (folder / "best.ckpt").samefile(folder / f"best-{two[0]:08d}.ckpt")


def test_what_does_not_change_the_result_does_not_block(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after(monkeypatch, make_recipe(tmp_path / "run", store), 15)
    changed = make_recipe(tmp_path / "run", store, keep_best=3, explosion=0, device="auto")
    assert summary_of(changed)["steps"] > 0


def test_a_store_that_changed_is_told_in_words(tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_recipe(tmp_path / "run", store)
    stop_after(monkeypatch, config, 15)
    folder = RunFolder(config.run)
    claim = read_json(folder.train.claim)
    assert claim is not None
    write_json(folder.train.claim, claim | {"store": "0123456789abcdef" * 4})
    digest = open_store(store).digest[:12]
    with pytest.raises(ConfigError, match=rf"store has changed \(its digest was 0123456789ab, now {digest}"):
        train(config)


@pytest.mark.parametrize("change", [{"seed": 1}, {"learning_rate": 0.5}])
def test_a_checkpoint_of_another_training_is_refused(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    mine = make_recipe(tmp_path / "mine", store)
    seed, settings = change.get("seed", mine.seed), {key: value for key, value in change.items() if key != "seed"}
    other = make_recipe(tmp_path / "other", store, **settings).model_copy(update={"seed": seed})
    for config in (mine, other):
        stop_after(monkeypatch, config, 15)
    RunFolder(mine.run).train.last.write_bytes(RunFolder(other.run).train.last.read_bytes())
    with pytest.raises(InputError, match=r"last\.ckpt cannot be used: it is of another training"):
        train(mine)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"callbacks": None}, "it lacks callbacks"),
        ({"loops": None, "optimizer_states": None}, "it lacks optimizer_states, loops"),
        ({"state_dict": {}}, "is missing, but"),
        ({"state_dict": None}, "it holds no weights"),
        ({"state_dict": 3}, "it holds no weights"),
    ],
)
def test_a_checkpoint_that_lacks_something_is_refused(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], why: str
) -> None:
    config = make_recipe(tmp_path / "run", store)
    stop_after(monkeypatch, config, 15)
    last = RunFolder(config.run).train.last
    content = torch.load(last, weights_only=True) | change
    write_checkpoint({key: value for key, value in content.items() if value is not None}, last)
    with pytest.raises(InputError, match=why):
        train(config)


@pytest.mark.parametrize("content", [None, {}, torch.zeros(3), [1]])
def test_a_checkpoint_of_something_else_is_refused(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch, content: Any
) -> None:
    config = make_recipe(tmp_path / "run", store)
    stop_after(monkeypatch, config, 15)
    write_checkpoint(content, RunFolder(config.run).train.last)
    with pytest.raises(InputError, match="it holds no weights"):
        train(config)


def test_more_batches_a_step_than_a_pass_has_are_refused(tmp_path: Path, store: Path) -> None:
    with pytest.raises(ConfigError, match=r"(?s)accumulate is 1000.*at most"):
        train(make_recipe(tmp_path / "run", store, accumulate=1000))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_signal_to_end_saves_and_says_how_to_go_on(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    whole, broken = (make_recipe(tmp_path / name, store) for name in ("whole", "broken"))
    train(whole)
    before, heed = signal.getsignal(number), LastCheckpoint.on_train_batch_end

    def signal_and_heed(self: LastCheckpoint, *args: Any) -> None:
        if self.batches == 6:
            os.kill(os.getpid(), number)
        heed(self, *args)

    folder = RunFolder(broken.run)
    with monkeypatch.context() as patch:
        patch.setattr(LastCheckpoint, "on_train_batch_end", signal_and_heed)
        with pytest.raises(
            KeyboardInterrupt, match=f"(?s)saved in {folder.train.last}.*noncoder train {folder.recipe}"
        ):
            train(broken)
    assert signal.getsignal(number) is before
    assert rows(folder.train.log)[-1]["step"] == "7"
    train(read_recipe(folder.recipe))
    assert same_weights(whole.run, broken.run)


def test_steps_take_the_same_number_of_batches_across_passes(tmp_path: Path, store: Path) -> None:
    config = make_recipe(tmp_path / "run", store, epochs=2, accumulate=5, validations=1.5)
    summary = summary_of(config)
    windows = open_store(store).indices("train").size
    batches = -(-windows // 16)
    assert batches % 5, "the batches of a pass are a multiple of a step's"
    folder = RunFolder(config.run).train.path
    valid = rows(folder / "valid.csv")
    assert int(valid[-1]["step"]) == summary["steps"]
    for row in valid:
        passes, left = divmod(5 * int(row["step"]), batches)
        assert int(row["windows"]) == passes * windows + min(windows, 16 * left)
    assert np.isclose(summary["epochs"] * windows, int(valid[-1]["windows"]))


def test_a_run_within_a_store_is_refused(tmp_path: Path, store: Path) -> None:
    copy = Path(shutil.copytree(store, tmp_path / "copy.zarr"))
    config = make_recipe(copy, copy)
    for begin in (train, run_recipe):
        with pytest.raises(InputError, match=r"copy\.zarr is a store"):
            begin(config)
    assert listing(copy) == listing(store)

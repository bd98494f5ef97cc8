"""Two processes on a CPU train as one does."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from noncoder.config import RunConfig, TrainConfig, read_recipe, write_recipe
from noncoder.data.loading import Batch
from noncoder.data.store import open_store
from noncoder.errors import ConfigError, InputError
from noncoder.pipeline import run_recipe
from noncoder.runs.folder import RunFolder
from noncoder.train import train
from noncoder.train.launch import make_strategy
from noncoder.train.passes import Passes
from noncoder.train.prepare import read_passes
from noncoder.train.ranks import World, find_world, from_first, gather, gather_on_first, mean_over_ranks, weight_of_part
from tests.conftest import make_store, random_genome
from tests.train.making import COMPACT, DANQ, logged, make_recipe, weights

ROOT = Path(__file__).parents[2]
SETTINGS: dict[str, Any] = {
    "batch_size": 15,
    "accumulate": 2,
    "validations": 2,
    "learning_rate": 0.02,
    "l1": 1e-3,
    "mixup": 0.4,
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A third of the labels is unknown, unevenly, and the last batch of a pass holds a window more."""
    folder = tmp_path_factory.mktemp("store")
    rng = np.random.default_rng(0)
    n = 15 * 9 + 1 + 40
    known = rng.random((n, 3)) < rng.choice([0.2, 1.0], (n, 1))
    return make_store(
        folder / "known.zarr", random_genome({"a": 20 * n + 200}), [("a", 20 * i) for i in range(n)],
        rng.integers(0, 2, (n, 3), dtype=np.uint8), window=200, bin=100,
        split=np.repeat(np.array([0, 1], dtype=np.uint8), [n - 40, 40]), known=known.astype(np.uint8),
    ).path  # fmt: skip


def in_two_processes(config: RunConfig, path: Path, kill_at: int = 0) -> subprocess.CompletedProcess[str]:
    """Trains as torchrun would have it: two processes that know their rank; waits for both."""
    path.write_text(write_recipe(config))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = os.environ | {
        "TORCHELASTIC_RUN_ID": "test", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1", "KILL_AT": str(kill_at),
    }  # fmt: skip
    command = [sys.executable, "-m", "tests.train.dying" if kill_at else "noncoder", "train", str(path)]
    first, second = (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
                         env=common | {"RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(2)
    )  # fmt: skip
    told = [process.communicate(timeout=300) for process in (first, second)]
    assert told[1][0] == "", "the second process prints"
    if not kill_at:
        assert second.returncode == 0, told[1][1]
    return subprocess.CompletedProcess(command, first.returncode, *told[0])


def check_equal(one: Path, two: Path) -> None:
    a, b = weights(one), weights(two)
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=1e-5, atol=1e-6)
    rows = zip(logged(one), logged(two), strict=True)
    for p, q in rows:
        for key in p:
            assert float(p[key]) == pytest.approx(float(q[key]), rel=1e-4, abs=1e-6), (key, p, q)


def test_two_processes_train_as_one(tmp_path: Path, store: Path) -> None:
    one, two = (make_recipe(tmp_path / name, store, model=DANQ, **SETTINGS) for name in ("one", "two"))
    train(one)
    done = in_two_processes(two, tmp_path / "two.yaml")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("trained danq") == 1
    check_equal(one.run, two.run)
    folder = RunFolder(two.run)
    assert read_recipe(folder.recipe) == two


@pytest.mark.long
def test_two_processes_that_are_killed_go_on(tmp_path: Path, store: Path) -> None:
    settings = SETTINGS | {"epochs": 4}
    model = DANQ | {"parameters": DANQ["parameters"] | {"lstm_dropout": 0.3}}  # type: ignore[operator]
    whole, broken = (make_recipe(tmp_path / name, store, model=model, **settings) for name in ("whole", "broken"))
    assert in_two_processes(whole, tmp_path / "whole.yaml").returncode == 0
    for batches in (13, 31):
        killed = in_two_processes(broken, tmp_path / "broken.yaml", kill_at=batches)
        assert killed.returncode < 0
    assert in_two_processes(broken, tmp_path / "broken.yaml").returncode == 0
    a, b = weights(whole.run), weights(broken.run)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert logged(whole.run) == logged(broken.run)
    again = in_two_processes(whole, tmp_path / "whole.yaml")
    assert again.returncode == 2
    assert "holds a finished training" in again.stderr


@pytest.mark.long
def test_lightning_starts_the_processes_and_batch_norm_is_told(tmp_path: Path, store: Path) -> None:
    config = make_recipe(tmp_path / "run", store, model=COMPACT, devices=2)
    path = tmp_path / "r.yaml"
    path.write_text(write_recipe(config))
    command = [sys.executable, "-m", "noncoder", "run", str(path)]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=300
    )
    assert done.returncode == 2, done.stderr  # the store has no test split
    path.write_text(write_recipe(config.model_copy(update={"evaluate": config.evaluate.model_copy(
        update={"splits": ("valid",)})})))  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("report:") == 1
    assert done.stderr.count("has batch norm") == 1


def test_the_parts_of_a_batch_add_up(tmp_path: Path, store: Path) -> None:
    config = make_recipe(tmp_path / "run", store, model=DANQ, **SETTINGS)
    opened = open_store(store)
    whole = read_passes(config, opened)
    parts = [read_passes(config, opened, World(rank, 3).share) for rank in range(3)]
    for batch, *shares in zip(whole.batches, *(part.batches for part in parts), strict=True):
        read = [share for share in shares if share.known is None or bool(share.known.any())]
        assert sum(len(share.codes) for share in read) <= len(batch.codes)
        assert all(share.whole == len(batch.codes) for share in shares)


def test_each_batch_weighs_by_its_windows_in_its_step(tmp_path: Path, store: Path) -> None:
    passes: Passes = read_passes(make_recipe(tmp_path / "run", store, **SETTINGS), open_store(store))
    assert len(passes.batches) == 9
    pairs = [(passes.weight(i), passes.weight(i + 1)) for i in range(0, 40, 2)]
    assert all(sum(pair) == pytest.approx(2) for pair in pairs)
    # 136 windows in batches of 15: the ninth batch of a pass has 16, and makes a step with the first of the next.
    assert pairs[4] == pytest.approx((2 * 16 / 31, 2 * 15 / 31))
    assert pairs[0] == (1, 1)


def test_one_process_alone_sends_nothing() -> None:
    value = torch.arange(3.0)
    assert from_first("a") == "a"
    assert gather(1) == [1]
    assert gather_on_first([2]) == [[2]]
    assert mean_over_ranks(value) is value
    assert weight_of_part(Batch(torch.zeros(1, 4), torch.zeros(1, 2), None, 1)) == 1.0


def test_who_starts_the_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TORCHELASTIC_RUN_ID", "WORLD_SIZE", "RANK", "LOCAL_RANK", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    assert find_world(TrainConfig()) == World()
    assert find_world(TrainConfig(devices=3)) == World(0, 3)
    with pytest.raises(ConfigError, match=r"(?s)nodes is 2.*torchrun"):
        find_world(TrainConfig(nodes=2))
    monkeypatch.setenv("LOCAL_RANK", "2")
    assert find_world(TrainConfig(devices=3)) == World(2, 3)
    assert find_world(TrainConfig()) == World()
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "8", "RANK": "5", "LOCAL_WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(name, value)
    assert find_world(TrainConfig()) == World(5, 4, 2, external=True)
    assert find_world(TrainConfig(devices=4, nodes=2)).ranks == 8
    with pytest.raises(ConfigError, match=r"(?s)2 processes, but 8 were started"):
        find_world(TrainConfig(devices=2))
    for name in ("TORCHELASTIC_RUN_ID", "WORLD_SIZE"):
        monkeypatch.delenv(name)
    slurm = {"NTASKS": "6", "PROCID": "4", "NNODES": "2", "LOCALID": "1", "JOB_NAME": "train"}
    for name, value in slurm.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    with pytest.raises(ConfigError, match="ntasks-per-node"):
        find_world(TrainConfig())
    monkeypatch.setenv("SLURM_NTASKS_PER_NODE", "3")
    assert find_world(TrainConfig()) == World(4, 3, 2, external=True)


def test_a_strategy_that_cannot_be_is_told() -> None:
    assert make_strategy(TrainConfig(strategy="fsdp"), World(), "cpu") == "auto"
    with pytest.raises(ConfigError, match="needs GPUs"):
        make_strategy(TrainConfig(strategy="fsdp"), World(0, 2), "cpu")
    with pytest.raises(ConfigError, match="max_norm"):
        make_strategy(TrainConfig(strategy="fsdp", max_norm=1), World(0, 2), "gpu")
    with pytest.raises(ConfigError, match="muon"):
        make_strategy(TrainConfig(strategy="fsdp", optimizer="muon"), World(0, 2), "gpu")


def test_run_in_several_processes_is_refused(tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "RANK": "0", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=r"(?s)2 processes.*noncoder train"):
        run_recipe(make_recipe(tmp_path / "run", store))

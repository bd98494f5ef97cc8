"""What only a GPU can show; skipped where there is none."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import noncoder
from noncoder.config import AugmentConfig, RunConfig, TrainConfig, validate
from noncoder.data.augmentation import Augmentation
from noncoder.data.info import StoreInfo
from noncoder.data.loading import Batches, EpochDraws
from noncoder.data.randomness import uniform
from noncoder.data.tasks import Task
from noncoder.data.writer import StoreWriter
from noncoder.models import create_model
from noncoder.runs.folder import RunFolder
from noncoder.sequence.encoding import encode
from noncoder.train import train
from noncoder.train.optim import make_optimizer
from tests.train.making import summary_of

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
    pytest.mark.filterwarnings("ignore"),  # compilers and Lightning advise on what is meant here
]

WINDOW, BIN = 200, 100
MOTIFS = ("TGACTCA", "CACGTGAC", "GGGCGGGG", "TTACCCG")


@pytest.fixture(scope="module")
def store_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Windows of random DNA; for each task, a motif stands in the middle of some, which are its positives."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, 1000 * BIN).astype(np.uint8)
    labels = (rng.random((1000, len(MOTIFS))) < 0.2).astype(np.uint8)
    for row, task in np.argwhere(labels):
        at = row * BIN + 20 * task + int(rng.integers(10))
        codes[at : at + len(MOTIFS[task])] = encode(MOTIFS[task])
    path = tmp_path_factory.mktemp("store") / "motifs.zarr"
    with StoreWriter(path, len(MOTIFS)) as writer:
        start = writer.add_contig("chr1", codes) + np.arange(1000) * BIN - (WINDOW - BIN) // 2
        split = (np.arange(1000) >= 800).astype(np.uint8)
        writer.add_windows(start, np.packbits(labels, axis=1), split)
        writer.finish(StoreInfo(WINDOW, BIN, tuple(Task(f"t{i}") for i in range(len(MOTIFS)))))
    return path


@pytest.fixture
def recipe(tmp_path: Path, store_path: Path) -> Callable[..., RunConfig]:
    def make(run: str = "run", model: str = "compact", **settings: Any) -> RunConfig:
        values = {
            "run": tmp_path / run,
            "data": {"store": store_path},
            "model": {"name": model, "parameters": {"channels": 32} if model == "compact" else {}},
            "train": {"epochs": 6, "batch_size": 50, "learning_rate": 0.01, "device": "gpu", "compile": "none"}
            | settings,
        }
        return validate(RunConfig, values, origin="test")

    return make


def losses(config: RunConfig) -> list[float]:
    with RunFolder(config.run).train.log.open() as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def test_windows_on_a_gpu_are_those_in_memory(store_path: Path) -> None:
    store = noncoder.open_store(store_path)
    draws = EpochDraws(3, shuffle=True, random_strand=True, shift=9)
    here, there = (Batches(store, store.indices("train"), 64, draws) for _ in range(2))
    assert there.move("cuda")
    for one, other in zip(here, there, strict=True):
        assert other.codes.is_cuda
        assert other.labels.is_cuda
        assert torch.equal(one.codes, other.codes.cpu())
        assert torch.equal(one.labels, other.labels.cpu())


def test_random_numbers_of_windows_are_the_same_on_a_gpu() -> None:
    keys = torch.from_numpy(np.random.default_rng(0).integers(-(1 << 62), 1 << 62, 50))
    assert torch.equal(uniform(keys, 200, 2), uniform(keys.cuda(), 200, 2).cpu())


@pytest.mark.parametrize(
    "settings",
    [
        {"precision": "32-true"},
        {"precision": "tf32"},
        {"precision": "bf16-mixed"},
        {"precision": "16-mixed"},
        {"precision": "bf16-mixed", "compile": "default"},
        {"precision": "bf16-mixed", "compile": "default", "accumulate": 2, "clip": 0, "l1": 1e-7},
    ],
    ids=lambda settings: "-".join(map(str, settings.values())),
)
def test_training_learns_in_each_arithmetic(recipe: Callable[..., RunConfig], settings: dict[str, Any]) -> None:
    config = recipe(**settings)
    summary = summary_of(config)
    course = losses(config)
    assert np.mean(course[-8:]) < 0.97 * np.mean(course[:8])
    assert np.isfinite(course).all()
    assert summary["speed"]["peak"] > 1e12
    store, predictor = noncoder.open_store(config.store), noncoder.load(config.run)
    probs = predictor.predict(store.read_codes(store.indices("valid")))
    assert np.isfinite(probs).all()


def test_windows_are_changed_and_mixed_on_a_gpu_as_in_memory(store_path: Path) -> None:
    store = noncoder.open_store(store_path)
    config = AugmentConfig(inversion=9, translocation=9, insertion=9, deletion=9, mutation=0.1, most=5)
    draws = EpochDraws(3, shuffle=True, random_strand=True, shift=9, mix=0.4)
    change = Augmentation(config, passes=1)
    here, there = (Batches(store, store.indices("train"), 64, draws, change=change) for _ in range(2))
    assert there.move("cuda")
    for one, other in zip(here, there, strict=True):
        assert torch.equal(one.codes, other.codes.cpu())
        torch.testing.assert_close(one.inputs()[0], other.inputs()[0].cpu())
        torch.testing.assert_close(one.inputs()[1], other.inputs()[1].cpu())


@pytest.mark.parametrize("kind", ["adamw", "adam", "sgd", "rmsprop", "keras-rmsprop", "muon"])
def test_an_optimiser_steps_on_a_gpu_as_on_a_cpu(kind: Any) -> None:
    weights = []
    for device in ("cpu", "cuda"):
        torch.manual_seed(0)
        model = create_model("compact", 3, WINDOW, {"channels": 16}).to(device)
        before = torch.cat([p.detach().cpu().flatten() for p in model.parameters()])
        optimizer = make_optimizer(model, TrainConfig(optimizer=kind, learning_rate=0.01))
        rng = torch.Generator().manual_seed(1)
        for _ in range(3):
            for p in model.parameters():
                p.grad = torch.empty_like(p).copy_(torch.randn(p.shape, generator=rng))  # laid out as the weights
            optimizer.step()
        weights.append(torch.cat([p.detach().cpu().flatten() for p in model.parameters()]) - before)
    # Muon's iteration runs in bfloat16 on a GPU.
    assert (weights[0] - weights[1]).norm() < (0.05 if kind == "muon" else 1e-4) * weights[0].norm()


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "muon", "decay": "one-cycle", "cycle_momentum": [0.95, 0.85], "average_last": 0.5, "mixup": 0.2},
        {"loss": "focal", "augment": "evoaug", "resample": 0.5, "precision": "16-mixed", "average": 0.9},
        {"optimizer": "sgd", "learning_rate": 0.5, "weight_decay": 0, "loss": {"task_weights": "effective-number"}},
    ],
    ids=["muon", "adamw", "sgd"],
)
def test_choices_train_on_a_gpu(recipe: Callable[..., RunConfig], settings: dict[str, Any]) -> None:
    config = recipe(**settings)
    train(config)
    course = losses(config)
    assert np.isfinite(course).all()
    assert np.mean(course[-8:]) < 0.99 * np.mean(course[:8])


def test_float32_on_a_gpu_starts_as_on_a_cpu(recipe: Callable[..., RunConfig]) -> None:
    curves = []
    for device in ("cpu", "gpu"):
        config = recipe(device, device=device, precision="32-true", epochs=1, model="deepsea", learning_rate=1e-3)
        train(config)
        curves.append(losses(config))
    # Dropout draws differ between the two; the batches do not.
    np.testing.assert_allclose(curves[0], curves[1], rtol=0.05)


@pytest.mark.parametrize("name", noncoder.list_models())
def test_each_model_gives_on_a_gpu_what_it_gives_on_a_cpu(name: str) -> None:
    if name == "danq-jaspar":
        pytest.importorskip("pyjaspar")
    torch.manual_seed(0)
    model = create_model(name, 5, 1000).eval()
    x = torch.nn.functional.one_hot(torch.randint(0, 4, (2, 1000)), 4).float().transpose(1, 2)
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        with torch.no_grad():
            here = model(x)
            there = model.cuda()(x.cuda()).cpu()
        loss = model.train()(x.cuda()).square().mean()
        loss.backward()
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]
    torch.testing.assert_close(there, here, rtol=1e-3, atol=1e-4)
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters() if p.requires_grad)

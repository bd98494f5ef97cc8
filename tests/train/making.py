"""Tiny trainings, and what they leave, for several test modules."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from noncoder.config import RunConfig, SimulateConfig, validate
from noncoder.data.simulate import simulate_store
from noncoder.runs.folder import RunFolder
from noncoder.train import train
from noncoder.train.hook import OnValidation

COMPACT = {"name": "compact", "parameters": {"channels": 8, "dilations": [1], "heads": 2}}
# Without batch norm, whose statistics would cover only a part of a batch.
DANQ = {"name": "danq", "parameters": {"kernels": 12, "kernel_width": 12, "pool": 10, "units": 6, "hidden": 10,
                                       "pool_dropout": 0, "lstm_dropout": 0}}  # fmt: skip


def simulate(path: Path) -> Path:
    simulate_store(SimulateConfig(windows=300, tasks=3, window=200, bin=100, chromosomes=5), path)
    return path


def make_recipe(run: Path, store: Path, model: dict[str, Any] | None = None, **settings: Any) -> RunConfig:
    values = {
        "run": run,
        "data": {"store": store},
        "model": COMPACT if model is None else model,
        "train": {"epochs": 2, "batch_size": 16, "precision": "32-true", "device": "cpu"} | settings,
    }
    return validate(RunConfig, values, origin="test")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def logged(run: Path) -> list[dict[str, str]]:
    """Both logs, without what the clock says."""
    folder = RunFolder(run).train.path
    return [
        {key: value for key, value in row.items() if key not in ("seconds", "windows_per_second")}
        for name in ("log.csv", "valid.csv")
        for row in rows(folder / name)
    ]


def weights(run: Path) -> dict[str, Tensor]:
    return load_file(RunFolder(run).predictor.weights)


def same_weights(one: Path, other: Path) -> bool:
    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def summary_of(config: RunConfig, force: bool = False, on_validation: OnValidation | None = None) -> dict[str, Any]:
    """Trains to the end; what train/summary.json then holds."""
    summary = train(config, force, on_validation)
    assert summary is not None
    return summary.to_json()

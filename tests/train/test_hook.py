from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from noncoder.config import RunConfig
from noncoder.runs.folder import RunFolder
from noncoder.train import train
from tests.train.making import summary_of


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_validation_is_told_as_it_is_logged(recipe: Callable[..., RunConfig]) -> None:
    config, told = recipe(validations=2), list[dict[str, float]]()
    summary = summary_of(config, on_validation=lambda row: told.append(row))
    logged = rows(RunFolder(config.run).train.validations)
    assert told == [{name: float(value) for name, value in row.items()} for row in logged]
    assert max(row["average_precision"] for row in told) == summary["best"]["average_precision"]


def test_who_hears_of_a_validation_may_stop_the_training(recipe: Callable[..., RunConfig]) -> None:
    whole, broken = recipe("whole", validations=4), recipe("broken", validations=4)
    train(whole)
    assert train(broken, on_validation=lambda row: row["epoch"] > 0.9) is None
    folder = RunFolder(broken.run)
    assert not folder.train.summary.exists()
    assert not folder.predictor.path.exists()
    epochs = [float(row["epoch"]) for row in rows(folder.train.validations)]
    assert epochs[-1] == pytest.approx(1, abs=0.1), "it stopped at once"
    assert summary_of(broken)["stopped"] == "all steps done"  # it resumes like any interrupted training
    a, b = (load_file(RunFolder(c.run).predictor.weights) for c in (whole, broken))
    assert all(torch.equal(a[name], b[name]) for name in a)
    logs: list[list[dict[str, str]]] = [rows(c.run / "train/valid.csv") for c in (whole, broken)]
    assert [(row["step"], row["loss"]) for row in logs[0]] == [(row["step"], row["loss"]) for row in logs[1]]

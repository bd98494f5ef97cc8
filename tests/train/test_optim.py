from __future__ import annotations

import math

import pytest
import torch

from noncoder.config import TrainConfig
from noncoder.models import create_model
from noncoder.train.optim import learning_rate_factor, make_optimizer


def test_warm_up_rises_linearly_and_cosine_falls_to_zero() -> None:
    factor = learning_rate_factor(TrainConfig(warmup=0.1, decay="cosine"), 100)
    assert [factor(step) for step in range(10)] == pytest.approx([(step + 1) / 11 for step in range(10)])
    assert factor(10) == 1
    assert factor(55) == pytest.approx(0.5)
    assert factor(100) == pytest.approx(0)
    assert all(factor(step) >= factor(step + 1) for step in range(10, 100))


def test_linear_and_constant() -> None:
    linear = learning_rate_factor(TrainConfig(warmup=0, decay="linear"), 10)
    assert [linear(step) for step in (0, 5, 10, 12)] == pytest.approx([1, 0.5, 0, 0])
    constant = learning_rate_factor(TrainConfig(warmup=0, decay="constant"), 10)
    assert {constant(step) for step in range(20)} == {1.0}


def test_only_matrices_and_kernels_decay() -> None:
    model = create_model("compact", 3, 200)
    optimizer = make_optimizer(model, TrainConfig(weight_decay=0.1))
    decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in model.named_parameters():
        expected = 0.1 if name.endswith("weight") and parameter.ndim > 1 else 0.0
        assert decays[id(parameter)] == expected, name
    assert decays[id(dict(model.named_parameters())["attention.bias.heights"])] == 0
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(model.parameters()))


def test_the_learning_rate_is_what_the_recipe_says() -> None:
    optimizer = make_optimizer(torch.nn.Linear(2, 2), TrainConfig(learning_rate=0.03))
    assert math.isclose(optimizer.param_groups[0]["lr"], 0.03)

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from noncoder.config import TrainConfig
from noncoder.models import create_model
from noncoder.train.optim import learning_rate_factor, make_optimizer
from noncoder.train.optimizers import KerasRMSprop

Array = NDArray[np.float64]


def test_warm_up_rises_linearly_and_cosine_falls_to_zero() -> None:
    factor = learning_rate_factor(TrainConfig(warmup=0.1, decay="cosine"), 100, 20)
    assert [factor(step) for step in range(10)] == pytest.approx([(step + 1) / 11 for step in range(10)])
    assert factor(10) == 1
    assert factor(55) == pytest.approx(0.5)
    assert factor(100) == pytest.approx(0)
    assert all(factor(step) >= factor(step + 1) for step in range(10, 100))


def test_a_warm_up_of_so_many_steps_ends_at_the_full_rate() -> None:
    for warmup in (0, 0.05):
        factor = learning_rate_factor(TrainConfig(warmup=warmup, warmup_steps=50, decay="constant"), 10_000, 500)
        assert [factor(step) for step in (0, 24, 48, 49, 50, 9_999)] == pytest.approx([0.02, 0.5, 0.98, 1, 1, 1])


def test_linear_and_constant() -> None:
    linear = learning_rate_factor(TrainConfig(warmup=0, decay="linear"), 10, 5)
    assert [linear(step) for step in (0, 5, 10, 12)] == pytest.approx([1, 0.5, 0, 0])
    constant = learning_rate_factor(TrainConfig(warmup=0, decay="constant"), 10, 5)
    assert {constant(step) for step in range(20)} == {1.0}


def test_step_decay_is_by_passes_and_inverse_decay_by_steps() -> None:
    config = TrainConfig(warmup=0, decay="step", decay_factor=0.9, decay_every=2)
    factor = learning_rate_factor(config, 1_000, 34)
    assert [factor(step) for step in (0, 67, 68, 135, 136)] == pytest.approx([1, 1, 0.9, 0.9, 0.81])
    factor = learning_rate_factor(TrainConfig(warmup=0, decay="inverse", decay_rate=8e-7), 1_000, 34)
    assert [factor(step) for step in (0, 1, 1_250_000)] == pytest.approx([1, 1 / (1 + 8e-7), 0.5], rel=1e-12)


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


def moved(config: TrainConfig, weight: Array, gradients: list[Array]) -> Array:
    """A weight after a step of the recipe's optimiser for each gradient."""
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight))
    optimizer = make_optimizer(layer, config)
    for gradient in gradients:
        layer.weight.grad = torch.from_numpy(gradient.copy())
        optimizer.step()
    return layer.weight.detach().numpy()


@pytest.fixture
def drawn() -> tuple[Array, list[Array]]:
    """A weight, and gradients of the size of a cross-entropy's averaged over 919 tasks."""
    rng = np.random.default_rng(0)
    return rng.normal(0, 0.3, (5, 4)), [rng.normal(0, 1e-3, (5, 4)) for _ in range(4)]


@pytest.mark.parametrize("decay", [0.0, 0.01])
@pytest.mark.parametrize("kind", ["rmsprop", "keras-rmsprop"])
def test_rmsprop_has_its_epsilon_outside_or_inside_of_the_root(
    drawn: tuple[Array, list[Array]], kind: Literal["rmsprop", "keras-rmsprop"], decay: float
) -> None:
    weight, gradients = drawn
    config = TrainConfig(optimizer=kind, learning_rate=1e-3, epsilon=1e-6, weight_decay=decay)
    p, other, mean = weight.copy(), weight.copy(), np.zeros_like(weight)
    for g in gradients:
        g = g + decay * p
        mean = 0.9 * mean + 0.1 * g**2
        steps = 1e-3 * g / (np.sqrt(mean) + 1e-6), 1e-3 * g / np.sqrt(mean + 1e-6)
        p -= steps[kind == "keras-rmsprop"]
        other -= steps[kind == "rmsprop"]
    np.testing.assert_allclose(moved(config, weight, gradients), p, rtol=1e-10)
    assert np.abs(p - other).max() > 1e-4, "the place of epsilon makes no difference here"


def test_rmsprop_leaves_parameters_without_a_gradient() -> None:
    layer = torch.nn.Linear(3, 2)
    bias = layer.bias.detach().clone()
    optimizer = KerasRMSprop(layer.parameters())
    assert optimizer.step(lambda: 3.0) == 3.0
    layer.weight.grad = torch.ones_like(layer.weight)
    optimizer.step()
    assert torch.equal(layer.bias, bias)
    assert [len(state) for state in optimizer.state.values()] == [1]


def test_sgd_is_that_of_torch7(drawn: tuple[Array, list[Array]]) -> None:
    weight, gradients = drawn
    config = TrainConfig(optimizer="sgd", learning_rate=1.0, momentum=0.9, dampening=0.9, weight_decay=1e-2)
    p, running = weight.copy(), None
    for g in gradients:
        g = g + 1e-2 * p
        running = g if running is None else 0.9 * running + 0.1 * g
        p = p - running
    np.testing.assert_allclose(moved(config, weight, gradients), p, rtol=1e-10)


@pytest.mark.parametrize("amsgrad", [False, True])
def test_adam_penalises_in_the_gradient(drawn: tuple[Array, list[Array]], amsgrad: bool) -> None:
    weight, gradients = drawn
    gradients[0] *= 10  # so that a later mean square is smaller than an earlier one
    config = TrainConfig(
        optimizer="adam", learning_rate=1e-3, betas=(0.5, 0.6), epsilon=1e-4, weight_decay=1e-3, amsgrad=amsgrad
    )
    p, m, v, highest = weight.copy(), np.zeros_like(weight), np.zeros_like(weight), np.zeros_like(weight)
    for t, g in enumerate(gradients, 1):
        g = g + 1e-3 * p
        m, v = 0.5 * m + 0.5 * g, 0.6 * v + 0.4 * g**2
        highest = np.maximum(highest, v)
        square = (highest if amsgrad else v) / (1 - 0.6**t)
        p = p - 1e-3 * m / (1 - 0.5**t) / (np.sqrt(square) + 1e-4)
    np.testing.assert_allclose(moved(config, weight, gradients), p, rtol=1e-10)


def test_norms_are_held_after_every_step() -> None:
    torch.manual_seed(0)
    model = create_model("deepsea", 3, 200, {"hidden": 4})
    with torch.no_grad():
        model.output.weight[0] *= 100
        model.output.weight[1] *= 1e-3
    optimizer = make_optimizer(model, TrainConfig(optimizer="sgd", learning_rate=1e-6, weight_decay=0, max_norm=0.5))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    limited = 0
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert torch.equal(parameter, before[name])
            continue
        norms, old = (w.detach().flatten(1).norm(dim=1) for w in (parameter, before[name]))
        assert norms.tolist() == pytest.approx(old.clamp(max=0.5).tolist(), rel=1e-4), name
        limited += int((old > 0.5).sum())
        direction = torch.nn.functional.cosine_similarity(parameter.flatten(1), before[name].flatten(1))
        assert direction.min() > 0.9999
    assert limited > 100

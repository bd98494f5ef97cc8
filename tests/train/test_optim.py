from __future__ import annotations

import copy
import math
from typing import Any, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from noncoder.config import TrainConfig
from noncoder.models import create_model, list_models
from noncoder.train.optim import hidden_matrices, make_optimizer
from noncoder.train.optimizers import KerasRMSprop, Muon, orthogonalise

Array = NDArray[np.float64]


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


def test_muon_takes_the_hidden_matrices_of_every_model() -> None:
    """Not what reads bases, not the last layer, nor embeddings, recurrent weights, biases and norms."""
    for name in list_models():
        model = create_model(name, 3, 400)
        names = {id(p): key for key, p in model.named_parameters()}
        chosen = {id(p) for p in hidden_matrices(model)}
        named = {names[key] for key in chosen}
        assert all(p.ndim > 1 for p in hidden_matrices(model)), name
        assert not any(key.startswith("output.") or not key.endswith(".weight") for key in named), name
        assert not any("lstm" in key or "gru" in key or "norm" in key.rsplit(".", 2)[-2] for key in named), name
        first: list[torch.nn.Module] = []
        for part in model.modules():
            if isinstance(part, torch.nn.Linear | torch.nn.Conv1d | torch.nn.Conv2d | torch.nn.RNNBase):
                part.register_forward_hook(lambda layer, *_, seen=first: seen.append(layer))
        with torch.no_grad():
            model.eval()(torch.eye(4)[torch.arange(800) % 4].view(2, 400, 4).transpose(1, 2))
        if not name.startswith("wideresnet"):  # whose embedding and first convolution are multiplied before use
            assert not any(id(p) in chosen for p in first[0].parameters()), name
        optimizer = make_optimizer(model, TrainConfig(optimizer="muon"))
        groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
        assert groups.keys() == {id(p) for p in model.parameters()}, name
        assert {key for key, group in groups.items() if group["orthogonal"]} == chosen, name
        assert all(groups[id(p)]["weight_decay"] == 0 for p in model.parameters() if p.ndim < 2), name
        if name == "compact":
            assert {key.split(".")[0] for key in named} == {"attention", "blocks"}
        if name == "wideresnet-txl":
            assert not any(key.startswith("front.") for key in named)
            assert {"blocks.0.convolutions.1.weight", "core.attentions.0.qkv.weight"} <= named, sorted(named)


def newton_schulz(matrix: Array) -> Array:
    x = matrix / np.linalg.norm(matrix)
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x - 4.7750 * gram @ x + 2.0315 * gram @ gram @ x
    return x


def muon_by_hand(weight: Array, gradients: list[Array], rate: float, decay: float) -> Array:
    p, running = weight.copy(), np.zeros_like(weight)
    for g in gradients:
        running = 0.95 * running + 0.05 * g
        ahead = 0.05 * g + 0.95 * running
        tall = ahead.shape[0] > ahead.shape[1]
        step = newton_schulz(ahead.T).T if tall else newton_schulz(ahead)
        p = p * (1 - rate * decay) - rate * 0.2 * max(p.shape) ** 0.5 * step
    return p


class Layers(torch.nn.Module):
    """A layer that reads bases, hidden ones (a tall, a wide, a kernel), and the last."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.tall, self.wide = torch.nn.Linear(4, 6), torch.nn.Linear(6, 9), torch.nn.Linear(9, 6)
        self.kernel = torch.nn.Conv1d(6, 5, 3)
        self.output = torch.nn.Linear(5, 2)


def with_steps(model: torch.nn.Module, config: TrainConfig, n: int, seed: int = 0) -> torch.optim.Optimizer:
    optimizer = make_optimizer(model, config)
    rng = torch.Generator().manual_seed(seed)
    for _ in range(n):
        for p in model.parameters():
            p.grad = torch.randn(p.shape, generator=rng) * 1e-2
        optimizer.step()
    return optimizer


def test_muon_is_its_formula_for_matrices_and_kernels_and_adamw_for_the_rest() -> None:
    config = TrainConfig(optimizer="muon", learning_rate=0.02, weight_decay=0.1)
    model, other, plain = Layers(), Layers(), Layers()
    with_steps(model, config, 4)
    with_steps(other, config.model_copy(update={"optimizer": "adamw"}), 4)
    rng = torch.Generator().manual_seed(0)
    drawn = [[torch.randn(p.shape, generator=rng) * 1e-2 for p in plain.parameters()] for _ in range(4)]
    hidden = {"tall.weight", "wide.weight", "kernel.weight"}
    for i, (name, p) in enumerate(plain.named_parameters()):
        got = model.get_parameter(name).detach()
        if name not in hidden:
            assert torch.equal(got, other.get_parameter(name)), name
            continue
        gradients = [grads[i].flatten(1).double().numpy() for grads in drawn]
        expected = muon_by_hand(p.detach().flatten(1).double().numpy(), gradients, 0.02, 0.1)
        np.testing.assert_allclose(got.flatten(1).numpy(), expected, atol=2e-6, err_msg=name)


def test_a_step_of_muon_is_a_fifth_of_the_rate_for_every_shape() -> None:
    model, plain = Layers(), Layers()
    with_steps(model, TrainConfig(optimizer="muon", learning_rate=0.02, weight_decay=0), 1)
    for p, before in zip(hidden_matrices(model), hidden_matrices(plain), strict=True):
        assert (p - before).pow(2).mean().sqrt().item() == pytest.approx(0.2 * 0.02, rel=0.2)


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon")
@pytest.mark.parametrize("shape", [(12, 30), (30, 12), (16, 16)])
def test_muon_is_that_of_torch(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    start = torch.randn(shape)
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    mine = Muon([{"params": [ours], "orthogonal": True}], lr=0.1, weight_decay=0.1)
    other = torch.optim.Muon([theirs], lr=0.1, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for _ in range(5):
        ours.grad = torch.randn(shape)
        theirs.grad = ours.grad.clone()
        mine.step()
        other.step()
    # Torch's iteration runs in bfloat16, of which 8 bits are left.
    distance = (ours - theirs).norm() / (theirs - start).norm()
    assert distance < 0.02


def test_orthogonalised_matrices_have_singular_values_near_one() -> None:
    torch.manual_seed(0)
    drawn = torch.randn(3, 20, 50) * torch.tensor([1e-6, 1, 1e6]).view(3, 1, 1)
    got = orthogonalise(drawn)
    values = torch.linalg.svdvals(got)
    assert 0.6 < values.min() < values.max() < 1.3
    # The singular vectors stay: what turns one into the other is symmetric and positive.
    turn = got @ drawn.mT
    torch.testing.assert_close(
        turn / turn.abs().amax((1, 2), True), turn.mT / turn.abs().amax((1, 2), True), atol=1e-4, rtol=0
    )
    assert torch.linalg.eigvalsh(turn / turn.abs().amax((1, 2), True)).min() > 0
    assert torch.equal(orthogonalise(torch.zeros(1, 4, 6)), torch.zeros(1, 4, 6))
    torch.testing.assert_close(orthogonalise(drawn[1:2]), got[1:2])  # whatever it is stacked with


@pytest.mark.parametrize(("rows", "columns", "rank"), [(20, 41, 20), (16, 600, 16), (30, 200, 5)])
def test_wide_matrices_come_to_the_same_by_their_products(rows: int, columns: int, rank: int) -> None:
    rng = np.random.default_rng(0)
    drawn = rng.normal(size=(rows, rank)) * 10.0 ** np.linspace(0, -3, rank) @ rng.normal(size=(rank, columns))
    got = orthogonalise(torch.from_numpy(drawn)[None])[0].numpy()
    expected = newton_schulz(drawn)
    # Products square the spread of a thousand, which takes most of float32's digits; how many depends on the processor.
    assert np.linalg.norm(got - expected) < 5e-3 * np.linalg.norm(expected)


@pytest.mark.parametrize("kind", ["adamw", "adam", "sgd", "rmsprop", "keras-rmsprop", "muon"])
def test_an_optimiser_goes_on_from_its_state_bit_by_bit(kind: Any) -> None:
    config = TrainConfig(optimizer=kind, learning_rate=0.01)
    whole, broken = Layers(), Layers()
    a, b = with_steps(whole, config, 3), with_steps(broken, config, 3)
    again = Layers()
    again.load_state_dict(broken.state_dict())
    c = make_optimizer(again, config)
    c.load_state_dict(copy.deepcopy(b.state_dict()))
    for model, optimizer in ((whole, a), (again, c)):
        for step in range(3):
            for i, p in enumerate(model.parameters()):
                p.grad = torch.full_like(p, 0.01 * (i + step)) + p.detach()
            optimizer.step()
    assert all(torch.equal(p, q) for p, q in zip(whole.parameters(), again.parameters(), strict=True))
    assert not torch.equal(whole.output.weight, broken.output.weight)


def test_muon_leaves_parameters_without_a_gradient() -> None:
    model = Layers()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = make_optimizer(model, TrainConfig(optimizer="muon"))
    assert optimizer.step(lambda: 2.0) == 2.0
    model.tall.weight.grad = torch.randn(9, 6)
    optimizer.step()
    still = {name for name, p in model.named_parameters() if torch.equal(p, before[name])}
    assert still == before.keys() - {"tall.weight"}

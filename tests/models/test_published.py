"""The published networks against plain computations of their formulas in NumPy."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from noncoder.errors import ConfigError, InputError
from noncoder.models import create_model
from noncoder.models.danq import begin_as_motifs, danq_motifs
from noncoder.models.layers.convolution import BaseConv1d, rectified_maxima
from noncoder.models.layers.recurrent import KerasLSTM, begin_like_keras
from noncoder.sequence.motifs import Motif, load_jaspar_collection
from tests.models.test_models import SMALL, one_hot_dna

Array = NDArray[np.float64]


def numbers(tensor: Any) -> Array:
    return np.asarray(tensor.detach().double().numpy())


def convolve(x: Array, weight: Array, bias: Array | float = 0.0) -> Array:
    """(C, L), (C', C, w), (C',) -> (C', L - w + 1)."""
    columns = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2], axis=1)
    return np.asarray(np.einsum("ock,cpk->op", weight, columns) + np.reshape(bias, (-1, 1)))


def pooled(x: Array, width: int) -> Array:
    """(C, L) -> (C, L // width)."""
    return np.asarray(x[:, : x.shape[1] // width * width].reshape(x.shape[0], -1, width).max(axis=2))


def lstm(x: Array, layer: torch.nn.LSTM, suffix: str, hard: bool) -> Array:
    """(L, C) -> (L, units), by the equations of one direction."""
    w, u, b, b2 = (numbers(getattr(layer, f"{n}_l0{suffix}")) for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))

    def squash(z: Array) -> Array:
        return np.asarray(np.clip(0.2 * z + 0.5, 0, 1) if hard else 1 / (1 + np.exp(-z)))

    h = c = np.zeros(layer.hidden_size)
    out = []
    for row in x[::-1] if suffix else x:
        i, f, g, o = np.split(w @ row + u @ h + b + b2, 4)
        c = squash(f) * c + squash(i) * np.tanh(g)
        h = squash(o) * np.tanh(c)
        out.append(h)
    return np.array(out[::-1] if suffix else out)


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def both_directions(x: Array, layer: torch.nn.LSTM, hard: bool = False) -> Array:
    return np.concatenate([lstm(x, layer, "", hard), lstm(x, layer, "_reverse", hard)], axis=1)


@pytest.mark.parametrize("gates", ["sigmoid", "hard-sigmoid"])
def test_danq_is_its_formula(gates: str) -> None:
    torch.manual_seed(0)
    settings = {"kernels": 6, "units": 4, "hidden": 5, "gates": gates}
    model: Any = create_model("danq", 3, 80, settings).eval()
    x = one_hot_dna(2, 80)
    for row in range(2):
        y = convolve(numbers(x[row]), numbers(model.convolution.weight) * 8, numbers(model.convolution.bias))
        y = pooled(np.maximum(y, 0), 13)
        y = both_directions(y.T, model.lstm, hard=gates == "hard-sigmoid").reshape(-1)
        y = np.maximum(numbers(model.hidden.weight) @ y + numbers(model.hidden.bias), 0)
        expected = numbers(model.output.weight) @ y + numbers(model.output.bias)
        # The kernels are made larger so that hard gates are cut off on both sides.
        with torch.no_grad():
            louder = create_model("danq", 3, 80, settings).eval()
            louder.load_state_dict(model.state_dict())
            louder.convolution.weight.mul_(8)  # type: ignore[union-attr,operator]
            np.testing.assert_allclose(numbers(louder(x[row : row + 1])[0]), expected, atol=1e-5)


def test_hard_gates_are_cut_off_at_0_and_1() -> None:
    torch.manual_seed(0)
    layer = KerasLSTM(3, 2, 1, "hard-sigmoid")
    x = 20 * torch.randn(1, 6, 3)
    np.testing.assert_allclose(numbers(layer(x)[0][0]), both_directions(numbers(x[0]), layer, hard=True), atol=1e-5)


@pytest.mark.parametrize("gates", ["sigmoid", "hard-sigmoid"])
def test_a_second_lstm_that_reads_forward_is_the_first_with_its_own_weights(gates: Any) -> None:
    torch.manual_seed(0)
    layer = KerasLSTM(3, 2, 1, gates, second="forward")
    x = torch.randn(2, 6, 3)
    y = numbers(layer(x)[0][1])
    np.testing.assert_allclose(y[:, :2], lstm(numbers(x[1]), layer, "", gates == "hard-sigmoid"), atol=1e-5)
    turned = lstm(numbers(x[1])[::-1], layer, "_reverse", gates == "hard-sigmoid")[::-1]
    np.testing.assert_allclose(y[:, 2:], turned, atol=1e-5)


def test_one_bias_a_gate_is_one_for_parameters_optimisers_and_files() -> None:
    one: Any = KerasLSTM(3, 2, 1)
    two: Any = KerasLSTM(3, 2, 2)
    assert sum(p.numel() for p in two.parameters()) - sum(p.numel() for p in one.parameters()) == 2 * 4 * 2
    assert set(one.state_dict()) == set(two.state_dict())
    two.load_state_dict(one.state_dict())
    x = torch.randn(2, 5, 3)
    torch.testing.assert_close(one(x)[0], two(x)[0])
    before = x.clone()
    one.bias_ih_l0.data += 1
    assert not torch.allclose(one(before)[0], two(before)[0])
    copy = deepcopy(one)
    assert torch.equal(copy(x)[0], one(x)[0])
    copy.bias_hh_l0.add_(1)  # the copy has its own
    assert not torch.equal(copy(x)[0], one(x)[0])
    moved = one.to(torch.float64)
    assert moved(x.double())[0].dtype == torch.float64


def test_recurrent_layers_begin_as_keras_begins_them() -> None:
    """Each matrix over all gates together."""
    torch.manual_seed(0)
    lstm: Any = KerasLSTM(30, 8, 1)
    gru: Any = torch.nn.GRU(30, 8)
    begin_like_keras(gru)
    for layer, gates in ((lstm, 4), (gru, 3)):
        state = layer.weight_hh_l0.detach()
        torch.testing.assert_close(state.T @ state, torch.eye(8), atol=1e-5, rtol=0)
        limit = (6 / (30 + gates * 8)) ** 0.5
        assert 0.9 * limit < layer.weight_ih_l0.abs().max() <= limit
    assert lstm.bias_ih_l0.tolist() == lstm.bias_ih_l0_reverse.tolist() == [0.0] * 8 + [1.0] * 8 + [0.0] * 16
    assert not gru.bias_ih_l0.any()
    assert not gru.bias_hh_l0.any()


@pytest.mark.parametrize("biases", [1, 2])
def test_danqs_lstm_begins_as_the_first_keras_begins_it(biases: int) -> None:
    """Each gate by itself."""
    torch.manual_seed(0)
    settings = {"kernels": 30, "units": 8, "hidden": 2, "lstm_biases": biases}
    layer: Any = create_model("danq", 2, 80, settings).lstm
    for gate in layer.weight_hh_l0_reverse.detach().chunk(4):
        torch.testing.assert_close(gate @ gate.T, 1.1**2 * torch.eye(8), atol=1e-5, rtol=0)
    limit = (6 / (30 + 8)) ** 0.5
    assert 0.9 * limit < layer.weight_ih_l0.abs().max() <= limit
    assert (layer.bias_ih_l0 + layer.bias_hh_l0).tolist() == [0.0] * 8 + [1.0] * 8 + [0.0] * 16


def test_a_convolution_of_bases_and_its_maxima_are_pytorchs() -> None:
    """Values and gradients, that of the sequence too; the length is no multiple of the pooling."""
    torch.manual_seed(0)
    ours = BaseConv1d(6, 7).double()
    plain = torch.nn.Conv1d(4, 6, 7).double()
    plain.load_state_dict(ours.state_dict())
    x = torch.randn(3, 4, 50, dtype=torch.float64)
    here, there = x.clone().requires_grad_(), x.clone().requires_grad_()
    computed = rectified_maxima(ours(here), 5)
    expected = torch.nn.functional.max_pool1d(torch.relu(plain(there)), 5)
    torch.testing.assert_close(computed, expected)
    assert (computed == 0).any()
    weights = torch.randn_like(expected)
    (computed * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(here.grad, there.grad)
    for one, other in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_the_motifs_of_danq_jaspar_are_519_and_six_from_the_other_strand() -> None:
    """The authors' list holds the motifs of JASPAR 2016 in this order (index 19 is GATA1, 98 CTCF)."""
    motifs = danq_motifs()
    assert len(motifs) == 525
    assert [motif.id for motif in motifs[:519]] == [motif.id for motif in load_jaspar_collection("JASPAR2016")]
    assert motifs[19].id == "MA0035.3"
    assert motifs[98].name == "CTCF"
    assert motifs[-1].ppm.tolist() == motifs[101].reverse_complement().ppm.tolist()
    assert max(motif.width for motif in motifs) <= 24


def test_kernels_begin_as_motifs_that_find_them() -> None:
    torch.manual_seed(0)
    model: Any = create_model("danq-jaspar", 2, 200, {"units": 2, "hidden": 2})
    ctcf = danq_motifs()[98]
    weight = model.convolution.weight[98].detach()
    width = ctcf.width
    places = [s for s in range(30 - width + 1) if np.allclose(weight[:, s : s + width], ctcf.ppm - 0.25, atol=1e-6)]
    assert len(places) == 1
    assert 3 <= places[0] <= 30 - width - 3
    assert -1 <= model.convolution.bias[98] <= 0
    codes = torch.from_numpy(ctcf.ppm.argmax(axis=0))
    x = torch.zeros(1, 4, 200)
    x[0, codes, torch.arange(width) + 90] = 1
    scores = model.convolution(x)[0, 98] - model.convolution.bias[98]
    assert scores.argmax() == 90 - places[0]
    # 525 motifs leave 499 kernels as the authors' Keras draws them.
    assert model.convolution.weight[525:].abs().max() <= 0.05
    assert not torch.allclose(model.convolution.weight[525:526], model.convolution.weight[526:527])


def test_a_motif_wider_than_the_kernel_gives_its_middle() -> None:
    convolution = torch.nn.Conv1d(4, 1, 3)
    ppm = np.full((4, 7), 0.25)
    ppm[:, 2:5] = np.eye(4)[:, :3]
    begin_as_motifs(convolution, [Motif("wide", ppm)])
    np.testing.assert_allclose(numbers(convolution.weight[0]), np.eye(4)[:, :3] - 0.25)


def test_a_seed_fixes_the_places_of_the_motifs() -> None:
    weights = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        weights.append(create_model("danq-jaspar", 2, 200, {"units": 2, "hidden": 2}).convolution.weight)  # type: ignore[union-attr]
    assert torch.equal(weights[0], weights[1])  # type: ignore[arg-type]
    assert not torch.equal(weights[0], weights[2])  # type: ignore[arg-type]


def test_deepatt_is_its_formula() -> None:
    torch.manual_seed(0)
    model: Any = create_model("deepatt", 5, 100, {"kernels": 6, "units": 3, "attention": 8, "heads": 2, "hidden": 4})
    model.eval()
    x = one_hot_dna(1, 100)
    y = convolve(numbers(x[0]), numbers(model.convolution.weight), numbers(model.convolution.bias))
    y = both_directions(pooled(np.maximum(y, 0), 15).T, model.lstm)

    def dense(layer: Any, values: Array) -> Array:
        return np.asarray(values @ numbers(layer.weight).T + numbers(layer.bias))

    query, key, value = dense(model.query, np.eye(5)), dense(model.key, y), dense(model.value, y)
    heads = []
    for h in (slice(0, 4), slice(4, 8)):
        heads.append(softmax(query[:, h] @ key[:, h].T / 2) @ value[:, h])
    found = dense(model.attended, np.concatenate(heads, axis=1))
    expected = dense(model.output, np.maximum(dense(model.hidden, found), 0))[:, 0]
    np.testing.assert_allclose(numbers(model(x)[0]), expected, atol=1e-5)


def test_deepatt_tells_of_heads_that_do_not_divide() -> None:
    with pytest.raises(ConfigError, match="heads"):
        create_model("deepatt", 5, 100, {"attention": 10, "heads": 4})


def test_chromdl_is_its_formula() -> None:
    torch.manual_seed(0)
    model: Any = create_model("chromdl", 3, 120, {"gru_units": 3, "separable": 5, "kernels": 4, "units": 2}).eval()
    model.norm.running_mean.normal_()
    x = one_hot_dna(1, 120)
    y = numbers(model.gru(x.transpose(1, 2))[0][0]).T
    depthwise = numbers(model.depthwise.weight)[:, :, 0]
    y = np.concatenate([convolve(y[c : c + 1], depthwise[c : c + 1]) for c in range(6)])
    y = np.maximum(numbers(model.pointwise.weight)[:, :, 0, 0] @ y + numbers(model.pointwise.bias)[:, None], 0)
    y = np.maximum(convolve(y, numbers(model.convolution.weight)[:, :, 0], numbers(model.convolution.bias)), 0)
    y = both_directions(pooled(y, 4).T, model.first_lstm)
    y = (y - numbers(model.norm.running_mean)) / np.sqrt(1 + 1e-3)
    y = y[: len(y) // 8 * 8].reshape(-1, 8, 4).mean(axis=1)
    y = both_directions(y, model.second_lstm).reshape(-1)
    expected = numbers(model.output.weight) @ y + numbers(model.output.bias)
    np.testing.assert_allclose(numbers(model(x)[0]), expected, atol=1e-5)


def test_ncnet_reads_in_the_order_of_its_name() -> None:
    """bRR's blocks see a window's neighbourhood alone; RbR's see all of it, through the LSTM before them."""
    for name, reaches in (("ncnet-brr", False), ("ncnet-rbr", True)):
        torch.manual_seed(0)
        model = create_model(name, 3, 240, SMALL[name]).double().eval()
        x = one_hot_dna(1, 240).double().requires_grad_()
        model.features(x)[0, :, -1].sum().backward()
        assert x.grad is not None
        assert x.grad[0, :, -1].any()
        assert bool(x.grad[0, :, 0].any()) == reaches, name


def test_ncnet_refuses_a_kernel_of_even_width() -> None:
    with pytest.raises(InputError, match="even"):
        create_model("ncnet-brr", 3, 240, {"kernel": 2})

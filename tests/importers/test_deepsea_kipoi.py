"""Kipoi's DeepSEA: files of the right names and shapes, and the network computed anew with NumPy."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from noncoder.errors import InputError
from noncoder.importers import import_weights
from noncoder.importers.deepsea_kipoi import read_deepsea
from noncoder.importers.weight_files import check_finite
from noncoder.models import count_parameters
from noncoder.predictor import load

SHAPES = {
    "0": (320, 4, 1, 8), "4": (480, 320, 1, 8), "8": (960, 480, 1, 8), "12.1": (925, 50880), "14.1": (919, 925),
}  # fmt: skip


def state(prefix: str = "2.", make: Callable[[tuple[int, ...]], Tensor] = torch.zeros) -> OrderedDict[str, Tensor]:
    names = OrderedDict()
    for layer, shape in SHAPES.items():
        # One number a row is enough for what the dense layers are, and keeps the file small.
        names[f"{prefix}{layer}.weight"] = make((*shape[:1], *(1 for _ in shape[1:]))).expand(shape)
        names[f"{prefix}{layer}.bias"] = make(shape[:1])
    return names


@pytest.mark.parametrize("new_layout", [True, False])
@pytest.mark.parametrize("prefix", ["", "1.", "2."])
def test_all_three_files_of_kipoi_are_read(prefix: str, new_layout: bool, tmp_path: Path) -> None:
    torch.save(state(prefix), tmp_path / "deepsea.pth", _use_new_zipfile_serialization=new_layout)
    imported = read_deepsea(tmp_path / "deepsea.pth")
    assert (imported.model, imported.parameters, imported.tasks) == ("deepsea", {"hidden": 925}, 919)
    assert sum(tensor.numel() for tensor in imported.weights.values()) == 52_843_119


def convolve(x: NDArray[np.float64], weight: Tensor, bias: Tensor, pool: int) -> NDArray[np.float64]:
    kernel = weight.double().numpy()[:, :, 0]
    columns = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[2], axis=1)
    y = np.tensordot(kernel, columns, axes=([1, 2], [0, 2])) + bias.double().numpy()[:, None]
    y = np.where(y > 0, y, 1e-6)
    pooled: NDArray[np.float64] = y[:, : y.shape[1] // pool * pool].reshape(len(y), -1, pool).max(axis=2)
    return pooled


def test_logits_are_those_of_a_network_that_reads_agct(tmp_path: Path) -> None:
    generator = torch.manual_seed(0)
    weights = state(make=lambda shape: 0.02 * torch.randn(shape, generator=generator))
    for layer in ("0", "4", "8", "14.1"):
        name = f"2.{layer}.weight"
        fan_in = weights[name][0].numel()
        weights[name] = torch.randn(weights[name].shape, generator=generator) * (2 / fan_in) ** 0.5
    torch.save(weights, tmp_path / "deepsea_predict.pth")
    summary = import_weights("deepsea-kipoi", tmp_path / "deepsea_predict.pth", tmp_path / "deepsea")
    predictor = load(tmp_path / "deepsea")
    assert count_parameters(predictor.model) == summary["n_parameters"] == 52_843_119

    codes = np.random.default_rng(1).integers(0, 5, (1, 1000)).astype(np.uint8)
    channel = np.array([0, 2, 1, 3, 4])[codes[0]]  # of A, C, G, T, N among A, G, C, T, none
    x = np.eye(5)[channel].T[:4]
    for layer, pool in (("0", 4), ("4", 4), ("8", 1)):
        x = convolve(x, weights[f"2.{layer}.weight"], weights[f"2.{layer}.bias"], pool)
    assert x.shape == (960, 53)
    hidden = weights["2.12.1.weight"].double().numpy() @ x.ravel() + weights["2.12.1.bias"].double().numpy()
    hidden = np.where(hidden > 0, hidden, 1e-6)
    logits = weights["2.14.1.weight"].double().numpy() @ hidden + weights["2.14.1.bias"].double().numpy()
    computed = predictor.predict_logits(codes, strands="forward")
    assert np.abs(logits).max() > 1
    np.testing.assert_allclose(computed[0], logits, rtol=1e-4, atol=1e-4 * np.abs(logits).max())


def replaced(name: str, value: Tensor | None) -> OrderedDict[str, Tensor]:
    changed = OrderedDict((key, tensor) for key, tensor in state().items() if key != name)
    return changed if value is None else OrderedDict([*changed.items(), (name, value)])


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("2.4.bias", None, r"2\.4\.bias is missing\n.*\(480,\)"),
        ("2.12.1.weight", torch.zeros(1).expand(925, 61_440), r"2\.12\.1\.weight is \(925, 61440\)\n.*\(925, 50880\)"),
        ("2.14.1.bias", torch.zeros(3), r"2\.14\.1\.weight is \(919, 925\)\n.*\(3, 925\)"),
        ("2.16.weight", torch.zeros(1), r"2\.16\.weight is \(1,\)\n.*no such tensor"),
        ("2.0.weight", torch.zeros(320, 4, 8), r"2\.0\.weight is \(320, 4, 8\)\n.*\(320, 4, 1, 8\)"),
    ],
)
def test_the_first_tensor_that_differs_is_named(name: str, value: Tensor | None, message: str, tmp_path: Path) -> None:
    torch.save(replaced(name, value), tmp_path / "deepsea.pth")
    with pytest.raises(InputError, match=message):
        read_deepsea(tmp_path / "deepsea.pth")


def test_a_value_that_is_no_number_is_told(tmp_path: Path) -> None:
    torch.save(replaced("2.4.bias", torch.full((480,), torch.inf)), tmp_path / "deepsea.pth")
    with pytest.raises(InputError, match=r"convolutions\.4\.bias has values that are not finite"):
        check_finite(tmp_path / "deepsea.pth", read_deepsea(tmp_path / "deepsea.pth").weights)

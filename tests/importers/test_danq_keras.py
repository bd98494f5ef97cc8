"""DanQ's Keras files: written as Keras 0.2 writes them, and the network computed anew with NumPy as Theano does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from noncoder.errors import InputError
from noncoder.importers import import_weights
from noncoder.importers.danq_keras import read_danq
from noncoder.predictor import load

Array = NDArray[Any]
TASKS = 9


def shapes(filters: int = 320, width: int = 26, units: int = 320, positions: int = 75) -> list[list[tuple[int, ...]]]:
    """The parameters of DanQ_train.py's ten layers: convolution, pooling, dropout, LSTMs, …"""
    gate: list[tuple[int, ...]] = [(filters, units), (units, units), (units,)]
    return [
        [(filters, 4, width, 1), (filters,)], [], [], gate * 8, [], [],
        [(positions * 2 * units, 925), (925,)], [], [(925, TASKS), (TASKS,)], [],
    ]  # fmt: skip


def write(path: Path, layers: Sequence[Sequence[object]]) -> Path:
    """As `save_weights` of Keras 0.2 does; a shape stands for zeros, which take no room in the file."""
    with h5py.File(path, "w") as file:
        file.attrs["nb_layers"] = len(layers)
        for i, layer in enumerate(layers):
            group = file.create_group(f"layer_{i}")
            group.attrs["nb_params"] = len(layer)
            for k, value in enumerate(layer):
                if isinstance(value, tuple):
                    group.create_dataset(f"param_{k}", value, dtype="f4")
                else:
                    group.create_dataset(f"param_{k}", data=value)
    return path


def random_layers() -> list[list[Array]]:
    rng = np.random.default_rng(3)

    def draw(shape: tuple[int, ...]) -> Array:
        if len(shape) == 4:
            return rng.standard_normal(shape, np.float32) * np.float32(0.5)
        # The gates' sums are wide enough to reach both ends of the hard sigmoid.
        scale = {1: 0.5, 2: 2 / np.sqrt(shape[0])}[len(shape)]
        return rng.standard_normal(shape, np.float32) * np.float32(scale)

    return [[draw(shape) for shape in layer] for layer in shapes()]


def hard_sigmoid(x: Array) -> Array:
    gate: Array = np.clip(0.2 * x + 0.5, 0, 1)
    return gate


def lstm(x: Array, parameters: Sequence[Array]) -> Array:
    """(N, L, C) -> (N, L, U), with the parameters of Keras 0.2: for i, c, f, o each W, U, b."""
    (wi, ui, bi), (wc, uc, bc), (wf, uf, bf), (wo, uo, bo) = (parameters[at : at + 3] for at in range(0, 12, 3))
    h: Array = np.zeros((len(x), len(bi)))
    c = h
    steps = []
    for t in range(x.shape[1]):
        i, f, o = (hard_sigmoid(x[:, t] @ w + b + h @ u) for w, u, b in ((wi, ui, bi), (wf, uf, bf), (wo, uo, bo)))
        c = f * c + i * np.tanh(x[:, t] @ wc + bc + h @ uc)
        h = o * np.tanh(c)
        steps.append(h)
    return np.stack(steps, axis=1)


def danq(x: Array, layers: Sequence[Sequence[Array]]) -> Array:
    """Logits of x (N, 4, L), channels A, G, C, T: DanQ_train.py under Keras 0.2 with Theano, in evaluation."""
    kernel, bias = layers[0]
    reach = kernel.shape[2]
    n = x.shape[2] - reach + 1
    y: Array = np.zeros((len(x), len(kernel), n))
    for k in range(reach):  # a convolution, not a correlation: the kernel's last column meets the first base
        y += np.einsum("fc,ncp->nfp", kernel[:, :, reach - 1 - k, 0], x[:, :, k : k + n])
    y = np.maximum(y + bias[:, None], 0)
    y = y[:, :, : n // 13 * 13].reshape(len(x), len(kernel), -1, 13).max(axis=3).transpose(0, 2, 1)
    y = 0.8 * y
    backward = lstm(y[::-1], layers[3][12:])[::-1]  # the batch, not the positions
    y = 0.5 * np.concatenate([lstm(y, layers[3][:12]), backward], axis=2)
    y = y.reshape(len(x), -1).astype(np.float32)  # as the large matrix is, which would be copied
    hidden = np.maximum(y @ layers[6][0] + layers[6][1], 0)
    logits: Array = hidden @ layers[8][0] + layers[8][1]
    return logits


def test_logits_are_those_of_keras_02_with_theano(tmp_path: Path) -> None:
    layers = random_layers()
    summary = import_weights("danq-keras", write(tmp_path / "DanQ_bestmodel.hdf5", layers), tmp_path / "danq")
    assert (summary["model"], summary["tasks"]) == ("danq", TASKS)
    assert "both LSTMs read from the first position to the last" in summary["imported"]["notes"][0]
    predictor = load(tmp_path / "danq")
    codes = np.random.default_rng(4).integers(0, 5, (3, 1000)).astype(np.uint8)
    x = np.eye(5)[np.array([0, 2, 1, 3, 4])[codes]].transpose(0, 2, 1)[:, :4]
    expected = danq(x, layers)
    assert expected.std() > 0.5
    computed = predictor.predict_logits(codes, strands="forward")
    np.testing.assert_allclose(computed, expected, atol=1e-4)


def test_danq_jaspar_is_known_by_its_shapes(tmp_path: Path) -> None:
    # Its script has the activations within the dense layers: eight layers.
    layers = [layer for i, layer in enumerate(shapes(1024, 30, 512, 64)) if i not in (7, 9)]
    imported = read_danq(write(tmp_path / "DanQ-JASPAR_bestmodel.hdf5", layers))
    assert (imported.model, imported.tasks) == ("danq-jaspar", TASKS)
    assert imported.weights["lstm.weight_ih_l0_reverse"].shape == (2048, 1024)
    assert imported.weights["hidden.weight"].shape == (925, 65_536)


def changed(layer: int, parameter: int, shape: tuple[int, ...]) -> list[list[tuple[int, ...]]]:
    layers = [list(layer) for layer in shapes()]
    layers[layer][parameter] = shape
    return layers


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (changed(3, 5, (319,)), r"layer_3/param_5 is \(319,\)\n.*\(320,\)"),
        (changed(6, 0, (48_001, 925)), r"layer_6/param_0 is \(48001, 925\)\n.*\(48000, 925\)"),
        (changed(0, 0, (320, 4, 24, 1)), r"layer_0/param_0 is \(320, 4, 24, 1\)\n.*\(1024, 4, 30, 1\)"),
        (changed(0, 0, (320,)), r"layer_0/param_0 is \(320,\)"),
        (shapes()[:6], r"layers of 2, 24 parameters\n.*2, 24, 2, 2"),
        ([], r"layers of no parameters"),
    ],
)
def test_the_first_tensor_that_differs_is_named(layers: list[list[object]], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read_danq(write(tmp_path / "x.hdf5", layers))


def keras_2(file: h5py.File) -> None:
    file.attrs["layer_names"] = np.array([b"conv1d_1"])


def no_keras(file: h5py.File) -> None:
    file["data"] = np.zeros(3)


def layer_lost(file: h5py.File) -> None:
    file.attrs["nb_layers"] = 2
    file.create_group("layer_0")


def parameter_lost(file: h5py.File) -> None:
    file.attrs["nb_layers"] = 1
    file.create_group("layer_0").attrs["nb_params"] = 2
    file["layer_0/param_0"] = np.zeros((320, 4, 26, 1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (keras_2, "the layout of Keras 1 or later"),
        (no_keras, "no layers of Keras"),
        (layer_lost, "layer_1 is missing"),
        (parameter_lost, "layer_0/param_1 is missing"),
    ],
)
def test_another_layout_is_told(make: Callable[[h5py.File], None], message: str, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        make(file)
    with pytest.raises(InputError, match=message):
        read_danq(tmp_path / "x.hdf5")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_file_that_is_cut_or_of_another_kind_is_told(share: float, tmp_path: Path) -> None:
    layers: list[list[object]] = [[np.ones(99)], [np.ones(99)]]
    path = write(tmp_path / "x.hdf5", layers)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(InputError, match=r"is no HDF5 file, or it is damaged|is empty"):
        read_danq(path)
    path.write_text("a text\n" * 99)
    with pytest.raises(InputError, match="is no HDF5 file"):
        read_danq(path)

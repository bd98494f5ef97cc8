"""DanQ's and DanQ-JASPAR's weights, as their training scripts save them (github.com/uci-cbcl/DanQ, Keras 0.2, HDF5).

The file has a group a layer and numbers the layers' parameters; nothing in it says what they are. What gives the
same predictions here is known from the code that wrote it (Keras at tag 0.2.0, github.com/EderSantana/seya):

- Theano's convolution reads its kernel backwards, so the kernels are turned round.
- Keras 0.2 does not scale in training what dropout leaves, but multiplies by the share that it leaves afterwards:
  0.8 before the LSTMs, 0.5 after them. Here both are in the weights that follow.
- An LSTM has the gates i, c, f, o, each with input weights, recurrent weights and one bias; its gates are
  clip(0.2 x + 0.5, 0, 1).
- seya's `Bidirectional` turns round the batch, not the positions, before and after its second LSTM, in every public
  version (github.com/EderSantana/seya/issues/32): both LSTMs read from the first position to the last.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noncoder.errors import InputError
from noncoder.importers.deepsea_kipoi import ACGT_OF_AGCT
from noncoder.importers.weight_files import Imported, Weights, check_file, check_shapes, shorten
from noncoder.predictor import Shape

_MOST_PARTS = 1_000
_LEAST, _PACKED = 1 << 30, 100  # bytes that are always read, and how much smaller a packed array may lie in a file
_KEPT_BEFORE_LSTM, _KEPT_AFTER_LSTM = 0.8, 0.5
_IFGO_OF_ICFO = [0, 2, 1, 3]
_PARAMETERS = [2, 24, 2, 2]  # of the convolution, the two LSTMs, and the dense layers
_PUBLISHED: dict[tuple[int, ...], tuple[str, int, int]] = {
    (320, 26): ("danq", 320, 75),
    (1024, 30): ("danq-jaspar", 512, 64),
}
"""By the convolution's filters and width: the model, the units of an LSTM, and the positions after pooling."""

_NOTE = (
    "both LSTMs read from the first position to the last, as the layer that the weights were trained with does in all "
    'its public versions; the setting second_lstm="backward" in model.json makes the second read as the paper says'
)


def read_danq(path: Path) -> Imported:
    """Reads the file into `danq` or `danq-jaspar`, by its shapes.

    Raises:
        InputError: It cannot be read, or a tensor is missing, additional or of another shape.
    """
    check_file(path)
    try:
        with h5py.File(path, "r") as file:
            layers = _layers(path, file)
            model = _check(path, layers)
            weights = _convert(layers)
    except OSError as error:
        raise InputError(
            f"{path} is no HDF5 file, or it is damaged", expected="an .hdf5 file of Keras 0.2",
            hint="compare its size and digest with the source's, and fetch it again",
        ) from error  # fmt: skip
    parameters = {"gates": "hard-sigmoid", "second_lstm": "forward", "motifs": "none"}
    return Imported(model, parameters, weights, [_NOTE])


def _layers(path: Path, file: h5py.File) -> list[list[h5py.Dataset]]:
    """The parameters of each layer that has some."""
    if "nb_layers" not in file.attrs:
        later = "layer_names" in file.attrs or "model_weights" in file
        raise InputError(
            f"{path} has " + ("the layout of Keras 1 or later" if later else "no layers of Keras"),
            expected="the layout of Keras 0.2, which DanQ's training script writes: an attribute nb_layers and the "
            "groups layer_0, layer_1, …",
        )
    groups = [(f"layer_{i}", file.get(f"layer_{i}")) for i in range(_count(path, file, "nb_layers"))]
    layers = []
    for name, group in groups:
        if not isinstance(group, h5py.Group):
            raise InputError(f"{path}: {name} is missing", expected=f"{len(groups)} layers, as nb_layers says")
        parameters = [group.get(f"param_{k}") for k in range(_count(path, group, "nb_params"))]
        for k, parameter in enumerate(parameters):
            if not isinstance(parameter, h5py.Dataset):
                raise InputError(f"{path}: {name}/param_{k} is missing", expected="a dataset")
            _check_dataset(path, parameter)
        if parameters:
            layers.append(parameters)
    if [len(layer) for layer in layers] != _PARAMETERS:
        raise InputError(
            f"{path} has layers of {', '.join(str(len(layer)) for layer in layers) or 'no'} parameters",
            expected="2, 24, 2, 2: a convolution, two LSTMs and two dense layers",
        )
    return layers


def _count(path: Path, group: h5py.Group, name: str) -> int:
    """How many parts a group has, by its attribute; it may be wrong, and of any type."""
    value = group.attrs.get(name, len(group))
    if not isinstance(value, int | np.integer) or not 0 <= value <= _MOST_PARTS:
        told = shorten(repr(value))
        raise InputError(f"{path}: {name} of {group.name} is {told}", expected=f"a whole number up to {_MOST_PARTS}")
    return int(value)


def _check_dataset(path: Path, parameter: h5py.Dataset) -> None:
    """Makes sure that what is read is numbers, lies in this file, and is no larger than the file can hold."""
    if parameter.dtype.kind not in "fiu" or parameter.external or parameter.is_virtual:
        kind = "of another file" if parameter.external or parameter.is_virtual else f"of the type {parameter.dtype}"
        raise InputError(f"{path}: {parameter.name} is {kind}", expected="numbers, in this file")
    if parameter.nbytes > max(_LEAST, _PACKED * path.stat().st_size):
        raise InputError(
            f"{path}: {parameter.name} should be {parameter.shape}, {parameter.nbytes:,} bytes",
            expected=f"what a file of {path.stat().st_size:,} bytes can hold",
        )


def _check(path: Path, layers: list[list[h5py.Dataset]]) -> str:
    kernel = layers[0][0]
    if len(kernel.shape) != 4 or kernel.shape[::2] not in _PUBLISHED:
        raise InputError(
            f"{path}: {kernel.name} is {kernel.shape}",
            expected="(320, 4, 26, 1) in DanQ, (1024, 4, 30, 1) in DanQ-JASPAR",
        )
    (filters, width), (model, units, positions) = kernel.shape[::2], _PUBLISHED[kernel.shape[::2]]
    hidden, tasks = (dense[1].shape[0] if len(dense[1].shape) == 1 else 0 for dense in layers[2:])
    gate: list[Shape] = [(filters, units), (units, units), (units,)]
    shapes: list[list[Shape]] = [
        [(filters, 4, width, 1), (filters,)],
        gate * 8,
        [(positions * 2 * units, hidden), (hidden,)],
        [(hidden, tasks), (tasks,)],
    ]
    found = {str(parameter.name): tuple(parameter.shape) for layer in layers for parameter in layer}
    expected = dict(zip(found, (shape for layer in shapes for shape in layer), strict=True))
    check_shapes(path, found, expected, "DanQ-JASPAR" if model == "danq-jaspar" else "DanQ")
    return model


def _convert(layers: list[list[h5py.Dataset]]) -> Weights:
    convolution, lstms, hidden, output = layers
    kernel = _values(convolution[0])[..., 0][:, ACGT_OF_AGCT, ::-1]
    return {
        "convolution.weight": _tensor(kernel),
        "convolution.bias": _tensor(_values(convolution[1])),
        **_lstm(lstms[:12], ""),
        **_lstm(lstms[12:], "_reverse"),
        "hidden.weight": _tensor(_values(hidden[0]).T).mul_(_KEPT_AFTER_LSTM),
        "hidden.bias": _tensor(_values(hidden[1])),
        "output.weight": _tensor(_values(output[0]).T),
        "output.bias": _tensor(_values(output[1])),
    }


def _lstm(parameters: list[h5py.Dataset], direction: str) -> Weights:
    gates = [[_values(parameter).T for parameter in parameters[3 * gate : 3 * gate + 3]] for gate in _IFGO_OF_ICFO]
    inputs, recurrent, biases = (_tensor(np.concatenate(parts)) for parts in zip(*gates, strict=True))
    return {
        f"lstm.weight_ih_l0{direction}": inputs.mul_(_KEPT_BEFORE_LSTM),
        f"lstm.weight_hh_l0{direction}": recurrent,
        f"lstm.bias_ih_l0{direction}": biases,
        f"lstm.bias_hh_l0{direction}": torch.zeros_like(biases),  # PyTorch's LSTM has two, whose sum counts
    }


def _values(parameter: h5py.Dataset) -> NDArray[np.float32]:
    return np.asarray(parameter, dtype=np.float32)


def _tensor(values: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values))

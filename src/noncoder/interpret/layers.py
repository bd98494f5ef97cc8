"""The layers of a model that Grad-CAM supports, and where their positions lie on the sequence.

One forward pass is traced. Hooks see the output of each module. A mode that all PyTorch functions go through sees
function calls, such as convolutions with multiplied weights, and poolings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from noncoder.data.loading import one_hot
from noncoder.errors import InputError, did_you_mean
from noncoder.models import SequenceModel
from noncoder.predictor.inference import device_of, evaluating

FEATURES = "features"
"""Name of the output of `model.features`, which need not be a module's output."""

_UNSEEN = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Identity, nn.Flatten)  # they repeat the previous layer


@dataclass(frozen=True)
class Layer:
    """A layer whose output has channels and positions.

    Attributes:
        name: Name in the model, e.g. "blocks.0"; "features" is the output of the layers before the head.
        kind: Class.
        channels: Number of channels, C.
        positions: Number of positions, P.
        step: Distance between neighbouring positions, bp.
        first: Centre of position 0, bp from the window's first base; convolutions without padding and poolings move it
            to the right.
        last: Whether channels are the last axis: (N, P, C) instead of (N, C, P) or (N, C, 1, P).
    """

    name: str
    kind: str
    channels: int
    positions: int
    step: float
    first: float
    last: bool

    @property
    def centres(self) -> NDArray[np.float64]:
        """Centres of the positions' receptive fields, bp from the window's first base, (P,)."""
        return self.first + self.step * np.arange(self.positions, dtype=np.float64)

    def by_channel(self, output: Tensor) -> Tensor:
        """Returns the layer's output as (N, C, P)."""
        if self.last:
            return output.transpose(1, 2)
        return output.squeeze(2) if output.ndim == 4 else output


def list_layers(model: SequenceModel) -> list[Layer]:
    """Lists all layers with channels and positions in the order of their calls, including "features"."""
    return list(_trace(model).layers.values())


def find_layer(model: SequenceModel, name: str) -> Layer:
    """Returns a layer by name.

    Args:
        model: The model.
        name: One of `list_layers`, or "first" for the first convolution, or "last" for the last convolutional features,
            which the head reads. If a model has no `features` and `head`, or the positions of its features on the
            sequence are unknown, "last" is the last of `list_layers`.

    Raises:
        InputError: There is no such layer; the message lists the layers and suggests the nearest name.
    """
    trace = _trace(model)
    last = FEATURES if FEATURES in trace.layers else next(reversed(trace.layers), None)
    aliases = {"last": last, "first": None if trace.first is None else trace.first.name}
    aliases = {alias: layer for alias, layer in aliases.items() if layer is not None}
    chosen = aliases.get(name, name)
    if not trace.layers:
        raise InputError(
            f"no layer of the model {model.name!r} has channels and positions",
            expected="a layer that is an nn.Module and outputs (N, C, P)",
            hint="use a method that needs no layer, such as ism or integrated-gradients",
        )
    if chosen not in trace.layers:
        known = [*aliases, *trace.layers]
        raise InputError(
            f"the model {model.name!r} has no layer {name!r} with channels and positions",
            expected=f"one of {', '.join(known)}",
            hint=did_you_mean(name, known),
        )
    return trace.layers[chosen]


class FirstConvolution(NamedTuple):
    """The first convolution that a model computes.

    Attributes:
        name: Name in the model.
        module: The convolution, or the module that computes with its weights.
        reads_bases: Whether its input is the one-hot sequence.
    """

    name: str
    module: nn.Module
    reads_bases: bool


def first_convolution(model: SequenceModel) -> FirstConvolution | None:
    """Returns the first layer, in the order of calls, that is a convolution or computes with the weights of one."""
    return _trace(model).first


@contextmanager
def watching(model: SequenceModel, layer: Layer) -> Iterator[list[Tensor]]:
    """Inside the block, forward passes append the layer's output to the list, one tensor per pass, in the graph."""
    kept: list[Tensor] = []

    def keep(output: Any) -> Any:
        # Later layers may write into their input, so they get a copy.
        kept.append(_tensor(output))
        return (kept[-1].clone(), *output[1:]) if isinstance(output, tuple) else kept[-1].clone()

    if layer.name == FEATURES:
        features = model.features
        model.features = lambda x: keep(features(x))  # type: ignore[method-assign]
        try:
            yield kept
        finally:
            del model.features
        return
    handle = model.get_submodule(layer.name).register_forward_hook(lambda *call: keep(call[2]))
    try:
        yield kept
    finally:
        handle.remove()


class _Trace(NamedTuple):
    layers: dict[str, Layer]
    first: FirstConvolution | None


class _LayerPlace(NamedTuple):
    step: float
    first: float


class _Geometry(TorchFunctionMode):
    """Follows convolutions and poolings, and stores the geometry of positions by their number.

    Along a network each number of positions has one geometry: layers that keep the number (padded convolutions, norms,
    recurrent and attention layers) keep the geometry too.
    """

    def __init__(self, window: int) -> None:
        super().__init__()
        self.places = {window: _LayerPlace(1.0, 0.0)}
        self.current = window

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        y = func(*args, **kwargs)
        taps = _taps(func, args, kwargs)
        if taps is not None:
            width, stride, padding, dilation = taps
            before, after = args[0].shape[-1], y.shape[2] if func is torch.Tensor.unfold else y.shape[-1]
            if before in self.places:
                place = self.places[before]
                first = place.first + place.step * (dilation * (width - 1) / 2 - padding)
                self.places.setdefault(after, _LayerPlace(place.step * stride, first))
                self.current = after
        return y


_CONVOLUTIONS = (torch.conv1d, torch.conv2d)
_MAXIMA = (nn.functional.max_pool1d, nn.functional.max_pool2d)
_MEANS = (nn.functional.avg_pool1d, nn.functional.avg_pool2d)


def _taps(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[int, int, float, int] | None:
    """Returns width, stride, padding and dilation of a call along the sequence; None for other kinds of calls."""

    def along(at: int, name: str, default: Any) -> Any:
        value = args[at] if len(args) > at else kwargs.get(name, default)
        return value[-1] if isinstance(value, tuple | list) and len(value) else value

    if func in _CONVOLUTIONS:
        width, dilation = args[1].shape[-1], along(5, "dilation", 1)
        padding = along(4, "padding", 0)
        if isinstance(padding, str):
            padding = dilation * (width - 1) / 2 if padding == "same" else 0
        return width, along(3, "stride", 1), padding, dilation
    if func in _MAXIMA or func in _MEANS:
        width = along(1, "kernel_size", 1)
        stride = along(2, "stride", None) or width
        return width, stride, along(3, "padding", 0), along(4, "dilation", 1) if func in _MAXIMA else 1
    if func is torch.Tensor.unfold and args[1] in (-1, args[0].ndim - 1):
        return args[2], args[3], 0, 1
    return None


def _trace(model: SequenceModel) -> _Trace:
    geometry = _Geometry(model.window)
    layers: dict[str, Layer] = {}

    readers: set[str] = set()
    device = device_of(model)
    bases = one_hot(torch.arange(model.window, device=device).remainder(4).to(torch.uint8)[None])

    def note(name: str, module: nn.Module | None, inputs: tuple[Any, ...], output: Any) -> None:
        output = _tensor(output)
        if isinstance(output, Tensor) and name not in layers:
            layer = _layer(name, module, output, geometry)
            if layer is not None:
                layers[name] = layer
                if _is_of(bases, inputs):
                    readers.add(name)

    handles = [
        module.register_forward_hook(lambda module, inputs, output, name=name: note(name, module, inputs, output))
        for name, module in model.named_modules()
        if name and not isinstance(module, _UNSEEN)
    ]
    try:
        with evaluating(model), geometry:
            if model.has_features:
                features = model.features(bases)
                note(FEATURES, None, (), features)
                model.head(features)
            else:
                model(bases)
    finally:
        for handle in handles:
            handle.remove()
    name = _first_convolution(model, layers)
    first = None if name is None else FirstConvolution(name, model.get_submodule(name), name in readers)
    return _Trace(layers, first)


def _is_of(bases: Tensor, inputs: tuple[Any, ...]) -> bool:
    """Whether the first input of a module is the one-hot sequence (1, 4, L), or that as an image (1, 4, 1, L)."""
    x = inputs[0] if inputs else None
    if not isinstance(x, Tensor):
        return False
    flat = x.squeeze(2) if x.ndim == 4 else x
    return flat.shape == bases.shape and torch.equal(flat, bases)


def _layer(name: str, module: nn.Module | None, output: Tensor, geometry: _Geometry) -> Layer | None:
    if output.ndim == 4 and output.shape[2] == 1:
        output = output.squeeze(2)
    if output.ndim != 3:
        return None
    counts = [output.shape[2], output.shape[1]]  # (N, C, P) first
    if isinstance(module, nn.RNNBase | nn.Linear | nn.LayerNorm):
        counts = counts[1:]
    elif geometry.current in counts and not isinstance(module, nn.modules.conv._ConvNd):
        counts.sort(key=lambda count: count != geometry.current)
    for count in counts:
        if count in geometry.places:
            last = count == output.shape[1] and (len(counts) == 1 or count != output.shape[2])
            channels = output.shape[2] if last else output.shape[1]
            place = geometry.places[count]
            kind = "features" if module is None else type(module).__name__
            return Layer(name, kind, channels, count, place.step, place.first, last)
    return None


def _first_convolution(model: SequenceModel, layers: dict[str, Layer]) -> str | None:
    """Returns the first layer, in the order of calls, that is a convolution or computes with the weights of one."""
    convolutions: set[str] = set()
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.conv._ConvNd):
            while name and name not in layers:
                name = name.rpartition(".")[0]
            convolutions.add(name)
    return next((name for name in layers if name in convolutions), None)


def _tensor(output: Any) -> Any:
    return output[0] if isinstance(output, tuple) else output

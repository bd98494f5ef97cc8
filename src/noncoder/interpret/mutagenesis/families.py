"""Descriptions of the convolutional trunk of each family of models.

One function per family describes its trunk in terms of the model's own layers. Models without a description are
mutated by brute force. The tests compare every description with `features`; `mutate` compares some mutations too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noncoder.interpret.mutagenesis.trunk import Term, Trunk, convolution, normed
from noncoder.models.compact import Compact
from noncoder.models.danq import DanQ
from noncoder.models.deepatt import DeepAtt
from noncoder.models.deepsea import DeepSea
from noncoder.models.layers.residual import Bottleneck, ResidualBlock
from noncoder.models.ncnet import NCNet
from noncoder.models.registry import SequenceModel
from noncoder.models.wideresnet import Front, WideResNet


class NotLocalError(Exception):
    """The model has no described local trunk; the message says why."""


_FAMILIES: dict[type[SequenceModel], Callable[[Any], Trunk]] = {}

D = TypeVar("D", bound=Callable[[Any], Trunk])


def describes(*families: type[SequenceModel]) -> Callable[[D], D]:
    """Registers a function that describes the trunk of models of these classes."""

    def add(describe: D) -> D:
        _FAMILIES.update(dict.fromkeys(families, describe))
        return describe

    return add


def describe_trunk(model: SequenceModel) -> Trunk:
    """Returns the trunk of a model in evaluation mode: from one-hot DNA to `model.features`.

    Raises:
        NotLocalError: The model's family has no description, or one of its layers reads distant positions.
    """
    for family in type(model).__mro__:
        if family in _FAMILIES:
            return _FAMILIES[family](model)
    raise NotLocalError("its convolutions have no description")


@describes(DeepSea)
def _deepsea(model: DeepSea) -> Trunk:
    trunk, at = Trunk(), 0
    for layer in model.convolutions:
        if isinstance(layer, nn.Conv1d):
            at = trunk.add(convolution(at, layer))
        elif isinstance(layer, nn.MaxPool1d):
            assert isinstance(layer.kernel_size, int), "DeepSEA's kernel sizes are integers"
            at = trunk.maximum(at, layer.kernel_size)
        elif isinstance(layer, nn.Threshold):
            at = trunk.pointwise(at, _threshold(layer))
    return trunk


def _threshold(layer: nn.Threshold) -> Callable[[Tensor], Tensor]:
    def function(x: Tensor) -> Tensor:
        return torch.threshold_(x, layer.threshold, layer.value)

    return function


@describes(DanQ, DeepAtt)
def _pooled_convolution(model: DanQ | DeepAtt) -> Trunk:
    trunk = Trunk()
    at = trunk.maximum(trunk.add(convolution(0, model.convolution)), model.pool)
    trunk.pointwise(at, F.relu_)
    return trunk


@describes(Compact)
def _compact(model: Compact) -> Trunk:
    trunk = Trunk()
    at = trunk.maximum(trunk.add(convolution(0, model.stem)), model.pool, ceil=True)
    at = trunk.pointwise(at, normed(model.stem_norm, F.gelu))
    at = _blocks(trunk, at, model.blocks)
    trunk.pointwise(at, normed(model.norm, F.gelu))
    return trunk


@describes(WideResNet)
def _wideresnet(model: WideResNet) -> Trunk:
    trunk = Trunk()
    at = _front(trunk, model.front, model.stem_norm)
    if model.stem_norm is not None:
        at = trunk.pointwise(at, F.relu_)
    at = _blocks(trunk, at, model.blocks)
    if model.norm is not None:
        trunk.pointwise(at, normed(model.norm, F.relu_))
    return trunk


@describes(NCNet)
def _ncnet(model: NCNet) -> Trunk:
    if model.stem is None:
        raise NotLocalError("its first layer is an LSTM")
    trunk = Trunk()
    at = trunk.maximum(trunk.add(convolution(0, model.stem)), model.pool)
    at = _blocks(trunk, at, model.blocks)
    trunk.pointwise(at, normed(model.norm, F.relu_))
    return trunk


def _front(trunk: Trunk, front: Front, norm: nn.BatchNorm2d | None) -> int:
    at = trunk.pointwise(0, _unknown_as_a) if front.unknown == "A" else 0
    weight = None
    if front.embedding is not None:
        weight = torch.einsum("ceik,eb->cbik", front.stem.weight, front.embedding.weight)
    return trunk.add(convolution(at, front.stem, norm, weight))


def _unknown_as_a(x: Tensor) -> Tensor:
    return torch.cat([x[..., :1] + 1 - x.sum(dim=-1, keepdim=True), x[..., 1:]], dim=-1)


def _blocks(trunk: Trunk, at: int, blocks: Iterable[nn.Module]) -> int:
    for block in blocks:
        if isinstance(block, Bottleneck):
            at = (_pre_bottleneck if block.activation == "pre" else _post_bottleneck)(trunk, at, block)
        elif isinstance(block, ResidualBlock):
            y = trunk.pointwise(at, normed(block.norm, F.gelu))
            at = trunk.add((Term(at), None), convolution(y, block.convolution))
        else:
            raise NotLocalError(f"the layer {type(block).__name__} has no description")
    return at


def _layers(block: Bottleneck) -> tuple[list[nn.Conv2d], list[nn.BatchNorm2d]]:
    if not isinstance(block.squeeze, nn.Identity):
        raise NotLocalError("its squeeze-and-excitation reads all positions")
    convolutions = [layer for layer in block.convolutions if isinstance(layer, nn.Conv2d)]
    return convolutions, [norm for norm in block.norms if isinstance(norm, nn.BatchNorm2d)]


def _pre_bottleneck(trunk: Trunk, at: int, block: Bottleneck) -> int:
    convolutions, norms = _layers(block)
    y = trunk.pointwise(at, normed(norms[0], F.relu_))
    y = trunk.pointwise(trunk.add(convolution(y, convolutions[0], norms[1])), F.relu_)
    y = trunk.pointwise(trunk.add(convolution(y, convolutions[1], norms[2])), F.relu_)
    shortcut = trunk.pointwise(at, normed(block.shortcut_norm, F.relu_))
    return trunk.add(convolution(y, convolutions[2]), convolution(shortcut, block.shortcut))


def _post_bottleneck(trunk: Trunk, at: int, block: Bottleneck) -> int:
    convolutions, norms = _layers(block)
    y = trunk.pointwise(trunk.add(convolution(at, convolutions[0], norms[0])), F.relu_)
    y = trunk.pointwise(trunk.add(convolution(y, convolutions[1], norms[1])), F.relu_)
    shortcut = convolution(at, block.shortcut, block.shortcut_norm)
    return trunk.pointwise(trunk.add(convolution(y, convolutions[2], norms[2]), shortcut), F.relu_)

"""Heads that turn changed features into logits: the model's own head, a dense layer, and the choice between heads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noncoder.interpret.mutagenesis.attention_pooling import AttentionHead
from noncoder.interpret.mutagenesis.change import Change, Head, splice_rows
from noncoder.interpret.mutagenesis.cores import core_head
from noncoder.models.compact import Compact
from noncoder.models.deepsea import DeepSea
from noncoder.models.layers.dense import NormalisedLinear
from noncoder.models.registry import SequenceModel
from noncoder.models.wideresnet import WideResNet
from noncoder.predictor.inference import batches


def splice(features: Tensor, change: Change) -> Tensor:
    """Returns complete features (b, C, P) of mutated versions, from the features of the sequence (1, C, P)."""
    return splice_rows(features[0].t(), change).transpose(1, 2)


class FullHead:
    """The model's own head on complete features.

    Args:
        model: The model.
        batch_size: Mutations per batch.
    """

    def __init__(self, model: SequenceModel, batch_size: int) -> None:
        self.model, self.batch_size = model, batch_size

    def begin(self, features: Tensor) -> Tensor:
        """Returns the features."""
        return features

    def logits(self, state: Tensor, change: Change, tasks: Sequence[int]) -> Tensor:
        """Returns logits (b, tasks)."""
        columns, parts = list(tasks), []
        for rows in batches(change.start.shape[0], self.batch_size):
            part = Change(*(tensor[rows] for tensor in change))
            parts.append(self.model.head(splice(state, part))[:, columns])
        return torch.cat(parts)


@dataclass(frozen=True)
class DenseState:
    """Features (P, C) of the sequence, and its hidden units before the activation (H,)."""

    features: Tensor
    hidden: Tensor


class DenseHead:
    """Dense layer on all features; its sums are updated by the differences of the features.

    Args:
        layer: The dense layer.
        positions: P.
        positions_first: Whether the layer's inputs are ordered by position, then channel, not by channel, then
            position.
        tail: Computes logits (b, tasks) from the layer's units (b, H), which it can overwrite, and tasks.
    """

    def __init__(
        self, layer: nn.Linear, positions: int, positions_first: bool, tail: Callable[[Tensor, Sequence[int]], Tensor]
    ) -> None:
        weight = output_weight(layer)
        if positions_first:
            self.weight = weight.view(layer.out_features, positions, -1).transpose(0, 1)  # (P, H, C), a view
        else:
            self.weight = weight.reshape(-1, positions).t().contiguous().view(positions, layer.out_features, -1)
        self.layer, self.positions_first, self.tail = layer, positions_first, tail

    def begin(self, features: Tensor) -> DenseState:
        """Computes the state of the unmutated sequence from its features (1, C, P)."""
        x = features[0].t().contiguous()
        return DenseState(x, self.layer((x if self.positions_first else x.t()).flatten()))

    def logits(self, state: DenseState, change: Change, tasks: Sequence[int]) -> Tensor:
        """Returns logits (b, tasks).

        The mutations that change a position are adjacent rows, so one matrix product updates all of them.
        """
        values = change.values.transpose(1, 2)
        positions, width = state.features.shape[0], values.shape[1]
        hidden = state.hidden.repeat(values.shape[0], 1)
        begins = torch.searchsorted(change.start, torch.arange(positions + 1, device=values.device)).tolist()
        for position in range(positions):
            nearest = max(0, position - width + 1)
            parts = [
                values[begins[start] : begins[start + 1], position - start]
                for start in range(nearest, position + 1)
                if begins[start] < begins[start + 1]
            ]
            if parts:
                difference = torch.cat(parts).sub_(state.features[position])
                hidden[begins[nearest] : begins[position + 1]].addmm_(difference, self.weight[position].t())
        return self.tail(hidden, tasks)


def choose_head(model: SequenceModel, positions: int, batch_size: int) -> tuple[Head, str]:
    """Returns the cheapest head for a model whose features have P positions, and its description."""
    core = core_head(model)
    if core is not None:
        return core, "then the core from there on"
    output = model.output

    def last(units: Tensor, tasks: Sequence[int]) -> Tensor:
        return chosen_logits(output, units, tasks)

    if isinstance(model, Compact):
        return AttentionHead(model.attention, last), "then only the changed sums over positions"
    dense = _dense_layers(model)
    if dense is None:
        return FullHead(model, batch_size), "then the complete head"
    layer, after, positions_first = dense

    def tail(units: Tensor, tasks: Sequence[int]) -> Tensor:
        return units[:, list(tasks)] if after is None else last(after(units), tasks)

    return DenseHead(layer, positions, positions_first, tail), "then the dense layer by differences"


def _dense_layers(model: SequenceModel) -> tuple[nn.Linear, nn.Module | None, bool] | None:
    """Returns the dense layer that reads the features, the layers between it and the last, and `positions_first`."""
    if isinstance(model, DeepSea):
        layer, positions_first = model.hidden[1], False
        after: nn.Module | None = model.hidden[2:]
    elif isinstance(model, WideResNet) and model.core is None:
        layer = model.output if model.hidden is None else model.hidden[0]
        positions_first, after = True, None if model.hidden is None else nn.Sequential(*list(model.hidden)[1:])
    else:
        return None
    assert isinstance(layer, nn.Linear)
    return layer, after, positions_first


def chosen_logits(output: nn.Linear, x: Tensor, tasks: Sequence[int]) -> Tensor:
    """Returns the requested logits (b, tasks) of a last layer."""
    columns = list(tasks)
    weight, bias = output_weight(output), output.bias
    if columns == list(range(output.out_features)):
        return F.linear(x, weight, bias)
    return F.linear(x, weight[columns], bias[columns])


def output_weight(layer: nn.Linear) -> Tensor:
    """Returns the weights that a dense layer applies, normalised if it normalises them, (H, F)."""
    return (F.normalize(layer.weight, dim=1) if isinstance(layer, NormalisedLinear) else layer.weight).detach()

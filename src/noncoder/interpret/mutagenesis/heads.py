"""Heads that turn changed features into logits: any model's in full, and dense layers and attention pooling in part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noncoder.interpret.mutagenesis.change import Change, Head
from noncoder.models.deepsea import DeepSea
from noncoder.models.registry import SequenceModel


def splice(features: Tensor, change: Change) -> Tensor:
    """Whole features (b, C, P) of mutated versions, from those of the sequence (1, C, P)."""
    length, width = features.shape[2], change.values.shape[2]
    whole = features.new_empty(change.start.shape[0], length + width, features.shape[1])
    whole[:, :length] = features[0].t()
    at = change.start[:, None] + torch.arange(width, device=features.device)
    whole.scatter_(1, at[:, :, None].expand(-1, -1, features.shape[1]), change.values.transpose(1, 2))
    return whole[:, :length].transpose(1, 2)


class FullHead:
    """The model's own head, on whole features.

    Args:
        model: The model.
        batch_size: Mutations at a time.
    """

    def __init__(self, model: SequenceModel, batch_size: int) -> None:
        self.model, self.batch_size = model, batch_size

    def begin(self, features: Tensor) -> Tensor:
        """The features themselves."""
        return features

    def logits(self, state: Tensor, change: Change, tasks: Sequence[int]) -> Tensor:
        """Logits (b, tasks)."""
        parts = [
            self.model.head(splice(state, Change(start, values)))[:, list(tasks)]
            for start, values in zip(
                change.start.split(self.batch_size), change.values.split(self.batch_size), strict=True
            )
        ]
        return torch.cat(parts)


@dataclass(frozen=True)
class DenseState:
    """Features (P, C) of the sequence, and its hidden units before their activation (H,)."""

    features: Tensor
    hidden: Tensor


class DenseHead:
    """A dense layer on all features, whose sums change by the differences of features alone.

    Args:
        layer: The dense layer.
        positions: P.
        positions_first: Whether the layer reads a position's channels side by side, or a channel's positions.
        tail: From the layer's units (b, H), which it may overwrite, and tasks to logits (b, tasks).
    """

    def __init__(
        self, layer: nn.Linear, positions: int, positions_first: bool, tail: Callable[[Tensor, Sequence[int]], Tensor]
    ) -> None:
        weight = layer.weight.detach()
        order = (1, 2, 0) if positions_first else (2, 1, 0)
        split = (positions, -1) if positions_first else (-1, positions)
        self.weight = weight.unflatten(1, split).permute(order).contiguous()  # (P, C, H)
        self.bias, self.tail = layer.bias, tail

    def begin(self, features: Tensor) -> DenseState:
        """Features and hidden units."""
        x = features[0].t().contiguous()
        hidden = torch.mv(self.weight.flatten(0, 1).t(), x.flatten())
        return DenseState(x, hidden if self.bias is None else hidden + self.bias.detach())

    def logits(self, state: DenseState, change: Change, tasks: Sequence[int]) -> Tensor:
        """Logits (b, tasks).

        Mutations that change a position are neighbours: its differences times its weights are one product.
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
                hidden[begins[nearest] : begins[position + 1]].addmm_(difference, self.weight[position])
        return self.tail(hidden, tasks)


def choose_head(model: SequenceModel, batch_size: int) -> tuple[Head, str]:
    """The cheapest head for a model, and words about it."""
    if isinstance(model, DeepSea):
        layer, rectifier = model.hidden[1], model.hidden[2]
        assert isinstance(layer, nn.Linear)

        def tail(hidden: Tensor, tasks: Sequence[int]) -> Tensor:
            return chosen_logits(model.output, rectifier(hidden), tasks)

        positions = layer.in_features // model.convolutions[8].out_channels
        return DenseHead(layer, positions, False, tail), "and the dense layer's sums by differences"
    return FullHead(model, batch_size), "and the head in full"


def chosen_logits(output: nn.Linear, x: Tensor, tasks: Sequence[int]) -> Tensor:
    """The logits (b, tasks) of a last layer that are asked for."""
    columns = list(tasks)
    if len(columns) < output.out_features:
        return F.linear(x, output.weight[columns], output.bias[columns])
    return output(x)[:, columns]

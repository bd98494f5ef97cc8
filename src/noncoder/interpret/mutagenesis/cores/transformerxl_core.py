"""Heads with a causal Transformer-XL, in which each position sees only itself and earlier positions.

No layer changes before a row's first changed position. Rows whose changes start nearby are evaluated together from the
first of these positions on: their queries attend to the unmutated keys and values of earlier positions and to their
own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor

from noncoder.interpret.mutagenesis.change import Change, splice_rows
from noncoder.interpret.mutagenesis.cores.dense_core import Tail, add_changes, linear_of, sums_before
from noncoder.models import SequenceModel
from noncoder.models.layers.transformerxl import RelativeAttention, TransformerXL, make_view
from noncoder.models.wideresnet import WideResNet

_POSITIONS = 2048  # per group, all rows together: enough to make matrix products efficient


class LayerState(NamedTuple):
    """State of one layer on the unmutated sequence: inputs (1, P, C), keys and values (H, 1, P, D) each."""

    inputs: Tensor
    key: Tensor
    value: Tensor


@dataclass(frozen=True)
class TransformerXlState:
    """State of the unmutated sequence.

    Attributes:
        features: Features, (P, C).
        layers: State of each layer.
        sums: Contribution of the core's outputs before each position to the dense layer's sums, (P + 1, M).
        around: The dense layer's sums without the core's outputs, (M,).
    """

    features: Tensor
    layers: list[LayerState]
    sums: Tensor
    around: Tensor


class TransformerXLHead:
    """Causal Transformer-XL with an optional skip connection, and dense layers.

    Args:
        core: Transformer-XL layers.
        tail: Dense layers.
        norm: Norm on the skip connection, (N, C, P) -> (N, C, P).
    """

    def __init__(self, core: TransformerXL, tail: Tail, norm: Callable[[Tensor], Tensor]) -> None:
        self.core, self.tail, self.norm = core, tail, norm

    def begin(self, features: Tensor) -> TransformerXlState:
        """Computes the state of the unmutated sequence from its features (1, C, P)."""
        rows = features[0].t().contiguous()
        layers: list[LayerState] = []
        y = self._run(rows.unsqueeze(0), 0, [], layers)
        sums = sums_before(y[0], self.tail.core)
        return TransformerXlState(rows, layers, sums, self.tail.around_sums(features, self.norm))

    def logits(self, state: TransformerXlState, change: Change, tasks: Sequence[int]) -> Tensor:
        """Returns logits of the mutated versions, (b, len(tasks))."""
        tail = self.tail
        core, around = tail.weights(tasks)
        before = tail.sums(state.sums, tasks)
        sums = tail.sums(state.around, tasks).repeat(len(change.start), 1)
        if around is not None:
            add_changes(sums, state.features, change, around, self.norm)
        for rows, first in groups(change.start.tolist(), len(state.features)):
            x = splice_rows(state.features[first:], Change(change.start[rows] - first, change.values[rows]))
            y = self._run(x, first, state.layers, [])
            sums[rows] += before[first]
            sums[rows].addmm_(y.flatten(1), core[first:].flatten(0, 1))
        return tail.logits(sums, tasks)

    def _run(self, x: Tensor, first: int, before: list[LayerState], kept: list[LayerState]) -> Tensor:
        """Returns the core's outputs (N, P - first, C) for its inputs from position `first` on.

        Args:
            x: Inputs, (N, P - first, C).
            first: Their first position.
            before: State of the unmutated sequence, for the positions before; not needed if `first` is 0.
            kept: Receives the state of each layer if `first` is 0.
        """
        view = make_view(x, first, True, self.core.reach)
        for i, (attention, feed_forward) in enumerate(zip(self.core.attentions, self.core.feed_forwards, strict=True)):
            layer = cast(RelativeAttention, attention)
            reached = min(
                first, layer.convolution.before
            )  # a convolution in the attention heads reads earlier positions
            context = x
            if reached:
                earlier = before[i].inputs[:, first - reached : first].expand(len(x), -1, -1)
                context = torch.cat([earlier, x], dim=1)
            query, key, value = (part[:, :, reached:] for part in layer.project(context))
            if first:
                key, value = (
                    torch.cat([old[:, :, :first].expand(-1, len(x), -1, -1), new], dim=2)
                    for old, new in ((before[i].key, key), (before[i].value, value))
                )
            else:
                kept.append(LayerState(x, key, value))
            x = feed_forward(layer.mix(x, query, key, value, view))
        return x


def groups(start: list[int], positions: int) -> Iterator[tuple[slice, int]]:
    """Yields slices of rows to evaluate together, each with its first changed position.

    A group has one row, or as many rows as have at most `_POSITIONS` positions from the first changed one on.

    Args:
        start: First changed position of each row, ascending.
        positions: P.
    """
    begin = 0
    while begin < len(start):
        end = begin + max(1, _POSITIONS // (positions - start[begin]))
        yield slice(begin, min(end, len(start))), start[begin]
        begin = end


def transformerxl_head(model: SequenceModel) -> TransformerXLHead | None:
    """Returns the head of a model whose core is a causal Transformer-XL; None for other models."""
    if not (isinstance(model, WideResNet) and isinstance(model.core, TransformerXL) and model.core.reach.causal):
        return None
    linear = linear_of(model.output if model.hidden is None else model.hidden)
    around = linear.in_features // model.positions // 2 if model.skip == "concat" else 0
    tail = Tail(model.hidden, model.output, model.positions, around, model.skip == "add")
    return TransformerXLHead(model.core, tail, model.skip_norm or (lambda x: x))

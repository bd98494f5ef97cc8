"""Heads with a Transformer-XL that sees one side of a position.

Before a row's first changed position nothing changes in any layer. Rows that change at about the same place are
evaluated together from there on: their queries attend to the kept keys and values of the positions before, and to
their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor

from noncoder.interpret.mutagenesis.change import Change
from noncoder.interpret.mutagenesis.cores.dense_core import Tail, add_changes, linear_of, sums_before
from noncoder.models import SequenceModel
from noncoder.models.layers.transformerxl import RelativeAttention, TransformerXL, make_view
from noncoder.models.wideresnet import WideResNet

_ROWS = 2048  # positions of all rows together that make a product of matrices worth its call


class Kept(NamedTuple):
    """One layer on the unmutated sequence: its inputs (1, P, C), and keys and values, each (H, 1, P, D)."""

    inputs: Tensor
    key: Tensor
    value: Tensor


@dataclass(frozen=True)
class TransformerXlState:
    """The unmutated sequence.

    Attributes:
        features: (P, C).
        layers: What is kept of each.
        sums: What the core's outputs before each position add to the dense layer's sums, (P + 1, M).
        around: The sums of all but the core's outputs, (M,).
    """

    features: Tensor
    layers: list[Kept]
    sums: Tensor
    around: Tensor


class TransformerXLHead:
    """A Transformer-XL that sees one side, perhaps a way around it, and dense layers.

    Args:
        core: Its layers.
        tail: The dense layers.
        norm: On the way around, (N, C, P) -> (N, C, P).
    """

    def __init__(self, core: TransformerXL, tail: Tail, norm: Callable[[Tensor], Tensor]) -> None:
        self.core, self.tail, self.norm = core, tail, norm

    def begin(self, features: Tensor) -> TransformerXlState:
        """What is kept of the unmutated sequence, from its features (1, C, P)."""
        rows = features[0].t().contiguous()
        layers: list[Kept] = []
        y = self._read(rows.unsqueeze(0), 0, [], layers)
        around = self.tail.bias
        if self.tail.around is not None:
            around = around + sums_before(self.norm(features)[0].t(), self.tail.around)[-1]
        return TransformerXlState(rows, layers, sums_before(y[0], self.tail.core), around)

    def logits(self, state: TransformerXlState, change: Change, tasks: Sequence[int]) -> Tensor:
        """Logits of the mutated versions, (b, len(tasks))."""
        tail = self.tail
        core, around = tail.weights(tasks)
        before = tail.sums(state.sums, tasks)
        sums = tail.sums(state.around, tasks).repeat(len(change.start), 1)
        if around is not None:
            add_changes(sums, state.features, change, around, self.norm)
        for rows, first in groups(change.start.tolist(), len(state.features)):
            x = changed(state.features, Change(change.start[rows], change.values[rows]), first)
            y = self._read(x, first, state.layers, [])
            sums[rows] += before[first]
            sums[rows].addmm_(y.flatten(1), core[first:].flatten(0, 1))
        return tail.logits(sums, tasks)

    def _read(self, x: Tensor, first: int, before: list[Kept], kept: list[Kept]) -> Tensor:
        """The core's outputs (N, P - first, C) from its inputs there, given what is kept of the positions before."""
        view = make_view(x, first, True, self.core.reach)
        for i, (attention, feed_forward) in enumerate(zip(self.core.attentions, self.core.feed_forwards, strict=True)):
            layer = cast(RelativeAttention, attention)
            reached = min(first, layer.convolution.before)  # a convolution in the heads reads positions before
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
                kept.append(Kept(x, key, value))
            x = feed_forward(layer.mix(x, query, key, value, view))
        return x


def changed(features: Tensor, change: Change, first: int) -> Tensor:
    """The features from a position on, (b, P - first, C), of which each row has its own changes.

    Args:
        features: Before the changes, (P, C).
        change: None of them before `first`.
        first: A position.
    """
    width = change.values.shape[2]
    y = features.new_empty(len(change.start), len(features) - first + width, features.shape[1])
    y[:, : len(features) - first] = features[first:]
    at = (change.start - first)[:, None] + torch.arange(width, device=features.device)
    y.scatter_(1, at[:, :, None].expand(-1, -1, features.shape[1]), change.values.transpose(1, 2))
    return y[:, : len(features) - first]


def groups(start: list[int], positions: int) -> Iterator[tuple[slice, int]]:
    """Rows to be evaluated together, and their first changed position; rows that begin together stay so.

    Args:
        start: First changed position of each row, ascending.
        positions: P.
    """
    begin = 0
    while begin < len(start):
        end = begin + max(1, _ROWS // (positions - start[begin]))
        yield slice(begin, min(end, len(start))), start[begin]
        begin = end


def transformerxl_head(model: SequenceModel) -> TransformerXLHead | None:
    """The head of a model whose core is a Transformer-XL that sees one side; None of another."""
    if not (isinstance(model, WideResNet) and isinstance(model.core, TransformerXL) and model.core.reach.causal):
        return None
    linear = linear_of(model.output if model.hidden is None else model.hidden)
    around = linear.in_features // model.positions // 2 if model.skip == "concat" else 0
    tail = Tail(model.hidden, model.output, model.positions, around, model.skip == "add")
    return TransformerXLHead(model.core, tail, model.skip_norm or (lambda x: x))

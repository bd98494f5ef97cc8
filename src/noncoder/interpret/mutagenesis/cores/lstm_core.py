"""Heads with a bidirectional LSTM before the dense layers.

Rows are sorted by their first changed position. At each step, rows that have already changed continue from their own
state, rows that change now start from the state of the unmutated sequence, and the others wait: the batch grows step
by step. The features' input to the gates is computed once per position, and again only where a row changes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noncoder.interpret.mutagenesis.change import Change
from noncoder.interpret.mutagenesis.cores.dense_core import Tail, add_changes, bounds, index, linear_of, sums_before
from noncoder.models import SequenceModel
from noncoder.models.danq import DanQ
from noncoder.models.layers.recurrent import KerasLSTM
from noncoder.models.ncnet import NCNet
from noncoder.models.wideresnet import BiLSTM, WideResNet


class LstmRun(NamedTuple):
    """States of one direction on the unmutated sequence, in reading order.

    Attributes:
        inputs: Input of the features to the gates, (P, 4 H).
        hidden: Hidden state before each step and after the last, (P + 1, H).
        cell: Cell state before each step and after the last, (P + 1, H).
        sums: Contribution of all outputs before each step to the dense layer's sums, (P + 1, M).
    """

    inputs: Tensor
    hidden: Tensor
    cell: Tensor
    sums: Tensor


class Direction:
    """One direction of an LSTM.

    Args:
        lstm: One bidirectional layer.
        suffix: Suffix of the names of the direction's weights.
        backward: Whether it reads from the end.
        hard: Whether its gates are hard sigmoids.
    """

    def __init__(self, lstm: nn.LSTM, suffix: str, backward: bool, hard: bool) -> None:
        weight, recurrent, bias, second = (
            getattr(lstm, f"{name}_l0{suffix}").detach() for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        self.weight, self.recurrent, self.bias = weight, recurrent.t().contiguous(), bias + second
        self.backward, self.hard, self.units = backward, hard, lstm.hidden_size

    def begin(self, features: Tensor, weight: Tensor) -> LstmRun:
        """Runs on the unmutated features (P, C), with the dense layer's weights (P, H, M)."""
        if self.backward:
            features, weight = features.flip(0), weight.flip(0)
        inputs = F.linear(features, self.weight, self.bias)
        hidden, cell = inputs.new_zeros(2, len(features) + 1, self.units)
        for at in range(len(features)):
            hidden[at + 1], cell[at + 1] = hidden[at], cell[at]
            gates = inputs[at : at + 1] + hidden[at : at + 1] @ self.recurrent
            self._step(gates, hidden[at + 1 : at + 2], cell[at + 1 : at + 2])
        return LstmRun(inputs, hidden, cell, sums_before(hidden[1:], weight))

    def add(self, sums: Tensor, run: LstmRun, change: Change, weight: Tensor) -> None:
        """Adds the contribution of the direction's outputs on changed features to sums (b, M).

        Args:
            sums: Sums of the other inputs; changed in place.
            run: States on the unmutated sequence.
            change: Changed features.
            weight: Weights of the dense layer, (P, H, M).
        """
        positions, width = len(run.inputs), change.values.shape[2]
        if not self.backward:
            self._add(sums, run, change, weight)
            return
        flipped = Change(positions - width - change.start.flip(0), change.values.flip(0, 2))
        part = sums.new_zeros(sums.shape)
        self._add(part, run, flipped, weight.flip(0))
        sums += part.flip(0)

    def _add(self, sums: Tensor, run: LstmRun, change: Change, weight: Tensor) -> None:
        positions, (rows, _, width) = len(run.inputs), change.values.shape
        first, end = bounds(change.start, width, positions)
        gates = sums.new_empty(rows, 4 * self.units)
        hidden, cell = sums.new_empty(2, rows, self.units)
        active = 0
        for at in range(positions):
            fresh, active = slice(active, end[at]), end[at]
            if not active:
                continue
            hidden[fresh], cell[fresh], sums[fresh] = run.hidden[at], run.cell[at], sums[fresh] + run.sums[at]
            now = torch.mm(hidden[:active], self.recurrent, out=gates[:active])
            now[: first[at]] += run.inputs[at]
            if first[at] < active:
                changing = slice(first[at], active)
                values = change.values[changing]
                values = values.gather(2, index(at - change.start[changing], values)).squeeze(2)
                now[changing] += F.linear(values, self.weight, self.bias)
            self._step(now, hidden[:active], cell[:active])
            sums[:active].addmm_(hidden[:active], weight[at])

    def _step(self, gates: Tensor, hidden: Tensor, cell: Tensor) -> None:
        """Updates hidden and cell (n, H) in place by one step, from the gates' inputs (n, 4 H), which it overwrites."""
        i, f, g, o = gates.chunk(4, dim=1)
        for gate in (i, f, o):
            if self.hard:
                gate.mul_(0.2).add_(0.5).clamp_(0, 1)
            else:
                gate.sigmoid_()
        cell.mul_(f).addcmul_(i, g.tanh_())
        torch.tanh(cell, out=hidden).mul_(o)


@dataclass(frozen=True)
class LstmState:
    """State of the unmutated sequence: features (P, C), both directions, and the sums without the LSTM's outputs."""

    features: Tensor
    runs: tuple[LstmRun, LstmRun]
    around: Tensor


class LstmHead:
    """Bidirectional LSTM with an optional skip connection, and dense layers.

    Args:
        directions: Forward and backward direction.
        tail: Dense layers.
        joined: How the directions are joined: "concat", or "add", which applies the same weights to both.
        norm: Norm on the skip connection, (N, C, P) -> (N, C, P).
    """

    def __init__(
        self, directions: tuple[Direction, Direction], tail: Tail, joined: str, norm: Callable[[Tensor], Tensor]
    ) -> None:
        self.directions, self.tail, self.joined, self.norm = directions, tail, joined, norm

    def begin(self, features: Tensor) -> LstmState:
        """Computes the state of the unmutated sequence from its features (1, C, P)."""
        rows = features[0].t().contiguous()
        runs = [d.begin(rows, w) for d, w in zip(self.directions, self._split(self.tail.core), strict=True)]
        return LstmState(rows, (runs[0], runs[1]), self.tail.around_sums(features, self.norm))

    def logits(self, state: LstmState, change: Change, tasks: Sequence[int]) -> Tensor:
        """Returns logits of the mutated versions, (b, len(tasks))."""
        tail = self.tail
        core, around = tail.weights(tasks)
        sums = tail.sums(state.around, tasks).repeat(len(change.start), 1)
        if around is not None:
            add_changes(sums, state.features, change, around, self.norm)
        for direction, run, weight in zip(self.directions, state.runs, self._split(core), strict=True):
            direction.add(sums, run._replace(sums=tail.sums(run.sums, tasks)), change, weight)
        return tail.logits(sums, tasks)

    def _split(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        if self.joined == "add":
            return weight, weight
        units = self.directions[0].units
        return weight[:, :units], weight[:, units:]


def lstm_head(model: SequenceModel) -> LstmHead | None:
    """Returns the head of a model whose core is one bidirectional LSTM layer; None for other models."""
    if isinstance(model, DanQ) or (isinstance(model, NCNet) and not model.lstm_first):
        positions = linear_of(model.hidden).in_features // (2 * model.lstm.hidden_size)
        return LstmHead(both_directions(model.lstm), Tail(model.hidden, model.output, positions, 0), "concat", _same)
    if isinstance(model, WideResNet) and isinstance(model.core, BiLSTM) and model.core.lstm.num_layers == 1:
        lstm = model.core.lstm
        around = lstm.input_size if model.skip == "concat" else 0
        tail = Tail(model.hidden, model.output, model.positions, around, model.skip == "add")
        joined = "concat" if model.core.width > lstm.hidden_size else "add"
        return LstmHead(both_directions(lstm), tail, joined, model.skip_norm or _same)
    return None


def both_directions(lstm: nn.LSTM) -> tuple[Direction, Direction]:
    """Returns both directions of a layer; the second one of a `KerasLSTM` can read forward too."""
    hard = isinstance(lstm, KerasLSTM) and lstm.gates == "hard-sigmoid"
    backward = not (isinstance(lstm, KerasLSTM) and lstm.second == "forward")
    return Direction(lstm, "", False, hard), Direction(lstm, "_reverse", backward, hard)


def _same(x: Tensor) -> Tensor:
    return x

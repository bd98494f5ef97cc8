"""Heads with an LSTM in both directions before the dense layers.

Rows are sorted by their first changed position. At each step the rows that have changed by then go on from where they
are, those that change now begin from the state of the unmutated sequence, and the others wait: the batch grows step by
step. What enters the gates from the features is computed once a position, and again only where a row changes it.
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
    """One direction over the unmutated sequence, in the order in which it reads.

    Attributes:
        inputs: What enters the gates from the features, (P, 4 H).
        hidden: The output before each step and after the last, (P + 1, H).
        cell: The cell likewise.
        sums: What the outputs before each step add to the dense layer's sums, (P + 1, M).
    """

    inputs: Tensor
    hidden: Tensor
    cell: Tensor
    sums: Tensor


class Direction:
    """One direction of an LSTM.

    Args:
        lstm: One layer of two directions.
        suffix: Of the names of the direction's weights.
        turned: Whether it reads from the end.
        hard: Whether its gates are hard sigmoids.
    """

    def __init__(self, lstm: nn.LSTM, suffix: str, turned: bool, hard: bool) -> None:
        weight, recurrent, bias, second = (
            getattr(lstm, f"{name}_l0{suffix}").detach() for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        self.weight, self.recurrent, self.bias = weight, recurrent.t().contiguous(), bias + second
        self.turned, self.hard, self.units = turned, hard, lstm.hidden_size

    def begin(self, features: Tensor, weight: Tensor) -> LstmRun:
        """Reads the unmutated features (P, C); the dense layer's weights are (P, H, M)."""
        if self.turned:
            features, weight = features.flip(0), weight.flip(0)
        inputs = F.linear(features, self.weight, self.bias)
        hidden, cell = inputs.new_zeros(2, len(features) + 1, self.units)
        for at in range(len(features)):
            hidden[at + 1], cell[at + 1] = hidden[at], cell[at]
            gates = inputs[at : at + 1] + hidden[at : at + 1] @ self.recurrent
            self._step(gates, hidden[at + 1 : at + 2], cell[at + 1 : at + 2])
        return LstmRun(inputs, hidden, cell, sums_before(hidden[1:], weight))

    def add(self, sums: Tensor, run: LstmRun, change: Change, weight: Tensor) -> None:
        """Adds to sums (b, M) what the outputs on changed features add.

        Args:
            sums: Of the rest.
            run: The unmutated sequence.
            change: The changed features.
            weight: The dense layer's, (P, H, M).
        """
        positions, width = len(run.inputs), change.values.shape[2]
        if not self.turned:
            self._add(sums, run, change, weight)
            return
        turned = Change(positions - width - change.start.flip(0), change.values.flip(0, 2))
        part = sums.new_zeros(sums.shape)
        self._add(part, run, turned, weight.flip(0))
        sums += part.flip(0)

    def _add(self, sums: Tensor, run: LstmRun, change: Change, weight: Tensor) -> None:
        positions, (rows, _, width) = len(run.inputs), change.values.shape
        begin, end = bounds(change.start, width, positions)
        gates = sums.new_empty(rows, 4 * self.units)
        hidden, cell = sums.new_empty(2, rows, self.units)
        active = 0
        for at in range(positions):
            fresh, active = slice(active, end[at]), end[at]
            if not active:
                continue
            hidden[fresh], cell[fresh], sums[fresh] = run.hidden[at], run.cell[at], sums[fresh] + run.sums[at]
            now = torch.mm(hidden[:active], self.recurrent, out=gates[:active])
            now[: begin[at]] += run.inputs[at]
            if begin[at] < active:
                changing = slice(begin[at], active)
                values = change.values[changing]
                values = values.gather(2, index(at - change.start[changing], values)).squeeze(2)
                now[changing] += F.linear(values, self.weight, self.bias)
            self._step(now, hidden[:active], cell[:active])
            sums[:active].addmm_(hidden[:active], weight[at])

    def _step(self, gates: Tensor, hidden: Tensor, cell: Tensor) -> None:
        """One step in place: hidden and cell (n, H) from what enters the gates, (n, 4 H), which is used up."""
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
    """The unmutated sequence: its features (P, C), both directions, and the sums of all but the LSTM's outputs."""

    features: Tensor
    runs: tuple[LstmRun, LstmRun]
    around: Tensor


class LstmHead:
    """LSTMs in both directions, perhaps a way around them, and dense layers.

    Args:
        directions: Both.
        tail: The dense layers.
        joined: How the directions reach them: "concat", or "add", through the same weights.
        norm: On the way around, (N, C, P) -> (N, C, P).
    """

    def __init__(
        self, directions: tuple[Direction, Direction], tail: Tail, joined: str, norm: Callable[[Tensor], Tensor]
    ) -> None:
        self.directions, self.tail, self.joined, self.norm = directions, tail, joined, norm

    def begin(self, features: Tensor) -> LstmState:
        """What is kept of the unmutated sequence, from its features (1, C, P)."""
        rows = features[0].t().contiguous()
        runs = [d.begin(rows, w) for d, w in zip(self.directions, self._split(self.tail.core), strict=True)]
        around = self.tail.bias
        if self.tail.around is not None:
            around = around + sums_before(self.norm(features)[0].t(), self.tail.around)[-1]
        return LstmState(rows, (runs[0], runs[1]), around)

    def logits(self, state: LstmState, change: Change, tasks: Sequence[int]) -> Tensor:
        """Logits of the mutated versions, (b, len(tasks))."""
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
    """The head of a model whose core is one LSTM layer in both directions; None of another."""
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
    """The directions of a layer, of which the second may read forward too."""
    hard = isinstance(lstm, KerasLSTM) and lstm.gates == "hard-sigmoid"
    turned = not (isinstance(lstm, KerasLSTM) and lstm.second == "forward")
    return Direction(lstm, "", False, hard), Direction(lstm, "_reverse", turned, hard)


def _same(x: Tensor) -> Tensor:
    return x

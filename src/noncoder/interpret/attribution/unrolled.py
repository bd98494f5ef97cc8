"""LSTM and GRU step by step, so that rules reach what happens inside a cell.

Both directions are calculated together, which halves the number of calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor


class _Arguments(NamedTuple):
    """Those of `torch.lstm` and `torch.gru` for a batch of sequences of one length."""

    input: Tensor
    hx: Any
    weights: Sequence[Tensor]
    biases: bool
    layers: int
    dropout: float
    training: bool
    bidirectional: bool
    batch_first: bool


class _Cell(NamedTuple):
    """The weights of a layer for its D directions, gates last.

    Attributes:
        inputs: (D, C, G).
        hidden: (D, H, G).
        input_bias: (D, 1, G).
        hidden_bias: (D, 1, G).
    """

    inputs: Tensor
    hidden: Tensor
    input_bias: Tensor
    hidden_bias: Tensor


_State = tuple[Tensor, ...]
_Steps = Callable[[Tensor, _State, _Cell], tuple[list[Tensor], _State]]
"""(positions (L, D, N, C), state (D, N, H) each, weights) -> outputs (D, N, H) each, and the last state."""


def lstm(*args: Any) -> tuple[Tensor, Tensor, Tensor]:
    """What `torch.lstm` gives: outputs, last hidden states and cells."""
    arguments = _Arguments(*args)
    y, (hidden, cell) = _layers(arguments, _lstm_steps, arguments.hx)
    return y, hidden, cell


def gru(*args: Any) -> tuple[Tensor, Tensor]:
    """What `torch.gru` gives: outputs and last hidden states."""
    arguments = _Arguments(*args)
    y, (hidden,) = _layers(arguments, _gru_steps, (arguments.hx,))
    return y, hidden


def _layers(arguments: _Arguments, steps: _Steps, begin: _State) -> tuple[Tensor, list[Tensor]]:
    y = arguments.input.transpose(0, 1) if arguments.batch_first else arguments.input
    directions, last = 1 + arguments.bidirectional, []
    for layer in range(arguments.layers):
        mine = slice(layer * directions, (layer + 1) * directions)
        both = torch.stack([y, y.flip(0)][:directions], dim=1)
        outputs, state = steps(both, tuple(part[mine] for part in begin), _cell(arguments, mine))
        found = torch.stack(outputs).unbind(1)
        y = torch.cat([found[0], *(other.flip(0) for other in found[1:])], dim=2)
        last.append(state)
    return y.transpose(0, 1) if arguments.batch_first else y, [torch.cat(parts) for parts in zip(*last, strict=True)]


def _cell(arguments: _Arguments, mine: slice) -> _Cell:
    each = 4 if arguments.biases else 2
    rows = [arguments.weights[at * each : (at + 1) * each] for at in range(mine.start, mine.stop)]
    inputs, hidden = (torch.stack([row[i].t() for row in rows]) for i in range(2))
    if not arguments.biases:
        none = inputs.new_zeros(len(rows), 1, inputs.shape[2])
        return _Cell(inputs, hidden, none, none)
    return _Cell(inputs, hidden, *(torch.stack([row[i] for row in rows]).unsqueeze(1) for i in (2, 3)))


def _lstm_steps(x: Tensor, state: _State, weights: _Cell) -> tuple[list[Tensor], _State]:
    hidden, cell = state
    size, outputs = hidden.shape[2], []
    inputs = x @ weights.inputs + (weights.input_bias + weights.hidden_bias)
    for at in inputs.unbind(0):
        gates = torch.baddbmm(at, hidden, weights.hidden)
        enter, keep = gates[..., : 2 * size].sigmoid().chunk(2, dim=2)
        candidate, leave = gates[..., 2 * size : 3 * size].tanh(), gates[..., 3 * size :].sigmoid()
        cell = keep * cell + enter * candidate
        hidden = leave * cell.tanh()
        outputs.append(hidden)
    return outputs, (hidden, cell)


def _gru_steps(x: Tensor, state: _State, weights: _Cell) -> tuple[list[Tensor], _State]:
    (hidden,) = state
    size, outputs = hidden.shape[2], []
    for at in (x @ weights.inputs + weights.input_bias).unbind(0):
        recurrent = torch.baddbmm(weights.hidden_bias, hidden, weights.hidden)
        reset, update = (at[..., : 2 * size] + recurrent[..., : 2 * size]).sigmoid().chunk(2, dim=2)
        candidate = (at[..., 2 * size :] + reset * recurrent[..., 2 * size :]).tanh()
        hidden = candidate + update * (hidden - candidate)
        outputs.append(hidden)
    return outputs, (hidden,)

"""LSTM and GRU computed step by step, so that backward rules apply inside their cells.

Both directions are computed together, which halves the number of calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor


class _Arguments(NamedTuple):
    """Arguments of `torch.lstm` and `torch.gru` for a batch of sequences of equal length."""

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
    """Weights of a layer for its D directions, with the G gate units as the last axis.

    Attributes:
        inputs: Weights of the inputs, (D, C, G).
        hidden: Weights of the hidden state, (D, H, G).
        input_bias: Bias of the inputs, (D, 1, G).
        hidden_bias: Bias of the hidden state, (D, 1, G).
    """

    inputs: Tensor
    hidden: Tensor
    input_bias: Tensor
    hidden_bias: Tensor


_State = tuple[Tensor, ...]
_Steps = Callable[[Tensor, _State, _Cell], tuple[list[Tensor], _State]]
"""(inputs (L, D, N, C), state tensors (D, N, H), weights) -> outputs of each position (D, N, H), last state."""


def lstm(*args: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Computes `torch.lstm`: outputs, last hidden states and last cell states."""
    arguments = _Arguments(*args)
    y, (hidden, cell) = _layers(arguments, _lstm_steps, arguments.hx)
    return y, hidden, cell


def gru(*args: Any) -> tuple[Tensor, Tensor]:
    """Computes `torch.gru`: outputs and last hidden states."""
    arguments = _Arguments(*args)
    y, (hidden,) = _layers(arguments, _gru_steps, (arguments.hx,))
    return y, hidden


def _layers(arguments: _Arguments, steps: _Steps, start: _State) -> tuple[Tensor, list[Tensor]]:
    y = arguments.input.transpose(0, 1) if arguments.batch_first else arguments.input
    directions, last = 1 + arguments.bidirectional, []
    for layer in range(arguments.layers):
        rows = slice(layer * directions, (layer + 1) * directions)
        both = torch.stack([y, y.flip(0)][:directions], dim=1)
        outputs, state = steps(both, tuple(part[rows] for part in start), _cell(arguments, rows))
        forward, *backward = torch.stack(outputs).unbind(1)
        y = torch.cat([forward, *(other.flip(0) for other in backward)], dim=2)
        last.append(state)
    return y.transpose(0, 1) if arguments.batch_first else y, [torch.cat(parts) for parts in zip(*last, strict=True)]


def _cell(arguments: _Arguments, rows: slice) -> _Cell:
    count = 4 if arguments.biases else 2  # tensors per direction
    directions = [arguments.weights[at * count : (at + 1) * count] for at in range(rows.start, rows.stop)]
    inputs, hidden = (torch.stack([weights[i].t() for weights in directions]) for i in range(2))
    if not arguments.biases:
        zeros = inputs.new_zeros(len(directions), 1, inputs.shape[2])
        return _Cell(inputs, hidden, zeros, zeros)
    return _Cell(inputs, hidden, *(torch.stack([weights[i] for weights in directions]).unsqueeze(1) for i in (2, 3)))


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

"""Recurrent layers with the conventions of Keras."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn


class KerasLSTM(nn.LSTM):
    """PyTorch's bidirectional LSTM on (N, L, C), initialized as in early Keras, with one or two biases per gate.

    PyTorch adds two biases in each gate, Keras one. With one bias, PyTorch's second (`bias_hh`) is a buffer of zeros:
    the arithmetic, the number of parameters and the optimiser's steps are those of one bias, while the names of the
    weights and the fast kernels stay the same.

    Args:
        channels: Input channels, C.
        units: Units of each direction; the output has 2 * units channels, forward first.
        biases: Biases per gate.
        gates: Activation of the gates. Keras before 2.3 used "hard-sigmoid", min(max(0.2 x + 0.5, 0), 1), which has no
            fast kernel and runs in a plain loop.
        second: Direction of the second LSTM; "forward" reproduces an old error that old weights need.
    """

    def __init__(
        self,
        channels: int,
        units: int,
        biases: Literal[1, 2],
        gates: Literal["sigmoid", "hard-sigmoid"] = "sigmoid",
        second: Literal["backward", "forward"] = "backward",
    ) -> None:
        super().__init__(channels, units, bidirectional=True, batch_first=True)
        self.gates, self.second = gates, second
        begin_like_keras(self)
        if biases == 1:
            for name in ("bias_hh_l0", "bias_hh_l0_reverse"):
                zeros = torch.zeros_like(getattr(self, name).detach())
                delattr(self, name)
                self.register_buffer(name, zeros)
            self._flat_weights = [getattr(self, name) for name in self._flat_weights_names]

    def forward(self, input: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        """(N, L, C) -> (N, L, 2 * units), and None in place of the states."""
        if self.gates == "hard-sigmoid":
            turned = input if self.second == "forward" else input.flip(1)
            other = _hard_lstm(turned, self, "_reverse")
            other = other if self.second == "forward" else other.flip(1)
            return torch.cat([_hard_lstm(input, self, ""), other], dim=2), None
        with float32_on_cpu(input) as x:
            y = super().forward(x)[0]
            if self.second == "forward":  # reading the reversed sequence from its end is reading forward
                other = super().forward(x.flip(1))[0].flip(1)
                y = torch.cat([y[..., : self.hidden_size], other[..., self.hidden_size :]], dim=2)
        return y, None


@contextmanager
def float32_on_cpu(x: Tensor) -> Iterator[Tensor]:
    """Returns x in float32 with autocast off on a CPU: oneDNN's recurrent layers refuse half precision on many CPUs."""
    if x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
        with torch.autocast("cpu", enabled=False):
            yield x.float()
    else:
        yield x


def _hard_lstm(x: Tensor, lstm: nn.LSTM, suffix: str) -> Tensor:
    """One direction: (N, L, C) -> (N, L, units)."""
    weight, recurrent, bias, second = (
        getattr(lstm, f"{name}_l0{suffix}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    inputs = nn.functional.linear(x, weight, bias + second)
    hidden = cell = x.new_zeros(x.shape[0], lstm.hidden_size)
    steps = []
    for at in inputs.unbind(dim=1):
        i, f, g, o = (at + hidden @ recurrent.T).chunk(4, dim=1)
        i, f, o = ((0.2 * gate + 0.5).clamp(0, 1) for gate in (i, f, o))
        cell = f * cell + i * g.tanh()
        hidden = o * cell.tanh()
        steps.append(hidden)
    return torch.stack(steps, dim=1)


def begin_like_keras(layer: nn.RNNBase) -> None:
    """Initializes a recurrent layer as Keras 2 and TensorFlow do.

    Input weights are Glorot-uniform and state weights are orthogonal, each over all gates together; biases are zero,
    except 1 for the forget gate of an LSTM (Jozefowicz et al. 2015).
    """
    for name, parameter in layer.named_parameters():
        if name.startswith("weight_ih"):
            nn.init.xavier_uniform_(parameter)
        elif name.startswith("weight_hh"):
            _orthogonal(parameter, gain=1.0)
    _begin_biases(layer)


def begin_like_first_keras(layer: nn.LSTM) -> None:
    """Initializes an LSTM as Keras before version 2 does: each gate by itself, orthogonal matrices scaled by 1.1.

    The gates' initial weights are about twice as large as those of `begin_like_keras`.
    """
    for name, parameter in layer.named_parameters():
        for gate in parameter.detach().chunk(4):
            if name.startswith("weight_ih"):
                nn.init.xavier_uniform_(gate)
            elif name.startswith("weight_hh"):
                _orthogonal(gate, gain=1.1)
    _begin_biases(layer)


def _orthogonal(matrix: Tensor, gain: float) -> None:
    if not matrix.is_meta:  # computing an orthogonal matrix needs real numbers
        nn.init.orthogonal_(matrix, gain)


def _begin_biases(layer: nn.RNNBase) -> None:
    for name, parameter in layer.named_parameters():
        if name.startswith("bias"):
            nn.init.zeros_(parameter)
            if isinstance(layer, nn.LSTM) and name.startswith("bias_ih"):
                nn.init.ones_(parameter.detach()[layer.hidden_size : 2 * layer.hidden_size])


def begin_dense_like_keras(*layers: nn.Linear | nn.Conv1d | nn.Conv2d) -> None:
    """Initializes with Glorot-uniform weights and zero biases."""
    for layer in layers:
        nn.init.xavier_uniform_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)

"""ChromDL (Hill et al., Bioinformatics 2023; github.com/chrishil1/ChromDL).

A bidirectional GRU on the bases, a separable and a plain convolution, two bidirectional LSTMs and one dense layer. For
919 tasks and 1,000 bp it has 10,414,445 trainable parameters. The 512 running means and variances of its batch norm
give Keras' total of 10,414,957. PyTorch's two biases per gate of the LSTMs add 2,048. The GRU has two biases per gate
in both libraries (Keras' `reset_after`).
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from noncoder.config import Section
from noncoder.errors import InputError
from noncoder.models.layers.convolution import SequenceConv
from noncoder.models.layers.dropout import Dropout
from noncoder.models.layers.recurrent import KerasLSTM, begin_dense_like_keras, begin_like_keras, float32_on_cpu
from noncoder.models.registry import SequenceModel, register

_SEPARABLE, _PLAIN, _MAXIMUM, _MEAN = 16, 8, 4, 8  # widths of the convolutions and poolings


class ChromDLConfig(Section):
    """Settings of ChromDL; the defaults are the published model."""

    gru_units: int = Field(128, ge=1)
    """Units of the GRU in each direction."""
    separable: int = Field(750, ge=1)
    """Channels of the separable convolution."""
    kernels: int = Field(360, ge=1)
    """Kernels of the plain convolution."""
    units: int = Field(128, ge=1)
    """Units of each LSTM in each direction."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Dropout after the first LSTM."""
    lstm_biases: Literal[1, 2] = 1
    """Biases per gate of the LSTMs: one as in Keras, two as in PyTorch."""


@register(
    "chromdl",
    ChromDLConfig,
    about="GRU, convolutions and two LSTMs: the highest published mean AUROC on the DeepSEA set",
    source="Hill et al. 2023, github.com/chrishil1/ChromDL",
)
class ChromDL(SequenceModel):
    """ChromDL.

    Args:
        tasks: Number of tasks, T.
        window: Length of the input, L, bp; at least 54.
        config: Its settings.

    Raises:
        InputError: The window is too short.
    """

    def __init__(self, tasks: int, window: int, config: ChromDLConfig) -> None:
        super().__init__(tasks, window, config)
        positions = (window - _SEPARABLE - _PLAIN + 2) // _MAXIMUM // _MEAN
        if positions < 1:
            raise InputError(f"a window of {window} bp is too short for chromdl", expected="54 bp or more")
        bases, units = 2 * config.gru_units, 2 * config.units
        self.gru = nn.GRU(4, config.gru_units, bidirectional=True, batch_first=True)
        self.depthwise = SequenceConv(bases, bases, _SEPARABLE, groups=bases, bias=False)
        self.pointwise = SequenceConv(bases, config.separable, 1)
        self.convolution = SequenceConv(config.separable, config.kernels, _PLAIN)
        self.first_lstm = KerasLSTM(config.kernels, config.units, config.lstm_biases)
        self.dropout = Dropout(config.dropout)
        self.norm = nn.BatchNorm1d(units, eps=1e-3, momentum=0.01)  # Keras' defaults
        self.second_lstm = KerasLSTM(units, config.units, config.lstm_biases)
        self.output = nn.Linear(positions * units, tasks)
        begin_like_keras(self.gru)
        begin_dense_like_keras(self.depthwise, self.pointwise, self.convolution, self.output)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def features(self, x: Tensor) -> Tensor:
        """(N, 4, L) -> (N, C, positions): the pooled convolutions."""
        with float32_on_cpu(x) as x:
            y, _ = self.gru(x.transpose(1, 2))
        image = y.transpose(1, 2).unsqueeze(2)  # the channels are already innermost in memory
        image = F.relu(self.pointwise(self.depthwise(image)), inplace=True)
        return F.max_pool2d(F.relu(self.convolution(image), inplace=True), (1, _MAXIMUM)).squeeze(2)

    def head(self, features: Tensor) -> Tensor:
        """(N, C, positions) -> (N, T)."""
        y = self.dropout(self.first_lstm(features.transpose(1, 2))[0])
        y = F.avg_pool1d(self.norm(y.transpose(1, 2)), _MEAN).transpose(1, 2)
        logits: Tensor = self.output(self.second_lstm(y)[0].flatten(1))
        return logits

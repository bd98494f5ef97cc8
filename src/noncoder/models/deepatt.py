"""DeepATT (Li et al., Briefings in Bioinformatics 2021; github.com/jiawei6636/Bioinfor-DeepATT).

A convolution and a bidirectional LSTM, then one learned query per task, which attends to the positions. Two dense
layers that all tasks share read the result. For 919 tasks and 1,000 bp: 7,808,057 parameters, with one bias per gate as
in the authors' Keras (PyTorch's two give 7,812,153). All tasks also share the last bias.
"""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from noncoder.config import Section
from noncoder.errors import ConfigError, InputError
from noncoder.models.layers.convolution import BaseConv1d, rectified_maxima
from noncoder.models.layers.dropout import Dropout
from noncoder.models.layers.recurrent import KerasLSTM, begin_dense_like_keras
from noncoder.models.registry import SequenceModel, register


class DeepAttConfig(Section):
    """Settings of DeepATT; the defaults are the published model."""

    kernels: int = Field(1024, ge=1)
    """Kernels of the convolution."""
    kernel_width: int = Field(30, ge=1)
    """Their width, bp."""
    pool: int = Field(15, ge=1)
    """Positions that max-pooling combines into one."""
    units: int = Field(512, ge=1)
    """Units of the LSTM in each direction."""
    attention: int = Field(400, ge=1)
    """Total width of queries, keys and values over all heads."""
    heads: int = Field(4, ge=1)
    """Attention heads."""
    hidden: int = Field(100, ge=1)
    """Units of the dense layer that the tasks share."""
    pool_dropout: float = Field(0.2, ge=0, lt=1)
    """Dropout after the pooling."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Dropout after the attention."""
    lstm_biases: Literal[1, 2] = 1
    """Biases per gate: one as in Keras, two as in PyTorch."""


@register(
    "deepatt",
    DeepAttConfig,
    about="a convolution, an LSTM, and a learned query for each task",
    source="Li et al. 2021, github.com/jiawei6636/Bioinfor-DeepATT",
)
class DeepAtt(SequenceModel):
    """DeepATT.

    Args:
        tasks: Number of tasks, T.
        window: Length of the input, L, bp; at least the width of the kernels and the pooling.
        config: Its settings.

    Raises:
        InputError: The window is too short.
        ConfigError: The heads do not divide the attention's width.
    """

    def __init__(self, tasks: int, window: int, config: DeepAttConfig) -> None:
        super().__init__(tasks, window, config)
        if (window - config.kernel_width + 1) // config.pool < 1:
            least = config.kernel_width + config.pool - 1
            raise InputError(f"a window of {window} bp is too short for deepatt", expected=f"{least} bp or more")
        if config.attention % config.heads:
            raise ConfigError(
                f"deepatt: {config.heads} heads of {config.attention} together",
                expected="heads that divide the attention's width",
            )
        width = config.attention
        self.pool, self.heads = config.pool, config.heads
        self.convolution = BaseConv1d(config.kernels, config.kernel_width)
        self.pool_dropout = Dropout(config.pool_dropout)
        self.lstm = KerasLSTM(config.kernels, config.units, config.lstm_biases)
        # The authors multiply a one-hot code of each task by a dense layer, whose rows are the queries.
        self.query = nn.Linear(tasks, width)
        self.key = nn.Linear(2 * config.units, width)
        self.value = nn.Linear(2 * config.units, width)
        self.attended = nn.Linear(width, width)
        self.dropout = Dropout(config.dropout)
        self.hidden = nn.Linear(width, config.hidden)
        self.output = nn.Linear(config.hidden, 1)
        begin_dense_like_keras(
            self.convolution, self.query, self.key, self.value, self.attended, self.hidden, self.output
        )

    def features(self, x: Tensor) -> Tensor:
        """(N, 4, L) -> (N, C, positions): the pooled convolution."""
        return rectified_maxima(self.convolution(x), self.pool)

    def head(self, features: Tensor) -> Tensor:
        """(N, C, positions) -> (N, T)."""
        y, _ = self.lstm(self.pool_dropout(features).transpose(1, 2))
        queries = (self.query.weight.t() + self.query.bias).unsqueeze(0).expand(y.shape[0], -1, -1)
        query, key, value = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in (queries, self.key(y), self.value(y))
        )
        found = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)  # (N, T, width)
        logits: Tensor = self.output(F.relu(self.hidden(self.dropout(self.attended(found)))))
        return logits.squeeze(2)

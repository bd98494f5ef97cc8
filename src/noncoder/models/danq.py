"""DanQ and DanQ-JASPAR (Quang & Xie, Nucleic Acids Research 2016, doi:10.1093/nar/gkw226; github.com/uci-cbcl/DanQ).

A convolution, max-pooling, a bidirectional LSTM over the sequence and a fully connected layer. For 919 tasks and
1,000 bp: 46,926,479 and 67,892,175 parameters, with one bias per gate as in the authors' Keras (PyTorch's two give
46,929,039 and 67,896,271). The recurrence runs along the sequence; in public PyTorch versions it runs along the batch.

The authors' code differs from the paper. The gates of that Keras version are hard sigmoids. The bidirectional layer
reverses the batch instead of the positions, so both LSTMs read forward (github.com/EderSantana/seya/issues/32). The
convolution is initialized uniformly within 0.05, the LSTMs with orthogonal matrices scaled by 1.1. Hard sigmoids and
the reading direction are settings that the authors' weights need. They are off by default, so the model follows the
paper's formulas. The initialization follows the code.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from noncoder.config import Section
from noncoder.errors import InputError
from noncoder.models.layers.convolution import BaseConv1d, rectified_maxima
from noncoder.models.layers.dropout import Dropout
from noncoder.models.layers.recurrent import KerasLSTM, begin_dense_like_keras, begin_like_first_keras
from noncoder.models.registry import SequenceModel, register
from noncoder.sequence.motifs import Motif, load_jaspar_collection

# Motifs that the authors' list contains on both strands: GATA1, REST, CTCF, GATA1::TAL1, ESRRB, POU5F1::SOX2.
_BOTH_STRANDS = ("MA0035.3", "MA0138.2", "MA0139.1", "MA0140.2", "MA0141.3", "MA0142.1")


class DanQConfig(Section):
    """Settings of DanQ; the defaults are the published model."""

    kernels: int = Field(320, ge=1)
    """Kernels of the convolution."""
    kernel_width: int = Field(26, ge=1)
    """Their width, bp."""
    pool: int = Field(13, ge=1)
    """Width of the max-pooling, positions."""
    units: int = Field(320, ge=1)
    """Units of the LSTM in each direction."""
    hidden: int = Field(925, ge=1)
    """Units of the fully connected layer."""
    pool_dropout: float = Field(0.2, ge=0, lt=1)
    """Dropout after the pooling."""
    lstm_dropout: float = Field(0.5, ge=0, lt=1)
    """Dropout after the LSTM."""
    lstm_biases: Literal[1, 2] = 1
    """Biases per gate: one as in Keras, two as in PyTorch."""
    gates: Literal["sigmoid", "hard-sigmoid"] = "sigmoid"
    """Activation of the gates: the paper's formula, or the slower hard sigmoid of the authors' Keras, for their
    weights."""
    second_lstm: Literal["backward", "forward"] = "backward"
    """Direction of the second LSTM: backward as in the paper, or forward as in the authors' code, for their weights."""
    motifs: Literal["none", "jaspar"] = "none"
    """Whether the first kernels are initialized with JASPAR motifs."""


class DanQJasparConfig(DanQConfig):
    """Settings of DanQ; the defaults are the published DanQ-JASPAR."""

    kernels: int = Field(1024, ge=1)
    """Kernels of the convolution."""
    kernel_width: int = Field(30, ge=1)
    """Their width, bp."""
    pool: int = Field(15, ge=1)
    """Width of the max-pooling, positions."""
    units: int = Field(512, ge=1)
    """Units of the LSTM in each direction."""
    motifs: Literal["none", "jaspar"] = "jaspar"
    """Whether the first kernels are initialized with JASPAR motifs."""


@register(
    "danq-jaspar",
    DanQJasparConfig,
    about="DanQ with more and wider kernels, initialized with JASPAR motifs",
    source="Quang & Xie 2016, doi:10.1093/nar/gkw226",
)
@register(
    "danq",
    DanQConfig,
    about="a convolution, a bidirectional LSTM and a wide fully connected layer",
    source="Quang & Xie 2016, doi:10.1093/nar/gkw226",
)
class DanQ(SequenceModel):
    """DanQ.

    Args:
        tasks: Number of tasks, T.
        window: Length of the input, L, bp; at least the width of the kernels and the pooling.
        config: Its settings.

    Raises:
        InputError: The window is too short.
    """

    def __init__(self, tasks: int, window: int, config: DanQConfig) -> None:
        super().__init__(tasks, window, config)
        positions = (window - config.kernel_width + 1) // config.pool
        if positions < 1:
            least = config.kernel_width + config.pool - 1
            raise InputError(f"a window of {window} bp is too short for danq", expected=f"{least} bp or more")
        self.pool = self.feature_step = config.pool
        self.convolution = BaseConv1d(config.kernels, config.kernel_width)
        self.pool_dropout = Dropout(config.pool_dropout)
        self.lstm = KerasLSTM(config.kernels, config.units, config.lstm_biases, config.gates, config.second_lstm)
        self.lstm_dropout = Dropout(config.lstm_dropout)
        self.hidden = nn.Linear(positions * 2 * config.units, config.hidden)
        self.output = nn.Linear(config.hidden, tasks)
        nn.init.uniform_(self.convolution.weight, -0.05, 0.05)
        nn.init.zeros_(self.convolution.bias)  # type: ignore[arg-type]
        begin_like_first_keras(self.lstm)
        begin_dense_like_keras(self.hidden, self.output)
        if config.motifs == "jaspar" and not self.convolution.weight.is_meta:
            begin_as_motifs(self.convolution, danq_motifs())

    def features(self, x: Tensor) -> Tensor:
        """(N, 4, L) -> (N, C, positions): the pooled convolution."""
        return rectified_maxima(self.convolution(x), self.pool)

    def head(self, features: Tensor) -> Tensor:
        """(N, C, positions) -> (N, T)."""
        y, _ = self.lstm(self.pool_dropout(features).transpose(1, 2))
        logits: Tensor = self.output(F.relu(self.hidden(self.lstm_dropout(y).flatten(1))))
        return logits


@cache
def danq_motifs() -> tuple[Motif, ...]:
    """Returns the 525 motifs of DanQ-JASPAR: 519 of vertebrates in JASPAR 2016, then six of these reversed."""
    motifs = load_jaspar_collection("JASPAR2016")
    return (*motifs, *(motif.reverse_complement() for motif in motifs if motif.id in _BOTH_STRANDS))


def begin_as_motifs(convolution: nn.Conv1d, motifs: Sequence[Motif]) -> None:
    """Initializes the first kernels with motifs: probabilities minus 0.25, at a random position, with a random bias.

    At least three positions stay free on both sides if the motif is short enough. Of a motif wider than the kernel,
    the central columns are used. The bias is uniform between -1 and 0. PyTorch draws the random numbers. Theano flips
    kernels, and the authors flipped the motifs; here neither is flipped.

    Args:
        convolution: Convolution with weights (C, 4, w), rows A, C, G, T.
        motifs: Motifs, of which at most C are used.
    """
    kernels, _, width = convolution.weight.shape
    with torch.no_grad():
        for i, motif in enumerate(motifs[:kernels]):
            ppm = torch.from_numpy(motif.ppm.copy()).float()
            spare = max(0, ppm.shape[1] - width)
            ppm = ppm[:, spare // 2 : spare // 2 + width]
            room = width - ppm.shape[1]
            margin = min(3, room // 2)
            start = int(torch.randint(margin, room - margin + 1, ()))
            convolution.weight[i, :, start : start + ppm.shape[1]] = ppm - 0.25
            convolution.bias[i] = -torch.rand(())  # type: ignore[index]

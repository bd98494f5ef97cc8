"""NCNet-bRR and NCNet-RbR (Zhang et al., Frontiers in Genetics 2019, doi:10.3389/fgene.2019.00432).

Published are the order of the parts (bRR: eight bottleneck residual blocks, then a bidirectional LSTM; RbR: the LSTM on
the bases, then bottleneck residual blocks), the training recipe, and the size of the trained files, 69.5 and 18.1 MB.
About 8.69 and 2.26 million parameters follow from these sizes, since the optimiser's state doubles a file.

Widths, kernels, strides and poolings are not published. They are our choice and match those sizes (8,663,767 and
2,239,007 parameters for 919 tasks and 1,000 bp): a first convolution similar to DanQ's, blocks that double the channels
where they halve the positions, a dense layer. This is not a reproduction of the published scores, which are relative
to a DanQ of unknown quality.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from noncoder.config import Section
from noncoder.errors import InputError
from noncoder.models.layers.convolution import SequenceConv, as_image
from noncoder.models.layers.dense import DenseBlock
from noncoder.models.layers.dropout import Dropout
from noncoder.models.layers.recurrent import KerasLSTM
from noncoder.models.layers.residual import Bottleneck
from noncoder.models.registry import SequenceModel, register

Widths = tuple[Annotated[int, Field(ge=1)], ...]


class NCNetConfig(Section):
    """Settings of NCNet; the defaults are our NCNet-bRR."""

    order: Literal["blocks-lstm", "lstm-blocks"] = "blocks-lstm"
    """Whether the residual blocks read the bases and the LSTM reads the blocks, or the other way round."""
    stem: int = Field(320, ge=1)
    """Kernels of the convolution before the blocks, if the blocks come first."""
    stem_kernel: int = Field(25, ge=1)
    """Their width, bp, odd."""
    pool: int = Field(4, ge=1)
    """Positions that max-pooling before the blocks combines into one."""
    widths: Widths = Field((128, 128, 256, 256, 384, 384, 512, 512), min_length=1)
    """Output channels of each block; a block that increases them halves the positions."""
    kernel: int = Field(3, ge=1)
    """Width of the middle convolution of a block, odd."""
    units: int = Field(256, ge=1)
    """Units of the LSTM in each direction."""
    lstm_biases: Literal[1, 2] = 1
    """Biases per gate: one as in Keras, two as in PyTorch."""
    hidden: int = Field(320, ge=1)
    """Units of the dense layer before the last."""
    lstm_dropout: float = Field(0.2, ge=0, lt=1)
    """Dropout after the LSTM."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """Dropout before the last layer."""


class NCNetRbrConfig(NCNetConfig):
    """Settings of NCNet; the defaults are our NCNet-RbR."""

    order: Literal["blocks-lstm", "lstm-blocks"] = "lstm-blocks"
    """Whether the residual blocks read the bases and the LSTM reads the blocks, or the other way round."""
    widths: Widths = Field((64, 64, 128, 128, 192, 192, 256, 256), min_length=1)
    """Output channels of each block; a block that increases them halves the positions."""
    units: int = Field(64, ge=1)
    """Units of the LSTM in each direction."""
    hidden: int = Field(200, ge=1)
    """Units of the dense layer before the last."""


@register(
    "ncnet-rbr",
    NCNetRbrConfig,
    about="an LSTM on the bases, then bottleneck residual blocks; sizes as published, widths ours",
    source="Zhang et al. 2019, doi:10.3389/fgene.2019.00432",
)
@register(
    "ncnet-brr",
    NCNetConfig,
    about="bottleneck residual blocks, then an LSTM; size as published, widths ours",
    source="Zhang et al. 2019, doi:10.3389/fgene.2019.00432",
)
class NCNet(SequenceModel):
    """NCNet, in either order.

    Args:
        tasks: Number of tasks, T.
        window: Length of the input, L, bp; at least the pooling.
        config: Its settings.

    Raises:
        InputError: The window is too short, or a kernel's width is even.
    """

    def __init__(self, tasks: int, window: int, config: NCNetConfig) -> None:
        super().__init__(tasks, window, config)
        if config.stem_kernel % 2 == 0 or config.kernel % 2 == 0:
            raise InputError("a kernel of an even width shifts the sequence", expected="odd stem_kernel and kernel")
        if window < 2 * config.pool:
            raise InputError(
                f"a window of {window} bp is too short for ncnet", expected=f"{2 * config.pool} bp or more"
            )
        self.lstm_first, self.pool = config.order == "lstm-blocks", config.pool
        channels = 2 * config.units if self.lstm_first else config.stem
        self.stem = None
        if not self.lstm_first:
            self.stem = SequenceConv(4, config.stem, config.stem_kernel, config.stem_kernel // 2, bias=False)
        self.blocks = nn.Sequential()
        before, positions = config.widths[0], window // config.pool
        for width in config.widths:
            stride = 2 if width > before else 1
            self.blocks.append(Bottleneck(channels, width, max(1, width // 4), config.kernel, stride, 1, 0, "pre"))
            channels = before = width
            positions = -(-positions // stride)
        self.norm = nn.BatchNorm2d(channels)
        self.lstm = KerasLSTM(4 if self.lstm_first else channels, config.units, config.lstm_biases)
        self.lstm_dropout = Dropout(config.lstm_dropout)
        features = positions * (channels if self.lstm_first else 2 * config.units)
        self.hidden = DenseBlock(features, config.hidden, config.dropout)
        self.output = nn.Linear(config.hidden, tasks)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def features(self, x: Tensor) -> Tensor:
        """(N, 4, L) -> (N, C, positions): the output of the residual blocks."""
        if self.stem is None:
            y, _ = self.lstm(x.transpose(1, 2))
            image = self.lstm_dropout(y).transpose(1, 2).unsqueeze(2)
        else:
            image = self.stem(as_image(x))
        image = self.blocks(F.max_pool2d(image, (1, self.pool)))
        return F.relu(self.norm(image), inplace=True).squeeze(2)

    def head(self, features: Tensor) -> Tensor:
        """(N, C, positions) -> (N, T)."""
        y = features.transpose(1, 2)
        if not self.lstm_first:
            y = self.lstm_dropout(self.lstm(y)[0])
        logits: Tensor = self.output(self.hidden(y.flatten(1)))
        return logits

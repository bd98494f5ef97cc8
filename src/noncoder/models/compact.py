"""A small convolutional network with attention pooling, which a laptop trains in minutes.

This package's own: a wide first convolution, max-pooling, a few dilated residual blocks, and attention heads that know
the distance of a position from the centre. They replace the wide fully connected layer that holds most parameters of
DeepSEA and DanQ.
"""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from noncoder.config import Section
from noncoder.errors import InputError
from noncoder.models.layers.convolution import as_image, same_length_conv
from noncoder.models.layers.pooling import AttentionPool
from noncoder.models.layers.residual import ResidualBlock
from noncoder.models.registry import SequenceModel, register


class CompactConfig(Section):
    """Settings of the compact network."""

    channels: int = Field(128, ge=1)
    """Channels of every convolution."""
    stem_kernel: int = Field(15, ge=1)
    """Width of the first convolution, bp; about the width of a motif."""
    pool: int = Field(8, ge=1)
    """Positions that are pooled into one after the first convolution."""
    kernel: int = Field(5, ge=1)
    """Width of the convolutions in the residual blocks."""
    dilations: tuple[Annotated[int, Field(ge=1)], ...] = (1, 2, 4, 8)
    """Dilation of each residual block; one block per number."""
    heads: int = Field(8, ge=1)
    """Attention heads of the pooling over positions."""
    block_dropout: float = Field(0.05, ge=0, lt=1)
    """Fraction of channels that are dropped after each residual block's convolution."""
    dropout: float = Field(0.3, ge=0, lt=1)
    """Dropout before the last layer."""


@register(
    "compact",
    CompactConfig,
    about="a small dilated residual network with attention pooling; trains on a laptop",
    source="this package",
)
class Compact(SequenceModel):
    """The compact network.

    Args:
        tasks: Number of tasks, T.
        window: Length of the input, L, bp; at least `pool`.
        config: Its settings.

    Raises:
        InputError: The window is shorter than the pooling, or a kernel's width is even.
    """

    def __init__(self, tasks: int, window: int, config: CompactConfig) -> None:
        super().__init__(tasks, window, config)
        if window < config.pool:
            raise InputError(f"a window of {window} bp is too short for compact", expected=f"{config.pool} bp or more")
        if config.stem_kernel % 2 == 0 or config.kernel % 2 == 0:
            raise InputError("a kernel of an even width shifts the sequence", expected="odd stem_kernel and kernel")
        channels = config.channels
        self.stem = same_length_conv(4, channels, config.stem_kernel)
        self.pool = self.feature_step = config.pool
        self.stem_norm = nn.BatchNorm2d(channels)
        self.blocks = nn.Sequential(
            *(ResidualBlock(channels, config.kernel, d, config.block_dropout) for d in config.dilations)
        )
        self.norm = nn.BatchNorm2d(channels)
        self.attention = AttentionPool(channels, config.heads, step=config.pool)
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(config.heads * channels, tasks)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def features(self, x: Tensor) -> Tensor:
        """(N, 4, L) -> (N, C, ceil(L / pool))."""
        # Pooling comes first: a motif's best match counts, and the norm then runs on an eighth of the positions.
        x = F.max_pool2d(self.stem(as_image(x)), (1, self.pool), ceil_mode=True)
        x = self.blocks(F.gelu(self.stem_norm(x)))
        return F.gelu(self.norm(x)).squeeze(2)

    def head(self, features: Tensor) -> Tensor:
        """(N, C, positions) -> (N, T)."""
        logits: Tensor = self.output(self.dropout(self.attention(features.transpose(1, 2))))
        return logits

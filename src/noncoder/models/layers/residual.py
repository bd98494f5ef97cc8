"""Residual blocks along a sequence."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from noncoder.models.layers.convolution import PointConv, SequenceConv, same_length_conv


class SqueezeExcitation(nn.Module):
    """Scales each channel by a function of all channel means (Hu et al. 2018, arXiv:1709.01507).

    Args:
        channels: C of (N, C, 1, L).
        reduction: Ratio of the channels to the units of the layer between.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, max(1, channels // reduction))
        self.excite = nn.Linear(max(1, channels // reduction), channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, 1, L) -> (N, C, 1, L)."""
        scale = self.excite(F.relu(self.squeeze(x.mean(dim=(2, 3))))).sigmoid()
        scaled: Tensor = x * scale[:, :, None, None]
        return scaled


class Bottleneck(nn.Module):
    """Three convolutions, the middle one wide or grouped, beside a shortcut with its own convolution.

    The width follows Wide ResNet (arXiv:1605.07146) and the groups ResNeXt (arXiv:1611.05431). The order of norm and
    convolution follows He et al. 2016 (arXiv:1603.05027) for "pre" and He et al. 2015 (arXiv:1512.03385) for "post".

    Args:
        channels_in: C of (N, C, 1, L).
        channels_out: C' of (N, C', 1, ceil(L / stride)).
        inner: Channels of the middle convolution.
        kernel: Width of the middle convolution, odd.
        stride: Distance between the positions that the first convolution reads.
        groups: Groups of the middle convolution; they divide `inner`.
        squeeze: Reduction of squeeze-and-excitation at the end; 0 for none.
        activation: Norm and ReLU before each convolution, or norm after it and ReLU after that and after the sum.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        inner: int,
        kernel: int,
        stride: int,
        groups: int,
        squeeze: int,
        activation: Literal["pre", "post"],
    ) -> None:
        super().__init__()
        self.activation = activation
        before, after = [channels_in, inner, inner], [inner, inner, channels_out]
        normed = before if activation == "pre" else after
        self.convolutions = nn.ModuleList(
            [
                PointConv(channels_in, inner, stride),
                SequenceConv(inner, inner, kernel, kernel // 2, groups=groups, bias=False),
                PointConv(inner, channels_out, 1),
            ]
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for channels in normed)
        self.shortcut = PointConv(channels_in, channels_out, stride)
        self.shortcut_norm = nn.BatchNorm2d(channels_in if activation == "pre" else channels_out)
        self.squeeze = SqueezeExcitation(channels_out, squeeze) if squeeze else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, 1, L) -> (N, C', 1, ceil(L / stride))."""
        y = x
        if self.activation == "pre":
            for norm, convolution in zip(self.norms, self.convolutions, strict=True):
                y = convolution(F.relu(norm(y), inplace=True))
            shortcut = self.shortcut(F.relu(self.shortcut_norm(x), inplace=True))
            return self.squeeze(y) + shortcut  # type: ignore[no-any-return]
        for i, (norm, convolution) in enumerate(zip(self.norms, self.convolutions, strict=True)):
            y = norm(convolution(y))
            if i < 2:
                y = F.relu(y, inplace=True)
        return F.relu(self.squeeze(y) + self.shortcut_norm(self.shortcut(x)), inplace=True)


class ResidualBlock(nn.Module):
    """Norm, GELU, dilated convolution, added to the input (pre-activation, He et al. 2016, arXiv:1603.05027).

    Args:
        channels: C of (N, C, 1, L).
        kernel: Width of the convolution, odd.
        dilation: Distance between its taps.
        dropout: Fraction of channels that are dropped; dropping single elements would take a quarter of a CPU's step.
    """

    def __init__(self, channels: int, kernel: int, dilation: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.activation = nn.GELU()
        self.convolution = same_length_conv(channels, channels, kernel, dilation)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, 1, L) -> (N, C, 1, L)."""
        y: Tensor = self.dropout(self.convolution(self.activation(self.norm(x))))
        return x + y

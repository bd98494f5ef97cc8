"""Convolutions along a sequence, with the channels innermost in memory."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from noncoder.models.layers.recurrent import float32_on_cpu

# oneDNN 3.12's depthwise bfloat16 convolution of so few channels never returns on processors with AVX-512.
_NARROW = 16
# oneDNN 3.12 computes the weight gradient of a strided 1 x 1 convolution beyond the ends of its buffers if a vector
# register holds more values than there are input channels: 2 to 7 with AVX2, 2 to 15 with AVX-512, there also in
# bfloat16. Depending on the batch, the length and the number of threads, training crashed, hung or got wrong numbers.
_VECTOR = 16
_FEW_CHANNELS = 16  # one product per tap reads the gradient once per tap, which does not pay off for few columns


def as_image(x: Tensor) -> Tensor:
    """(N, C, L) -> (N, C, 1, L) with the channels innermost in memory.

    PyTorch has a channels-last layout for images only, and convolutions run about twice as fast in it on a CPU.
    """
    return x.unsqueeze(2).contiguous(memory_format=torch.channels_last)


def same_length_conv(channels_in: int, channels_out: int, kernel: int, dilation: int = 1) -> nn.Conv2d:
    """A convolution along (N, C, 1, L) of the same length, without bias, since a batch norm follows it."""
    return SequenceConv(channels_in, channels_out, kernel, dilation * (kernel // 2), dilation, bias=False)


class SequenceConv(nn.Conv2d):
    """A convolution along the sequence of (N, C, 1, L), with a faster backward pass on a CPU.

    Args:
        channels_in: C of (N, C, 1, L).
        channels_out: C' of (N, C', 1, L').
        kernel: Width.
        padding: Zeros on each side.
        dilation: Distance between taps.
        groups: Groups of channels that are not mixed.
        bias: Whether there is a bias.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        padding: int = 0,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(
            channels_in,
            channels_out,
            (1, kernel),
            padding=(0, padding),
            dilation=(1, dilation),
            groups=groups,
            bias=bias,
        )

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, 1, L) -> (N, C', 1, L + 2 padding - dilation (kernel - 1))."""
        if self.groups > 1 and self.out_channels <= _NARROW:
            with float32_on_cpu(input) as input:
                return super().forward(input)
        plain = (
            self.groups > 1
            or self.in_channels < _FEW_CHANNELS
            or input.device.type != "cpu"
            or input.dtype not in (torch.float32, torch.float64)
            or torch.is_autocast_enabled("cpu")
            or torch.compiler.is_compiling()
            or not torch.is_grad_enabled()
        )
        if plain:
            return super().forward(input)
        y: Tensor = _Convolve.apply(input, self.weight, self.padding[1], self.dilation[1])  # type: ignore[no-untyped-call]
        return y if self.bias is None else y + self.bias[:, None, None]


class PointConv(nn.Conv2d):
    """A convolution of width 1 along (N, C, 1, L), without bias, that reads every stride-th position.

    Args:
        channels_in: C of (N, C, 1, L).
        channels_out: C' of (N, C', 1, ceil(L / stride)).
        stride: Distance between the positions that are read.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__(channels_in, channels_out, 1, stride=(1, stride), bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, 1, L) -> (N, C', 1, ceil(L / stride))."""
        safe = self.in_channels >= _VECTOR or self.stride[1] == 1 or input.device.type != "cpu"
        if safe or not torch.is_grad_enabled():  # only the gradient is wrong
            return super().forward(input)
        read = input[..., :: self.stride[1]].contiguous(memory_format=torch.channels_last)
        return F.conv2d(read, self.weight)


class BaseConv1d(nn.Conv1d):
    """A convolution of the bases, (N, 4, L) -> (N, C, L - w + 1), without padding, that is fast on a CPU.

    The 4 w inputs of each position are few compared with its C outputs: they are laid out side by side, and the
    convolution becomes one matrix product. Its output has the channels innermost in memory, which also makes
    max-pooling fast.

    Args:
        kernels: Number of kernels, C.
        width: Width, w, bp.
    """

    def __init__(self, kernels: int, width: int) -> None:
        super().__init__(4, kernels, width)

    def forward(self, input: Tensor) -> Tensor:
        """(N, 4, L) -> (N, C, L - w + 1)."""
        if input.device.type != "cpu":
            return super().forward(input)
        columns = input.unfold(2, self.kernel_size[0], 1).transpose(1, 2).flatten(2)  # (N, L - w + 1, 4 w)
        return F.linear(columns, self.weight.flatten(1), self.bias).transpose(1, 2)


def rectified_maxima(x: Tensor, pool: int) -> Tensor:
    """Max-pooling and ReLU, (N, C, L) -> (N, C, L // pool); the order of the two does not change the result."""
    return F.relu(F.max_pool2d(x.unsqueeze(2), (1, pool)).squeeze(2), inplace=True)


class _Convolve(torch.autograd.Function):
    """PyTorch's convolution in the forward pass, matrix products in the backward pass, one per tap.

    In float32, oneDNN's backward pass reaches half the rate of matrix products. The sequences of a batch are laid end
    to end with zeros between them; then each tap is the same matrix, shifted by a few rows, and nothing is copied.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, padding: int, dilation: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.padding, ctx.dilation = padding, dilation
        return F.conv2d(x, weight, padding=(0, padding), dilation=(1, dilation))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        batch, channels, _, length = x.shape
        taps, padded = weight.shape[3], length + 2 * ctx.padding
        rows = max(0, batch * padded - ctx.dilation * (taps - 1))
        by_output = F.pad(gradient.squeeze(2).transpose(1, 2), (0, 0, 0, padded - gradient.shape[3]))
        by_output = by_output.reshape(batch * padded, weight.shape[0])[:rows]
        begins = [ctx.dilation * tap for tap in range(taps)]
        by_weight = by_input = None
        if ctx.needs_input_grad[1]:
            inputs = F.pad(x.squeeze(2).transpose(1, 2), (0, 0, ctx.padding, ctx.padding))
            inputs = inputs.reshape(batch * padded, channels)
            by_weight = torch.stack([by_output.t() @ inputs[at : at + rows] for at in begins], dim=2).unsqueeze(2)
        if ctx.needs_input_grad[0]:
            sums = x.new_zeros(batch * padded, channels)
            for tap, at in enumerate(begins):
                sums[at : at + rows].addmm_(by_output, weight[:, :, 0, tap])
            by_input = sums.view(batch, padded, channels)[:, ctx.padding : ctx.padding + length]
            by_input = by_input.transpose(1, 2).unsqueeze(2)
        return by_input, by_weight, None, None

"""Dropout that is cheap on a CPU."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LEVELS = 1 << 16


class Dropout(nn.Dropout):
    """Dropout that uses 16 random bits per element on a CPU, four elements from each draw of the generator.

    PyTorch draws one real number per element, which takes a tenth of a training step of a Transformer. The dropped
    fraction is rounded to a multiple of 1/65,536, and kept elements are scaled by the rounded fraction.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Returns a tensor of the same shape."""
        cut = min(round(self.p * _LEVELS), _LEVELS - 1)
        if not self.training or cut == 0:
            return input
        if input.device.type != "cpu" or torch.compiler.is_compiling():
            return F.dropout(input, self.p)
        n = input.numel()
        bits = torch.empty(-(-n // 4), dtype=torch.int64).random_(-(1 << 63), None).view(torch.int16)[:n]
        scale = torch.ge(bits, cut - _LEVELS // 2, out=torch.empty(n, dtype=input.dtype))
        scale.mul_(_LEVELS / (_LEVELS - cut))
        # The mask has the memory layout of the input, so both are read in the same order.
        dense = torch.empty_like(input)
        return input * scale.as_strided(dense.shape, dense.stride())

"""Dropout that is cheap on a CPU."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LEVELS = 1 << 16


class Dropout(nn.Dropout):
    """Dropout whose random numbers on a CPU are 16 bits an element, four from each draw of the generator.

    PyTorch draws one real number an element, which takes a tenth of a training step of a Transformer. The share that is
    left out is rounded to 1/65,536, and what is kept is scaled by the rounded share.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Any shape -> the same shape."""
        cut = min(round(self.p * _LEVELS), _LEVELS - 1)
        if not self.training or cut == 0:
            return input
        if input.device.type != "cpu" or torch.compiler.is_compiling():
            return F.dropout(input, self.p)
        n = input.numel()
        bits = torch.empty(-(-n // 4), dtype=torch.int64).random_(-(1 << 63), None).view(torch.int16)[:n]
        scale = torch.ge(bits, cut - _LEVELS // 2, out=torch.empty(n, dtype=input.dtype))
        scale.mul_(_LEVELS / (_LEVELS - cut))
        # The order in which elements lie in memory is the input's: both are then read along.
        dense = torch.empty_like(input)
        return input * scale.as_strided(dense.shape, dense.stride())

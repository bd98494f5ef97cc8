"""Random numbers of a window: the same on every device, in every batch, in every process."""

from __future__ import annotations

import torch
from torch import Tensor

_STEP, _FIRST, _SECOND = -7046029254386353131, -4658895280553007687, -7723592293110705685  # as signed 64-bit numbers
_LEVELS = 1 << 24  # resolution of float32 below 1


def uniform(keys: Tensor, count: int, stream: int) -> Tensor:
    """Draws from [0, 1) that depend only on a window's key, the stream and the position.

    SplitMix64's finaliser (Steele, Lea and Flood 2014, doi:10.1145/2660193.2660195) scrambles a counter in integers, so
    a CPU and a GPU give the same numbers.

    Args:
        keys: int64 (n,), any numbers.
        count: Draws per window.
        stream: Number of the purpose; different purposes have different numbers.

    Returns:
        float32 (n, count), multiples of 2**-24.
    """
    start = _scramble(keys ^ _scramble(torch.full_like(keys[:1], stream)))[:, None]
    counter = torch.arange(1, count + 1, dtype=torch.int64, device=keys.device)
    return (_scramble(start + counter * _STEP) >> 40).bitwise_and_(_LEVELS - 1).float().div_(_LEVELS)


def _scramble(z: Tensor) -> Tensor:
    z = (z ^ _shifted(z, 30)) * _FIRST
    z = (z ^ _shifted(z, 27)) * _SECOND
    return z ^ _shifted(z, 31)


def _shifted(z: Tensor, by: int) -> Tensor:
    # Torch shifts signed numbers arithmetically, so the bits that enter at the top are masked.
    return (z >> by) & ((1 << (64 - by)) - 1)

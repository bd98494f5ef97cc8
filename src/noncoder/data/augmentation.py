"""Changes to training windows: EvoAug's set (Lee et al. 2023, doi:10.1186/s13059-023-02941-w), on codes.

What happens to a window depends on its random key alone: on neither the batch, nor the device, nor the process. All
windows of a batch are changed at once.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from noncoder.config import AugmentConfig
from noncoder.config.augment import KINDS
from noncoder.data.randomness import uniform
from noncoder.sequence.encoding import N_CODE

# Streams of random numbers: one for each purpose, and for each kind of change its own.
_HOW_MANY, _WHICH, _MUTATED = 0, 1, 2
_HOW_LONG, _WHERE, _BASES = 10, 20, 30


class Augmentation:
    """Changes the windows of a batch as a recipe says; a change for `Batches`.

    Args:
        config: The recipe's section on it.
        passes: Passes of the whole training, for those at its end that are left as they are.
    """

    def __init__(self, config: AugmentConfig, passes: float) -> None:
        self.config = config
        self.first_plain = (1 - config.finetune) * passes if config.finetune else math.inf

    def __call__(self, codes: Tensor, keys: Tensor, epoch: int) -> Tensor:
        """The changed windows.

        Args:
            codes: uint8 (n, L).
            keys: int64 (n,), a random number for each window.
            epoch: The number of the pass, from 0.

        Returns:
            uint8 (n, L).
        """
        config, kinds = self.config, self.config.kinds
        if not kinds or epoch >= self.first_plain:
            return codes
        chosen = _choose(keys, len(kinds), config.most)
        length = codes.shape[1]
        for i, kind in enumerate(kinds):
            if kind == "mutation":
                codes = mutate(codes, keys, config.mutation * chosen[:, i])
                continue
            most = min(getattr(config, kind), length) * chosen[:, i]
            own = KINDS.index(kind)
            how_long, where = (uniform(keys, 1, stream + own)[:, 0] for stream in (_HOW_LONG, _WHERE))
            if kind == "translocation":
                codes = rotate(codes, _whole(how_long, 2 * most + 1) - most)
                continue
            size = _whole(how_long, most + 1)
            if kind == "inversion":
                codes = invert(codes, _whole(where, length - size + 1), size)
            elif kind == "insertion":
                codes = insert(codes, _whole(where, length + 1), size, _random_bases(keys, length, own))
            else:
                codes = delete(codes, _whole(where, length - size + 1), size, _random_bases(keys, length, own))
        return codes


def mutate(codes: Tensor, keys: Tensor, share: Tensor) -> Tensor:
    """Turns each base with a chance into one of the other three, all alike; N stays.

    Args:
        codes: uint8 (n, L).
        keys: int64 (n,), random.
        share: The chance in each window, (n,).
    """
    length = codes.shape[1]
    drawn = uniform(keys, 2 * length, _MUTATED)
    step = 1 + (drawn[:, length:] * 3).to(torch.uint8)
    mutated = (drawn[:, :length] < share[:, None]) & (codes != N_CODE)
    return torch.where(mutated, (codes + step) % 4, codes)


def rotate(codes: Tensor, by: Tensor) -> Tensor:
    """Moves each window (n, L) to the right by so many bp, (n,); what leaves at one end comes in at the other."""
    length = codes.shape[1]
    return codes.gather(1, (_positions(codes) - by[:, None]) % length)


def invert(codes: Tensor, start: Tensor, size: Tensor) -> Tensor:
    """Puts the reverse complement in the place of a stretch of each window.

    Args:
        codes: uint8 (n, L).
        start: The first base of each stretch, (n,).
        size: Its length, (n,).
    """
    at, start, end = _positions(codes), start[:, None], (start + size)[:, None]
    inside = (at >= start) & (at < end)
    turned = codes.gather(1, torch.where(inside, start + end - 1 - at, at))
    return torch.where(inside & (turned != N_CODE), 3 - turned, turned)


def insert(codes: Tensor, start: Tensor, size: Tensor, bases: Tensor) -> Tensor:
    """Puts bases into each window, of which as many leave: half of them, rounded down, at the left end.

    Args:
        codes: uint8 (n, L).
        start: The base before which they come, (n,), from 0 to L.
        size: How many, (n,).
        bases: What comes in, uint8 (n, L): those in whose place it comes to lie.
    """
    length = codes.shape[1]
    at = _positions(codes) + (size // 2)[:, None]  # positions in the longer window
    start, end = start[:, None], (start + size)[:, None]
    source = torch.where(at < start, at, at - size[:, None]).clamp(0, length - 1)
    return torch.where((at >= start) & (at < end), bases, codes.gather(1, source))


def delete(codes: Tensor, start: Tensor, size: Tensor, bases: Tensor) -> Tensor:
    """Leaves out a stretch of each window, into which as many bases come: half, rounded down, at the left end.

    Args:
        codes: uint8 (n, L).
        start: The first base that is left out, (n,).
        size: How many are, (n,).
        bases: What comes in, uint8 (n, L): those in whose place it comes to lie.
    """
    length = codes.shape[1]
    at = _positions(codes) - (size // 2)[:, None]  # positions in the shorter window
    source = torch.where(at < start[:, None], at, at + size[:, None]).clamp(0, length - 1)
    outside = (at < 0) | (at >= length - size[:, None])
    return torch.where(outside, bases, codes.gather(1, source))


def _choose(keys: Tensor, kinds: int, most: int) -> Tensor:
    """Which of the kinds of change each window gets, 0 or 1, (n, kinds)."""
    count = 1 + _whole(uniform(keys, 1, _HOW_MANY), min(most, kinds))
    rank = uniform(keys, kinds, _WHICH).argsort(dim=1).argsort(dim=1)
    return (rank < count).long()


def _whole(drawn: Tensor, below: Tensor | int) -> Tensor:
    """Whole numbers from 0 to below `below`, of draws from [0, 1)."""
    # In double precision: the product of a float32 below 1 could be rounded up to `below`.
    return (drawn.double() * below).long()


def _random_bases(keys: Tensor, length: int, kind: int) -> Tensor:
    return (uniform(keys, length, _BASES + kind) * 4).to(torch.uint8)


def _positions(codes: Tensor) -> Tensor:
    return torch.arange(codes.shape[1], device=codes.device)[None]

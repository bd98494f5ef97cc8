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
        # A hair less, as (1 - 0.7) * 10 is a hair more than 3.
        self.first_plain = (1 - config.finetune) * passes - 1e-6 if config.finetune else math.inf

    def __call__(self, codes: Tensor, keys: Tensor, behind: float) -> Tensor:
        """The changed windows.

        Args:
            codes: uint8 (n, L).
            keys: int64 (n,), a random number for each window.
            behind: How many passes lie behind, with the share of the present one.

        Returns:
            uint8 (n, L).
        """
        config, kinds = self.config, self.config.kinds
        if not kinds or behind >= self.first_plain:
            return codes
        chosen = _choose(keys, len(kinds), config.least, config.most)
        for kind, picked in zip(kinds, chosen.unbind(dim=1), strict=True):
            if codes.is_cuda:  # where picking some would make the process wait for the device
                codes = self._change(kind, codes, keys, picked)
            else:
                rows = picked.nonzero()[:, 0]
                changed = self._change(kind, codes[rows], keys[rows], picked[rows])
                codes = codes.index_copy(0, rows, changed)
        return codes

    def _change(self, kind: str, codes: Tensor, keys: Tensor, picked: Tensor) -> Tensor:
        """One kind of change to the windows (n, L) for which `picked`, (n,), is 1, none to those for which it is 0."""
        length, own = codes.shape[1], KINDS.index(kind)
        if kind == "mutation":
            return mutate(codes, keys, self.config.mutation * picked)
        most = min(getattr(self.config, kind), length) * picked
        how_long, where = (uniform(keys, 1, stream + own)[:, 0] for stream in (_HOW_LONG, _WHERE))
        if kind == "translocation":
            return rotate(codes, _whole(how_long, 2 * most + 1) - most)
        size = _whole(how_long, most + 1)
        if kind == "inversion":
            return invert(codes, _whole(where, length - size + 1), size)
        bases = (uniform(keys, length, _BASES + own) * 4).to(torch.uint8)
        if kind == "insertion":
            return insert(codes, _whole(where, length + 1), size, bases)
        return delete(codes, _whole(where, length - size + 1), size, bases)


def mutate(codes: Tensor, keys: Tensor, share: Tensor) -> Tensor:
    """Turns each base with a chance into one of the other three, all alike; N stays.

    Args:
        codes: uint8 (n, L).
        keys: int64 (n,), random.
        share: The chance in each window, (n,).
    """
    drawn = uniform(keys, codes.shape[1], _MUTATED)
    mutated = (drawn < share[:, None]) & (codes != N_CODE)
    # A draw below the share is even below it: it also says which of the three.
    step = 1 + (drawn * (3 / share.clamp(min=1e-7))[:, None]).clamp(max=2).to(torch.uint8)
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


def _choose(keys: Tensor, kinds: int, least: int, most: int) -> Tensor:
    """Which of the kinds of change each window gets, 0 or 1, (n, kinds)."""
    least, most = min(least, kinds), min(most, kinds)
    count = least + _whole(uniform(keys, 1, _HOW_MANY), most - least + 1)
    rank = uniform(keys, kinds, _WHICH).argsort(dim=1).argsort(dim=1)
    return (rank < count).long()


def _whole(drawn: Tensor, below: Tensor | int) -> Tensor:
    """Whole numbers from 0 to below `below`, of draws from [0, 1)."""
    # In double precision: the product of a float32 below 1 could be rounded up to `below`.
    return (drawn.double() * below).long()


def _positions(codes: Tensor) -> Tensor:
    return torch.arange(codes.shape[1], device=codes.device)[None]

"""Augmentation of training windows: EvoAug's set (Lee et al. 2023, doi:10.1186/s13059-023-02941-w), on codes.

The change of a window depends only on its random key, not on the batch, the device or the process. All windows of a
batch are changed at once.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from noncoder.config import AugmentConfig
from noncoder.config.augment import KINDS
from noncoder.data.randomness import uniform
from noncoder.sequence.encoding import N_CODE

# Streams of random numbers: one for each purpose, and one for each kind of change.
_HOW_MANY, _WHICH, _MUTATED = 0, 1, 2
_HOW_LONG, _WHERE, _BASES = 10, 20, 30


class Augmentation:
    """Changes the windows of a batch as a recipe says; a change for `Batches`.

    Args:
        config: The recipe's section on augmentation.
        passes: Epochs of the whole training, which determine the unchanged epochs at its end.
    """

    def __init__(self, config: AugmentConfig, passes: float) -> None:
        self.config = config
        # Slightly less, as (1 - 0.7) * 10 is slightly more than 3.
        self.first_plain = (1 - config.finetune) * passes - 1e-6 if config.finetune else math.inf

    def __call__(self, codes: Tensor, keys: Tensor, behind: float) -> Tensor:
        """Returns the changed windows.

        Args:
            codes: uint8 (n, L).
            keys: int64 (n,), a random number for each window.
            behind: Epochs so far, including the fraction of the current one.

        Returns:
            uint8 (n, L).
        """
        config, kinds = self.config, self.config.kinds
        if not kinds or behind >= self.first_plain:
            return codes
        chosen = _choose(keys, len(kinds), config.least, config.most)
        for kind, picked in zip(kinds, chosen.unbind(dim=1), strict=True):
            if codes.is_cuda:  # selecting windows would make the process wait for the device
                codes = self._change(kind, codes, keys, picked)
            else:
                rows = picked.nonzero()[:, 0]
                changed = self._change(kind, codes[rows], keys[rows], picked[rows])
                codes = codes.index_copy(0, rows, changed)
        return codes

    def _change(self, kind: str, codes: Tensor, keys: Tensor, picked: Tensor) -> Tensor:
        """Applies one kind of change to the windows (n, L) for which `picked`, (n,), is 1."""
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
    """Replaces each base with a given probability by one of the other three, with equal chances; N stays.

    Args:
        codes: uint8 (n, L).
        keys: int64 (n,), random.
        share: Probability in each window, (n,).
    """
    drawn = uniform(keys, codes.shape[1], _MUTATED)
    mutated = (drawn < share[:, None]) & (codes != N_CODE)
    # A draw below `share` is uniform below it, so it also selects one of the three.
    step = 1 + (drawn * (3 / share.clamp(min=1e-7))[:, None]).clamp(max=2).to(torch.uint8)
    return torch.where(mutated, (codes + step) % 4, codes)


def rotate(codes: Tensor, by: Tensor) -> Tensor:
    """Rotates each window (n, L) to the right by so many bp, (n,)."""
    length = codes.shape[1]
    return codes.gather(1, (_positions(codes) - by[:, None]) % length)


def invert(codes: Tensor, start: Tensor, size: Tensor) -> Tensor:
    """Replaces a segment of each window by its reverse complement.

    Args:
        codes: uint8 (n, L).
        start: First base of each segment, (n,).
        size: Its length, (n,).
    """
    at, start, end = _positions(codes), start[:, None], (start + size)[:, None]
    inside = (at >= start) & (at < end)
    turned = codes.gather(1, torch.where(inside, start + end - 1 - at, at))
    return torch.where(inside & (turned != N_CODE), 3 - turned, turned)


def insert(codes: Tensor, start: Tensor, size: Tensor, bases: Tensor) -> Tensor:
    """Inserts bases into each window and removes equally many: half of them, rounded down, at the left end.

    Args:
        codes: uint8 (n, L).
        start: Base before which they are inserted, (n,), from 0 to L.
        size: Number of inserted bases, (n,).
        bases: Source of the inserted bases, uint8 (n, L), read at their final positions.
    """
    length = codes.shape[1]
    at = _positions(codes) + (size // 2)[:, None]  # positions in the longer window
    start, end = start[:, None], (start + size)[:, None]
    source = torch.where(at < start, at, at - size[:, None]).clamp(0, length - 1)
    return torch.where((at >= start) & (at < end), bases, codes.gather(1, source))


def delete(codes: Tensor, start: Tensor, size: Tensor, bases: Tensor) -> Tensor:
    """Deletes a segment of each window and adds equally many bases: half of them, rounded down, at the left end.

    Args:
        codes: uint8 (n, L).
        start: First deleted base, (n,).
        size: Number of deleted bases, (n,).
        bases: Source of the added bases, uint8 (n, L), read at their final positions.
    """
    length = codes.shape[1]
    at = _positions(codes) - (size // 2)[:, None]  # positions in the shorter window
    source = torch.where(at < start[:, None], at, at + size[:, None]).clamp(0, length - 1)
    outside = (at < 0) | (at >= length - size[:, None])
    return torch.where(outside, bases, codes.gather(1, source))


def _choose(keys: Tensor, kinds: int, least: int, most: int) -> Tensor:
    """Draws which kinds of change each window gets, 0 or 1, (n, kinds)."""
    least, most = min(least, kinds), min(most, kinds)
    count = least + _whole(uniform(keys, 1, _HOW_MANY), most - least + 1)
    rank = uniform(keys, kinds, _WHICH).argsort(dim=1).argsort(dim=1)
    return (rank < count).long()


def _whole(drawn: Tensor, below: Tensor | int) -> Tensor:
    """Converts draws from [0, 1) to integers from 0 to below `below`."""
    # In double precision: the product of a float32 below 1 could be rounded up to `below`.
    return (drawn.double() * below).long()


def _positions(codes: Tensor) -> Tensor:
    return torch.arange(codes.shape[1], device=codes.device)[None]

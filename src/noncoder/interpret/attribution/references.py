"""References: what a sequence is compared with."""

from __future__ import annotations

import zlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noncoder.data.loading import one_hot
from noncoder.interpret.attribution.methods import AttributionConfig
from noncoder.interpret.shuffling import shuffle_dinucleotides
from noncoder.sequence.encoding import N_CODE


def seed_of(codes: NDArray[np.uint8], seed: int) -> int:
    """A seed that depends on a sequence (L,) and the setting alone, below 2**31."""
    return zlib.crc32(codes.tobytes(), seed) & 0x7FFFFFFF


def shuffles(codes: NDArray[np.uint8], count: int, seed: int) -> NDArray[np.uint8]:
    """Dinucleotide shuffles of a sequence; see `noncoder.interpret.shuffling`.

    Args:
        codes: A sequence, uint8 (L,).
        count: How many.
        seed: Another seed gives others.

    Returns:
        uint8 (count, L).
    """
    begin = seed_of(codes, seed)
    seeds = [(begin + i) & 0x7FFFFFFF for i in range(count)]
    return shuffle_dinucleotides(np.repeat(codes[None], count, axis=0), seeds)


def reference_count(settings: AttributionConfig) -> int:
    """How many references a sequence is compared with, R."""
    return settings.references if settings.baseline == "shuffles" else 1


def references(codes: Tensor, settings: AttributionConfig) -> Tensor:
    """What sequences (b, L) are compared with, float (b, R, 4, L); where a sequence has N they have zeros.

    With both sides nothing there, what is found at bases adds up to the whole difference.
    """
    if settings.baseline == "shuffles":
        rows = [shuffles(row, settings.references, settings.seed) for row in codes.cpu().numpy()]
        flat = torch.from_numpy(np.concatenate(rows)).to(codes.device)
        return one_hot(flat).view(len(rows), settings.references, 4, -1)
    level = 0.25 if settings.baseline == "uniform" else 0.0
    known = (codes != N_CODE)[:, None, None, :]
    return (level * known).expand(-1, 1, 4, -1)


def contributions(multipliers: Tensor, references: Tensor) -> Tensor:
    """What each base would contribute: the multiplier of having it, less those of what the reference has.

    Args:
        multipliers: Of each reference, (b, R, 4, L).
        references: (b, R, 4, L).

    Returns:
        The mean over references, (b, 4, L).
    """
    return (multipliers - (references * multipliers).sum(dim=2, keepdim=True)).mean(dim=1)


def unshuffled(references: Tensor, x: Tensor) -> tuple[str, ...]:
    """A note where every reference of some sequence is the sequence itself: there is nothing to explain."""
    same = int((references == x[:, None]).all(dim=(1, 2, 3)).sum())
    if not same:
        return ()
    return ("a sequence without a shuffle of its own (one letter, or all N) is its own reference: nothing to explain",)

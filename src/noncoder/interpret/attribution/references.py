"""References that attribution methods compare a sequence with."""

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
    """Returns a seed below 2**31 that depends only on a sequence (L,) and the given seed."""
    return zlib.crc32(codes.tobytes(), seed) & 0x7FFFFFFF


def shuffles(codes: NDArray[np.uint8], count: int, seed: int) -> NDArray[np.uint8]:
    """Shuffles a sequence while keeping its dinucleotide counts; see `noncoder.interpret.shuffling`.

    Args:
        codes: Sequence, uint8 (L,).
        count: Number of shuffles.
        seed: Random seed.

    Returns:
        Shuffles, uint8 (count, L).
    """
    begin = seed_of(codes, seed)
    seeds = [(begin + i) & 0x7FFFFFFF for i in range(count)]
    return shuffle_dinucleotides(np.repeat(codes[None], count, axis=0), seeds)


def reference_count(settings: AttributionConfig) -> int:
    """Returns the number of references per sequence, R."""
    return settings.references if settings.baseline == "shuffles" else 1


def references(codes: Tensor, settings: AttributionConfig) -> Tensor:
    """Returns the references of sequences (b, L), float (b, R, 4, L).

    References are zero at an N, as the one-hot sequence is. So the Ns contribute nothing, and the contributions of the
    bases sum to the complete difference of the logits.
    """
    if settings.baseline == "shuffles":
        rows = [shuffles(row, settings.references, settings.seed) for row in codes.cpu().numpy()]
        flat = torch.from_numpy(np.concatenate(rows)).to(codes.device)
        return one_hot(flat).view(len(rows), settings.references, 4, -1)
    level = 0.25 if settings.baseline == "uniform" else 0.0
    known = (codes != N_CODE)[:, None, None, :]
    return (level * known).expand(-1, 1, 4, -1)


def contributions(multipliers: Tensor, references: Tensor) -> Tensor:
    """Computes hypothetical contributions: the multiplier of each base minus the multiplier of the reference's base.

    Args:
        multipliers: Multipliers for each reference, (b, R, 4, L).
        references: References, (b, R, 4, L).

    Returns:
        Contributions averaged over the references, (b, 4, L).
    """
    return (multipliers - (references * multipliers).sum(dim=2, keepdim=True)).mean(dim=1)


def unshuffled(references: Tensor, x: Tensor) -> tuple[str, ...]:
    """Returns a note if all references of a sequence equal the sequence, so that its attributions are zero."""
    same = int((references == x[:, None]).all(dim=(1, 2, 3)).sum())
    if not same:
        return ()
    return ("a sequence of one repeated base or of N only is its own reference; its values are zero",)

"""Dinucleotide shuffles, used as references of attributions and as backgrounds of motifs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from noncoder.data.loading import one_hot
from noncoder.sequence.encoding import N_CODE
from noncoder.threads import limit_numba

Codes = NDArray[np.uint8]

_SHORTEST = 4
"""Length from which a run of bases can change: its ends stay, and a single base between them stays too."""
_NEXT_RUN = 1_000_003  # difference between the seeds of consecutive runs in a sequence


def shuffle_dinucleotides(codes: Codes, seeds: Sequence[int]) -> Codes:
    """Shuffles each sequence; dinucleotide counts are kept, and every N keeps its position.

    Each run of bases between N is shuffled by itself with the method of Altschul and Erickson (1985,
    doi:10.1093/oxfordjournals.molbev.a040370) as implemented in tangermeme. The first and the last base of a run stay.

    Args:
        codes: uint8 (n, L).
        seeds: One seed per sequence, 0 to 2**31 - 1; the same sequence and seed give the same shuffle.

    Returns:
        uint8 (n, L).
    """
    from tangermeme.ersatz import dinucleotide_shuffle  # numba compiles its loops on import

    limit_numba()
    shuffled = codes.copy()
    edges = np.diff((codes != N_CODE).astype(np.int8), prepend=0, append=0, axis=1)
    row, start = np.nonzero(edges == 1)
    end = np.nonzero(edges == -1)[1]
    number = np.arange(row.size) - np.searchsorted(row, row)  # index of the run in its sequence
    seed = (np.asarray(seeds, dtype=np.int64)[row] + _NEXT_RUN * number) & 0x7FFFFFFF
    # Runs with the same coordinates are shuffled in one call.
    places, which = np.unique(np.stack([start, end], axis=1), axis=0, return_inverse=True)
    for i, (first, last) in enumerate(places):
        if last - first < _SHORTEST:
            continue
        mine = which.ravel() == i
        x = one_hot(torch.from_numpy(codes[row[mine], first:last]), torch.int8)
        made = dinucleotide_shuffle(x, n=1, random_state=seed[mine].tolist())[:, 0]
        shuffled[row[mine], first:last] = made.argmax(dim=1).numpy()
    return shuffled


def dinucleotide_shuffled(codes: Codes, rng: np.random.Generator) -> Codes:
    """Shuffles each sequence (n, L) once with `shuffle_dinucleotides`, with seeds from the generator."""
    return shuffle_dinucleotides(codes, rng.integers(0, 2**31 - 1, len(codes)).tolist())

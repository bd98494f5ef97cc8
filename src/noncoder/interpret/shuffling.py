"""Dinucleotide shuffles: the references of attributions and the backgrounds of motifs."""

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
"""Bases from which a run has another order: its ends keep their places, and one base between them has one place."""
_NEXT_RUN = 1_000_003  # from the seed of a run to that of the next in the same sequence


def shuffle_dinucleotides(codes: Codes, seeds: Sequence[int]) -> Codes:
    """Each sequence with its bases in another order: dinucleotide counts are kept, and every N keeps its place.

    Altschul and Erickson's shuffle (1985, doi:10.1093/oxfordjournals.molbev.a040370) as tangermeme has it, of each run
    of bases between N by itself. The first and the last base of a run keep their places too.

    Args:
        codes: uint8 (n, L).
        seeds: A seed for each sequence, 0 to 2**31 - 1; the same sequence and seed give the same shuffle.

    Returns:
        uint8 (n, L).
    """
    from tangermeme.ersatz import dinucleotide_shuffle  # numba compiles its loops on import

    limit_numba()
    shuffled = codes.copy()
    edges = np.diff((codes != N_CODE).astype(np.int8), prepend=0, append=0, axis=1)
    row, start = np.nonzero(edges == 1)
    end = np.nonzero(edges == -1)[1]
    number = np.arange(row.size) - np.searchsorted(row, row)  # of a run in its sequence
    seed = (np.asarray(seeds, dtype=np.int64)[row] + _NEXT_RUN * number) & 0x7FFFFFFF
    # Runs at the same place are shuffled in one call.
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
    """Each sequence (n, L) shuffled once, as `shuffle_dinucleotides`, with seeds that the generator draws."""
    return shuffle_dinucleotides(codes, rng.integers(0, 2**31 - 1, len(codes)).tolist())

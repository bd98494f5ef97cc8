"""Sequences that say nothing, for motifs to be put into: real windows, shuffled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from noncoder.errors import InputError
from noncoder.interpret.motifs.hits import score_threshold
from noncoder.interpret.shuffling import dinucleotide_shuffled
from noncoder.sequence.encoding import N_CODE
from noncoder.sequence.motifs import Motif, scan

Codes = NDArray[np.uint8]

_MOST_DRAWS = 20  # of one background, until it is free of the motifs that are to be avoided
_NOTABLE = 0.05  # share of the backgrounds with a motif by chance that is worth a word


@dataclass(frozen=True)
class Backgrounds:
    """Sequences for motifs to be put into.

    Args:
        codes: uint8 (n, L).
        source: The window that each is a shuffle of, (n,); windows are the units of all intervals.
        warnings: What a reader of results from them should know.
    """

    codes: Codes
    source: NDArray[np.int64]
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.codes)


def shuffled_backgrounds(
    codes: Codes, n: int, seed: int, avoid: Sequence[Motif] = (), threshold: float | None = None
) -> Backgrounds:
    """Draws windows, as different ones as there are, and shuffles each such that its dinucleotide counts stay.

    See `noncoder.interpret.shuffling`. Windows with an N are not used.

    Args:
        codes: Real windows, uint8 (N, L).
        n: How many backgrounds.
        seed: The same gives the same backgrounds.
        avoid: Motifs that should be in none; a background with a hit is drawn again, up to 20 times.
        threshold: Lowest score of a hit, bits; by default as `noncoder.interpret.motifs.find_hits`.

    Raises:
        InputError: There is no window without an N, or n is not positive.
    """
    whole = np.flatnonzero((codes < N_CODE).all(axis=1)) if codes.ndim == 2 else np.zeros(0, dtype=np.int64)
    if not whole.size or n < 1:
        raise InputError(
            f"{n} backgrounds from codes of shape {codes.shape}, {whole.size} windows without an N",
            expected="at least one of each",
            hint="give windows that lie inside of their chromosome and hold no gap",
        )
    rng = np.random.default_rng(seed)
    source = np.concatenate([rng.permutation(whole) for _ in range(-(-n // whole.size))])[:n]
    drawn = dinucleotide_shuffled(codes[source], rng)
    for _ in range(_MOST_DRAWS - 1):
        again = np.flatnonzero(_has_hit(drawn, avoid, threshold))
        if not again.size:
            break
        drawn[again] = dinucleotide_shuffled(codes[source[again]], rng)
    left = int(_has_hit(drawn, avoid, threshold).sum())
    notes = [f"{left} of {n} backgrounds hold a motif that was to be avoided, after {_MOST_DRAWS} draws each"]
    return Backgrounds(drawn, source, tuple(notes if left else ()))


def chance_hits(codes: Codes, motifs: Sequence[Motif]) -> dict[str, float]:
    """The share of sequences (n, L) that hold each motif on some strand, by name."""
    return {motif.name: float(_has_hit(codes, [motif], None).mean()) for motif in motifs}


def chance_warnings(codes: Codes, motifs: Sequence[Motif]) -> list[str]:
    """Says which motifs more than a twentieth of the backgrounds hold already: their effects come out too small."""
    return [
        f"{share:.0%} of the backgrounds hold {name} by chance, so that its effect is underrated"
        for name, share in chance_hits(codes, motifs).items()
        if share > _NOTABLE
    ]


def _has_hit(codes: Codes, motifs: Sequence[Motif], threshold: float | None) -> NDArray[np.bool_]:
    found = np.zeros(len(codes), dtype=bool)
    for motif in motifs:
        lowest = score_threshold(motif) if threshold is None else threshold
        found[scan(codes, motif, lowest).sequence] = True
    return found

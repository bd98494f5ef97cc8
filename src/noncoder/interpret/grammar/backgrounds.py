"""Neutral sequences into which motifs are inserted: shuffled real windows."""

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

_MOST_DRAWS = 20  # draws of a background until it has no hit of the motifs to avoid
_NOTABLE = 0.05  # fraction of backgrounds with a chance hit from which a warning is given


@dataclass(frozen=True)
class Backgrounds:
    """Sequences into which motifs are inserted.

    Args:
        codes: uint8 (n, L).
        source: Window from which each was shuffled, (n,); windows are the independent units of all intervals.
        warnings: Remarks for readers of results.
    """

    codes: Codes
    source: NDArray[np.int64]
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.codes)


def shuffled_backgrounds(
    codes: Codes, n: int, seed: int, avoid: Sequence[Motif] = (), threshold: float | None = None
) -> Backgrounds:
    """Draws windows, as many different ones as possible, and shuffles each; dinucleotide counts are kept.

    See `noncoder.interpret.shuffling`. Windows with an N are not used.

    Args:
        codes: Real windows, uint8 (N, L).
        n: Number of backgrounds.
        seed: Random seed.
        avoid: Motifs that no background should contain; a background with a hit is drawn again, up to 20 times.
        threshold: Lowest score of a hit, bits; the default is that of `noncoder.interpret.motifs.find_hits`.

    Raises:
        InputError: There is no window without an N, or n is not positive.
    """
    whole = np.flatnonzero((codes < N_CODE).all(axis=1)) if codes.ndim == 2 else np.zeros(0, dtype=np.int64)
    if not whole.size or n < 1:
        raise InputError(
            f"{n} backgrounds from codes of shape {codes.shape}, {whole.size} windows without an N",
            expected="at least one of each",
            hint="give windows that lie inside their chromosome and have no gap",
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
    notes = [f"{left} of {n} backgrounds contain a motif that was to be avoided, after {_MOST_DRAWS} draws each"]
    return Backgrounds(drawn, source, tuple(notes if left else ()))


def chance_hits(codes: Codes, motifs: Sequence[Motif]) -> dict[str, float]:
    """Returns the fraction of sequences (n, L) with a hit of each motif on either strand, by name."""
    return {motif.name: float(_has_hit(codes, [motif], None).mean()) for motif in motifs}


def chance_warnings(codes: Codes, motifs: Sequence[Motif]) -> list[str]:
    """Warns of motifs that more than a twentieth of the backgrounds contain: their effects are underestimated."""
    return [
        f"{share:.0%} of the backgrounds contain {name} by chance, so its effect is underestimated"
        for name, share in chance_hits(codes, motifs).items()
        if share > _NOTABLE
    ]


def _has_hit(codes: Codes, motifs: Sequence[Motif], threshold: float | None) -> NDArray[np.bool_]:
    found = np.zeros(len(codes), dtype=bool)
    for motif in motifs:
        lowest = score_threshold(motif) if threshold is None else threshold
        found[scan(codes, motif, lowest).sequence] = True
    return found

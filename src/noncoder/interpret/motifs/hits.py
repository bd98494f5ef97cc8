"""Motif hits: positions with a score that random bases rarely reach. The whole package uses this definition.

A fixed fraction of the best score, such as 80%, is lenient for short motifs and strict for long ones: of the sites of
16 bp and more it finds 40%, where p < 1e-4 finds all (benchmarks/motif_hits.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from noncoder.errors import InputError
from noncoder.sequence.motifs import UNIFORM, Hits, Motif, scan

HIT_P = 1e-4
"""Probability of a hit at one position of random bases, on one strand."""
_STEP = 0.01  # bits


def find_hits(codes: NDArray[np.uint8], motif: Motif, p: float = HIT_P, background: Sequence[float] = UNIFORM) -> Hits:
    """Finds the hits of a motif in sequences, on both strands.

    Args:
        codes: Sequences, uint8 (n, L).
        motif: The motif, e.g. a pattern's `motif`.
        p: Probability that random bases reach a hit's score.
        background: Frequencies of A, C, G and T.

    Raises:
        InputError: p is not between 0 and 1, or the background is not four positive frequencies.
        SequenceError: The codes are invalid.
    """
    return scan(codes, motif, score_threshold(motif, p, background), background)


def score_threshold(motif: Motif, p: float = HIT_P, background: Sequence[float] = UNIFORM) -> float:
    """Computes the lowest log-odds score, in bits, that random bases reach with probability at most p.

    The distribution of scores is computed position by position in steps of 0.01 bits (Staden 1989). Scores are rounded
    to the nearest step, so the error is at most half a step per position. If even the best score is more probable than
    p, as for motifs of 6 bp, the threshold is the best score. A motif without any preference has the threshold
    infinity, hence no hits.

    Args:
        motif: The motif; its `pwm` gives the scores.
        p: The probability.
        background: Frequencies of A, C, G and T.

    Raises:
        InputError: p is not between 0 and 1, or the background is not four positive frequencies.
    """
    if not 0 < p < 1:
        raise InputError(f"a p-value of {p}", expected="above 0 and below 1")
    steps = np.round(motif.pwm(background=background) / _STEP).astype(np.int64)
    if not steps.any():
        return float("inf")
    lowest = steps.min(axis=0)
    chances = np.ones(1)
    for column, least in zip(steps.T, lowest, strict=True):
        longer = np.zeros(chances.size + int(column.max() - least))
        for gain, share in zip(column - least, background, strict=True):
            longer[gain : gain + chances.size] += share * chances
        chances = longer
    reached = np.cumsum(chances[::-1])[::-1]  # probability of at least each score
    scores = np.flatnonzero(chances)  # scores of at least one sequence
    rare = scores[reached[scores] <= p * (1 + 1e-9)]
    at = int(rare[0]) if rare.size else int(scores[-1])
    # Rounding can raise the score of a sequence; the next lower score must stay below the threshold.
    lower = scores[scores < at]
    slack = min(motif.width, at - lower[-1] if lower.size else motif.width) / 2
    return float((at - slack + lowest.sum()) * _STEP)

"""Effects of k-mers at any position: global importance analysis.

Koo, Majdandzic, Ploenzke, Anand & Paul, "Global importance analysis: an interpretability method to quantify importance
of genomic features in deep neural networks", PLoS Comput Biol 17 (2021), e1008925.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from noncoder.errors import InputError
from noncoder.interpret.grammar.backgrounds import Backgrounds
from noncoder.interpret.grammar.effects import Effects, Summary
from noncoder.interpret.grammar.insertion import Placement, draw_instances, middle, placed_logits
from noncoder.models import SequenceModel
from noncoder.sequence.encoding import decode, encode, reverse_complement

_LONGEST = 8


@dataclass(frozen=True)
class Screening:
    """A screening that leaves out most k-mers at a fraction of the cost.

    Args:
        backgrounds: Number of backgrounds in which all k-mers are screened; they are not used for reported effects.
        keep: Number of k-mers that are then measured in all other backgrounds: those with the largest mean effect on
            any task.
    """

    backgrounds: int = 16
    keep: int = 100


@dataclass(frozen=True)
class Importance:
    """The effects of M k-mers on K tasks.

    Args:
        kmers: The measured k-mers. If all k-mers of a length were measured, the alphabetically first of each k-mer and
            its reverse complement.
        effects: Logit with the k-mer minus logit without it, (n, M, K).
        screened: Number of screened k-mers; M without screening.
    """

    kmers: tuple[str, ...]
    effects: Effects
    screened: int

    def summary(self, level: float = 0.95) -> Summary:
        """Returns mean effects (M, K), with intervals that hold for all k-mers of a task together (Bonferroni)."""
        return self.effects.summary(level, comparisons=len(self.kmers))

    def ranked(self, k: int = 0) -> NDArray[np.int64]:
        """Returns the k-mers' order by the size of their mean effect on the k-th task, (M,)."""
        return np.argsort(-np.abs(self.summary().mean[:, k]), kind="stable")


def list_kmers(k: int) -> list[str]:
    """Lists all k-mers, keeping the alphabetically first of each k-mer and its reverse complement.

    Raises:
        InputError: k is not from 1 to 8.
    """
    if not 1 <= k <= _LONGEST:
        raise InputError(f"k-mers of {k} bp", expected=f"1 to {_LONGEST}", hint="give longer ones as a list")
    words = map("".join, product("ACGT", repeat=k))
    return [word for word in words if word <= decode(reverse_complement(encode(word)))]


def kmer_importance(
    model: SequenceModel,
    backgrounds: Backgrounds,
    kmers: Sequence[str],
    tasks: Sequence[int],
    screening: Screening | None = None,
    start: int | None = None,
    batch_size: int = 256,
) -> Importance:
    """Inserts each k-mer into backgrounds and measures the difference of the logits.

    Strands are combined: every second background gets the reverse complement.

    Args:
        model: The model.
        backgrounds: n sequences.
        kmers: Text; N keeps the background's base.
        tasks: K columns.
        screening: A screening that leaves out most k-mers; reported effects are from the other backgrounds, so the
            selection does not inflate them.
        start: First base of the insertion; by default in the middle of the window.
        batch_size: Sequences per forward pass.

    Raises:
        InputError: There is no k-mer, one does not fit, or the screening leaves no background.
        SequenceError: A k-mer is not DNA.
    """
    if not kmers:
        raise InputError("no k-mer was given", expected="at least one", hint="list_kmers(6) lists all 6-mers")
    names = [kmer.upper() for kmer in kmers]

    def measured(some: slice, words: Sequence[str]) -> NDArray[np.float64]:
        codes = backgrounds.codes[some]
        conditions: list[list[Placement]] = [[], *([_alternating(word, codes, start)] for word in words)]
        logits = placed_logits(model, codes, conditions, tasks, batch_size).astype(np.float64)
        return np.asarray(logits[:, 1:] - logits[:, :1])

    if screening is None or screening.keep >= len(names):
        return Importance(tuple(names), Effects(measured(slice(None), names), backgrounds.source), len(names))
    first = screening.backgrounds
    if not 0 < first < len(backgrounds):
        raise InputError(f"a screening in {first} of {len(backgrounds)} backgrounds", expected="some, but not all")
    size = np.abs(measured(slice(first), names).mean(axis=0)).max(axis=1)
    kept = np.sort(np.argsort(-size, kind="stable")[: screening.keep])
    words = [names[i] for i in kept]
    rest = slice(first, None)
    return Importance(tuple(words), Effects(measured(rest, words), backgrounds.source[rest]), len(names))


def _alternating(kmer: str, codes: NDArray[np.uint8], start: int | None) -> Placement:
    forward = draw_instances(kmer, 1, "consensus", 0)
    strands = np.concatenate([forward, reverse_complement(forward)])
    at = middle(codes.shape[1], forward.shape[1]) if start is None else start
    return Placement(strands[np.arange(len(codes)) % 2], at)

"""Which k-mers matter wherever they stand: global importance analysis.

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
    """A first look that leaves most k-mers out, at a fraction of the cost.

    Args:
        backgrounds: In how many backgrounds all k-mers are looked at; these take no part in what is reported.
        keep: How many are then measured in all other backgrounds: those with the largest mean effect on some task.
    """

    backgrounds: int = 16
    keep: int = 100


@dataclass(frozen=True)
class Importance:
    """The effects of M k-mers on K tasks.

    Args:
        kmers: Those that were measured; of a k-mer and its reverse complement the first in the alphabet, where all of
            a length were.
        effects: Logit with less logit without, (n, M, K).
        screened: How many k-mers the first look was at; M where there was none.
    """

    kmers: tuple[str, ...]
    effects: Effects
    screened: int

    def summary(self, level: float = 0.95) -> Summary:
        """Mean effects (M, K), with intervals that hold for all k-mers of a task together (Bonferroni)."""
        return self.effects.summary(level, comparisons=len(self.kmers))

    def ranked(self, k: int = 0) -> NDArray[np.int64]:
        """The k-mers' order by the size of their mean effect on the k-th task, (M,)."""
        return np.argsort(-np.abs(self.summary().mean[:, k]), kind="stable")


def list_kmers(k: int) -> list[str]:
    """All k-mers, of which a k-mer and its reverse complement are one: the first of the two in the alphabet.

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
    """Writes each k-mer into backgrounds and takes the difference of the logits.

    Strands are joined: every other background takes the reverse complement.

    Args:
        model: Its logits are what changes.
        backgrounds: n sequences.
        kmers: Text; N keeps the background's base.
        tasks: K columns.
        screening: A first look that leaves most out; what is reported comes from the other backgrounds, so the choice
            does not make it larger than it is.
        start: Where they begin; by default in the middle of the window.
        batch_size: Sequences a forward pass.

    Raises:
        InputError: There is no k-mer, one does not fit, or the first look leaves no background.
        SequenceError: A k-mer is no DNA.
    """
    if not kmers:
        raise InputError("no k-mer was given", expected="at least one", hint="list_kmers(6) has all of six bases")
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
        raise InputError(f"a first look in {first} of {len(backgrounds)} backgrounds", expected="some, but not all")
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

"""What sites in real windows contribute: they are replaced by sequence that says nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from noncoder.errors import InputError, UnknownNameError
from noncoder.interpret.grammar.effects import Effects, Summary
from noncoder.interpret.grammar.insertion import Codes, logits_of
from noncoder.interpret.motifs.hits import score_threshold
from noncoder.interpret.shuffling import dinucleotide_shuffled
from noncoder.models import SequenceModel
from noncoder.sequence.encoding import N_CODE
from noncoder.sequence.motifs import Motif, scan

Replacement = Literal["window", "site", "n"]
REPLACEMENTS: tuple[Replacement, ...] = ("window", "site", "n")


class Sites(NamedTuple):
    """Intervals in windows, S of them.

    Args:
        window: Row of the codes, (S,).
        start: First base, 0-based, (S,).
        end: Past the last base, (S,).
    """

    window: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]


@dataclass(frozen=True)
class Ablation:
    """What S sites contribute to K tasks.

    Args:
        sites: Where they are.
        values: Logit of the real window less the logit with the site replaced, for each draw, (S, draws, K).
    """

    sites: Sites
    values: NDArray[np.float64]

    @property
    def by_site(self) -> NDArray[np.float64]:
        """The mean over the draws, (S, K)."""
        return np.asarray(self.values.mean(axis=1))

    def summary(self, level: float = 0.95) -> Summary:
        """The mean over sites with its interval, (K,); windows are the units."""
        return Effects(self.by_site, self.sites.window).summary(level)

    def site_summary(self, level: float = 0.95) -> Summary:
        """Each site's mean over its draws with its interval, (S, K); draws are the units: it is about this window."""
        draws = self.values.shape[1]
        return Effects(self.values.swapaxes(0, 1), np.arange(draws)).summary(level)


def motif_sites(codes: Codes, motif: Motif, threshold: float | None = None) -> Sites:
    """Where a motif is in windows (n, L), on any strand, each place once.

    Args:
        codes: The windows.
        motif: What to look for.
        threshold: Lowest score of a hit, bits; by default as `noncoder.interpret.motifs.find_hits`.
    """
    hits = scan(codes, motif, score_threshold(motif) if threshold is None else threshold)
    # A palindrome is found on both strands of one place.
    places = np.unique(np.stack([hits.sequence, hits.start], axis=1), axis=0)
    return Sites(places[:, 0], places[:, 1], places[:, 1] + motif.width)


def ablate(
    model: SequenceModel,
    codes: Codes,
    sites: Sites,
    tasks: Sequence[int],
    draws: int = 20,
    replacement: Replacement = "window",
    seed: int = 0,
) -> Ablation:
    """Replaces each site, alone, and takes the difference of the logits: positive where the site raises them.

    Args:
        model: Its logits on the forward strand are what changes.
        codes: Real windows, uint8 (n, L).
        sites: What is replaced.
        tasks: K columns.
        draws: How many replacements of each site; "n" needs but one.
        replacement: "window": what lies there in a dinucleotide shuffle of the whole window; "site": a dinucleotide
            shuffle of the site alone, which keeps its first and last base and, in a short site, much of it; "n": N.
        seed: Of the shuffles.

    Raises:
        InputError: A site lies outside of its window, or there is no draw.
        UnknownNameError: There is no such replacement.
    """
    if replacement not in REPLACEMENTS:
        raise UnknownNameError("replacement", replacement, REPLACEMENTS)
    n, length = codes.shape
    inside = (sites.window >= 0) & (sites.window < n) & (sites.start >= 0)
    inside &= (sites.start < sites.end) & (sites.end <= length)
    if not inside.all() or draws < 1:
        wrong = [int(part[~inside][0]) for part in sites] if not inside.all() else "none"
        raise InputError(
            f"{draws} draws; window, start and end of a site that is in no window: {wrong}",
            expected=f"1 draw or more, and sites in {n} windows, within 0 to {length}",
        )
    rng = np.random.default_rng(seed)
    rounds = [_replaced(codes, sites, replacement, rng) for _ in range(1 if replacement == "n" else draws)]
    values = np.stack([logits_of(model, made, tasks) for made in rounds], axis=1).astype(np.float64)
    used, row = np.unique(sites.window, return_inverse=True)
    return Ablation(sites, logits_of(model, codes[used], tasks)[row][:, None] - values)


def _replaced(codes: Codes, sites: Sites, replacement: Replacement, rng: np.random.Generator) -> Codes:
    """The window of each site with that site replaced, (S, L)."""
    made = codes[sites.window]
    at = np.arange(codes.shape[1])
    there = (at >= sites.start[:, None]) & (at < sites.end[:, None])
    if replacement == "n":
        made[there] = N_CODE
    elif replacement == "window":
        made[there] = dinucleotide_shuffled(made, rng)[there]
    else:
        widths = sites.end - sites.start
        for width in np.unique(widths):
            mine = np.flatnonzero(widths == width)
            columns = sites.start[mine, None] + np.arange(width)
            made[mine[:, None], columns] = dinucleotide_shuffled(made[mine[:, None], columns], rng)
    return made

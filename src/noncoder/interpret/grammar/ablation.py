"""Contributions of sites in real windows, measured by replacing them with neutral sequence."""

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
    """Intervals in windows, S in total.

    Args:
        window: Row of the window in the codes, (S,).
        start: First base, 0-based, (S,).
        end: End of the interval, (S,).
    """

    window: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]


@dataclass(frozen=True)
class Ablation:
    """Contributions of S sites to K tasks.

    Args:
        sites: The sites.
        values: Logit of the real window minus the logit with the site replaced, for each draw, (S, draws, K).
    """

    sites: Sites
    values: NDArray[np.float64]

    @property
    def by_site(self) -> NDArray[np.float64]:
        """The mean over the draws, (S, K)."""
        return np.asarray(self.values.mean(axis=1))

    def summary(self, level: float = 0.95) -> Summary:
        """The mean over sites with its interval, (K,); windows are the independent units."""
        return Effects(self.by_site, self.sites.window).summary(level)

    def site_summary(self, level: float = 0.95) -> Summary:
        """Each site's mean over its draws with its interval, (S, K); draws are the units, as it is about one window."""
        draws = self.values.shape[1]
        return Effects(self.values.swapaxes(0, 1), np.arange(draws)).summary(level)


def motif_sites(codes: Codes, motif: Motif, threshold: float | None = None) -> Sites:
    """Finds the hits of a motif in windows (n, L) on both strands, each position once.

    Args:
        codes: The windows.
        motif: The motif.
        threshold: Lowest score of a hit, bits; the default is that of `noncoder.interpret.motifs.find_hits`.
    """
    hits = scan(codes, motif, score_threshold(motif) if threshold is None else threshold)
    # A palindrome has hits on both strands at one position.
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
    """Replaces each site by itself and measures the difference of the logits, positive if the site raises them.

    Args:
        model: The model; logits are of the forward strand.
        codes: Real windows, uint8 (n, L).
        sites: The sites.
        tasks: K columns.
        draws: Replacements per site; "n" needs only one.
        replacement: "window": the bases at this position in a dinucleotide shuffle of the whole window; "site": a
            dinucleotide shuffle of the site itself, which keeps its first and last base and much of a short site; "n":
            N.
        seed: Random seed of the shuffles.

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
            f"{draws} draws; window, start and end of a site outside its window: {wrong}",
            expected=f"1 draw or more, and sites in {n} windows, within 0 to {length}",
        )
    rng = np.random.default_rng(seed)
    rounds = [_replaced(codes, sites, replacement, rng) for _ in range(1 if replacement == "n" else draws)]
    values = np.stack([logits_of(model, made, tasks) for made in rounds], axis=1).astype(np.float64)
    used, row = np.unique(sites.window, return_inverse=True)
    return Ablation(sites, logits_of(model, codes[used], tasks)[row][:, None] - values)


def _replaced(codes: Codes, sites: Sites, replacement: Replacement, rng: np.random.Generator) -> Codes:
    """Returns the window of each site with that site replaced, (S, L)."""
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

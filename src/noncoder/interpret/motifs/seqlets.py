"""Seqlets: stretches of a window whose attribution stands out, found and clustered by modisco-lite.

Windows of the summed attribution that stand out against a Laplacian null become seqlets; seqlets of one sign that look
alike become a pattern (TF-MoDISco, Shrikumar et al. 2018, arXiv:1811.00416). The steps are those of modisco-lite's own
`TFMoDISco`; they are called one by one so that the strongest seqlets are clustered, where it takes those of the first
windows, and so that one sign's failure is not the other's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from noncoder.threads import limit_numba

Sign = Literal["positive", "negative"]
SIGNS: tuple[Sign, Sign] = ("positive", "negative")

_LEIDEN_RUNS = 4  # of which the best is taken; 50 are modisco-lite's default, and take longer than all else
# A seqlet stays where its two similarities with the others correlate at least so much. Of few seqlets that are nearly
# all alike the noise decides that, and none may stay: then all do.
_CORRELATIONS = (0.15, -1.0)
_KERNELS = ("affinitymat", "aggregator", "gapped_kmer", "util")


@dataclass(frozen=True)
class PatternConfig:
    """How patterns are found.

    Args:
        signs: Which contributions are looked at.
        max_seqlets: Most seqlets of a sign; the strongest stay.
        min_seqlets: Fewest seqlets of a sign to cluster, and of a pattern.
        width: Bases over which attributions are summed to find seqlets.
        flank: Bases added to either side of a seqlet.
        fdr: Share of seqlets that may come from the null.
        trim: Share of the highest contribution that the first and last position of a core have.
        region: First base and end of the part of the windows that is searched; None for all of them. The flanks hold
            sites that decide nothing about the labelled middle.
    """

    signs: tuple[Sign, ...] = SIGNS
    max_seqlets: int = 1000
    min_seqlets: int = 20
    width: int = 21
    flank: int = 10
    fdr: float = 0.2
    trim: float = 0.3
    region: tuple[int, int] | None = None


@dataclass(frozen=True)
class Seqlets:
    """What stood out, before it was clustered.

    Args:
        count: Seqlets of each sign.
        threshold: Least absolute sum over a seqlet's middle, of each sign; None where there is none.
        scale: Mean absolute attribution of a base that is there.
        concentration: Share of a window's absolute attribution that its strongest 5% of bases hold, the median over
            windows; None where there is no attribution.
        used: Seqlets of each sign that were clustered.
        trouble: What went wrong, empty if nothing did.
    """

    count: dict[Sign, int]
    threshold: dict[Sign, float | None]
    scale: float
    concentration: float | None
    used: dict[Sign, int]
    trouble: tuple[str, ...] = ()


class SeqletTracks(NamedTuple):
    """What modisco-lite reads, (n, L, 4) each: the bases, what they contribute, and what each would."""

    one_hot: NDArray[np.float32]
    contributions: NDArray[np.float32]
    hypothetical: NDArray[np.float32]


Found = dict[Sign, list[tuple[float, Any]]]
"""Seqlets of each sign with the sums over their middles, the strongest first."""


def extract(track: NDArray[np.float32], scale: float, settings: PatternConfig) -> tuple[Found, list[str]]:
    """Seqlets of each sign with their sums, the strongest first, and what went wrong.

    Args:
        track: Contributions, (n, L).
        scale: Their mean absolute value.
        settings: How to look.
    """
    found: Found = {"positive": [], "negative": []}
    first, end = settings.region or (0, track.shape[1])
    width, flank = settings.width, settings.flank
    if track.shape[0] == 0 or end - first < width + 2 * flank:
        return found, [f"{track.shape[0]} windows of {end - first} bp: too little for a seqlet"]
    if scale == 0:
        return found, ["every attribution is 0"]
    from modiscolite.extract_seqlets import extract_seqlets

    track = track[:, first:end]
    try:
        with np.errstate(all="ignore"):
            seqlets, threshold = extract_seqlets(
                attribution_scores=track,
                window_size=width,
                flank=flank,
                suppress=width // 2 + flank,
                target_fdr=settings.fdr,
                min_passing_windows_frac=0.03,
                max_passing_windows_frac=0.2,
                weak_threshold_for_counting_sign=0.8,
            )
    except (ValueError, IndexError) as error:
        # The null cannot be fitted where nearly all sums are equal.
        return found, [f"no threshold for seqlets could be found ({error})"]
    for seqlet in seqlets:
        total = float(track[seqlet.example_idx, seqlet.start + flank : seqlet.end - flank].sum())
        if abs(total) > threshold:
            found["positive" if total > 0 else "negative"].append((total, seqlet.shift(first)))
    for some in found.values():
        some.sort(key=lambda pair: (-abs(pair[0]), pair[1].example_idx, pair[1].start))
    return found, []


def cluster(
    seqlets: Sequence[tuple[float, Any]], sign: Sign, tracks: SeqletTracks, settings: PatternConfig
) -> tuple[list[Any], list[str]]:
    """Patterns as modisco-lite makes them, and what went wrong.

    Args:
        seqlets: Those of one sign, with their sums.
        sign: Theirs.
        tracks: What they lie on.
        settings: How to look.
    """
    if len(seqlets) < settings.min_seqlets:
        return [], []
    _keep_compiled()
    limit_numba()
    trouble = ""
    for correlation in _CORRELATIONS:
        try:
            made = _patterns([seqlet for _, seqlet in seqlets], sign, tracks, settings, correlation)
        except (ValueError, IndexError) as error:
            trouble = str(error)  # so few of them resemble each other that nothing is left to cluster
            continue
        if made:
            return made, []
    return [], [f"{len(seqlets)} {sign} seqlets do not resemble each other ({trouble})"] if trouble else []


def _patterns(
    seqlets: Sequence[Any], sign: Sign, tracks: SeqletTracks, settings: PatternConfig, correlation: float
) -> list[Any]:
    from modiscolite.core import TrackSet
    from modiscolite.tfmodisco import seqlets_to_patterns

    track_set = TrackSet(
        one_hot=tracks.one_hot, contrib_scores=tracks.contributions, hypothetical_contribs=tracks.hypothetical
    )
    with np.errstate(all="ignore"):
        made = seqlets_to_patterns(
            seqlets=track_set.create_seqlets(list(seqlets)),
            track_set=track_set,
            track_signs=1 if sign == "positive" else -1,
            affmat_correlation_threshold=correlation,
            n_leiden_runs=_LEIDEN_RUNS,
            trim_to_window_size=30,
            initial_flank_to_add=10,
            final_min_cluster_size=settings.min_seqlets,
        )
    return list(made or [])


@cache
def _keep_compiled() -> None:
    """Lets numba keep modisco-lite's kernels on disk: compiling them takes longer than clustering does.

    modisco-lite does so itself, but not in a process with threads, which PyTorch's are.
    """
    from numba.core.dispatcher import Dispatcher

    for name in _KERNELS:
        for kernel in vars(import_module(f"modiscolite.{name}")).values():
            if isinstance(kernel, Dispatcher) and not kernel.overloads:
                try:
                    kernel.enable_caching()
                except RuntimeError:
                    return  # there is no place to write to: they are compiled each time


def concentration(contributions: NDArray[np.float32]) -> float | None:
    """Share of a window's absolute contributions that its strongest 5% of bases hold, the median over windows.

    Args:
        contributions: (n, L, 4).
    """
    strength = np.sort(np.abs(contributions.sum(axis=2)), axis=1)
    strength = strength[strength.sum(axis=1) > 0]
    if not len(strength):
        return None
    top = max(1, round(0.05 * strength.shape[1]))
    return float(np.median(strength[:, -top:].sum(axis=1) / strength.sum(axis=1)))

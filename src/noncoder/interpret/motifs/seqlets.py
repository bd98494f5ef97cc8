"""Seqlets: short regions of a window with significant attribution, found and clustered by modisco-lite.

Regions whose summed attribution is significant against a Laplacian null become seqlets; similar seqlets of one sign
form a pattern (TF-MoDISco, Shrikumar et al. 2018, arXiv:1811.00416). The steps are those of modisco-lite's own
`TFMoDISco`. They are called one by one so that the strongest seqlets are clustered, where `TFMoDISco` takes those of
the first windows, and so that a failure of one sign does not affect the other.
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

_LEIDEN_RUNS = 4  # the best run is used; modisco-lite's default of 50 takes longer than all other steps together
# modisco-lite keeps a seqlet if its two similarities with the others correlate at least this much. With few, nearly
# identical seqlets, noise dominates the correlation and can remove all of them; the second attempt keeps all.
_CORRELATIONS = (0.15, -1.0)
_KERNELS = ("affinitymat", "aggregator", "gapped_kmer", "util")


@dataclass(frozen=True)
class PatternConfig:
    """Settings of the search for patterns.

    Args:
        signs: Signs of the contributions to search.
        max_seqlets: Largest number of seqlets to cluster per sign; the strongest are kept.
        min_seqlets: Smallest number of seqlets per sign for clustering, and per pattern.
        width: Bases over which attributions are summed to find seqlets.
        flank: Bases added on either side of a seqlet.
        fdr: Target false discovery rate of seqlets against the null.
        trim: Fraction of the highest contribution that bounds the candidates of a core.
        region: First base and end of the searched part of the windows; None for all bases. Sites in the flanks do not
            determine the labels of the middle.
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
    """Statistics of seqlets.

    Args:
        count: Number of seqlets per sign.
        threshold: Smallest absolute sum over a seqlet's middle, per sign; None without seqlets.
        scale: Mean absolute attribution of the present bases.
        concentration: Median over windows of the fraction of absolute attribution in the strongest 5% of bases; None
            if all attributions are zero.
        used: Number of clustered seqlets per sign.
        problems: Sentences on failed steps, without a capital letter and full stop.
    """

    count: dict[Sign, int]
    threshold: dict[Sign, float | None]
    scale: float
    concentration: float | None
    used: dict[Sign, int]
    problems: tuple[str, ...] = ()


class SeqletTracks(NamedTuple):
    """Input of modisco-lite, (n, L, 4) each: one-hot bases, their contributions, and hypothetical contributions."""

    one_hot: NDArray[np.float32]
    contributions: NDArray[np.float32]
    hypothetical: NDArray[np.float32]


Found = dict[Sign, list[tuple[float, Any]]]
"""Seqlets of each sign with the sums of attributions over their middles, the strongest first."""


def extract(track: NDArray[np.float32], scale: float, settings: PatternConfig) -> tuple[Found, list[str]]:
    """Finds seqlets of each sign; returns them with their sums, the strongest first, and problems.

    Args:
        track: Contributions, (n, L).
        scale: Mean absolute contribution.
        settings: Settings of the search.
    """
    found: Found = {"positive": [], "negative": []}
    first, end = settings.region or (0, track.shape[1])
    width, flank = settings.width, settings.flank
    if track.shape[0] == 0 or end - first < width + 2 * flank:
        return found, [f"{track.shape[0]} windows of {end - first} bp are too small for a seqlet"]
    if scale == 0:
        return found, ["all attributions are 0"]
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
        # The null cannot be fitted if nearly all sums are equal.
        return found, [f"modisco-lite found no threshold for seqlets ({error})"]
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
    """Clusters seqlets; returns the patterns of modisco-lite and problems.

    Args:
        seqlets: Seqlets of one sign, with their sums.
        sign: Their sign.
        tracks: Tracks that contain the seqlets.
        settings: Settings of the search.
    """
    if len(seqlets) < settings.min_seqlets:
        return [], []
    _keep_compiled()
    limit_numba()
    reason = ""
    for correlation in _CORRELATIONS:
        try:
            made = _patterns([seqlet for _, seqlet in seqlets], sign, tracks, settings, correlation)
        except (ValueError, IndexError) as error:
            reason = str(error)  # too few seqlets resemble each other, and none is left to cluster
            continue
        if made:
            return made, []
    return [], [f"{len(seqlets)} {sign} seqlets do not resemble each other ({reason})"] if reason else []


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
    """Enables numba's disk cache for modisco-lite's kernels, because compiling takes longer than clustering.

    modisco-lite enables it itself, but not in a process with threads, and PyTorch starts threads.
    """
    from numba.core.dispatcher import Dispatcher

    for name in _KERNELS:
        for kernel in vars(import_module(f"modiscolite.{name}")).values():
            if isinstance(kernel, Dispatcher) and not kernel.overloads:
                try:
                    kernel.enable_caching()
                except RuntimeError:
                    return  # no writable cache directory: kernels are compiled in each process


def concentration(contributions: NDArray[np.float32]) -> float | None:
    """Returns the median over windows of the fraction of absolute contributions in the strongest 5% of bases.

    Args:
        contributions: Contributions, (n, L, 4).
    """
    strength = np.sort(np.abs(contributions.sum(axis=2)), axis=1)
    strength = strength[strength.sum(axis=1) > 0]
    if not len(strength):
        return None
    top = max(1, round(0.05 * strength.shape[1]))
    return float(np.median(strength[:, -top:].sum(axis=1) / strength.sum(axis=1)))

"""Recurring patterns of high attribution: TF-MoDISco (Shrikumar et al. 2018, arXiv:1811.00416) by modisco-lite.

Similar seqlets of one sign form a pattern (see `seqlets`). Their number is limited, because the time grows with it.
This module adds the core of a pattern, where both its contributions and its base frequencies are informative:
candidates are the positions from the first to the last one with at least `trim` of the highest contribution, and four
more on either side; the core is the run of candidates with the highest sum of (information - 0.3 bits). Without this
step, flanks of 20 nearly uniform columns would resemble many long database motifs by chance.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from noncoder.bars import progress_bar
from noncoder.errors import InputError
from noncoder.interpret.motifs.seqlets import (
    SIGNS,
    PatternConfig,
    Seqlets,
    SeqletTracks,
    Sign,
    cluster,
    concentration,
    extract,
)
from noncoder.sequence.motifs import Motif

LEAST_INFORMATION = 0.3
"""Bits per position that the mean information of a core exceeds; single positions can have less."""
_PRIOR = 1.0  # pseudocount of uniform base frequencies, in sites
_BESIDE = 4  # candidate positions of a core on either side of the high contributions
_MIN_CORE = 4  # bp


class MotifSite(NamedTuple):
    """Core of a seqlet: row of the codes, first base and end (0-based, half-open), strand, summed attribution."""

    row: int
    start: int
    end: int
    strand: Literal["+", "-"]
    score: float


@dataclass(frozen=True, eq=False)
class Pattern:
    """Group of similar seqlets.

    Args:
        name: "pos_0", "pos_1", …, "neg_0", in descending number of seqlets.
        sign: Whether the seqlets raise ("positive") or lower ("negative") the logit.
        ppm: Frequency of each base at each position, (4, W).
        cwm: Mean contribution of each base at each position, (4, W).
        core: First position and end of the informative part.
        sites: Core of each seqlet, ordered by row.
    """

    name: str
    sign: Sign
    ppm: NDArray[np.float64]
    cwm: NDArray[np.float64]
    core: tuple[int, int]
    sites: tuple[MotifSite, ...]

    @property
    def seqlets(self) -> int:
        """Number of seqlets."""
        return len(self.sites)

    @property
    def motif(self) -> Motif:
        """Base frequencies of the core, with a pseudocount of one uniform site."""
        counts = self.ppm[:, slice(*self.core)] * self.seqlets + _PRIOR / 4
        return Motif(self.name, counts / counts.sum(axis=0))

    @property
    def core_cwm(self) -> NDArray[np.float64]:
        """Mean contributions of the core, (4, w)."""
        return self.cwm[:, slice(*self.core)]


@dataclass(frozen=True)
class Patterns:
    """Patterns of a task.

    Args:
        patterns: Patterns with a core, positive ones first, in descending number of seqlets.
        seqlets: Statistics of the seqlets.
        coreless: Names of patterns without a core: no run of positions is informative.
        windows: Number of windows.
        settings: Settings of the search.
    """

    patterns: tuple[Pattern, ...]
    seqlets: Seqlets
    coreless: tuple[str, ...] = ()
    windows: int = 0
    settings: PatternConfig = field(default_factory=PatternConfig)


def middle_region(window: int, bin: int, flank: int = 100) -> tuple[int, int]:
    """Returns first base and end of the labelled bin extended on either side, within the window.

    Args:
        window: Width of the window, bp.
        bin: Width of its labelled centre, bp.
        flank: Bases on either side of the bin.
    """
    first = max(0, (window - bin) // 2 - flank)
    return first, window - first


def find_patterns(
    values: NDArray[np.float32], codes: NDArray[np.uint8], settings: PatternConfig | None = None
) -> Patterns:
    """Finds recurring patterns in attributions; without enough windows or strong attributions there are none.

    Args:
        values: Hypothetical contributions of each base, (n, 4, L).
        codes: Sequences, uint8 (n, L).
        settings: Settings of the search.

    Raises:
        InputError: The shapes do not match, the region is outside the sequences, or an attribution is not finite.
    """
    settings = settings or PatternConfig()
    if codes.ndim != 2 or values.shape != (codes.shape[0], 4, codes.shape[1]):
        raise InputError(f"attributions of shape {values.shape} for codes {codes.shape}", expected="(n, 4, L), (n, L)")
    if not np.isfinite(values).all():
        raise InputError(
            "the attributions contain NaN or infinity", expected="finite numbers", hint="check the model's weights"
        )
    first, end = settings.region or (0, codes.shape[1])
    if not 0 <= first < end <= codes.shape[1]:
        raise InputError(f"the region is {first} to {end}", expected=f"a range within 0 to {codes.shape[1]}")
    one_hot = (codes[:, :, None] == np.arange(4, dtype=np.uint8)).astype(np.float32)
    hypothetical = np.ascontiguousarray(values.transpose(0, 2, 1), dtype=np.float32)
    tracks = SeqletTracks(one_hot, one_hot * hypothetical, hypothetical)
    known = int((codes < 4).sum())
    scale = float(np.abs(tracks.contributions).sum() / known) if known else 0.0
    found, problems = extract(tracks.contributions.sum(axis=2), scale, settings)
    patterns: dict[str, Pattern | None] = {}
    for sign in progress_bar(settings.signs, "clustering seqlets", unit="sign"):
        made, failures = cluster(found[sign][: settings.max_seqlets], sign, tracks, settings)
        problems += failures
        for i, one in enumerate(sorted(made, key=lambda one: -len(one.seqlets))):
            name = f"{sign[:3]}_{i}"
            patterns[name] = _pattern(one, name, sign, tracks.contributions, settings)
    counts = {sign: len(found[sign]) for sign in SIGNS}
    seqlets = Seqlets(
        count=counts,
        threshold={sign: min((abs(total) for total, _ in found[sign]), default=None) for sign in SIGNS},
        scale=scale,
        concentration=concentration(tracks.contributions),
        used={sign: min(counts[sign], settings.max_seqlets) if sign in settings.signs else 0 for sign in SIGNS},
        problems=tuple(problems),
    )
    cored = tuple(pattern for pattern in patterns.values() if pattern is not None)
    coreless = tuple(name for name, pattern in patterns.items() if pattern is None)
    return Patterns(cored, seqlets, coreless, len(codes), settings)


def _pattern(made: Any, name: str, sign: Sign, contributions: Any, settings: PatternConfig) -> Pattern | None:
    """Converts a pattern of modisco-lite; None if it has no core."""
    ppm, cwm = np.asarray(made.sequence.T, dtype=np.float64), np.asarray(made.contrib_scores.T, dtype=np.float64)
    core = find_core(ppm, cwm, settings.trim)
    if core is None:
        return None
    sites = []
    for seqlet in made.seqlets:
        before, after = core if not seqlet.is_revcomp else (ppm.shape[1] - core[1], ppm.shape[1] - core[0])
        row, start, end = int(seqlet.example_idx), int(seqlet.start + before), int(seqlet.start + after)
        score = float(contributions[row, start:end].sum())
        sites.append(MotifSite(row, start, end, "-" if seqlet.is_revcomp else "+", score))
    # An N counts as no base: its frequency is split equally among the four bases.
    ppm = ppm + (1 - ppm.sum(axis=0)) / 4
    return Pattern(name, sign, ppm, cwm, core, tuple(sorted(sites)))


def find_core(ppm: NDArray[np.float64], cwm: NDArray[np.float64], trim: float = 0.3) -> tuple[int, int] | None:
    """Returns first position and end of a pattern's informative part, at least 4 bp; None if there is none.

    Args:
        ppm: Frequency of each base at each position, (4, W).
        cwm: Mean contributions, (4, W).
        trim: Fraction of the highest absolute contribution that bounds the candidates.
    """
    strength = np.abs(cwm).sum(axis=0)
    if not strength.max(initial=0) > 0:
        return None
    places = np.flatnonzero(strength >= trim * strength.max())
    first, end = max(0, int(places[0]) - _BESIDE), min(ppm.shape[1], int(places[-1]) + 1 + _BESIDE)
    shares = ppm[:, first:end] + (1 - ppm[:, first:end].sum(axis=0)) / 4
    logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
    gain = np.concatenate([[0.0], np.cumsum(2 + (shares * logs).sum(axis=0) - LEAST_INFORMATION)])
    sums = np.triu(gain[None, :] - gain[:, None])  # of every run
    start, stop = np.unravel_index(int(sums.argmax()), sums.shape)
    return (first + int(start), first + int(stop)) if stop - start >= _MIN_CORE else None

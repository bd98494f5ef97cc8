"""Recurring patterns of high attribution: TF-MoDISco (Shrikumar et al. 2018, arXiv:1811.00416) as modisco-lite has it.

Windows of the summed attribution that stand out against a Laplacian null become seqlets; seqlets of one sign that look
alike become a pattern. Two things are ours. The number of seqlets is bounded, the strongest staying, since the time
grows with it. And the core of a pattern is where both its contributions and its base frequencies say something: from
the first to the last position with at least `trim` of the highest contribution, and of those the run with the greatest
sum of (information - 0.3 bits). Flanks of 20 nearly even columns resemble many long database motifs by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from noncoder.errors import InputError
from noncoder.sequence.motifs import Motif

Sign = Literal["positive", "negative"]
SIGNS: tuple[Sign, Sign] = ("positive", "negative")

LEAST_INFORMATION = 0.3
"""Bits a position of a core has to have on average, and more."""
_PRIOR = 1.0  # sites' worth of even base frequencies mixed into a pattern's frequencies
_MIN_CORE = 4  # bp


@dataclass(frozen=True)
class PatternSettings:
    """How patterns are found.

    Args:
        signs: Which contributions are looked at.
        max_seqlets: Most seqlets of a sign; the strongest stay.
        min_seqlets: Fewest seqlets of a sign to cluster, and of a pattern.
        width: Bases over which attributions are summed to find seqlets.
        flank: Bases added to either side of a seqlet.
        fdr: Share of seqlets that may come from the null.
        trim: Share of the highest contribution that the first and last position of a core have.
    """

    signs: tuple[Sign, ...] = SIGNS
    max_seqlets: int = 1000
    min_seqlets: int = 20
    width: int = 21
    flank: int = 10
    fdr: float = 0.2
    trim: float = 0.3


class Site(NamedTuple):
    """Where a seqlet's core lies: row of the codes, first base and end (0-based, half-open), strand, attribution."""

    row: int
    start: int
    end: int
    strand: Literal["+", "-"]
    score: float


@dataclass(frozen=True, eq=False)
class Pattern:
    """Seqlets that look alike.

    Args:
        name: "pos_0", "pos_1", …, "neg_0", by falling number of seqlets.
        sign: Whether they raise or lower the logit.
        ppm: Share of each base at each position, (4, W).
        cwm: Mean contribution of each base at each position, (4, W).
        core: First position and end of the informative part.
        sites: The core in each seqlet, those in the first rows first.
    """

    name: str
    sign: Sign
    ppm: NDArray[np.float64]
    cwm: NDArray[np.float64]
    core: tuple[int, int]
    sites: tuple[Site, ...]

    @property
    def seqlets(self) -> int:
        """How many there are."""
        return len(self.sites)

    @property
    def motif(self) -> Motif:
        """The core's base frequencies, with one site's worth of even ones."""
        counts = self.ppm[:, slice(*self.core)] * self.seqlets + _PRIOR / 4
        return Motif(self.name, counts / counts.sum(axis=0))

    @property
    def core_cwm(self) -> NDArray[np.float64]:
        """The core's mean contributions, (4, w)."""
        return self.cwm[:, slice(*self.core)]

    def to_dict(self) -> dict[str, Any]:
        """The core and its sites as JSON values; matrices have a row for each position."""
        return {
            "name": self.name,
            "sign": self.sign,
            "seqlets": self.seqlets,
            "ppm": self.motif.ppm.T.round(5).tolist(),
            "cwm": self.core_cwm.T.round(6).tolist(),
            "sites": [site._asdict() for site in self.sites],
        }


@dataclass(frozen=True)
class Seqlets:
    """What stood out, before it was clustered.

    Args:
        count: Seqlets of each sign.
        threshold: Least absolute sum over a seqlet's middle, of each sign; None where there is none.
        scale: Mean absolute attribution of a base that is there.
        used: Seqlets of each sign that were clustered.
        trouble: What went wrong, empty if nothing did.
    """

    count: dict[Sign, int]
    threshold: dict[Sign, float | None]
    scale: float
    used: dict[Sign, int]
    trouble: tuple[str, ...] = ()


@dataclass(frozen=True)
class Patterns:
    """The patterns of a task.

    Args:
        patterns: Those with a core, positive ones first, by falling number of seqlets.
        seqlets: What they were made of.
        coreless: Names of those without a core: no run of positions is informative.
        windows: How many windows there were.
        settings: How they were found.
    """

    patterns: tuple[Pattern, ...]
    seqlets: Seqlets
    coreless: tuple[str, ...] = ()
    windows: int = 0
    settings: PatternSettings = field(default_factory=PatternSettings)


def find_patterns(
    values: NDArray[np.float32], codes: NDArray[np.uint8], settings: PatternSettings | None = None
) -> Patterns:
    """Finds recurring patterns in attributions; too few windows, or nothing that stands out, give none.

    Args:
        values: Hypothetical contributions, (n, 4, L): what each base would contribute.
        codes: The sequences, uint8 (n, L).
        settings: How to look.

    Raises:
        InputError: The shapes do not fit each other, or an attribution is no finite number.
    """
    settings = settings or PatternSettings()
    if codes.ndim != 2 or values.shape != (codes.shape[0], 4, codes.shape[1]):
        raise InputError(f"attributions of shape {values.shape} for codes {codes.shape}", expected="(n, 4, L), (n, L)")
    if not np.isfinite(values).all():
        raise InputError("an attribution that is no finite number", expected="numbers", mend="look at the model")
    one_hot = (codes[:, :, None] == np.arange(4, dtype=np.uint8)).astype(np.float32)
    hypothetical = np.ascontiguousarray(values.transpose(0, 2, 1), dtype=np.float32)
    contributions = one_hot * hypothetical
    known = int((codes < 4).sum())
    scale = float(np.abs(contributions).sum() / known) if known else 0.0
    found, trouble = _extract(contributions.sum(axis=2), scale, settings)
    patterns: list[Pattern] = []
    coreless: list[str] = []
    for sign in settings.signs:
        made, why = _cluster(
            found[sign][: settings.max_seqlets], sign, (one_hot, contributions, hypothetical), settings
        )
        trouble += why
        for i, pattern in enumerate(sorted(made, key=lambda one: -len(one.seqlets))):
            named = _pattern(pattern, f"{sign[:3]}_{i}", sign, contributions, settings)
            if named is None:
                coreless.append(f"{sign[:3]}_{i}")
            else:
                patterns.append(named)
    least = {sign: min((abs(score) for score, _ in found[sign]), default=None) for sign in SIGNS}
    counts = {sign: len(found[sign]) for sign in SIGNS}
    used = {sign: min(counts[sign], settings.max_seqlets) if sign in settings.signs else 0 for sign in SIGNS}
    seqlets = Seqlets(counts, least, scale, used, tuple(trouble))
    return Patterns(tuple(patterns), seqlets, tuple(coreless), len(codes), settings)


_Found = dict[Sign, list[tuple[float, Any]]]


def _extract(track: NDArray[np.float32], scale: float, settings: PatternSettings) -> tuple[_Found, list[str]]:
    """Seqlets of each sign with their sums, the strongest first, and what went wrong."""
    found: _Found = {"positive": [], "negative": []}
    if track.shape[0] == 0 or track.shape[1] < settings.width + 2 * settings.flank:
        return found, [f"{track.shape[0]} windows of {track.shape[1]} bp: too little for a seqlet"]
    if scale == 0:
        return found, ["every attribution is 0"]
    from modiscolite.extract_seqlets import extract_seqlets

    width, flank = settings.width, settings.flank
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
            found["positive" if total > 0 else "negative"].append((total, seqlet))
    for list_ in found.values():
        list_.sort(key=lambda pair: (-abs(pair[0]), pair[1].example_idx, pair[1].start))
    return found, []


def _cluster(
    seqlets: Sequence[tuple[float, Any]], sign: Sign, tracks: tuple[Any, Any, Any], settings: PatternSettings
) -> tuple[list[Any], list[str]]:
    """Patterns as modisco-lite makes them, and what went wrong."""
    if len(seqlets) < settings.min_seqlets:
        return [], []
    from modiscolite.core import TrackSet
    from modiscolite.tfmodisco import seqlets_to_patterns

    one_hot, contributions, hypothetical = tracks
    track_set = TrackSet(one_hot=one_hot, contrib_scores=contributions, hypothetical_contribs=hypothetical)
    try:
        with np.errstate(all="ignore"):
            made = seqlets_to_patterns(
                seqlets=track_set.create_seqlets([seqlet for _, seqlet in seqlets]),
                track_set=track_set,
                track_signs=1 if sign == "positive" else -1,
                n_leiden_runs=_LEIDEN_RUNS,
                trim_to_window_size=30,
                initial_flank_to_add=10,
                final_min_cluster_size=settings.min_seqlets,
            )
    except (ValueError, IndexError) as error:
        # So few of them resemble each other that nothing is left to cluster.
        return [], [f"{len(seqlets)} {sign} seqlets do not resemble each other ({error})"]
    return list(made or []), []


_LEIDEN_RUNS = 4  # of which the best is taken; 50 are modisco-lite's default, and take longer than all else


def _pattern(made: Any, name: str, sign: Sign, contributions: Any, settings: PatternSettings) -> Pattern | None:
    """A pattern of ours; None where it has no core."""
    ppm, cwm = np.asarray(made.sequence.T, dtype=np.float64), np.asarray(made.contrib_scores.T, dtype=np.float64)
    core = find_core(ppm, cwm, settings.trim)
    if core is None:
        return None
    sites = []
    for seqlet in made.seqlets:
        before, after = core if not seqlet.is_revcomp else (ppm.shape[1] - core[1], ppm.shape[1] - core[0])
        row, start, end = int(seqlet.example_idx), int(seqlet.start + before), int(seqlet.start + after)
        score = float(contributions[row, start:end].sum())
        sites.append(Site(row, start, end, "-" if seqlet.is_revcomp else "+", score))
    # An N counts for no base: what is missing is shared evenly.
    ppm = ppm + (1 - ppm.sum(axis=0)) / 4
    return Pattern(name, sign, ppm, cwm, core, tuple(sorted(sites)))


def find_core(ppm: NDArray[np.float64], cwm: NDArray[np.float64], trim: float = 0.3) -> tuple[int, int] | None:
    """First position and end of a pattern's informative part, of at least 4 bp; None where there is none.

    Args:
        ppm: Share of each base at each position, (4, W).
        cwm: Mean contributions, (4, W).
        trim: Share of the highest contribution that the first and last position have.
    """
    strength = np.abs(cwm).sum(axis=0)
    if not strength.max(initial=0) > 0:
        return None
    places = np.flatnonzero(strength >= trim * strength.max())
    first, end = int(places[0]), int(places[-1]) + 1
    shares = ppm[:, first:end] + (1 - ppm[:, first:end].sum(axis=0)) / 4
    logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
    gain = np.concatenate([[0.0], np.cumsum(2 + (shares * logs).sum(axis=0) - LEAST_INFORMATION)])
    sums = np.triu(gain[None, :] - gain[:, None])  # of every run
    start, stop = np.unravel_index(int(sums.argmax()), sums.shape)
    return (first + int(start), first + int(stop)) if stop - start >= _MIN_CORE else None

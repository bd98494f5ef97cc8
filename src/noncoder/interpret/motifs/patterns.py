"""Recurring patterns of high attribution: TF-MoDISco (Shrikumar et al. 2018, arXiv:1811.00416) as modisco-lite has it.

Seqlets of one sign that look alike become a pattern (see `seqlets`); their number is bounded, since the time grows with
it. What is ours is the core: it is where both the contributions and the base frequencies of a pattern say something,
from the first to the last position with at least `trim` of the highest contribution and four beyond on either side, and
of those the run with the greatest sum of (information - 0.3 bits). Flanks of 20 nearly even columns resemble many long
database motifs by chance.
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
"""Bits a position of a core has to have on average, and more."""
_PRIOR = 1.0  # sites' worth of even base frequencies mixed into a pattern's frequencies
_BESIDE = 4  # positions beyond the high contributions that may belong to a core
_MIN_CORE = 4  # bp


class MotifSite(NamedTuple):
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
    sites: tuple[MotifSite, ...]

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
    settings: PatternConfig = field(default_factory=PatternConfig)


def middle_region(window: int, bin: int, beside: int = 100) -> tuple[int, int]:
    """First base and end of the labelled bin with some bases on either side, as far as the window goes.

    Args:
        window: Its width, bp.
        bin: Width of its labelled centre, bp.
        beside: Bases on either side.
    """
    first = max(0, (window - bin) // 2 - beside)
    return first, window - first


def find_patterns(
    values: NDArray[np.float32], codes: NDArray[np.uint8], settings: PatternConfig | None = None
) -> Patterns:
    """Finds recurring patterns in attributions; too few windows, or nothing that stands out, give none.

    Args:
        values: Hypothetical contributions, (n, 4, L): what each base would contribute.
        codes: The sequences, uint8 (n, L).
        settings: How to look.

    Raises:
        InputError: The shapes do not fit each other, the region is none of theirs, or an attribution is no finite
            number.
    """
    settings = settings or PatternConfig()
    if codes.ndim != 2 or values.shape != (codes.shape[0], 4, codes.shape[1]):
        raise InputError(f"attributions of shape {values.shape} for codes {codes.shape}", expected="(n, 4, L), (n, L)")
    if not np.isfinite(values).all():
        raise InputError("an attribution that is no finite number", expected="numbers", hint="look at the model")
    first, end = settings.region or (0, codes.shape[1])
    if not 0 <= first < end <= codes.shape[1]:
        raise InputError(f"the region {first} to {end}", expected=f"bases within 0 to {codes.shape[1]}")
    one_hot = (codes[:, :, None] == np.arange(4, dtype=np.uint8)).astype(np.float32)
    hypothetical = np.ascontiguousarray(values.transpose(0, 2, 1), dtype=np.float32)
    tracks = SeqletTracks(one_hot, one_hot * hypothetical, hypothetical)
    known = int((codes < 4).sum())
    scale = float(np.abs(tracks.contributions).sum() / known) if known else 0.0
    found, trouble = extract(tracks.contributions.sum(axis=2), scale, settings)
    patterns: dict[str, Pattern | None] = {}
    for sign in progress_bar(settings.signs, "clustering seqlets", unit="sign"):
        made, why = cluster(found[sign][: settings.max_seqlets], sign, tracks, settings)
        trouble += why
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
        trouble=tuple(trouble),
    )
    cored = tuple(pattern for pattern in patterns.values() if pattern is not None)
    coreless = tuple(name for name, pattern in patterns.items() if pattern is None)
    return Patterns(cored, seqlets, coreless, len(codes), settings)


def _pattern(made: Any, name: str, sign: Sign, contributions: Any, settings: PatternConfig) -> Pattern | None:
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
        sites.append(MotifSite(row, start, end, "-" if seqlet.is_revcomp else "+", score))
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
    first, end = max(0, int(places[0]) - _BESIDE), min(ppm.shape[1], int(places[-1]) + 1 + _BESIDE)
    shares = ppm[:, first:end] + (1 - ppm[:, first:end].sum(axis=0)) / 4
    logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
    gain = np.concatenate([[0.0], np.cumsum(2 + (shares * logs).sum(axis=0) - LEAST_INFORMATION)])
    sums = np.triu(gain[None, :] - gain[:, None])  # of every run
    start, stop = np.unravel_index(int(sums.argmax()), sums.shape)
    return (first + int(start), first + int(stop)) if stop - start >= _MIN_CORE else None

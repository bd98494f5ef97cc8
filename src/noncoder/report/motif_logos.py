"""Logos of patterns, each aligned with the known motif that it matches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from noncoder import plots
from noncoder.errors import UnknownNameError
from noncoder.report.interpret_files import Interpretation
from noncoder.runs.results import FilterResult, MotifMatch, PatternResult
from noncoder.sequence.motifs import load_jaspar

# Positions at the ends of a pattern with contributions below this fraction of the largest are flanks (modisco's rule).
_FLANK = 0.3

Floats = NDArray[np.floating[Any]]


class PairOfLogos(NamedTuple):
    """A pattern as found, and the known motif beside it, if it is known."""

    found: Markup
    known: Markup | None


def known_motifs(found: Interpretation) -> dict[str, Floats]:
    """Returns probabilities (4, w) of the best matches of all patterns, by id.

    They come from the JASPAR release that the interpretation names; without it, or if one is missing there, none do.
    """
    patterns = [pattern for task in found.tasks for pattern in task.patterns or [] if pattern.matches]
    wanted = list(dict.fromkeys(pattern.matches[0].id for pattern in patterns))
    release = (found.summary.get("database") or {}).get("release")
    if not release or not wanted:
        return {}
    try:
        return {motif.id: motif.ppm for motif in load_jaspar(wanted, release) if motif.id}
    except UnknownNameError:
        return {}


def pattern_logos(pattern: PatternResult, match: MotifMatch | None, known: Mapping[str, Floats]) -> PairOfLogos:
    """Draws a pattern without its flanks, and the motif that it matches, on the matching strand.

    Args:
        pattern: An entry of patterns.json.
        match: Its best match.
        known: Motifs by id.
    """
    cwm, ppm = np.array(pattern.cwm, dtype=float).T, np.array(pattern.ppm, dtype=float).T
    sizes = np.abs(cwm).sum(axis=0)
    strong = np.flatnonzero(sizes >= _FLANK * sizes.max())
    low, high = int(strong[0]), int(strong[-1]) + 1
    spoken = f"contributions of the pattern {pattern.name}"
    other = known.get(match.id) if match else None
    if match is None or other is None:
        return PairOfLogos(Markup(plots.logo_svg(cwm[:, low:high], label=spoken)), None)
    oriented, at = _aligned(plots.information_heights(ppm), plots.information_heights(other))
    begin, end = min(low, at), max(high, at + oriented.shape[1])
    frames = [np.zeros((4, end - begin)) for _ in range(2)]
    frames[0][:, low - begin : high - begin] = cwm[:, low:high]
    frames[1][:, at - begin : at - begin + oriented.shape[1]] = oriented
    texts = (spoken, f"the known motif {match.name}")
    return PairOfLogos(*(Markup(plots.logo_svg(frame, top, text))
                         for frame, top, text in zip(frames, (None, 2.0), texts, strict=True)))  # fmt: skip


def filter_logo(row: FilterResult) -> Markup:
    """Returns the logo of a filter, in bits."""
    heights = plots.information_heights(np.array(row.ppm, dtype=float).T)
    return Markup(plots.logo_svg(heights, 2.0, f"motif of filter {row.filter}"))


def _aligned(heights: Floats, other: Floats) -> tuple[Floats, int]:
    """Returns the other logo on the strand and at the offset with the largest overlap with the first."""
    best, found = -np.inf, (other, 0)
    for strand in (other, other[::-1, ::-1]):
        width = strand.shape[1]
        padded = np.pad(heights, ((0, 0), (width - 1, width - 1)))
        scores = [float((padded[:, i : i + width] * strand).sum()) for i in range(padded.shape[1] - width + 1)]
        at = int(np.argmax(scores))
        if scores[at] > best:
            best, found = scores[at], (strand, at - width + 1)
    return found

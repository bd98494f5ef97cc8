"""Which patterns get a name: four gates, of which each says what it stopped.

1. The core has at least `LEAST_BITS` bits: less fits anything.
2. It resembles a known motif (TOMTOM, q below 0.01), and
3. more than it resembles known motifs with shuffled columns.
4. It is enriched in held-out positive windows, or depleted where it lowers the logit.

The first three are about the name, the last is about the pattern: without held-out windows it is left out, and said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from noncoder.interpret.motifs.evidence import Enrichment, HeldOut, measure_enrichment
from noncoder.interpret.motifs.patterns import Pattern
from noncoder.interpret.motifs.tomtom import Q_VALUE, Match, MotifComparison, compare_motifs
from noncoder.sequence.motifs import Motif

LEAST_BITS = 5.0
"""Information from which a motif is informative, bits: a core needs it for a name, and kernels with it are counted."""
ENRICHMENT_P = 0.001
"""Largest corrected p-value of the enrichment in held-out windows."""

_TOLD = 10  # matches in a file: a family of factors can have a hundred

Gate = Literal["information", "similarity", "chance", "enrichment"]


@dataclass(frozen=True)
class Named:
    """A pattern and what it may be called.

    Args:
        pattern: The pattern.
        matches: Known motifs that it resembles significantly and more than by chance, best first.
        enrichment: What held-out windows say; None where there were none.
        name: The best match's name where every gate let it through.
        stopped: The gate that did not.
        why: In words, with the numbers; empty for one that is named.
    """

    pattern: Pattern
    matches: tuple[Match, ...]
    enrichment: Enrichment | None
    name: str | None
    stopped: Gate | None
    why: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON values: those of the pattern, its best matches and its name."""
        return self.pattern.to_dict() | {
            "matches": [match.to_dict() for match in self.matches[:_TOLD]],
            "enrichment": None if self.enrichment is None else self.enrichment.to_dict(),
            "named": self.name,
            "stopped": self.stopped,
            "why": self.why,
        }


def name_patterns(
    patterns: Sequence[Pattern], database: Sequence[Motif], held_out: HeldOut | None = None, q: float = Q_VALUE
) -> list[Named]:
    """Names the patterns of one task as far as the gates allow.

    Args:
        patterns: Those that `find_patterns` found.
        database: Known motifs.
        held_out: Windows that the model was not trained on; without them the last gate is left out.
        q: Largest q-value of a match.

    Raises:
        InputError: The database is too small for p-values.
    """
    comparison = compare_motifs([pattern.motif for pattern in patterns], database)
    enrichments: Sequence[Enrichment | None] = [None] * len(patterns)
    if held_out is not None:
        enrichments = measure_enrichment(patterns, held_out)
    return [_name(pattern, i, comparison, enrichments[i], q) for i, pattern in enumerate(patterns)]


def _name(pattern: Pattern, i: int, comparison: MotifComparison, enrichment: Enrichment | None, q: float) -> Named:
    matches, best = tuple(comparison.matches(i, q)), comparison.best(i)
    bits = pattern.motif.total_information
    stopped, why = _gate(bits, matches, best, float(comparison.chance[i]), enrichment, pattern.sign == "positive", q)
    name = matches[0].name if stopped is None else None
    return Named(pattern, matches, enrichment, name, stopped, why)


def _gate(
    bits: float,
    matches: tuple[Match, ...],
    best: Match,
    chance: float,
    enrichment: Enrichment | None,
    is_positive: bool,
    q: float,
) -> tuple[Gate | None, str]:
    if bits < LEAST_BITS:
        return "information", f"its core has {bits:.1f} bits, and {LEAST_BITS:g} are needed"
    if best.q >= q:
        return "similarity", f"it resembles no known motif (best: {best.name}, q = {best.q:.2g})"
    if not matches:
        return "chance", (
            f"it resembles {best.name} (p = {best.p:.1g}) hardly more than a shuffled motif (p = {chance:.1g})"
        )
    if enrichment is not None and not enrichment.p < ENRICHMENT_P:
        word = "more often" if is_positive else "less often"
        return "enrichment", (
            f"it resembles {best.name}, but {enrichment.positives:,} held-out positives do not hold it {word} than "
            f"{enrichment.negatives:,} negatives (AUROC {enrichment.auroc:.2f}, corrected p = {enrichment.p:.2g})"
        )
    return None, ""

"""Names of patterns. A pattern gets a name if it passes four gates; each stopped pattern has a reason.

1. Information: the core has at least `LEAST_BITS` bits; less would fit almost any motif.
2. Similarity: it resembles a known motif (TOMTOM, q below 0.01).
3. Chance: it resembles that motif more than known motifs with shuffled columns.
4. Enrichment: it is enriched in held-out positive windows, or depleted if it lowers the logit.

The first three gates test the name, the last one the pattern. Without held-out windows the last gate is left out, and
the diagnosis says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from noncoder.interpret.motifs.evidence import Enrichment, HeldOut, measure_enrichment
from noncoder.interpret.motifs.patterns import Pattern
from noncoder.interpret.motifs.tomtom import Q_VALUE, MotifComparison, compare_motifs
from noncoder.runs.results import EnrichmentResult, MotifMatch, PatternResult, PatternSite
from noncoder.sequence.motifs import Motif

LEAST_BITS = 5.0
"""Least information of an informative motif, bits: required of a core for a name and of a kernel to be counted."""
ENRICHMENT_P = 0.001
"""Corrected p-value of the enrichment in held-out windows must be below this."""

_LISTED = 10  # matches in a file: a family of factors can have a hundred

Gate = Literal["information", "similarity", "chance", "enrichment"]


@dataclass(frozen=True)
class Named:
    """Pattern with its matches and, if it passes all gates, a name.

    Args:
        pattern: The pattern.
        matches: Known motifs that it resembles significantly and more than by chance, best first.
        enrichment: Enrichment in held-out windows; None without them.
        name: Name of the best match; None if a gate stopped the pattern.
        stopped: First gate that stopped the pattern; None if it has a name.
        why: Reason with numbers; empty if it has a name.
    """

    pattern: Pattern
    matches: tuple[MotifMatch, ...]
    enrichment: Enrichment | None
    name: str | None
    stopped: Gate | None
    why: str

    def result(self) -> PatternResult:
        """Returns the pattern's core and sites, its best matches and its name, for patterns.json."""
        pattern = self.pattern
        return PatternResult(
            name=pattern.name,
            sign=pattern.sign,
            seqlets=pattern.seqlets,
            ppm=pattern.motif.ppm.T.round(5).tolist(),
            cwm=pattern.core_cwm.T.round(6).tolist(),
            sites=tuple(PatternSite(**site._asdict()) for site in pattern.sites),
            matches=self.matches[:_LISTED],
            enrichment=None if self.enrichment is None else EnrichmentResult(**vars(self.enrichment)),
            named=self.name,
            stopped=self.stopped,
            why=self.why,
        )


def name_patterns(
    patterns: Sequence[Pattern], database: Sequence[Motif], held_out: HeldOut | None = None, q: float = Q_VALUE
) -> list[Named]:
    """Names the patterns of one task that pass all gates.

    Args:
        patterns: Patterns from `find_patterns`.
        database: Known motifs.
        held_out: Windows that the model was not trained on; without them the last gate is left out.
        q: The q-value of a match must be below this.

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
    matches: tuple[MotifMatch, ...],
    best: MotifMatch,
    chance: float,
    enrichment: Enrichment | None,
    is_positive: bool,
    q: float,
) -> tuple[Gate | None, str]:
    if bits < LEAST_BITS:
        return "information", f"its core has {bits:.1f} bits of information, at least {LEAST_BITS:g} are required"
    if best.q >= q:
        return "similarity", f"it resembles no known motif (best: {best.name}, q = {best.q:.2g})"
    if not matches:
        return "chance", (
            f"it resembles {best.name} (p = {best.p:.1g}) hardly more than it resembles a motif with shuffled columns "
            f"(p = {chance:.1g})"
        )
    if enrichment is not None and not enrichment.p < ENRICHMENT_P:
        word = "enriched" if is_positive else "depleted"
        return "enrichment", (
            f"it resembles {best.name} but is not significantly {word} in {enrichment.positives:,} held-out positives "
            f"compared with {enrichment.negatives:,} negatives (AUROC {enrichment.auroc:.2f}, corrected "
            f"p = {enrichment.p:.2g})"
        )
    return None, ""

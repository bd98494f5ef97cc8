"""Motifs of a model: its first filters, and patterns of its attributions, with names where they earn them."""

from noncoder.interpret.motifs.evidence import Enrichment, HeldOut, measure_enrichment
from noncoder.interpret.motifs.matching import Match, compare_motifs, load_database, match_motifs
from noncoder.interpret.motifs.naming import Named, name_patterns
from noncoder.interpret.motifs.patterns import Pattern, Patterns, PatternSettings, Site, find_patterns

__all__ = [
    "Enrichment",
    "HeldOut",
    "Match",
    "Named",
    "Pattern",
    "PatternSettings",
    "Patterns",
    "Site",
    "compare_motifs",
    "find_patterns",
    "load_database",
    "match_motifs",
    "measure_enrichment",
    "name_patterns",
]

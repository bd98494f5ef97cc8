"""Motifs of a model: its first filters, and patterns of its attributions, with names where they earn them."""

from noncoder.interpret.motifs.diagnosis import Account, Diagnosis, Performance, diagnose
from noncoder.interpret.motifs.evidence import Enrichment, HeldOut, measure_enrichment
from noncoder.interpret.motifs.filters import Effect, FilterMotif, FilterSettings, first_layer_motifs
from noncoder.interpret.motifs.hits import find_hits, score_threshold
from noncoder.interpret.motifs.matching import Match, compare_motifs, load_database, match_motifs
from noncoder.interpret.motifs.naming import LEAST_BITS, Named, name_patterns
from noncoder.interpret.motifs.patterns import Pattern, Patterns, Site, find_patterns, middle_region
from noncoder.interpret.motifs.seqlets import PatternSettings, Seqlets

__all__ = [
    "LEAST_BITS",
    "Account",
    "Diagnosis",
    "Effect",
    "Enrichment",
    "FilterMotif",
    "FilterSettings",
    "HeldOut",
    "Match",
    "Named",
    "Pattern",
    "PatternSettings",
    "Patterns",
    "Performance",
    "Seqlets",
    "Site",
    "compare_motifs",
    "diagnose",
    "find_hits",
    "find_patterns",
    "first_layer_motifs",
    "load_database",
    "match_motifs",
    "measure_enrichment",
    "middle_region",
    "name_patterns",
    "score_threshold",
]

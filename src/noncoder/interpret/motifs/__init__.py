"""Motifs of a model: filters of its first convolution and recurring patterns of its attributions."""

from noncoder.interpret.motifs.diagnosis import Account, Diagnosis, Performance, diagnose
from noncoder.interpret.motifs.evidence import Enrichment, HeldOut, measure_enrichment
from noncoder.interpret.motifs.filters import Effect, FilterConfig, FilterMotif, first_layer_motifs
from noncoder.interpret.motifs.hits import find_hits, score_threshold
from noncoder.interpret.motifs.naming import LEAST_BITS, Named, name_patterns
from noncoder.interpret.motifs.patterns import MotifSite, Pattern, Patterns, find_patterns, middle_region
from noncoder.interpret.motifs.seqlets import PatternConfig, Seqlets
from noncoder.interpret.motifs.tomtom import compare_motifs, load_database, match_motifs
from noncoder.runs.results import MotifMatch

__all__ = [
    "LEAST_BITS",
    "Account",
    "Diagnosis",
    "Effect",
    "Enrichment",
    "FilterConfig",
    "FilterMotif",
    "HeldOut",
    "MotifMatch",
    "MotifSite",
    "Named",
    "Pattern",
    "PatternConfig",
    "Patterns",
    "Performance",
    "Seqlets",
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

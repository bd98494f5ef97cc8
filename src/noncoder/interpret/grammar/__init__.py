"""The grammar of motifs in a model: effects alone, by position, in pairs, by ablation, and of all k-mers.

`explore_grammar` measures all of it for one task and returns the content of `grammar.json`. The other functions measure
one thing each, for any number of tasks, and return the effect in every background.
"""

from noncoder.config import GrammarConfig
from noncoder.interpret.grammar.ablation import Ablation, Sites, ablate, motif_sites
from noncoder.interpret.grammar.backgrounds import Backgrounds, chance_hits, shuffled_backgrounds
from noncoder.interpret.grammar.effect_records import Grammar
from noncoder.interpret.grammar.effects import Effects, Summary
from noncoder.interpret.grammar.importance import Importance, Screening, kmer_importance, list_kmers
from noncoder.interpret.grammar.insertion import logits_of
from noncoder.interpret.grammar.marginal import Inserts, Marginal, marginalize, scan_positions
from noncoder.interpret.grammar.spacing import ORIENTATIONS, Spacing, scan_spacing
from noncoder.interpret.grammar.task_grammar import explore_grammar

__all__ = [
    "ORIENTATIONS",
    "Ablation",
    "Backgrounds",
    "Effects",
    "Grammar",
    "GrammarConfig",
    "Importance",
    "Inserts",
    "Marginal",
    "Screening",
    "Sites",
    "Spacing",
    "Summary",
    "ablate",
    "chance_hits",
    "explore_grammar",
    "kmer_importance",
    "list_kmers",
    "logits_of",
    "marginalize",
    "motif_sites",
    "scan_positions",
    "scan_spacing",
    "shuffled_backgrounds",
]

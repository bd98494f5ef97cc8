"""How motifs work together in a model: alone, by place, in pairs, taken away, and the k-mers that matter at all.

`explore_grammar` does all of it for one task and gives what `grammar.json` holds; the functions beside it do one thing
each, for any number of tasks, and give the effect on every background.
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

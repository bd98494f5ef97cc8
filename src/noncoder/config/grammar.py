"""How the grammar of a task is explored."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from noncoder.config.base import Section


class GrammarSettings(Section):
    """How the grammar of a task is explored."""

    backgrounds: int = Field(100, ge=2)
    """Shuffled windows that motifs are put into."""
    avoid: bool = True
    """Draw backgrounds again that hold one of the motifs by chance."""
    instances: Literal["consensus", "sampled"] = "consensus"
    """What is put in of a motif: its consensus, or a draw of its probabilities for each background."""
    position_step: int = Field(20, ge=0)
    """Distance between the places of the position scan, bp; 0 for no scan."""
    longest_distance: int = Field(60, ge=-1)
    """Most bases between two motifs in the spacing scan; -1 for no scan."""
    distance_step: int = Field(3, ge=1)
    """From one distance to the next, bp."""
    pairs: int = Field(3, ge=0)
    """Most pairs of motifs that are scanned, in the order of the motifs."""
    ablation_windows: int = Field(100, ge=0)
    """Most windows whose motif sites are replaced; 0 for no ablation."""
    ablation_draws: int = Field(10, ge=1)
    """Replacements of each site."""
    replacement: Literal["window", "site", "n"] = "window"
    """By what sites are replaced: `window`, a shuffle of the window; `site`, a shuffle of the site; `n`, N."""
    kmer: int = Field(0, ge=0, le=6)
    """Length of the k-mers whose global importance is measured; 0 for none."""
    kmers_kept: int = Field(100, ge=1)
    """k-mers that are measured in all backgrounds, after a look at all of them in a few."""
    level: float = Field(0.95, gt=0, lt=1)
    """Confidence of the intervals."""
    seed: int = Field(0, ge=0)
    """Draws backgrounds and instances."""
    batch_size: int = Field(256, ge=1)
    """Sequences a forward pass."""

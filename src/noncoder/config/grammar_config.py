"""Recipe section on motif grammar."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from noncoder.config.section import Section


class GrammarConfig(Section):
    """Settings of the motif grammar of a task."""

    backgrounds: int = Field(100, ge=2)
    """Shuffled windows into which motifs are inserted."""
    avoid: bool = True
    """Draw a background again if it contains one of the motifs by chance."""
    instances: Literal["consensus", "sampled"] = "consensus"
    """Sequence inserted for a motif: its consensus, or a draw from its probabilities for each background."""
    position_step: int = Field(20, ge=0)
    """Distance, bp, between positions of the position scan; 0 for no scan."""
    longest_distance: int = Field(60, ge=-1)
    """Largest distance, bp, between two motifs in the spacing scan; -1 for no scan."""
    distance_step: int = Field(3, ge=1)
    """Step, bp, between distances of the spacing scan."""
    pairs: int = Field(3, ge=0)
    """Most pairs of motifs to scan, in the order of the motifs."""
    ablation_windows: int = Field(100, ge=0)
    """Most windows whose motif sites are replaced; 0 for no ablation."""
    ablation_draws: int = Field(10, ge=1)
    """Replacements drawn for each site."""
    replacement: Literal["window", "site", "n"] = "window"
    """Replacement of a site: `window`, a shuffle of the window; `site`, a shuffle of the site; `n`, N."""
    kmer: int = Field(0, ge=0, le=6)
    """Length of the k-mers whose global importance is measured; 0 for none."""
    kmers_kept: int = Field(100, ge=1)
    """k-mers that are measured in all backgrounds, chosen after measuring all of them in a few backgrounds."""
    level: float = Field(0.95, gt=0, lt=1)
    """Confidence level of the intervals."""
    seed: int = Field(0, ge=0)
    """Random seed of backgrounds and instances."""
    batch_size: int = Field(256, ge=1)
    """Sequences per forward pass."""

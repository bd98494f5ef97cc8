"""What two definitions of a motif hit find: 80% of the best score, and p < 1e-4.

    python benchmarks/motif_hits.py [--taxon vertebrates] [--motifs 150]

By width of the motif, medians: the share of sites drawn from the motif's own probabilities that are hits, and the hits
that chance gives in 1,000 random bases on both strands. Takes half a minute.
"""

from __future__ import annotations

import argparse

import numpy as np

from noncoder.interpret.motifs import score_threshold
from noncoder.sequence.motifs import Motif, best_scores, load_jaspar_collection, scan

SHARE = 0.8
WIDTHS = ((5, 6), (7, 8), (9, 11), (12, 15), (16, 99))
SITES, BASES = 2000, 1_000_000


def measure(motif: Motif, rng: np.random.Generator, random: np.ndarray) -> list[float]:
    """Found share and chance hits in 1,000 bp, by 80% of the best and by p."""
    scores = best_scores(motif.sample(rng, SITES), motif)
    thresholds = SHARE * motif.pwm().max(axis=0).sum(), score_threshold(motif)
    found = [float((scores >= least).mean()) for least in thresholds]
    chance = [1000 * scan(random, motif, least).start.size / random.size for least in thresholds]
    return [*found, *chance]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--taxon", default="vertebrates")
    parser.add_argument("--motifs", type=int, default=150)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    every = load_jaspar_collection(taxon=options.taxon)
    motifs = [every[i] for i in np.sort(rng.permutation(len(every))[: options.motifs])]
    random = rng.integers(0, 4, (BASES // 10_000, 10_000), dtype=np.uint8)
    rows = np.array([measure(motif, rng, random) for motif in motifs])
    width = np.array([motif.width for motif in motifs])
    for low, high in WIDTHS:
        some = (width >= low) & (width <= high)
        if some.any():
            a, b, c, d = np.median(rows[some], axis=0)
            print(f"| {low} to {min(high, width.max())} | {some.sum()} | {a:.0%} | {b:.0%} | {c:.2g} | {d:.2g} |")


if __name__ == "__main__":
    main()

"""How often 95% intervals hold the population's AUROC and average precision, on simulated genomes whose truth is known.

A genome has blocks of windows. A block's share of positives is beta distributed, its scores are shifted by a normal
deviate, and positives score higher by an effect: a binormal ROC curve, whose measures are known. Percentiles of
block resamples, and our intervals from resamples of single windows, stand beside ours; means are over 40 tasks.

    python benchmarks/interval_coverage.py --trials 4000 --resamples 500
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from noncoder.metrics.blocks import Blocks
from noncoder.metrics.column_reader import Columns
from noncoder.metrics.uncertainty import BootstrapDraws, bootstrap, interval

Floats = NDArray[np.float64]
_AT_ONCE = 200
_TASKS = 40
_MOST_WINDOWS = 2000


class Genome(NamedTuple):
    """Blocks, windows in each, the share of positives, how alike a block's labels are (0 to 1), shift and effect."""

    blocks: int
    size: int
    share: float
    alike: float
    shift: float
    effect: float

    def truth(self) -> tuple[float, float]:
        """AUROC and average precision of infinitely many blocks."""
        apart, grid = self.effect / np.sqrt(1 + self.shift**2), np.linspace(-12, 12, 100_001)
        true, false = self.share * norm.sf(grid), (1 - self.share) * norm.sf(grid + apart)
        precision = true / (true + false + 1e-300)
        return float(norm.cdf(apart / np.sqrt(2))), float(np.trapezoid(precision * norm.pdf(grid), grid))

    def draw(self, trials: int, rng: np.random.Generator) -> Columns:
        """As many tasks as trials, each on blocks of its own."""
        total = 1 / self.alike - 1
        rates = rng.beta(self.share * total, (1 - self.share) * total, (self.blocks, 1, trials))
        labels = rng.random((self.blocks, self.size, trials)) < rates
        scores = rng.normal(size=labels.shape) + self.shift * rng.normal(size=rates.shape) + self.effect * labels
        flat = (self.blocks * self.size, trials)
        return Columns(scores.reshape(flat).astype(np.float32), labels.reshape(flat))


GENOMES = (
    Genome(50, 40, 0.1, 0.1, 0.5, 1.5),
    Genome(50, 40, 0.02, 0.02, 0.5, 2.0),
    Genome(50, 40, 0.02, 0.02, 0.3, 3.0),
    Genome(200, 40, 0.1, 0.1, 0.5, 1.5),
    Genome(200, 40, 0.02, 0.05, 0.5, 2.0),
    Genome(200, 40, 0.005, 0.01, 0.5, 2.5),
    Genome(200, 40, 0.002, 0.01, 0.5, 2.5),
    Genome(200, 15, 0.1, 0.1, 1.0, 1.8),
    Genome(200, 15, 0.02, 0.1, 1.0, 1.8),
    Genome(285, 100, 0.02, 0.05, 0.3, 2.5),
    Genome(285, 100, 0.001, 0.002, 0.3, 2.5),
    Genome(285, 100, 0.0005, 0.001, 0.3, 3.0),
)


def holds(low: Floats, high: Floats, truth: float) -> Floats:
    told = ~np.isnan(low)
    return np.where(told, (low <= truth) & (truth <= high), np.nan)


def percentiles(draws: BootstrapDraws) -> Floats:
    return np.asarray(np.nanquantile(draws.resampled, [0.025, 0.975], axis=0))


def means(draws: BootstrapDraws) -> BootstrapDraws:
    return draws.map(lambda part: np.nanmean(part.reshape(*part.shape[:-1], -1, _TASKS), axis=-1))


def measure(genome: Genome, trials: int, resamples: int) -> dict[str, tuple[float, float]]:
    rng, truth = np.random.default_rng(1), genome.truth()
    of = np.repeat(np.arange(genome.blocks), genome.size).astype(np.int32)
    found: dict[str, list[Floats]] = {}
    for at in range(0, trials, _AT_ONCE):
        columns = genome.draw(_AT_ONCE, rng)
        by_block = bootstrap(columns, Blocks(of, 1), resamples, seed=at)
        for draws, true, name in zip(by_block, truth, ("auroc", "ap"), strict=True):
            for what, low, high in (
                ("ours", *interval(draws)),
                ("percentile", *percentiles(draws)),
                ("mean, ours", *interval(means(draws))),
                ("mean, percentile", *percentiles(means(draws))),
            ):
                found.setdefault(f"{name}: {what}", []).append(holds(low, high, true))
        if of.size <= _MOST_WINDOWS:
            one_by_one = bootstrap(columns, Blocks(np.arange(of.size, dtype=np.int32), 1), resamples, seed=at)
            for single, true, name in zip(one_by_one, truth, ("auroc", "ap"), strict=True):
                found.setdefault(f"{name}: windows", []).append(holds(*interval(single), true))
    return {
        key: (float(np.nanmean(np.concatenate(parts))), float(np.isnan(np.concatenate(parts)).mean()))
        for key, parts in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=4000, help="tasks of each kind, a multiple of 200")
    parser.add_argument("--resamples", type=int, default=500)
    options = parser.parse_args()
    for genome in GENOMES:
        positives = genome.blocks * genome.size * genome.share
        auroc, precision = genome.truth()
        print(f"{genome}: {positives:.0f} positives, AUROC {auroc:.3f}, AP {precision:.3f}")
        for key, (share, untold) in measure(genome, options.trials, options.resamples).items():
            print(f"    {key:24} {share:.3f}" + (f"  ({untold:.1%} not told)" if untold else ""), flush=True)


if __name__ == "__main__":
    main()

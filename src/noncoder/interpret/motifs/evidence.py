"""Enrichment of patterns in positive windows that the model did not see in training.

Attributions show what a model responds to, right or wrong: a model trained on shuffled labels has patterns too.
Held-out windows test whether the data support a pattern. A window's score is the pattern's best log-odds score in the
window's middle, minus the mean best score of the same pattern with shuffled columns, so that GC content or low
complexity alone cause no enrichment. Two one-sided tests compare the scores of positives and negatives: the
Mann-Whitney test on all ranks, and Fisher's exact test on the tenth of the windows with the highest scores, for motifs
in few windows, such as a motif that occurs only in negatives. The smaller p-value is doubled (Bonferroni), and Holm's
method corrects for the number of patterns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noncoder.errors import InputError
from noncoder.interpret.motifs.patterns import Pattern
from noncoder.interpret.motifs.seqlets import Sign
from noncoder.metrics.multiple import adjust
from noncoder.sequence.motifs import Motif, best_scores

SHUFFLES = 10
"""Column shuffles of each pattern."""
_TOP = 0.1  # fraction of windows with the highest scores in Fisher's exact test
_MOST = 4000  # windows per label, more than the tests need


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Windows that the model was not trained on, with their labels.

    Args:
        codes: Windows, uint8 (n, L); preferably only the labelled middle, see `cut`.
        labels: Whether each window is positive, (n,).

    Raises:
        InputError: The shapes do not match.
    """

    codes: NDArray[np.uint8]
    labels: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if self.codes.ndim != 2 or self.labels.shape != self.codes.shape[:1]:
            raise InputError(
                f"held-out codes {self.codes.shape} with labels {self.labels.shape}", expected="(n, L) and (n,)"
            )

    @classmethod
    def cut(cls, codes: NDArray[np.uint8], labels: NDArray[Any], width: int, seed: int = 0) -> HeldOut:
        """Samples at most 4,000 windows per label at random and crops them to their middle.

        Args:
            codes: Windows, uint8 (n, L).
            labels: Labels, 0 or 1, (n,).
            width: Width of the labelled bin in the middle, bp.
            seed: Random seed.
        """
        positive = np.asarray(labels).astype(np.bool_)
        chosen = draw_held_out(positive, ~positive, seed)
        return cls(central(codes[chosen], width), positive[chosen])

    @property
    def enough(self) -> bool:
        """Whether both labels have at least one window."""
        return bool(self.labels.any() and not self.labels.all())


def draw_held_out(positive: NDArray[np.bool_], negative: NDArray[np.bool_], seed: int = 0) -> NDArray[np.int64]:
    """Samples the windows of the enrichment test at random, at most 4,000 per label.

    Args:
        positive: Whether each window is positive, (n,).
        negative: Whether each window is negative, (n,); a window with an unknown label is neither.
        seed: Random seed.

    Returns:
        Rows of positives, then rows of negatives, both in ascending order.
    """
    rng, rows = np.random.default_rng(seed), []
    for labelled in (np.flatnonzero(positive), np.flatnonzero(negative)):
        rows.append(np.sort(rng.choice(labelled, min(_MOST, labelled.size), replace=False)))
    return np.concatenate(rows)


def central(codes: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """Crops windows (n, L) to the `width` bp in their middle; shorter windows are unchanged."""
    first = max(0, (codes.shape[1] - width) // 2)
    return codes[:, first : first + width]


@dataclass(frozen=True)
class Enrichment:
    """Enrichment of a pattern in held-out positives over negatives.

    Args:
        auroc: AUROC of the windows' scores, above 0.5 if positives score higher.
        p: One-sided p-value, corrected for the number of patterns: enrichment in positives for patterns that raise the
            logit, depletion for patterns that lower it.
        positives: Number of positive windows.
        negatives: Number of negative windows.
    """

    auroc: float
    p: float
    positives: int
    negatives: int


def measure_enrichment(patterns: Sequence[Pattern], held_out: HeldOut) -> list[Enrichment]:
    """Tests each pattern on held-out windows; p is 1 if either label has no windows.

    Args:
        patterns: Patterns of one task.
        held_out: Held-out windows of the task.
    """
    positives = int(held_out.labels.sum())
    negatives = held_out.labels.size - positives
    if not held_out.enough:
        return [Enrichment(float("nan"), 1.0, positives, negatives) for _ in patterns]
    tested = [_test(pattern.motif, pattern.sign, held_out) for pattern in patterns]
    corrected = adjust([p for _, p in tested], "holm")
    return [Enrichment(auroc, float(p), positives, negatives) for (auroc, _), p in zip(tested, corrected, strict=True)]


def _test(motif: Motif, sign: Sign, held_out: HeldOut) -> tuple[float, float]:
    from scipy.stats import fisher_exact, mannwhitneyu

    if held_out.codes.shape[1] < motif.width:
        return float("nan"), 1.0
    scores, positive = composition_free_scores(held_out.codes, motif), held_out.labels
    ours, theirs = scores[positive], scores[~positive]
    direction = "greater" if sign == "positive" else "less"
    ranks = mannwhitneyu(ours, theirs, alternative=direction, method="asymptotic")
    top = scores > np.quantile(scores, 1 - _TOP)
    table = [[int((top & label).sum()), int((~top & label).sum())] for label in (positive, ~positive)]
    counts = fisher_exact(table, alternative=direction)
    auroc = float(mannwhitneyu(ours, theirs, method="asymptotic").statistic / (ours.size * theirs.size))
    return auroc, float(min(1.0, 2 * min(ranks.pvalue, counts.pvalue)))


def composition_free_scores(codes: NDArray[np.uint8], motif: Motif) -> NDArray[np.float64]:
    """Returns a motif's best score in each sequence minus its mean best score with shuffled columns, (n,).

    Args:
        codes: Sequences, uint8 (n, L), L at least the motif's width.
        motif: The motif.
    """
    rng = np.random.default_rng(0)
    shuffled = np.zeros(len(codes))
    for _ in range(SHUFFLES):
        shuffled += best_scores(codes, Motif(motif.name, motif.ppm[:, rng.permutation(motif.width)]))
    return np.asarray(best_scores(codes, motif) - shuffled / SHUFFLES)

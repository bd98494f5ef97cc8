"""Whether a pattern tells positive from negative windows that the model did not see.

A model's attributions show what the model responds to, right or wrong; a model of shuffled labels has patterns too.
What is found in held-out windows is the data's word. A window's score is the pattern's best log-odds in the window's
middle, less the mean of the best of the same pattern with its columns shuffled, so that GC content or low complexity
alone enrich nothing. Two one-sided tests look at it: Mann and Whitney's of all ranks, and Fisher's of the tenth of
windows with the highest scores, for motifs that few windows have, such as a veto's. The smaller p counts twice
(Bonferroni), and Holm's method corrects for the number of patterns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noncoder.errors import InputError
from noncoder.interpret.motifs.patterns import Pattern
from noncoder.interpret.motifs.seqlets import Sign
from noncoder.metrics.multiple import adjust
from noncoder.sequence.motifs import Motif, best_scores

SHUFFLES = 10
"""How often the columns of a pattern are shuffled."""
_TOP = 0.1  # share of the windows whose composition Fisher's test looks at
_MOST = 4000  # windows of each label, which is more than the tests need


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Windows that the model was not trained on, and their labels.

    Args:
        codes: uint8 (n, L); best only the middle that the labels are about, see `cut`.
        labels: Whether each is positive, (n,).

    Raises:
        InputError: The shapes do not fit.
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
        """The middle of windows, at most 4,000 of each label, drawn at random.

        Args:
            codes: uint8 (n, L).
            labels: (n,), 0 or 1.
            width: Of the middle, bp: the labelled bin.
            seed: Of the draw.
        """
        positive = np.asarray(labels).astype(np.bool_)
        chosen = draw_held_out(positive, ~positive, seed)
        return cls(central(codes[chosen], width), positive[chosen])

    @property
    def enough(self) -> bool:
        """Whether there is a window of either label."""
        return bool(self.labels.any() and not self.labels.all())


def draw_held_out(positive: NDArray[np.bool_], negative: NDArray[np.bool_], seed: int = 0) -> NDArray[np.int64]:
    """The windows that decide on names, at most 4,000 of each label, drawn at random: positives first, each in order.

    Args:
        positive: Whether each window is positive, (n,).
        negative: Whether each is negative, (n,); a window with an unknown label is neither.
        seed: Of the draw.
    """
    rng, rows = np.random.default_rng(seed), []
    for those in (np.flatnonzero(positive), np.flatnonzero(negative)):
        rows.append(np.sort(rng.choice(those, min(_MOST, those.size), replace=False)))
    return np.concatenate(rows)


def central(codes: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """The middle of windows (n, L), at most `width` bp."""
    first = max(0, (codes.shape[1] - width) // 2)
    return codes[:, first : first + width]


@dataclass(frozen=True)
class Enrichment:
    """How a pattern tells held-out positives from negatives.

    Args:
        auroc: Of the windows' scores: above 0.5 where positives score higher.
        p: One-sided, in the direction of the pattern's sign, corrected for the number of patterns.
        positives: Windows.
        negatives: Windows.
    """

    auroc: float
    p: float
    positives: int
    negatives: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def measure_enrichment(patterns: Sequence[Pattern], held_out: HeldOut) -> list[Enrichment]:
    """Tests each pattern on held-out windows; without a window of either label, p is 1.

    Args:
        patterns: Those of one task.
        held_out: Its windows.
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
    """The best score of a motif in each sequence, less the mean best score of the motif with shuffled columns, (n,).

    Args:
        codes: uint8 (n, L), L at least the motif's width.
        motif: The motif.
    """
    rng = np.random.default_rng(0)
    shuffled = np.zeros(len(codes))
    for _ in range(SHUFFLES):
        shuffled += best_scores(codes, Motif(motif.name, motif.ppm[:, rng.permutation(motif.width)]))
    return np.asarray(best_scores(codes, motif) - shuffled / SHUFFLES)

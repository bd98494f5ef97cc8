"""Explains why motifs were found for a task or not, in numbers and sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noncoder.interpret.motifs.evidence import HeldOut
from noncoder.interpret.motifs.naming import Gate, Named
from noncoder.interpret.motifs.patterns import Patterns
from noncoder.interpret.motifs.seqlets import SIGNS

FEW_WINDOWS = 100
"""Number of windows below which patterns are unreliable."""
LEARNED = 0.7
"""Test AUROC below which a model has hardly learned a task."""
_SPREAD = 0.5  # concentration below which attributions count as spread over the window
_INCOMPLETE = 0.1  # of the explained difference
_ROUNDING = 1e-4  # logits: rounding error of float32
_GATES: dict[Gate, str] = {
    "information": "with too little information for a comparison",
    "similarity": "that resemble no known motif",
    "chance": "that resemble known motifs no more than by chance",
    "enrichment": "that held-out windows do not confirm",
}


@dataclass(frozen=True)
class Performance:
    """Performance of the model on a task.

    Args:
        auroc: AUROC on held-out windows; NaN if undefined.
        average_precision: Average precision on the same windows.
        train_positives: Positive windows of the training split.
    """

    auroc: float
    average_precision: float
    train_positives: int


@dataclass(frozen=True, eq=False)
class Account:
    """Logits of the explained windows, and completeness of their attributions.

    Args:
        logits: Logits of the windows, (n,).
        explained: Logit minus the references' mean logit, (n,); None if the method has no expected sum.
        error: Sum of the attributions minus `explained`, (n,); None if the method has no expected sum.
    """

    logits: NDArray[Any]
    explained: NDArray[Any] | None = None
    error: NDArray[Any] | None = None


@dataclass(frozen=True)
class Diagnosis:
    """Numbers about a task's motifs, and their interpretation in sentences.

    Args:
        windows: Number of explained windows.
        seqlets_positive: Seqlets that raise the logit.
        seqlets_negative: Seqlets that lower the logit.
        seqlets_used: Clustered seqlets of both signs.
        threshold_positive: Smallest attribution of a positive seqlet; None without seqlets.
        threshold_negative: Smallest absolute attribution of a negative seqlet; None without seqlets.
        attribution_scale: Mean absolute attribution of a base.
        concentration: Median over windows of the fraction of absolute attribution in the strongest 5% of bases.
        patterns: Patterns with an informative core.
        named: Patterns with a name.
        stopped: Number of patterns that each gate stopped.
        median_logit: Median logit of the windows; None if unknown.
        median_explained: Median absolute value of the attributions' expected sum; None without one.
        median_error: Median absolute difference from the expected sum; None without one.
        auroc: AUROC of the model on held-out windows; None if unknown.
        average_precision: Average precision of the model on held-out windows; None if unknown.
        train_positives: Positive windows of the training split; None if unknown.
        text: Sentences, the likeliest cause first.
    """

    windows: int
    seqlets_positive: int
    seqlets_negative: int
    seqlets_used: int
    threshold_positive: float | None
    threshold_negative: float | None
    attribution_scale: float
    concentration: float | None
    patterns: int
    named: int
    stopped: dict[str, int]
    median_logit: float | None
    median_explained: float | None
    median_error: float | None
    auroc: float | None
    average_precision: float | None
    train_positives: int | None
    text: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}


def diagnose(
    found: Patterns,
    named: Sequence[Named],
    performance: Performance | None = None,
    account: Account | None = None,
    held_out: HeldOut | None = None,
) -> Diagnosis:
    """Explains the patterns of a task, or their absence.

    Args:
        found: Result of `find_patterns`.
        named: Result of `name_patterns`.
        performance: Performance of the model on the task, if known.
        account: Logits and completeness of the attributions, if known.
        held_out: Windows of the enrichment test, if any.
    """
    seqlets = found.seqlets
    explained, error = _medians(account)
    text = [
        *_about_model(performance),
        *_about_windows(found, held_out),
        *_about_sums(explained, error),
        *_about_seqlets(found),
        *_about_names(found, named),
    ]
    return Diagnosis(
        windows=found.windows,
        seqlets_positive=seqlets.count["positive"],
        seqlets_negative=seqlets.count["negative"],
        seqlets_used=sum(seqlets.used.values()),
        threshold_positive=seqlets.threshold["positive"],
        threshold_negative=seqlets.threshold["negative"],
        attribution_scale=seqlets.scale,
        concentration=seqlets.concentration,
        patterns=len(found.patterns),
        named=sum(one.name is not None for one in named),
        stopped=dict(Counter(one.stopped for one in named if one.stopped is not None)),
        median_logit=None if account is None else _number(np.median(account.logits) if account.logits.size else np.nan),
        median_explained=explained,
        median_error=error,
        auroc=None if performance is None else _number(performance.auroc),
        average_precision=None if performance is None else _number(performance.average_precision),
        train_positives=None if performance is None else performance.train_positives,
        text=tuple(text),
    )


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _medians(account: Account | None) -> tuple[float | None, float | None]:
    if account is None or account.explained is None or account.error is None or not account.explained.size:
        return None, None
    return _number(np.median(np.abs(account.explained))), _number(np.median(np.abs(account.error)))


def _about_model(performance: Performance | None) -> list[str]:
    if performance is None:
        return []
    if np.isnan(performance.auroc):
        return ["The held-out windows lack positives or negatives of this task, so the model's AUROC is unknown."]
    text = []
    if performance.auroc < LEARNED:
        word = "has not learned it" if performance.auroc < 0.6 else "has hardly learned it"
        text.append(f"The task's AUROC is {performance.auroc:.2f}: the model {word}, so its motifs are unreliable.")
    if performance.train_positives < FEW_WINDOWS:
        text.append(f"Training had {performance.train_positives:,} positive windows: few for learning a motif.")
    return text


def _about_windows(found: Patterns, held_out: HeldOut | None) -> list[str]:
    text = []
    if found.windows < FEW_WINDOWS:
        text.append(
            f"Only {found.windows:,} windows were explained: too few for patterns to recur; use {FEW_WINDOWS} or more."
        )
    if held_out is None:
        text.append("No held-out windows were given: names rest on similarity alone.")
    elif not held_out.enough:
        text.append("The held-out windows lack positives or negatives: no pattern can be confirmed or named.")
    return text


def _about_sums(explained: float | None, error: float | None) -> list[str]:
    if explained is None or error is None or error <= _INCOMPLETE * max(explained, _ROUNDING):
        return []
    return [
        f"The sums of the attributions differ by {error:.2g} from the expected {explained:.2g} logits (medians): the "
        "method is not exact for this model; use integrated-gradients with more steps, or ism."
    ]


def _about_seqlets(found: Patterns) -> list[str]:
    seqlets, least = found.seqlets, found.settings.min_seqlets
    text = [f"{problem[0].upper()}{problem[1:]}." for problem in seqlets.problems]
    if seqlets.scale == 0:
        return text
    clustered = [sign for sign in found.settings.signs if seqlets.count[sign] >= least]
    if not clustered:
        counts = " and ".join(f"{seqlets.count[sign]} {sign}" for sign in SIGNS)
        text.append(f"Only {counts} seqlets were found; at least {least} of one sign are required.")
    if not found.patterns and seqlets.concentration is not None and seqlets.concentration < _SPREAD:
        text.append(
            "Attributions are spread over the windows: the strongest 5% of bases hold "
            f"{seqlets.concentration:.0%} of a window's absolute attribution."
        )
    if clustered and not found.patterns:
        total = sum(seqlets.used.values())
        text.append(f"{total:,} seqlets were clustered, but no {least} of them share an informative core.")
    return text


def _about_names(found: Patterns, named: Sequence[Named]) -> list[str]:
    names = list(dict.fromkeys(one.name for one in named if one.name is not None))
    text = []
    if names:
        text.append(f"Named: {', '.join(names)}.")
    elif named:
        text.append(f"Patterns found: {len(named)}; none passes all four tests for a name.")
    for gate, count in Counter(one.stopped for one in named if one.stopped is not None).items():
        example = next(one for one in named if one.stopped == gate)
        text.append(f"Patterns {_GATES[gate]}: {count}. {example.pattern.name}: {example.why}.")
    if found.coreless:
        text.append(f"Patterns without an informative core: {', '.join(found.coreless)}.")
    return text

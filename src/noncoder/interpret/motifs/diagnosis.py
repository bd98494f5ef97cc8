"""Why a task has the motifs that it has, or none: numbers, and what they say in plain sentences."""

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
"""Windows below which patterns are a matter of luck."""
LEARNED = 0.7
"""Test AUROC below which a model has hardly learned a task."""
_SPREAD = 0.5  # share of a logit's attribution that a motif's worth of bases holds where it is not spread
_INCOMPLETE = 0.1  # of the explained difference
_ROUNDING = 1e-4  # logits: less is float32's noise
_GATES: dict[Gate, str] = {
    "information": "say too little to be compared",
    "similarity": "resemble no known motif",
    "chance": "resemble known motifs no more than by chance",
    "enrichment": "are as common in held-out negatives as in positives",
}


@dataclass(frozen=True)
class Performance:
    """How well the model does on a task.

    Args:
        auroc: On held-out windows; NaN where it is undefined.
        average_precision: On the same.
        train_positives: Windows that were positive in training.
    """

    auroc: float
    average_precision: float
    train_positives: int


@dataclass(frozen=True, eq=False)
class Account:
    """What the attributions should sum to, and the logits that they explain.

    Args:
        logits: Of the windows, (n,).
        explained: Logit less the reference's, (n,); None where the method claims no sum.
        error: Sum of the attributions less `explained`, (n,); None as well.
    """

    logits: NDArray[Any]
    explained: NDArray[Any] | None = None
    error: NDArray[Any] | None = None


@dataclass(frozen=True)
class Diagnosis:
    """Numbers about a task's motifs and what they say.

    Args:
        windows: How many were explained.
        seqlets_positive: Stretches of high attribution; of them at most `seqlets_used` a sign were clustered.
        seqlets_negative: Stretches of low attribution.
        seqlets_used: Clustered, both signs.
        threshold_positive: Least attribution of a stretch; None where there is none.
        threshold_negative: The same of negative ones, without its sign.
        attribution_scale: Mean absolute attribution of a base.
        concentration: Share of the absolute attribution of a window that its strongest 5% of bases hold; the median.
        patterns: With an informative core.
        named: With a name.
        stopped: How many patterns each gate stopped.
        median_logit: Of the windows; None where it is not known.
        median_explained: Of the absolute differences that attributions should sum to; None where none is claimed.
        median_error: Of how far they are from it; None where none is claimed.
        auroc: The model's on held-out windows; None where it is not known.
        average_precision: The same.
        train_positives: The same.
        text: Plain sentences, the likeliest cause first.
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
        """As JSON values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}


def diagnose(
    found: Patterns,
    named: Sequence[Named],
    performance: Performance | None = None,
    account: Account | None = None,
    held_out: HeldOut | None = None,
) -> Diagnosis:
    """Says why the patterns of a task are what they are.

    Args:
        found: What `find_patterns` gave.
        named: What `name_patterns` made of it.
        performance: How well the model does on the task, where it is known.
        account: What the attributions should sum to, where it is known.
        held_out: The windows that decided on names, where there were some.
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
        return ["The held-out windows lack positives or negatives of this task: how well the model does is not known."]
    text = []
    if performance.auroc < LEARNED:
        word = "has not learned it" if performance.auroc < 0.6 else "has hardly learned it"
        text.append(f"The task's AUROC is {performance.auroc:.2f}: the model {word}, and can show no more than that.")
    if performance.train_positives < FEW_WINDOWS:
        text.append(f"Training had {performance.train_positives:,} positive windows: few to learn a motif from.")
    return text


def _about_windows(found: Patterns, held_out: HeldOut | None) -> list[str]:
    text = []
    if found.windows < FEW_WINDOWS:
        text.append(
            f"{found.windows:,} windows were explained: too few for patterns to recur; take {FEW_WINDOWS} or more."
        )
    if held_out is None:
        text.append("No held-out windows were given: names rest on resemblance alone.")
    elif not held_out.enough:
        text.append("The held-out windows lack positives or negatives: no pattern can be confirmed, and none is named.")
    return text


def _about_sums(explained: float | None, error: float | None) -> list[str]:
    if explained is None or error is None or error <= _INCOMPLETE * max(explained, _ROUNDING):
        return []
    return [
        f"Attributions miss what they should sum to by {error:.2g} where {explained:.2g} is explained (medians): they "
        "are not exact for this model; integrated-gradients with more steps, or ism, are."
    ]


def _about_seqlets(found: Patterns) -> list[str]:
    seqlets, least = found.seqlets, found.settings.min_seqlets
    text = [f"{trouble[0].upper()}{trouble[1:]}." for trouble in seqlets.trouble]
    if seqlets.scale == 0:
        return text
    clustered = [sign for sign in found.settings.signs if seqlets.count[sign] >= least]
    if not clustered:
        counts = " and ".join(f"{seqlets.count[sign]} {sign}" for sign in SIGNS)
        text.append(f"{counts} stretches stand out, and {least} of a sign are needed.")
    if not found.patterns and seqlets.concentration is not None and seqlets.concentration < _SPREAD:
        text.append(
            f"Attributions are spread: the strongest 5% of bases hold {seqlets.concentration:.0%} of a window's."
        )
    if clustered and not found.patterns:
        total = sum(seqlets.used.values())
        text.append(f"{total:,} stretches were clustered, and no {least} of them share an informative core.")
    return text


def _about_names(found: Patterns, named: Sequence[Named]) -> list[str]:
    names = list(dict.fromkeys(one.name for one in named if one.name is not None))
    text = []
    if names:
        text.append(f"Named: {', '.join(names)}.")
    elif named:
        text.append(f"{len(named)} patterns were found, and none has earned a name.")
    for gate, count in Counter(one.stopped for one in named if one.stopped is not None).items():
        example = next(one for one in named if one.stopped == gate)
        text.append(f"{count} {_GATES[gate]}; {example.pattern.name}: {example.why}.")
    if found.coreless:
        text.append(f"{len(found.coreless)} more have no informative core: {', '.join(found.coreless)}.")
    return text

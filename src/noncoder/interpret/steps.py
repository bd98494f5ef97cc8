"""Steps that measure, and the note of steps that were left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from noncoder.errors import NoncoderError
from noncoder.interpret.job import Job
from noncoder.interpret.task_arrays import Found
from noncoder.metrics import auroc, average_precision
from noncoder.sequence.tracks import rank_agreement

Floats = NDArray[np.floating[Any]]
T = TypeVar("T")


@dataclass
class Skipped:
    """The steps that could not be done, "step" and "why" of each; the others are done all the same."""

    steps: list[dict[str, str]] = field(default_factory=list)

    def attempt(self, step: str, do: Callable[[], T]) -> T | None:
        """What a step returns; None, and a note of why, where it cannot be done.

        Args:
            step: Its name, as a reader knows it.
            do: The step.
        """
        try:
            return do()
        except NoncoderError as error:
            self.steps.append({"step": step, "why": error.found})
            return None


def measure_agreement(found: Found, activation: Floats, mutations: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """How the magnitudes of Grad-CAM and of the method rank a window's bases beside those of mutagenesis.

    Spearman's correlation in each window, and its mean over them; what has no rank, as a track that is the same
    everywhere, is left out.

    Args:
        found: The attributions of n windows.
        activation: Their class activation, (n, L).
        mutations: As `Job.mutations`.
    """
    index, importance = mutations["index"], np.abs(mutations["importance"])
    cam = rank_agreement(activation[index], importance)
    own = rank_agreement(np.abs(found.attribution.projected[index]), importance)
    return {
        "windows": int(index.size),
        "gradcam_ism_spearman": cam.mean,
        "method_ism_spearman": own.mean,
        "each": {"gradcam": cam.each.tolist(), "method": own.each.tolist()},
        "mutagenesis": str(mutations["strategy"]),
    }


def describe_completeness(found: Found) -> dict[str, Any]:
    """How far the contributions add up to what they should explain."""
    attribution = found.attribution
    if attribution.explained is None:
        text = f"{attribution.method} does not claim that its values add up to the logit"
        return {"claimed": False, "median_explained": None, "median_error": None, "largest_error": None, "text": text}
    error = np.abs(attribution.completeness_error)
    explained = float(np.median(np.abs(attribution.explained)))
    text = (
        f"the contributions of a window add up to its logit less that of its references within {np.median(error):.2g} "
        f"(median; at the most {error.max():.2g}) of {explained:.2g}"
    )
    return {
        "claimed": True,
        "median_explained": explained,
        "median_error": float(np.median(error)),
        "largest_error": float(error.max()),
        "text": text,
    }


def measure_task(job: Job) -> dict[str, Any]:
    """How well the model ranks the split's windows for the task; None where windows are from elsewhere."""
    if job.scored is None:
        return {"positives": None, "auroc": None, "average_precision": None}
    positive, negative = job.scored.labels.column(job.column)
    known = positive | negative
    logits = np.asarray(job.scored.logits[:, job.column])[known][:, None]
    truth = positive[known][:, None]
    return {
        "positives": int(positive.sum()),
        "auroc": float(auroc(logits, truth)[0]),
        "average_precision": float(average_precision(logits, truth)[0]),
    }

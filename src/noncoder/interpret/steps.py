"""Steps of an interpretation that measure, and the record of skipped steps."""

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
    """Steps that failed, with "step" and "why"; the other steps are still done."""

    steps: list[dict[str, str]] = field(default_factory=list)

    def attempt(self, step: str, do: Callable[[], T]) -> T | None:
        """Returns the result of a step; None if it fails, with a record of the reason.

        Args:
            step: Its name for readers.
            do: The step.
        """
        try:
            return do()
        except NoncoderError as error:
            self.steps.append({"step": step, "why": error.found})
            return None


def measure_agreement(found: Found, activation: Floats, mutations: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Compares Grad-CAM and the method with mutagenesis: how their magnitudes rank a window's bases.

    Spearman's correlation in each window, and the mean over windows; windows without a correlation, such as those with
    a constant track, are left out.

    Args:
        found: The attributions of n windows.
        activation: Their class activation, (n, L).
        mutations: See `Job.mutations`.
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
    """Measures how closely the contributions sum to the difference that they explain."""
    attribution = found.attribution
    if attribution.explained is None:
        text = f"contributions of {attribution.method} do not sum to the logit by definition"
        return {"claimed": False, "median_explained": None, "median_error": None, "largest_error": None, "text": text}
    error = np.abs(attribution.completeness_error)
    explained = float(np.median(np.abs(attribution.explained)))
    text = (
        f"the contributions of a window sum to its logit minus that of its references within {np.median(error):.2g} "
        f"(median; at most {error.max():.2g}) of {explained:.2g}"
    )
    return {
        "claimed": True,
        "median_explained": explained,
        "median_error": float(np.median(error)),
        "largest_error": float(error.max()),
        "text": text,
    }


def measure_task(job: Job) -> dict[str, Any]:
    """Measures how well the model ranks the split's windows for the task; None for windows from elsewhere."""
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

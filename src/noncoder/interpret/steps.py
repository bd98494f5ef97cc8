"""What is done for one task, a step after the other; a step whose file is there is read, not done again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from noncoder.errors import NoncoderError
from noncoder.interpret.attribution import attribute, rank_agreement
from noncoder.interpret.job import Job
from noncoder.interpret.layers import find_layer
from noncoder.interpret.mutagenesis import mutate
from noncoder.interpret.records import Found, load_arrays, load_found, save_arrays, save_found
from noncoder.metrics import auroc, average_precision

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


def find_attributions(job: Job) -> Found:
    """The attributions of the job's windows, from their file or computed now."""
    found = load_found(job.folder, job.windows, job.config.method)
    if found is not None:
        return found
    codes, model = job.windows.codes, job.predictor.model
    label = f"{job.task}: {job.config.method}"
    with tqdm(total=len(codes), desc=label, unit="windows", delay=2, disable=None) as bar:
        attribution = attribute(model, codes, job.column, job.config.method, job.settings, bar.update)
    logit = job.predictor.predict_logits(codes, "forward", job.config.batch_size)[:, job.column]
    found = Found(job.windows, attribution, logit)
    save_found(job.folder, found)
    return found


def find_activation(job: Job) -> Floats:
    """The class activation of the job's windows, (n, L), from its file or computed now."""
    stored = load_arrays(job.folder.gradcam, "cam", "layer", "step")
    if stored is None:
        layer = find_layer(job.predictor.model, job.config.layer)
        found = attribute(job.predictor.model, job.windows.codes, job.column, "gradcam", job.settings)
        stored = {"cam": found.projected, "layer": np.array(layer.name), "step": np.array(layer.step)}
        save_arrays(job.folder.gradcam, stored)
    return stored["cam"]


def find_mutations(job: Job) -> dict[str, NDArray[Any]]:
    """What every substitution does in the first few windows, from its file or computed now."""
    stored = load_arrays(job.folder.mutations, "index", "codes", "substitutions", "importance", "strategy")
    if stored is None:
        index = np.arange(min(job.config.mutated, len(job.windows)))
        found = mutate(job.predictor.model, job.windows.codes[index], [job.column])
        stored = {
            "index": index,
            "codes": found.codes,
            "substitutions": found.substitutions[..., 0],
            "importance": found.importance[..., 0],
            "strategy": np.array(found.strategy),
        }
        save_arrays(job.folder.mutations, stored)
    return stored


def measure_agreement(found: Found, activation: Floats, mutations: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """How the magnitudes of Grad-CAM and of the method rank a window's bases beside those of mutagenesis.

    Spearman's correlation in each window, and its mean over them; what has no rank, as a track that is the same
    everywhere, is left out.

    Args:
        found: The attributions of n windows.
        activation: What `find_activation` returned, (n, L).
        mutations: What `find_mutations` returned.
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

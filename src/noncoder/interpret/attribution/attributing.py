"""Runs an attribution method on sequences and measures its completeness error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from noncoder.errors import InputError
from noncoder.interpret.attribution.methods import (
    Attribution,
    AttributionConfig,
    AttributionPart,
    Method,
    attribution_method,
)
from noncoder.interpret.attribution.target import Target
from noncoder.interpret.mutagenesis.mutate import check_tasks
from noncoder.models import SequenceModel
from noncoder.predictor.inference import batches, device_of, differentiating
from noncoder.sequence.encoding import N_CODE, one_hot

_TOLERANCE = 0.01  # of the explained difference
_ROUNDING = 1e-4  # logits: rounding error of a sum of thousands of float32 values

Progress = Callable[[int], object]


def attribute(
    model: SequenceModel,
    codes: NDArray[np.uint8],
    tasks: int | Sequence[int],
    method: str,
    settings: AttributionConfig | None = None,
    progress: Progress | None = None,
) -> Attribution:
    """Attributes a model's logit to the bases of each sequence, on the given strand.

    The model runs in evaluation mode on its own device; its training modes are restored afterwards.

    Args:
        model: The model.
        codes: Sequences of the model's window length, uint8 (n, L); `noncoder.interpret.window.fit_window` crops or
            pads to it.
        tasks: Column of a task, or columns of several tasks whose mean logit is explained.
        method: One of `list_attributions()`.
        settings: Settings of the methods.
        progress: Called with the number of sequences finished since the last call.

    Raises:
        UnknownNameError: The method does not exist.
        InputError: The codes do not fit the model's window, a task or the layer does not exist, or a weight of the
            model is not finite.
    """
    settings, chosen = settings or AttributionConfig(), attribution_method(method)
    _check_codes(codes, model.window)
    target = Target(model, check_tasks(model, [tasks] if isinstance(tasks, int | np.integer) else tasks))
    _check_weights(model)
    device = device_of(model)
    parts: list[AttributionPart] = []
    with differentiating(model):
        together = max(1, settings.batch_size // chosen.copies(settings))
        for rows in batches(len(codes), together):
            some = torch.from_numpy(np.ascontiguousarray(codes[rows])).to(device)
            part = chosen.explain(target, some, settings)
            explained = None if part.explained is None else part.explained.detach().cpu()
            parts.append(AttributionPart(part.values.detach().float().cpu(), explained, part.notes))
            if progress is not None:
                progress(len(some))
    return _join(chosen, codes, parts)


def _join(method: Method, codes: NDArray[np.uint8], parts: Sequence[AttributionPart]) -> Attribution:
    values = torch.cat([part.values for part in parts]).numpy()
    # The base at an N is unknown: all four values there are zero.
    values = values * ((codes != N_CODE)[:, None] if method.hypothetical else one_hot(codes))
    sums = [part.explained for part in parts if part.explained is not None]
    explained = torch.cat(sums).double().numpy() if sums else None
    notes = tuple(dict.fromkeys(note for part in parts for note in part.notes))
    found = Attribution(method.name, codes, values.astype(np.float32), method.hypothetical, explained, ())
    return replace(found, warnings=(*notes, *_zero_warnings(found), *_completeness_warnings(found)))


def _zero_warnings(found: Attribution) -> list[str]:
    n, warnings = len(found.codes), []
    unknown = (found.codes == N_CODE).all(axis=1)
    empty = ~unknown & (found.values == 0).all(axis=(1, 2))
    if unknown.any():
        warnings.append(f"{unknown.sum()} of {n} sequences are all N; their values are zero")
    if empty.any():
        warnings.append(
            f"{found.method} is zero everywhere in {empty.sum()} of {n} sequences: this task's logit does not respond "
            "to the quantity that the method measures"
        )
    return warnings


def _completeness_warnings(found: Attribution) -> list[str]:
    if found.explained is None:
        return []
    error = np.abs(found.completeness_error)
    scale = np.maximum(np.abs(found.explained), np.median(np.abs(found.explained)))
    wrong = error > np.maximum(_TOLERANCE * scale, _ROUNDING)
    if not wrong.any():
        return []
    worst = int(np.argmax(np.where(wrong, error / np.maximum(scale, _ROUNDING), 0)))
    better = "integrated-gradients with many steps, or ism" if found.method == "deeplift" else "more steps, or ism"
    return [
        f"{found.method} is not exact for this model: in {wrong.sum()} of {len(wrong)} sequences the sum of the values "
        f"differs by more than {_TOLERANCE:.0%} from the difference between the logit and the references' mean logit; "
        f"worst: {found.total[worst]:.4g} instead of {found.explained[worst]:.4g} (sequence {worst + 1}). More exact: "
        f"{better}"
    ]


def _check_codes(codes: NDArray[np.uint8], window: int) -> None:
    if not isinstance(codes, np.ndarray) or codes.dtype != np.uint8 or codes.ndim != 2 or not len(codes):
        found = f"{codes.dtype} {codes.shape}" if isinstance(codes, np.ndarray) else type(codes).__name__
        raise InputError(f"sequences of type {found}", expected="codes, uint8 (n, L), at least one sequence")
    if codes.shape[1] != window:
        raise InputError(
            f"sequences of {codes.shape[1]:,} bp", expected=f"the model's window, {window:,} bp",
            hint="crop or pad them: noncoder.interpret.window.fit_window",
        )  # fmt: skip
    if codes.max() > N_CODE:
        raise InputError(f"a code of {codes.max()}", expected="0 to 4 for A, C, G, T, N")


def _check_weights(model: SequenceModel) -> None:
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise InputError(
                f"the weights {name} of the model contain NaN or infinity",
                expected="finite weights",
                hint="the training diverged; train the model again",
            )

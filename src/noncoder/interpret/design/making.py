"""Designs sequences with a high predicted logit for a task."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from noncoder.bars import progress_bar
from noncoder.config import DesignConfig
from noncoder.data.tasks import find_tasks
from noncoder.errors import InputError
from noncoder.interpret.design.ascent import gumbel, straight_through
from noncoder.interpret.design.designed import Design
from noncoder.interpret.design.problem import Objective, Problem
from noncoder.interpret.design.search import greedy, guided, sampled
from noncoder.interpret.motifs.hits import find_hits
from noncoder.predictor import Predictor
from noncoder.predictor.inference import differentiating
from noncoder.sequence.encoding import N_CODE, decode
from noncoder.sequence.motifs import Motif

Codes = NDArray[np.uint8]

_QUANTILES = (0.5, 0.9, 0.99, 0.999, 1.0)


_METHODS: dict[str, Callable[[Problem, DesignConfig], None]] = {
    "guided": lambda problem, settings: guided(problem, settings.candidates),
    "straight-through": lambda problem, settings: straight_through(problem, settings.learning_rate),
    "gumbel": lambda problem, settings: gumbel(problem, settings.learning_rate),
    "greedy": lambda problem, settings: greedy(problem),
    "sampled": lambda problem, settings: sampled(problem, settings.candidates),
}


def design_sequences(
    predictor: Predictor,
    task: str,
    settings: DesignConfig | None = None,
    against: str | None = None,
    starts: Codes | None = None,
    windows: Codes | None = None,
    motifs: Sequence[Motif] = (),
) -> Design:
    """Designs sequences that maximize a task's logit.

    Args:
        predictor: The model and its tasks.
        task: The task whose logit is maximized.
        settings: Settings; by default the method `guided`.
        against: A second task, whose logit is lowered or held.
        starts: Initial sequences, uint8 (R, L); by default random bases, as many sequences as in `settings`.
        windows: Real windows, uint8 (N, L), with which the designs are compared.
        motifs: Motifs to search in the designs.

    Raises:
        UnknownNameError: There is no such task.
        InputError: Starts or windows do not have the model's window, or nothing may change.
    """
    settings = settings or DesignConfig()
    names = [task] if against is None else [task, against]
    columns = find_tasks(names, predictor.tasks)
    generator = torch.Generator().manual_seed(settings.seed)
    for given in (starts, windows):
        if given is not None and (given.ndim != 2 or given.shape[1] != predictor.window or not len(given)):
            raise InputError(f"sequences of shape {given.shape}", expected=f"codes (R, {predictor.window})")
    begun = time.perf_counter()
    bar = progress_bar(total=settings.evaluations, desc="designing", unit="evaluations")
    with differentiating(predictor.model), bar:
        problem = _problem(predictor, columns, settings, starts, generator)
        problem.bar = bar
        _METHODS[settings.method](problem, settings)
    seconds = time.perf_counter() - begun
    return _design(predictor, names, settings, problem, (seconds, windows, motifs))


def _problem(
    predictor: Predictor, columns: Sequence[int], settings: DesignConfig, starts: Codes | None,
    generator: torch.Generator,
) -> Problem:  # fmt: skip
    length, device = predictor.window, predictor.device
    if starts is None:
        codes = torch.randint(0, 4, (settings.sequences, length), generator=generator, dtype=torch.uint8)
    else:
        codes = torch.from_numpy(starts.copy())
    may = np.zeros(length, dtype=bool)
    for first, last in settings.change or ((0, length),):
        if not 0 <= first < last <= length:
            raise InputError(f"positions {first} to {last} to change", expected=f"inside the window, 0 to {length}")
        may[first:last] = True
    allowed = torch.from_numpy(may) & (codes < N_CODE)
    if not allowed.any(dim=1).all():
        raise InputError("a start that is N wherever it may change", expected="bases to change in each start")
    goal = Objective(
        columns[0], columns[1] if len(columns) > 1 else None, settings.mode, settings.weight, settings.edit_weight,
        settings.gc_weight, settings.strands,
    )  # fmt: skip
    return Problem(
        predictor.model, goal, codes.to(device), allowed.to(device), settings.most_edits, settings.evaluations,
        settings.batch_size, generator,
    )  # fmt: skip


def _design(
    predictor: Predictor,
    names: Sequence[str],
    settings: DesignConfig,
    problem: Problem,
    around: tuple[float, Codes | None, Sequence[Motif]],
) -> Design:
    seconds, windows, motifs = around
    order = problem.scores.argsort(descending=True, stable=True).cpu().numpy()
    before, after = (codes.cpu().numpy()[order] for codes in (problem.starts, problem.best))
    column = [task.name for task in predictor.tasks].index(names[0])
    both = {"before": before, "after": after}
    logits = {name: predictor.predict_logits(codes, "forward") for name, codes in both.items()}
    reverse = predictor.predict_logits(after, "reverse")
    history = np.array([best for _, best in problem.history])[:, order]
    return Design(
        task=names[0],
        against=names[1] if len(names) > 1 else None,
        mode=settings.mode,
        method=settings.method,
        window=predictor.window,
        bin=predictor.bin,
        settings=settings.model_dump(mode="json"),
        tasks=[task.name for task in predictor.tasks],
        starts=[decode(row) for row in before],
        sequences=[decode(row) for row in after],
        edits=(before != after).sum(axis=1).tolist(),
        score={"before": history[0].tolist(), "after": history[-1].tolist()},
        logits={name: values.tolist() for name, values in logits.items()},
        reverse_logits=reverse.tolist(),
        probabilities={name: predictor.predict(codes).tolist() for name, codes in both.items()},
        history={"evaluations": [at for at, _ in problem.history], "best": history.tolist()},
        evaluations=round(problem.spent),
        seconds=seconds,
        reference=None if windows is None else _reference(predictor, windows, column, logits["after"][:, column]),
        hits=_hits(after, motifs),
        warnings=_warnings(logits, reverse, column),
    )


def _reference(predictor: Predictor, windows: Codes, column: int, found: NDArray[np.float32]) -> dict[str, Any]:
    real = predictor.predict_logits(windows, "forward")[:, column]
    return {
        "windows": len(real),
        "quantiles": {f"{share:g}": float(np.quantile(real, share)) for share in _QUANTILES},
        "share_below": [float((real < value).mean()) for value in found],
    }


def _hits(codes: Codes, motifs: Sequence[Motif]) -> list[dict[str, Any]]:
    listed = []
    for motif in motifs:
        hits = find_hits(codes, motif)
        listed += [
            {"motif": motif.name, "row": int(row), "start": int(start), "end": int(start) + motif.width,
             "strand": str(strand), "score": float(score)}
            for row, start, strand, score in zip(*hits, strict=True)
        ]  # fmt: skip
    return listed


def _warnings(logits: dict[str, NDArray[np.float32]], reverse: NDArray[np.float32], column: int) -> list[str]:
    before, after, other = logits["before"][:, column], logits["after"][:, column], reverse[:, column]
    fooled = int(((after > before + 1) & (after - other > 0.5 * (after - before))).sum())
    if not fooled:
        return []
    return [
        f"{fooled} of {len(after)} sequences score much higher on the forward strand than on the reverse strand, an "
        "effect of the model and not of the sequence; strands: both designs for both"
    ]

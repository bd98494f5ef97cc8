"""Averages predictions in several ways in one run over the windows.

The forward passes of a scheme are the first of those of the next scheme: the running mean is read after each scheme,
so nothing is computed twice. All schemes average probabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noncoder.bars import progress_bar
from noncoder.data.store import Store
from noncoder.errors import InputError
from noncoder.predictor.inference import (
    MeanProbability,
    Strands,
    as_input,
    batches,
    evaluating,
    read_strand,
    strands_of,
)
from noncoder.predictor.predictor import Predictor

# Called with the position of a block's first window and the block's logits (b, T) by each scheme.
Write = Callable[[int, list[NDArray[np.float32]]], None]


class Scheme(NamedTuple):
    """A way to average.

    Args:
        name: E.g. "both strands, 3 shifts of 2 models".
        passes: Number of forward passes; the first of them are those of the previous scheme.
    """

    name: str
    passes: int


@dataclass(frozen=True)
class Averaging:
    """The strands and shifts over which predictions of a store's windows are averaged.

    Args:
        strands: "both", or the one strand to read.
        shifts: Shifts of the windows to the right, bp, besides 0, e.g. (-10, 10). A store has no bases beyond its
            contigs: a shift is shortened if it would reach further past a contig's end than every window of the store,
            and a window that is a contig of its own is not shifted. `cut_short` counts these windows.

    Raises:
        InputError: A shift is 0 or given twice.
    """

    strands: Strands = "both"
    shifts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if 0 in self.shifts or len(set(self.shifts)) < len(self.shifts):
            raise InputError(
                f"the shifts {', '.join(map(str, self.shifts))}",
                expected="whole numbers of bp other than 0, each once; the unshifted windows always take part",
            )

    def schemes(self, models: int = 1) -> tuple[Scheme, ...]:
        """Lists the schemes: first one model, one strand, no shift; each further one averages over more.

        Args:
            models: Number of models that the last scheme averages.
        """
        first, *second = strands_of(self.strands)
        found = [Scheme(f"{first} strand", 1)]
        if second:
            found.append(Scheme("both strands", 2))
        if self.shifts:
            # The unshifted windows count as a shift of 0.
            places = len(self.shifts) + 1
            found.append(Scheme(f"{found[-1].name}, {places} shifts", found[-1].passes * places))
        if models > 1:
            found.append(Scheme(f"{found[-1].name} of {models} models", found[-1].passes * models))
        return tuple(found)


def predict_store_schemes(
    predictors: Sequence[Predictor],
    store: Store,
    indices: NDArray[np.int64],
    averaging: Averaging,
    batch_size: int,
    write: Write,
) -> None:
    """Predicts windows of a store by each scheme of `averaging.schemes(len(predictors))`, block by block.

    Logits are raw: temperatures of the predictors are not applied. A temperature for a scheme is fitted on its logits,
    after averaging.

    Args:
        predictors: An ensemble of one or several kinds of models; all schemes but the last use the first.
        store: The dataset.
        indices: Store indices of the windows, (n,).
        averaging: Strands and shifts.
        batch_size: Windows per forward pass.
        write: Called with each block in order; columns are the first predictor's tasks.

    Raises:
        InputError: The predictors differ in their tasks, window, bin or device, the store's windows have another
            width, or a shift moves them by more than half of it.
    """
    columns = _aligned(predictors)
    if store.window != predictors[0].window:
        raise InputError(f"{store.path} has windows of {store.window} bp", expected=f"{predictors[0].window} bp")
    far = [shift for shift in averaging.shifts if abs(shift) > store.window // 2]
    if far:
        raise InputError(
            f"a shift of {far[0]:,} bp moves the middle of the window out of it",
            expected=f"at most {store.window // 2:,} bp, half of a window",
        )
    ends = [scheme.passes for scheme in averaging.schemes(len(predictors))]
    bar = progress_bar(total=len(indices), desc="predicting", unit="windows")
    with bar, evaluating(*(predictor.model for predictor in predictors)):
        for rows in batches(len(indices), batch_size):
            block = indices[rows]
            codes = [
                store.read_codes(block, shift=np.full(len(block), shift) if shift else None)
                for shift in (0, *averaging.shifts)
            ]
            logits = _by_scheme(predictors, columns, codes, averaging.strands, ends)
            write(rows.start, [part.cpu().numpy() for part in logits])
            bar.update(len(block))


def cut_short(store: Store, indices: NDArray[np.int64], shifts: Sequence[int]) -> int:
    """Counts the windows that cannot be moved in full by each of the shifts, bp, because they lie at a contig's end."""
    layout = store.layout
    row, first, last = layout.row[indices], layout.first[indices], layout.last[indices]
    short = np.zeros(len(indices), dtype=np.bool_)
    for shift in shifts:
        short |= (row + shift < first) | (row + shift > last)
    return int(short.sum())


def _by_scheme(
    predictors: Sequence[Predictor],
    columns: Sequence[Tensor | None],
    codes: Sequence[NDArray[np.uint8]],
    strands: Strands,
    ends: Sequence[int],
) -> list[Tensor]:
    """Returns logits (b, T) by each scheme, whose passes end at `ends`, for one codes (b, L) per shift."""
    mean, found, passes = MeanProbability(), [], 0
    placed = [as_input(predictors[0].model, part) for part in codes]
    for predictor, order in zip(predictors, columns, strict=True):
        for part in placed:
            for strand in strands_of(strands):
                logits = read_strand(predictor.model, part, strand).float()
                mean.add(logits if order is None else logits[:, order])
                passes += 1
                if passes in ends:
                    found.append(mean.logits())
    return found


def _aligned(predictors: Sequence[Predictor]) -> list[Tensor | None]:
    """Returns each predictor's column for each task of the first; None if the order is the same."""
    first = predictors[0]
    names = [task.name for task in first.tasks]
    orders: list[Tensor | None] = []
    for number, other in enumerate(predictors[1:], start=2):
        where = {task.name: column for column, task in enumerate(other.tasks)}
        lacking, besides = [name for name in names if name not in where], sorted(set(where) - set(names))
        if lacking or besides:
            told = [f"lacks {_listed(lacking)}"] * bool(lacking) + [f"has {_listed(besides)} besides"] * bool(besides)
            raise InputError(
                f"model {number} of the ensemble has other tasks than the first: it {' and '.join(told)}",
                expected="models of the same tasks, by name, in any order",
            )
        for what in ("window", "bin", "device"):
            if getattr(other, what) != getattr(first, what):
                raise InputError(
                    f"model {number} of the ensemble has the {what} {getattr(other, what)}",
                    expected=f"{getattr(first, what)}, as the first has",
                )
        order = [where[name] for name in names]
        same = order == list(range(len(names)))
        orders.append(None if same else torch.tensor(order, device=first.device))
    return [None, *orders]


def _listed(names: list[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")

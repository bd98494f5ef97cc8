"""Several ways to average predictions from one pass over the windows, each beside the plain one.

A scheme's passes are the first few of the next one's, so that their sums are looked at on the way and nothing is
computed twice. All of them average probabilities.
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

# Takes the position of a block's first window among all, and the block's logits (b, T) by each scheme.
Write = Callable[[int, list[NDArray[np.float32]]], None]


class Scheme(NamedTuple):
    """A way to average.

    Args:
        name: E.g. "both strands, 3 shifts of 2 models".
        passes: How many passes through a network it takes; those of one scheme begin with those of the one before.
    """

    name: str
    passes: int


@dataclass(frozen=True)
class Averaging:
    """What predictions of a store's windows are averaged over.

    Args:
        strands: "both", or the one that is read.
        shifts: By how many bp, besides 0, windows are moved to the right, e.g. (-10, 10). A store has no bases beyond
            its contigs: a move that would reach further past a contig's end than any window of the store does is cut
            short there, and where each window is a contig of its own none moves at all. `cut_short` counts.

    Raises:
        InputError: A shift is 0 or stands twice.
    """

    strands: Strands = "both"
    shifts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if 0 in self.shifts or len(set(self.shifts)) < len(self.shifts):
            raise InputError(
                f"the shifts {', '.join(map(str, self.shifts))}",
                expected="whole numbers of bp other than 0, each once; the windows as they are always take part",
            )

    def schemes(self, models: int = 1) -> tuple[Scheme, ...]:
        """The plain way first: one model, one strand, windows as they are; then each with more than the one before.

        Args:
            models: How many models the last scheme averages over.
        """
        first, *second = strands_of(self.strands)
        found = [Scheme(f"{first} strand", 1)]
        if second:
            found.append(Scheme("both strands", 2))
        if self.shifts:
            # Windows as they are count as a shift of 0.
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

    Logits are raw: temperatures of the predictors play no part. A temperature for a scheme is fitted on its logits,
    after the mean was taken.

    Args:
        predictors: An ensemble, of the same kind of model or of several; schemes but the last are those of the first.
        store: The dataset.
        indices: Which windows, (n,).
        averaging: Over what is averaged.
        batch_size: Windows a forward pass.
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
            f"a shift of {far[0]:,} bp leaves the middle of the window out",
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
    """How many windows cannot be moved by each of the shifts, bp, in full, for they lie at an end of their contig."""
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
    """Logits (b, T) by each scheme, of which the passes end at `ends`, of codes (b, L) a shift."""
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
    """Which column of each predictor is each task of the first; None where the order is the same."""
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

"""Scores and labels a few tasks at a time, from memory or from disk, each task's side by side in memory.

Every measure reads this one form, so that what is right for an array is right for predictions of a whole genome that
never are in memory at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from noncoder.compiled import compiled, in_threads
from noncoder.errors import InputError
from noncoder.metrics.ondisk import open_scores

Scores = NDArray[np.float32] | NDArray[np.float64]

# A cache line holds sixteen float32: as many columns of a row-major array are had for the price of one.
_AT_A_TIME = 32


class PackedBits(NamedTuple):
    """Labels as a store keeps them: 919 tasks in 115 bytes a window.

    Args:
        bits: (N, ceil(S / 8)) uint8, the first task in the highest bit, of S tasks.
        columns: Which of the S each of the T tasks is, (T,).
    """

    bits: NDArray[np.uint8]
    columns: Sequence[int]


class Tile(NamedTuple):
    """Some tasks, each a row of its own.

    Args:
        first: The column of the first.
        scores: (t, N) float32 or float64, finite.
        truth: (t, N), true for a positive; false where the label is unknown.
        known: (t, N), true where the label counts; None for everywhere.
    """

    first: int
    scores: Scores
    truth: NDArray[np.bool_]
    known: NDArray[np.bool_] | None


class Columns:
    """Scores and labels of N windows and T tasks, read some tasks at a time.

    Args:
        logits: (N, T) scores; a torch tensor is taken too. Or a .npy file of them in Fortran's order, a task after the
            other, which is then never in memory as a whole.
        labels: (N, T), 0 or 1; or packed bits.
        known: (N, T), true where the label counts; or packed bits; None for everywhere.
        names: What the tasks are called, for messages.
        order: Which columns of the logits the T tasks are, (T,); None for all in their order.

    Raises:
        InputError: Shapes differ, there is no such column, labels are no numbers, or the file is not such a file.
    """

    def __init__(
        self,
        logits: ArrayLike | Path,
        labels: ArrayLike | PackedBits,
        known: ArrayLike | PackedBits | None = None,
        names: Sequence[str] = (),
        order: Sequence[int] | None = None,
    ) -> None:
        self._file = open_scores(logits) if isinstance(logits, Path) else None
        self._scores = None if isinstance(logits, Path) else _float(logits)
        self._labels = labels if isinstance(labels, PackedBits) else _plain(labels)
        self._known = known if known is None or isinstance(known, PackedBits) else _plain(known).astype(bool)
        self.names, self._order = tuple(names), None if order is None else tuple(order)
        shape = self._scores.shape if self._scores is not None else self._file.shape  # type: ignore[union-attr]
        if self._order is not None and len(shape) == 2:
            _check_columns("order", self._order, shape[1])
            shape = (shape[0], len(self._order))
        shapes = {"labels": _shape(self._labels)} | ({} if self._known is None else {"known": _shape(self._known)})
        if len(shape) != 2 or any(other != shape for other in shapes.values()):
            told = "".join(f", {name} {other}" for name, other in shapes.items())
            raise InputError(f"logits {shape}{told}", expected="one shape (N, T) for all")
        for name, table in (("labels", self._labels), ("known", self._known)):
            if isinstance(table, PackedBits):
                _check_columns(name, table.columns, 8 * table.bits.shape[1])
        self.shape: tuple[int, int] = (int(shape[0]), int(shape[1]))
        if self.names and len(self.names) != self.shape[1]:
            raise InputError(f"{len(self.names)} names for {self.shape[1]} tasks", expected="a name for every task")

    def tiles(self, at_a_time: int = _AT_A_TIME) -> Iterator[Tile]:
        """All tasks, a few at a time.

        Args:
            at_a_time: How many.

        Raises:
            InputError: A logit is NaN or infinite, or a known label is neither 0 nor 1; tasks with such logits are
                counted.
        """
        for first in range(0, self.shape[1], at_a_time):
            last = min(first + at_a_time, self.shape[1])
            scores = self._read(first, last)
            # A sum is finite only where all of its terms are; one that overflows is looked at again.
            with np.errstate(over="ignore", invalid="ignore"):
                suspect = not np.isfinite(scores.sum(axis=1)).all()
            if suspect and not np.isfinite(scores).all():
                self._tell_not_finite()
            known = None if self._known is None else _take(self._known, first, last)
            yield Tile(first, scores, self._truth(first, last, known), known)

    def _read(self, first: int, last: int) -> Scores:
        if self._order is None:
            return self._read_side_by_side(first, last)
        parts: Scores = np.concatenate([self._read_side_by_side(at, at + 1) for at in self._order[first:last]])
        return parts

    def _read_side_by_side(self, first: int, last: int) -> Scores:
        if self._scores is None:
            assert self._file is not None
            return self._file.read(first, last)
        rows: Scores = _rows(self._scores, first, last)
        return rows

    def _truth(self, first: int, last: int, known: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
        given = _take(self._labels, first, last)
        if given.dtype == np.uint8 and given.max(initial=0) <= 1:
            given = given.view(np.bool_)  # as they lie there
        if given.dtype != np.bool_:
            self._tell_wrong_labels(given, first, known)
            given = given == 1
        truth: NDArray[np.bool_] = given if known is None else given & known
        return truth

    def _tell_wrong_labels(self, given: NDArray[Any], first: int, known: NDArray[np.bool_] | None) -> None:
        wrong = (given != 0) & (given != 1)
        if known is not None:
            wrong &= known
        if wrong.any():
            task = first + int(np.flatnonzero(wrong.any(axis=1))[0])
            raise InputError(
                f"the label {given[wrong][0]} of {self._name(task)} is neither 0 nor 1",
                expected="0 or 1; mark unknown labels in known",
            )

    def _tell_not_finite(self) -> None:
        """Counts over all tasks what is no number, which takes another look at all of them."""
        edges = [*range(0, self.shape[1], _AT_A_TIME), self.shape[1]]
        wrong = np.concatenate([(~np.isfinite(self._read(*pair))).sum(axis=1) for pair in pairwise(edges)])
        tasks = np.flatnonzero(wrong)
        listed = ", ".join(f"{self._name(task)} ({wrong[task]:,})" for task in tasks[:5])
        raise InputError(
            f"{int(wrong.sum()):,} logits are NaN or infinite, in {tasks.size} tasks: {listed}"
            + (", …" if tasks.size > 5 else ""),
            expected="finite logits",
        )

    def _name(self, task: int) -> str:
        return repr(self.names[task]) if self.names else f"column {task}"


def _array(table: Any) -> NDArray[Any]:
    if hasattr(table, "detach"):
        table = table.detach().cpu()
        table = table.float() if str(table.dtype) == "torch.bfloat16" else table  # NumPy has no such type
    return np.asarray(table)


def _float(logits: Any) -> Scores:
    scores = _array(logits)
    if scores.dtype in (np.float32, np.float64):
        return scores
    # float32 would tie whole numbers above 2 ** 24.
    small = np.can_cast(scores.dtype, np.float32)
    return scores.astype(np.float32) if small else scores.astype(np.float64)


def _plain(labels: Any) -> NDArray[Any]:
    """Labels of a type that there is machine code for."""
    table = _array(labels)
    if (table.dtype.kind in "biu" and table.dtype.isnative) or table.dtype in (np.float32, np.float64):
        return table
    try:
        return table.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"labels of the type {table.dtype}: {error}", expected="0 or 1") from error


def _check_columns(name: str, columns: Sequence[int], n: int) -> None:
    # Machine code would read on beyond the end of a row.
    wrong = [column for column in columns if not 0 <= column < n]
    if wrong:
        raise InputError(f"column {wrong[0]} in {name}, of {n}", expected=f"0 to {n - 1}")


def _shape(labels: NDArray[Any] | PackedBits) -> tuple[int, ...]:
    return (len(labels.bits), len(labels.columns)) if isinstance(labels, PackedBits) else labels.shape


def _take(table: NDArray[Any] | PackedBits, first: int, last: int) -> Any:
    return (_bits if isinstance(table, PackedBits) else _rows)(table, first, last)  # type: ignore[arg-type]


def _rows(table: NDArray[Any], first: int, last: int) -> Any:
    """Columns as rows; without a copy where the table lies in memory that way."""
    part = table[:, first:last].T
    if part.flags.c_contiguous:
        return part
    rows = np.empty(part.shape, dtype=table.dtype)
    whole = table if table.flags.c_contiguous else np.ascontiguousarray(table[:, first:last])
    at = first if whole is table else 0
    in_threads(_turn, ((whole[a:b], at, rows[:, a:b]) for a, b in _parts(len(table))))
    return rows


def _bits(packed: PackedBits, first: int, last: int) -> NDArray[np.bool_]:
    columns = np.asarray(packed.columns[first:last], dtype=np.int64)
    rows = np.empty((columns.size, len(packed.bits)), dtype=np.bool_)
    in_threads(_unpack, ((packed.bits[a:b], columns, rows[:, a:b]) for a, b in _parts(len(packed.bits))))
    return rows


def _parts(n: int, size: int = 1 << 16) -> Iterator[tuple[int, int]]:
    return ((at, min(at + size, n)) for at in range(0, n, size))


@compiled
def _turn(table: NDArray[Any], first: int, rows: NDArray[Any]) -> None:
    n_tasks, n = rows.shape
    for at in range(0, n, 64):
        # Sixty-four rows at a time stay in the cache while their columns are taken one by one.
        end = min(at + 64, n)
        for task in range(n_tasks):
            for i in range(at, end):
                rows[task, i] = table[i, first + task]


@compiled
def _unpack(bits: NDArray[np.uint8], columns: NDArray[np.int64], rows: NDArray[np.bool_]) -> None:
    n_tasks, n = rows.shape
    for at in range(0, n, 64):
        end = min(at + 64, n)
        for task in range(n_tasks):
            byte, shift = columns[task] >> 3, 7 - (columns[task] & 7)
            for i in range(at, end):
                rows[task, i] = (bits[i, byte] >> shift) & 1 != 0


__all__ = ["Columns", "PackedBits", "Tile"]

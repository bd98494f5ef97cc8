"""Reads scores and labels a few tasks at a time, from memory or from disk, with each task contiguous in memory.

Every measure reads this form, so the same code measures an array and the predictions of a whole genome, which never
fit in memory at once.
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

# A cache line holds sixteen float32, so reading that many columns of a row-major array costs the same as reading one.
_AT_A_TIME = 32


class PackedBits(NamedTuple):
    """Labels packed as in a store: 919 tasks in 115 bytes per window.

    Args:
        bits: (N, ceil(S / 8)) uint8, the first task in the highest bit, of S tasks.
        columns: Position of each of the T tasks among the S, (T,).
    """

    bits: NDArray[np.uint8]
    columns: Sequence[int]


class Tile(NamedTuple):
    """Some tasks, one per row.

    Args:
        first: Column of the first task.
        scores: (t, N) float32 or float64, finite.
        truth: (t, N), true for a positive; false if the label is unknown.
        known: (t, N), true where the label counts; None for all.
    """

    first: int
    scores: Scores
    truth: NDArray[np.bool_]
    known: NDArray[np.bool_] | None


class Columns:
    """Scores and labels of N windows and T tasks, read some tasks at a time.

    Args:
        logits: (N, T) scores as an array or a torch tensor, or a .npy file of them in Fortran order (one task after
            the other), which is never loaded as a whole.
        labels: (N, T), 0 or 1; or packed bits.
        known: (N, T), true where the label counts; or packed bits; None for all.
        names: Names of the tasks, for messages.
        order: Column of each of the T tasks in the logits, (T,); None for all in order.

    Raises:
        InputError: Shapes differ, a column does not exist, labels are not numbers, or the file is not such a file.
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
            raise InputError(f"{len(self.names)} names for {self.shape[1]} tasks", expected="one name per task")

    def tiles(self, at_a_time: int = _AT_A_TIME) -> Iterator[Tile]:
        """Yields all tasks, a few at a time.

        Args:
            at_a_time: Number of tasks.

        Raises:
            InputError: A logit is NaN or infinite, or a known label is neither 0 nor 1; the message counts tasks with
                such logits.
        """
        for first in range(0, self.shape[1], at_a_time):
            last = min(first + at_a_time, self.shape[1])
            scores = self._read(first, last)
            # A sum is finite only if all of its terms are; a sum may also overflow, so its terms are checked then.
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
            given = given.view(np.bool_)  # without a copy
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
        """Counts values that are not finite over all tasks, which reads all of them again."""
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
        table = table.float() if str(table.dtype) == "torch.bfloat16" else table  # NumPy has no bfloat16
    return np.asarray(table)


def _float(logits: Any) -> Scores:
    scores = _array(logits)
    if scores.dtype in (np.float32, np.float64):
        return scores
    # float32 would tie integers above 2 ** 24.
    small = np.can_cast(scores.dtype, np.float32)
    return scores.astype(np.float32) if small else scores.astype(np.float64)


def _plain(labels: Any) -> NDArray[Any]:
    """Converts labels to a type for which there is compiled code."""
    table = _array(labels)
    if (table.dtype.kind in "biu" and table.dtype.isnative) or table.dtype in (np.float32, np.float64):
        return table
    try:
        return table.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"labels of the type {table.dtype}: {error}", expected="0 or 1") from error


def _check_columns(name: str, columns: Sequence[int], n: int) -> None:
    # Compiled code would read beyond the end of a row.
    wrong = [column for column in columns if not 0 <= column < n]
    if wrong:
        raise InputError(f"column {wrong[0]} in {name}, of {n}", expected=f"0 to {n - 1}")


def _shape(labels: NDArray[Any] | PackedBits) -> tuple[int, ...]:
    return (len(labels.bits), len(labels.columns)) if isinstance(labels, PackedBits) else labels.shape


def _take(table: NDArray[Any] | PackedBits, first: int, last: int) -> Any:
    return (_bits if isinstance(table, PackedBits) else _rows)(table, first, last)  # type: ignore[arg-type]


def _rows(table: NDArray[Any], first: int, last: int) -> Any:
    """Returns columns as rows; without a copy if the table's memory layout allows."""
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
        # Blocks of sixty-four rows stay in the cache while their columns are read one by one.
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

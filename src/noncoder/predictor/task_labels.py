"""The labels of a split by the predictor's tasks, which are matched by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from noncoder.data.store import Store
from noncoder.data.tasks import Task
from noncoder.errors import InputError, did_you_mean
from noncoder.metrics import Blocks, Columns, PackedBits, genome_blocks

_LISTED = 8


@dataclass(frozen=True)
class Labels:
    """Labels of n windows and T tasks, as bits.

    Args:
        names: The tasks, in the predictor's order.
        truth: The labels.
        known: Which of them are known; None for all.
        train_positives: Positives of each task in the training split, (T,).
    """

    names: tuple[str, ...]
    truth: PackedBits
    known: PackedBits | None
    train_positives: NDArray[np.int64]

    def columns(self, logits: Path, order: Sequence[int] | None = None) -> Columns:
        """Scores on disk beside these labels.

        Args:
            logits: The file.
            order: Which of its columns each task is, (T,); None where they are the tasks in their order.
        """
        return Columns(logits, self.truth, self.known, self.names, order)

    def column(self, task: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which windows are known to be positive for a task, (n,), and which known to be negative, (n,).

        Args:
            task: Its place among `names`.
        """
        positive = _bit(self.truth, task)
        known = np.ones_like(positive) if self.known is None else _bit(self.known, task)
        return positive & known, ~positive & known

    @property
    def positives(self) -> NDArray[np.int64]:
        """Known positives of each task, (T,)."""
        truth = self.truth.bits if self.known is None else self.truth.bits & self.known.bits
        counts = [np.unpackbits(byte[:, None], axis=1).sum(axis=0, dtype=np.int64) for byte in truth.T]
        return np.concatenate(counts)[list(self.truth.columns)]


def _bit(table: PackedBits, task: int) -> NDArray[np.bool_]:
    byte, bit = divmod(table.columns[task], 8)
    return (table.bits[:, byte] >> (7 - bit) & 1).astype(bool)


def labels_of(tasks: Sequence[Task], store: Store, indices: NDArray[np.int64]) -> Labels:
    """The labels of windows of a store for the tasks of a predictor.

    Args:
        tasks: The predictor's.
        store: The dataset; tasks that the predictor does not know are left out.
        indices: Which windows, (n,).

    Raises:
        InputError: The store lacks tasks; they and those that it has besides are listed.
    """
    columns = match_tasks(tasks, store)
    known = store.packed_known
    return Labels(
        tuple(task.name for task in tasks),
        PackedBits(store.packed_labels[indices], columns),
        None if known is None else PackedBits(known[indices], columns),
        store.positives("train")[columns],
    )


def match_tasks(tasks: Sequence[Task], store: Store) -> list[int]:
    """The column of the store for each task of a predictor, by name.

    Raises:
        InputError: The store lacks tasks; they and those that it has besides are listed.
    """
    columns = {task.name: i for i, task in enumerate(store.tasks)}
    names = [task.name for task in tasks]
    missing = [name for name in names if name not in columns]
    if missing:
        besides = tasks_besides(tasks, store)
        more = f"; it has {len(besides):,} besides: {_some(besides)}" if besides else ""
        raise InputError(
            f"{store.path} lacks {len(missing):,} of the model's {len(names):,} tasks: {_some(missing)}{more}",
            expected="a store with the model's tasks, by name and in any order",
            hint=did_you_mean(missing[0], besides),
        )
    return [columns[name] for name in names]


def stretches(store: Store, indices: NDArray[np.int64], length: int | None) -> Blocks:
    """What a resample draws of windows of a store.

    Args:
        store: The dataset.
        indices: Which windows, (n,).
        length: Of a stretch, bp; None for one that suits the windows: one each where each is a sequence of its own, as
            records of a table are, else as `genome_blocks` chooses.
    """
    if length is None and not store.info.coordinates and len(store.contigs[0]) == len(store):
        return Blocks(np.arange(indices.size, dtype=np.int32), store.window)
    return genome_blocks(store.start[indices], store.window, length)


def tasks_besides(tasks: Sequence[Task], store: Store) -> list[str]:
    """The tasks of a store that a predictor does not know."""
    known = {task.name for task in tasks}
    return [task.name for task in store.tasks if task.name not in known]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_LISTED]) + (", …" if len(names) > _LISTED else "")

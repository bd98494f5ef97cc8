"""The labels of a split in the order of the predictor's tasks, matched by name."""

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
    """Labels of n windows and T tasks, packed as bits.

    Args:
        names: The tasks, in the predictor's order.
        truth: The labels.
        known: Which labels are known; None for all.
        train_positives: Positives of each task in the training split, (T,).
    """

    names: tuple[str, ...]
    truth: PackedBits
    known: PackedBits | None
    train_positives: NDArray[np.int64]

    def columns(self, logits: Path, order: Sequence[int] | None = None) -> Columns:
        """Combines scores on disk with these labels.

        Args:
            logits: The file.
            order: Column of each task in the file, (T,); None if the columns are the tasks in order.
        """
        return Columns(logits, self.truth, self.known, self.names, order)

    def column(self, task: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Returns which windows are known positives of a task, (n,), and which are known negatives, (n,).

        Args:
            task: Position of the task in `names`.
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
    """Reads the labels of windows of a store for the tasks of a predictor.

    Args:
        tasks: Tasks of the predictor.
        store: The dataset; tasks that the predictor lacks are left out.
        indices: Store indices of the windows, (n,).

    Raises:
        InputError: The store lacks tasks of the predictor; the message lists them and the store's additional tasks.
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
    """Returns the store's column of each task of a predictor, matched by name.

    Raises:
        InputError: The store lacks tasks of the predictor; the message lists them and the store's additional tasks.
    """
    columns = {task.name: i for i, task in enumerate(store.tasks)}
    names = [task.name for task in tasks]
    missing = [name for name in names if name not in columns]
    if missing:
        besides = tasks_besides(tasks, store)
        more = f"; it has {len(besides):,} others: {_some(besides)}" if besides else ""
        raise InputError(
            f"{store.path} lacks {len(missing):,} of the model's {len(names):,} tasks: {_some(missing)}{more}",
            expected="a store with the model's tasks, by name and in any order",
            hint=did_you_mean(missing[0], besides),
        )
    return [columns[name] for name in names]


def stretches(store: Store, indices: NDArray[np.int64], length: int | None) -> Blocks:
    """Returns the resampling unit of each window.

    Args:
        store: The dataset.
        indices: Store indices of the windows, (n,).
        length: Length of a genome block, bp; None for a suitable one: one block per window if each window is a sequence
            of its own, as in a table, else as `genome_blocks` chooses.
    """
    if length is None and not store.info.coordinates and len(store.contigs[0]) == len(store):
        return Blocks(np.arange(indices.size, dtype=np.int32), store.window)
    return genome_blocks(store.start[indices], store.window, length)


def tasks_besides(tasks: Sequence[Task], store: Store) -> list[str]:
    """Returns the tasks of a store that a predictor lacks."""
    known = {task.name for task in tasks}
    return [task.name for task in store.tasks if task.name not in known]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_LISTED]) + (", …" if len(names) > _LISTED else "")

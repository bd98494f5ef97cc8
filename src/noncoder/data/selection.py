"""A store with some of its tasks: those that can be trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from noncoder.config import TrainConfig
from noncoder.data.classes import one_class_tasks
from noncoder.data.store import Codes, Indices, Store
from noncoder.errors import InputError

_ROWS = 1 << 16

Packed = NDArray[np.uint8]


class TaskSelection(Store):
    """Some tasks of a store, with its windows and its digest.

    Args:
        whole: The store.
        columns: Columns of its tasks, in this order.
    """

    def __init__(self, whole: Store, columns: Sequence[int]) -> None:
        info = replace(whole.info, tasks=tuple(whole.tasks[i] for i in columns))
        super().__init__(whole.path, whole._arrays, info)
        self.whole, self.columns = whole, list(columns)

    @cached_property
    def packed_labels(self) -> Packed:
        """One bit per task, (N, ceil(T / 8)), the first task in the highest bit."""
        return self._select(self.whole.packed_labels)

    @cached_property
    def packed_known(self) -> Packed | None:
        """Like `packed_labels`, 1 if the label is known; None if all are."""
        known = self.whole.packed_known
        return None if known is None else self._select(known)

    def read_from_disk(self, indices: Indices) -> tuple[Codes, Packed]:
        """Reads codes (n, L) and packed labels (n, ceil(T / 8)) of n neighbouring windows."""
        codes, labels = self.whole.read_from_disk(indices)
        return codes, self._select(labels)

    def positives(self, split: str | None = None) -> NDArray[np.int64]:
        """Returns the number of positive windows of a split for each task, (T,)."""
        return self.whole.positives(split)[self.columns]

    def known_counts(self, split: str | None = None) -> NDArray[np.int64]:
        """Returns the number of known labels of a split for each task, (T,)."""
        return self.whole.known_counts(split)[self.columns]

    @property
    def left_out(self) -> list[str]:
        """The names of the store's other tasks."""
        kept = set(self.columns)
        return [task.name for i, task in enumerate(self.whole.tasks) if i not in kept]

    def _select(self, packed: Packed) -> Packed:
        """Selects columns of packed rows and packs them again, in blocks, so that memory holds no byte per label."""
        selected: Packed = np.empty((len(packed), -(-len(self.columns) // 8)), dtype=np.uint8)
        for at in range(0, len(packed), _ROWS):
            rows = np.unpackbits(packed[at : at + _ROWS], axis=1)
            selected[at : at + _ROWS] = np.packbits(rows[:, self.columns], axis=1)
        return selected


def trained_tasks(store: Store, config: TrainConfig) -> Store:
    """Returns the store with the tasks to train: those with both classes in the training split.

    Raises:
        InputError: Tasks lack a class, and the recipe neither keeps nor leaves them out; or all would be left out.
    """
    found = one_class_tasks(store)
    if not found.columns or config.one_class == "keep":
        return store
    kept = [i for i in range(len(store.tasks)) if i not in set(found.columns)]
    if config.one_class == "leave-out" and kept:
        return TaskSelection(store, kept)
    raise InputError(
        f"{store.path}: in the training split {found.describe(store.tasks)}",
        expected="a known positive and a known negative of each task in the training split",
        hint="train.one_class=leave-out trains the other tasks; or build the store with another split or without them"
        if kept
        else "no other task is left; `noncoder explore` shows what the splits hold",
    )

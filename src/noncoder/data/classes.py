"""Tasks whose known labels in the training split are all of one class, which cannot be learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from noncoder.data.info import SPLITS
from noncoder.data.tasks import Task

if TYPE_CHECKING:
    from noncoder.data.store import Store

_LISTED = 8
_ROWS = 1 << 16

Packed = NDArray[np.uint8]


class OneClass(NamedTuple):
    """Columns of tasks that lack a class in the training split.

    Args:
        positive: Tasks without a known positive, but with a negative.
        negative: Tasks without a known negative, but with a positive.
        known: Tasks without any known label.
    """

    positive: list[int]
    negative: list[int]
    known: list[int]

    @property
    def columns(self) -> list[int]:
        """All of these columns, in order."""
        return sorted([*self.positive, *self.negative, *self.known])

    def describe(self, tasks: Sequence[Task]) -> str:
        """Describes which tasks lack which class, e.g. "1 task has no negative (Reb1)"; empty if none lacks one."""
        parts = []
        for what, columns in (("positive", self.positive), ("negative", self.negative), ("known label", self.known)):
            if columns:
                names = ", ".join(tasks[i].name for i in columns[:_LISTED])
                more = f" and {len(columns) - _LISTED:,} more" if len(columns) > _LISTED else ""
                have = "task has" if len(columns) == 1 else "tasks have"
                parts.append(f"{len(columns):,} {have} no {what} ({names}{more})")
        return ", ".join(parts)


class ClassesSeen:
    """Counts the classes of each task in the training split, block by block.

    Args:
        n_tasks: Number of tasks.
    """

    def __init__(self, n_tasks: int) -> None:
        self.n_tasks = n_tasks
        self._positive, self._negative = (np.zeros(-(-n_tasks // 8), dtype=np.uint8) for _ in range(2))
        self._any = False

    def add(self, labels: Packed, known: Packed | None, split: Packed) -> None:
        """Adds n windows: labels and known are bit-packed, (n, ceil(T / 8)); split is (n,)."""
        train = split == SPLITS.index("train")
        if not train.any():
            return
        self._any = True
        labels, mask = labels[train], np.uint8(255) if known is None else known[train]
        self._positive |= np.bitwise_or.reduce(labels & mask, axis=0)
        self._negative |= np.bitwise_or.reduce(~labels & mask, axis=0)

    def found(self) -> OneClass:
        """Returns the tasks that lack a class; none if there is no training window."""
        positive, negative = (
            np.unpackbits(bits, count=self.n_tasks).astype(bool) for bits in (self._positive, self._negative)
        )
        if not self._any:
            return OneClass([], [], [])
        lacking = (~positive & negative, positive & ~negative, ~positive & ~negative)
        return OneClass(*(np.flatnonzero(columns).tolist() for columns in lacking))

    def notes(self, tasks: Sequence[Task]) -> tuple[str, ...]:
        """A note on the tasks that lack a class."""
        lacking = self.found().describe(tasks)
        if not lacking:
            return ()
        return (f"in the training split {lacking}: training refuses this; see train.one_class",)


def one_class_tasks(store: Store) -> OneClass:
    """Returns the tasks of a store that lack a class in the training split; unknown labels do not count."""
    seen, known = ClassesSeen(len(store.tasks)), store.packed_known
    for at in range(0, len(store), _ROWS):
        rows = slice(at, at + _ROWS)
        seen.add(store.packed_labels[rows], None if known is None else known[rows], store.split[rows])
    return seen.found()

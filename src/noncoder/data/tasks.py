"""The task table: the meaning of each column of the labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from noncoder.errors import InputError, UnknownNameError


@dataclass(frozen=True, slots=True)
class Task:
    """One yes/no question about a sequence.

    Args:
        name: Unique among the tasks of a store.
        group: Set of tasks with which it is reported, e.g. "DNase", "TF" or "histone".
        cell: Cell type or tissue.
        assay: The experiment, e.g. "ChIP-exo", or its target.
        treatment: Treatment of the cells.
    """

    name: str
    group: str = ""
    cell: str = ""
    assay: str = ""
    treatment: str = ""

    def to_dict(self) -> dict[str, str]:
        """The fields as text."""
        return asdict(self)


def tasks_of_json(rows: Any) -> tuple[Task, ...]:
    """Reads tasks from rows.

    Args:
        rows: Results of `Task.to_dict`, one per task.

    Raises:
        InputError: A field is not text, or a name is missing, empty or occurs twice.
        TypeError: A row is not a mapping, or has other fields.
    """
    tasks = tuple(Task(**row) for row in rows)
    for i, task in enumerate(tasks):
        for field, value in task.to_dict().items():
            if not isinstance(value, str):
                raise InputError(f"the {field} of task {i + 1} is {value!r}", expected="text")
    check_names([task.name for task in tasks])
    return tasks


def check_names(names: Sequence[str]) -> None:
    """Checks that every task has a unique name.

    Raises:
        InputError: A name is empty or occurs twice.
    """
    seen: dict[str, int] = {}
    for i, name in enumerate(names):
        if not name:
            raise InputError(f"task {i + 1} has no name", expected="a name for every task")
        if name in seen:
            raise InputError(
                f"the task {name!r} is named twice, as number {seen[name] + 1} and {i + 1}",
                expected="a unique name for every task",
                hint="rename one, or merge their peaks in one file; a task sheet (--tasks) sets names",
            )
        seen[name] = i


def find_tasks(names: Sequence[str], tasks: Sequence[Task]) -> list[int]:
    """Returns the column of each name.

    Raises:
        UnknownNameError: There is no such task.
    """
    columns = {task.name: i for i, task in enumerate(tasks)}
    for name in names:
        if name not in columns:
            raise UnknownNameError("task", name, columns)
    return [columns[name] for name in names]


def group_columns(tasks: Sequence[Task]) -> dict[str, list[int]]:
    """Returns the columns of each group, in order of first appearance; tasks without a group are left out."""
    groups: dict[str, list[int]] = {}
    for i, task in enumerate(tasks):
        if task.group:
            groups.setdefault(task.group, []).append(i)
    return groups


def column_beside(tasks: Sequence[Task], name: str) -> str:
    """Returns a name for a column beside task columns; underscores are added until no task has the name.

    Args:
        tasks: The tasks, whose columns keep their names.
        name: Name of the other column if no task has it.
    """
    taken = {task.name for task in tasks}
    while name in taken:
        name += "_"
    return name

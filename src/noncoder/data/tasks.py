"""The task table: what each column of the labels stands for."""

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
        group: The set that it is reported with, e.g. "DNase", "TF" or "histone".
        cell: Cell type or tissue.
        assay: The experiment, e.g. "ChIP-exo", or its target.
        treatment: What the cells were given.
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
    """The tasks that a file lists.

    Args:
        rows: What `Task.to_dict` returned, a row a task.

    Raises:
        InputError: A field is no text, or a name is missing, empty or stands twice.
        TypeError: A row is none, or has other fields.
    """
    tasks = tuple(Task(**row) for row in rows)
    for i, task in enumerate(tasks):
        for field, value in task.to_dict().items():
            if not isinstance(value, str):
                raise InputError(f"the {field} of task {i + 1} is {value!r}", expected="text")
    check_names([task.name for task in tasks])
    return tasks


def check_names(names: Sequence[str]) -> None:
    """Makes sure that every task has a name of its own.

    Raises:
        InputError: A name is empty or stands twice.
    """
    seen: dict[str, int] = {}
    for i, name in enumerate(names):
        if not name:
            raise InputError(f"task {i + 1} has no name", expected="a name for every task")
        if name in seen:
            raise InputError(
                f"the task {name!r} is named twice, as number {seen[name] + 1} and {i + 1}",
                expected="a name of its own for every task",
                hint="rename one, or join their peaks in one file; a task sheet (--tasks) gives names freely",
            )
        seen[name] = i


def find_tasks(names: Sequence[str], tasks: Sequence[Task]) -> list[int]:
    """The column of each name.

    Raises:
        UnknownNameError: There is no such task.
    """
    columns = {task.name: i for i, task in enumerate(tasks)}
    for name in names:
        if name not in columns:
            raise UnknownNameError("task", name, columns)
    return [columns[name] for name in names]


def group_columns(tasks: Sequence[Task]) -> dict[str, list[int]]:
    """The columns of each group, in the order in which the groups first appear; tasks without a group are left out."""
    groups: dict[str, list[int]] = {}
    for i, task in enumerate(tasks):
        if task.group:
            groups.setdefault(task.group, []).append(i)
    return groups


def column_beside(tasks: Sequence[Task], name: str) -> str:
    """A name for a column that stands beside one column a task: underscores are added until no task is called so.

    Args:
        tasks: The tasks, whose columns keep their names.
        name: What the other column is called where no task has the name.
    """
    taken = {task.name for task in tasks}
    while name in taken:
        name += "_"
    return name

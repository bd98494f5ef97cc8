"""Weights of the tasks in the training loss."""

from __future__ import annotations

import csv
import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from noncoder.config import LossConfig
from noncoder.data.selection import TaskSelection
from noncoder.data.store import Store
from noncoder.data.tasks import Task
from noncoder.errors import InputError, did_you_mean
from noncoder.losses import effective_number_weights, inverse_frequency_weights


def task_weights(config: LossConfig, store: Store) -> Tensor | None:
    """Returns the weight of each task, float32 (T,); None if all are 1.

    Raises:
        InputError: The file of weights is missing or invalid.
    """
    if config.weights_file is not None:
        if isinstance(store, TaskSelection):  # the file may name tasks that are left out
            return read_weights(config.weights_file, store.whole.tasks)[store.columns]
        return read_weights(config.weights_file, store.tasks)
    positives = torch.from_numpy(store.positives("train"))
    if config.task_weights == "effective-number":
        return effective_number_weights(positives, config.beta)
    if config.task_weights == "inverse-frequency":
        shares = positives / torch.from_numpy(store.known_counts("train")).clamp(min=1)
        return inverse_frequency_weights(shares, config.cap)
    return None


def weights_digest(config: LossConfig) -> str | None:
    """Returns the SHA-256 of the file of weights; None if the recipe names none.

    Raises:
        InputError: The file cannot be read.
    """
    if config.weights_file is None:
        return None
    try:
        with config.weights_file.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(config.weights_file, error) from error


def read_weights(path: Path, tasks: Sequence[Task]) -> Tensor:
    """Reads the weights of a file, float32 (T,).

    Args:
        path: TSV with the columns task and weight.
        tasks: The tasks; tasks that are missing from the file have the weight 1.

    Raises:
        InputError: The file cannot be read, names an unknown task or a task twice, or has an invalid weight.
    """
    columns = {task.name: i for i, task in enumerate(tasks)}
    weights: dict[int, float] = {}
    for line, row in _rows(path):
        name, text = row["task"] or "", row["weight"] or ""
        if name not in columns:
            hint = did_you_mean(name, columns)
            raise InputError(f"{path}, line {line}: no task is called {name!r}", "a task of the store", hint)
        if columns[name] in weights:
            raise InputError(f"{path}, line {line}: the task {name!r} is listed twice", "each task once")
        weights[columns[name]] = _weight(text, f"{path}, line {line}")
    found = torch.tensor([weights.get(i, 1.0) for i in range(len(tasks))])
    if not found.any():
        raise InputError(f"{path} gives every task the weight 0", expected="a weight above 0")
    return found


def _rows(path: Path) -> list[tuple[int, dict[str, str | None]]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, delimiter="\t")
            if not {"task", "weight"} <= set(reader.fieldnames or ()):
                raise InputError(f"{path} has no columns task and weight", expected="a TSV whose first line names them")
            return [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> InputError:
    why = getattr(error, "strerror", None) or error
    return InputError(f"{path} cannot be read: {why}", expected="a TSV with the columns task and weight")


def _weight(text: str, where: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not 0 <= weight < math.inf:
        raise InputError(f"{where}: {text!r} is not a weight", expected="a finite number ≥ 0")
    return weight

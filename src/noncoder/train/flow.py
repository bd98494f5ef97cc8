"""Reader of the records of gradients, weights and updates; does not import Lightning."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from noncoder.files import unreadable, whole_lines

GRADIENT_COLUMNS = (
    "step", "epoch", "windows", "parameter", "dims", "gradient_mean", "gradient_max", "weight_mean", "update_ratio",
)  # fmt: skip
_MEASURES = GRADIENT_COLUMNS[5:]


class Flow(NamedTuple):
    """Records of the weight matrices and kernels, from the input to the output; without biases and norms.

    Args:
        names: Names of the parameters, (P,).
        steps: Optimiser steps, (S,).
        gradient_mean: Mean absolute gradient, (S, P); NaN for missing records.
        gradient_max: Largest absolute gradient, (S, P).
        weight_mean: Mean absolute weight before the step, (S, P).
        update_ratio: Mean absolute update over mean absolute weight, (S, P).
    """

    names: list[str]
    steps: NDArray[np.int64]
    gradient_mean: NDArray[np.floating[Any]]
    gradient_max: NDArray[np.floating[Any]]
    weight_mean: NDArray[np.floating[Any]]
    update_ratio: NDArray[np.floating[Any]]


def read_flow(path: Path) -> Flow | None:
    """Reads the records of gradients.csv; returns None if there are none.

    Raises:
        InputError: The file does not have the format that training writes.
    """
    content = whole_lines(path) if path.is_file() else b""
    if not content:
        return None
    try:
        rows = [row for row in csv.DictReader(content.decode().splitlines()) if _is_matrix(row)]
        names = list(dict.fromkeys(row["parameter"] for row in rows))
        at = np.array([int(row["step"]) for row in rows], dtype=np.int64)
        values = np.array([[float(row[measure]) for measure in _MEASURES] for row in rows])
    except (KeyError, TypeError, ValueError) as error:
        raise unreadable(path, error) from error
    if not rows:
        return None
    steps, row_of = np.unique(at, return_inverse=True)
    place = {name: i for i, name in enumerate(names)}
    column_of = [place[row["parameter"]] for row in rows]
    grids = np.full((len(_MEASURES), steps.size, len(names)), np.nan)
    grids[:, row_of, column_of] = values.T
    return Flow(names, steps, *grids)


def _is_matrix(row: dict[str, str]) -> bool:
    """Returns whether a row is complete and belongs to a matrix or kernel."""
    return row["update_ratio"] not in (None, "") and int(row["dims"]) > 1

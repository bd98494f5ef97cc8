"""The records of gradients, weights and updates, as arrays; needs no Lightning."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from noncoder.files import unreadable, whole_lines

GRADIENT_COLUMNS = (
    "step", "epoch", "windows", "parameter", "dims", "gradient_mean", "gradient_max", "weight_mean", "update_ratio",
)  # fmt: skip
_MEASURES = GRADIENT_COLUMNS[5:]


class Flow(NamedTuple):
    """What was recorded of the weight matrices and kernels, from the input to the output; biases and norms left out.

    Args:
        names: The parameters, (P,).
        steps: Optimiser steps, (S,).
        gradient_mean: Mean absolute gradient, (S, P); NaN where there is no record.
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
    """The records of gradients.csv; None where there is none.

    Raises:
        InputError: The file is not as training writes it.
    """
    content = whole_lines(path) if path.is_file() else b""
    if not content:
        return None
    try:
        table = pl.read_csv(content, infer_schema=False, truncate_ragged_lines=True)
        numbers = [pl.col(name).cast(pl.Float64, strict=False) for name in ("step", "dims", *_MEASURES)]
        table = table.with_columns(numbers).filter(pl.col("update_ratio").is_not_null() & (pl.col("dims") > 1))
    except pl.exceptions.PolarsError as error:
        raise unreadable(path, error) from error
    if not table.height:
        return None
    names = table["parameter"].unique(maintain_order=True).to_list()
    steps = np.unique(table["step"].to_numpy()).astype(np.int64)
    place = {name: i for i, name in enumerate(names)}
    row = np.searchsorted(steps, table["step"].to_numpy())
    column = np.array([place[name] for name in table["parameter"]])
    values = []
    for measure in _MEASURES:
        grid = np.full((steps.size, len(names)), np.nan)
        grid[row, column] = table[measure].to_numpy()
        values.append(grid)
    return Flow(names, steps, *values)

"""Others' trained weights, as predictors.

>>> from noncoder.importers import import_weights
>>> import_weights("deepsea-kipoi", "deepsea_predict.pth", "predictors/deepsea")  # doctest: +SKIP

A format is one module here, with a function that reads a file into `Imported`, and an entry in `FORMATS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from noncoder.data.bed import sha256
from noncoder.data.peak_files import read_tasks
from noncoder.data.tasks import Task
from noncoder.errors import InputError, NoncoderError, UnknownNameError
from noncoder.files import refuse_existing, unwritable
from noncoder.importers.danq_keras import read_danq
from noncoder.importers.deepsea_kipoi import read_deepsea
from noncoder.importers.report import read_report
from noncoder.importers.weight_files import Imported, Weights, check_file, check_finite, shorten
from noncoder.machine import memory_problem
from noncoder.models import count_parameters, create_model
from noncoder.predictor import Predictor, is_predictor

FORMATS: Mapping[str, Callable[[Path], Imported]] = {
    "danq-keras": read_danq,
    "deepsea-kipoi": read_deepsea,
    "report": read_report,
}
"""How a file of each format is read. All of them are models of 1,000 bp around a bin of 200."""

_WINDOW, _BIN = 1000, 200
_GROUPS = {"DNase": 125, "TF": 690, "histone": 104}  # DeepSEA's 919 columns, in this order


def import_weights(
    format: str, path: str | Path, out: str | Path, tasks: str | Path | None = None, force: bool = False
) -> dict[str, Any]:
    """Writes a predictor with somebody else's weights.

    Args:
        format: One of `FORMATS`.
        path: The file of weights.
        out: The predictor's folder.
        tasks: A task sheet, with the columns name and any of group, cell, assay, treatment; without one the tasks are
            numbered, and 919 of them are in DeepSEA's groups.
        force: Replace a predictor that is there.

    Returns:
        "predictor", "model", "parameters", "n_parameters", "tasks", "groups", "window", "bin", and "imported" with
        the file's "format", "file", "sha256" and "notes".

    Raises:
        UnknownNameError: There is no such format.
        InputError: The file cannot be read or is not of the model; the sheet does not fit; the folder is taken.
    """
    if format not in FORMATS:
        raise UnknownNameError("format", format, FORMATS)
    path, out = Path(path), Path(out)
    check_file(path)
    _check_free(out, force)
    named = read_tasks(Path(tasks)) if tasks is not None else None
    imported = _read(format, path)
    check_finite(path, imported.weights)
    columns = _numbered(imported.tasks) if named is None else named
    if len(columns) != imported.tasks:
        raise InputError(
            f"{tasks} names {len(columns)} tasks", expected=f"{imported.tasks}, as many as {path} has, in their order"
        )
    with torch.device("meta"):  # the file's tensors take the place of weights that never were
        model = create_model(imported.model, imported.tasks, _WINDOW, imported.parameters)
    _check_types(path, imported.weights, model.state_dict())
    model.load_state_dict(imported.weights, assign=True)
    source = {"format": format, "file": path.name, "sha256": sha256(path), "notes": imported.notes}
    Predictor(model, tuple(columns), _BIN, {"imported": source}).save(out)
    return {
        "predictor": str(out),
        "model": imported.model,
        "parameters": imported.parameters,
        "n_parameters": count_parameters(model),
        "tasks": imported.tasks,
        "groups": sorted({task.group for task in columns} - {""}),
        "window": _WINDOW,
        "bin": _BIN,
        "imported": source,
    }


def _read(format: str, path: Path) -> Imported:
    try:
        return FORMATS[format](path)
    except NoncoderError:
        raise
    except Exception as error:  # what somebody else's file holds may be wrong in any way
        if memory_problem(error) is not None:
            raise
        raise InputError(
            f"{path} does not hold the weights of a model as {format} has them ({type(error).__name__}: "
            f"{shorten(str(error))})",
            hint="compare its size and digest with the source's, and fetch it again",
        ) from error


def _check_types(path: Path, found: Weights, expected: Weights) -> None:
    """Makes sure that weights are floating-point numbers."""
    for name, tensor in expected.items():
        if name in found and found[name].is_floating_point() != tensor.is_floating_point():
            kind = str(found[name].dtype).removeprefix("torch.")
            raise InputError(f"{path}: {name} is of the type {kind}", expected="floating-point numbers")


def _check_free(out: Path, force: bool) -> None:
    try:
        taken = out.exists() and not (out.is_dir() and not any(out.iterdir()))
    except OSError as error:
        raise unwritable(out, error) from error
    if taken:
        refuse_existing(out, force)
    if taken and not is_predictor(out):
        raise InputError(
            f"{out} is no predictor, so it is not replaced", expected="a predictor, or a name that is free",
            hint="give another name",
        )  # fmt: skip


def _numbered(n: int) -> list[Task]:
    groups = [group for group, size in _GROUPS.items() for _ in range(size)]
    if n != len(groups):
        groups = [""] * n
    return [Task(f"task{i:0{len(str(n - 1))}}", group) for i, group in enumerate(groups)]

"""The arrays of a task's folder, written completely or not at all, and read by later steps."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noncoder.errors import InputError
from noncoder.files import read_arrays, write_bytes
from noncoder.interpret.attribution import Attribution
from noncoder.interpret.choosing import ChosenWindows
from noncoder.runs.folder import TaskFolder

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Found:
    """The attributions of a task's windows.

    Args:
        windows: The n windows.
        attribution: Contributions of their bases.
        logit: The model's logit for the task, forward strand, (n,).
    """

    windows: ChosenWindows
    attribution: Attribution
    logit: NDArray[np.float32]


def save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Writes arrays as one .npz file, complete or absent."""
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **arrays)
    write_bytes(path, content.getbuffer())


def load_arrays(path: Path, *names: str) -> Arrays | None:
    """Reads the arrays of an .npz file; None if it does not exist or is damaged, which is reported.

    Args:
        path: The file.
        names: Names of required arrays.
    """
    if not path.is_file():
        return None
    try:
        found = read_arrays(path)
    except InputError as error:
        print(f"{error.found}; it is made again", file=sys.stderr)
        return None
    lacking = [name for name in names if name not in found]
    if lacking:
        print(f"{path} lacks {', '.join(lacking)}; it is made again", file=sys.stderr)
        return None
    return found


def save_found(folder: TaskFolder, found: Found) -> None:
    """Writes attributions.npz."""
    attribution, windows = found.attribution, found.windows
    arrays: Arrays = {
        "codes": attribution.codes,
        "values": attribution.values,
        "chrom": windows.chrom,
        "start": windows.start,
        "row": windows.row,
        "on_genome": np.array(windows.on_genome),
        "logit": found.logit,
        "hypothetical": np.array(attribution.hypothetical),
        "warnings": np.array(attribution.warnings, dtype=np.str_),
    }
    if attribution.explained is not None:
        arrays["explained"] = attribution.explained
    save_arrays(folder.attributions, arrays)


def load_found(folder: TaskFolder, windows: ChosenWindows, method: str) -> Found | None:
    """Reads the file of `save_found` for these windows; None if it does not exist or is damaged."""
    stored = load_arrays(folder.attributions, "codes", "values", "hypothetical", "warnings", "logit")
    if stored is None or not np.array_equal(stored["codes"], windows.codes):
        return None
    attribution = Attribution(
        method,
        stored["codes"],
        stored["values"],
        bool(stored["hypothetical"]),
        stored.get("explained"),
        tuple(stored["warnings"].tolist()),
    )
    return Found(windows, attribution, stored["logit"])

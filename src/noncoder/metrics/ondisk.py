"""Scores in a .npy file, of which only the requested columns are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from noncoder.errors import InputError


class ScoresOnDisk(NamedTuple):
    """A file of scores (N, T) in Fortran order.

    Args:
        path: Path of the file.
        offset: Position of the first number, bytes.
        shape: Shape in its header.
        dtype: float32 or float64.
    """

    path: Path
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def read(self, first: int, last: int) -> NDArray[Any]:
        """Reads some columns as rows, (last - first, N).

        Raises:
            InputError: The file is shorter than its header says.
        """
        n = self.shape[0]
        offset = self.offset + first * n * self.dtype.itemsize
        found = np.fromfile(self.path, dtype=self.dtype, count=(last - first) * n, offset=offset)
        if found.size != (last - first) * n:
            raise InputError(f"{self.path} ends too early", hint="write it again: `noncoder evaluate --force`")
        return found.reshape(last - first, n)


def open_scores(path: Path) -> ScoresOnDisk:
    """Reads the header of a .npy file.

    Raises:
        InputError: There is no such file, or its numbers have another type or are in C order.
    """
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(file)
            offset = file.tell()
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}", expected="a .npy file") from error
    fortran = fortran or 1 in shape  # NumPy calls an array that is in both orders C-ordered
    if not fortran or dtype not in (np.float32, np.float64):
        raise InputError(
            f"{path} holds {dtype} in {'Fortran' if fortran else 'C'} order", expected="float32 in Fortran order",
            hint="numpy.save(path, numpy.asfortranarray(scores)); what `noncoder evaluate` wrote before 2026-11-26, it "
            "writes anew",
        )  # fmt: skip
    return ScoresOnDisk(path, offset, shape, dtype)

"""Scores of windows and tasks on disk: written one block of windows at a time, read a few tasks at a time.

The format is a .npy file in Fortran order, so that each task is contiguous, as metrics need it. The writer never holds
more than one block in memory: predictions of a genome are larger than memory.
"""

from __future__ import annotations

import io
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from noncoder.files import unwritable
from noncoder.temporary import Temporary

# A block is written as one run of bytes per task: 32 MiB of 919 tasks make runs of 36 KB.
_BLOCK_BYTES = 32 << 20


class ScoresFile:
    """Writes float32 scores (n, T) as a .npy file in Fortran order that is complete or absent.

    Use it as a context manager: the file gets its name when the block ends and all n windows were written. After an
    exception or an interrupt, the earlier file is unchanged. `numpy.load` and `noncoder.metrics.Columns` read it.

    Args:
        path: Path of the file.
        n: Number of windows.
        n_tasks: Number of tasks, T.
        block_bytes: Approximate size of the part held in memory.

    Raises:
        InputError: It cannot be written, or the disk has too little space, which is checked at the start.
    """

    def __init__(self, path: Path, n: int, n_tasks: int, block_bytes: int = _BLOCK_BYTES) -> None:
        self.path, self.shape = path, (n, n_tasks)
        self._made: Temporary | None = None
        rows = min(n, max(1, block_bytes // max(1, 4 * n_tasks)))
        self._block = np.empty((n_tasks, rows), dtype=np.float32)
        self._written, self._held, self._file = 0, 0, -1

    def __enter__(self) -> ScoresFile:
        header = io.BytesIO()
        described = {"descr": "<f4", "fortran_order": True, "shape": self.shape}
        np.lib.format.write_array_header_1_0(header, described)
        self._offset = header.tell()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._made = Temporary(self.path)
            self._file = os.open(self._made.path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
            _reserve(self._file, self._offset + 4 * self.shape[0] * self.shape[1])
            _write(self._file, memoryview(header.getbuffer()), 0)
        except OSError as error:
            self._discard()
            raise unwritable(self.path, error) from error
        except BaseException:
            self._discard()
            raise
        return self

    def append(self, scores: NDArray[np.float32]) -> None:
        """Appends the next windows' scores, (b, T).

        Raises:
            InputError: The system refuses to write.
        """
        if scores.shape[1:] != self.shape[1:] or self._written + self._held + len(scores) > self.shape[0]:
            raise ValueError(f"scores {scores.shape} after {self._written + self._held} rows of {self.shape}")
        taken = 0
        while taken < len(scores):
            fits = min(len(scores) - taken, self._block.shape[1] - self._held)
            self._block[:, self._held : self._held + fits] = scores[taken : taken + fits].T
            self._held, taken = self._held + fits, taken + fits
            if self._held == self._block.shape[1]:
                self._flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._discard()

    def _finish(self) -> None:
        self._flush()
        if self._written != self.shape[0]:
            raise ValueError(f"{self._written} rows of {self.shape[0]} were written to {self.path}")
        try:
            os.close(self._file)  # on some file systems only closing reports that the disk is full
            self._file = -1
            assert self._made is not None
            self._made.put()
        except OSError as failure:
            raise unwritable(self.path, failure) from failure

    def _flush(self) -> None:
        n = self.shape[0]
        if not self._held:
            return
        try:
            for task, run in enumerate(self._block[:, : self._held]):
                _write(self._file, run.data.cast("B"), self._offset + 4 * (task * n + self._written))
        except OSError as error:
            raise unwritable(self.path, error) from error
        self._written, self._held = self._written + self._held, 0

    def _discard(self) -> None:
        with suppress(OSError):
            if self._file >= 0:
                os.close(self._file)
        self._file = -1
        if self._made is not None:
            self._made.release()


def _reserve(file: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:  # macOS
        os.ftruncate(file, size)


def _write(file: int, content: memoryview, at: int) -> None:
    while content:
        written = os.pwrite(file, content, at)
        content, at = content[written:], at + written

"""A file for HDF5 that does not fail on a full disk."""

from __future__ import annotations

import io
from typing import Any, BinaryIO


class Sink(io.RawIOBase):
    """A file that stores the first error until it is requested; later writes stay in memory.

    HDF5 cannot close a file after a failed write: its remains crash the process later.

    Args:
        file: A file that is open for reading and writing.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.error: OSError | None = None
        self._beside: list[tuple[int, bytes]] = []
        self._at = self._end = 0

    def check(self) -> None:
        """Raises the stored error, if there is one.

        Raises:
            OSError: The system refused a write.
        """
        if self.error is not None:
            raise self.error

    def write(self, data: Any) -> int:
        """Writes at the current position."""
        content = memoryview(data).cast("B")
        if self.error is None:
            try:
                self.file.seek(self._at)
                self.file.write(content)
            except OSError as error:
                self.error = error
        if self.error is not None:
            self._beside.append((self._at, bytes(content)))
        self._at += len(content)
        self._end = max(self._end, self._at)
        return len(content)

    def readinto(self, buffer: Any) -> int:
        """Reads from the current position; zeros where nothing could be written."""
        target = memoryview(buffer).cast("B")
        self.file.seek(self._at)
        found = self.file.read(len(target))
        target[:] = found.ljust(len(target), b"\0")
        for at, content in self._beside:
            first, last = max(at, self._at), min(at + len(content), self._at + len(target))
            if first < last:
                target[first - self._at : last - self._at] = content[first - at : last - at]
        self._at += len(target)
        return len(target)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves to a position."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._end}[whence]
        return self._at

    def tell(self) -> int:
        """Returns the current position."""
        return self._at

    def truncate(self, size: int | None = None) -> int:
        """Sets the length."""
        self._end = self._at if size is None else size
        if self.error is None:
            try:
                self.file.truncate(self._end)
            except OSError as error:
                self.error = error
        return self._end

    def flush(self) -> None:
        """Flushes buffered writes."""
        if self.error is None:
            try:
                self.file.flush()
            except OSError as error:
                self.error = error

    def readable(self) -> bool:
        """Returns true."""
        return True

    def writable(self) -> bool:
        """Returns true."""
        return True

    def seekable(self) -> bool:
        """Returns true."""
        return True

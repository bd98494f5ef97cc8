"""Random access to the bytes of a file: plain, gzipped or bgzipped."""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
import weakref
import zlib
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from noncoder.errors import SequenceError
from noncoder.temporary import scratch_folder

GZIP = b"\x1f\x8b"
# The empty block that ends every bgzip file (SAM specification, section 4.1.2).
_BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
_MOST = 1 << 30  # bytes per call; the system reads at most 2 GB at once
_EXTRA = 4  # the flag of a gzip header with extra fields
_HEADER = 12  # bytes of a gzip header with extra fields, including their length


class Bytes(Protocol):
    """Bytes with random access; `size` is their number."""

    size: int

    def read(self, start: int, end: int) -> bytes:
        """Reads the bytes from `start` to `end`."""

    def close(self) -> None:
        """Closes the file and removes temporary files."""


class PlainBytes:
    """The bytes of a plain file.

    Args:
        path: The file, which stays open: if another file replaces it under its name, this one is still read.
        label: Name of the file in messages.

    Raises:
        SequenceError: The file cannot be read, or has changed since it was opened.
    """

    def __init__(self, path: Path, label: str) -> None:
        self._label = label
        try:
            self._number = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise _unreadable(path, error) from error
        self._closing = weakref.finalize(self, os.close, self._number)
        status = os.fstat(self._number)
        self.size = status.st_size
        self._as_opened = status.st_size, status.st_mtime_ns

    def read(self, start: int, end: int) -> bytes:
        """Reads the bytes from `start` to `end`.

        Raises:
            SequenceError: They cannot be read, or the file has changed since it was opened.
        """
        parts = []
        try:
            while start < end and (part := os.pread(self._number, min(end - start, _MOST), start)):
                parts.append(part)
                start += len(part)
            status = os.fstat(self._number)
        except OSError as error:
            raise _unreadable(Path(self._label), error) from error
        if start < end or (status.st_size, status.st_mtime_ns) != self._as_opened:
            raise SequenceError(
                f"{self._label} changed while it was read",
                expected="a file that does not change",
                hint="run the command again when the file is complete",
            )
        return b"".join(parts)

    def close(self) -> None:
        """Closes the file."""
        self._closing()


class BlockedBytes:
    """The decompressed bytes of a bgzip file; only the requested blocks are decompressed.

    The checksum of each block is compared. Blocks are located in the file itself; an index beside it is not read.

    Args:
        file: The compressed bytes.
        blocks: Starts of the blocks and end of the last one, (n + 1,).
        unpacked: The same for the decompressed bytes, (n + 1,).
        label: Name of the file in messages.
    """

    def __init__(self, file: PlainBytes, blocks: NDArray[np.int64], unpacked: NDArray[np.int64], label: str) -> None:
        self._file, self._blocks, self._unpacked, self._label = file, blocks, unpacked, label
        self.size = int(unpacked[-1])
        self._recent: tuple[int, bytes] = (-1, b"")  # a block's number and content

    @classmethod
    def of(cls, file: PlainBytes, label: str) -> BlockedBytes | None:
        """Opens the content of a bgzip file; None for another kind of gzip file.

        Raises:
            SequenceError: The file ends inside a block, or lacks the last block: samtools only warns about this.
        """
        blocks, unpacked = [0], [0]
        while blocks[-1] < file.size:
            length = _block_length(file, blocks[-1])
            if length is None:
                return None
            end = blocks[-1] + length
            if end > file.size:
                raise damaged(label, "it ends inside a block")
            blocks.append(end)
            unpacked.append(unpacked[-1] + int.from_bytes(file.read(end - 4, end), "little"))
        if file.read(max(0, file.size - len(_BGZF_END)), file.size) != _BGZF_END:
            raise damaged(label, "bgzip's last block is missing")
        return cls(file, np.array(blocks, dtype=np.int64), np.array(unpacked, dtype=np.int64), label)

    def read(self, start: int, end: int) -> bytes:
        """Reads the decompressed bytes from `start` to `end`.

        Raises:
            SequenceError: A block is damaged, or the file has changed since it was opened.
        """
        if start >= end:
            return b""
        first = int(np.searchsorted(self._unpacked, start, side="right")) - 1
        last = int(np.searchsorted(self._unpacked, end))
        at = self._blocks[first : last + 1].tolist()
        packed = memoryview(self._file.read(at[0], at[-1]))
        parts = [self._unpack(first + i, packed[at[i] - at[0] : at[i + 1] - at[0]]) for i in range(last - first)]
        skipped = start - int(self._unpacked[first])
        return b"".join(parts)[skipped : skipped + end - start]

    def _unpack(self, number: int, block: memoryview) -> bytes:
        # Positions are often requested in order, many of them in one block.
        if self._recent[0] == number:
            return self._recent[1]
        size = int(self._unpacked[number + 1] - self._unpacked[number])
        try:
            # These window bits select gzip's header, checksum and length.
            content = zlib.decompress(block, wbits=31, bufsize=max(1, size))
        except zlib.error as error:
            raise damaged(self._label, error) from error
        if len(content) != size:
            raise damaged(self._label, "a block has another length than stated")
        self._recent = number, content
        return content

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class UnpackedBytes(PlainBytes):
    """The bytes of a gzip file without random access, decompressed to a temporary file first.

    Args:
        path: The gzip file, of one member or several.
        label: Name of the file in messages.

    Raises:
        SequenceError: The file is truncated or damaged, or there is no room for its content.
    """

    def __init__(self, path: Path, label: str) -> None:
        with ExitStack() as stack:
            plain = self._unpack(path, label, stack)
            super().__init__(plain, label)
            self._scratch = stack.pop_all()

    @staticmethod
    def _unpack(path: Path, label: str, stack: ExitStack) -> Path:
        folder = Path(tempfile.gettempdir())
        try:
            folder = stack.enter_context(scratch_folder(folder, "noncoder-genome"))
            with gzip.open(path, "rb") as source, (folder / "unpacked").open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 22)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise damaged(label, error) from error
        except OSError as error:
            raise SequenceError(
                f"{label} cannot be decompressed into {folder}: {error.strerror or error}",
                hint="set TMPDIR to a folder with room, or recompress the file with bgzip, which allows random access",
            ) from error
        return folder / "unpacked"

    def close(self) -> None:
        """Closes the file and removes its temporary copy."""
        super().close()
        self._scratch.close()


def open_bytes(path: Path) -> Bytes:
    """Opens a file for random access.

    Args:
        path: A plain, gzipped or bgzipped file; no index beside it is read or written.

    Raises:
        SequenceError: The file cannot be read, is truncated or damaged.
    """
    label = path.name
    plain = PlainBytes(path, label)
    try:
        if plain.read(0, min(2, plain.size)) != GZIP:
            return plain
        blocked = BlockedBytes.of(plain, label)
    except BaseException:
        plain.close()
        raise
    if blocked is not None:
        return blocked
    plain.close()
    return UnpackedBytes(path, label)


def damaged(label: str, why: object) -> SequenceError:
    """Returns the error for a compressed file that cannot be decompressed."""
    return SequenceError(
        f"{label} is truncated or damaged: {why}", expected="a complete gzip file", hint="download it again"
    )


def _unreadable(path: Path, error: OSError) -> SequenceError:
    return SequenceError(f"{path} cannot be read: {error.strerror or error}", expected="a file that you may read")


def _block_length(file: PlainBytes, at: int) -> int | None:
    """Returns the length of the bgzip block at a position, from the field "BC" of its header; None if there is none."""
    header = file.read(at, min(at + 64, file.size))
    if header[:2] != GZIP or len(header) < _HEADER or not header[3] & _EXTRA:
        return None
    fields_end = _HEADER + int.from_bytes(header[10:12], "little")
    if fields_end > len(header):
        header = file.read(at, min(at + fields_end, file.size))
    field = _HEADER
    while field + 4 <= fields_end:
        length = int.from_bytes(header[field + 2 : field + 4], "little")
        if header[field : field + 2] == b"BC" and length == 2 and field + 6 <= len(header):
            whole = int.from_bytes(header[field + 4 : field + 6], "little") + 1
            return whole if whole >= fields_end + 8 else None
        field += 4 + length
    return None

"""The bytes of a file at any place: plain, gzipped or bgzipped."""

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
_MOST = 1 << 30  # bytes a call; the system reads at most 2 GB at once
_EXTRA = 4  # the flag of a gzip header with extra fields
_HEADER = 12  # bytes of a gzip header with extra fields, up to and with their length


class Bytes(Protocol):
    """Bytes that are read by their place; `size` is how many there are."""

    size: int

    def read(self, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end`."""

    def close(self) -> None:
        """Closes the file and removes what was unpacked."""


class PlainBytes:
    """The bytes of a file as they stand in it.

    Args:
        path: The file, which stays open: when another takes its place under its name, this one is still read.
        label: How messages call it.

    Raises:
        SequenceError: The file cannot be read, or, when it is read, was changed since it was opened.
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
        """The bytes from `start` up to `end`.

        Raises:
            SequenceError: They cannot be read, or the file was changed since it was opened.
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
                f"{self._label} was changed while it was being read",
                expected="a file that stays as it is",
                hint="run the command again when the file is complete",
            )
        return b"".join(parts)

    def close(self) -> None:
        """Closes the file."""
        self._closing()


class BlockedBytes:
    """The unpacked bytes of a bgzip file, of which only the blocks that are asked for are unpacked.

    Each block's checksum is compared. The blocks are found in the file itself; an index beside it is not read.

    Args:
        file: The packed bytes.
        blocks: Where each block begins and the last one ends, (n + 1,).
        unpacked: The same for their content, (n + 1,).
        label: How messages call the file.
    """

    def __init__(self, file: PlainBytes, blocks: NDArray[np.int64], unpacked: NDArray[np.int64], label: str) -> None:
        self._file, self._blocks, self._unpacked, self._label = file, blocks, unpacked, label
        self.size = int(unpacked[-1])
        self._recent: tuple[int, bytes] = (-1, b"")  # a block's number and content

    @classmethod
    def of(cls, file: PlainBytes, label: str) -> BlockedBytes | None:
        """The content of a bgzip file; None for a gzip file of another kind.

        Raises:
            SequenceError: The file ends within a block, or lacks the last one: where it lacks, samtools only warns.
        """
        blocks, unpacked = [0], [0]
        while blocks[-1] < file.size:
            length = _block_length(file, blocks[-1])
            if length is None:
                return None
            end = blocks[-1] + length
            if end > file.size:
                raise damaged(label, "it ends within a block")
            blocks.append(end)
            unpacked.append(unpacked[-1] + int.from_bytes(file.read(end - 4, end), "little"))
        if file.read(max(0, file.size - len(_BGZF_END)), file.size) != _BGZF_END:
            raise damaged(label, "bgzip's last block is missing")
        return cls(file, np.array(blocks, dtype=np.int64), np.array(unpacked, dtype=np.int64), label)

    def read(self, start: int, end: int) -> bytes:
        """The unpacked bytes from `start` up to `end`.

        Raises:
            SequenceError: A block is damaged, or the file was changed since it was opened.
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
        # Places are often asked for in their order, many within one block.
        if self._recent[0] == number:
            return self._recent[1]
        size = int(self._unpacked[number + 1] - self._unpacked[number])
        try:
            # The window bits ask for gzip's header, checksum and length.
            content = zlib.decompress(block, wbits=31, bufsize=max(1, size))
        except zlib.error as error:
            raise damaged(self._label, error) from error
        if len(content) != size:
            raise damaged(self._label, "a block has another length than it says")
        self._recent = number, content
        return content

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class UnpackedBytes(PlainBytes):
    """The bytes of a gzip file that cannot be read at random: unpacked to a temporary file first.

    Args:
        path: The gzip file, of one member or several.
        label: How messages call it.

    Raises:
        SequenceError: The file is cut off or damaged, or there is no room for its content.
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
                f"{label} cannot be unpacked into {folder}: {error.strerror or error}",
                hint="set TMPDIR to a folder with room, or recompress the file with bgzip, which needs no unpacking",
            ) from error
        return folder / "unpacked"

    def close(self) -> None:
        """Closes the file and removes what was unpacked."""
        super().close()
        self._scratch.close()


def open_bytes(path: Path) -> Bytes:
    """Opens a file for reading at any place.

    Args:
        path: A plain, gzipped or bgzipped file; nothing is written beside it, and no index beside it is read.

    Raises:
        SequenceError: The file cannot be read, is cut off or damaged.
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
    """The message for a compressed file that cannot be unpacked."""
    return SequenceError(
        f"{label} is cut off or damaged: {why}", expected="a whole gzip file", hint="download it again"
    )


def _unreadable(path: Path, error: OSError) -> SequenceError:
    return SequenceError(f"{path} cannot be read: {error.strerror or error}", expected="a file that you may read")


def _block_length(file: PlainBytes, at: int) -> int | None:
    """The length of the bgzip block at a place, from the field "BC" of its header; None where there is none."""
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

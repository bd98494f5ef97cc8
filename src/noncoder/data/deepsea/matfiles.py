"""Reads and writes arrays of bytes in MATLAB files, one slab at a time: versions 5 (and 7) and 7.3, which is HDF5.

MATLAB stores columns first. Here the axes are in the order of the file, the reverse of MATLAB's: MATLAB's (n, 4, 1000)
is (1000, 4, n). A slab is a range of the last axis; memory holds no more than the slab.
"""

from __future__ import annotations

import os
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, cast

import h5py
import numpy as np
from numpy.typing import NDArray

from noncoder.data.deepsea.sink import Sink
from noncoder.errors import InputError

Bytes = NDArray[np.uint8]

# MAT-File Format (MathWorks): types of data elements and classes of arrays that are used here.
_INT8, _UINT8, _INT32, _UINT32, _MATRIX, _COMPRESSED = 1, 2, 5, 6, 14, 15
_UINT8_CLASS = 9
_HEADER = 128
# MATLAB cannot read larger variables from a file of version 5.
MAX_BYTES_5 = 2**31 - 1
_INFLATE = 1 << 24
# Rows per chunk in files that we write; 1 MiB for a window of 1,000 bp.
_CHUNK_ROWS = 256


class MatArray(Protocol):
    """An array of bytes in a file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its axes in the order of the file; the rows of MATLAB's array are the last."""

    @property
    def step(self) -> int:
        """Number of rows that are best read together."""

    def read(self, start: int, stop: int) -> Bytes:
        """Reads the rows from start to stop, (..., stop - start).

        Raises:
            InputError: The file is damaged there.
        """


@dataclass
class _HdfArray:
    path: Path
    dataset: h5py.Dataset

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.dataset.shape)

    @property
    def step(self) -> int:
        return int(self.dataset.chunks[-1]) if self.dataset.chunks else 1

    def read(self, start: int, stop: int) -> Bytes:
        try:
            return np.asarray(self.dataset[..., start:stop]).view(np.uint8)
        except OSError as error:
            raise damaged(self.path, f"{self.dataset.name}, rows {start:,} to {stop:,}: {error}") from error


@dataclass
class _FlatArray:
    """Contiguous bytes in a file, from an offset on."""

    path: Path
    file: BinaryIO
    offset: int
    shape: tuple[int, ...]
    step: int = 1

    def read(self, start: int, stop: int) -> Bytes:
        *planes, n = self.shape
        slab = np.empty((int(np.prod(planes, dtype=np.int64)), stop - start), dtype=np.uint8)
        for i, row in enumerate(slab):
            try:
                found = os.preadv(self.file.fileno(), [row.data], self.offset + i * n + start)
            except OSError as error:
                raise damaged(self.path, f"it cannot be read: {error.strerror or error}") from error
            if found != row.size:
                raise damaged(self.path, "it ends before its arrays do")
        return slab.reshape(*planes, stop - start)


@contextmanager
def open_mat(path: Path, scratch: Path) -> Iterator[dict[str, MatArray]]:
    """Opens a .mat file of any version and returns its arrays of bytes by name; other types are left out.

    Args:
        path: The file.
        scratch: Folder for decompressed arrays: a compressed array of version 5 has no random access.

    Raises:
        InputError: The file is missing, truncated or not a .mat file.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror or error}", expected="a .mat file that you may read"
        ) from error
    with ExitStack() as stack:
        stack.enter_context(file)
        if h5py.is_hdf5(path) or file.read(10) == b"MATLAB 7.3":
            with _open_hdf(path) as hdf:
                sets = {name: item for name, item in hdf.items() if isinstance(item, h5py.Dataset)}
                yield {name: _HdfArray(path, item) for name, item in sets.items() if item.dtype in (np.uint8, bool)}
        else:
            yield _read_5(path, file, scratch, stack)


def describe_mat(path: Path) -> dict[str, str]:
    """Describes type and shape of every array in a .mat file, axes in the order of the file, for a message."""
    if h5py.is_hdf5(path):
        with h5py.File(path, "r") as hdf:
            sets = {name: item for name, item in hdf.items() if isinstance(item, h5py.Dataset)}
            return {name: f"{item.dtype} {tuple(item.shape)}" for name, item in sets.items()}
    from scipy.io import whosmat

    return {name: f"{kind} {tuple(reversed(shape))}" for name, shape, kind in whosmat(str(path))}


@contextmanager
def _open_hdf(path: Path) -> Iterator[h5py.File]:
    try:
        hdf = h5py.File(path, "r")
    except OSError as error:
        raise damaged(path, str(error)) from error
    with hdf:
        yield hdf


def damaged(path: Path, why: str) -> InputError:
    """Returns the error for a .mat file that is truncated or damaged."""
    return InputError(
        f"{path} is truncated or damaged: {why}", expected="a whole .mat file", hint="download or copy it again"
    )


def _read_5(path: Path, file: BinaryIO, scratch: Path, stack: ExitStack) -> dict[str, MatArray]:
    size = path.stat().st_size
    file.seek(0)
    header = file.read(_HEADER)
    if len(header) < _HEADER or header[126:128] not in (b"IM", b"MI") or b"MATLAB" not in header[:20]:
        raise InputError(
            f"{path} is not a .mat file: it begins with {header[:12]!r}", expected="MATLAB's version 5, 7 or 7.3"
        )
    if header[126:128] == b"MI":
        raise InputError(f"{path} was written on a big-endian machine", expected="a little-endian .mat file")
    arrays: dict[str, MatArray] = {}
    at = _HEADER
    while at < size:
        file.seek(at)
        tag = file.read(8)
        if len(tag) < 8:
            raise damaged(path, "it ends inside an element")
        kind, length = struct.unpack("<II", tag)
        if kind not in (_MATRIX, _COMPRESSED):
            raise damaged(path, f"an element of type {kind} at byte {at:,}")
        if at + 8 + length > size:
            raise damaged(path, f"{size:,} bytes, but an array reaches to byte {at + 8 + length:,}")
        matrix = kind == _MATRIX
        found = _matrix(path, file, at + 8) if matrix else _inflate(path, file, at + 8, length, scratch, stack)
        if found is not None:
            arrays[found[0]] = found[1]
        at += 8 + length
    return arrays


def _matrix(path: Path, file: BinaryIO, at: int) -> tuple[str, MatArray] | None:
    file.seek(at)
    parsed = _parse_matrix(path, file.read(1 << 12))
    if parsed is None:
        return None
    name, shape, offset = parsed
    return name, _FlatArray(path, file, at + offset, shape)


def _parse_matrix(path: Path, head: bytes) -> tuple[str, tuple[int, ...], int] | None:
    """Returns name, shape and offset of an array of bytes; None for an array of another class."""
    try:
        flags, at = _element(head, 0)
        dims, at = _element(head, at)
        name, at = _element(head, at)
        shape = tuple(reversed(np.frombuffer(dims, dtype="<i4").astype(int).tolist()))
        if flags[0] != _UINT8_CLASS:
            return None
        kind, length = struct.unpack_from("<II", head, at)
    except (struct.error, IndexError, ValueError) as error:
        raise damaged(path, "the description of an array") from error
    if kind >> 16:  # a small element is stored in its tag
        kind, length, begins = kind & 0xFFFF, kind >> 16, at + 4
    else:
        begins = at + 8
    if kind not in (_UINT8, _INT8) or length != int(np.prod(shape, dtype=np.int64)):
        raise damaged(path, f"the array {name.decode(errors='replace')} has {length:,} bytes for the shape {shape}")
    return name.decode(errors="replace"), shape, begins


def _element(data: bytes, at: int) -> tuple[bytes, int]:
    """Returns the content of a small element, and the start of the next: each is padded to eight bytes."""
    kind, length = struct.unpack_from("<II", data, at)
    if kind >> 16:
        return data[at + 4 : at + 4 + (kind >> 16)], at + 8
    if at + 8 + length > len(data):
        raise ValueError("beyond the end")
    return data[at + 8 : at + 8 + length], at + 8 + -(-length // 8) * 8


def _inflate(
    path: Path, file: BinaryIO, at: int, length: int, scratch: Path, stack: ExitStack
) -> tuple[str, MatArray] | None:
    """Decompresses an array into an unnamed file, which disappears when the stack is closed."""
    unpack, end = zlib.decompressobj(), at + length
    file.seek(at)
    try:
        head = unpack.decompress(file.read(min(1 << 16, length)), 1 << 12)
        parsed = _parse_matrix(path, head[8:])
        if parsed is None:
            return None
        name, shape, offset = parsed
        total = offset + int(np.prod(shape, dtype=np.int64))
        target = cast(BinaryIO, stack.enter_context(tempfile.TemporaryFile(dir=scratch)))  # noqa: SIM115 - the stack closes it
        written = target.write(head[8:])
        while written < total:
            packed = unpack.unconsumed_tail or file.read(min(_INFLATE, end - file.tell()))
            plain = unpack.decompress(packed, _INFLATE)
            if not packed and not plain:
                raise damaged(path, f"the array {name} ends early")
            written += target.write(plain)
        while not unpack.eof:  # the checksum is at the end
            packed = unpack.unconsumed_tail or file.read(min(_INFLATE, end - file.tell()))
            unpack.decompress(packed, _INFLATE)
            if not packed and not unpack.eof:
                raise damaged(path, f"the array {name} ends early")
    except zlib.error as error:
        raise damaged(path, str(error)) from error
    target.flush()
    return name, _FlatArray(path, target, offset, shape)


@contextmanager
def create_mat(
    path: Path, shapes: Mapping[str, tuple[int, ...]], hdf: bool = False
) -> Iterator[Callable[[str, int, Bytes], None]]:
    """Writes arrays of bytes to a .mat file: version 5, or 7.3 if it is too large for version 5.

    Args:
        path: The file.
        shapes: Shapes of the arrays by name, axes in the order of the file.
        hdf: Always write version 7.3.

    Yields:
        A function that writes a slab: the array's name, the first row, and the rows (..., n).
    """
    large = any(np.prod(shape, dtype=np.int64) > MAX_BYTES_5 for shape in shapes.values())
    if hdf or large:
        with path.open("w+b", buffering=0) as raw:
            sink = Sink(raw)
            with h5py.File(sink, "w", userblock_size=512) as file:
                sets = {name: _create_set(file, name, shape) for name, shape in shapes.items()}

                def write_rows(name: str, start: int, slab: Bytes) -> None:
                    sets[name][..., start : start + slab.shape[-1]] = slab
                    sink.check()

                yield write_rows
            sink.check()
        with path.open("r+b") as plain:
            plain.write(_header(b"MATLAB 7.3 MAT-file, written by noncoder, HDF5 schema 1.00 .", 0x0200))
        return
    with path.open("w+b") as plain:
        offsets = _create_5(plain, shapes)

        def write_planes(name: str, start: int, slab: Bytes) -> None:
            n = shapes[name][-1]
            for i, row in enumerate(np.ascontiguousarray(slab).reshape(-1, slab.shape[-1])):
                left, at = row.tobytes(), offsets[name] + i * n + start
                while left:
                    done = os.pwrite(plain.fileno(), left, at)
                    left, at = left[done:], at + done

        yield write_planes


def _create_set(file: h5py.File, name: str, shape: tuple[int, ...]) -> h5py.Dataset:
    chunks = (*shape[:-1], max(1, min(_CHUNK_ROWS, shape[-1])))
    dataset = file.create_dataset(
        name, shape=shape, dtype=np.uint8, chunks=chunks, compression="gzip", compression_opts=1
    )
    dataset.attrs["MATLAB_class"] = np.bytes_("uint8")
    return dataset


def _create_5(file: BinaryIO, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """Writes everything but the bytes of the arrays, and returns their offsets."""
    file.write(_header(b"MATLAB 5.0 MAT-file, written by noncoder", 0x0100))
    offsets = {}
    for name, shape in shapes.items():
        size = int(np.prod(shape, dtype=np.int64))
        padded = -(-size // 8) * 8
        head = b"".join(
            (
                _packed(_UINT32, struct.pack("<II", _UINT8_CLASS, 0)),
                _packed(_INT32, np.array(shape[::-1], dtype="<i4").tobytes()),
                _packed(_INT8, name.encode()),
                struct.pack("<II", _UINT8, size),
            )
        )
        file.write(struct.pack("<II", _MATRIX, len(head) + padded) + head)
        offsets[name] = file.tell()
        file.truncate(file.seek(padded, os.SEEK_CUR))
    file.flush()
    return offsets


def _packed(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, len(content)) + content.ljust(-(-len(content) // 8) * 8, b"\0")


def _header(text: bytes, version: int) -> bytes:
    return text.ljust(116) + bytes(8) + struct.pack("<H", version) + b"IM"

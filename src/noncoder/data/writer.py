"""Writes a store as a stream, under a temporary name until it is complete."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec

from noncoder.data.classes import ClassesSeen
from noncoder.data.info import SPLITS, StoreInfo
from noncoder.data.store import Store, attributes_digest, open_store
from noncoder.errors import InputError, NoncoderError
from noncoder.files import file_digest, only_writer, refuse_existing, unwritable
from noncoder.machine import disk_problem
from noncoder.temporary import temporary

# Large enough that a human genome gives hundreds of files, not hundreds of thousands.
_CHUNK_BYTES = 1 << 23

T = TypeVar("T")
Settle = Callable[[Callable[[], Any]], Any]


def check_target(path: Path, force: bool) -> None:
    """Checks that a store may be written to a path.

    Raises:
        InputError: Something exists there and `force` is false, or it is not a store.
    """
    refuse_existing(path, force)
    if _exists(path) and not _is_store(path) and not _is_empty(path):
        raise InputError(
            f"{path} is not a store, so it is not replaced", expected="a store, or an unused name",
            hint="give another name",
        )  # fmt: skip
    foreign = _foreign(path) if _exists(path) else []
    if foreign:
        raise InputError(
            f"the store {path} also contains {foreign[0]}, which is not a part of it", expected="only a store",
            hint="move it elsewhere, or give another name",
        )  # fmt: skip


class StoreWriter:
    """Writes a store window by window; memory holds one chunk per array.

    Use it as a context manager, then call `finish`; leaving it in any other way removes what was written.

    Args:
        path: Path of the store.
        n_tasks: Number of label columns.
        force: Replace an existing store.

    `classes` holds the tasks that lack a class so far.

    Raises:
        InputError: Something exists there and `force` is false, or the folder cannot be written to.
    """

    def __init__(self, path: str | Path, n_tasks: int, force: bool = False) -> None:
        self.path, self.n_tasks, self.force = Path(path), n_tasks, force
        check_target(self.path, force)
        self._contigs: list[tuple[str, int, int]] = []
        self._columns: dict[str, _Column] = {}
        self.classes = ClassesSeen(n_tasks)
        # Zarr writes in its own threads. If an interrupt abandoned them, they would continue to write after the store
        # is removed, and restore a part of it. So interrupts go to this thread, which is waited for.
        self._thread = ThreadPoolExecutor(1)
        self._held = ExitStack()

    def __enter__(self) -> StoreWriter:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._held.enter_context(only_writer(self.path))
            self._made = self._held.enter_context(temporary(self.path))
            self._group = self._settle(lambda: zarr.open_group(str(self._made.path), mode="w", zarr_format=3))
        except BaseException as error:
            self.__exit__(type(error), error, None)
            if isinstance(error, OSError):
                raise unwritable(self.path, error) from error
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._held.close()
        if isinstance(error, Exception) and not isinstance(error, NoncoderError) and disk_problem(error):
            raise unwritable(self.path, error) from error

    def add_contig(self, name: str, codes: NDArray[np.uint8]) -> int:
        """Appends a contig's codes (length,) and returns its offset among all codes."""
        offset = self._contigs[-1][1] + self._contigs[-1][2] if self._contigs else 0
        self._contigs.append((name, offset, codes.size))
        self._column("codes", np.uint8, ()).append(codes)
        return offset

    def extend_contig(self, codes: NDArray[np.uint8]) -> None:
        """Appends codes (n,) to the contig that was added last."""
        name, offset, length = self._contigs[-1]
        self._contigs[-1] = (name, offset, length + codes.size)
        self._column("codes", np.uint8, ()).append(codes)

    def add_windows(
        self,
        start: NDArray[np.int64],
        labels: NDArray[np.uint8],
        split: NDArray[np.uint8],
        known: NDArray[np.uint8] | None = None,
    ) -> None:
        """Appends n windows.

        Args:
            start: Position of each first base among all codes, (n,).
            labels: Bit-packed, (n, ceil(T / 8)).
            split: 0 train, 1 valid, 2 test, (n,).
            known: Bit-packed, (n, ceil(T / 8)); give it in every call or in none.
        """
        if start.size == 0:
            return
        width = (-(-self.n_tasks // 8),)
        self._column("start", np.int64, ()).append(start)
        self._column("labels", np.uint8, width).append(labels)
        self._column("split", np.uint8, ()).append(split)
        if known is not None:
            self._column("known", np.uint8, width).append(known)
        self.classes.add(labels, known, split)

    def finish(self, info: StoreInfo, check: Callable[[Store], None] | None = None) -> str:
        """Completes the store, renames it and returns its digest.

        Args:
            info: Description of the store.
            check: Checks the store before it is renamed; if it raises, an existing store stays.

        Raises:
            InputError: No window was added.
        """
        if "start" not in self._columns:
            raise InputError("no window is left to store", expected="at least one", hint="see what was dropped and why")
        names = "\n".join(name for name, _, _ in self._contigs).encode()
        self._column("contigs/name", np.uint8, ()).append(np.frombuffer(names, dtype=np.uint8))
        for column, at in (("contigs/offset", 1), ("contigs/length", 2)):
            values = np.array([contig[at] for contig in self._contigs], dtype=np.int64)
            self._column(column, np.int64, ()).append(values)
        arrays = {
            name: column.finish() | {"description": file_digest(self._made.path / name / "zarr.json")}
            for name, column in self._columns.items()
        }
        groups = {"contigs": file_digest(self._made.path / "contigs" / "zarr.json")}
        attributes: dict[str, Any] = {
            "noncoder": info.to_dict(), "splits": list(SPLITS), "arrays": arrays, "groups": groups,
        }  # fmt: skip
        attributes["digest"] = attributes_digest(attributes)
        self._settle(lambda: self._group.attrs.update(attributes))
        if _exists(self.path) and not self.force:
            raise InputError(f"{self.path} was created meanwhile", hint="another process made it; use that")
        if check is not None:
            check(open_store(self._made.path))
        self._made.put()
        return str(attributes["digest"])

    def _column(self, name: str, dtype: type[np.generic], width: tuple[int, ...]) -> _Column:
        if name not in self._columns:
            self._columns[name] = _Column(self._group, name, dtype, width, self._settle)
        return self._columns[name]

    def _settle(self, write: Callable[[], T]) -> T:
        return self._thread.submit(write).result()


class _Column:
    """A growing array, written in whole chunks."""

    def __init__(
        self, group: zarr.Group, name: str, dtype: type[np.generic], width: tuple[int, ...], settle: Settle
    ) -> None:
        self.settle = settle
        row_bytes = np.dtype(dtype).itemsize * int(np.prod(width, dtype=np.int64))
        self.rows = max(1, _CHUNK_BYTES // row_bytes)
        self.array: zarr.Array[Any] = settle(
            lambda: group.create_array(
                name,
                shape=(0, *width),
                chunks=(self.rows, *width),
                dtype=np.dtype(dtype),
                fill_value=0,
                # In bit planes, four bases are two planes of noise and six of zeros: 2 bits per base.
                compressors=[BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle"), Crc32cCodec()],
                config={"write_empty_chunks": True},
            )
        )
        self.pending: list[NDArray[Any]] = []
        self.n_pending = 0
        self.sha256 = hashlib.sha256()
        self.chunks: list[str] = []

    def append(self, values: NDArray[Any]) -> None:
        values = np.array(values, dtype=self.array.dtype, order="C")
        self.sha256.update(values.data)
        self.pending.append(values)
        self.n_pending += len(values)
        if self.n_pending >= self.rows:
            self._write(self.n_pending - self.n_pending % self.rows)

    def finish(self) -> dict[str, Any]:
        self._write(self.n_pending)
        return {"sha256": self.sha256.hexdigest(), "chunks": self.chunks}

    def _write(self, count: int) -> None:
        if count == 0:
            return
        values = np.concatenate(self.pending)
        at = self.array.shape[0]
        self.settle(lambda: self.array.resize((at + count, *self.array.shape[1:])))
        for low in range(0, count, self.rows):
            self.settle(partial(self._write_chunk, at + low, values[low : min(low + self.rows, count)]))
        self.pending = [values[count:].copy()]
        self.n_pending = len(values) - count

    def _write_chunk(self, at: int, values: NDArray[Any]) -> None:
        self.chunks.append(hashlib.sha256(values.data).hexdigest())
        self.array[at : at + len(values)] = values


def _exists(path: Path) -> bool:
    return os.path.lexists(path)  # Path.exists raises if a folder cannot be entered


def _is_store(path: Path) -> bool:
    """Whether a path is a store, intact or damaged, that --force may remove, according to its attributes."""
    try:
        return not path.is_symlink() and '"noncoder"' in (path / "zarr.json").read_text(errors="replace")
    except OSError:
        return False


def _foreign(path: Path) -> list[str]:
    """Returns the names in a store's folder that are not part of it; hidden files are ignored."""
    try:
        return sorted(
            one.name
            for one in path.iterdir()
            if one.name != "zarr.json" and not one.name.startswith(".") and not (one / "zarr.json").is_file()
        )
    except OSError:
        return []


def _is_empty(path: Path) -> bool:
    try:
        return not path.is_symlink() and not any(path.iterdir())
    except OSError:
        return False

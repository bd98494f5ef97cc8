"""Reads the arrays of a store, and notices damage and replaced content.

The store's attributes hold a SHA-256 of each array and of each of its chunks. An array that is read completely is
compared with the first, a part of one chunk by chunk with the second. Stores of earlier versions have no digests of
chunks: when a part of an array is first read, the complete array is compared.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import zarr
from numpy.typing import NDArray

from noncoder.errors import StoreError
from noncoder.files import content_digest

T = TypeVar("T")

_DTYPES = {"start": np.int64, "contigs/offset": np.int64, "contigs/length": np.int64}  # all others: uint8
_NEEDED = ("codes", "start", "labels", "split", "contigs/name", "contigs/offset", "contigs/length")


class StoredArrays:
    """The arrays of a store on disk.

    Args:
        path: The store.

    Raises:
        StoreError: It is not a store, or its description cannot be read. See `check_attributes`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._place, described = _place(path), (path / "zarr.json").read_bytes()
            group = zarr.open_group(str(path), mode="r", zarr_format=3)
            self.attributes: dict[str, Any] = json.loads(json.dumps(group.attrs.asdict()))
            keys = json.loads(described).keys()
        except Exception as error:  # zarr raises many different errors for broken groups
            raise damaged(path, f"it is not a readable zarr group ({type(error).__name__})") from error
        if "noncoder" not in self.attributes:
            raise StoreError(
                f"{path} is a zarr group, but not a noncoder store", hint="make one with `noncoder data build`"
            )
        self._described = hashlib.sha256(described).hexdigest()
        self._group, self._keys = group, keys
        self._arrays: dict[str, zarr.Array[Any]] = {}
        self._recorded: Mapping[str, Mapping[str, Any]] = {}
        self._compared: set[str] = set()
        self._latest: dict[str, tuple[int, NDArray[Any]]] = {}

    def check_attributes(self, n_tasks: Callable[[], int]) -> None:
        """Compares the attributes with their digest, and the arrays' descriptions with the attributes.

        Args:
            n_tasks: Returns the number of label columns; called once the attributes are known to be intact.

        Raises:
            StoreError: Something is missing, has changed, or has another shape.
        """
        # zarr ignores unknown keys, such as one with a flipped byte.
        if self.attributes.get("digest") != attributes_digest(self.attributes) or "zarr_format" not in self._keys:
            raise damaged(self.path, "its attributes have changed")
        self._recorded = self.attributes["arrays"]
        descriptions = {name: recorded["description"] for name, recorded in self._recorded.items()}
        for name, digest in {**descriptions, **self.attributes.get("groups", {})}.items():
            described = self.path / name / "zarr.json"
            if not described.is_file() or hashlib.sha256(described.read_bytes()).hexdigest() != digest:
                raise damaged(self.path, f"the description of {name} is missing or changed")
        for name in self._recorded:
            array = self._arrays[name] = cast("zarr.Array[Any]", self._group[name])
            # zarr silently reads a missing chunk as its fill value.
            if array.nchunks_initialized != array.nchunks:
                raise damaged(self.path, f"{name} has {array.nchunks_initialized} of its {array.nchunks} chunks")
        self._check_shapes(n_tasks())

    def _check_shapes(self, n_tasks: int) -> None:
        missing = [name for name in _NEEDED if name not in self._arrays]
        if missing:
            raise damaged(self.path, f"it has no array {missing[0]}")
        n, contigs = self._arrays["start"].shape[:1], self._arrays["contigs/offset"].shape[:1]
        expected = {"start": n, "split": n, "contigs/offset": contigs, "contigs/length": contigs}
        expected |= dict.fromkeys(("labels", "known"), (*n, -(-n_tasks // 8)))
        for name, array in self._arrays.items():
            shape, dtype = expected.get(name, array.shape[:1]), np.dtype(_DTYPES.get(name, np.uint8))
            if array.shape != shape or array.dtype != dtype:
                raise damaged(
                    self.path, f"{name} is {array.dtype} {array.shape}, which does not fit the others: {dtype} {shape}"
                )

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def length(self, name: str) -> int:
        """Returns the number of rows of an array."""
        return int(self._arrays[name].shape[0])

    def whole(self, name: str) -> NDArray[Any]:
        """Reads a complete array.

        Raises:
            StoreError: Its content has changed, or the store was replaced since it was opened.
        """
        values = np.ascontiguousarray(self._read(name, slice(None)))
        if hashlib.sha256(values.data).hexdigest() != self._recorded[name]["sha256"]:
            raise self._changed(name)
        return values

    def rows(self, name: str, low: int, high: int) -> NDArray[Any]:
        """Reads rows low to high of an array; they are read-only.

        Raises:
            StoreError: See `whole`.
        """
        if "chunks" not in self._recorded[name] and name not in self._compared:
            for _ in self.blocks(name):
                pass
        self.check_place()
        size = self._rows_a_chunk(name)
        if high <= low:
            return np.empty((0, *self._arrays[name].shape[1:]), dtype=self._arrays[name].dtype)
        parts = []
        for number in range(low // size, -(-high // size)):
            if self._latest.get(name, (-1,))[0] != number:
                self._latest[name] = number, self._chunk(name, number)
            at = number * size
            parts.append(self._latest[name][1][max(0, low - at) : high - at])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def blocks(self, name: str) -> Iterator[NDArray[Any]]:
        """Yields a complete array chunk by chunk; the chunks are read-only.

        Raises:
            StoreError: See `whole`; for a store without digests of chunks after the last chunk.
        """
        content = None if "chunks" in self._recorded[name] else hashlib.sha256()
        for number in range(-(-self.length(name) // self._rows_a_chunk(name))):
            chunk = self._chunk(name, number)
            if content is not None:
                content.update(chunk.data)
            yield chunk
        if content is not None and content.hexdigest() != self._recorded[name]["sha256"]:
            raise self._changed(name)
        self._compared.add(name)

    def check_place(self) -> None:
        """Checks by inode, then by attributes, that the path still holds the store that was opened.

        Raises:
            StoreError: It is another store, or removed.
        """
        try:
            now = _place(self.path)
            if now == self._place:
                return
            if hashlib.sha256((self.path / "zarr.json").read_bytes()).hexdigest() == self._described:
                self._place = now
                return
        except OSError as error:
            raise StoreError(
                f"{self.path} was removed, moved or damaged since it was opened: {error.strerror or error}",
                hint="run the same command again",
            ) from error
        raise StoreError(
            f"{self.path} was replaced since it was opened",
            expected=f"the store with the digest {self.attributes['digest'][:12]}",
            hint="run the same command again to read the new one",
        )

    def _chunk(self, name: str, number: int) -> NDArray[Any]:
        size = self._rows_a_chunk(name)
        chunk = np.ascontiguousarray(self._read(name, slice(number * size, (number + 1) * size)))
        digests = self._recorded[name].get("chunks")
        if digests is not None and hashlib.sha256(chunk.data).hexdigest() != digests[number]:
            raise self._changed(name)
        chunk.flags.writeable = False
        return chunk

    def _rows_a_chunk(self, name: str) -> int:
        return int(self._arrays[name].chunks[0])

    def _read(self, name: str, rows: slice) -> NDArray[Any]:
        self.check_place()
        try:
            return cast("NDArray[Any]", self._arrays[name][rows])
        except (ValueError, RuntimeError, OSError, KeyError) as error:
            self.check_place()  # it may have been replaced while it was read
            raise damaged(self.path, f"{name} cannot be read: {error}") from error

    def _changed(self, name: str) -> StoreError:
        self.check_place()
        return damaged(self.path, f"the content of {name} has changed")


def attributes_digest(attributes: Mapping[str, Any]) -> str:
    """SHA-256 of all attributes except the digest itself; the attributes hold the digests of the arrays."""
    return content_digest({key: value for key, value in attributes.items() if key != "digest"})


def damaged(path: Path, why: str) -> StoreError:
    """Returns the error for a store whose content has changed."""
    return StoreError(
        f"{path} is damaged: {why}",
        expected="a store as noncoder wrote it",
        hint="build it again, or copy it again from an intact copy",
    )


def _place(path: Path) -> tuple[int, int, int, int]:
    found = (path / "zarr.json").stat()
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size

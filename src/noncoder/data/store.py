"""The dataset format: one zarr group that training, evaluation and exploration read.

Layout of `NAME.zarr` (Zarr v3; every chunk carries a crc32c checksum):

- `codes` uint8 (B,): every contig end to end, each base once.
- `start` int64 (N,): position of a window's first base in `codes`. A window belongs to the contig of its middle base
  (start + window // 2); positions outside that contig read as N.
- `labels` uint8 (N, ceil(T / 8)): one bit per task, the first task in the highest bit. `known`, of the same shape,
  exists if some labels are unknown.
- `split` uint8 (N,): 0 train, 1 valid, 2 test.
- `contigs/offset`, `contigs/length` int64 (C,), `contigs/name` uint8: the names in UTF-8, separated by line feeds.
- Attributes: the content of `StoreInfo`, the SHA-256 of every array and of its chunks, and a digest of all these.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from noncoder.data.arrays import StoredArrays, attributes_digest, damaged
from noncoder.data.info import FORMAT_VERSION, SPLITS, StoreInfo
from noncoder.data.tasks import Task
from noncoder.errors import StoreError, UnknownNameError
from noncoder.kinds import mistaken
from noncoder.sequence.encoding import N_CODE, reverse_complement
from noncoder.sequence.genome import Interval
from noncoder.temporary import settled

Codes = NDArray[np.uint8]
Labels = NDArray[np.uint8]
Indices = NDArray[np.integer[Any]] | Sequence[int]


class StoreLayout(NamedTuple):
    """Positions of the windows of a store in memory.

    Args:
        codes: Every contig, with N around each, (B',).
        row: Position of each window's first base in `codes`, (N,).
        first: Lowest position to which a shift may move it, (N,).
        last: Highest such position, (N,).
        low: Position of the first base of its contig, (N,).
        high: End of its contig, (N,).
    """

    codes: NDArray[np.uint8]
    row: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]


class Store:
    """A dataset on disk with random access in memory.

    The arrays are read, and compared with their digests, at first use; then they stay in memory: one byte per base, one
    bit per label. After the store has been replaced, arrays that were not read yet can no longer be read. Use
    `open_store`.
    """

    def __init__(self, path: Path, arrays: StoredArrays, info: StoreInfo) -> None:
        self.path, self.info, self.digest = path, info, str(arrays.attributes["digest"])
        self._arrays = arrays

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r}, {len(self):,} windows of {self.window} bp, {len(self.tasks)} tasks)"

    def __len__(self) -> int:
        return self._arrays.length("start")

    @property
    def window(self) -> int:
        """The width of a window, bp."""
        return self.info.window

    @property
    def bin(self) -> int:
        """The width of the labelled centre, bp."""
        return self.info.bin

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The columns of the labels."""
        return self.info.tasks

    @property
    def n_bases(self) -> int:
        """Number of stored bases."""
        return self._arrays.length("codes")

    @cached_property
    def start(self) -> NDArray[np.int64]:
        """Position of each window's first base in `codes`, (N,)."""
        return self._arrays.whole("start")

    @cached_property
    def split(self) -> NDArray[np.uint8]:
        """The split of each window, (N,): 0 train, 1 valid, 2 test."""
        return self._arrays.whole("split")

    @cached_property
    def packed_labels(self) -> NDArray[np.uint8]:
        """One bit per task, (N, ceil(T / 8)), the first task in the highest bit."""
        return self._arrays.whole("labels")

    @cached_property
    def packed_known(self) -> NDArray[np.uint8] | None:
        """Like `packed_labels`, 1 if the label is known; None if all are."""
        return self._arrays.whole("known") if "known" in self._arrays else None

    @cached_property
    def contigs(self) -> tuple[tuple[str, ...], NDArray[np.int64], NDArray[np.int64]]:
        """Names, offsets in `codes` and lengths of the contigs."""
        names = bytes(self._arrays.whole("contigs/name")).decode().split("\n")
        offsets, lengths = self._arrays.whole("contigs/offset"), self._arrays.whole("contigs/length")
        if len(names) != offsets.size or not np.array_equal(offsets, np.cumsum(lengths) - lengths):
            raise damaged(self.path, "its contigs are not end to end")
        return tuple(names), offsets, lengths

    def indices(self, split: str | None = None) -> NDArray[np.int64]:
        """Returns the indices of a split's windows, in genome order; of all splits for None.

        Raises:
            UnknownNameError: There is no such split.
        """
        if split is None:
            return np.arange(len(self), dtype=np.int64)
        return np.flatnonzero(self.split == _split_number(split)).astype(np.int64)

    def read(self, indices: Indices) -> tuple[Codes, Labels]:
        """Reads codes (n, L) and labels (n, T), both uint8, of n windows, forward strand.

        An unknown label reads as 0; `read_known` says which are known.
        """
        return self.read_codes(indices), self.read_labels(indices)

    def read_codes(
        self,
        indices: Indices,
        reverse: NDArray[np.bool_] | None = None,
        shift: NDArray[np.int64] | None = None,
    ) -> Codes:
        """Reads codes (n, L) of n windows.

        Args:
            indices: Store indices of the windows, (n,).
            reverse: Whether each window is read from the reverse strand, (n,).
            shift: Shift of each window to the right, bp, (n,); it is shortened if it would reach further past the
                contig's end than every window of the store.
        """
        indices = _indices(indices)
        rows = self._rows[indices]
        if shift is not None:
            rows = np.clip(rows + shift, self._first_row[indices], self._last_row[indices])
        codes: Codes = self._windows[rows]
        if reverse is not None and reverse.any():
            codes[reverse] = reverse_complement(codes[reverse])
        return codes

    def read_labels(self, indices: Indices) -> Labels:
        """Reads labels (n, T) of n windows, 0 or 1."""
        return np.unpackbits(self.packed_labels[_indices(indices)], axis=1, count=len(self.tasks))

    def read_known(self, indices: Indices) -> NDArray[np.bool_] | None:
        """Returns which labels are known, (n, T); None if all labels of the store are."""
        if self.packed_known is None:
            return None
        return np.unpackbits(self.packed_known[_indices(indices)], axis=1, count=len(self.tasks)).astype(bool)

    def read_from_disk(self, indices: Indices) -> tuple[Codes, NDArray[np.uint8]]:
        """Reads codes (n, L) and packed labels (n, ceil(T / 8)) of n neighbouring windows from the disk.

        Nothing is cached, so memory does not grow with the store: for reading all of it once, in order.

        Raises:
            StoreError: A chunk is damaged.
        """
        indices = _indices(indices)
        start, contig = self.start[indices], self._contig[indices]
        low, high = max(0, int(start.min())), min(self.n_bases, int(start.max()) + self.window)
        block = self._arrays.rows("codes", low, high)
        padded = np.pad(block, self.window, constant_values=N_CODE)
        codes: Codes = sliding_window_view(padded, self.window)[start - low + self.window]
        _, offsets, lengths = self.contigs
        before, end = offsets[contig] - start, offsets[contig] + lengths[contig] - start
        place = np.arange(self.window)
        for row in np.flatnonzero((before > 0) | (end < self.window)):
            codes[row, (place < before[row]) | (place >= end[row])] = N_CODE
        first, last = int(indices.min()), int(indices.max()) + 1
        return codes, self._arrays.rows("labels", first, last)[indices - first]

    def read_stretch(self, contig: int, start: int, length: int) -> NDArray[np.uint8]:
        """Reads codes (length,) of any interval of a contig, covered by windows or not; N beyond its ends.

        Args:
            contig: Index of the contig in `contigs`.
            start: First base, 0-based; it may be before the contig.
            length: Length, bp.

        Raises:
            StoreError: A chunk is damaged.
        """
        _, offsets, lengths = self.contigs
        codes = np.full(length, N_CODE, dtype=np.uint8)
        low, high = max(0, start), min(int(lengths[contig]), start + length)
        if low < high:
            at = int(offsets[contig])
            codes[low - start : high - start] = self._arrays.rows("codes", at + low, at + high)
        return codes

    def code_blocks(self) -> Iterator[Codes]:
        """Yields all stored codes, (B,), in blocks: each base once, however many windows cover it.

        Raises:
            StoreError: A block is damaged.
        """
        return self._arrays.blocks("codes")

    def bins(self, indices: Indices) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
        """Returns contig names and 0-based starts of the labelled bins of n windows; a bin is `bin` bp wide."""
        names, offsets, _ = self.contigs
        indices = _indices(indices)
        contig = self._contig[indices]
        flank = (self.window - self.bin) // 2
        return np.array(names)[contig], self.start[indices] + flank - offsets[contig]

    def intervals(self, indices: Indices) -> list[Interval]:
        """Returns the labelled bins of n windows."""
        chroms, starts = self.bins(indices)
        return [Interval(str(c), int(s), int(s) + self.bin) for c, s in zip(chroms, starts, strict=True)]

    def positives(self, split: str | None = None) -> NDArray[np.int64]:
        """Returns the number of positive windows of a split for each task, (T,)."""
        return self._bit_counts("labels", split)

    def known_counts(self, split: str | None = None) -> NDArray[np.int64]:
        """Returns the number of known labels of a split for each task, (T,)."""
        if self.packed_known is None:
            return np.full(len(self.tasks), self.indices(split).size, dtype=np.int64)
        return self._bit_counts("known", split)

    def summary(self) -> dict[str, Any]:
        """Returns the summary of `noncoder data info`, as JSON values."""
        splits = {
            name: {"windows": int(self.indices(name).size), "positives": int(self.positives(name).sum())}
            for name in SPLITS
        }
        groups: dict[str, int] = {}
        for task in self.tasks:
            groups[task.group or "none"] = groups.get(task.group or "none", 0) + 1
        return {
            "path": str(self.path),
            "windows": len(self),
            "tasks": len(self.tasks),
            "bases": self.n_bases,
            "positives": sum(split["positives"] for split in splits.values()),
            "splits": splits,
            "window": self.window,
            "bin": self.bin,
            "label_rule": self.info.label_rule,
            "split_rule": self.info.split_rule,
            "genome": self.info.genome,
            "coordinates": self.info.coordinates,
            "groups": groups,
            "unknown_labels": self.packed_known is not None,
            "contigs": len(self.contigs[0]),
            "bytes": sum(file.stat().st_size for file in self.path.rglob("*") if file.is_file()),
            "raw_bytes": len(self) * (self.window * 4 + len(self.tasks)),
            "sources": len(self.info.sources),
            "dropped": [dict(drop) for drop in self.info.dropped],
            "notes": list(self.info.notes),
            "digest": self.digest,
            "version": self.info.version,
        }

    def check(self) -> None:
        """Reads everything and compares it with the digests from the time of writing.

        Raises:
            StoreError: The content of an array has changed, or a window is in no contig.
        """
        for name in self._arrays:
            for _ in self._arrays.blocks(name):
                pass
            self._arrays.whole(name)
        if self.start.size and not (self._centre.min() >= 0 and self._centre.max() < self.n_bases):
            raise damaged(self.path, "the middle of a window lies outside of every contig")
        if self.split.size and self.split.max() >= len(SPLITS):
            raise damaged(self.path, f"a window is in split {self.split.max()}")

    @cached_property
    def _centre(self) -> NDArray[np.int64]:
        return self.start + self.window // 2

    @cached_property
    def _contig(self) -> NDArray[np.int64]:
        return np.searchsorted(self.contigs[1], self._centre, side="right") - 1

    @cached_property
    def _pad(self) -> int:
        """Largest number of bases by which a window extends beyond its contig."""
        if not self.start.size:
            return 0
        _, offsets, lengths = self.contigs
        before = offsets[self._contig] - self.start
        after = self.start + self.window - (offsets + lengths)[self._contig]
        return max(0, int(before.max()), int(after.max()))

    @cached_property
    def layout(self) -> StoreLayout:
        """The arrays from which windows are sliced, for use elsewhere."""
        low = self._first_row + self._pad
        high = low + self.contigs[2][self._contig]
        return StoreLayout(self._padded, self._rows, self._first_row, self._last_row, low, high)

    @cached_property
    def _windows(self) -> NDArray[np.uint8]:
        return cast(NDArray[np.uint8], sliding_window_view(self._padded, self.window))

    @cached_property
    def _padded(self) -> NDArray[np.uint8]:
        # With enough N between the contigs, every window is one contiguous slice.
        _, offsets, lengths = self.contigs
        padded = np.full(self.n_bases + (len(offsets) + 1) * self._pad, N_CODE, dtype=np.uint8)
        at = 0
        for block in self.code_blocks():
            first, last = np.searchsorted(offsets, (at, at + block.size - 1), side="right") - 1
            for i in range(first, last + 1):
                low, high = max(at, offsets[i]), min(at + block.size, offsets[i] + lengths[i])
                moved = low + (i + 1) * self._pad
                padded[moved : moved + high - low] = block[low - at : high - at]
            at += block.size
        if padded.size < self.window:
            padded = np.pad(padded, (0, self.window - padded.size), constant_values=N_CODE)
        return padded

    @cached_property
    def _rows(self) -> NDArray[np.int64]:
        return self.start + (self._contig + 1) * self._pad

    @cached_property
    def _first_row(self) -> NDArray[np.int64]:
        return self.contigs[1][self._contig] + self._contig * self._pad

    @cached_property
    def _last_row(self) -> NDArray[np.int64]:
        length = self.contigs[2][self._contig]
        last: NDArray[np.int64] = np.maximum(self._first_row + length + 2 * self._pad - self.window, self._rows)
        return last

    def _bit_counts(self, name: str, split: str | None, block: int = 1 << 16) -> NDArray[np.int64]:
        """Counts the bits of a packed array, block by block from the disk, so it is never in memory as a whole."""
        counts = np.zeros(len(self.tasks), dtype=np.int64)
        chosen = np.ones(len(self), dtype=bool) if split is None else self.split == _split_number(split)
        for at in range(0, len(self), block):
            here = chosen[at : at + block]
            if here.any():
                rows = self._arrays.rows(name, at, min(at + block, len(self)))[here]
                counts += np.unpackbits(rows, axis=1, count=len(self.tasks)).sum(axis=0, dtype=np.int64)
        return counts


def _split_number(split: str) -> int:
    if split not in SPLITS:
        raise UnknownNameError("split", split, SPLITS)
    return SPLITS.index(split)


def _indices(indices: Indices) -> NDArray[np.integer[Any]]:
    """Converts to an array; an empty list, which NumPy would make an array of floats, to integers."""
    array = np.asarray(indices)
    return array if array.size else array.astype(np.int64)


def open_store(path: str | Path) -> Store:
    """Opens a dataset.

        >>> import noncoder
        >>> store = noncoder.open_store("yeast.zarr")
        >>> store
        Store('yeast.zarr', 60,000 windows of 1,000 bp, 146 tasks)
        >>> indices = store.indices("train")  # indices of the windows of a split, int64 (n,)
        >>> codes, labels = store.read(indices[:32])  # uint8 (32, L) of A, C, G, T, N = 0, 1, 2, 3, 4; uint8 (32, T)
        >>> [task.name for task in store.tasks]  # the columns of the labels, T

    Args:
        path: A folder NAME.zarr, as written by `noncoder data build`, `pack` and `simulate`.

    Raises:
        StoreError: It is missing, not a store, of a later format, truncated or damaged.
    """
    path = Path(path)
    # Path.exists raises if a folder cannot be entered.
    if not settled(path) or not any(os.path.exists(path / name) for name in ("zarr.json", "codes")):  # noqa: PTH110
        found, hint = mistaken(path, "store", "make one with `noncoder data build`")
        raise StoreError(found, expected="a store, a folder NAME.zarr", hint=hint)
    arrays = StoredArrays(path)
    written = arrays.attributes["noncoder"]
    if written.get("format_version", 0) > FORMAT_VERSION:
        raise StoreError(
            f"{path} has format {written['format_version']}", expected=f"at most {FORMAT_VERSION}",
            hint="install a newer noncoder",
        )  # fmt: skip
    arrays.check_attributes(lambda: len(written["tasks"]))
    return Store(path, arrays, StoreInfo.from_dict(written))


__all__ = ["Codes", "Indices", "Labels", "Store", "StoreLayout", "attributes_digest", "open_store"]

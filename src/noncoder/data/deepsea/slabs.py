"""Reads DeepSEA's files slab by slab into parts: the windows, stitched within the slab, and their labels.

A part is a file that exists completely or not at all, so a killed run resumes with the next slab.
"""

from __future__ import annotations

import hashlib
import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noncoder.bars import progress_bar
from noncoder.config import DeepSeaDataConfig
from noncoder.data.deepsea.matfiles import MatArray, describe_mat, open_mat
from noncoder.data.deepsea.stitching import find_shifts, new_bases
from noncoder.errors import InputError
from noncoder.files import read_arrays, write_bytes
from noncoder.sequence.encoding import N_CODE

Bytes = NDArray[np.uint8]

# The codes of DeepSEA's channels: A, G, C, T.
CHANNELS = (0, 2, 1, 3)

# Rows read at once, unless the file's chunks require more: 8,192 windows of both strands are 80 MB.
_SLAB = 1 << 13
_MOST_SLAB = 1 << 15
_THREADS = 2


@dataclass(frozen=True)
class DeepSeaSource:
    """The content of one file.

    Args:
        split: The file's split: train, valid or test.
        rows: Number of rows.
        tasks: Number of tasks.
        window: Width of its windows, bp.
        parts: The parts made from it, in order.
        both: Why both halves are kept; "" if the second is the first's reverse complement and was left out.
    """

    split: str
    rows: int
    tasks: int
    window: int
    parts: tuple[Path, ...]
    both: str


@dataclass(frozen=True)
class SlabPart:
    """The content of a slab of n rows.

    Args:
        shifts: Result of `stitching.find_shifts`, (n,); the first is 0.
        bases: Result of `stitching.new_bases`.
        ends: Codes of the first row and the last, (2, L).
        labels: Bit-packed, (n, ceil(T / 8)).
        unlike: Number of rows that are not the reverse complement of their partner.
        bad: Number of bases that are neither one-hot nor zero.
        digest: SHA-256 of all codes and labels.
    """

    shifts: NDArray[np.int32]
    bases: Bytes
    ends: Bytes
    labels: Bytes
    unlike: int
    bad: int
    digest: str

    def write(self, path: Path) -> None:
        """Writes the part to a file, completely or not at all."""
        content = io.BytesIO()
        values: dict[str, Any] = {name: getattr(self, name) for name in self.__dataclass_fields__}
        np.savez(content, **values)
        write_bytes(path, content.getbuffer())

    @classmethod
    def read(cls, path: Path) -> SlabPart:
        """The inverse of `write`."""
        values: dict[str, Any] = read_arrays(path)
        return cls(**values | {name: values[name].item() for name in ("unlike", "bad", "digest")})


@dataclass(frozen=True)
class _Slab:
    """Rows of one file; their reverse complements are `pair` rows after them, None if these are not compared."""

    start: int
    stop: int
    pair: int | None


def read_source(config: DeepSeaDataConfig, split: str, work: Path) -> DeepSeaSource:
    """Reads a file of the bundle into parts; existing parts are kept.

    Args:
        config: The folder and how to read it.
        split: The file's split.
        work: Folder of the parts.

    Raises:
        InputError: The file is truncated, damaged or of another layout, a label is not 0 or 1, or a base is neither
            one-hot nor zero and `config.bad_bases` is "error".
    """
    path = config.folder / f"{split}.mat"
    with open_mat(path, work) as arrays:
        x, y = _arrays_of(path, split, arrays, config)
        reader = _Reader(path, split, x, y, config, work)
        n, half = x.shape[-1], x.shape[-1] // 2
        parts: list[Path] = []
        both = f"it has an odd number of rows, {n:,}" if n % 2 else ""
        if not both:
            parts = reader.read(0, half, half)
            unlike = sum(SlabPart.read(part).unlike for part in parts)
            both = f"{unlike:,} of {half:,} rows are not the reverse complement of their partner" if unlike else ""
        if both:
            parts += reader.read(half if parts else 0, n, None)
    return DeepSeaSource(split, n, y.shape[0], x.shape[0], tuple(parts), both)


def _arrays_of(
    path: Path, split: str, arrays: dict[str, MatArray], config: DeepSeaDataConfig
) -> tuple[MatArray, MatArray]:
    names = (f"{split}xdata", f"{split}data")
    if not set(names) <= set(arrays):
        raise InputError(
            f"{path} holds {', '.join(f'{name}: {what}' for name, what in describe_mat(path).items()) or 'no array'}",
            expected=f"{names[0]} and {names[1]}, of type uint8",
            hint="check that it is the file of that split, as DeepSEA's authors made it",
        )  # fmt: skip
    x, y = (arrays[name] for name in names)
    if len(x.shape) != 3 or x.shape[1] != 4 or len(y.shape) != 2 or x.shape[-1] != y.shape[-1] or not x.shape[-1]:
        raise InputError(
            f"{path}: as they lie in the file, {names[0]} has the shape {x.shape} and {names[1]} {y.shape}",
            expected="(window, 4, rows) and (tasks, rows), with the same number of rows, at least one",
        )
    if x.shape[0] < config.bin or (x.shape[0] - config.bin) % 2:
        raise InputError(
            f"{path}: windows of {x.shape[0]} bp for a bin of {config.bin}",
            expected="a window wider than the bin by an even number of bp", hint="give --bin",
        )  # fmt: skip
    return x, y


@dataclass(frozen=True)
class _Reader:
    """Makes the parts of one file."""

    path: Path
    split: str
    x: MatArray
    y: MatArray
    config: DeepSeaDataConfig
    work: Path

    def read(self, start: int, stop: int, pair: int | None) -> list[Path]:
        """Returns the parts of the rows from start to stop; missing parts are made, in threads."""
        step = max(self.x.step, self.y.step)
        rows = min(-(-_SLAB // step) * step, _MOST_SLAB)
        slabs = [_Slab(at, min(at + rows, stop), pair) for at in range(start, stop, rows)]
        parts = [self.work / f"{self.split}-{slab.start:010d}-{slab.stop:010d}.part" for slab in slabs]
        todo = [(slab, part) for slab, part in zip(slabs, parts, strict=True) if not _is_whole(part)]
        done = stop - start - sum(slab.stop - slab.start for slab, _ in todo)
        with (
            progress_bar(
                total=stop - start,
                initial=done,
                desc=f"reading {self.path.name}",
                unit="windows",
            ) as bar,
            ThreadPoolExecutor(_THREADS) as pool,
        ):
            futures = [pool.submit(self._make, slab, part) for slab, part in todo]
            try:
                for future in futures:
                    bar.update(future.result())
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return parts

    def _make(self, slab: _Slab, part: Path) -> int:
        hot, labels = self.x.read(slab.start, slab.stop), self.y.read(slab.start, slab.stop)
        unlike = 0
        if slab.pair is not None:
            other = slab.start + slab.pair, slab.stop + slab.pair
            # In the order A, G, C, T the complement of a base is in the mirrored position.
            same = (self.x.read(*other) == hot[::-1, ::-1]).all(axis=(0, 1))
            same &= (self.y.read(*other) == labels).all(axis=0)
            unlike = int((~same).sum())
        if labels.max() > 1:
            task, row = np.argwhere(labels > 1)[0]
            raise InputError(
                f"{self.path}, row {slab.start + row + 1:,}, task {task + 1}: the label is {labels[task, row]}",
                expected="0 or 1",
            )
        codes, bad = to_codes(hot)
        if bad.any() and self.config.bad_bases == "error":
            row, at = np.argwhere(bad)[0]
            raise InputError(
                f"{self.path}, row {slab.start + row + 1:,}, base {at + 1}: {hot[at, :, row].tolist()}",
                expected="one 1 among 0s, or 0s for an unknown base",
                hint="--bad-bases n reads such bases as N, and counts them",
            )
        shifts, packed = find_shifts(codes, self.config.bin), np.packbits(labels, axis=0).T
        bases = new_bases(codes, shifts)
        SlabPart(
            shifts.astype(np.int32), bases, codes[[0, -1]], packed, unlike, int(bad.sum()), digest(codes, packed)
        ).write(part)
        return slab.stop - slab.start


def to_codes(hot: Bytes) -> tuple[Bytes, NDArray[np.bool_]]:
    """Converts DeepSEA's one-hot (L, 4, n) to codes (n, L); returns also where it is neither one-hot nor 0, (n, L)."""
    total = hot.sum(axis=1, dtype=np.uint8)
    codes: Bytes = N_CODE * (1 - total)
    for channel, code in enumerate(CHANNELS):
        codes += code * hot[:, channel]
    bad = total > 1
    if hot.max() > 1:  # whose sum may have overflowed
        bad |= (hot > 1).any(axis=1)
    codes[bad] = N_CODE
    return np.ascontiguousarray(codes.T), np.ascontiguousarray(bad.T)


def digest(codes: Bytes, labels: Bytes) -> str:
    """SHA-256 of windows (n, L) and their packed labels (n, ceil(T / 8))."""
    sha = hashlib.sha256(np.ascontiguousarray(codes).data)
    sha.update(np.ascontiguousarray(labels).data)
    return sha.hexdigest()


def _is_whole(part: Path) -> bool:
    """Whether a part of an earlier run can be read: a power failure may have left an empty one."""
    if not part.is_file():
        return False
    try:
        SlabPart.read(part)
    except (InputError, ValueError, TypeError, KeyError):
        return False
    return True

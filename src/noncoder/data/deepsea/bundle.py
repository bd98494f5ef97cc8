"""Converts the bundle of DeepSEA, train.mat, valid.mat and test.mat, to a store and back.

A file holds n windows, `SPLITxdata` (1000, 4, n), one-hot in the order A, G, C, T, and `SPLITdata` (919, n), with the
axes in the order of the file; the second half of the rows are the reverse complements of the first. A store has the
forward half, with overlapping windows stitched into contigs.

After all parts have been read (`slabs`), the store is written from them and read back from the disk, and each part is
compared with the digest from the time when it was read from the bundle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noncoder.bars import progress_bar
from noncoder.config import DeepSeaDataConfig
from noncoder.data.deepsea.deepsea_tasks import deepsea_tasks
from noncoder.data.deepsea.matfiles import create_mat
from noncoder.data.deepsea.slabs import CHANNELS, DeepSeaSource, SlabPart, digest, read_source
from noncoder.data.deepsea.stitching import find_shifts
from noncoder.data.info import SPLITS, StoreInfo
from noncoder.data.peak_files import read_tasks
from noncoder.data.store import Store, open_store
from noncoder.data.tasks import Task
from noncoder.data.writer import StoreWriter, check_target
from noncoder.errors import InputError, NoncoderError, StoreError
from noncoder.files import locked, refuse_existing, unwritable
from noncoder.machine import Stopped
from noncoder.runs.record import Record
from noncoder.temporary import remove_whole, temporary

# Values of a source's "strands": the forward half is stored, or all rows unchanged.
_FORWARD, _BOTH = "forward", "both"
# A file that exists when the store only needs to be renamed.
_VERIFIED = "verified"


def pack_deepsea(config: DeepSeaDataConfig, path: str | Path, force: bool = False) -> Store:
    """Writes the bundle of DeepSEA, or files of its layout, as a store.

    Memory holds two slabs of rows, whatever their number; a killed run resumes from its last slab.

    Args:
        config: The folder and how to read it.
        path: Path of the store.
        force: Replace an existing store.

    Returns:
        The store. Its contigs are numbered in the order of discovery: the bundle has no coordinates.

    Raises:
        InputError: A file is missing, truncated, damaged or of another layout; a label is not 0 or 1; a base is neither
            one-hot nor zero and `config.bad_bases` is "error".
        StoreError: What was written differs from what is read back.
    """
    path = Path(path)
    if not config.folder.is_dir():
        raise InputError(f"{config.folder} is no folder", expected="the folder of train.mat, valid.mat and test.mat")
    files = [config.folder / f"{split}.mat" for split in config.splits]
    for file in files:
        if not file.is_file():
            raise InputError(
                f"{config.folder} has no {file.name}", expected=", ".join(file.name for file in files),
                hint="`noncoder data fetch deepsea` downloads them; --splits names those that you have",
            )  # fmt: skip
    work = path.with_name(f".{path.name}.packing")
    try:
        check_target(path, force)  # fail before hours of reading, not after
    except InputError:
        if (work / _VERIFIED).exists():  # it was killed when only the clean-up was left
            remove_whole(work)
        raise
    # Only the owner of the folder's lock removes the folder.
    with locked(work, hint="wait for it: it makes the same store"):
        try:
            _begin(work, config, files)
            with _hashing(files) as digests:
                sources = [read_source(config, split, work) for split in config.splits]
                store = _assemble(config, path, force, sources, digests, work)
        except OSError as error:
            remove_whole(work)
            raise unwritable(path, error) from error
        except NoncoderError:
            remove_whole(work)
            raise
        except KeyboardInterrupt as error:
            told = "parts that were read are kept beside the store; the same command resumes from there"
            raise Stopped.by(error, told) from None
        remove_whole(work)
    return store


@contextmanager
def _hashing(files: Sequence[Path]) -> Iterator[list[Future[str]]]:
    """Computes the SHA-256 of the files while they are read, and stops if reading fails."""
    stop = Event()

    def sha256(path: Path) -> str:
        sha = hashlib.sha256()
        with path.open("rb") as file:
            while not stop.is_set() and (block := file.read(1 << 18)):
                sha.update(block)
        return sha.hexdigest()

    with ThreadPoolExecutor(1) as pool:
        try:
            yield [pool.submit(sha256, file) for file in files]
        finally:
            stop.set()


def _begin(work: Path, config: DeepSeaDataConfig, files: Sequence[Path]) -> None:
    """Keeps the parts of an earlier run with the same files and settings, and removes any others."""
    now = {
        "version": version("noncoder"),
        "config": config.model_dump(mode="json"),
        "files": [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files],
    }
    record = Record(work / "made-from.json", now)
    if not record.is_same():
        for left in (*work.glob("*.part"), work / _VERIFIED):
            left.unlink(missing_ok=True)
        record.write()


def _assemble(
    config: DeepSeaDataConfig,
    path: Path,
    force: bool,
    sources: Sequence[DeepSeaSource],
    digests: Sequence[Future[str]],
    work: Path,
) -> Store:
    first = sources[0]
    for source in sources:
        if (source.window, source.tasks) != (first.window, first.tasks):
            raise InputError(
                f"{first.split}.mat has windows of {first.window} bp and {first.tasks} tasks, {source.split}.mat "
                f"{source.window} bp and {source.tasks}",
                expected="one layout in all files",
            )
    tasks, ours = _tasks(config, first.tasks)
    with StoreWriter(path, first.tasks, force) as writer:
        bad = _write_parts(writer, config, sources)
        dropped = [
            {
                "what": "rows",
                "count": source.rows // 2,
                "why": f"{source.split}.mat: the reverse complements of the rest",
            }
            for source in sources
            if not source.both
        ]
        dropped += [{"what": "bases", "count": bad, "why": "neither one-hot nor zero, read as N"}] if bad else []
        writer.finish(
            StoreInfo(
                window=first.window,
                bin=config.bin,
                tasks=tasks,
                label_rule="overlap:0.5" if ours else "as given",
                genome="hg19" if ours else "",
                coordinates=False,  # windows are stitched into contigs with unknown positions
                sources=tuple(
                    {
                        "name": f"{source.split}.mat",
                        "sha256": sha.result(),
                        "strands": _BOTH if source.both else _FORWARD,
                    }
                    for source, sha in zip(sources, digests, strict=True)
                ),
                dropped=tuple(dropped),
                notes=(
                    *(
                        f"{source.split}.mat: both halves of the rows are kept: {source.both}"
                        for source in sources
                        if source.both
                    ),
                    *writer.classes.notes(tasks),
                ),
                version=version("noncoder"),
            ),
            # Before it replaces another store.
            check=lambda store: _verify(store, path, sources, work),
        )
    return open_store(path)


def _tasks(config: DeepSeaDataConfig, count: int) -> tuple[tuple[Task, ...], bool]:
    """Returns the tasks, and whether they are DeepSEA's own."""
    tasks = tuple(read_tasks(config.tasks)) if config.tasks else deepsea_tasks()
    if len(tasks) != count:
        raise InputError(
            f"the files have {count} tasks, {config.tasks or 'DeepSEA'} has {len(tasks)}",
            expected="one row per task", hint="give --tasks, a sheet with the column name",
        )  # fmt: skip
    return tasks, config.tasks is None


def _write_parts(writer: StoreWriter, config: DeepSeaDataConfig, sources: Sequence[DeepSeaSource]) -> int:
    """Stitches the parts, also across slabs and files; returns the number of bases that were read as N."""
    total = n_contigs = bad = 0
    last: NDArray[np.uint8] | None = None
    for source in sources:
        for path in progress_bar(source.parts, f"writing {source.split}", unit="parts"):
            part = SlabPart.read(path)
            shifts, bases, width = part.shifts.astype(np.int64), part.bases, source.window
            if last is not None:
                shifts[0] = find_shifts(np.stack([last, part.ends[0]]), config.bin)[1]
                bases = bases[width - shifts[0] :] if shifts[0] else bases
            last, bad = part.ends[1], bad + part.bad
            added = np.where(shifts == 0, width, shifts)
            ends = np.cumsum(added)
            opens = np.flatnonzero(shifts == 0)
            cuts = [0, *(ends - added)[opens[opens > 0]], bases.size]
            for low, high in pairwise(cuts):
                if low == 0 and shifts[0]:
                    writer.extend_contig(bases[low:high])
                else:
                    n_contigs += 1
                    writer.add_contig(f"contig{n_contigs}", bases[low:high])
            split = np.full(shifts.size, SPLITS.index(source.split), dtype=np.uint8)
            writer.add_windows(total + ends - width, part.labels, split)
            total += bases.size
    return bad


def _verify(store: Store, path: Path, sources: Sequence[DeepSeaSource], work: Path) -> None:
    """Reads every window back from the disk and compares it with the bundle."""
    row = 0
    for source in sources:
        for file in progress_bar(source.parts, f"verifying {source.split}", unit="parts"):
            part = SlabPart.read(file)
            rows = np.arange(row, row + part.shifts.size)
            if digest(*store.read_from_disk(rows)) != part.digest:
                raise StoreError(
                    f"{path} did not read back as it was written, in rows {row:,} to {row + rows.size:,}",
                    expected="the windows and labels of the bundle",
                    hint="check disk and memory of this machine, then pack again",
                )
            row += rows.size
    (work / _VERIFIED).touch()


def unpack_deepsea(store: Store, folder: str | Path, force: bool = False) -> list[Path]:
    """Writes the splits of a store as train.mat, valid.mat and test.mat, in the layout of DeepSEA's bundle.

    train.mat has MATLAB's version 7.3, the others version 5 unless they are too large for it. Each holds the windows of
    its split in the store's order and then their reverse complements; rows that were packed unchanged are written
    unchanged.

    Args:
        store: The store.
        folder: Folder of the files.
        force: Replace existing files.

    Returns:
        The files; a split without windows has no file.

    Raises:
        InputError: A file already exists, cannot be written, or the store has unknown labels.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is no folder", hint="give the name of one; it is made if it is not there")
    if store.packed_known is not None:
        raise InputError(f"{store.path} has unknown labels", expected="0 or 1, the only values of DeepSEA's layout")
    splits = [split for split in SPLITS if store.indices(split).size]
    for split in splits:
        refuse_existing(folder / f"{split}.mat", force)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [_unpack_split(store, split, folder) for split in splits]
    except OSError as error:
        raise unwritable(folder, error) from error


def _unpack_split(store: Store, split: str, folder: Path, block: int = 1 << 13) -> Path:
    indices = store.indices(split)
    strands = {source.get("name"): source.get("strands", _FORWARD) for source in store.info.sources}
    both = strands.get(f"{split}.mat", _FORWARD) == _FORWARD
    n = indices.size * (2 if both else 1)
    shapes = {f"{split}xdata": (store.window, 4, n), f"{split}data": (len(store.tasks), n)}
    progress: Any = progress_bar(total=n, desc=f"writing {split}.mat", unit="rows")
    with temporary(folder / f"{split}.mat") as made:
        with progress, create_mat(made.path, shapes, hdf=split == "train") as write:
            for reverse in (False, True)[: 2 if both else 1]:
                for at in range(0, indices.size, block):
                    codes, packed = store.read_from_disk(indices[at : at + block])
                    hot = np.stack([(codes == code).T for code in CHANNELS], axis=1).view(np.uint8)
                    labels = np.unpackbits(packed, axis=1, count=len(store.tasks)).T
                    row = at + reverse * indices.size
                    write(f"{split}xdata", row, hot[::-1, ::-1] if reverse else hot)
                    write(f"{split}data", row, labels)
                    progress.update(len(codes))
        made.put()
    return made.target

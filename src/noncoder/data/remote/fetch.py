"""Fetches a dataset of the catalogue and makes the store or files on disk."""

from __future__ import annotations

import glob
import os
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from noncoder.config import BuildConfig
from noncoder.data.peaks import build_store
from noncoder.data.remote.catalog import Dataset, MatDataset, PeakDataset, RemoteFile
from noncoder.data.remote.contents import (
    check_genome,
    check_mat,
    check_mat_archive,
    check_peaks,
    read_peak_archive,
    unpack_mats,
)
from noncoder.data.remote.download import Check, download, verify
from noncoder.data.remote.partial_download import Copy, PartialFile, Patience, need_room
from noncoder.errors import DownloadError, InputError, is_unwritable
from noncoder.files import locked, refuse_existing, unwritable
from noncoder.temporary import remove_whole, temporary

_WAIT = "wait for it: this command can then use what it unpacks"


@dataclass(frozen=True)
class Fetched:
    """The result of `fetch`.

    Args:
        out: The store, or the folder of .mat files.
        sources: Source files.
        next: The next command.
        store: Summary of the store, as from `noncoder data info`, if it is one.
    """

    out: Path
    sources: tuple[Path, ...]
    next: str
    store: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        sources = [str(source) for source in self.sources]
        return {"out": str(self.out), "sources": sources, "next": self.next, "store": self.store}


def cache_folder() -> Path:
    """Returns the folder of downloads: $NONCODER_CACHE, $XDG_CACHE_HOME/noncoder or ~/.cache/noncoder."""
    if own := os.environ.get("NONCODER_CACHE"):
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "noncoder"


@dataclass(frozen=True)
class Shelf:
    """A dataset's folder in the cache, and how it is filled.

    Args:
        folder: Folder of the dataset's files under their own names, downloaded or copied by hand.
        offline: Use only existing files.
        mirror: Web folder with the files under their own names, used in place of the addresses.
        patience: Timeouts and attempts.
    """

    folder: Path
    offline: bool = False
    mirror: str | None = None
    patience: Patience = field(default_factory=Patience)

    def get(self, file: RemoteFile, check: Check, again: Check | None = None) -> Path:
        """Returns a file, from the cache if it exists, else from the first address that has it.

        Args:
            file: The file.
            check: Raises an error if a download is wrong.
            again: The same for a file that already existed; None if it will be read to its end anyway.

        Raises:
            InputError: It does not exist and `offline` is set, or the existing file is wrong.
            DownloadError: No address has it.
        """
        for copy in file.copies:
            path = self.folder / copy.name
            if path.is_file():
                with _blamed(path):
                    verify(copy, path)
                    if again is not None:
                        again(path)
                return path
        self.require([file])
        return self._load(file, check)

    def require(self, files: Sequence[RemoteFile]) -> None:
        """Checks that the files are available.

        Raises:
            InputError: `offline` is set and some files do not exist; names all of them.
        """
        lacking = [file for file in files if not any((self.folder / copy.name).is_file() for copy in file.copies)]
        if self.offline and lacking:
            raise InputError(
                f"{self.folder} lacks {' and '.join(file.copies[0].name for file in lacking)}",
                expected="all files there, since --offline was given",
                hint="\n".join(_by_hand(self.folder, file.copies) for file in lacking),
            )

    def _load(self, file: RemoteFile, check: Check) -> Path:
        copies = file.copies
        if self.mirror is not None:
            base = self.mirror.rstrip("/")
            copies = tuple(dict.fromkeys(replace(copy, address=f"{base}/{copy.name}") for copy in copies))
        # The largest partial download is resumed first; otherwise the order of the catalogue applies.
        parts = {copy: PartialFile(self.folder / copy.name) for copy in copies}
        copies = tuple(sorted(copies, key=lambda copy: -parts[copy].size))
        # Before the first byte; the server's size is compared later.
        need_room(self.folder, max(0, file.about - parts[copies[0]].size), copies[0].name)
        failures: list[DownloadError] = []
        patience = replace(self.patience, silent=self.patience.silent / len(copies))
        for copy in copies:
            path = self.folder / copy.name
            try:
                download(copy, path, check, patience)
            except DownloadError as error:
                failures.append(error)
                continue
            for part in parts.values():
                part.remove()
            return path
        if len(failures) == 1:
            found, expected, hint = failures[0].found, failures[0].expected, failures[0].hint
        else:
            found = f"no address has {copies[0].name}:" + "".join(f"\n- {error.found}" for error in failures)
            expected, hint = failures[-1].expected, failures[0].hint
        raise DownloadError(found, expected, "\nor ".join(filter(None, (hint, _by_hand(self.folder, copies)))))


def fetch(dataset: Dataset, out: Path, shelf: Shelf, force: bool = False) -> Fetched:
    """Downloads and checks a dataset, and makes its store or files.

    Files in the cache, and results that exist, are checked and used, so an interrupted call resumes.

    Args:
        dataset: Result of `find_dataset`.
        out: Path of the store, or of the folder of .mat files.
        shelf: The cache.
        force: Replace existing results.

    Raises:
        InputError: `out` exists, a file is wrong or missing, or there is not enough space.
        DownloadError: A file cannot be downloaded.
    """
    if isinstance(dataset, PeakDataset):
        return _fetch_peaks(dataset, out, shelf, force)
    if isinstance(dataset, MatDataset):
        return _fetch_mats(dataset, out, shelf, force)
    raise TypeError(f"{type(dataset).__name__} has no way to be made")


def place_sources(dataset: PeakDataset, fetched: Fetched) -> Fetched:
    """Copies a genome and peak files to the folder from which the dataset's recipes read them.

    Existing files are checked and stay.

    Args:
        dataset: The dataset.
        fetched: Result of `fetch`.

    Returns:
        The same with the command that runs the recipe.

    Raises:
        InputError: An existing file differs, or there is not enough space.
    """
    peaks, genome = fetched.sources
    folder = dataset.folder
    if not os.path.lexists(folder):
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with temporary(folder) as made:
                shutil.copytree(peaks, made.path / "peaks", ignore=shutil.ignore_patterns(".*"))
                shutil.copyfile(genome, made.path / genome.name)
                made.put()
        except OSError as error:
            if not is_unwritable(error):
                raise
            raise unwritable(folder, error) from error
    with _blamed(folder):
        check_genome(folder / genome.name, dataset.contigs)
        _check_peak_folder(dataset, folder / "peaks")
    return replace(fetched, next=f"noncoder run {dataset.recipe}")


def discard(dataset: Dataset, shelf: Shelf) -> None:
    """Removes a dataset's files from the cache, and nothing else in it."""
    for file in dataset.files.values():
        for copy in file.copies:
            PartialFile(shelf.folder / copy.name).remove()
            (shelf.folder / copy.name).unlink(missing_ok=True)
    if isinstance(dataset, PeakDataset):
        remove_whole(_peaks_in(shelf))


def _fetch_peaks(dataset: PeakDataset, out: Path, shelf: Shelf, force: bool) -> Fetched:
    refuse_existing(out, force)
    shelf.require([file for role, file in dataset.files.items() if role != "peaks" or not _peaks_in(shelf).is_dir()])
    folder = _peak_folder(dataset, shelf)
    check = partial(check_genome, contigs=dataset.contigs)
    genome = shelf.get(dataset.files["genome"], check, check)
    pattern = f"{glob.escape(str(folder))}/*.bed"
    store = build_store(BuildConfig(genome=genome, peaks=(pattern,), **dataset.build), out, force)
    command = f"noncoder run {dataset.recipe} data.store={shlex.quote(str(out))} run=runs/{shlex.quote(out.stem)}"
    return Fetched(out, (folder, genome), command, store.summary())


def _peaks_in(shelf: Shelf) -> Path:
    return shelf.folder / "peaks"


def _peak_folder(dataset: PeakDataset, shelf: Shelf) -> Path:
    """Returns the folder of peak files, unpacked if it does not exist."""
    folder = _peaks_in(shelf)
    if folder.is_dir():
        with _blamed(folder):
            _check_peak_folder(dataset, folder)
        return folder

    def check(path: Path) -> None:
        read_peak_archive(path, dataset.peaks)

    archive = shelf.get(dataset.files["peaks"], check)
    with _blamed(archive):
        files = read_peak_archive(archive, dataset.peaks)
    with locked(shelf.folder, _WAIT):
        try:
            with temporary(folder) as made:
                made.path.mkdir()
                for name, content in files.items():
                    (made.path / name).write_bytes(content)
                if not folder.is_dir():  # another process may have made it meanwhile
                    made.put()
        except OSError as error:
            if not is_unwritable(error):
                raise
            raise unwritable(folder, error) from error
    return folder


def _check_peak_folder(dataset: PeakDataset, folder: Path) -> None:
    paths = [path for path in folder.glob("*.bed") if not path.name.startswith(".")]
    check_peaks({path.name: path.read_bytes() for path in paths}, dataset.peaks, folder)


def _fetch_mats(dataset: MatDataset, out: Path, shelf: Shelf, force: bool) -> Fetched:
    there = [] if force else [name for name in dataset.mats if os.path.lexists(out / name)]
    for name in there:
        with _blamed(out / name):
            check_mat(out / name, dataset.mats[name])
    missing = {name: shapes for name, shapes in dataset.mats.items() if name not in there}
    if missing:
        need_room(out, 0 if there else dataset.unpacked, f"what {dataset.name} unpacks to")
        archive = shelf.get(dataset.files["bundle"], partial(check_mat_archive, names=list(dataset.mats)))
        with locked(shelf.folder, _WAIT), _blamed(archive):
            unpack_mats(archive, missing, out)
    command = f"noncoder data pack --deepsea {shlex.quote(str(out))} {shlex.quote(f'{out}.zarr')}"
    return Fetched(out, tuple(out / name for name in dataset.mats), command)


@contextmanager
def _blamed(path: Path) -> Iterator[None]:
    """Raises an error that names a user's file with wrong content."""
    try:
        yield
    except DownloadError as error:
        raise InputError(
            f"{path} is wrong: {error.found}",
            error.expected,
            "remove it, and run the same command again",
        ) from error


def _by_hand(folder: Path, copies: Sequence[Copy]) -> str:
    places = " or ".join(dict.fromkeys(f"{folder / copy.name}" for copy in copies))
    return f"download {copies[0].address} by hand to {places}, and run the same command again"

"""Checks the content of downloaded files, whatever their digest, and extracts files from archives."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

from tqdm import tqdm

from noncoder.data.remote.partial_download import need_room
from noncoder.errors import DownloadError, SequenceError, is_unwritable
from noncoder.files import unwritable
from noncoder.sequence.genome import Genome, head
from noncoder.temporary import Temporary

_BLOCK = 1 << 20

Contigs = Mapping[str, tuple[int, str]]
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class PeakFacts:
    """Known content of a set of peak files.

    Args:
        folder: Folder in the archive.
        files: Number of files.
        records: Total number of lines.
        digest: SHA-256 of the output of `sha256sum *.bed` in their folder, names in byte order.
    """

    folder: str
    files: int
    records: int
    digest: str

    def names(self, member: PurePosixPath) -> bool:
        """Whether a member of an archive is one of the files."""
        return member.parent.name == self.folder and member.suffix == ".bed" and not member.name.startswith(".")


def check_genome(path: Path, contigs: Contigs) -> None:
    """Compares a FASTA file with the contigs it should have.

    Args:
        path: The file.
        contigs: Length in bp and MD5 of the upper-case letters (the M5 of SAM, the identifier of refget) by name.

    Raises:
        DownloadError: A contig is missing, unexpected or different; or the file is not FASTA, or is truncated.
    """
    try:
        genome = Genome(path)
    except SequenceError as error:
        raise DownloadError(error.found.replace(path.name, _name(path)), error.expected) from error
    with genome:
        lengths = {name: length for name, (length, _) in contigs.items()}
        if genome.lengths != lengths:
            odd = [name for name in {**lengths, **genome.lengths} if genome.lengths.get(name) != lengths.get(name)]
            found, known = ([f"{name} {have.get(name, 0):,} bp" for name in odd] for have in (genome.lengths, lengths))
            raise DownloadError(f"{_name(path)} has other contigs: {head(found)}", expected=head(known))
        for name, (_, digest) in contigs.items():
            letters = genome.text(name).upper().encode()
            if hashlib.md5(letters, usedforsecurity=False).hexdigest() != digest:
                raise DownloadError(f"{_name(path)} has another sequence for {name}", expected=f"the MD5 {digest}")


def check_peaks(files: Mapping[str, bytes], facts: PeakFacts, where: Path) -> None:
    """Compares peak files, by name, with known content.

    Raises:
        DownloadError: The number of files or records, or the content, differs.
    """
    if len(files) != facts.files:
        raise DownloadError(f"{_name(where)} has {len(files)} peak files in {facts.folder}", expected=f"{facts.files}")
    records = sum(len(content.splitlines()) for content in files.values())
    if records != facts.records:
        raise DownloadError(f"the peak files of {_name(where)} have {records:,} lines", expected=f"{facts.records:,}")
    listed = "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))
    found = hashlib.sha256(listed.encode()).hexdigest()
    if found != facts.digest:
        raise DownloadError(f"the peak files of {_name(where)} have the digest {found}", expected=facts.digest)


def read_peak_archive(archive: Path, facts: PeakFacts) -> dict[str, bytes]:
    """Reads and checks the peak files of an archive, by name.

    Raises:
        DownloadError: The archive is damaged, or has other content.
    """
    files: dict[str, bytes] = {}
    with _whole(archive):
        for member, _, content in _members(archive):
            if facts.names(member):
                files[member.name] = content.read()
    check_peaks(files, facts, archive)
    return files


def check_mat(path: Path, shapes: Shapes) -> None:
    """Compares the variables of a .mat file, HDF5 or older, with the expected ones; reads only its headers.

    Raises:
        DownloadError: They differ, or it is not a .mat file.
    """
    import h5py

    try:
        if h5py.is_hdf5(path):
            with h5py.File(path) as file:
                found = {name: file[name].shape for name in file if isinstance(file[name], h5py.Dataset)}
        else:
            from scipy.io import whosmat

            found = {name: shape for name, shape, _ in whosmat(str(path))}
    except Exception as error:  # scipy raises many different errors for broken files
        raise DownloadError(f"{path} is not a .mat file, or is truncated: {error}", expected=_shown(shapes)) from error
    if found != shapes:
        raise DownloadError(f"{path} holds {_shown(found) or 'nothing'}", expected=_shown(shapes))


def check_mat_archive(archive: Path, names: Sequence[str]) -> None:
    """Reads an archive to its end, and checks that the files are in it.

    Raises:
        DownloadError: It is damaged, truncated, or lacks a file.
    """
    with _whole(archive):
        found = [member.name for member, _, _ in _members(archive)]
    _check_names(archive, found, names)


def unpack_mats(archive: Path, mats: Mapping[str, Shapes], folder: Path) -> None:
    """Extracts .mat files from an archive; they appear under their names when all are extracted and checked.

    Raises:
        DownloadError: The archive is damaged, lacks a file, or has a wrong one.
        InputError: The disk has no room.
    """
    made: dict[str, Temporary] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = []
        made |= {name: Temporary(folder / name) for name in mats}
        with _whole(archive):
            for member, size, content in _members(archive):
                found.append(member.name)
                if member.name in mats:
                    need_room(folder, size, member.name)
                    with made[member.name].path.open("wb") as target:
                        shutil.copyfileobj(content, target, _BLOCK)
        _check_names(archive, found, list(mats))
        for name, shapes in mats.items():
            check_mat(made[name].path, shapes)
        for one in made.values():
            one.put()
    except OSError as error:
        if not is_unwritable(error):
            raise
        raise unwritable(folder, error) from error
    finally:
        for one in made.values():
            one.release()
        with suppress(OSError):  # it stays if it is not empty
            folder.rmdir()


def _members(archive: Path) -> Iterator[tuple[PurePosixPath, int, IO[bytes]]]:
    """Yields the regular files of a tar.gz archive with their sizes, in order.

    This function writes nothing and skips links, and callers use only the name of a member's path: an archive cannot
    write outside of the target folder.
    """
    size = archive.stat().st_size
    with (
        archive.open("rb") as file,
        tqdm.wrapattr(file, "read", size, desc=f"reading {_name(archive)}", delay=2, disable=None) as counted,
        gzip.open(cast("IO[bytes]", counted)) as unpacked,
        tarfile.open(fileobj=unpacked, mode="r|", bufsize=_BLOCK) as tar,
    ):
        for member in tar:
            content = tar.extractfile(member) if member.isreg() else None
            if content is not None:
                yield PurePosixPath(member.name), member.size, content
        # A tar ends before its gzip, whose last bytes are the checksum.
        while unpacked.read(_BLOCK):
            pass


@contextmanager
def _whole(archive: Path) -> Iterator[None]:
    """Describes errors of an archive that is read inside the block."""
    with archive.open("rb") as file:
        start = file.read(15)
    if start[:2] != b"\x1f\x8b":
        raise DownloadError(
            f"{_name(archive)} is not a gzip file: it begins with {start!r}", expected="a .tar.gz archive"
        )
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError) as error:
        raise DownloadError(f"{_name(archive)} is truncated or damaged: {error}", expected="a whole .tar.gz") from error


def _check_names(archive: Path, found: Sequence[str], names: Sequence[str]) -> None:
    odd = [name for name in names if found.count(name) != 1]
    if odd:
        raise DownloadError(
            f"{_name(archive)} holds {head(found) or 'no file'}", expected=f"{', '.join(names)}, each of them once"
        )


def _shown(shapes: Shapes) -> str:
    return ", ".join(f"{name} {tuple(shape)}" for name, shape in sorted(shapes.items()))


def _name(path: Path) -> str:
    """Returns the name that the file will have when it is complete."""
    return path.name.removesuffix(".part")

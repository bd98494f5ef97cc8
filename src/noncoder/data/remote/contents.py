"""What a downloaded file must hold, whatever its digest, and taking files out of archives."""

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
    """What is known of a set of peak files.

    Args:
        folder: Where the archive has them.
        files: How many there are.
        records: Their lines, all together.
        digest: SHA-256 of what `sha256sum *.bed` prints in their folder, names in the order of bytes.
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
        DownloadError: A contig is missing, is too many, or another; or the file is no FASTA, or is cut off.
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
    """Compares peak files, by name, with what is known of them.

    Raises:
        DownloadError: There are more or fewer files or records, or other ones.
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
    """The peak files of an archive by name, checked.

    Raises:
        DownloadError: The archive is damaged, or does not hold what it should.
    """
    files: dict[str, bytes] = {}
    with _whole(archive):
        for member, _, content in _members(archive):
            if facts.names(member):
                files[member.name] = content.read()
    check_peaks(files, facts, archive)
    return files


def check_mat(path: Path, shapes: Shapes) -> None:
    """Compares the variables of a .mat file, HDF5 or older, with those it should have; only its headers are read.

    Raises:
        DownloadError: It has others, or is no .mat file.
    """
    import h5py

    try:
        if h5py.is_hdf5(path):
            with h5py.File(path) as file:
                found = {name: file[name].shape for name in file if isinstance(file[name], h5py.Dataset)}
        else:
            from scipy.io import whosmat

            found = {name: shape for name, shape, _ in whosmat(str(path))}
    except Exception as error:  # scipy raises a different class for each way in which a file can be broken
        raise DownloadError(f"{path} is no .mat file, or is cut off: {error}", expected=_shown(shapes)) from error
    if found != shapes:
        raise DownloadError(f"{path} holds {_shown(found) or 'nothing'}", expected=_shown(shapes))


def check_mat_archive(archive: Path, names: Sequence[str]) -> None:
    """Reads an archive to its end, and makes sure that the files are there.

    Raises:
        DownloadError: It is damaged, cut off, or lacks one.
    """
    with _whole(archive):
        found = [member.name for member, _, _ in _members(archive)]
    _check_names(archive, found, names)


def unpack_mats(archive: Path, mats: Mapping[str, Shapes], folder: Path) -> None:
    """Takes .mat files out of an archive; each appears under its name when all are there and are what they should be.

    Raises:
        DownloadError: The archive is damaged, lacks one, or has another.
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
        with suppress(OSError):  # it stays where something is in it
            folder.rmdir()


def _members(archive: Path) -> Iterator[tuple[PurePosixPath, int, IO[bytes]]]:
    """The regular files of a tar.gz archive with their sizes, in its order.

    Nothing is written here, links are passed over, and whoever writes takes no more than the name from a member's path:
    an archive cannot reach out of the folder it is unpacked to.
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
        # A tar ends before its gzip does, whose last bytes are the checksum.
        while unpacked.read(_BLOCK):
            pass


@contextmanager
def _whole(archive: Path) -> Iterator[None]:
    """Tells what is wrong with an archive that is read within."""
    with archive.open("rb") as file:
        start = file.read(15)
    if start[:2] != b"\x1f\x8b":
        raise DownloadError(f"{_name(archive)} is no gzip file: it begins with {start!r}", expected="a .tar.gz archive")
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError) as error:
        raise DownloadError(f"{_name(archive)} is cut off or damaged: {error}", expected="a whole .tar.gz") from error


def _check_names(archive: Path, found: Sequence[str], names: Sequence[str]) -> None:
    odd = [name for name in names if found.count(name) != 1]
    if odd:
        raise DownloadError(
            f"{_name(archive)} holds {head(found) or 'no file'}", expected=f"{', '.join(names)}, each of them once"
        )


def _shown(shapes: Shapes) -> str:
    return ", ".join(f"{name} {tuple(shape)}" for name, shape in sorted(shapes.items()))


def _name(path: Path) -> str:
    """As the file will be called when it is complete."""
    return path.name.removesuffix(".part")

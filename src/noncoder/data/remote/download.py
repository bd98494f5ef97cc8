"""Downloads that resume after an interruption: a file exists completely and checked, or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from noncoder.data.remote.partial_download import Copy, PartialFile, Patience
from noncoder.data.remote.transfer import Transfer
from noncoder.errors import DownloadError, InputError, is_unwritable
from noncoder.files import locked
from noncoder.machine import Stopped

Check = Callable[[Path], None]


def download(copy: Copy, path: Path, check: Check | None = None, patience: Patience | None = None) -> None:
    """Downloads a file; `path` appears when it is complete and has passed its checks.

    An interrupted or killed call leaves `NAME.part`, and the next call resumes from there if the server still has the
    same version. A file that arrived in pieces and fails its checks is downloaded once more from its start.

    Args:
        copy: Name and address.
        path: Path of the file; an existing file is replaced.
        check: Checks the complete file, still called `NAME.part`, and raises DownloadError if it is wrong.
        patience: Timeouts and attempts.

    Raises:
        DownloadError: The server cannot be reached, refuses, or has another file.
        InputError: Another process is downloading into the folder, or the disk has no room.
    """
    part = PartialFile(path)
    with locked(path.parent, hint="wait for it: what it downloads is then there for this command too"):
        try:
            _complete(copy, part, check, patience or Patience())
            part.file.replace(path)
            part.remove()
        except KeyboardInterrupt as error:
            told = f"{part.file} keeps the downloaded {part.size / 1e6:,.1f} MB; the same command resumes from there"
            raise Stopped.by(error, told) from None
        except OSError as error:
            if not is_unwritable(error):
                raise
            raise InputError(
                f"cannot write {error.filename or part.file}: {error.strerror}",
                expected="a writable folder with enough space",
                hint="free some space or give another --cache; the downloaded part is kept and resumed",
            ) from error


def _complete(copy: Copy, part: PartialFile, check: Check | None, patience: Patience) -> None:
    for last in (False, True):
        doubtful = Transfer(copy, part, patience).run()
        try:
            verify(copy, part.file)
            if check is not None:
                check(part.file)
            return
        except DownloadError as error:
            part.remove()
            if last or not doubtful:
                raise DownloadError(f"{copy.address}: {error.found}", error.expected, error.hint) from error


def verify(copy: Copy, path: Path) -> None:
    """Compares a file with its known size and digest.

    Raises:
        DownloadError: It is another file.
    """
    size = path.stat().st_size
    if copy.size is not None and size != copy.size:
        raise DownloadError(f"{copy.name} has {size:,} bytes", expected=f"{copy.size:,}")
    if copy.digest is None:
        return
    kind = copy.digest.partition(":")[0]
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()
    if f"{kind}:{found}" != copy.digest:
        raise DownloadError(
            f"{copy.name} has the digest {kind}:{found}", expected=copy.digest,
            hint="try again, or another mirror; if that does not help, its publisher has changed it",
        )  # fmt: skip

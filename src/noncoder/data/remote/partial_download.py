"""A partial download, and its description.

It is `NAME.part` beside the target, with `NAME.part.json`, which records the version and address of the part.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from noncoder.errors import InputError
from noncoder.files import read_json, write_json

# Space that stays free beside the file.
_SPARE = 1 << 26


@dataclass(frozen=True)
class Copy:
    """A file at an address.

    Args:
        name: Local name.
        address: http or https.
        size: Bytes, if known exactly.
        digest: "sha256:…" or "md5:…", if published.
    """

    name: str
    address: str
    size: int | None = None
    digest: str | None = None


@dataclass(frozen=True)
class Patience:
    """Timeouts in seconds, and numbers of attempts.

    Args:
        connect: Timeout of a connection.
        read: Timeout between two pieces of a file.
        attempts: Consecutive attempts without progress.
        backoff: Pause before the second attempt; it doubles with each.
        longest: Longest pause between two attempts, even if the server asks for more.
        silent: Total time without an answer of any server, after which this machine counts as offline.
    """

    connect: float = 20
    read: float = 60
    attempts: int = 5
    backoff: float = 1
    longest: float = 60
    silent: float = 20


@dataclass(frozen=True)
class DownloadOrigin:
    """Version and address of a partial download; `total` is None until the server has reported it."""

    address: str
    etag: str = ""
    modified: str = ""
    total: int | None = None
    encoding: str = ""

    @property
    def condition(self) -> str:
        """Returns the validator for If-Range; a weak tag must not be used (RFC 9110, 13.1.5)."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified


class PartialFile:
    """The part of a file that has been downloaded.

    Args:
        path: Final path of the file.
    """

    def __init__(self, path: Path) -> None:
        self.file = path.with_name(path.name + ".part")
        self._notes = path.with_name(path.name + ".part.json")

    @property
    def size(self) -> int:
        """Number of bytes."""
        return self.file.stat().st_size if self.file.is_file() else 0

    def origin(self, address: str) -> DownloadOrigin | None:
        """Returns the origin, if it is this address and known."""
        try:
            notes = read_json(self._notes)
        except InputError:
            return None
        if notes is None or set(notes) != {field.name for field in fields(DownloadOrigin)} or not self.file.is_file():
            return None
        return DownloadOrigin(**notes) if notes["address"] == address else None

    def begin(self, origin: DownloadOrigin) -> None:
        """Empties the part; in this order the description never belongs to other bytes."""
        self.file.write_bytes(b"")
        self.note(origin)

    def note(self, origin: DownloadOrigin) -> None:
        """Records the origin."""
        write_json(self._notes, asdict(origin))

    def remove(self) -> None:
        """Removes the part and its description."""
        self._notes.unlink(missing_ok=True)
        self.file.unlink(missing_ok=True)


def need_room(folder: Path, n_bytes: int, what: str) -> None:
    """Checks that the disk of a folder, which need not exist yet, has enough space.

    Raises:
        InputError: It has less than `n_bytes` and a small reserve.
    """
    there = next(place for place in (folder, *folder.absolute().parents) if place.is_dir())
    free, needed = shutil.disk_usage(there).free, n_bytes + _SPARE
    if free < needed:
        raise InputError(
            f"{folder} has {free / 1e9:,.2f} GB left; {what} needs {needed / 1e9:,.2f} GB",
            hint="free some space, or choose another place",
        )

"""What has come of a download so far, and what there is to know of it.

It lies beside the target as `NAME.part`, with `NAME.part.json`, which says of which version of which address it is a
part.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from noncoder.errors import InputError
from noncoder.files import read_json, write_json

# Room that stays free beside what is to be written.
_SPARE = 1 << 26


@dataclass(frozen=True)
class Copy:
    """A file at an address.

    Args:
        name: What it is called here.
        address: http or https.
        size: Bytes, where they are known for certain.
        digest: "sha256:…" or "md5:…", where one is published.
    """

    name: str
    address: str
    size: int | None = None
    digest: str | None = None


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for, in seconds, and how often it is asked again.

    Args:
        connect: Until a connection stands.
        read: Between two pieces of a file.
        attempts: In a row that bring the file no further.
        backoff: Before the second attempt; it doubles with each.
        longest: The most between two attempts, also where the server asks for more.
        silent: In all, while no server has answered yet: the time after which this machine counts as offline.
    """

    connect: float = 20
    read: float = 60
    attempts: int = 5
    backoff: float = 1
    longest: float = 60
    silent: float = 20


@dataclass(frozen=True)
class DownloadOrigin:
    """Which version of which address a part is of; `total` is None until the server has told it."""

    address: str
    etag: str = ""
    modified: str = ""
    total: int | None = None
    encoding: str = ""

    @property
    def condition(self) -> str:
        """What the server compares its version with; a weak tag may not be used for that (RFC 9110, 13.1.5)."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified


class PartialFile:
    """What has come of a file so far.

    Args:
        path: What the file will be called when it is complete.
    """

    def __init__(self, path: Path) -> None:
        self.file = path.with_name(path.name + ".part")
        self._notes = path.with_name(path.name + ".part.json")

    @property
    def size(self) -> int:
        """Bytes."""
        return self.file.stat().st_size if self.file.is_file() else 0

    def origin(self, address: str) -> DownloadOrigin | None:
        """Where it is from, if that is this address and known."""
        try:
            notes = read_json(self._notes)
        except InputError:
            return None
        if notes is None or set(notes) != {field.name for field in fields(DownloadOrigin)} or not self.file.is_file():
            return None
        return DownloadOrigin(**notes) if notes["address"] == address else None

    def begin(self, origin: DownloadOrigin) -> None:
        """Empties it; in this order the notes are never of other bytes than these."""
        self.file.write_bytes(b"")
        self.note(origin)

    def note(self, origin: DownloadOrigin) -> None:
        """Writes down where it is from."""
        write_json(self._notes, asdict(origin))

    def remove(self) -> None:
        """Forgets it."""
        self._notes.unlink(missing_ok=True)
        self.file.unlink(missing_ok=True)


def need_room(folder: Path, n_bytes: int, what: str) -> None:
    """Makes sure that the disk of a folder, which need not be there yet, has room.

    Raises:
        InputError: It has not `n_bytes` and a little to spare.
    """
    there = next(place for place in (folder, *folder.absolute().parents) if place.is_dir())
    free, needed = shutil.disk_usage(there).free, n_bytes + _SPARE
    if free < needed:
        raise InputError(
            f"{folder} has {free / 1e9:,.2f} GB left; {what} needs {needed / 1e9:,.2f} GB",
            hint="free some space, or choose another place",
        )

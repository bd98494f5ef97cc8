"""The processes that share a study's folder: which are alive, and which has the turn.

The system releases a lock when its process ends in any way, so a killed worker is noticed at once.
"""

from __future__ import annotations

import fcntl
import os
import platform
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from noncoder.files import unwritable
from noncoder.runs.folder import StudyFolder


class Workers:
    """The workers of a study's folder.

    Args:
        folder: The study's folder; created if it does not exist.

    Raises:
        InputError: It cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = StudyFolder(folder).workers
        # A name without dots or slashes, which distinguishes machines that share a database.
        self.host = "".join(c if c.isalnum() else "-" for c in platform.node()) or "host"
        self.name = f"{self.host}.{os.getpid()}.{secrets.token_hex(3)}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(folder, error) from error

    @contextmanager
    def present(self) -> Iterator[None]:
        """Registers this process as a worker, and removes files of killed workers of this machine."""
        for left in self.folder.iterdir():
            if left.name != "turn" and left.name.split(".")[0] == self.host and self.is_gone(left.name):
                left.unlink(missing_ok=True)
        path = self.folder / self.name
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                path.unlink(missing_ok=True)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Waits until no other worker of this folder has the turn."""
        with (self.folder / "turn").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def is_gone(self, name: str) -> bool:
        """Whether a worker of this machine has ended; false for workers of other machines, which cannot be checked."""
        if name == self.name or name.split(".")[0] != self.host:
            return False
        try:
            with (self.folder / name).open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return True
        except FileNotFoundError:
            return True
        except OSError:
            return False

    def others(self) -> int:
        """Returns the number of other workers of this machine."""
        names = [path.name for path in self.folder.iterdir() if path.name not in ("turn", self.name)]
        return sum(not self.is_gone(name) for name in names if name.split(".")[0] == self.host)

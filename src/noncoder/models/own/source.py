"""Python files with models, and the record of the files that this user has named.

A file is run only if the user names it: in a recipe, on the command line or in a call. The SHA-256 of its content is
then recorded in the user's own folder. A predictor's folder holds a copy of the file, and `noncoder.load` runs this
copy only if its content was named before. So a user's own runs load without further steps, and code of others does not
run unasked.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from noncoder.errors import InputError
from noncoder.files import write_bytes
from noncoder.kinds import did_you_mean_path
from noncoder.machine import check_name

FORM = "path/to/file.py:Class"
_MOST_BYTES = 10_000_000
_named: set[str] = set()
_offered: list[Path] = []


@dataclass(frozen=True)
class ModelSource:
    """A class or function in a Python file.

    Args:
        file: The file as it was named.
        path: Its absolute path.
        attribute: The name of the class or function.
        content: The content of the file.
    """

    file: str
    path: str
    attribute: str
    content: bytes

    @property
    def name(self) -> str:
        """The name of the model, "path/to/file.py:Class"."""
        return f"{self.file}:{self.attribute}"

    @property
    def sha256(self) -> str:
        """SHA-256 of the content."""
        return hashlib.sha256(self.content).hexdigest()

    def describe(self) -> dict[str, Any]:
        """Describes the file for a predictor's folder, which also holds a copy of it."""
        return {"source": {"file": self.file, "path": self.path, "class": self.attribute, "sha256": self.sha256}}

    def check(self, described: Mapping[str, Any]) -> None:
        """Checks that the content is the one described.

        Raises:
            InputError: The content differs.
        """
        expected = described["source"]["sha256"]
        if self.sha256 != expected:
            raise InputError(
                f"{self.file} has changed, or is another file: its SHA-256 is {self.sha256[:12]}…",
                expected=f"the file with SHA-256 {expected}",
            )


def source_digest(name: str) -> str | None:
    """Returns the SHA-256 of the file that a model's name refers to; None for a registered model.

    Raises:
        InputError: The file cannot be read.
    """
    if not is_file_name(name):
        return None
    return hashlib.sha256(read_source(Path(name.rpartition(":")[0]))).hexdigest()


def is_file_name(name: str) -> bool:
    """Whether a model's name refers to a Python file."""
    return name.endswith(".py") or name.rpartition(":")[0].endswith(".py")


def name_source(name: str) -> ModelSource:
    """Reads the file that a user names, and records that it was named.

    Args:
        name: "path/to/file.py:Class".

    Raises:
        InputError: The file does not exist, or the name contains no class.
    """
    file, _, attribute = name.rpartition(":")
    if not file or not attribute:
        raise InputError(f"{name!r} names a file, but no class in it", expected=f"model.name={FORM}")
    source = ModelSource(file, str(Path(file).absolute()), attribute, read_source(Path(file)))
    note_named(source.sha256, Path(file))
    return source


def read_source(path: Path) -> bytes:
    """Returns the content of a Python file.

    Raises:
        InputError: It is missing, not a file, or too large.
    """
    check_name(path)
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path} is not a file", expected="a Python file with a model")
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(f"{path} has {path.stat().st_size:,} bytes", expected=f"at most {_MOST_BYTES:,}")
        return path.read_bytes()
    except FileNotFoundError:
        hint = did_you_mean_path(path)
        raise InputError(f"the file {path} does not exist", "a Python file with a model", hint) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", expected="a Python file with a model") from error


def is_named(sha256: str) -> bool:
    """Whether this user has named a file with this content before."""
    folder = _folder()
    return sha256 in _named or (folder is not None and sha256.isalnum() and (folder / sha256).is_file())


def note_named(sha256: str, path: Path) -> None:
    """Records that the user has named a file.

    Args:
        sha256: SHA-256 of its content.
        path: Its path, recorded for the user's information.
    """
    if is_named(sha256):
        return
    _named.add(sha256)
    folder = _folder()
    if folder is not None:
        try:
            write_bytes(folder / sha256, f"{path.absolute()}\n".encode())
        except InputError:  # without a writable home the user names the file each time
            return


@contextmanager
def offering(paths: Sequence[Path]) -> Iterator[None]:
    """Inside the block, predictors that need one of these files are loaded with it."""
    _offered.extend(paths)
    try:
        yield
    finally:
        del _offered[len(_offered) - len(paths) :]


def offered_sources() -> list[Path]:
    """The files of `offering`."""
    return list(_offered)


def _folder() -> Path | None:
    try:
        base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    except RuntimeError:  # no home
        return None
    return base / "noncoder" / "named-sources"

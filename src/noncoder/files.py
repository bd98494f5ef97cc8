"""Files that are complete or absent, and messages for files that cannot be written or read."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import json
import math
import os
import struct
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

from noncoder.errors import InputError
from noncoder.machine import disk_problem
from noncoder.temporary import sole, sweep, temporary

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DIGEST = "file_sha256"


def refuse_existing(path: Path, force: bool = False) -> None:
    """Checks that a result may be written to a path.

    Raises:
        InputError: Something exists there and `force` is false.
    """
    if not force and os.path.lexists(path):
        raise InputError(f"{path} already exists", hint="give another name, or --force to replace it")


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Temporary name for writing a file. It is renamed when the block ends, and removed if the block fails.

    Raises:
        InputError: The system refuses to write; nothing is left behind.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary(path) as made:
            yield made.path
            made.put()
    except InputError:
        raise
    except Exception as error:  # libraries wrap the system's error in errors of their own
        if not isinstance(error, OSError) and disk_problem(error) is None:
            raise
        raise unwritable(path, error) from error


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Writes a file under a temporary name and renames it.

    Raises:
        InputError: The system refuses to write; nothing is left behind.
    """
    with written_whole(path) as partial:
        partial.write_bytes(content)


def write_json(path: Path, values: Any) -> None:
    """Writes a JSON file like `write_bytes`; NaN and infinity, which JSON lacks, become null.

    An object gets an additional key, `file_sha256`, with which `read_json` detects damage.
    """
    plain = plain_json(values)
    if isinstance(plain, dict):
        plain = {key: value for key, value in plain.items() if key != _DIGEST}
        # Digest of what a reader will see: keys that are not text become text.
        plain[_DIGEST] = content_digest(json.loads(json.dumps(plain, allow_nan=False)))
    write_bytes(path, json.dumps(plain, indent=1, allow_nan=False).encode())


def content_digest(values: Mapping[str, Any]) -> str:
    """SHA-256 of JSON values, independent of the order of their keys."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_digests(paths: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of the files that exist, by name."""
    return {path.name: file_digest(path) for path in paths if path.is_file()}


def changed_file(folder: Path, digests: Mapping[str, str] | None, names: Iterable[str] | None = None) -> Path | None:
    """The first file that is missing or has changed since it was written; None if there is none.

    Args:
        folder: Folder of the files.
        digests: Result of `file_digests`; None, from an earlier version, finds nothing.
        names: Check only these.
    """
    for name, digest in (digests or {}).items():
        if names is None or name in names:
            try:
                if file_digest(folder / name) != digest:
                    return folder / name
            except OSError:
                return folder / name
    return None


def check_file(path: Path, digests: Mapping[str, str] | None) -> None:
    """Checks that a file, if it exists and its digest is known, has not changed since it was written.

    Raises:
        InputError: It has changed.
    """
    if path.is_file() and changed_file(path.parent, digests, [path.name]) is not None:
        raise unreadable(path, "its content is not what was written")


def plain_json(values: Any) -> Any:
    """Replaces NaN and infinity with None."""
    if isinstance(values, Mapping):
        return {key: plain_json(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [plain_json(value) for value in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values


def whole_lines(path: Path) -> bytes:
    """A text file without an incomplete last line: its writer may have been killed, or may still be writing."""
    content = path.read_bytes()
    return content[: content.rfind(b"\n") + 1] or content


def read_json(path: Path) -> dict[str, Any] | None:
    """Reads a JSON object, without the digest that `write_json` adds; None if there is no file.

    Raises:
        InputError: The file is not a JSON object, or has changed since it was written.
    """
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text())
    except (ValueError, OSError, RecursionError) as error:
        raise unreadable(path, error) from error
    if not isinstance(values, dict):
        raise unreadable(path, "it holds no object")
    digest = values.pop(_DIGEST, None)  # files of earlier versions have none
    if digest is not None and digest != content_digest(values):
        raise unreadable(path, "its content is not what was written")
    return values


def read_json_or_none(path: Path, instead: str = "it is made again") -> dict[str, Any] | None:
    """Like `read_json`, for a file that is not essential: a damaged one is reported and treated as missing.

    Args:
        path: The file.
        instead: What happens instead, for the report.
    """
    try:
        return read_json(path)
    except InputError as error:
        print(f"{error.found}; {instead}", file=sys.stderr)
        return None


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Reads the arrays of an .npz file and verifies its checksums.

    Raises:
        InputError: It is missing or damaged.
    """
    import numpy as np

    try:
        content = path.read_bytes()
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            _check_zip_directory(content, len(stored.files))
            return {name: stored[name] for name in stored.files}
    # What zipfile and NumPy raise depends on the damaged byte: RuntimeError if it says "encrypted".
    except (ArithmeticError, AttributeError, BadZipFile, EOFError, KeyError, MemoryError, OSError, RuntimeError,
            SyntaxError, TypeError, ValueError, struct.error, zlib.error) as error:  # fmt: skip
        raise unreadable(path, error) from error


def _check_zip_directory(content: bytes, members: int) -> None:
    """Detects a zip file whose directory ends too early, which zipfile reads as one with fewer members."""
    end = struct.Struct("<4s4H2LH")
    _, _, _, _, entries, size, offset, _ = end.unpack(content[-end.size :])
    large = offset == 0xFFFFFFFF  # the directory of a large zip file is described elsewhere
    if not large and (entries != members or offset + size != len(content) - end.size):
        raise ValueError("its directory is incomplete")


@contextmanager
def locked(folder: Path, hint: str = "wait for it, or give another run=") -> Iterator[None]:
    """Reserves a folder for this process; the system releases it when the process ends, for any reason.

    Removes what killed processes left in the folder and its subfolders.

    Args:
        folder: Made if it does not exist.
        hint: What the user can do if another process holds it.

    Raises:
        InputError: Another process holds it, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("w")
    except OSError as error:
        raise unwritable(folder, error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(f"another process is working in {folder}", hint=hint) from error
        sweep(folder, deep=True)
        yield


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Checks that no other process is making the same file or folder, for the duration of the block.

    Raises:
        InputError: Another process is, or the system refuses to write.
    """
    with ExitStack() as held:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            alone = held.enter_context(sole(path))
        except OSError as error:
            raise unwritable(path, error) from error
        if not alone:
            raise InputError(f"another process is making {path}", hint="wait for it, or give another name")
        yield


def is_locked(folder: Path) -> bool:
    """Whether a process is working in a folder, as far as this machine's system knows."""
    try:
        with (folder / ".lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def refuse_pipe(path: Path) -> None:
    """Refuses a pipe or a device: files are read more than once, and their digests are kept.

    Raises:
        InputError: The path is a pipe or a device.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise InputError(f"{path} is a pipe or a device", expected="a file", hint="write its content to a file first")


def unwritable(path: Path, error: Exception) -> InputError:
    """The message for a file or folder that the system refuses to write."""
    why = disk_problem(error) or getattr(error, "strerror", None) or error
    misplaced = getattr(error, "errno", None) in (errno.EEXIST, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)
    return InputError(
        f"cannot write {path}: {why}",
        expected="a writable folder with enough free space",
        hint="choose another place" if misplaced
        else "free some space or choose another place; no incomplete file is left",
    )  # fmt: skip


def unreadable(path: Path, why: object) -> InputError:
    """The message for one of our files that is damaged."""
    return InputError(f"{path} cannot be read: {why}", hint="remove it and run the stage that makes it again")

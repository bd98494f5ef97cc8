"""Files that are complete or absent, and messages for those that cannot be written or read."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import json
import math
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


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary name to write a file under, which gets its own when the block ends, and is removed where it fails.

    Raises:
        InputError: The system will not let us; nothing is left behind.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary(path) as made:
            yield made.path
            made.put()
    except InputError:
        raise
    except Exception as error:  # libraries that write put the system's answer into errors of their own
        if not isinstance(error, OSError) and disk_problem(error) is None:
            raise
        raise unwritable(path, error) from error


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Writes a file under a temporary name and renames it.

    Raises:
        InputError: The system will not let us; nothing is left behind.
    """
    with written_whole(path) as partial:
        partial.write_bytes(content)


def write_json(path: Path, values: Any) -> None:
    """Writes a JSON file, as `write_bytes`; NaN and infinity, which JSON lacks, become null.

    An object gets one key more, `file_sha256`, with which `read_json` notices damage.
    """
    plain = plain_json(values)
    if isinstance(plain, dict):
        plain = {key: value for key, value in plain.items() if key != _DIGEST}
        # Of what a reader will see: keys that are no text become text.
        plain[_DIGEST] = content_digest(json.loads(json.dumps(plain, allow_nan=False)))
    write_bytes(path, json.dumps(plain, indent=1, allow_nan=False).encode())


def content_digest(values: Mapping[str, Any]) -> str:
    """SHA-256 of JSON values, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_digests(paths: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of those files that exist, by name."""
    return {path.name: file_digest(path) for path in paths if path.is_file()}


def changed_file(folder: Path, digests: Mapping[str, str] | None, names: Iterable[str] | None = None) -> Path | None:
    """The first file that is missing or is not what was written; None where all are.

    Args:
        folder: Where they lie.
        digests: What `file_digests` returned of them; None, of an earlier version, finds nothing.
        names: Look at these alone.
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
    """Makes sure that a file, if it is there, is as it was written, where its digest is among those kept.

    Raises:
        InputError: It is changed.
    """
    if path.is_file() and changed_file(path.parent, digests, [path.name]) is not None:
        raise unreadable(path, "its content is not what was written")


def plain_json(values: Any) -> Any:
    """The values with None in place of NaN and infinity."""
    if isinstance(values, Mapping):
        return {key: plain_json(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [plain_json(value) for value in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values


def whole_lines(path: Path) -> bytes:
    """A text file but for a last line that has no end: one who was writing it may have been killed, or be at it."""
    content = path.read_bytes()
    return content[: content.rfind(b"\n") + 1] or content


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object, without the digest that `write_json` adds; None where there is no file.

    Raises:
        InputError: The file is no JSON object, or its content is not what was written.
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
    """As `read_json`, of a file that can be done without: a damaged one is reported, and counts as missing.

    Args:
        path: The file.
        instead: What happens then, for the report.
    """
    try:
        return read_json(path)
    except InputError as error:
        print(f"{error.found}; {instead}", file=sys.stderr)
        return None


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file, whose checksums are compared.

    Raises:
        InputError: It is missing or damaged.
    """
    import numpy as np

    try:
        content = path.read_bytes()
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            _check_zip_directory(content, len(stored.files))
            return {name: stored[name] for name in stored.files}
    # What zipfile and NumPy raise depends on the byte that is wrong: RuntimeError where it says "encrypted".
    except (ArithmeticError, AttributeError, BadZipFile, EOFError, KeyError, MemoryError, OSError, RuntimeError,
            SyntaxError, TypeError, ValueError, struct.error, zlib.error) as error:  # fmt: skip
        raise unreadable(path, error) from error


def _check_zip_directory(content: bytes, members: int) -> None:
    """Notices a zip whose directory ends too early, which zipfile reads as one with fewer members."""
    end = struct.Struct("<4s4H2LH")
    _, _, _, _, entries, size, offset, _ = end.unpack(content[-end.size :])
    large = offset == 0xFFFFFFFF  # whose directory is described elsewhere
    if not large and (entries != members or offset + size != len(content) - end.size):
        raise ValueError("its directory is not whole")


@contextmanager
def locked(folder: Path, hint: str = "wait for it, or give another run=") -> Iterator[None]:
    """Keeps a folder to this process; the system lets go of it when the process ends, however it ends.

    What killed processes left in the folder, and in the folders within, is removed.

    Args:
        folder: Made where it is not there.
        hint: What the user can do where another process has it.

    Raises:
        InputError: Another process has it, or it cannot be written.
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
    """Makes sure that no other process makes the same file or folder meanwhile.

    Raises:
        InputError: One does, or the system will not let us.
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
    """Whether a process works in a folder, as far as this machine's system knows."""
    try:
        with (folder / ".lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def refuse_pipe(path: Path) -> None:
    """Makes sure that a path is no pipe or device: files are read more than once, and their digests are kept.

    Raises:
        InputError: It is one.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise InputError(f"{path} is a pipe or a device", expected="a file", hint="write its content to a file first")


def unwritable(path: Path, error: Exception) -> InputError:
    """The message for a file or folder that the system would not let us write."""
    why = disk_problem(error) or getattr(error, "strerror", None) or error
    misplaced = getattr(error, "errno", None) in (errno.EEXIST, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)
    return InputError(
        f"cannot write {path}: {why}",
        expected="a folder that can be written, with room left",
        hint="choose another place" if misplaced
        else "free some space or choose another place; nothing half-written was left",
    )  # fmt: skip


def unreadable(path: Path, why: object) -> InputError:
    """The message for a file of ours that is not what it should be."""
    return InputError(f"{path} cannot be read: {why}", hint="remove it and run the stage that makes it again")

"""Files that are complete or absent, and messages for those that cannot be written or read."""

from __future__ import annotations

import fcntl
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from noncoder.errors import InputError
from noncoder.machine import disk_problem


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary name to write a file under, which gets its own when the block ends, and is removed where it fails.

    Raises:
        InputError: The system will not let us; nothing is left behind.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)
    except InputError:
        raise
    except Exception as error:  # libraries that write put the system's answer into errors of their own
        if not isinstance(error, OSError) and disk_problem(error) is None:
            raise
        raise unwritable(path, error) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Writes a file under a temporary name and renames it.

    Raises:
        InputError: The system will not let us; nothing is left behind.
    """
    with written_whole(path) as partial:
        partial.write_bytes(content)


def write_json(path: Path, values: Any) -> None:
    """Writes a JSON file, as `write_bytes`; NaN and infinity, which JSON lacks, become null."""
    write_bytes(path, json.dumps(plain_json(values), indent=1, allow_nan=False).encode())


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
    """A JSON object; None where there is no file.

    Raises:
        InputError: The file is no JSON object.
    """
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text())
    except (ValueError, RecursionError, OSError) as error:
        raise unreadable(path, error) from error
    if not isinstance(values, dict):
        raise unreadable(path, "it holds no object")
    return values


@contextmanager
def locked(folder: Path, hint: str = "wait for it, or give another run=") -> Iterator[None]:
    """Keeps a folder to this process; the system lets go of it when the process ends, however it ends.

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


def unwritable(path: Path, error: Exception) -> InputError:
    """The message for a file or folder that the system would not let us write."""
    why = disk_problem(error) or getattr(error, "strerror", None) or error
    return InputError(
        f"cannot write {path}: {why}",
        expected="a folder that can be written, with room left",
        hint="free some space or choose another place; nothing half-written was left",
    )


def unreadable(path: Path, why: object) -> InputError:
    """The message for a file of ours that is not what it should be."""
    return InputError(f"{path} cannot be read: {why}", hint="remove it and run the stage that makes it again")

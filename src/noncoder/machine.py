"""Messages for what a machine lacks or refuses: disk space, memory, a file name."""

from __future__ import annotations

import errno
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from noncoder.errors import InputError, NoncoderError, is_unwritable

# Libraries that write files with their own code (polars, HDF5, PyTorch, safetensors, SQLite, libBigWig) put the
# system's error into the text of their own error class.
_NO_ROOM = re.compile(
    r"no space left on device|disk quota exceeded|file too large|\bos error (?:28|122|27)\b|"
    r"\berrno = (?:28|122|27)\b|database or disk is full|disk i/o error|unable to open database file|"
    r"attempt to write a readonly database|failed writing file|read-only file system|"
    r"unexpected pos \d+ vs \d+",
    re.IGNORECASE,
)
_NO_MEMORY = re.compile(
    r"can't allocate memory|cannot allocate memory|unable to allocate|out of memory|bad[_ ]alloc|not enough memory|"
    r"could not allocate|failed to allocate|killed by signal: killed|unable to mmap",
    re.IGNORECASE,
)
_MEMORY_CLASSES = {"MemoryError", "OutOfMemoryError"}  # torch's class is given by name, to avoid importing torch


class Stopped(KeyboardInterrupt):
    """A signal ended the work: Ctrl-C, or a signal from a scheduler or the system.

    Args:
        message: What is left, and how to continue.
        number: The signal.
    """

    def __init__(self, message: str = "", number: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.number = int(number)

    @classmethod
    def by(cls, error: BaseException, message: str) -> Stopped:
        """The same interruption with another message."""
        return cls(message, getattr(error, "number", signal.SIGINT))

    @property
    def exit_code(self) -> int:
        """The exit code that shells expect: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.number


class OutOfMemoryError(NoncoderError):
    """There was not enough memory."""


@contextmanager
def needing_memory(doing: str, lower: str) -> Iterator[None]:
    """Reports running out of memory inside the block.

    Args:
        doing: The action, such as "training in batches of 64 windows".
        lower: What takes less memory, such as "a lower train.batch_size".

    Raises:
        OutOfMemoryError: Memory ran out; the message includes the library's own error.
    """
    try:
        yield
    except NoncoderError:
        raise
    except Exception as error:
        reason = memory_problem(error)
        if reason is None:
            raise
        raise out_of_memory(doing, reason, lower) from error


def out_of_memory(doing: str, reason: str, lower: str) -> OutOfMemoryError:
    """The message for running out of memory.

    Args:
        doing: The action.
        reason: The error of the library or the system.
        lower: What takes less memory.
    """
    found = f"out of memory while {doing}" + (f": {reason}" if reason else "")
    return OutOfMemoryError(found, hint=f"use {lower}, or a machine with more memory free")


def memory_problem(error: BaseException) -> str | None:
    """The part of an error, or of its causes, that says memory ran out, in one line; None if there is none."""
    for one in _chain(error):
        names = {kind.__name__ for kind in type(one).__mro__}
        text = str(one)
        enough = isinstance(one, RuntimeError | OSError | ImportError) and _NO_MEMORY.search(text)
        if names & _MEMORY_CLASSES or enough or getattr(one, "errno", None) == errno.ENOMEM:
            return _one_line(text)
    return None


def disk_problem(error: BaseException) -> str | None:
    """The part of an error that says the system refuses to write a file, in one line; None for other errors.

    Errors of libraries count, whatever their class.
    """
    for one in _chain(error):
        if isinstance(one, OSError) and is_unwritable(one):
            return os.strerror(one.errno or 0)
        found = None if isinstance(one, NoncoderError) else _NO_ROOM.search(str(one))
        if found:
            return found[0][0].upper() + found[0][1:]
    return None


def check_name(path: str | os.PathLike[str]) -> None:
    """Checks that a file or folder can have this path.

    Raises:
        InputError: It contains a character that file names should not contain, or is too long.
    """
    text = os.fspath(path)
    odd = re.search(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", text)
    if odd:
        kind = {"\0": "a NUL", "\n": "a line break", "\r": "a line break", "\t": "a tab"}.get(odd[0])
        kind = kind or ("a byte that is not UTF-8" if odd[0] >= "\ud800" else "a control character")
        shown = ascii(text[:80])
        raise InputError(f"the path {shown} contains {kind}", expected="a name of printable characters")
    if len(text.encode()) > 4000 or any(len(part.encode()) > 255 for part in text.split("/")):
        raise InputError(
            f"the path {text[:40]!r}… is too long ({len(text):,} characters)", expected="at most 255 bytes a name"
        )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and its causes."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__


def _one_line(text: str) -> str:
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    line = re.sub(r"^\[enforce fail at [^]]*\]\s*(?:\S+\s*==\s*\S+\.|err == 0\.)?\s*", "", line)
    return line if len(line) <= 200 else line[:200] + "…"

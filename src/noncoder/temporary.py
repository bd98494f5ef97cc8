"""Temporary names for files and folders until they are complete, and the removal of what killed processes left.

While `NAME` is being made it is called `.NAME.TOKEN.partial`, and its process holds a lock on `.NAME.TOKEN.lock` beside
it. The system releases the lock when the process ends, for any reason. A process that can take the lock therefore knows
that the files beside it were left by a killed process: on this machine, in other containers, and network file systems
with locks. An existing folder is exchanged for the new one in one step where the system supports it. Where it does
not, the old folder is called `.NAME.TOKEN.replaced` for a moment, and gets its name back if the process is killed then.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

_OURS = re.compile(r"\.(?P<name>.+)\.(?P<token>\d+-[0-9a-f]{6}|only)\.(?:partial|replaced|lock)")
# Names written by earlier versions: only the process's number.
_EARLIER = re.compile(r"\.(?P<name>.+)\.(?P<token>\d+)\.(?:partial|replaced)")
_SYNCING_THREADS = 16
_AT_FDCWD, _EXCHANGE = -100, 2  # of renameat2(2); RENAME_SWAP of macOS's renamex_np(2) is 2 as well


class Temporary:
    """A temporary name for making a file or folder; call `put` when it is complete, and `release` in any case.

    Args:
        target: The final name. What killed processes left beside it is removed first.

    Raises:
        OSError: The folder cannot be written.
    """

    def __init__(self, target: Path) -> None:
        sweep(target.parent)
        self.target, lock = target, None
        while lock is None:
            token = f"{os.getpid()}-{secrets.token_hex(3)}"
            lock = _take(_beside(target, token, "lock"))
        self.path = _beside(target, token, "partial")
        """The name until it is complete."""
        self._replaced = _beside(target, token, "replaced")
        self._finalizer = weakref.finalize(self, _release, self.path, _beside(target, token, "lock"), lock, os.getpid())

    def put(self) -> None:
        """Syncs the new file or folder to disk and gives it its final name, replacing what has that name.

        Raises:
            OSError: The system refuses; what was there before is unchanged.
        """
        _sync(self.path)
        if not self.path.is_dir():
            self.path.replace(self.target)
        elif not os.path.lexists(self.target):
            self.path.rename(self.target)
        elif not _exchange(self.path, self.target):
            self._replace_in_two_steps()

    def release(self) -> None:
        """Removes what has the temporary name: an incomplete file or folder, or one that was replaced."""
        self._finalizer()

    def _replace_in_two_steps(self) -> None:
        self.target.rename(self._replaced)
        try:
            self.path.rename(self.target)
        except BaseException:
            self._replaced.rename(self.target)
            raise
        _remove(self._replaced)


@contextmanager
def temporary(target: Path) -> Iterator[Temporary]:
    """A temporary name, released when the block ends, for any reason."""
    made = Temporary(target)
    try:
        yield made
    finally:
        made.release()


@contextmanager
def scratch_folder(folder: Path, name: str) -> Iterator[Path]:
    """A subfolder for files that are not needed after the block."""
    with temporary(folder / name) as made:
        made.path.mkdir(mode=0o700)
        yield made.path


def remove_whole(path: Path) -> None:
    """Removes a folder if it exists; if the process is killed, either the complete folder or nothing remains.

    Raises:
        OSError: The system refuses.
    """
    if os.path.lexists(path):
        with temporary(path) as made:
            path.rename(made.path)


@contextmanager
def sole(path: Path) -> Iterator[bool]:
    """Whether this process alone may make a file or folder during the block: false if another process is making it.

    Raises:
        OSError: The folder cannot be written.
    """
    name = _beside(path, "only", "lock")
    lock = _take(name, patience=0.2)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            _release(name, name, lock, os.getpid())


def sweep(folder: Path, name: str | None = None, deep: bool = False) -> None:
    """Removes what killed processes left in a folder, and restores the name of a folder that was being replaced.

    What cannot be removed stays: a reader may lack the permission.

    Args:
        folder: Folder to clean.
        name: Only for this final name.
        deep: Also clean subfolders.
    """
    try:
        with os.scandir(folder) as entries:
            found = [(entry.name, deep and entry.is_dir(follow_symlinks=False)) for entry in entries]
    except OSError:
        return
    matches = (_OURS.fullmatch(entry) or _EARLIER.fullmatch(entry) for entry, _ in found)
    for left, token in sorted({(match["name"], match["token"]) for match in matches if match}):
        if name in (None, left):
            _clear(folder / left, token)
    for entry, is_folder in found:
        if is_folder:
            sweep(folder / entry, deep=True)


def settled(path: Path, patience: float = 1.0) -> bool:
    """Whether something has this name, after removing what killed processes left of it.

    Where the system cannot exchange folders, another process may be between the two steps: this waits for it.
    """
    sweep(path.parent, path.name)
    until = time.monotonic() + patience
    while not os.path.lexists(path):
        if not any(path.parent.glob(f".{path.name}.*.replaced")) or time.monotonic() > until:
            return False
        time.sleep(0.01)
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises where a folder cannot be entered


def _clear(target: Path, token: str) -> None:
    try:
        lock = os.open(_beside(target, token, "lock"), os.O_RDWR)
    except FileNotFoundError:
        # The lock is made first and removed last, so without a lock the process has ended.
        if token.isdigit() and _runs(int(token)):
            return
        lock = -1
    except OSError:
        return
    with suppress(OSError):
        try:
            if lock >= 0:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            replaced = _beside(target, token, "replaced")
            if os.path.lexists(replaced) and not os.path.lexists(target):
                replaced.rename(target)
            for kind in ("replaced", "partial", "lock"):
                _remove(_beside(target, token, kind))
        finally:
            if lock >= 0:
                os.close(lock)


def _take(path: Path, patience: float = 0.0) -> int | None:
    """Makes and locks a file; None if another process holds it for longer than a sweep takes."""
    until = time.monotonic() + patience
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock), path.stat()):
                return lock
        except FileNotFoundError:
            pass  # a sweep removed it before it was locked
        except BlockingIOError:
            if time.monotonic() > until:
                os.close(lock)
                return None
            time.sleep(0.01)
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                os.close(lock)
                raise
            return lock  # a file system without locks, on which nothing is ever swept
        os.close(lock)


def _release(partial: Path, name: Path, lock: int, process: int) -> None:
    if os.getpid() != process:
        return  # a fork: the name belongs to the parent
    with suppress(OSError):
        _remove(partial)
    with suppress(OSError):
        name.unlink(missing_ok=True)
    os.close(lock)


def _beside(target: Path, token: str, kind: str) -> Path:
    return target.with_name(f".{target.name}.{token}.{kind}")


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _remove(path: Path) -> None:
    try:
        is_folder = stat.S_ISDIR(path.lstat().st_mode)
    except FileNotFoundError:
        return
    if is_folder:
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Syncs a file, or a complete folder, to disk: after a crash of the machine no renamed file is empty."""
    if not path.is_dir():
        _sync_one(path)
        return
    with ThreadPoolExecutor(_SYNCING_THREADS) as pool:  # file systems sync many files at once in the time of one
        list(pool.map(_sync_one, [path, *(inner for inner in path.rglob("*") if not inner.is_symlink())]))


def _sync_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that do not support it
            raise
    finally:
        os.close(descriptor)


def _exchange(one: Path, other: Path) -> bool:
    """Exchanges two names in one step; false if the system or the file system does not support it."""
    call = _exchange_call()
    return call is not None and call(os.fsencode(one), os.fsencode(other)) == 0


def _exchange_call() -> Callable[[bytes, bytes], int] | None:
    library = ctypes.CDLL(None, use_errno=True)
    try:
        if sys.platform == "darwin":
            swap = library.renamex_np
            return lambda one, other: int(swap(one, other, ctypes.c_uint(_EXCHANGE)))
        rename = library.renameat2
    except AttributeError:
        return None
    return lambda one, other: int(rename(_AT_FDCWD, one, _AT_FDCWD, other, ctypes.c_uint(_EXCHANGE)))

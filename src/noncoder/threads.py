"""Number of threads of this process: one number for torch, numba, OpenMP, BLAS and polars.

OMP_NUM_THREADS sets it. By default there is one thread per physical core that the process may use, within its affinity
and the CPU quota of its container.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

_NUMBER = "OMP_NUM_THREADS"
_OTHERS = ("NUMBA_NUM_THREADS", "POLARS_MAX_THREADS")
_WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")

_ours: set[str] = set()


def count() -> int:
    """The number of threads.

    If torch is loaded, this is torch's number: `torch.set_num_threads` then applies to the other libraries, too.
    """
    torch = _torch()
    return int(torch.get_num_threads()) if torch is not None else _asked() or available()


def count_for_numba() -> int:
    """The threads for compiled loops; NUMBA_NUM_THREADS can lower the number."""
    from numba import config

    return min(count(), int(vars(config)["NUMBA_NUM_THREADS"]))


def available() -> int:
    """The number of cores that this process may use, at least 1."""
    return max(1, min(_physical(_allowed()), _quota() or sys.maxsize))


def wait_without_spinning() -> None:
    """Lets OpenMP's idle threads sleep, unless the user has chosen; called before torch loads OpenMP.

    By default they spin for some milliseconds. Where two processes share cores, one then uses up the time that the
    other needs, and training slows down to a fraction of its speed.
    """
    if _torch() is None and not any(name in os.environ for name in _WAITING):
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


def govern() -> None:
    """Sets the number of threads of all libraries by environment variables; called before any of them is loaded.

    Used by the command line, which owns its process. Variables set by the user are kept.
    """
    number = str(_asked() or available())
    for name in (_NUMBER, *_OTHERS):
        if name not in os.environ:
            os.environ[name] = number
            _ours.add(name)


def limit_torch() -> None:
    """Limits torch's threads to the container's CPU quota, which torch ignores: it counts cores only.

    More threads than cores wait for each other: two on one core can be ten times slower than one. OMP_NUM_THREADS and
    `torch.set_num_threads` take precedence.
    """
    torch, quota = _torch(), _quota()
    if torch is not None and quota is not None and not _chosen(torch):
        torch.set_num_threads(min(torch.get_num_threads(), quota))


@cache
def limit_numba() -> None:
    """Sets the number of threads of numba's parallel loops and restores torch's own number.

    Call it before a library's parallel loops run: the first of them starts numba's OpenMP layer, which sets the
    number of threads of the OpenMP that torch uses to all cores, once. Our own loops run in plain threads.
    """
    import numba

    number = count()
    numba.set_num_threads(count_for_numba())
    torch = _torch()
    if torch is not None:
        torch.set_num_threads(number)


def divide(processes: int) -> None:
    """Divides the cores among the processes of one training on this machine, unless OMP_NUM_THREADS is set.

    Args:
        processes: Number of processes; those started from now on inherit the number of threads.
    """
    torch = _torch()
    if processes < 2 or _chosen(torch):
        return
    os.environ[_NUMBER] = str(max(1, available() // processes))
    _ours.add(_NUMBER)
    if torch is not None:
        torch.set_num_threads(int(os.environ[_NUMBER]))


def leave_to_others() -> None:
    """Removes the variables set by `govern`, for processes that get cores of their own."""
    for name in _ours:
        os.environ.pop(name, None)
    _ours.clear()


def _torch() -> Any:
    """Torch if it is loaded: data preparation does not need it."""
    return sys.modules.get("torch")


def _chosen(torch: Any) -> bool:
    """Whether the user has set the number of threads."""
    if _NUMBER in os.environ and _NUMBER not in _ours:
        return True
    by_default = {len(_allowed()), _physical(_allowed()), available()}
    return torch is not None and torch.get_num_threads() not in by_default


def _asked() -> int | None:
    """The value of OMP_NUM_THREADS; of a list with one number per nesting level, the first."""
    text = os.environ.get(_NUMBER, "").split(",")[0].strip()
    return int(text) if text.isdecimal() and int(text) > 0 else None


def _allowed() -> frozenset[int]:
    return frozenset(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1))


@cache
def _physical(processors: frozenset[int], system: Path = Path("/sys/devices/system/cpu")) -> int:
    """The number of cores of these processors: two hyperthreads of one core are no faster than one here."""
    cores = set()
    for processor in processors:
        try:
            cores.add((system / f"cpu{processor}/topology/thread_siblings_list").read_text())
        except OSError:
            cores.add(str(processor))
    return len(cores)


@cache
def _quota(system: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int | None:
    """The number of cores in the process's CPU quota, rounded up; None if there is no quota.

    Limits of all parent groups apply, too. In a container the path may be one of the host, of which only the root is
    visible.
    """
    try:
        lines = [line.split(":", 2) for line in own.read_text().splitlines()]
    except OSError:
        return None
    found = []
    for _, controllers, path in lines:
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = system / "cpu" if controllers else system  # version 1 has one folder per controller
        here = root / path.lstrip("/")
        for folder in (here, *here.parents):
            if folder.is_relative_to(root):
                found.append(_limit(folder))
    return min((limit for limit in found if limit is not None), default=None)


def _limit(folder: Path) -> int | None:
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return -(-int(quota) // int(period)) if quota != "max" and int(quota) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None

"""Loops compiled to machine code, and running their parts in threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar, cast

import numba

from noncoder.threads import count_for_numba

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compiles a function of arrays and numbers to machine code, cached on disk; threads can run it in parallel."""
    return cast(Callable[P, R], numba.njit(cache=True, nogil=True)(function))


def in_threads(call: Callable[..., R], parts: Iterable[tuple[Any, ...]]) -> list[R]:
    """The results of a call for each tuple of arguments, in order, computed in the process's number of threads.

    It uses plain threads over compiled functions: numba's own parallel loops take several times as long to compile,
    and they change torch's number of threads.
    """
    with ThreadPoolExecutor(count_for_numba()) as pool:
        return list(pool.map(lambda part: call(*part), parts))

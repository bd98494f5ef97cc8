"""Loops as machine code, and their parts in threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar, cast

import numba

from noncoder.threads import count_for_numba

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """A function of arrays and numbers as machine code, kept on disk, that threads can run side by side."""
    return cast(Callable[P, R], numba.njit(cache=True, nogil=True)(function))


def in_threads(call: Callable[..., R], parts: Iterable[tuple[Any, ...]]) -> list[R]:
    """The results of a call for each tuple of arguments, in their order, in the process's number of threads.

    Plain threads over compiled functions: numba's own parallel loops take several times as long to compile, and they
    change how many threads torch has.
    """
    with ThreadPoolExecutor(count_for_numba()) as pool:
        return list(pool.map(lambda part: call(*part), parts))

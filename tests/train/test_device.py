"""What training asks of the machine."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

import pytest

from noncoder.train.device import keep_freed_memory


@pytest.mark.parametrize(("taken", "calls"), [(1, [-3, -1]), (0, [-3])])
def test_memory_is_kept_where_the_c_library_takes_both_settings(
    monkeypatch: pytest.MonkeyPatch, taken: int, calls: list[int]
) -> None:
    asked: list[int] = []

    def mallopt(name: int, value: int) -> int:
        asked.append(name)
        return taken

    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(mallopt=mallopt))
    keep_freed_memory()
    assert asked == calls


def test_other_systems_and_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace())
    monkeypatch.setattr("sys.platform", "linux")
    keep_freed_memory()
    monkeypatch.setattr(ctypes, "CDLL", lambda _: pytest.fail("asked for the C library"))
    monkeypatch.setattr("sys.platform", "win32")
    keep_freed_memory()

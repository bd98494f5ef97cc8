"""Without a network a download gives up soon, however patient it is once a server has answered."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from noncoder.data.remote.answer import FirstAnswer
from noncoder.data.remote.catalog import RemoteFile
from noncoder.data.remote.fetch import Shelf
from noncoder.data.remote.partial_download import Copy, Patience
from noncoder.errors import DownloadError

# Were it not for the last, each of these would wait for hours.
PATIENT = Patience(connect=3_600, read=3_600, attempts=50, backoff=600, longest=3_600, silent=0.4)


@pytest.fixture
def silent_server() -> Iterator[str]:
    """A server that takes connections and says nothing."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def give_up(folder: Path, *addresses: str) -> DownloadError:
    copies = tuple(Copy(f"f{i}", address) for i, address in enumerate(addresses))
    with pytest.raises(DownloadError) as caught:
        Shelf(folder, patience=PATIENT).get(RemoteFile(copies, 1), lambda path: None)
    return caught.value


def test_a_server_that_says_nothing(tmp_path: Path, silent_server: str) -> None:
    found = give_up(tmp_path, f"{silent_server}/a", f"{silent_server}/b", f"{silent_server}/c")
    assert "no address has f0" in found.found
    assert found.found.count("nothing came") == 3


def test_a_server_that_takes_no_connection(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert "takes no connection" in give_up(tmp_path, f"http://127.0.0.1:{port}/a").found


def test_a_name_that_is_looked_up_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def look_up(*_: Any, **__: Any) -> list[Any]:
        ended.wait(60)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    try:
        assert "its name is not known" in give_up(tmp_path, "https://example.org/a", "https://example.net/b").found
    finally:
        ended.set()


def test_the_usual_patience_is_within_half_a_minute() -> None:
    assert Patience().silent < 30


def test_the_time_is_shared_among_addresses_and_without_limit_after_an_answer() -> None:
    wait = FirstAnswer(10)
    assert wait.shorten(60, parts=4) <= 2.5
    assert wait.shorten(1, parts=4) == 1
    assert wait.allows(5)
    assert not wait.allows(11)
    wait.over = True
    assert wait.shorten(60, parts=4) == 60
    assert wait.allows(1_000)
    late = FirstAnswer(-time.monotonic())
    assert late.shorten(60) == 0.1

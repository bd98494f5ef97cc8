"""A download is complete and checked or absent, whatever the server does, and no byte comes twice without need."""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from urllib3 import HTTPResponse
from urllib3.util import Retry
from urllib3.util.retry import RequestHistory

from noncoder.data.remote.download import download
from noncoder.data.remote.partial_download import Copy, PartialFile, Patience
from noncoder.data.remote.transfer import Transfer
from noncoder.errors import DownloadError, InputError
from tests.conftest import listing
from tests.data.remote.web import Reply, Web, serving

QUICK = Patience(connect=1, read=0.25, attempts=3, backoff=0.001, longest=0.01)
FILE = os.urandom(200_000)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="module")
def server() -> Iterator[Web]:
    with serving() as web:
        yield web


@pytest.fixture
def web(server: Web) -> Web:
    server.replies.clear()
    server.asked.clear()
    server.stalled.clear()
    return server


def sha(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def load(web: Web, folder: Path, *replies: Reply | bytes, name: str = "file.bin", **known: object) -> bytes:
    """Downloads what the replies give and returns it."""
    copy = replace(Copy(name, web.put(f"/{name}", *replies)), **known)  # type: ignore[arg-type]
    download(copy, folder / name, patience=QUICK)
    assert [file for file in listing(folder) if file != ".lock"] == [name]
    return (folder / name).read_bytes()


class TestWhole:
    def test_at_once(self, web: Web, tmp_path: Path) -> None:
        assert load(web, tmp_path / "new" / "folder", FILE, size=len(FILE), digest=sha(FILE)) == FILE
        (asked,) = web.asked
        assert asked.headers["Accept-Encoding"] == "identity"
        assert "Range" not in asked.headers

    def test_md5_and_an_empty_file(self, web: Web, tmp_path: Path) -> None:
        assert load(web, tmp_path, b"", digest="md5:d41d8cd98f00b204e9800998ecf8427e") == b""

    def test_of_unknown_length(self, web: Web, tmp_path: Path) -> None:
        assert load(web, tmp_path, Reply(FILE, chunked=True)) == FILE

    def test_redirects(self, web: Web, tmp_path: Path) -> None:
        web.put("/there", FILE)
        assert load(web, tmp_path, Reply(status=302, headers={"Location": "/there"})) == FILE

    def test_through_a_proxy(self, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("http_proxy", web.address.removeprefix("http://"))
        web.put("http://data.invalid/file", FILE)
        download(Copy("f", "http://data.invalid/file"), tmp_path / "f", patience=QUICK)
        assert (tmp_path / "f").read_bytes() == FILE
        monkeypatch.setenv("no_proxy", "data.invalid")
        with pytest.raises(DownloadError, match=r"no way to data\.invalid"):
            download(Copy("g", "http://data.invalid/file"), tmp_path / "g", patience=QUICK)


class TestGoingOn:
    @pytest.mark.parametrize("how", ["cut", "stall"])
    def test_after_a_cut(self, web: Web, tmp_path: Path, how: str) -> None:
        assert load(web, tmp_path, Reply(FILE, **{how: 120_000}), FILE, digest=sha(FILE)) == FILE  # type: ignore[arg-type]
        assert web.sent() == [120_000, 80_000]
        assert web.asked[1].headers["Range"] == "bytes=120000-"
        assert web.asked[1].headers["If-Range"] == '"1"'

    def test_a_later_call(self, web: Web, tmp_path: Path) -> None:
        with pytest.raises(DownloadError, match=r"cut, 3 times in a row; 120,000 of 200,000 bytes came") as caught:
            load(web, tmp_path, Reply(FILE, cut=120_000), Reply(FILE, cut=0))
        assert "kept and resumed" in caught.value.hint
        assert listing(tmp_path) == [".lock", "file.bin.part", "file.bin.part.json"]
        web.asked.clear()
        assert load(web, tmp_path, FILE) == FILE
        assert web.sent() == [80_000]

    @settings(max_examples=25, deadline=None)
    @given(st.lists(st.integers(0, 30_000), max_size=6), st.booleans(), st.booleans(), st.binary(max_size=10))
    def test_however_it_is_cut(self, cuts: list[int], ranges: bool, chunked: bool, tail: bytes) -> None:
        content = FILE[:40_000] + tail
        with serving() as web, tempfile.TemporaryDirectory() as folder:
            replies = [Reply(content, cut=cut, ranges=ranges, chunked=chunked) for cut in cuts]
            copy = Copy("f", web.put("/f", *replies, content), digest=sha(content))
            download(copy, Path(folder) / "f", patience=replace(QUICK, attempts=len(cuts) + 2))
            assert (Path(folder) / "f").read_bytes() == content
            if ranges and not chunked:
                until = time.monotonic() + 10  # the server notes what it sent after the client has it
                while sum(web.sent()) < len(content) and time.monotonic() < until:
                    time.sleep(0.01)
                assert sum(web.sent()) == len(content)

    def test_from_where_a_killed_process_was(self, web: Web, tmp_path: Path) -> None:
        copy = Copy("f", web.put("/f", Reply(FILE, stall=150_000), FILE))
        code = f"""
from pathlib import Path
from noncoder.data.remote.download import download
from noncoder.data.remote.partial_download import Copy
download(Copy("f", {copy.address!r}), Path({str(tmp_path / "f")!r}))
"""
        process = subprocess.Popen([sys.executable, "-c", code])
        try:
            assert web.stalled.wait(30)
            # Meanwhile the folder is the other process's.
            with pytest.raises(InputError, match="another process is working") as caught:
                download(copy, tmp_path / "f", patience=QUICK)
            assert "wait for it" in caught.value.hint
            while PartialFile(tmp_path / "f").size < 150_000:
                assert process.poll() is None
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert listing(tmp_path) == [".lock", "f.part", "f.part.json"]
        download(copy, tmp_path / "f", patience=QUICK)
        assert (tmp_path / "f").read_bytes() == FILE
        assert web.sent() == [150_000, 50_000]

    def test_after_an_interrupt(self, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        read = Transfer._read

        def interrupted(self: Transfer, response: HTTPResponse) -> bytes:
            if self.part.size > 50_000:
                raise KeyboardInterrupt
            return read(self, response)[:60_000]

        monkeypatch.setattr(Transfer, "_read", interrupted)
        with pytest.raises(
            KeyboardInterrupt, match=r"file\.bin\.part keeps the downloaded 0\.\d MB.* resumes from there"
        ):
            load(web, tmp_path, Reply(FILE, chunked=True))
        assert 50_000 < PartialFile(tmp_path / "file.bin").size < len(FILE)
        monkeypatch.undo()
        assert load(web, tmp_path, FILE) == FILE
        assert web.asked[-1].sent < 150_000

    def test_a_poor_line_is_no_failure(self, web: Web, tmp_path: Path) -> None:
        content = os.urandom(9 << 20)
        replies = [Reply(content, cut=(1 << 20) + 1) for _ in range(8)]  # many more than there are attempts
        assert load(web, tmp_path, *replies, content) == content

    def test_where_the_server_knows_no_ranges(self, web: Web, tmp_path: Path) -> None:
        assert load(web, tmp_path, Reply(FILE, cut=120_000, ranges=False), Reply(FILE, ranges=False)) == FILE
        assert web.sent() == [120_000, 200_000]

    def test_what_was_complete_when_the_process_ended(self, web: Web, tmp_path: Path) -> None:
        for total in (len(FILE), None):
            address = web.put("/file.bin", FILE)
            part = PartialFile(tmp_path / "file.bin")
            part.file.write_bytes(FILE)
            notes = {"address": address, "etag": '"1"', "modified": "", "total": total, "encoding": ""}
            part.file.with_name("file.bin.part.json").write_text(json.dumps(notes))
            assert load(web, tmp_path, FILE) == FILE
        assert web.sent() == [0]  # of unknown length, the server was asked for what comes after the end


class TestChangedMeanwhile:
    NEW = os.urandom(150_000)

    def test_by_its_tag(self, web: Web, tmp_path: Path) -> None:
        assert load(web, tmp_path, Reply(FILE, cut=120_000), Reply(self.NEW, etag='"2"')) == self.NEW

    def test_by_its_date(self, web: Web, tmp_path: Path) -> None:
        dates = [{"Last-Modified": f"Wed, 0{day} Jan 2025 10:00:00 GMT"} for day in (1, 2)]
        old = Reply(FILE, cut=120_000, etag="", headers=dates[0])
        # A weak tag says less than a date, and If-Range may not carry one.
        new = Reply(self.NEW, etag="W/" + dates[1]["Last-Modified"], headers=dates[1])
        assert load(web, tmp_path, replace(old, etag='W/"1"'), new) == self.NEW
        assert web.asked[1].headers["If-Range"] == dates[0]["Last-Modified"]

    def test_where_the_server_does_not_compare(self, web: Web, tmp_path: Path) -> None:
        new = Reply(self.NEW, etag='"2"', conditions=False)
        assert load(web, tmp_path, Reply(FILE, cut=120_000), new) == self.NEW

    def test_where_only_the_length_tells(self, web: Web, tmp_path: Path) -> None:
        assert load(web, tmp_path, Reply(FILE, cut=120_000, etag=""), Reply(self.NEW, etag="")) == self.NEW

    def test_where_nothing_but_the_digest_tells(self, web: Web, tmp_path: Path) -> None:
        new = FILE[::-1]
        assert load(web, tmp_path, Reply(FILE, cut=120_000, etag=""), Reply(new, etag=""), digest=sha(new)) == new
        assert web.sent() == [120_000, 80_000, 200_000]

    def test_to_a_shorter_one(self, web: Web, tmp_path: Path) -> None:
        new = self.NEW[:100_000]
        assert load(web, tmp_path, Reply(FILE, cut=120_000, etag=""), Reply(new, etag="")) == new

    def test_at_another_address(self, web: Web, tmp_path: Path) -> None:
        with pytest.raises(DownloadError):
            load(web, tmp_path, Reply(FILE, cut=120_000), Reply(FILE, cut=0))
        download(Copy("file.bin", web.put("/other", self.NEW)), tmp_path / "file.bin", patience=QUICK)
        assert (tmp_path / "file.bin").read_bytes() == self.NEW

    def test_a_part_of_unknown_origin(self, web: Web, tmp_path: Path) -> None:
        for notes in (None, "{", "{}", "[]"):
            PartialFile(tmp_path / "file.bin").file.write_bytes(b"something")
            if notes is not None:
                (tmp_path / "file.bin.part.json").write_text(notes)
            assert load(web, tmp_path, FILE) == FILE


class TestWrong:
    def fails(self, web: Web, folder: Path, *replies: Reply | bytes, kept: bool = False, **known: object) -> str:
        """Downloads, makes sure that it fails and what it leaves, and returns the message."""
        with pytest.raises(DownloadError) as caught:
            load(web, folder, *replies, **known)  # type: ignore[arg-type]
        parts = ["file.bin.part", "file.bin.part.json"] if kept else []
        assert listing(folder) == [".lock", *parts]
        return str(caught.value)

    def test_a_length_that_is_too_long(self, web: Web, tmp_path: Path) -> None:
        message = self.fails(web, tmp_path, Reply(FILE, length=50, ranges=False), kept=True)
        assert "200,000 of 200,050 bytes came" in message
        # A server that corrects itself when it is asked for the rest is believed, if the digest agrees.
        assert load(web, tmp_path, Reply(FILE, length=50), digest=sha(FILE)) == FILE

    def test_a_length_that_is_too_short(self, web: Web, tmp_path: Path) -> None:
        lie = Reply(FILE, length=-50)
        assert "199,950 bytes\nexpected: 200,000" in self.fails(web, tmp_path, lie, size=200_000)
        assert "has the digest sha256:" in self.fails(web, tmp_path, lie, digest=sha(FILE))

    def test_more_than_the_range_that_was_asked_for(self, web: Web, tmp_path: Path) -> None:
        lie = {"Content-Range": "bytes 120000-149999/200000"}  # what comes is longer than that
        replies = (Reply(FILE, cut=120_000), Reply(FILE + b"more", conditions=False, headers=lie), FILE)
        assert load(web, tmp_path, *replies) == FILE

    def test_another_range_than_was_asked_for(self, web: Web, tmp_path: Path) -> None:
        for told in ("bytes 0-199999/200000", "bytes 120000-199999/300000", "pages 1-2/3"):
            lie = Reply(FILE, headers={"Content-Range": told})
            assert load(web, tmp_path, Reply(FILE, cut=120_000), lie, FILE) == FILE

    def test_a_size_that_is_not_the_published_one(self, web: Web, tmp_path: Path) -> None:
        assert "offers 200,000 bytes\nexpected: 200,001" in self.fails(web, tmp_path, FILE, size=200_001)
        assert len(web.asked) == 1

    def test_a_digest(self, web: Web, tmp_path: Path) -> None:
        message = self.fails(web, tmp_path, FILE, digest=sha(b"else"))
        assert sha(FILE) in message
        assert sha(b"else") in message
        assert "/file.bin: " in message
        assert len(web.asked) == 1

    def test_a_web_page(self, web: Web, tmp_path: Path) -> None:
        page = Reply(b"<!DOCTYPE html><p>Log in", headers={"Content-Type": "text/html; charset=utf-8"}, ranges=False)
        assert "a web page in place of file.bin" in self.fails(web, tmp_path, page)
        # Neither does one destroy what has come before.
        self.fails(web, tmp_path, Reply(FILE, cut=120_000), Reply(FILE, cut=0), kept=True)
        self.fails(web, tmp_path, page, kept=True)
        assert load(web, tmp_path, FILE) == FILE
        assert web.asked[-1].sent == 80_000

    def test_what_a_check_refuses(self, web: Web, tmp_path: Path) -> None:
        def check(path: Path) -> None:
            assert path.read_bytes() == FILE
            raise DownloadError("it is odd")

        with pytest.raises(DownloadError, match=r"^http.*/f: it is odd$"):
            download(Copy("f", web.put("/f", FILE)), tmp_path / "f", check, QUICK)
        assert listing(tmp_path) == [".lock"]

    def test_what_was_there_stays(self, web: Web, tmp_path: Path) -> None:
        (tmp_path / "file.bin").write_bytes(b"old")
        with pytest.raises(DownloadError):
            load(web, tmp_path, FILE, digest=sha(b"else"))
        assert (tmp_path / "file.bin").read_bytes() == b"old"

    def test_redirects_without_end(self, web: Web, tmp_path: Path) -> None:
        web.put("/round", Reply(status=302, headers={"Location": "/file.bin"}))
        loop = Reply(status=302, headers={"Location": "/round"})
        assert "redirects more than 5 times" in self.fails(web, tmp_path, loop)
        assert len(web.asked) == 6

    def test_redirects_elsewhere(self, web: Web, tmp_path: Path) -> None:
        away = Reply(status=302, headers={"Location": "ftp://127.0.0.1/file.bin"})
        assert "leads to no address" in self.fails(web, tmp_path, away)

    def test_a_redirect_that_gives_up_encryption(self, tmp_path: Path) -> None:
        step = RequestHistory("GET", "https://a.org/f", None, 302, "http://b.org/f")
        transfer = Transfer(Copy("f", "https://a.org/f"), PartialFile(tmp_path / "f"), QUICK)
        with pytest.raises(DownloadError, match=r"redirects to http://b\.org/f"):
            transfer._accept(HTTPResponse(status=200, retries=Retry(history=(step,))), 0)

    def test_an_address_that_is_none(self, tmp_path: Path) -> None:
        for address in ("ftp://a.org/f", "a.org/f", "https://", ""):
            with pytest.raises(DownloadError, match="is no address"):
                download(Copy("f", address), tmp_path / "f", patience=QUICK)

    def test_a_server_that_does_not_prove_who_it_is(self, web: Web, tmp_path: Path) -> None:
        copy = Copy("f", web.address.replace("http:", "https:") + "/f")
        with pytest.raises(DownloadError, match="does not prove who it is"):
            download(copy, tmp_path / "f", patience=QUICK)


class TestBusy:
    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_asked_again(self, web: Web, tmp_path: Path, status: int) -> None:
        busy = [Reply(status=status, headers={"Retry-After": wait}) for wait in ("3600", "soon")]
        assert load(web, tmp_path, *busy, FILE) == FILE
        assert len(web.asked) == 3

    def test_given_up(self, web: Web, tmp_path: Path) -> None:
        with pytest.raises(DownloadError, match=r"the server answers 503 .*, 3 times in a row"):
            load(web, tmp_path, Reply(status=503))
        assert len(web.asked) == QUICK.attempts

    @pytest.mark.parametrize("status", [401, 403, 404, 410])
    def test_refusals_are_final(self, web: Web, tmp_path: Path, status: int) -> None:
        with pytest.raises(DownloadError, match=f"/file.bin answers {status}"):
            load(web, tmp_path, Reply(status=status))
        assert len(web.asked) == 1

    def test_nobody_there(self, tmp_path: Path) -> None:
        with serving() as gone:
            address = gone.address
        with pytest.raises(DownloadError, match=r"127\.0\.0\.1:\d+ takes no connection, 3 times in a row"):
            download(Copy("f", f"{address}/f"), tmp_path / "f", patience=QUICK)


class TestPackedOnTheWay:
    """The bytes of a file, not those that a server makes of it, and a file's own gzip is not unpacked."""

    GZIP = {"Content-Encoding": "gzip"}  # noqa: RUF012 - not changed

    def test_a_plain_file(self, web: Web, tmp_path: Path) -> None:
        packed = Reply(gzip.compress(FILE), headers=self.GZIP)
        assert load(web, tmp_path, packed, size=len(FILE), digest=sha(FILE)) == FILE
        assert load(web, tmp_path, replace(packed, cut=90_000), packed, digest=sha(FILE)) == FILE

    def test_a_gzip_file(self, web: Web, tmp_path: Path) -> None:
        file = gzip.compress(FILE)
        assert load(web, tmp_path, Reply(file, headers=self.GZIP), name="f.tar.gz") == file
        (tmp_path / "f.tar.gz").unlink()
        assert load(web, tmp_path, Reply(gzip.compress(file), headers=self.GZIP), name="f.gz") == file

    def test_badly(self, web: Web, tmp_path: Path) -> None:
        with pytest.raises(DownloadError, match="truncated or damaged"):
            load(web, tmp_path, Reply(gzip.compress(FILE)[:-100], headers=self.GZIP))
        assert listing(tmp_path) == [".lock"]
        with pytest.raises(DownloadError, match="in the encoding 'br'"):
            load(web, tmp_path, Reply(FILE, headers={"Content-Encoding": "br"}))


class TestRoom:
    def test_looked_for_before_anything_is_written(
        self, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        usage = shutil.disk_usage(tmp_path)
        free = 120_000 + (1 << 26)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=free))
        with pytest.raises(InputError, match=r"GB left; file\.bin needs") as caught:
            load(web, tmp_path, FILE)
        assert "free some space" in caught.value.hint
        assert listing(tmp_path) == [".lock"]
        # What has come already needs no room again.
        free += 80_000
        with pytest.raises(DownloadError):
            load(web, tmp_path, Reply(FILE, cut=120_000), Reply(FILE, cut=0))
        free -= 120_000
        assert load(web, tmp_path, FILE) == FILE

    def test_a_disk_that_fills_up(self, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(self: Transfer, response: HTTPResponse) -> bytes:
            raise OSError(errno.ENOSPC, "No space left on device", str(self.part.file))

        monkeypatch.setattr(Transfer, "_read", full)
        with pytest.raises(InputError, match=r"cannot write .*file\.bin\.part: No space left") as caught:
            load(web, tmp_path, FILE)
        assert "kept" in caught.value.hint
        monkeypatch.undo()
        assert load(web, tmp_path, FILE) == FILE

"""Transfers one file over HTTP, with as many attempts as needed."""

from __future__ import annotations

import gzip
import re
import shutil
import time
import urllib.request
import zlib
from dataclasses import replace
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import urllib3
from tqdm import tqdm
from urllib3 import exceptions as http
from urllib3.util import Retry, Timeout

from noncoder.bars import progress_bar
from noncoder.data.remote.answer import FirstAnswer
from noncoder.data.remote.partial_download import Copy, DownloadOrigin, PartialFile, Patience, need_room
from noncoder.errors import DownloadError

_REDIRECTS = 5
_BLOCK = 1 << 18
# An attempt with at least this much progress is not counted as failed, so that long downloads over poor lines end.
_PROGRESS = 1 << 20
_AGAIN = (408, 425, 429)
_GZIP = b"\x1f\x8b"


class _CutOff(Exception):  # noqa: N818 - never seen by a user
    """An attempt failed, but another may succeed."""

    def __init__(self, why: str, wait: float = 0) -> None:
        super().__init__(why)
        self.wait = wait


class Transfer:
    """Completes a partial download."""

    def __init__(self, copy: Copy, part: PartialFile, patience: Patience) -> None:
        self.copy, self.part, self.patience = copy, part, patience
        # Assembled from pieces, or without a length from the server: errors are more likely than usual.
        self.doubtful = False
        self.wait = FirstAnswer(patience.silent)

    def run(self) -> bool:
        """Returns whether the file may be assembled wrongly or truncated without notice.

        Raises:
            DownloadError: The server cannot be reached, refuses, or offers another file.
            InputError: There is not enough space on the disk.
        """
        failures, reached = 0, self.part.size
        with self._pool() as pool, self._bar() as bar:
            while True:
                try:
                    self._attempt(pool, bar)
                    break
                except _CutOff as error:
                    failures = 0 if self.part.size >= reached + _PROGRESS else failures + 1
                    reached = max(reached, self.part.size)
                    wait = min(max(error.wait, self.patience.backoff * 2.0**failures / 2), self.patience.longest)
                    if failures >= self.patience.attempts or not self.wait.allows(wait):
                        raise self._given_up(error, failures) from error
                    bar.set_postfix_str(f"{error}; again in {wait:.0f} s")
                    time.sleep(wait)
        self._peel()
        return self.doubtful

    def _attempt(self, pool: urllib3.PoolManager, bar: tqdm[Any]) -> None:
        origin = self.part.origin(self.copy.address)
        have = self.part.size if origin else 0
        if origin is None or (origin.total is not None and have > origin.total):
            origin, have = DownloadOrigin(self.copy.address), 0
        self.doubtful |= have > 0
        if have and have == origin.total:
            return
        response = self._ask(pool, origin, have)
        try:
            if response.status == 416:
                self._at_the_end(response, origin, have)
                return
            origin, have = self._go_on(response, origin, have) if response.status == 206 else self._begin(response)
            bar.set_postfix_str("", refresh=False)
            bar.total, bar.initial, bar.n = origin.total, have, have
            self._receive(response, origin, bar)
        finally:
            response.close()  # else the rest of a body would be read to its end

    def _ask(self, pool: urllib3.PoolManager, origin: DownloadOrigin, have: int) -> urllib3.BaseHTTPResponse:
        headers = {"User-Agent": f"noncoder/{version('noncoder')}", "Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
            if origin.condition:
                headers["If-Range"] = origin.condition
        places = 1 if isinstance(pool, urllib3.ProxyManager) else self._look_up()
        try:
            response = pool.request(
                "GET",
                self.copy.address,
                headers=headers,
                preload_content=False,
                # The system tries one address after the other, each with the full timeout.
                timeout=Timeout(
                    connect=self.wait.shorten(self.patience.connect, places), read=self.wait.shorten(self.patience.read)
                ),
                retries=Retry(None, connect=0, read=0, status=0, other=0, redirect=_REDIRECTS),
            )
        except http.HTTPError as error:
            raise self._told(error) from error
        self.wait.over = True
        try:
            self._accept(response, have)
        except BaseException:
            response.close()
            raise
        return response

    def _look_up(self) -> int:
        """Returns the number of the server's network addresses."""
        where = urlsplit(self.copy.address)
        host = where.hostname or ""
        found = self.wait.look_up(host, where.port or where.scheme)
        if not found:
            raise _CutOff(f"there is no way to {host}: its name is not known here")
        return found

    def _accept(self, response: urllib3.BaseHTTPResponse, have: int) -> None:
        """Raises an error if the answer cannot be the file, before anything downloaded is changed."""
        address, status = self.copy.address, response.status
        passed = [str(step.redirect_location) for step in (response.retries.history if response.retries else ())]
        if address.startswith("https:") and any(step.startswith("http:") for step in passed):
            raise DownloadError(f"{address} redirects to {passed[-1]}", expected="an address that begins with https")
        if status in _AGAIN or status >= 500:
            raise _CutOff(f"the server answers {status} {response.reason}".strip(), _asked_to_wait(response))
        if status != 200 and not (have and status in (206, 416)):
            raise DownloadError(
                f"{address} answers {status} {response.reason}".strip(), expected="the file",
                hint="it may have moved: look for it where it is described, and give the new place with --mirror",
            )  # fmt: skip
        if "html" in response.headers.get("Content-Type", "") and status != 416:
            raise DownloadError(
                f"{address} answers with a web page in place of {self.copy.name}", expected="the file",
                hint="look at the address in a browser: a login, a proxy or a notice may stand before it",
            )  # fmt: skip
        encoding = response.headers.get("Content-Encoding", "")
        if encoding not in ("", "identity", "gzip", "x-gzip"):
            raise DownloadError(f"{address} sends the file in the encoding {encoding!r}", expected="the file unencoded")

    def _begin(self, response: urllib3.BaseHTTPResponse) -> tuple[DownloadOrigin, int]:
        headers = response.headers
        length = headers.get("Content-Length", "")
        origin = DownloadOrigin(
            self.copy.address,
            headers.get("ETag", ""),
            headers.get("Last-Modified", ""),
            int(length) if length.isdecimal() else None,
            headers.get("Content-Encoding", "").replace("identity", ""),
        )
        if self.copy.size is not None and not origin.encoding and origin.total not in (None, self.copy.size):
            raise DownloadError(
                f"{self.copy.address} offers {origin.total:,} bytes", expected=f"{self.copy.size:,}, the size published"
            )
        self.doubtful = origin.total is None
        self._need_room(origin, self.part.size)
        self.part.begin(origin)
        return origin, 0

    def _go_on(
        self, response: urllib3.BaseHTTPResponse, origin: DownloadOrigin, have: int
    ) -> tuple[DownloadOrigin, int]:
        told = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        total = int(told[2]) if told and told[2] != "*" else origin.total
        # Some servers support ranges but not If-Range, and send a piece of a later version.
        same = all(
            response.headers.get(name, known) == known
            for name, known in (("ETag", origin.etag), ("Last-Modified", origin.modified))
        )
        if not told or int(told[1]) != have or origin.total not in (None, total) or not same:
            self.part.remove()
            raise _CutOff("the server sent another piece than requested")
        origin = replace(origin, total=total)
        self._need_room(origin, have)
        self.part.note(origin)
        return origin, have

    def _at_the_end(self, response: urllib3.BaseHTTPResponse, origin: DownloadOrigin, have: int) -> None:
        if response.headers.get("Content-Range") != f"bytes */{have}":
            self.part.remove()
            raise _CutOff("the server has fewer bytes than were downloaded before")
        self.part.note(replace(origin, total=have))

    def _receive(self, response: urllib3.BaseHTTPResponse, origin: DownloadOrigin, bar: tqdm[Any]) -> None:
        with self.part.file.open("ab") as file:
            while block := self._read(response):
                file.write(block)
                bar.update(len(block))
        size = self.part.size
        if origin.total is None:
            self.part.note(replace(origin, total=size))
        elif size < origin.total:
            raise _CutOff("the connection was cut")
        elif size > origin.total:
            self.part.remove()
            raise _CutOff("the server sent more than announced")

    def _read(self, response: urllib3.BaseHTTPResponse) -> bytes:
        try:
            return response.read1(_BLOCK, decode_content=False)
        except http.HTTPError as error:
            raise self._told(error) from error

    def _need_room(self, origin: DownloadOrigin, have: int) -> None:
        total = origin.total or self.copy.size
        if total is not None:
            need_room(self.part.file.parent, max(0, total - have), self.copy.name)

    def _peel(self) -> None:
        """Decodes a transfer encoding, which the server should not use; the gzip format of a file itself stays."""
        origin = self.part.origin(self.copy.address)
        if origin is None or not origin.encoding:
            return
        peeled = self.part.file.with_name(self.part.file.name + ".peeled")
        try:
            with gzip.open(self.part.file) as inner:
                twice = inner.read(2) == _GZIP
            if self.copy.name.endswith("gz") and not twice:
                return
            with gzip.open(self.part.file) as inner, peeled.open("wb") as file:
                shutil.copyfileobj(inner, file, _BLOCK)
            peeled.replace(self.part.file)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            if not self.copy.name.endswith("gz"):  # else the checks report it more precisely
                self.part.remove()
                raise DownloadError(f"what {self.copy.address} sent is truncated or damaged: {error}") from error
        finally:
            peeled.unlink(missing_ok=True)
        self.part.note(replace(origin, total=self.part.size, encoding=""))

    def _pool(self) -> urllib3.PoolManager:
        where = urlsplit(self.copy.address)
        if where.scheme not in ("http", "https") or not where.hostname:
            raise DownloadError(f"{self.copy.address!r} is no address", expected="http://… or https://…")
        proxy = urllib.request.getproxies().get(where.scheme)
        if not proxy or urllib.request.proxy_bypass(where.hostname):
            return urllib3.PoolManager()
        try:
            return urllib3.ProxyManager(proxy if "://" in proxy else f"http://{proxy}")
        except http.HTTPError as error:
            raise DownloadError(
                f"the proxy {proxy} cannot be used: {error}", expected="http://HOST:PORT in the environment"
            ) from error

    def _bar(self) -> tqdm[Any]:
        name = self.copy.name
        short = name if len(name) <= 36 else f"{name[:22]}…{name[-13:]}"
        return progress_bar(desc=short, unit="B", unit_scale=True)

    def _told(self, error: http.HTTPError) -> Exception:
        """Returns the error for a network failure: one to retry, or a final one."""
        reason = error.reason if isinstance(error, http.MaxRetryError) and error.reason else error
        host = urlsplit(self.copy.address).netloc
        if isinstance(reason, http.ResponseError):
            return DownloadError(f"{self.copy.address} redirects more than {_REDIRECTS} times", expected="the file")
        if isinstance(reason, http.SSLError):
            return DownloadError(
                f"{host} does not prove who it is: {reason}", hint="check this machine's date and certificates"
            )
        if isinstance(reason, http.LocationValueError):
            return DownloadError(f"{self.copy.address} leads to no address: {reason}", expected="http or https")
        for kind, why in (
            (http.NameResolutionError, f"there is no way to {host}: its name is not known here"),
            (http.NewConnectionError, f"{host} takes no connection"),  # is a ConnectTimeoutError too
            (http.ConnectTimeoutError, f"{host} does not answer within {self.patience.connect:g} s"),
            (http.ProxyError, f"the proxy does not lead to {host}"),
            (http.ReadTimeoutError, f"nothing came for {self.patience.read:g} s"),
            (http.ProtocolError, "the connection was cut"),
        ):
            if isinstance(reason, kind):
                return _CutOff(why)
        return _CutOff(str(reason))

    def _given_up(self, error: _CutOff, failures: int) -> DownloadError:
        origin, size = self.part.origin(self.copy.address), self.part.size
        of = f" of {origin.total:,}" if origin and origin.total is not None else ""
        came = f"; {size:,}{of} bytes came" if size else ""
        times = f", {failures} times in a row" if failures > 1 else ""
        return DownloadError(
            f"{self.copy.address}: {error}{times}{came}",
            hint="run the same command later: the downloaded part is kept and resumed" if size else "check the network",
        )


def _asked_to_wait(response: urllib3.BaseHTTPResponse) -> float:
    told = response.headers.get("Retry-After")
    try:
        return Retry().parse_retry_after(told) if told else 0
    except http.InvalidHeader:
        return 0

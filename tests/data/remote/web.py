"""A web server on this machine that does what real ones do: stall, cut off, lie, redirect, change its files."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# As long as a request that stalls would hang if its client did not give up.
_STALL = 20.0


@dataclass(frozen=True)
class Reply:
    """How one request is answered.

    Args:
        content: The whole file; a request for a range gets a part of it.
        status: Anything but 200 sends no file.
        headers: Beside the usual ones.
        etag: The version; empty sends none.
        cut: Close the connection after that many bytes.
        stall: Send nothing more after that many bytes, and keep the connection.
        length: Bytes that Content-Length says too many, or too few.
        ranges: Whether ranges are known.
        conditions: Whether If-Range is.
        chunked: Send chunks, and no length.
    """

    content: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    etag: str = '"1"'
    cut: int | None = None
    stall: int | None = None
    length: int = 0
    ranges: bool = True
    conditions: bool = True
    chunked: bool = False


@dataclass
class Asked:
    """One request: what was asked for, and how many bytes of a file were sent."""

    path: str
    headers: Mapping[str, str]
    sent: int = 0


class Web:
    """Answers the requests for each path by its replies, in order; the last one stays."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.replies: dict[str, list[Reply]] = {}
        self.asked: list[Asked] = []
        self.closing = threading.Event()
        self.stalled = threading.Event()

    def put(self, path: str, *replies: Reply | bytes) -> str:
        self.replies[path] = [Reply(reply) if isinstance(reply, bytes) else reply for reply in replies]
        return self.address + path

    def sent(self) -> list[int]:
        return [asked.sent for asked in self.asked]

    def next(self, path: str) -> Reply:
        replies = self.replies.get(path, [Reply(status=404)])
        return replies.pop(0) if len(replies) > 1 else replies[0]


@contextmanager
def serving() -> Iterator[Web]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    web = Web(f"http://127.0.0.1:{server.server_address[1]}")
    server.web = web  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield web
    finally:
        web.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        web: Web = self.server.web  # type: ignore[attr-defined]
        asked = Asked(self.path, dict(self.headers.items()))
        web.asked.append(asked)
        with suppress(OSError):  # the client may have gone
            self.answer(web, web.next(self.path), asked)
        self.close_connection = True

    def answer(self, web: Web, reply: Reply, asked: Asked) -> None:
        headers = {"ETag": reply.etag} if reply.etag else {}
        status, body = reply.status, reply.content
        wanted = re.fullmatch(r"bytes=(\d+)-", asked.headers.get("Range", ""))
        same = not reply.conditions or asked.headers.get("If-Range", reply.etag) == reply.etag
        if status == 200 and wanted and reply.ranges and same:
            start, total = int(wanted[1]), len(body)
            status = 206 if start < total else 416
            headers["Content-Range"] = f"bytes {start}-{total - 1}/{total}" if start < total else f"bytes */{total}"
            body = body[start:]
        headers |= (
            {"Transfer-Encoding": "chunked"} if reply.chunked else {"Content-Length": f"{len(body) + reply.length}"}
        )
        self.protocol_version = "HTTP/1.1"
        self.send_response(status)
        for name, value in {**headers, **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        stop = min(len(body), *(at for at in (reply.cut, reply.stall) if at is not None), len(body) + 1)
        for at in range(0, stop, 5_000):
            piece = body[at : min(at + 5_000, stop)]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if reply.chunked else piece)
            asked.sent += len(piece)
        if reply.chunked and stop == len(body) and reply.cut is None:
            self.wfile.write(b"0\r\n\r\n")
        if reply.stall is not None:
            web.stalled.set()
            web.closing.wait(_STALL)

    def log_message(self, format: str, *args: object) -> None:
        pass

"""A server that has one file, and every bad habit that a test asks it for."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PATIENCE_S = 20.0


@dataclass
class Habits:
    """What the next answers do. Each of `cuts` is for one answer: it breaks off after so many bytes of body."""

    content: bytes
    etag: str = '"one"'
    modified: str = ""
    takes_ranges: bool = True
    heeds_if_range: bool = True
    heeds_conditions: bool = True
    ranges_begin_at: int | None = None
    tells_length: bool = True
    more_length: int = 0
    cuts: list[int] = field(default_factory=list)
    silent_after: int | None = None
    status: int = 200
    said: bytes = b""
    said_type: str = "text/plain"
    location: str = ""
    is_endless: bool = False
    encoding: str = ""


@dataclass(frozen=True)
class Asked:
    path: str
    headers: dict[str, str]


class Shop:
    """Listens on loopback until it is closed. `released` ends its silences."""

    def __init__(self, content: bytes, tls: ssl.SSLContext | None = None) -> None:
        self.habits = Habits(content)
        self.asked: list[Asked] = []
        self.released = threading.Event()
        shop = self

        class Counter(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                shop.asked.append(Asked(self.path, dict(self.headers)))
                with contextlib.suppress(OSError):
                    shop.serve(self)
                self.close_connection = True

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Counter)
        self._scheme = "http" if tls is None else "https"
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def url(self, path: str = "/porch.onnx", host: str = "127.0.0.1") -> str:
        return f"{self._scheme}://{host}:{self.port}{path}"

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(PATIENCE_S)

    def serve(self, to: BaseHTTPRequestHandler) -> None:
        habits = self.habits
        if habits.location:
            to.send_response(302)
            to.send_header("Location", habits.location)
            to.send_header("Content-Length", "0")
            to.end_headers()
        elif habits.status != 200:
            self._head(to, habits.status, {"Content-Type": habits.said_type, "Content-Length": str(len(habits.said))})
            to.wfile.write(habits.said)
        elif habits.etag and habits.heeds_conditions and to.headers.get("If-None-Match") == habits.etag:
            self._head(to, 304, {})
        elif (first := self._first(to)) is None:
            self._send(to, 200, 0, {})
        elif first >= len(habits.content):
            self._head(to, 416, {"Content-Range": f"bytes */{len(habits.content)}", "Content-Length": "0"})
        else:
            total = len(habits.content)
            self._send(to, 206, first, {"Content-Range": f"bytes {first}-{total - 1}/{total}"})

    def _first(self, to: BaseHTTPRequestHandler) -> int | None:
        """Return where the answer begins; None for the whole file."""
        habits, wanted = self.habits, to.headers.get("Range", "")
        only_if = to.headers.get("If-Range")
        if not wanted or not habits.takes_ranges:
            return None
        if only_if is not None and habits.heeds_if_range and only_if not in {habits.etag, habits.modified}:
            return None
        asked = int(wanted.removeprefix("bytes=").removesuffix("-"))
        return asked if habits.ranges_begin_at is None else habits.ranges_begin_at

    def _send(self, to: BaseHTTPRequestHandler, status: int, first: int, more: dict[str, str]) -> None:
        habits = self.habits
        body = habits.content[first:]
        if habits.tells_length:
            more = {**more, "Content-Length": str(len(body) + habits.more_length)}
        if habits.encoding:
            more = {**more, "Content-Encoding": habits.encoding}
        self._head(to, status, more)
        if habits.silent_after is not None:
            to.wfile.write(body[: habits.silent_after])
            self.released.wait(PATIENCE_S)
            body = body[habits.silent_after :]
        while habits.is_endless and not self.released.is_set():
            to.wfile.write(body)
        if habits.cuts:
            to.wfile.write(body[: habits.cuts.pop(0)])
            to.wfile.flush()
            to.connection.shutdown(socket.SHUT_RDWR)
        else:
            to.wfile.write(body)

    def _head(self, to: BaseHTTPRequestHandler, status: int, more: dict[str, str]) -> None:
        to.send_response(status)
        marks = {"ETag": self.habits.etag, "Last-Modified": self.habits.modified}
        for name, value in {**marks, **more, "Connection": "close"}.items():
            if value:
                to.send_header(name, value)
        to.end_headers()

"""A house for `porchlight model quantize`: pictures that differ, a gateway that gives them, a model for a moment."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import numpy as np
import simplejpeg

from tests.inference.onnx_maker import model, rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PATIENCE_S = 20.0
TOKEN = "a token of sixteen letters or more"
PEOPLE = model(rows([(7, (0.5, 0.5, 0.2, 0.4), 1, 2.0)]))
"""Sees one person in whatever it is shown."""
NOBODY = model(rows([]))
OTHERS = model(rows([(7, (0.2, 0.2, 0.1, 0.1), 1, 2.0)]))
"""Sees one person as well, but elsewhere."""


def picture(number: int) -> bytes:
    """Return a small JPEG; another one for each number below 4096."""
    red, green, blue = (number & 15) * 16, (number >> 4 & 15) * 16, (number >> 8) * 16
    return bytes(simplejpeg.encode_jpeg(np.full((48, 64, 3), (red, green, blue), np.uint8), 100, "RGB", "444"))


def fill(folder: Path, count: int) -> Path:
    """Put so many pictures in a folder, named so that they sort as they were made."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"{number:04}.jpg").write_bytes(picture(number))
    return folder


@dataclass
class Gateway:
    """Stands for the gateway: gives a new picture at each request, or what `answers` has for a camera.

    `answers` return status and body; None is an answer that breaks off.
    """

    answers: dict[str, Callable[[int], tuple[int, bytes] | None]] = field(default_factory=dict)
    token: str = ""
    speaks_http: bool = True
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        gateway = self

        class Door(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with contextlib.suppress(OSError):
                    gateway.serve(self)
                self.close_connection = True

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def serve(self, to: BaseHTTPRequestHandler) -> None:
        camera = to.path.removeprefix("/cameras/").removesuffix("/snapshot.jpg")
        assert to.path == f"/cameras/{camera}/snapshot.jpg"
        self.asked.append(camera)
        if not self.speaks_http:
            to.wfile.write(b"220 a mail server, say\r\n")
            return
        if self.token and to.headers.get("Authorization") != f"Bearer {self.token}":
            given: tuple[int, bytes] | None = (401, b"this gateway needs its token\n")
        else:
            given = self.answers.get(camera, _another_each_time)(len(self.asked) - 1)
        if given is None:
            to.connection.shutdown(socket.SHUT_RDWR)
            return
        status, body = given
        to.send_response(status)
        to.send_header("Content-Length", str(len(body)))
        to.end_headers()
        to.wfile.write(body)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(PATIENCE_S)


def makers(**forms: bytes | BaseException) -> dict[str, Callable[[Path, Any, Path], str]]:
    """Return what stands for NNCF: by backend, the form's file that comes out, or what happens instead of it.

    It looks at every picture that it is given, as NNCF does.
    """

    def maker(given: bytes | BaseException) -> Callable[[Path, Any, Path], str]:
        def make(_model: Path, calibration: Any, folder: Path) -> str:
            for one in calibration.pictures:
                assert calibration.tensor(one).shape == (1, 3, 224, 224)
            (folder / "half_of_it").write_bytes(b"numbers")
            if isinstance(given, BaseException):
                raise given
            (folder / "half_of_it").rename(folder / "numbers")
            (folder / "model.onnx").write_bytes(given)
            return "model.onnx"

        return make

    return {backend: maker(given) for backend, given in forms.items()}


def _another_each_time(number: int) -> tuple[int, bytes]:
    return 200, picture(number)

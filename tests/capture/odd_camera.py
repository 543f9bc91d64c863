"""An MJPEG camera that answers as a test tells it to, byte for byte, and somebody who watches it."""

from __future__ import annotations

import contextlib
import gc
import select
import socket
import ssl
import struct
import threading
import time
from typing import TYPE_CHECKING

from appliance.capture.http_mjpeg.source import HttpSource
from appliance.capture.source import Grabbed, SourceError
from appliance.config import HttpSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

PATIENCE_S = 20.0
"""Nothing here takes a tenth of it; a test that hangs ends with words."""
ROOM = 60_000
"""max_jpeg_bytes of every source here, unless it says otherwise."""


def head(*headers: str, status: str = "200 OK", version: str = "HTTP/1.1") -> bytes:
    return "\r\n".join([f"{version} {status}", *headers, "", ""]).encode()


MULTIPART = head("Content-Type: multipart/x-mixed-replace; boundary=frame")


def part(jpeg: bytes) -> bytes:
    """Frame a picture as it should be done."""
    return b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg) + jpeg + b"\r\n"


def until(happened: Callable[[], object]) -> None:
    """Wait for what a thread will do soon."""
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        threading.Event().wait(0.001)


class Call:
    """One request, and the way back to whoever asked."""

    def __init__(self, camera: OddCamera, connection: socket.socket) -> None:
        self._camera = camera
        self._connection = connection
        request = b""
        while b"\r\n\r\n" not in request:
            more = connection.recv(4096)
            if not more:
                raise ConnectionError
            request += more
            if request.startswith(b"\x16"):  # that is how TLS begins
                connection.sendall(head(status="400 Bad Request"))
                raise ConnectionError
        line, *lines = request.decode().split("\r\n\r\n")[0].split("\r\n")
        self.method, self.path, _ = line.split(" ")
        self.headers = {name.lower(): value for name, value in (one.split(": ", 1) for one in lines)}

    def send(self, *data: bytes) -> None:
        self._connection.sendall(b"".join(data))

    def wait_for_turn(self) -> None:
        """Wait until the test has taken what was sent."""
        if not self._camera.turns.acquire(timeout=PATIENCE_S):
            raise TimeoutError("the test never asked for more")
        if self._camera.closing.is_set():
            raise ConnectionError

    def hold(self) -> None:
        """Say nothing more until the other side hangs up."""
        while self._connection.recv(4096):
            pass

    def reset(self) -> None:
        """Break the connection off, as a machine does that forgot about it."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._connection.close()


class OddCamera:
    """Listens on loopback; each request is a `Call`, and `script` answers it in a thread of its own."""

    def __init__(self, script: Callable[[Call], None], tls: ssl.SSLContext | None = None) -> None:
        self.calls: list[Call] = []
        self.turns = threading.Semaphore(0)
        self.closing = threading.Event()
        self._script = script
        self._tls = tls
        self._raised: list[BaseException] = []
        self._connections: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._listen)]
        self._threads[0].start()

    def url(self, path: str = "/stream.mjpeg", *, host: str = "127.0.0.1") -> str:
        return f"http{'s' if self._tls else ''}://{host}:{self.port}{path}"

    def until_called(self, times: int) -> None:
        until(lambda: len(self.calls) >= times)

    def close(self) -> None:
        """Hang up on everybody; what a script died of is raised here."""
        self.closing.set()
        for one in (self._listener, *self._connections):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self.turns.release(100)
        for thread in self._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive(), "the camera does not end"
        self._listener.close()
        if self._raised:
            raise self._raised[0]

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                thread = threading.Thread(target=self._serve, args=(connection,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
                self._connections.append(connection)
            with connection:
                call = Call(self, connection)
                self.calls.append(call)
                self._script(call)
        except OSError:
            return  # whoever asked has gone
        except BaseException as error:  # noqa: BLE001 -- raised again in the test's thread
            self._raised.append(error)
        finally:
            connection.close()


class Viewer:
    """Takes what a source has, as capture does: waits on its descriptor, grabs, retrieves."""

    def __init__(self, source: HttpSource, camera: OddCamera | None) -> None:
        self.source = source
        self._camera = camera

    def see(self) -> tuple[Grabbed, bytes]:
        """Return the next picture, and let the camera go on."""
        grabbed = self._grab()
        picture = memoryview(bytearray(grabbed.size + 8))
        assert self.source.retrieve(picture[: grabbed.size]) == grabbed.size
        if self._camera is not None:
            self._camera.turns.release()
        return grabbed, bytes(picture[: grabbed.size])

    def pictures(self, count: int) -> list[bytes]:
        return [self.see()[1] for _ in range(count)]

    def fault(self) -> str:
        """Return what the source says is wrong; it must not give a picture before."""
        return str(self.error())

    def error(self) -> SourceError:
        try:
            grabbed = self._grab()
        except SourceError as error:
            return error
        raise AssertionError(f"gave a picture: {grabbed}")

    def _grab(self) -> Grabbed:
        poller = select.poll()
        poller.register(self.source.fileno(), select.POLLIN)
        while poller.poll(PATIENCE_S * 1000):
            grabbed = self.source.grab()
            if grabbed is not None:
                return grabbed
        raise AssertionError("neither a picture nor an error")


@contextlib.contextmanager
def serving(script: Callable[[Call], None], tls: ssl.SSLContext | None = None) -> Iterator[OddCamera]:
    camera = OddCamera(script, tls)
    try:
        yield camera
    finally:
        camera.close()


@contextlib.contextmanager
def viewing(
    url: str,
    camera: OddCamera | None = None,
    user: str | None = None,
    password: str | None = None,
    room: int = ROOM,
) -> Iterator[Viewer]:
    """Open a source; afterwards nothing of it may be left."""
    source = HttpSource(HttpSettings(url, url.partition("?")[0], user, password), room)
    try:
        yield Viewer(source, camera)
    finally:
        source.close()
        gc.collect()  # what was left open warns now, and warnings are errors
        assert not [thread for thread in threading.enumerate() if thread.name == "http_mjpeg"]


@contextlib.contextmanager
def watching(script: Callable[[Call], None]) -> Iterator[Viewer]:
    """Serve and view in one."""
    with serving(script) as camera, viewing(camera.url(), camera) as viewer:
        yield viewer


def answering(*data: bytes) -> Callable[[Call], None]:
    """Send this, then end the answer."""

    def script(call: Call) -> None:
        call.send(*data)

    return script


def streaming(pieces: Sequence[bytes], first: bytes = MULTIPART) -> Callable[[Call], None]:
    """Send one piece after the other, each once the picture before it was taken; then nothing more."""

    def script(call: Call) -> None:
        call.send(first)
        for piece in pieces:
            call.send(piece)
            call.wait_for_turn()
        call.hold()

    return script

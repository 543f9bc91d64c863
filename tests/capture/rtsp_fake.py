"""RTSP cameras as a test wants them, down to the byte: a server that speaks as much RTSP as its script makes it."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SDP = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\n"
VIDEO = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 {}/90000\r\na=control:video\r\n"
AUDIO = "m=audio 0 RTP/AVP 0\r\na=control:audio\r\n"
_LEFT_WAITING_S = 30


class Peer:
    """The camera's end of one connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._stream = connection.makefile("rb")
        self._cseq = ""

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def request(self) -> str:
        """Return the next request's first line; OSError where the other end has gone."""
        lines: list[str] = []
        while line := self._stream.readline().decode("latin-1"):
            if line == "\r\n":
                self._cseq = next(one for one in lines if one.lower().startswith("cseq:"))
                return lines[0]
            lines.append(line)
        raise ConnectionError

    def answer(self, status: str, *headers: str, body: str = "") -> None:
        lines = [f"RTSP/1.0 {status}\r\n", self._cseq, *(f"{one}\r\n" for one in headers)]
        self.send("".join([*lines, f"Content-Length: {len(body)}\r\n\r\n", body]).encode("latin-1"))

    def send(self, data: bytes) -> None:
        self._connection.sendall(data)

    def begin(self, sdp: str) -> None:
        """Answer as a camera does until its stream begins."""
        while not (request := self.request()).startswith("PLAY"):
            if request.startswith("DESCRIBE"):
                self.answer("200 OK", "Content-Type: application/sdp", body=sdp)
            else:
                transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1" if request.startswith("SETUP") else ""
                self.answer("200 OK", "Public: DESCRIBE, SETUP, PLAY", "Session: 1", *[transport][: bool(transport)])
        self.answer("200 OK", "Session: 1")

    def picture(self, number: int, units: bytes) -> None:
        """Send one picture's NAL units (each small enough for a packet), 40 ms after the one before."""
        nals = [one for one in re.split(rb"\x00\x00\x00?\x01", units) if one]
        for at, nal in enumerate(nals):
            last = at == len(nals) - 1
            header = struct.pack("!BBHII", 0x80, 96 | last << 7, (number * 16 + at) & 0xFFFF, number * 3600, 7)
            self.send(struct.pack("!cBH", b"$", 0, len(header + nal)) + header + nal)

    def wait(self) -> None:
        """Say nothing for as long as anybody listens."""
        self._connection.settimeout(_LEFT_WAITING_S)
        while self._stream.read(1):
            pass


@contextlib.contextmanager
def camera(script: Callable[[Peer], None]) -> Iterator[int]:
    """Serve each connection by `script`; yield the port."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        peer = Peer(connection)
        with connection, peer, contextlib.suppress(OSError):
            script(peer)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                connections.append(connection)
                threads.append(threading.Thread(target=serve, args=(connection,)))
                threads[-1].start()

    connections: list[socket.socket] = []
    threads = [threading.Thread(target=accept)]
    threads[0].start()
    try:
        yield server.getsockname()[1]
    finally:
        for end in (server, *connections):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        server.close()


def h264(pictures: Sequence[Any], **options: str) -> list[bytes]:
    """Encode RGB pictures, a key frame first, without delay: the NAL units of each, parameter sets within."""
    encoder: Any = av.CodecContext.create("libx264", "w")
    encoder.height, encoder.width = pictures[0].shape[:2]
    encoder.pix_fmt, encoder.time_base = "yuv420p", Fraction(1, 25)
    encoder.options = {"tune": "zerolatency", "preset": "ultrafast", **options}
    found = []
    for number, picture in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(picture, "rgb24")
        frame.pts = number
        found += [bytes(packet) for packet in encoder.encode(frame)]
    return found + [bytes(packet) for packet in encoder.encode()]

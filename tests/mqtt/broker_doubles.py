"""Brokers that misbehave, on loopback: each is a function of what to do with a visitor who has said CONNECT."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, PINGREQ, DISCONNECT = 0x10, 0x20, 0x30, 0x40, 0x80, 0xC0, 0xE0
OLD_VERSION, UNAVAILABLE, BAD_PASSWORD, NOT_AUTHORIZED = 1, 3, 4, 5
"""MQTT 3.1.1's return codes."""


@dataclass
class Visitor:
    """Somebody who has said CONNECT, and how the broker talks to him."""

    socket: socket.socket
    version: int
    """5: MQTT 5; 4: MQTT 3.1.1; 3: MQTT 3.1."""
    said: list[tuple[str, bytes]]

    def answer(self, code: int = 0, properties: bytes = b"") -> None:
        """Send CONNACK; properties are MQTT 5's alone."""
        rest = bytes([len(properties)]) + properties if self.version == 5 else b""
        self.send(CONNACK, bytes([0, code]) + rest)

    def send(self, kind: int, body: bytes) -> None:
        self.socket.sendall(bytes([kind]) + _length(len(body)) + body)

    def serve(self, *, acknowledge: bool = True, reason: int = 0, granted: int = 1) -> None:
        """Note what is published, and acknowledge it (MQTT 5: with a reason), until he leaves.

        `granted` answers each subscription: its QoS, or a reason.
        """
        while (packet := read_packet(self.socket)) is not None:
            kind, body = packet
            if kind & 0xF0 == PUBLISH:
                self._note(kind, body, reason, acknowledge=acknowledge)
            elif kind & 0xF0 == SUBSCRIBE:
                self.send(0x90, body[:2] + (b"\0" if self.version == 5 else b"") + bytes([granted]))
            elif kind == PINGREQ:
                self.send(0xD0, b"")

    def _note(self, kind: int, body: bytes, reason: int, *, acknowledge: bool) -> None:
        size = int.from_bytes(body[:2], "big")
        topic, rest = body[2 : 2 + size].decode(), body[2 + size :]
        number = b""
        if kind & 6:
            number, rest = rest[:2], rest[2:]
        if self.version == 5:
            rest = rest[1 + rest[0] :]
        self.said.append((topic, rest))
        if number and acknowledge:
            self.send(PUBACK, number + (bytes([reason]) if reason else b""))


def serves(visitor: Visitor) -> None:
    visitor.answer()
    visitor.serve()


def knows_nothing_newer(visitor: Visitor) -> None:
    """MQTT 3.1.1's broker, which refuses what it does not know."""
    if visitor.version == 5:
        visitor.socket.sendall(b"\x20\x02\x00\x01")
    else:
        serves(visitor)


def hangs_up(_visitor: Visitor) -> None:
    """The connection is closed when a behaviour returns."""


def is_silent(visitor: Visitor) -> None:
    while read_packet(visitor.socket) is not None:
        pass


def refuses(of_5: int, of_311: int) -> Callable[[Visitor], None]:
    return lambda visitor: visitor.answer(of_5 if visitor.version == 5 else of_311)


def says(words: bytes) -> Callable[[Visitor], None]:
    """Something that is no MQTT."""
    return lambda visitor: visitor.socket.sendall(words)


@dataclass
class Double:
    """Such a broker, on a free port unless one is given; `behaviour` may be changed while it runs."""

    behaviour: Callable[[Visitor], None]
    port: int = 0
    versions: list[int] = field(default_factory=list)
    """Those that visitors came with, in order."""
    said: list[tuple[str, bytes]] = field(default_factory=list)
    open: int = 0
    """Visitors who are there now."""

    def __post_init__(self) -> None:
        self._ear = socket.create_server(("127.0.0.1", self.port))
        self.port = self._ear.getsockname()[1]
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._listen)]
        self._threads[0].start()

    def hang_up(self) -> None:
        """End every connection there is."""
        with self._lock:
            for one in self._sockets:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._ear.shutdown(socket.SHUT_RDWR)
        self._ear.close()
        self.hang_up()
        for thread in list(self._threads):
            thread.join(10)
            assert not thread.is_alive()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                met, _ = self._ear.accept()
                with self._lock:
                    self._sockets.add(met)
                    self.open += 1
                thread = threading.Thread(target=self._meet, args=[met])
                self._threads.append(thread)
                thread.start()

    def _meet(self, met: socket.socket) -> None:
        try:
            with met, contextlib.suppress(OSError):
                packet = read_packet(met)
                if packet is not None and packet[0] == CONNECT:
                    version = packet[1][2 + int.from_bytes(packet[1][:2], "big")]
                    self.versions.append(version)
                    self.behaviour(Visitor(met, version, self.said))
        finally:
            with self._lock:
                self._sockets.discard(met)
                self.open -= 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_why: object) -> None:
        self.close()


def read_packet(connection: socket.socket) -> tuple[int, bytes] | None:
    """Return the first byte and the body of the next packet; None: he has left, or this is no MQTT."""
    try:
        kind = _exactly(connection, 1)[0]
        size = 0
        for place in range(4):
            byte = _exactly(connection, 1)[0]
            size |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                return kind, _exactly(connection, size)
    except OSError:
        pass
    return None


def _exactly(connection: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        more = connection.recv(size - len(found))
        if not more:
            raise ConnectionResetError
        found += more
    return found


def _length(size: int) -> bytes:
    made = bytearray()
    while True:
        size, low = divmod(size, 128)
        made.append(low | (0x80 if size else 0))
        if not size:
            return bytes(made)

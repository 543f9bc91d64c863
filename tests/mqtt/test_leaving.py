"""Leaving in any phase, and what is left of clients that were replaced: nothing."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client

from appliance.config import Mqtt
from appliance.mqtt import OFFLINE, clients, connection, diagnosis, versions
from tests.mqtt.broker_doubles import Double, Visitor, hangs_up, is_silent, refuses, says, serves
from tests.mqtt.visit import STATUS, Visit, until, visit
from tests.rig import free_port, wait_for

FALLS = (50, 120)
ROOM = FALLS[1] - FALLS[0]
"""Each client that stayed would keep two files open, so twice as many as these; timers keep some for ANSWER_S."""


def gives_no_warning_of_sockets(test: Any) -> Any:
    """Mark a test: paho leaves the socket of a failed handshake to the garbage collector, which warns of it."""
    whose = "<ssl.SSLSocket"
    test = pytest.mark.filterwarnings(f"ignore:unclosed {whose}:ResourceWarning")(test)
    return pytest.mark.filterwarnings(f"ignore:.*{whose}:pytest.PytestUnraisableExceptionWarning")(test)


async def troubled(one: Visit) -> None:
    await until(lambda: one.problem)


async def connected(one: Visit) -> None:
    await one.connected()


def deaf(visitor: Visitor) -> None:
    visitor.answer()
    visitor.serve(acknowledge=False)


@pytest.mark.parametrize("behaviour", [hangs_up, is_silent, refuses(0x87, 5), says(b"HTTP/1.1 400 no\r\n")])
def test_whoever_leaves_in_trouble_does_not_come_again(
    behaviour: Callable[[Visitor], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "ANSWER_S", 0.2)
    with Double(behaviour) as broker:
        visit(troubled, broker.port)
        wait_for("nobody is there any more", 10, lambda: broker.open == 0)


def test_whoever_leaves_while_connecting_does_not_come_after_all(monkeypatch: pytest.MonkeyPatch) -> None:
    connecting, may_connect = threading.Event(), threading.Event()
    connect = socket.create_connection

    def slowly(*values: Any, **more: Any) -> socket.socket:
        connecting.set()
        may_connect.wait(20)
        return connect(*values, **more)

    async def script(one: Visit) -> None:
        await until(connecting.is_set)
        made.append(one.connection._client)
        await one.connection.stop()

    made: list[Client | None] = []
    monkeypatch.setattr(socket, "create_connection", slowly)
    with Double(serves) as broker:
        visit(script, broker.port)
        may_connect.set()
        wait_for("its threads have ended", 10, lambda: not [t for t in threading.enumerate() if "mqtt" in t.name])
        assert made[0] is not None
        left = made[0].socket()
        assert left is None or left.fileno() == -1


def test_whoever_leaves_while_nobody_listens_is_gone() -> None:
    visit(troubled, free_port())


def test_a_goodbye_is_said_and_acknowledged() -> None:
    with Double(serves) as broker:
        visit(connected, broker.port)
        assert broker.said[-1] == (STATUS, OFFLINE.encode())


def test_a_goodbye_that_nobody_acknowledges_holds_nobody_up() -> None:
    with Double(deaf) as broker:
        visit(connected, broker.port)
        wait_for("nobody is there any more", 10, lambda: broker.open == 0)


@gives_no_warning_of_sockets
def test_leaving_while_tls_is_not_answered() -> None:
    """Paho waits there in paho for as long as the keep-alive; we do not."""
    with socket.create_server(("127.0.0.1", 0)) as ear:
        tls = {"enabled": True}
        visit(troubled, ear.getsockname()[1], tls=tls, keepalive=5)


def test_leaving_while_a_file_is_missing_is_for_good(tmp_path: Path) -> None:
    async def script(one: Visit) -> None:
        await one.told("No such file")
        file.write_text("secret\n")
        await one.connection.stop()
        await asyncio.sleep(3 * connection.DIAGNOSE_EVERY_S)
        assert not broker.versions

    file = tmp_path / "password"
    with Double(serves) as broker:
        visit(script, broker.port, username="porch", password_file=str(file))


def test_leaving_twice_is_no_harm() -> None:
    async def script(one: Visit) -> None:
        await one.connected()
        await one.connection.stop()
        one.connection.start()
        assert not one.connection.connected

    with Double(serves) as broker:
        visit(script, broker.port)
        assert len(broker.versions) == 1


def test_nothing_is_complained_of_after_leaving(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked, may_tell = threading.Event(), threading.Event()

    def slow(_settings: Mqtt) -> str:
        asked.set()
        may_tell.wait(20)
        return "found out too late"

    async def script(one: Visit) -> None:
        await until(asked.is_set)
        await one.connection.stop()
        may_tell.set()
        await until(lambda: not [each for each in threading.enumerate() if each.name == "mqtt-why"])
        await asyncio.sleep(0)

    monkeypatch.setattr(diagnosis, "why", slow)
    visit(script, free_port())
    assert "too late" not in caplog.text


@pytest.mark.parametrize("behaviour", [serves, hangs_up, is_silent])
def test_a_loop_that_is_closed_meanwhile_does_no_harm(behaviour: Callable[[Visitor], None]) -> None:
    """Paho's thread goes on for a moment, and what it hands over is for nobody."""

    async def never_stopped() -> Visit:
        one = Visit(Mqtt(host="127.0.0.1", port=broker.port))
        await until(lambda: broker.versions)
        return one

    with Double(behaviour) as broker:
        one = asyncio.run(never_stopped())
        before = len(broker.versions)
        broker.hang_up()
        wait_for("paho has come again", 10, lambda: len(broker.versions) > before)
        assert one.connection._client is not None
        clients.leave(one.connection._client).join(10)


@pytest.mark.parametrize(
    ("name", "behaviour"), [("hangs up", hangs_up), ("is silent", is_silent), ("refuses", refuses(0x84, 1))]
)
def test_nothing_is_left_of_clients_that_were_replaced(
    name: str,
    behaviour: Callable[[Visitor], None],
    monkeypatch: pytest.MonkeyPatch,
    figure: Callable[[str, str], None],
) -> None:
    counted = 0
    left: list[tuple[int, int, int]] = []

    def count(self: versions.Versions) -> bool:
        nonlocal counted
        counted += 1
        return change(self)

    async def script(_one: Visit) -> None:
        for falls in FALLS:
            await until(lambda falls=falls: counted >= falls, lambda: f"{counted} fall-backs", 30)  # type: ignore[misc]
            left.append((threading.active_count(), open_files(), broker.open))

    change = versions.Versions._change
    monkeypatch.setattr(versions.Versions, "_change", count)
    monkeypatch.setattr(versions, "ANSWER_S", 0.05)
    monkeypatch.setattr(clients, "RECONNECT_S", (0.001, 0.002))
    monkeypatch.setattr(clients, "RECONNECT_MOST_S", (0.002, 0.003))
    with Double(behaviour) as broker:
        visit(script, broker.port)
    figure(
        f"threads, files, sockets after {FALLS[0]} and {FALLS[1]} fall-backs (broker {name})", f"{left[0]}, {left[1]}"
    )
    for early, late in zip(*left, strict=True):
        assert late <= early + ROOM, f"threads, files, sockets: {left}"


@gives_no_warning_of_sockets
def test_nothing_is_left_of_handshakes_that_failed(
    monkeypatch: pytest.MonkeyPatch, figure: Callable[[str, str], None]
) -> None:
    met = 0
    left: list[int] = []

    def refuse(ear: socket.socket) -> None:
        nonlocal met
        while True:
            try:
                visitor, _ = ear.accept()
            except OSError:
                return
            with visitor:
                visitor.recv(4096)
                visitor.sendall(b"HTTP/1.1 400 Bad Request\r\n")
            met += 1

    async def script(_one: Visit) -> None:
        for visitors in (10, 80):
            await until(lambda visitors=visitors: met >= visitors)  # type: ignore[misc]
            left.append(open_files())

    monkeypatch.setattr(clients, "RECONNECT_S", (0.001, 0.002))
    monkeypatch.setattr(clients, "RECONNECT_MOST_S", (0.002, 0.003))
    with socket.create_server(("127.0.0.1", 0)) as ear:
        thread = threading.Thread(target=refuse, args=[ear])
        thread.start()
        visit(script, ear.getsockname()[1], tls={"enabled": True})
        ear.shutdown(socket.SHUT_RDWR)
        thread.join(10)
    figure("open files after 10 and 80 failed handshakes", f"{left[0]} and {left[1]}")
    assert left[1] <= left[0] + 4


def open_files() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))

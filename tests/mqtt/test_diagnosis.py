"""Why a broker cannot be had: each cause has its own words, and says what to do."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from appliance.config import Mqtt, Tls
from appliance.mqtt.diagnosis import why
from tests.mqtt.broker_doubles import Double, Visitor, hangs_up, is_silent, refuses, says, serves
from tests.rig import free_port

ALERT = b"\x15\x03\x01\x00\x02\x02\x28"
SECRET = "hunter2-and-more"


def at(port: int, host: str = "127.0.0.1", *, tls: bool = False) -> Mqtt:
    return Mqtt.model_validate(
        {"host": host, "port": port, "username": "porch", "password": SECRET, "tls": {"enabled": tls}}
    )


@contextlib.contextmanager
def _once(behaviour: Callable[[Visitor], None]) -> Iterator[int]:
    """Somebody who behaves so to one visitor, whatever he says first; yields the port."""

    def greet(ear: socket.socket) -> None:
        met, _ = ear.accept()
        with met:
            met.recv(4096)
            behaviour(Visitor(met, 5, []))

    with socket.create_server(("127.0.0.1", 0)) as ear, _alongside(lambda: greet(ear)):
        yield ear.getsockname()[1]


@contextlib.contextmanager
def _alongside(work: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join(10)


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (hangs_up, "ends the connection without a word; does it speak TLS there (mqtt.tls.enabled)?"),
        (is_silent, "takes the connection and says nothing; is it an MQTT broker?"),
        (says(ALERT), "speaks TLS there; set mqtt.tls.enabled, or use its plain port (mostly 1883)"),
        (says(b"HTTP/1.1 400 Bad Request\r\n"), "is no MQTT broker; check mqtt.port"),
        (says(b"SSH-2.0-x\r\n"), "is no MQTT broker; check mqtt.port"),
        (serves, "took the connection and ended it again; the broker's log may say why"),
        (refuses(0x87, 5), "took the connection and ended it again; the broker's log may say why"),
    ],
)
def test_what_listens_there_is_told_by_how_it_answers(behaviour: Callable[[Visitor], None], words: str) -> None:
    with Double(behaviour) as broker:
        assert why(at(broker.port)) == words


def test_words_without_tls_are_told_where_tls_is_asked_for() -> None:
    with _once(says(b"HTTP/1.1 400 Bad Request\r\n")) as port:
        assert "speaks no TLS there; use its TLS port (mostly 8883)" in why(at(port, tls=True))


def test_whoever_hangs_up_on_tls_is_told_with_what_it_may_be() -> None:
    """As mosquitto's plain port does."""
    with _once(hangs_up) as port:
        assert "mqtt.tls.enabled: false" in why(at(port, tls=True))


def test_tls_that_is_never_answered_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as ear:
        port = ear.getsockname()[1]
        assert why(at(port, tls=True)) == "takes the connection and says nothing; is it an MQTT broker's TLS port?"


def test_a_port_where_nobody_listens_is_told() -> None:
    assert why(at(free_port())) == "nobody listens there; is the broker running, and mqtt.port right?"


def test_a_host_that_nobody_knows_is_told() -> None:
    assert why(at(1883, "broker.invalid")).startswith('there is no host "broker.invalid"; check mqtt.host')


def test_a_network_that_swallows_everything_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def swallowed(*_: object) -> socket.socket:
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", swallowed)
    assert "no firewall is in between" in why(at(1883))


def test_a_network_that_is_down_is_told_in_the_systems_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: object) -> socket.socket:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", down)
    assert why(at(1883)) == "cannot be reached (Network is unreachable)"


def test_a_broken_tls_setting_is_told_before_anybody_is_called() -> None:
    settings = at(1).model_copy(update={"tls": Tls.model_validate({"enabled": True, "ca_file": "/nowhere/ca.pem"})})
    assert why(settings) == "mqtt.tls.ca_file: /nowhere/ca.pem: No such file or directory"


def test_finding_out_tells_nobody_a_secret() -> None:
    """The question carries no credentials: whatever listens there may not be the broker."""
    seen = bytearray()

    def spied(ear: socket.socket) -> None:
        met, _ = ear.accept()
        with met:
            seen.extend(met.recv(4096))

    with socket.create_server(("127.0.0.1", 0)) as ear, _alongside(lambda: spied(ear)):
        told = why(at(ear.getsockname()[1]))
    assert seen.startswith(b"\x10")
    assert SECRET.encode() not in seen
    assert SECRET not in told

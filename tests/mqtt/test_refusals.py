"""Brokers that will not have us: what is said of each, and that it is over by itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from appliance.mqtt import versions
from tests.mqtt.broker_doubles import (
    BAD_PASSWORD,
    NOT_AUTHORIZED,
    UNAVAILABLE,
    Double,
    Visitor,
    hangs_up,
    is_silent,
    knows_nothing_newer,
    refuses,
    says,
    serves,
)
from tests.mqtt.visit import Visit, until, visit


async def refused(one: Visit) -> None:
    await one.told("refuses us: ")


REFUSALS = [
    ("5", refuses(0x86, BAD_PASSWORD), "Bad user name or password"),
    ("3.1.1", refuses(0x86, BAD_PASSWORD), "Bad user name or password"),
    ("5", refuses(0x87, NOT_AUTHORIZED), "Not authorized"),
    ("3.1.1", refuses(0x87, NOT_AUTHORIZED), "Not authorized"),
    ("5", refuses(0x88, UNAVAILABLE), "Server unavailable"),
    ("3.1.1", refuses(0x88, UNAVAILABLE), "Server unavailable"),
    ("5", refuses(0x8A, NOT_AUTHORIZED), "Banned"),
    ("5", knows_nothing_newer, "Unsupported protocol version"),
]


@pytest.mark.parametrize(("protocol", "behaviour", "words"), REFUSALS)
def test_a_refusal_is_told_by_its_reason_and_over_by_itself(
    protocol: str, behaviour: Callable[[Visitor], None], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def script(one: Visit) -> None:
        await one.told("refuses us: ", words)
        broker.behaviour = serves
        await one.connected()
        assert one.problem == ""

    with Double(behaviour) as broker, caplog.at_level("INFO", "appliance"):
        visit(script, broker.port, protocol=protocol)
    assert words in caplog.text
    assert "well again" in caplog.text


@pytest.mark.parametrize("protocol", ["auto", "5", "3.1.1"])
def test_a_refusals_reason_stays_the_problem(protocol: str) -> None:
    async def script(one: Visit) -> None:
        await refused(one)
        problems = set()

        def seen_for_long() -> bool:
            problems.add(one.problem)
            return len(broker.versions) > 12

        await until(seen_for_long)
        assert problems == {"refuses us: Not authorized; check mqtt.username and mqtt.password"}

    with Double(refuses(0x87, NOT_AUTHORIZED)) as broker:
        visit(script, broker.port, protocol=protocol)


@pytest.mark.parametrize(
    ("behaviour", "remedy"),
    [(refuses(0x86, BAD_PASSWORD), "mqtt.password"), (refuses(0x87, NOT_AUTHORIZED), "mqtt.username"),
     (knows_nothing_newer, "mqtt.protocol")],
)  # fmt: skip
def test_a_refusal_names_the_remedy(behaviour: Callable[[Visitor], None], remedy: str) -> None:
    async def script(one: Visit) -> None:
        await refused(one)
        assert remedy in one.problem

    with Double(behaviour) as broker:
        visit(script, broker.port, protocol="5")


def test_a_refusal_for_another_reason_is_no_cause_to_fall_back(caplog: pytest.LogCaptureFixture) -> None:
    async def script(one: Visit) -> None:
        await refused(one)
        await until(lambda: len(broker.versions) > 12)
        broker.behaviour = serves
        await one.connected()

    with Double(refuses(0x88, UNAVAILABLE)) as broker, caplog.at_level("INFO", "appliance"):
        for _ in range(3):
            broker.versions.clear()
            broker.behaviour = refuses(0x88, UNAVAILABLE)
            visit(script, broker.port)
    assert "version 3.1.1" not in caplog.text


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (hangs_up, "ends the connection without a word"),
        (says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "is no MQTT broker; check mqtt.port"),
        (says(b"\x15\x03\x01\x00\x02\x02\x28"), "speaks TLS there"),
    ],
)
def test_a_broker_that_drops_us_is_told_and_over_by_itself(
    behaviour: Callable[[Visitor], None], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def script(one: Visit) -> None:
        await one.told(words)
        assert not one.connection.connected
        broker.behaviour = serves
        await one.connected()
        assert one.problem == ""

    with Double(behaviour) as broker:
        visit(script, broker.port)
    assert words in caplog.text


@pytest.mark.parametrize("protocol", ["auto", "5", "3.1.1"])
def test_a_silent_broker_is_told(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(one: Visit) -> None:
        await one.told("takes the connection and does not answer")

    monkeypatch.setattr(versions, "ANSWER_S", 0.3)
    with Double(is_silent) as broker:
        visit(script, broker.port, protocol=protocol)


def test_why_a_broker_does_not_come_back_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def script(one: Visit) -> None:
        await one.connected()
        broker.behaviour = says(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        broker.hang_up()
        await one.told("is no MQTT broker")

    with Double(serves) as broker, caplog.at_level("INFO", "appliance"):
        visit(script, broker.port)
    assert "is no MQTT broker" in caplog.text

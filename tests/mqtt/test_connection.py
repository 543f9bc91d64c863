"""The connection: which version it speaks, how it comes back, and what it carries then."""

from __future__ import annotations

import asyncio

import pytest
from paho.mqtt.client import Client

from appliance.demo import embedded_broker
from appliance.mqtt import OFFLINE, ONLINE, clients, limits, versions
from tests.mqtt.broker_doubles import (
    Double,
    Visitor,
    hangs_up,
    is_silent,
    knows_nothing_newer,
    says,
    serves,
)
from tests.mqtt.visit import STATUS, Visit, until, visit
from tests.rig import Broker, Ear, free_port, wait_for

V5, V311, V31 = 5, 4, 3


async def told(one: Visit) -> None:
    await until(lambda: one.problem)


async def connects(one: Visit) -> None:
    await one.connected()


@pytest.mark.real
@pytest.mark.parametrize(("protocol", "spoken"), [("auto", "5"), ("5", "5"), ("3.1.1", "3.1.1")])
def test_the_version_that_is_asked_for_is_spoken(
    broker: Broker, ear: Ear, protocol: str, spoken: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "appliance"):
        visit(connects, broker.port, protocol=protocol)
    assert f"version {spoken}" in caplog.text
    wait_for("the goodbye", 10, lambda: ear.last(STATUS) == OFFLINE)
    assert [heard.payload.decode() for heard in ear.all(STATUS)] == [ONLINE, OFFLINE]


def test_a_broker_that_refuses_version_5_is_spoken_to_in_3_1_1() -> None:
    with Double(knows_nothing_newer) as broker:
        visit(connects, broker.port)
        assert broker.versions[:2] == [V5, V311]
        assert (STATUS, ONLINE.encode()) in broker.said


def test_a_broker_that_hangs_up_on_version_5_is_spoken_to_in_3_1_1() -> None:
    with Double(lambda visitor: hangs_up(visitor) if visitor.version == V5 else serves(visitor)) as broker:
        visit(connects, broker.port)
        assert broker.versions.count(V5) == versions.TRIED_IN_VAIN


def test_a_broker_that_is_silent_at_version_5_is_spoken_to_in_3_1_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "ANSWER_S", 0.5)
    with Double(lambda visitor: is_silent(visitor) if visitor.version == V5 else serves(visitor)) as broker:
        visit(connects, broker.port)
        assert broker.versions[0] == V5


def test_the_demos_broker_is_spoken_to_in_3_1_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """Amqtt does not answer MQTT 5 at all."""
    pytest.importorskip("amqtt", reason="not here: amqtt (the demo extra)")
    monkeypatch.setattr(versions, "ANSWER_S", 0.5)
    with embedded_broker() as port:
        visit(connects, port)


def test_the_demos_broker_leaves_no_loop_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("amqtt", reason="not here: amqtt (the demo extra)")
    loops: list[asyncio.AbstractEventLoop] = []
    make = asyncio.new_event_loop

    def noted() -> asyncio.AbstractEventLoop:
        loops.append(make())
        return loops[-1]

    monkeypatch.setattr(asyncio, "new_event_loop", noted)
    with embedded_broker():
        pass
    assert [loop.is_closed() for loop in loops] == [True]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_version_that_was_asked_for_is_never_left(protocol: str) -> None:
    async def script(one: Visit) -> None:
        await until(lambda: len(broker.versions) >= 6)

    with Double(hangs_up) as broker:
        visit(script, broker.port, protocol=protocol)
        # The diagnosis asks in 3.1.1, whatever is spoken.
        assert set(broker.versions) <= ({V5, V311} if protocol == "5" else {V311})


@pytest.mark.xfail(
    strict=True, reason="paho tries MQTT 3.1, which nobody asked for, when 3.1.1 is refused by return code 1"
)
def test_nothing_older_than_3_1_1_is_spoken() -> None:
    with Double(says(b"\x20\x02\x00\x01")) as broker:
        visit(told, broker.port, protocol="3.1.1")
        assert V31 not in broker.versions


def test_after_the_brokers_restart_the_newer_version_is_tried_again() -> None:
    async def script(one: Visit) -> None:
        await one.connected()
        broker.behaviour = serves
        broker.versions.clear()
        broker.hang_up()
        await until(lambda: V5 in broker.versions)
        await one.connected()

    with Double(knows_nothing_newer) as broker:
        visit(script, broker.port)


def test_a_broker_that_comes_later_is_found(caplog: pytest.LogCaptureFixture) -> None:
    async def script(one: Visit) -> None:
        await one.told("nobody listens there")
        late.append(Double(serves, port))
        await one.connected()

    port = free_port()
    late: list[Double] = []
    try:
        visit(script, port)
    finally:
        for broker in late:
            broker.close()
    assert "nobody listens there; is the broker running, and mqtt.port right?" in caplog.text


@pytest.mark.real
def test_each_connection_calls_its_owner_once_and_tells_of_each_acknowledgement(broker: Broker, ear: Ear) -> None:
    async def script(one: Visit) -> None:
        await one.connected()
        number = one.connection.publish("x/fact", "1", retain=True)
        await until(lambda: number in one.acknowledged)
        broker.stop()
        await until(lambda: not one.connection.connected)
        assert "connection lost" in one.problem
        broker.start()
        await one.connected()
        assert one.ups == 2
        assert one.problem == ""

    visit(script, broker.port)


def test_what_was_not_delivered_is_forgotten_at_the_next_connection() -> None:
    """It is the owner's to say again: old facts would overwrite new ones."""

    async def script(one: Visit) -> None:
        await one.connected()
        one.connection.publish("x/fact", "old", retain=True)
        await until(lambda: ("x/fact", b"old") in broker.said)
        broker.behaviour = serves
        broker.said.clear()
        broker.hang_up()
        await until(lambda: one.ups == 2)
        number = one.connection.publish("x/fact", "new", retain=True)
        await until(lambda: number in one.acknowledged)
        assert [payload for topic, payload in broker.said if topic == "x/fact"] == [b"new"]

    with Double(deaf) as broker:
        visit(script, broker.port)


@pytest.mark.parametrize("lost", [1, limits.IN_FLIGHT_MOST, 3 * limits.IN_FLIGHT_MOST])
def test_what_was_forgotten_does_not_take_the_place_of_what_comes(lost: int) -> None:
    async def script(one: Visit) -> None:
        await one.connected()
        for number in range(lost):
            one.connection.publish(f"x/{number}", "old")
        await until(lambda: len(broker.said) >= min(lost, limits.IN_FLIGHT_MOST))
        broker.behaviour = serves
        broker.hang_up()
        await until(lambda: one.ups == 2)
        newest = [one.connection.publish(f"x/{number}", "new") for number in range(5)]
        await until(lambda: set(newest) <= set(one.acknowledged), lambda: f"acknowledged: {one.acknowledged}")

    with Double(deaf) as broker:
        visit(script, broker.port)


def deaf(visitor: Visitor) -> None:
    """Takes everything and acknowledges nothing."""
    visitor.answer()
    visitor.serve(acknowledge=False)


def test_the_waits_are_drawn_anew_for_each_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    """A house's devices do not come back in step."""
    drawn: list[tuple[float, float]] = []

    async def script(_one: Visit) -> None:
        await until(lambda: len(drawn) > 10)

    monkeypatch.setattr(Client, "reconnect_delay_set", lambda _client, *waits: drawn.append(waits))
    monkeypatch.setattr(Client, "_reconnect_wait", lambda _client: None)
    with Double(hangs_up) as broker:
        visit(script, broker.port)
    assert len(set(drawn)) == len(drawn)
    for least, most in drawn:
        assert clients.RECONNECT_S[0] <= least <= clients.RECONNECT_S[1]
        assert clients.RECONNECT_MOST_S[0] <= most <= clients.RECONNECT_MOST_S[1]

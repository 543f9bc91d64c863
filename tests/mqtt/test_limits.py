"""What the broker takes, and what we take: packet size, unacknowledged messages, permissions, floods."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.mqtt import connection, limits
from tests.mqtt.broker_doubles import PUBACK, PUBLISH, Double, Visitor, read_packet, serves
from tests.mqtt.visit import Visit, until, visit
from tests.rig import Broker

LARGEST = b"\x27" + (2000).to_bytes(4, "big")
"""MQTT 5's property Maximum Packet Size."""


@pytest.fixture
def limited(tmp_path: Path) -> Callable[[str], Broker]:
    return lambda extra: Broker(tmp_path, extra=extra)


@pytest.mark.real
def test_what_the_broker_does_not_take_is_not_sent_and_told(
    limited: Callable[[str], Broker], caplog: pytest.LogCaptureFixture
) -> None:
    async def script(one: Visit) -> None:
        await one.connected()
        assert one.connection.publish("x/large", b"." * 2000) is None
        assert one.problem == "the broker takes 2,000 bytes at most, x/large has 2,071: raise its limit"
        small = one.connection.publish("x/small", b"." * 1000)
        await until(lambda: small in one.acknowledged)
        assert one.ups == 1

    broker = limited("max_packet_size 2000")
    broker.start()
    try:
        visit(script, broker.port)
    finally:
        broker.stop()
    assert "x/large has 2,071" in caplog.text


def test_the_limit_is_the_newest_connections() -> None:
    async def script(one: Visit) -> None:
        await one.connected()
        assert one.connection.publish("x/large", b"." * 3000) is None
        broker.behaviour = serves
        broker.hang_up()
        await until(lambda: one.ups == 2)
        assert one.problem == ""
        number = one.connection.publish("x/large", b"." * 3000)
        await until(lambda: number in one.acknowledged)

    with Double(lambda visitor: answers_with(visitor, LARGEST)) as broker:
        visit(script, broker.port)


def test_a_limit_that_is_kept_again_is_no_problem_any_more() -> None:
    async def script(one: Visit) -> None:
        await one.connected()
        assert one.connection.publish("x/picture", b"." * 3000) is None
        number = one.connection.publish("x/picture", b"." * 300)
        await until(lambda: number in one.acknowledged)
        assert one.problem == ""

    with Double(lambda visitor: answers_with(visitor, LARGEST)) as broker:
        visit(script, broker.port)


@pytest.mark.real
@pytest.mark.xfail(
    strict=True, reason="3.1.1 cannot say a limit; that each connection ends at the same message is not told"
)
def test_a_limit_that_3_1_1_cannot_tell_is_told_by_its_cause(limited: Callable[[str], Broker]) -> None:
    async def script(one: Visit) -> None:
        await one.connected()
        for ups in range(2, 5):
            one.connection.publish("x/large", b"." * 3000)
            await until(lambda ups=ups: one.ups == ups)  # type: ignore[misc]
        assert "x/large" in one.problem

    broker = limited("max_packet_size 2000")
    broker.start()
    try:
        visit(script, broker.port, protocol="3.1.1")
    finally:
        broker.stop()


@pytest.mark.real
def test_receive_maximum_is_honoured(limited: Callable[[str], Broker]) -> None:
    async def script(one: Visit) -> None:
        await one.connected()
        assert one.ups == 1
        numbers = {one.connection.publish(f"x/{number}", "1") for number in range(200)}
        await until(lambda: numbers <= set(one.acknowledged))
        assert one.ups == 1
        assert one.problem == ""

    broker = limited("max_inflight_messages 3")
    broker.start()
    try:
        visit(script, broker.port)
    finally:
        broker.stop()


@pytest.mark.parametrize("most", [1, 3, limits.IN_FLIGHT_MOST, 65535])
def test_no_more_is_unacknowledged_than_the_broker_allows(most: int) -> None:
    """A broker that acknowledges nothing hears as many as it said, or as we said, and no more."""

    async def script(one: Visit) -> None:
        await one.connected()
        for number in range(100):
            one.connection.publish(f"x/{number}", "1")
        one.connection.publish("x/last", "1", qos=0)
        await until(lambda: any(topic == "x/last" for topic, _ in broker.said))
        heard = [topic for topic, _ in broker.said if topic != "x/last"]
        assert len(heard) == min(most, limits.IN_FLIGHT_MOST)

    def behaviour(visitor: Visitor) -> None:
        visitor.answer(0, b"\x21" + most.to_bytes(2, "big"))
        visitor.serve(acknowledge=False)

    with Double(behaviour) as broker:
        visit(script, broker.port)


@pytest.mark.parametrize("reason", [0x87, 0x97])
def test_a_publication_that_the_broker_refuses_is_told(reason: int, caplog: pytest.LogCaptureFixture) -> None:
    """0x87: not authorized, as mosquitto answers where its ACL forbids. 0x97: quota exceeded, as a full disk."""

    async def script(one: Visit) -> None:
        await one.connected()
        one.connection.publish("x/fact", "1")
        await until(lambda: one.acknowledged or one.problem)
        assert one.problem

    def behaviour(visitor: Visitor) -> None:
        visitor.answer()
        visitor.serve(reason=reason)

    with Double(behaviour) as broker:
        visit(script, broker.port)


@pytest.mark.real
def test_permissions_that_forbid_to_publish_are_told(tmp_path: Path) -> None:
    async def script(one: Visit) -> None:
        await one.connected()
        number = one.connection.publish("homeassistant/device/x/config", "{}", retain=True)
        await until(lambda: one.problem)
        assert "access list" in one.problem
        assert number not in one.acknowledged

    acl = tmp_path / "acl"
    acl.write_text("topic readwrite porchlight/#\n")
    acl.chmod(0o600)
    broker = Broker(tmp_path, extra=f"acl_file {acl}")
    broker.start()
    try:
        visit(script, broker.port)
    finally:
        broker.stop()


def test_a_subscription_that_the_broker_refuses_is_told() -> None:
    async def script(one: Visit) -> None:
        await one.connected()
        number = one.connection.publish("x/after", "1")
        await until(lambda: number in one.acknowledged)
        assert one.problem

    def behaviour(visitor: Visitor) -> None:
        visitor.answer()
        visitor.serve(granted=0x87)

    with Double(behaviour) as broker:
        visit(script, broker.port, subscriptions=("x/command",))


def test_a_flood_does_not_grow_what_waits_for_us() -> None:
    """The event loop is busy while it comes; what it finds afterwards is what had room, and it hears on."""
    flooded, handled = threading.Event(), threading.Event()

    async def script(one: Visit) -> None:
        await one.connected()
        one.connection.publish("x/go", "1", qos=0)
        assert flooded.wait(30)  # the loop does nothing meanwhile
        await until(lambda: len(one.heard) == connection.HEARD_MOST)
        handled.set()
        await until(lambda: one.heard[-1:] == [b"after"])
        assert one.heard == [b"flood"] * connection.HEARD_MOST + [b"after"]

    def behaviour(visitor: Visitor) -> None:
        visitor.answer()
        until_told(visitor, b"x/go")
        for _ in range(3000):
            visitor.send(PUBLISH, b"\0\1x\0flood")
        visitor.send(PUBLISH | 2, b"\0\1x\0\1\0last")  # QoS 1: once that is acknowledged, all has come
        while (packet := read_packet(visitor.socket)) is not None and packet[0] != PUBACK:
            pass
        flooded.set()
        handled.wait(30)
        visitor.send(PUBLISH, b"\0\1x\0after")
        visitor.serve()

    with Double(behaviour) as broker:
        visit(script, broker.port, protocol="5")


def until_told(visitor: Visitor, topic: bytes) -> None:
    while (packet := read_packet(visitor.socket)) is not None and topic not in packet[1]:
        pass


def answers_with(visitor: Visitor, properties: bytes) -> None:
    visitor.answer(0, properties)
    visitor.serve()

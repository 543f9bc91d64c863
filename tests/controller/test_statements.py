"""What the broker hears, from a real mosquitto: order, retention, last will, Home Assistant's birth, reconnection."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from pydantic import SecretStr

from appliance.config import Mqtt
from appliance.controller import statements as statements_module
from appliance.controller.outbox import Outbox
from appliance.controller.statements import Statements
from tests.rig import Broker, Ear, wait_for

pytestmark = pytest.mark.real

STATUS = "porchlight/x/status"
DISCOVERY = {"homeassistant/device/hub/config": '{"hub":1}', "homeassistant/device/cam/config": '{"cam":1}'}
CAM = "homeassistant/device/cam/config"


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements_module, "SETTLE_S", 0.2)
    monkeypatch.setattr(statements_module, "BIRTH_WAIT_S", (0.05, 0.1))


def say(port: int, script: Callable[[Statements], Awaitable[None]]) -> None:
    """Run a script with Statements that are connected to the broker."""

    async def main() -> None:
        said = Statements(Mqtt(host="127.0.0.1", port=port), "test", STATUS, DISCOVERY, outbox(folder))
        said.start()
        await until(lambda: said.connected)
        try:
            await script(said)
        finally:
            await said.stop()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main())


def outbox(folder: str | Path) -> Outbox:
    return Outbox(Path(folder), Path(folder))


async def until(look: Callable[[], Any], seconds: float = 15) -> None:
    async def wait() -> None:
        while not look():
            await asyncio.sleep(0.01)

    await asyncio.wait_for(wait(), seconds)


def topics(ear: Ear, since: int = 0) -> list[str]:
    return [heard.topic for heard in ear.heard[since:]]


def test_facts_go_before_the_word_that_they_can_be_believed_and_that_before_discovery(broker: Broker, ear: Ear) -> None:
    async def script(said: Statements) -> None:
        said.fact("porchlight/x/a/person", "OFF")
        await until(lambda: {"porchlight/x/a/person", CAM} <= set(topics(ear)))
        before = len(ear.heard)
        _publish(broker.port, "homeassistant/status", "online", retain=False)
        await until(lambda: CAM in topics(ear, before))
        again = [topic for topic in topics(ear, before) if topic != "homeassistant/status"]
        assert again == ["porchlight/x/a/person", STATUS, *DISCOVERY]

    say(broker.port, script)


def test_facts_and_discovery_are_retained_and_events_are_not(broker: Broker, ear: Ear) -> None:
    async def script(said: Statements) -> None:
        said.fact("porchlight/x/a/person", "ON")
        said.event("porchlight/x/a/event", {})
        said.figure("porchlight/x/a/stats", "{}")
        await until(lambda: "porchlight/x/a/event" in topics(ear))

    say(broker.port, script)
    late = Ear(broker.port)
    wait_for("retained facts", 10, lambda: late.last("/person"))
    assert {heard.topic for heard in late.heard if heard.retain} == {
        STATUS,
        *DISCOVERY,
        "porchlight/x/a/person",
    }
    late.close()


def test_a_fact_that_stays_the_same_is_not_said_again(broker: Broker, ear: Ear) -> None:
    async def script(said: Statements) -> None:
        for value in ("OFF", "OFF", "ON", "ON", "OFF"):
            said.fact("porchlight/x/a/person", value)
        await until(lambda: len(ear.all("/person")) >= 3)

    say(broker.port, script)
    assert [heard.payload for heard in ear.all("/person")] == [b"OFF", b"ON", b"OFF"]


def test_events_wait_until_home_assistant_has_subscribed(broker: Broker, ear: Ear) -> None:
    async def script(said: Statements) -> None:
        for number in range(5):
            said.event("porchlight/x/a/event", {"number": number})
        await until(lambda: len(ear.all("/event")) == 5)

    say(broker.port, script)
    events = ear.all("/event")
    assert [heard.json()["number"] for heard in events] == [0, 1, 2, 3, 4]
    numbers = [heard.json()["event_id"] for heard in events]
    assert numbers == sorted(set(numbers))
    announced = max(heard.at for heard in ear.heard if heard.topic.startswith("homeassistant/"))
    assert events[0].at - announced >= 0.1


def test_a_goodbye_says_offline(broker: Broker, ear: Ear) -> None:
    async def script(_said: Statements) -> None:
        await until(lambda: ear.last(STATUS) == "online")

    say(broker.port, script)
    wait_for("offline", 10, lambda: ear.last(STATUS) == "offline")


def test_a_killed_process_is_said_to_be_offline_by_its_will(tmp_path: Path, broker: Broker, ear: Ear) -> None:
    code = f"""
import asyncio
from pathlib import Path
from appliance.config import Mqtt
from appliance.controller.outbox import Outbox
from appliance.controller.statements import Statements
async def main():
    outbox = Outbox(Path("{tmp_path}"), Path("{tmp_path}"))
    Statements(Mqtt(host="127.0.0.1", port={broker.port}), "test", "{STATUS}", {{}}, outbox).start()
    await asyncio.sleep(60)
asyncio.run(main())
"""
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        wait_for("online", 15, lambda: ear.last(STATUS) == "online")
    finally:
        process.kill()
        process.wait()
    wait_for("offline", 10, lambda: ear.last(STATUS) == "offline")


def test_home_assistants_birth_is_answered_with_everything_as_it_is_now(broker: Broker, ear: Ear) -> None:
    async def script(said: Statements) -> None:
        said.fact("porchlight/x/a/person", "OFF")
        said.fact("porchlight/x/a/person", "ON")
        await until(lambda: len(ear.all("/person")) == 2)
        before = len(ear.heard)
        _publish(broker.port, "homeassistant/status", "online", retain=False)
        await until(lambda: "porchlight/x/a/person" in topics(ear, before))
        again = [heard for heard in ear.heard[before:] if heard.topic.endswith("/person")]
        assert [heard.payload for heard in again] == [b"ON"]

    say(broker.port, script)


def test_a_birth_that_is_said_again_and_again_is_answered_once(broker: Broker, ear: Ear) -> None:
    async def script(said: Statements) -> None:
        await until(lambda: CAM in topics(ear))
        before = len(ear.heard)
        for _ in range(20):
            said._hear(birth)
        said.event("porchlight/x/a/event", {"what": "after them"})
        await until(lambda: CAM in topics(ear, before) and ear.last("/event"))
        _publish(broker.port, "x/last", "1", retain=False)
        await until(lambda: ear.last("x/last"))
        assert topics(ear, before).count(CAM) == 1

    birth = MQTTMessage(topic=b"homeassistant/status")
    birth.payload = b"online"
    say(broker.port, script)


def test_a_retained_birth_is_old_news(broker: Broker, ear: Ear) -> None:
    _publish(broker.port, "homeassistant/status", "online", retain=True)

    async def script(said: Statements) -> None:
        said.event("porchlight/x/a/event", {"what": "settled"})
        await until(lambda: ear.last("/event"))

    say(broker.port, script)
    assert topics(ear).count(next(iter(DISCOVERY))) == 1


def test_after_the_brokers_restart_all_is_said_again_and_events_of_the_outage_arrive(broker: Broker) -> None:
    async def script(said: Statements) -> None:
        said.fact("porchlight/x/a/person", "OFF")
        await asyncio.to_thread(broker.stop)
        await until(lambda: not said.connected)
        said.fact("porchlight/x/a/person", "ON")
        said.event("porchlight/x/a/event", {"what": "during the outage"})
        await asyncio.to_thread(broker.start)
        ear = await asyncio.to_thread(Ear, broker.port)
        await until(lambda: ear.last("/event"), 30)
        told = json.loads(ear.last("/event") or "")
        assert told["what"] == "during the outage"
        assert told["replayed"] is True
        assert told["age_s"] >= 0
        assert ear.last("/person") == "ON"
        assert ear.last(STATUS) == "online"
        assert ear.last("device/cam/config") == '{"cam":1}'
        ear.close()

    say(broker.port, script)


def test_a_broker_that_is_not_there_costs_nothing_but_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused at once
        port = taken.getsockname()[1]

        async def main() -> None:
            said = Statements(Mqtt(host="127.0.0.1", port=port), "test", STATUS, DISCOVERY, outbox(tmp_path))
            said.start()
            await until(lambda: "nobody listens there" in caplog.text)
            said.fact("porchlight/x/a/person", "ON")
            said.event("porchlight/x/a/event", {})
            await said.stop()

        asyncio.run(main())


@pytest.mark.parametrize(("password", "outcome"), [("right", "connected to"), ("wrong", "refuses us: Not authorized")])
def test_credentials_open_the_broker_and_wrong_ones_are_told_without_being_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, password: str, outcome: str
) -> None:
    broker = Broker(tmp_path, user="porch", password="right")
    broker.start()
    caplog.set_level("INFO")

    async def main() -> None:
        settings = Mqtt(host="127.0.0.1", port=broker.port, username="porch", password=SecretStr(password))
        said = Statements(settings, "test", STATUS, DISCOVERY, outbox(tmp_path))
        said.start()
        await until(lambda: outcome in caplog.text)
        await said.stop()

    try:
        asyncio.run(main())
    finally:
        broker.stop()
    assert password not in caplog.text.replace("Not authorized", "")


def _publish(port: int, topic: str, payload: str, *, retain: bool) -> None:
    client = Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


def test_a_device_that_is_no_longer_announced_is_taken_back_and_its_facts_with_it(broker: Broker, ear: Ear) -> None:
    hub = next(iter(DISCOVERY))

    async def script(said: Statements) -> None:
        said.fact("porchlight/x/cam/person", "OFF")
        said.fact("porchlight/x/other/person", "OFF")
        await until(lambda: {CAM, "porchlight/x/cam/person", "porchlight/x/other/person"} <= set(topics(ear)))
        before = len(ear.heard)
        gone = {CAM: "", "porchlight/x/cam/person": ""}
        said.announce({hub: DISCOVERY[hub], "homeassistant/device/new/config": '{"new":1}'}, gone)
        await until(lambda: ear.last("/cam/person") == "")
        await until(lambda: ear.last("/new/config"))
        await until(lambda: said.parted)
        assert topics(ear, before) == [CAM, "porchlight/x/cam/person", "homeassistant/device/new/config"]
        assert ear.last(CAM) == ""

    say(broker.port, script)
    late = Ear(broker.port)
    wait_for("what is retained", 10, lambda: late.last("/other/person"))
    assert not {CAM, "porchlight/x/cam/person"} & set(topics(late))
    late.close()


def test_what_was_taken_back_while_the_broker_was_away_is_gone_when_it_returns(broker: Broker, ear: Ear) -> None:
    async def script(said: Statements) -> None:
        await until(lambda: CAM in topics(ear))
        broker.stop()
        await until(lambda: not said.connected)
        said.announce({}, dict.fromkeys(DISCOVERY, ""))
        assert not said.parted
        broker.start()
        await until(lambda: said.connected)

    say(broker.port, script)
    late = Ear(broker.port)
    wait_for("the last word", 10, lambda: late.last(STATUS))
    assert not set(DISCOVERY) & set(topics(late))
    late.close()

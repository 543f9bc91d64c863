"""What the broker hears of the outbox, from a real mosquitto: live at once, late with its age, in order."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from appliance.config import Mqtt
from appliance.controller import statements as statements_module
from appliance.controller.outbox import Outbox
from appliance.controller.statements import Statements
from tests.controller.outbox.lives import TOPIC, Disk, House, disk_of, problem, until
from tests.rig import Broker, Ear

pytestmark = pytest.mark.real


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    yield from disk_of(monkeypatch)


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements_module, "SETTLE_S", 0.2)


def say(house: House, broker: Broker, script: Callable[[Statements, Outbox], Awaitable[None]]) -> None:
    """Run a script with Statements that are on their way to the broker."""

    async def main(outbox: Outbox) -> None:
        said = Statements(Mqtt(host="127.0.0.1", port=broker.port), "told", "porch/status", {}, outbox)
        said.start()
        try:
            await script(said, outbox)
        finally:
            await said.stop()

    house.live(main)


def test_what_was_put_before_the_broker_was_there_comes_in_order_with_its_age(
    house: House, broker: Broker, ear: Ear
) -> None:
    async def script(said: Statements, outbox: Outbox) -> None:
        for number in range(500):  # more than may fly at a time
            said.event(TOPIC, {"number": number})
        await until(lambda: not outbox.events)
        said.event(TOPIC, {"number": 500})
        await until(lambda: not outbox.events)
        await until(lambda: outbox._task is None)

    say(house, broker, script)
    told = [one.json() for one in ear.all(TOPIC)]
    assert [words["number"] for words in told] == list(range(501))
    assert all(words["replayed"] is True and words["age_s"] >= 0 for words in told[:500])
    assert not {"replayed", "age_s"} & told[500].keys()
    assert house.rows() == []


def test_with_a_disk_that_takes_nothing_an_alarm_goes_out_live(
    house: House, broker: Broker, ear: Ear, disk: Disk
) -> None:
    disk.fault = OSError("No space left on device")
    arrived: list[int] = []

    async def script(said: Statements, outbox: Outbox) -> None:
        await until(lambda: said._loop.time() > said._settled_at)
        said.event(TOPIC, {"number": 1}, lambda at_ns, _is_prompt: arrived.append(at_ns))
        await until(lambda: arrived)
        assert not outbox.events
        assert "No space left" in problem(outbox)

    say(house, broker, script)
    assert json.loads(ear.last(TOPIC) or "").keys() == {"number", "event_id"}


def test_the_wait_for_home_assistant_to_subscribe_is_no_alarm_latency(house: House, broker: Broker) -> None:
    prompt: list[bool] = []

    async def script(said: Statements, outbox: Outbox) -> None:
        await until(lambda: said.connected)
        said.event(TOPIC, {}, lambda _at_ns, is_prompt: prompt.append(is_prompt))
        assert not any(event.in_flight for event in outbox.events.values())
        await until(lambda: not outbox.events)

    say(house, broker, script)
    assert prompt == [False]

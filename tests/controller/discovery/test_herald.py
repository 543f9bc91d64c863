"""The household is announced, what is no more is taken back once the broker can hear it, and a record outlives us."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from appliance.config import Mqtt, Settings
from appliance.controller import kept
from appliance.controller import statements as statements_module
from appliance.controller.discovery.announced import GONE, Announced, from_json
from appliance.controller.discovery.herald import Herald
from appliance.controller.figures import Figures
from appliance.controller.outbox import Outbox
from appliance.controller.statements import Silence, Statements
from appliance.controller.topics import Topics
from tests.controller.discovery.test_announced import GARDEN, PORCH, home, record_of

PATIENCE_S = 30.0
HUB = "homeassistant/device/porchlight_home/config"
TOPICS = Topics("home")
BOTH: dict[str, tuple[str, ...]] = {"porch": (), "garden": ()}
ONE: dict[str, tuple[str, ...]] = {"garden": ()}


class Said(Silence):
    """Notes what is announced; the broker has taken the farewell when a test says so."""

    parted = True

    def __init__(self) -> None:
        self.discovery: dict[str, str] = {}
        self.farewells: list[dict[str, str]] = []

    def announce(self, discovery: dict[str, str], farewell: dict[str, str] | None = None) -> None:
        self.discovery = discovery
        self.farewells.append(farewell or {})
        self.parted = not farewell


class Wire:
    """A connection to a broker that keeps what is retained, and acknowledges when it is told to."""

    def __init__(
        self,
        _settings: Mqtt,
        _client_id: str,
        _status_topic: str,
        on_up: Callable[[], None],
        _on_message: object,
        on_acknowledged: Callable[[int, int], None],
    ) -> None:
        self.connected = False
        self.sent: list[tuple[str, str]] = []
        self.retained: dict[str, str] = {}
        self._on_up = on_up
        self._on_acknowledged = on_acknowledged
        self._owed: list[int] = []

    def publish(self, topic: str, payload: str, *, retain: bool = False) -> int:
        self.sent.append((topic, payload))
        if retain and payload:
            self.retained[topic] = payload
        elif retain:
            self.retained.pop(topic, None)
        self._owed.append(len(self.sent))
        return len(self.sent)

    def subscribe(self, topic: str) -> None: ...

    def start(self) -> None: ...

    async def stop(self) -> None: ...

    def up(self) -> None:
        self.connected = True
        self._on_up()

    def acknowledge(self, at_ns: int = 0) -> None:
        owed, self._owed = self._owed, []
        for number in owed:
            self._on_acknowledged(number, at_ns)


def settings_of(folder: Path, cameras: dict[str, tuple[str, ...]]) -> Settings:
    return home(cameras).model_copy(update={"state_dir": folder})


def in_loop(script: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await script()

    asyncio.run(main())


async def kept_by(herald: Herald, folder: Path) -> Announced:
    """Return the record as a death now would leave it."""
    assert await herald._keeper.settled(PATIENCE_S)
    text = kept.read(folder / "announced.json")
    assert text is not None
    return from_json(text)


def lay(folder: Path, text: str) -> None:
    (folder / "announced.json").write_text(text)


@contextlib.asynccontextmanager
async def wired(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Statements, Wire]]:
    """Have statements over a wire of ours, as the service has them."""
    monkeypatch.setattr(statements_module, "Connection", Wire)
    monkeypatch.setattr(statements_module, "SETTLE_S", -1.0)
    outbox = Outbox(folder, folder)
    said = Statements(Mqtt(), "test", TOPICS.status, {}, outbox)
    wire: object = said._connection
    assert isinstance(wire, Wire)
    try:
        yield said, wire
    finally:
        await said.stop()
        await outbox.close(PATIENCE_S)


def test_the_household_is_announced_and_noted(tmp_path: Path) -> None:
    async def script() -> None:
        said, settings = Said(), settings_of(tmp_path, BOTH)
        herald = Herald(settings, said)
        assert list(said.discovery) == [HUB, PORCH, GARDEN]
        assert said.farewells == [{}]
        assert await kept_by(herald, tmp_path) == record_of(settings)

    in_loop(script)


def test_what_was_edited_while_we_were_off_is_taken_back_at_the_next_start(tmp_path: Path) -> None:
    async def script() -> None:
        herald = Herald(settings_of(tmp_path, BOTH), Said())
        await kept_by(herald, tmp_path)
        said = Said()
        Herald(settings_of(tmp_path, ONE), said)
        assert list(said.discovery) == [HUB, GARDEN]
        assert said.farewells[0][PORCH] == GONE
        assert said.farewells[0][TOPICS.camera("porch", "person")] == GONE

    in_loop(script)


def test_until_the_broker_has_taken_the_farewell_the_record_has_both(tmp_path: Path) -> None:
    old, new = settings_of(tmp_path, BOTH), settings_of(tmp_path, ONE)

    async def script() -> None:
        said = Said()
        herald = Herald(old, said)
        herald.announce(new)
        herald.check()
        assert set((await kept_by(herald, tmp_path)).devices) == {HUB, PORCH, GARDEN}
        said.parted = True
        herald.check()
        assert await kept_by(herald, tmp_path) == record_of(new)

    in_loop(script)


def test_a_farewell_that_nobody_heard_is_said_again_at_the_next_start(tmp_path: Path) -> None:
    async def script() -> None:
        said = Said()
        herald = Herald(settings_of(tmp_path, BOTH), said)
        herald.announce(settings_of(tmp_path, ONE))
        await kept_by(herald, tmp_path)
        again = Said()
        Herald(settings_of(tmp_path, ONE), again)
        assert again.farewells == [said.farewells[-1]]

    in_loop(script)


def test_a_broken_record_is_set_aside_and_all_is_announced(tmp_path: Path) -> None:
    lay(tmp_path, "{")

    async def script() -> None:
        said, settings = Said(), settings_of(tmp_path, BOTH)
        herald = Herald(settings, said)
        assert list(said.discovery) == [HUB, PORCH, GARDEN]
        assert kept.read(tmp_path / "announced.json.broken") == "{"
        assert await kept_by(herald, tmp_path) == record_of(settings)

    in_loop(script)


def test_where_mqtt_is_off_the_record_still_has_what_the_broker_had(tmp_path: Path) -> None:
    async def script() -> None:
        await kept_by(Herald(settings_of(tmp_path, BOTH), Said()), tmp_path)
        herald = Herald(settings_of(tmp_path, ONE), Silence())
        herald.check()
        assert PORCH in (await kept_by(herald, tmp_path)).devices

    in_loop(script)


def test_looking_again_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def script() -> None:
        herald = Herald(settings_of(tmp_path, BOTH), Said())
        await kept_by(herald, tmp_path)
        monkeypatch.setattr(kept, "write", lambda *_: pytest.fail("nothing has changed"))
        for _ in range(5):
            herald.check()
        assert await herald._keeper.settled(PATIENCE_S)

    in_loop(script)


# Over real statements


def test_a_farewell_of_the_time_without_a_broker_is_said_first_and_until_it_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script() -> None:
        async with wired(tmp_path, monkeypatch) as (said, wire):
            herald = Herald(settings_of(tmp_path, BOTH), said)
            herald.announce(settings_of(tmp_path, ONE))
            for _ in range(2):  # the first time, the connection is lost before it is acknowledged
                wire.sent.clear()
                wire.up()
                topics = [topic for topic, _ in wire.sent]
                assert wire.sent[0] == (PORCH, GONE)
                assert topics.index(PORCH) < topics.index(TOPICS.status) < topics.index(HUB) < topics.index(GARDEN)
            before = said.parted
            wire.acknowledge()
            assert (before, said.parted) == (False, True)
            herald.check()
            assert PORCH not in (await kept_by(herald, tmp_path)).devices

    in_loop(script)


def test_a_camera_that_was_put_back_while_the_broker_was_away_is_never_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script() -> None:
        async with wired(tmp_path, monkeypatch) as (said, wire):
            herald = Herald(settings_of(tmp_path, BOTH), said)
            herald.announce(settings_of(tmp_path, ONE))
            herald.announce(settings_of(tmp_path, BOTH))
            wire.up()
            assert (PORCH, GONE) not in wire.sent  # Home Assistant would forget its area, its names, its history

    in_loop(script)


def test_the_facts_of_a_camera_that_was_put_back_before_the_broker_answered_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script() -> None:
        async with wired(tmp_path, monkeypatch) as (said, wire):
            herald = Herald(settings_of(tmp_path, BOTH), said)
            person = TOPICS.camera("porch", "person")
            wire.up()
            said.fact(person, "OFF")
            herald.announce(settings_of(tmp_path, ONE))
            said.fact(person, "OFF")  # its new desk, as the service has it: desks first, then the herald
            herald.announce(settings_of(tmp_path, BOTH))
            wire.acknowledge()
            assert wire.retained.get(person) == "OFF"

    in_loop(script)


def test_an_alarm_that_is_acknowledged_after_its_camera_was_taken_back_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script() -> None:
        async with wired(tmp_path, monkeypatch) as (said, wire):
            herald = Herald(settings_of(tmp_path, BOTH), said)
            topic = functools.partial(TOPICS.camera, "porch")
            figures = Figures(topic, said, lambda _milliseconds: None)
            wire.up()
            said.event(topic("event"), {}, lambda at_ns, _is_prompt: figures.arrived(0, at_ns))
            figures.close()
            herald.announce(settings_of(tmp_path, ONE))
            wire.acknowledge(1_000_000)
            assert said.parted
            assert topic("latency") not in wire.retained

    in_loop(script)


def test_a_record_that_cannot_be_parted_from_does_not_end_the_controller(tmp_path: Path) -> None:
    lay(tmp_path, f'{{"devices": {{"{HUB}": {{"components": {{"a b": "sensor"}}, "facts": []}}}}}}')

    async def script() -> None:
        said = Said()
        Herald(settings_of(tmp_path, ONE), said)
        assert list(said.discovery) == [HUB, GARDEN]

    in_loop(script)

"""The alarm panel at work: what it says and when, what survives a restart, and what a bad disk or a flood cannot do."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from appliance.config import Alarm, Camera, Settings
from appliance.controller import keeper as keeper_module
from appliance.controller import kept
from appliance.controller.alarm import guard as guard_module
from appliance.controller.alarm import pin
from appliance.controller.alarm.guard import WAITING_MOST, Guard
from appliance.controller.alarm.words import AlarmState, Command, Presence, Scene
from appliance.controller.commands import AlarmCommand
from appliance.controller.keeper import Keeper
from appliance.controller.outbox import Acknowledged
from appliance.controller.statements import Silence
from appliance.controller.topics import Topics
from appliance.telemetry import Sparing
from tests.controller.alarm.house import NOON, SECOND
from tests.controller.alarm.test_pin import KEPT

PATIENCE_S = 30.0
TOPICS = Topics("home")
STATE, EVENT, CAMERA_EVENT = TOPICS.alarm_state, TOPICS.alarm_event, TOPICS.camera("porch", "event")
CAMERA = Camera(id="porch", source="synthetic://porch")
PORCH = Presence("porch", None, NOON, 0.8765, "porch-1")
RIGHT, WRONG = "271828", "314159"
WITH_PIN = Alarm(pin=SecretStr(KEPT))
AWAY, DISARM, TRIGGER = Command.ARM_AWAY, Command.DISARM, Command.TRIGGER


class Said(Silence):
    """Notes what is said, in its order."""

    def __init__(self) -> None:
        self.all: list[tuple[str, str]] = []
        self.facts: dict[str, str] = {}

    def fact(self, topic: str, payload: str) -> None:
        if self.facts.get(topic) != payload:
            self.facts[topic] = payload
            self.all.append((topic, payload))

    def event(self, topic: str, payload: Mapping[str, Any], _acknowledged: Acknowledged | None = None) -> None:
        self.all.append((topic, json.dumps(payload)))

    def events(self, topic: str = EVENT) -> list[dict[str, Any]]:
        return [json.loads(payload) for where, payload in self.all if where == topic]

    @property
    def kinds(self) -> list[str]:
        return [event["event_type"] for event in self.events()]

    @property
    def story(self) -> list[str]:
        """Events and states as they came, in a word each."""
        return [json.loads(payload)["event_type"] if topic == EVENT else f"is {payload}" for topic, payload in self.all
                if topic in (EVENT, STATE)]  # fmt: skip


@dataclass
class Clock:
    now_ns: int = NOON

    def time_ns(self) -> int:
        return self.now_ns

    def monotonic_ns(self) -> int:
        return self.now_ns - NOON


@dataclass
class Work:
    """A guard at work."""

    guard: Guard
    said: Said
    clock: Clock

    def look(self, *present: Presence, blind: dict[str, str] | None = None) -> None:
        self.guard.look(Scene(present, blind or {}))

    def wait(self, seconds: float, *present: Presence) -> None:
        """Let time pass, in looks of a second."""
        for _ in range(round(seconds)):
            self.clock.now_ns += SECOND
            self.look(*present)

    def is_in(self, state: AlarmState) -> bool:
        return self.guard.state is state

    async def ask(self, command: Command, code: str | None = None) -> None:
        """Send a command and wait until it was carried out, or refused."""
        self.guard.command(AlarmCommand(command, code))
        await self.idle()

    async def idle(self) -> None:
        await until(lambda: self.guard._commands.empty() and not self.guard._is_obeying)


class Disk:
    """The real disk, until it is told to fail or to hang."""

    def __init__(self) -> None:
        self.fault: OSError | None = None
        self.is_asked = False
        self.answers = threading.Event()
        self.answers.set()
        self._write = kept.write

    def write(self, path: Path, text: str) -> None:
        self.is_asked = True
        assert self.answers.wait(PATIENCE_S)
        if self.fault is not None:
            raise self.fault
        self._write(path, text)

    async def hangs(self) -> None:
        """Wait until somebody waits for the disk."""
        await until(lambda: self.is_asked)


async def until(look: Callable[[], object]) -> None:
    async def wait() -> None:
        while not look():
            await asyncio.sleep(0.01)

    await asyncio.wait_for(wait(), PATIENCE_S)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    one = Clock()
    monkeypatch.setattr(guard_module, "time", one)
    return one


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    one = Disk()
    monkeypatch.setattr(kept, "write", one.write)
    yield one
    one.answers.set()


@dataclass
class House:
    """Where a guard works, once or again after a restart."""

    folder: Path
    clock: Clock
    alarm: Alarm

    @property
    def file(self) -> Path:
        return self.folder / "alarm.json"

    @property
    def files(self) -> dict[str, str]:
        return {file.name: file.read_text() for file in sorted(self.folder.iterdir())}

    def leave(self, text: str) -> None:
        """Leave this text where the panel's state is kept."""
        self.folder.mkdir(exist_ok=True)
        self.file.write_text(text)

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[Work]:
        """Have a guard serve from its start to its stop."""
        said = Said()
        settings = Settings(instance="home", state_dir=self.folder, cameras=(CAMERA,), alarm=self.alarm)
        work = Work(Guard(settings, TOPICS, said), said, self.clock)
        obeying = asyncio.create_task(work.guard.serve())
        try:
            yield work
        finally:
            obeying.cancel()
            await work.guard.stop()

    def run(self, script: Callable[[Work], Awaitable[None]]) -> None:
        """Start, look once, do what the script does, and stop."""

        async def main() -> None:
            async with self.at_work() as work:
                work.look()
                await script(work)

        asyncio.run(main())


@pytest.fixture
def house(tmp_path: Path, clock: Clock) -> House:
    return House(tmp_path / "state", clock, Alarm())


async def arm(work: Work) -> None:
    await work.ask(AWAY)
    work.wait(31)


async def leave_it(work: Work) -> None:
    """Leave it as it was found."""


async def arm_home(work: Work) -> None:
    await work.ask(Command.ARM_HOME)


async def arm_night(work: Work) -> None:
    await work.ask(Command.ARM_NIGHT)
    work.wait(31)


async def be_leaving(work: Work) -> None:
    await work.ask(AWAY)


async def be_entering(work: Work) -> None:
    await arm(work)
    work.look(PORCH)


async def raise_alarm(work: Work) -> None:
    await be_entering(work)
    work.wait(31, PORCH)


WAYS = {
    AlarmState.DISARMED: leave_it,
    AlarmState.ARMING: be_leaving,
    AlarmState.ARMED_HOME: arm_home,
    AlarmState.ARMED_AWAY: arm,
    AlarmState.ARMED_NIGHT: arm_night,
    AlarmState.PENDING: be_entering,
    AlarmState.TRIGGERED: raise_alarm,
}


# What it says


def test_what_happened_is_told_before_how_things_stand(house: House) -> None:
    async def script(work: Work) -> None:
        await raise_alarm(work)
        await work.ask(DISARM)
        assert work.said.story == [
            "is disarmed",
            "arming", "is arming",
            "armed", "is armed_away",
            "pending", "is pending",
            "triggered", "is triggered",
            "disarmed", "is disarmed",
        ]  # fmt: skip

    house.run(script)


def test_an_alarm_is_told_on_the_topic_of_the_camera_that_caused_it_too(house: House) -> None:
    async def script(work: Work) -> None:
        await raise_alarm(work)
        (told,) = work.said.events(CAMERA_EVENT)
        assert told["event_type"] == "alarm_triggered"
        assert told["device_id"] == "home_porch"
        assert told["mode"] == "away"
        assert (told["camera"], told["incident"], told["confidence"]) == ("porch", "porch-1", 0.876)
        (alarm,) = [event for event in work.said.events() if event["event_type"] == "triggered"]
        assert told["timestamp"] == alarm["timestamp"]

    house.run(script)


def test_an_alarm_by_hand_is_told_on_no_cameras_topic(house: House) -> None:
    async def script(work: Work) -> None:
        await work.ask(TRIGGER)
        assert work.said.kinds == ["triggered"]
        assert {topic for topic, _ in work.said.all} == {EVENT, STATE, TOPICS.alarm_attributes}

    house.run(script)


def test_who_comes_while_a_command_waits_for_the_disk_is_told_after_it_and_at_once(house: House, disk: Disk) -> None:
    async def script(work: Work) -> None:
        await arm_home(work)
        await work.ask(DISARM)
        told = len(work.said.story)
        disk.is_asked = False
        disk.answers.clear()
        work.guard.command(AlarmCommand(Command.ARM_HOME))
        await disk.hangs()
        work.look()
        assert len(work.said.story) == told  # nothing happened since, and it is not on disk yet
        work.look(PORCH)
        assert work.said.story[told:] == ["armed", "pending", "is pending"]
        disk.answers.set()
        await work.idle()
        assert work.said.story[told:] == ["armed", "pending", "is pending"]

    house.run(script)


def test_a_camera_that_the_armed_panel_relies_on_is_told_to_be_blind(house: House) -> None:
    async def script(work: Work) -> None:
        await arm(work)
        for _ in range(12):
            work.clock.now_ns += SECOND
            work.look(blind={"porch": "capture is not running"})
        assert list(work.guard.blind) == ["porch"]
        assert work.said.kinds[-1] == "blind"
        work.look()
        assert list(work.guard.blind) == []

    house.run(script)


# What survives


@pytest.mark.parametrize("state", AlarmState)
def test_after_a_restart_it_is_as_it_was_and_says_so_at_the_first_look(house: House, state: AlarmState) -> None:
    house.run(WAYS[state])

    async def again(work: Work) -> None:
        assert work.is_in(state)
        assert work.said.facts[STATE] == state
        assert work.said.kinds == []
        assert work.guard.reasons == []

    house.run(again)


def test_an_entry_delay_goes_on_while_it_is_off(house: House) -> None:
    house.run(be_entering)
    house.clock.now_ns += 60 * SECOND

    async def again(work: Work) -> None:
        assert work.said.story == ["triggered", "is triggered"]
        assert len(work.said.events(CAMERA_EVENT)) == 1

    house.run(again)


def test_what_nobody_changed_is_not_written_again(house: House) -> None:
    house.run(arm)
    before = house.file.stat().st_mtime_ns, house.file.stat().st_ino

    async def again(work: Work) -> None:
        work.wait(60)

    house.run(again)
    assert (house.file.stat().st_mtime_ns, house.file.stat().st_ino) == before


@pytest.mark.parametrize("text", ["", "{", '{"version": 1}', '{"version": 1, "state": "armed_away"}', "\x00" * 300])
def test_a_broken_file_is_set_aside_and_the_doubt_is_said_until_somebody_sets_it(house: House, text: str) -> None:
    house.leave(text)

    async def script(work: Work) -> None:
        assert work.is_in(AlarmState.DISARMED)
        (reason,) = work.guard.reasons
        assert "alarm.json.broken" in reason
        assert "whether it was armed is not known: set it again" in reason
        await work.ask(AWAY)
        assert work.guard.reasons == []

    house.run(script)
    assert house.files["alarm.json.broken"] == text
    assert '"arming"' in house.files["alarm.json"]


def test_a_newer_file_is_set_aside_whole(house: House) -> None:
    house.leave('{"version": 2, "state": "armed_vacation"}')

    async def script(work: Work) -> None:
        (reason,) = work.guard.reasons
        assert "newer Porchlight (version 2" in reason
        assert "whether it was armed is not known" in reason

    house.run(script)
    assert house.files["alarm.json.broken"] == '{"version": 2, "state": "armed_vacation"}'


def test_a_refused_command_leaves_the_doubt(house: House) -> None:
    house.leave("{")
    house.alarm = Alarm(pin=SecretStr(KEPT), code_to_arm=True)

    async def script(work: Work) -> None:
        doubt = work.guard.reasons
        await work.ask(AWAY)
        await work.ask(AWAY, WRONG)
        assert work.guard.reasons == doubt
        await work.ask(AWAY, RIGHT)
        assert work.guard.reasons == []

    house.run(script)


def test_who_wants_it_disarmed_takes_the_doubt_away_too(house: House) -> None:
    house.leave("{")

    async def script(work: Work) -> None:
        await work.ask(DISARM)
        assert work.guard.reasons == []

    house.run(script)


def test_the_doubt_outlives_a_restart(house: House) -> None:
    house.leave("{")
    house.run(leave_it)

    async def again(work: Work) -> None:
        assert any("whether it was armed is not known" in reason for reason in work.guard.reasons)

    house.run(again)


@pytest.mark.parametrize("key", ["countdown", "cause"])
def test_a_file_with_a_time_beyond_the_calendar_is_set_aside_like_any_other_that_is_broken(
    house: House, key: str
) -> None:
    house.run(be_entering)
    content = json.loads(house.file.read_text())
    content[key]["ends_ns" if key == "countdown" else "at_ns"] = 10**24
    house.leave(json.dumps(content))

    async def again(work: Work) -> None:
        assert "could not be read" in " ".join(work.guard.reasons)

    house.run(again)


def test_a_clock_that_is_set_back_to_1970_ends_nothing(house: House) -> None:
    async def script(work: Work) -> None:
        await arm(work)
        work.wait(60)
        work.clock.now_ns = 5 * SECOND
        work.look()
        assert work.is_in(AlarmState.ARMED_AWAY)

    house.run(script)


# Bad disks


def test_a_disk_that_cannot_be_written_is_a_problem_and_it_is_armed_all_the_same(house: House, disk: Disk) -> None:
    disk.fault = OSError(errno.EROFS, "Read-only file system")

    async def script(work: Work) -> None:
        await arm(work)
        assert work.said.facts[STATE] == "armed_away"
        assert work.guard.reasons == ["the alarm panel's state cannot be kept: Read-only file system"]
        work.look(PORCH)
        work.wait(31, PORCH)
        assert work.said.facts[STATE] == "triggered"
        disk.fault = None
        await work.ask(DISARM)
        await work.guard._keeper.settled(PATIENCE_S)
        assert work.guard.reasons == []

    house.run(script)


def test_armed_is_told_when_a_power_cut_would_not_take_it_back(house: House, disk: Disk) -> None:
    async def script(work: Work) -> None:
        await work.guard._keeper.settled(PATIENCE_S)
        disk.is_asked = False
        disk.answers.clear()
        work.guard.command(AlarmCommand(Command.ARM_HOME))
        await disk.hangs()
        work.look()
        assert work.said.story == ["is disarmed"]
        disk.answers.set()
        await work.idle()
        assert work.said.story == ["is disarmed", "armed", "is armed_home"]

    house.run(script)


def test_armed_is_told_after_a_while_though_the_disk_hangs_and_an_alarm_at_once(
    house: House, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard_module, "DISK_PATIENCE_S", 0.05)

    async def script(work: Work) -> None:
        await work.guard._keeper.settled(PATIENCE_S)
        disk.answers.clear()
        try:
            await work.ask(Command.ARM_NIGHT)
            work.wait(31)
            assert work.said.facts[STATE] == "armed_night"
            work.look(PORCH)  # the mode has no entry delay
            assert work.said.story[-2:] == ["triggered", "is triggered"]
            assert len(work.said.events(CAMERA_EVENT)) == 1
            await work.ask(DISARM)
            assert work.said.facts[STATE] == "disarmed"
        finally:
            disk.answers.set()

    house.run(script)
    assert '"disarmed"' in house.file.read_text()


def test_what_was_done_when_it_is_stopped_is_told(house: House, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        monkeypatch.setattr(guard_module, "DISK_PATIENCE_S", PATIENCE_S)
        async with house.at_work() as work:
            disk.answers.clear()
            work.guard.command(AlarmCommand(TRIGGER))
            await disk.hangs()
            monkeypatch.setattr(guard_module, "DISK_PATIENCE_S", 0.02)
        disk.answers.set()
        assert work.is_in(AlarmState.TRIGGERED)
        assert work.said.kinds == ["triggered"]

    asyncio.run(main())


def test_a_disk_that_is_known_not_to_answer_holds_no_command_up(
    house: House, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    settled = Keeper.settled

    async def noted(keeper: Keeper, seconds: float) -> bool:
        waits.append(seconds)
        return await settled(keeper, 0)

    async def script(work: Work) -> None:
        await work.guard._keeper.settled(PATIENCE_S)
        disk.answers.clear()
        with monkeypatch.context() as patched:
            patched.setattr(Keeper, "settled", noted)
            patched.setattr(keeper_module, "SLOW_S", -1.0)
            try:
                await work.ask(Command.ARM_HOME)
                assert "the disk does not answer" in " ".join(work.guard.reasons)
                waits.clear()
                await work.ask(DISARM)
                assert work.is_in(AlarmState.DISARMED)
                assert not any(waits)
            finally:
                disk.answers.set()

    house.run(script)


# Codes


def test_a_wrong_code_opens_nothing_and_is_told(house: House) -> None:
    house.alarm = WITH_PIN

    async def script(work: Work) -> None:
        await arm_home(work)
        await work.ask(DISARM, WRONG)
        await work.ask(DISARM)
        assert work.is_in(AlarmState.ARMED_HOME)
        assert [event["reason"] for event in work.said.events()[1:]] == ["wrong_code", "no_code"]
        assert json.loads(work.said.facts[TOPICS.alarm_attributes])["wrong_codes"] == 1
        await work.ask(DISARM, RIGHT)
        assert work.is_in(AlarmState.DISARMED)
        assert json.loads(work.said.facts[TOPICS.alarm_attributes])["wrong_codes"] == 0

    house.run(script)


def test_no_code_is_said_or_kept_or_logged(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.alarm = WITH_PIN
    caplog.set_level(logging.DEBUG)

    async def script(work: Work) -> None:
        for code in (WRONG, RIGHT):
            await work.ask(DISARM, code)
        for text in (repr(work.said.all), house.file.read_text(), caplog.text):
            assert WRONG not in text
            assert RIGHT not in text

    house.run(script)


def test_a_lock_out_goes_on_after_a_restart_and_not_even_the_right_code_is_looked_at(house: House) -> None:
    house.alarm = WITH_PIN

    async def guess(work: Work) -> None:
        await arm_home(work)
        for _ in range(3):
            await work.ask(DISARM, WRONG)

    house.run(guess)

    async def again(work: Work) -> None:
        await work.ask(DISARM, RIGHT)
        (refused,) = work.said.events()
        assert (refused["reason"], refused["wait_seconds"]) == ("locked_out", 30.0)
        assert work.is_in(AlarmState.ARMED_HOME)
        work.wait(30)
        await work.ask(DISARM, RIGHT)
        assert work.is_in(AlarmState.DISARMED)

    house.run(again)


def test_of_many_codes_that_come_at_once_only_the_first_three_are_looked_at(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.alarm = WITH_PIN
    looked_at: list[str] = []

    def verify(_kept: str, code: str) -> bool:
        looked_at.append(code)
        return False

    async def script(work: Work) -> None:
        for number in range(WAITING_MOST):
            work.guard.command(AlarmCommand(DISARM, f"{number:04}"))
        await work.idle()
        assert looked_at == ["0000", "0001", "0002"]
        assert [event["reason"] for event in work.said.events()[3:]] == ["locked_out"] * (WAITING_MOST - 3)

    monkeypatch.setattr(pin, "verify", verify)
    house.run(script)


def test_a_broken_pin_hash_is_said_and_lets_nobody_through(house: House) -> None:
    house.alarm = Alarm(pin=SecretStr("$argon2id$v=19$broken"))

    async def script(work: Work) -> None:
        await arm_home(work)
        for code in (RIGHT, WRONG, "0000"):
            await work.ask(DISARM, code)
        assert work.is_in(AlarmState.ARMED_HOME)
        assert [event["reason"] for event in work.said.events()[1:]] == ["unchecked"] * 3
        (reason,) = work.guard.reasons
        assert reason.startswith("alarm.pin: ")
        assert "porchlight pin" in reason
        assert "$argon2id" not in reason

    house.run(script)


def test_what_no_code_is_wanted_for_is_obeyed_with_a_wrong_one_which_does_not_count(house: House) -> None:
    house.alarm = WITH_PIN

    async def script(work: Work) -> None:
        await work.ask(Command.ARM_HOME, WRONG)
        assert work.is_in(AlarmState.ARMED_HOME)
        assert json.loads(work.said.facts[TOPICS.alarm_attributes])["wrong_codes"] == 0

    house.run(script)


def test_a_right_code_that_comes_in_the_moment_in_which_it_is_armed_is_right(house: House) -> None:
    house.alarm = Alarm.model_validate({"pin": KEPT, "home": {"counts": ["porch"]}})

    async def script(work: Work) -> None:
        await work.ask(AWAY)
        work.wait(29)
        work.clock.now_ns += SECOND  # the exit delay is over, and nobody has looked since
        await work.ask(Command.ARM_HOME, RIGHT)
        assert work.said.kinds[-1] == "armed"
        assert work.is_in(AlarmState.ARMED_HOME)

    house.run(script)


# Floods and mishaps


def test_a_flood_of_commands_does_not_fill_the_log(house: House, caplog: pytest.LogCaptureFixture) -> None:
    async def script(work: Work) -> None:
        for _ in range(1000):
            work.guard.command(AlarmCommand(DISARM))
        assert len(caplog.records) <= Sparing.MOST + 1
        await work.idle()

    house.run(script)


def test_a_flood_of_commands_is_refused_beyond_those_that_may_wait(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.alarm = WITH_PIN

    async def script(work: Work) -> None:
        for _ in range(WAITING_MOST + 4):
            work.guard.command(AlarmCommand(DISARM))
        assert caplog.text.count("DISARM refused: 16 commands are waiting already") == 4
        await work.idle()
        assert work.said.kinds == ["rejected_code"] * WAITING_MOST
        await work.ask(Command.ARM_HOME)
        assert work.is_in(AlarmState.ARMED_HOME)

    house.run(script)


def test_commands_are_obeyed_in_the_order_in_which_they_came(house: House) -> None:
    async def script(work: Work) -> None:
        for command in (Command.ARM_HOME, DISARM, TRIGGER, DISARM, Command.ARM_HOME):
            work.guard.command(AlarmCommand(command))
        await work.idle()
        assert work.said.kinds == ["armed", "disarmed", "triggered", "disarmed", "armed"]

    house.run(script)


def test_a_command_that_goes_wrong_does_not_end_the_service(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.alarm = WITH_PIN

    def verify(_kept: str, _code: str) -> bool:
        raise RuntimeError("can't start new thread")

    async def script(work: Work) -> None:
        await arm_home(work)
        with monkeypatch.context() as patched:
            patched.setattr(pin, "verify", verify)
            await work.ask(DISARM, RIGHT)
        assert "DISARM could not be carried out" in caplog.text
        assert RIGHT not in caplog.text
        assert work.is_in(AlarmState.ARMED_HOME)
        await work.ask(DISARM, RIGHT)
        assert work.is_in(AlarmState.DISARMED)

    house.run(script)


def test_cameras_are_looked_at_while_a_code_is_checked(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.alarm = WITH_PIN
    begun, answers = threading.Event(), threading.Event()

    def verify(_kept: str, _code: str) -> bool:
        begun.set()
        assert answers.wait(PATIENCE_S)
        return True

    async def script(work: Work) -> None:
        await arm_night(work)
        work.guard.command(AlarmCommand(DISARM, RIGHT))
        await until(begun.is_set)
        work.look(PORCH)
        assert work.said.story[-2:] == ["triggered", "is triggered"]
        answers.set()
        await work.idle()
        assert work.said.story[-2:] == ["disarmed", "is disarmed"]

    monkeypatch.setattr(pin, "verify", verify)
    house.run(script)

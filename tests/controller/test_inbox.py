"""What comes over MQTT reaches whom it concerns, or is refused aloud; anybody may send it, as much as they like."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import MQTTMessage

from appliance.controller.alarm.words import Command
from appliance.controller.commands import AlarmCommand, ChangeSetting
from appliance.controller.inbox import Inbox
from appliance.controller.overlay import Setting
from appliance.controller.topics import Topics
from appliance.telemetry import Sparing

TOPICS = Topics("home")


@dataclass
class Household:
    """Notes who was called."""

    cameras: list[str] = field(default_factory=lambda: ["porch"])
    alarms: list[AlarmCommand] = field(default_factory=list)
    changes: list[ChangeSetting] = field(default_factory=list)
    restarts: int = 0

    @property
    def inbox(self) -> Inbox:
        def restart() -> None:
            self.restarts += 1

        return Inbox(
            TOPICS, lambda: self.cameras, alarm=self.alarms.append, change=self.changes.append, restart=restart
        )

    @property
    def was_called(self) -> bool:
        return bool(self.alarms or self.changes or self.restarts)


def message(topic: str, payload: bytes, *, retain: bool = False) -> MQTTMessage:
    one = MQTTMessage(topic=topic.encode())
    one.payload = payload
    one.retain = retain
    return one


@pytest.fixture
def household() -> Household:
    return Household()


def test_each_command_reaches_whom_it_concerns_and_nobody_else(household: Household) -> None:
    hear = household.inbox.hear
    hear(message(TOPICS.alarm_set, b'{"action": "DISARM", "code": "271828"}'))
    assert household.alarms == [AlarmCommand(Command.DISARM, "271828")]
    hear(message(TOPICS.setting_set("porch", "threshold"), b"29"))
    assert household.changes == [ChangeSetting("porch", Setting.THRESHOLD, 0.29)]
    hear(message(TOPICS.restart_set, b"PRESS"))
    assert (len(household.alarms), len(household.changes), household.restarts) == (1, 1, 1)


def test_a_payload_that_is_a_bytearray_is_a_command_too(household: Household) -> None:
    one = message(TOPICS.restart_set, b"")
    one.payload = bytearray(b"PRESS")
    household.inbox.hear(one)
    assert household.restarts == 1


def test_the_cameras_are_those_that_there_are_now(household: Household, caplog: pytest.LogCaptureFixture) -> None:
    inbox = household.inbox
    asked = message(TOPICS.setting_set("garden", "detection"), b"OFF")
    inbox.hear(asked)
    assert not household.was_called
    assert "there is no camera 'garden'; the cameras are porch" in caplog.text
    household.cameras = ["garden"]
    inbox.hear(asked)
    assert household.changes == [ChangeSetting("garden", Setting.DETECTION, value=False)]


def test_a_retained_command_is_refused_aloud(household: Household, caplog: pytest.LogCaptureFixture) -> None:
    household.inbox.hear(message(TOPICS.alarm_set, b"DISARM", retain=True))
    household.inbox.hear(message(TOPICS.restart_set, b"PRESS", retain=True))
    assert not household.was_called
    assert caplog.text.count("without the retain flag") == 2


def test_no_code_comes_into_the_log(household: Household, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for payload in (b"271828", b'{"action": "271828"}', b'{"code": 271828, "action": "DISARM"}', b'{"271828": 1}'):
        household.inbox.hear(message(TOPICS.alarm_set, payload))
    household.inbox.hear(message(TOPICS.alarm_set, b'{"action": "DISARM", "code": "271828"}'))
    assert len(household.alarms) == 1
    assert len(caplog.records) == 4
    assert "271828" not in caplog.text
    assert "271828" not in repr(household.alarms)


def test_a_flood_does_not_fill_the_log_and_the_next_command_is_obeyed(
    household: Household, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = household.inbox
    for _ in range(1000):
        inbox.hear(message(TOPICS.alarm_set, b"OPEN SESAME"))
    assert len(caplog.records) == Sparing.MOST + 1
    inbox.hear(message(TOPICS.alarm_set, b"ARM_AWAY"))
    assert household.alarms == [AlarmCommand(Command.ARM_AWAY)]


@given(
    st.one_of(
        st.sampled_from([TOPICS.alarm_set, TOPICS.restart_set, TOPICS.setting_set("porch", "threshold")]),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=20).map(
            lambda word: TOPICS.setting_set(word, "detection")
        ),
    ),
    st.one_of(
        st.binary(max_size=40), st.sampled_from([b"9" * 999, b"[" * 999, b"\xff", b'{"action":"DISARM","code":{}}'])
    ),
    st.booleans(),
)
def test_nothing_that_a_message_holds_raises(topic: str, payload: bytes, retain: bool) -> None:
    household = Household()
    household.inbox.hear(message(topic, payload, retain=retain))
    assert not (retain and household.was_called)


@pytest.mark.parametrize("count", [1, 3])
def test_commands_that_come_at_once_are_all_passed_on_in_their_order(household: Household, count: int) -> None:
    hear: Callable[[MQTTMessage], None] = household.inbox.hear
    for _ in range(count):
        for command in Command:
            hear(message(TOPICS.alarm_set, command.encode()))
    assert [asked.command for asked in household.alarms] == [*Command] * count

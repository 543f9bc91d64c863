"""The alarm panel, restarted and with its clock set: it forgets nothing, skips no delay, and waits not for ever."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from appliance.controller.alarm.countdown import Countdown
from appliance.controller.alarm.panel import Panel
from appliance.controller.alarm.panel_file import LARGEST, NewerPanelFileError, PanelFileError, from_json, to_json
from appliance.controller.alarm.words import AlarmState, ArmMode, Code, Command, EventKind
from tests.controller.alarm.house import NOON, SECOND, House, Settings, armed, triggered

ARMING, PENDING, TRIGGERED = AlarmState.ARMING, AlarmState.PENDING, AlarmState.TRIGGERED
AWAY = AlarmState.ARMED_AWAY


def pending() -> House:
    house = armed()
    house.there = ["porch"]
    house.look()
    house.said.clear()
    return house


def arming() -> House:
    house = House()
    house.say(Command.ARM_AWAY)
    house.said.clear()
    return house


def test_arming_goes_on_after_a_restart() -> None:
    house = arming()
    house.restart(10)
    assert house.state is ARMING
    house.wait(20)
    assert house.state is AWAY


def test_arming_that_would_have_ended_meanwhile_is_armed_after_a_restart() -> None:
    house = arming()
    house.restart(3600)
    assert house.kinds == ["armed"]


def test_it_stays_armed_over_any_restart() -> None:
    house = armed()
    assert house.restart(1_000_000) == []
    assert (house.state, house.panel.mode) == (AWAY, ArmMode.AWAY)


def test_the_way_to_another_mode_goes_on_after_a_restart() -> None:
    house = armed(ArmMode.HOME)
    house.say(Command.ARM_AWAY)
    house.restart(10)
    assert house.state is AlarmState.ARMED_HOME
    house.wait(20)
    assert house.state is AWAY


def test_an_entry_delay_goes_on_after_a_restart() -> None:
    house = pending()
    house.restart(10)
    house.wait(19)
    assert house.state is PENDING
    (event,) = house.wait(1)
    assert event.cause is not None
    assert event.cause.camera == "porch"


def test_an_entry_delay_that_ran_out_meanwhile_is_an_alarm_of_full_length() -> None:
    house = pending()
    (event,) = house.restart(3600)
    assert (event.kind, event.wait_s) == (EventKind.TRIGGERED, 600)


def test_an_alarm_goes_on_after_a_restart_for_what_is_left_of_it() -> None:
    house = triggered()
    house.wait(300)
    assert house.restart(100) == []
    assert house.wait(199) == []
    house.wait(1)
    assert house.state is AWAY


def test_an_alarm_that_ended_while_the_appliance_was_off_begins_again() -> None:
    house = triggered()
    assert house.restart(3600) == []
    assert house.state is TRIGGERED
    house.wait(600)
    assert house.state is AWAY


def test_who_had_their_alarm_is_still_known_after_a_restart() -> None:
    house = triggered()
    house.wait(600)
    house.blind, house.there = {"porch": "the controller was restarted"}, []
    house.restart()
    house.wait(3)
    house.blind, house.there = {}, ["porch"]
    assert house.wait(60) == []


def test_an_outage_that_was_told_is_not_told_again_after_a_restart() -> None:
    house = armed()
    house.blind = {"porch": "unplugged"}
    house.wait(10)
    house.restart()
    house.wait(60)
    assert house.kinds == ["blind"]


def test_wrong_codes_and_their_wait_outlive_a_restart() -> None:
    house = armed()
    for _ in range(3):
        house.say(Command.DISARM, Code.WRONG)
    house.restart(10)
    (event,) = house.say(Command.DISARM, Code.RIGHT)
    assert (event.reason, event.wait_s) == ("locked_out", 20)
    house.wait(20)
    house.say(Command.DISARM, Code.WRONG)
    assert house.said[-1].wait_s == 60


@pytest.mark.parametrize("back_s", [3, 3600, 1_000_000_000])
def test_a_clock_set_back_does_not_lengthen_a_delay(back_s: float) -> None:
    for house, after in ((pending(), TRIGGERED), (arming(), AWAY)):
        house.wait(10)
        house.set_clock(-back_s)
        house.wait(19.75)
        assert house.state is not after
        house.wait(0.25)
        assert house.state is after


@pytest.mark.parametrize("forward_s", [20, 3600, 1_000_000_000])
def test_a_clock_set_forward_skips_no_delay(forward_s: float) -> None:
    """It may cost the length of the longest look."""
    for house, after in ((pending(), TRIGGERED), (arming(), AWAY)):
        house.wait(10)
        house.set_clock(forward_s)
        house.wait(17.75)
        assert house.state is not after
        house.wait(0.25)
        assert house.state is after


def test_a_clock_set_forward_at_boot_skips_no_delay() -> None:
    """A board without a battery wakes up in the past, and hears the time from the network a little later."""
    house = pending()
    house.wait(10)
    house.restart(-5000)
    house.wait(2)
    house.set_clock(9000)
    house.wait(25.75)
    assert house.state is PENDING
    house.wait(0.25)
    assert house.state is TRIGGERED


def test_a_clock_that_is_behind_after_a_restart_begins_the_delay_again_and_no_more() -> None:
    house = pending()
    house.wait(25)
    house.restart(-1_000_000)
    house.wait(29.75)
    assert house.state is PENDING
    house.wait(0.25)
    assert house.state is TRIGGERED


def test_a_set_clock_neither_lifts_nor_lengthens_the_wait_for_codes() -> None:
    for by_s in (-1_000_000, 1_000_000):
        house = armed()
        house.wait(1)
        for _ in range(3):
            house.say(Command.DISARM, Code.WRONG)
        house.set_clock(by_s)
        (event,) = house.say(Command.DISARM, Code.RIGHT)
        assert event.reason == "locked_out"
        assert 28 <= event.wait_s <= 30


def test_a_set_clock_makes_no_outage_long() -> None:
    house = armed()
    house.blind = {"porch": "stalled"}
    house.wait(1)
    house.set_clock(3600)
    assert house.wait(6) == []


def test_the_kept_text_changes_only_when_something_happens() -> None:
    house = armed()
    kept = to_json(house.panel)
    house.wait(60)
    house.blind = {"porch": "stalled"}
    house.wait(5)
    house.blind = {}
    house.wait(5)
    assert to_json(house.panel) == kept
    house.there = ["porch"]
    house.look()
    assert to_json(house.panel) != kept


def test_the_same_panel_comes_back() -> None:
    for house in (House(), arming(), armed(), pending(), triggered()):
        kept = to_json(house.panel)
        assert to_json(from_json(kept)) == kept
        assert replace(from_json(kept), at_ns=house.panel.at_ns) == house.panel


def broken(**changes: object) -> str:
    return json.dumps(json.loads(to_json(pending().panel)) | changes)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "disarmed",
        "[]",
        "null",
        "{}",
        "[" * 50_000,
        '{"version": 1}',
        to_json(pending().panel)[:-20],
        " " * (LARGEST + 1),
        broken(version=0),
        broken(version=True),
        broken(version="1"),
        broken(state="asleep"),
        broken(mode=None),
        broken(mode="vacation"),
        broken(countdown=None),
        broken(countdown={"began_ns": 2, "ends_ns": 2}),
        broken(countdown={"began_ns": "soon", "ends_ns": 2}),
        broken(state="armed_home"),
        broken(state="armed_away"),
        broken(state="disarmed"),
        broken(next_mode="home"),
        broken(state="armed_away", next_mode="away"),
        broken(since_ns=-1),
        broken(attempts={"wrong": -1, "wait": None}),
        broken(attempts={"wrong": 1.5, "wait": None}),
        broken(answered="porch"),
        broken(colour="red"),
    ],
)
def test_a_broken_file_is_refused(text: str) -> None:
    with pytest.raises(PanelFileError, match="the kept alarm state") as caught:
        from_json(text)
    assert not isinstance(caught.value, NewerPanelFileError)


def test_a_newer_file_is_refused_by_that_name() -> None:
    with pytest.raises(NewerPanelFileError, match="version 2, this one reads 1"):
        from_json(broken(version=2, something="new"))


def test_a_fresh_panel_is_disarmed_and_has_no_wait() -> None:
    panel, events = Panel().obey(Command.DISARM, Code.RIGHT, NOON, Settings())
    assert (panel.state, panel.countdown, events) == (AlarmState.DISARMED, None, ())
    assert Countdown.of(NOON, 0) is None
    assert Countdown.of(NOON, 1) == Countdown(NOON, NOON + SECOND)

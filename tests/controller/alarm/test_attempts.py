"""Wrong codes: how often, and what they cost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.controller.alarm.attempts import FREE, LONGEST_WAIT_S, Attempts
from appliance.controller.alarm.words import AlarmState, ArmMode, Code, Command, EventKind, Refusal
from tests.controller.alarm.house import NOON, SECOND, House, armed


def waits(count: int) -> list[float]:
    """Return the wait after each of so many wrong codes, each tried as soon as it may be."""
    attempts, now_ns, found = Attempts(), NOON, []
    for _ in range(count):
        attempts = attempts.failed(now_ns)
        found.append(attempts.wait_s(now_ns))
        now_ns += round(found[-1] * SECOND)
    return found


def test_the_third_wrong_code_costs_half_a_minute_and_each_further_one_twice_as_long() -> None:
    assert waits(10) == [0, 0, 30, 60, 120, 240, 480, 900, 900, 900]


@given(st.integers(FREE + 7, 3000))
def test_the_wait_is_never_longer_than_a_quarter_of_an_hour(count: int) -> None:
    assert waits(count)[-1] == LONGEST_WAIT_S


def test_the_wait_ends() -> None:
    attempts = Attempts(FREE).failed(NOON)
    assert attempts.wait_s(NOON + 29 * SECOND) == 1
    assert attempts.wait_s(NOON + 30 * SECOND) == 0
    assert attempts.wait_s(NOON + 31 * SECOND) == 0


def locked_out() -> House:
    house = armed()
    for _ in range(3):
        house.say(Command.DISARM, Code.WRONG)
    house.said.clear()
    return house


def test_a_wrong_code_is_told_with_the_wait_that_it_brings() -> None:
    house = armed()
    for _ in range(3):
        house.say(Command.DISARM, Code.WRONG)
    assert [(event.kind, event.reason, event.wait_s) for event in house.said] == [
        (EventKind.REJECTED_CODE, Refusal.WRONG_CODE, 0),
        (EventKind.REJECTED_CODE, Refusal.WRONG_CODE, 0),
        (EventKind.REJECTED_CODE, Refusal.WRONG_CODE, 30),
    ]


@pytest.mark.parametrize("code", [Code.RIGHT, Code.WRONG, Code.UNCHECKED])
def test_during_the_wait_every_code_is_refused_alike_and_none_is_counted(code: Code) -> None:
    house = locked_out()
    house.wait(10)
    (event,) = house.say(Command.DISARM, code)
    assert (event.reason, event.wait_s) == (Refusal.LOCKED_OUT, 20)
    assert house.panel.attempts.wrong == 3


def test_after_the_wait_the_right_code_forgives_all() -> None:
    house = locked_out()
    house.wait(30)
    house.say(Command.DISARM, Code.RIGHT)
    assert house.state is AlarmState.DISARMED
    assert house.panel.attempts == Attempts()


def test_codes_that_were_looked_at_all_at_once_do_not_pass_the_wait() -> None:
    house = armed()
    for _ in range(99):
        house.say(Command.DISARM, Code.WRONG)
    house.say(Command.DISARM, Code.RIGHT)
    assert house.panel.attempts.wrong == 3
    assert house.state is AlarmState.ARMED_AWAY


def test_a_missing_or_unreadable_code_is_no_guess() -> None:
    house = armed()
    for _ in range(5):
        house.say(Command.DISARM, Code.MISSING)
        house.say(Command.DISARM, Code.UNCHECKED)
    assert house.panel.attempts.wrong == 0
    assert {event.reason for event in house.said} == {Refusal.NO_CODE, Refusal.UNCHECKED}


def test_the_wait_stops_neither_arming_nor_the_alarm_button() -> None:
    house = House()
    for _ in range(3):
        house.say(Command.DISARM, Code.WRONG)
    house.say(Command.ARM_AWAY, Code.MISSING)
    house.wait(30)
    assert house.panel.mode is ArmMode.AWAY
    for _ in range(2):
        house.say(Command.DISARM, Code.WRONG)
    house.say(Command.TRIGGER)
    assert house.state is AlarmState.TRIGGERED


def test_who_takes_the_pin_away_is_not_kept_out_by_old_guesses() -> None:
    house = locked_out()
    house.say(Command.DISARM, Code.NO_PIN)
    assert house.state is AlarmState.DISARMED

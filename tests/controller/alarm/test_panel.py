"""The alarm panel, as a household meets it."""

from __future__ import annotations

import pytest

from appliance.controller.alarm.words import AlarmState, ArmMode, Code, Command, EventKind, Refusal
from tests.controller.alarm.house import House, ModeSettings, Settings, armed, triggered

DISARMED, ARMING, PENDING, TRIGGERED = (
    AlarmState.DISARMED,
    AlarmState.ARMING,
    AlarmState.PENDING,
    AlarmState.TRIGGERED,
)
HOME, AWAY, NIGHT = AlarmState.ARMED_HOME, AlarmState.ARMED_AWAY, AlarmState.ARMED_NIGHT


def test_arming_waits_until_everybody_has_left() -> None:
    house = House()
    (event,) = house.say(Command.ARM_AWAY)
    assert (event.kind, event.mode, event.previous, event.wait_s) == (EventKind.ARMING, ArmMode.AWAY, DISARMED, 30)
    house.there = ["porch"]
    assert house.wait(20) == []
    house.there = []
    house.wait(9.75)
    assert house.state is ARMING
    (event,) = house.wait(0.25)
    assert (event.kind, event.state, event.previous) == (EventKind.ARMED, AWAY, ARMING)


def test_a_mode_without_exit_delay_is_armed_at_once() -> None:
    house = House()
    (event,) = house.say(Command.ARM_HOME)
    assert house.state is HOME
    assert (event.kind, event.command) == (EventKind.ARMED, Command.ARM_HOME)


def test_somebody_who_is_still_there_at_the_end_of_the_exit_delay_has_the_entry_delay() -> None:
    house = House()
    house.there = ["porch"]
    house.say(Command.ARM_AWAY)
    house.wait(30)
    assert house.kinds == ["arming", "armed", "pending"]
    house.wait(30)
    assert house.state is TRIGGERED


def test_somebody_who_comes_has_the_entry_delay_then_the_alarm_goes_off() -> None:
    house = armed()
    house.there = ["porch"]
    (event,) = house.look()
    assert (event.kind, event.mode, event.wait_s) == (EventKind.PENDING, ArmMode.AWAY, 30)
    assert event.cause is not None
    assert event.cause.camera == "porch"
    house.there = []  # gone again: too late
    assert house.wait(29.75) == []
    (event,) = house.wait(0.25)
    assert (event.kind, event.wait_s) == (EventKind.TRIGGERED, 600)
    assert event.cause is not None
    assert event.cause.incident == "incident"


def test_a_second_visitor_does_not_lengthen_the_entry_delay() -> None:
    house = armed()
    house.there = ["porch"]
    house.wait(20)
    house.there = ["porch", "garden"]
    house.wait(10)
    assert house.kinds == ["pending", "triggered"]


def test_without_entry_delay_the_alarm_goes_off_at_once() -> None:
    house = armed(ArmMode.NIGHT)
    house.there = ["porch"]
    house.look()
    assert house.kinds == ["triggered"]


def test_the_right_code_in_the_entry_delay_keeps_it_quiet() -> None:
    house = armed()
    house.there = ["porch"]
    house.wait(29)
    (event,) = house.say(Command.DISARM, Code.RIGHT)
    assert (event.kind, event.previous, event.mode) == (EventKind.DISARMED, PENDING, ArmMode.AWAY)
    assert house.wait(1000) == []


def test_a_command_comes_after_what_was_due_before_it() -> None:
    house = armed()
    house.there = ["porch"]
    house.wait(29)
    house.now_ns += 1_500_000_000
    triggered, disarmed = house.say(Command.DISARM, Code.RIGHT)
    assert (triggered.kind, disarmed.kind) == (EventKind.TRIGGERED, EventKind.DISARMED)


@pytest.mark.parametrize("code", [Code.WRONG, Code.MISSING, Code.UNCHECKED])
def test_nothing_but_the_right_code_disarms(code: Code) -> None:
    for house in (armed(), triggered()):
        before = house.state
        (event,) = house.say(Command.DISARM, code)
        assert event.kind is EventKind.REJECTED_CODE
        assert house.state is before


@pytest.mark.parametrize("code", [Code.MISSING, Code.WRONG])
def test_the_code_that_ends_nothing_also_does_not_end_arming(code: Code) -> None:
    house = House()
    house.say(Command.ARM_AWAY)
    house.say(Command.DISARM, code)
    assert house.state is ARMING


def test_without_a_pin_no_code_is_wanted() -> None:
    house = armed(settings=Settings(code_to_arm=True, code_to_disarm=True, code_to_trigger=True))
    house.say(Command.DISARM, Code.NO_PIN)
    assert house.state is DISARMED


def test_each_command_wants_a_code_where_the_settings_say_so() -> None:
    house = House(Settings(code_to_arm=True, code_to_disarm=False, code_to_trigger=True))
    for command in (Command.ARM_HOME, Command.TRIGGER):
        (event,) = house.say(command)
        assert (event.kind, event.reason, event.command) == (EventKind.REJECTED_CODE, Refusal.NO_CODE, command)
    house.say(Command.ARM_HOME, Code.RIGHT)
    house.say(Command.DISARM)
    assert house.kinds[-2:] == ["armed", "disarmed"]


def test_a_code_that_is_not_wanted_is_not_looked_at() -> None:
    house = House()
    house.say(Command.ARM_HOME, Code.WRONG)
    assert house.state is HOME
    assert house.panel.attempts.wrong == 0


def test_disarming_what_is_disarmed_is_no_news_but_its_code_is_counted() -> None:
    house = House()
    assert house.say(Command.DISARM, Code.RIGHT) == []
    house.say(Command.DISARM, Code.WRONG)
    assert house.panel.attempts.wrong == 1


def test_no_alarm_while_disarmed() -> None:
    house = House()
    house.there = ["porch"]
    house.blind = {"garden": "unplugged"}
    assert house.wait(100) == []


def test_only_the_places_that_count_raise_an_alarm() -> None:
    house = armed(settings=Settings(away=ModeSettings(counts=("garden", "porch/door"))))
    house.there = ["porch", "porch/street", "hall"]
    assert house.wait(60) == []
    house.there += ["porch/door"]
    (event,) = house.look()
    assert event.cause is not None
    assert event.cause.place == "porch/door"


def test_a_mode_in_which_nothing_counts_is_not_armed() -> None:
    house = House(Settings(home=ModeSettings(counts=())))
    (event,) = house.say(Command.ARM_HOME)
    assert (event.kind, event.reason, event.mode) == (
        EventKind.FAILED_TO_ARM,
        Refusal.NOTHING_COUNTS,
        ArmMode.HOME,
    )
    assert house.state is DISARMED


def test_it_is_armed_again_after_the_alarm() -> None:
    house = triggered()
    house.there = []
    house.wait(599)
    assert house.state is TRIGGERED
    (event,) = house.wait(1)
    assert (event.kind, event.state, event.previous, event.command) == (EventKind.ARMED, AWAY, TRIGGERED, None)


def test_it_is_disarmed_after_the_alarm_where_the_settings_say_so() -> None:
    house = triggered(Settings(after_trigger="disarm"))
    house.wait(600)
    assert house.kinds == ["disarmed"]


def test_the_alarm_stays_where_the_settings_say_so() -> None:
    house = triggered(Settings(after_trigger="stay"))
    assert house.wait(1300) == []
    assert house.state is TRIGGERED
    assert house.panel.countdown is None


def test_an_alarm_that_is_to_stay_stays_when_the_settings_are_edited_while_it_sounds() -> None:
    house = triggered()
    house.settings = Settings(after_trigger="stay")
    assert house.wait(1300) == []


def test_who_stays_after_their_alarm_raises_no_other_one_until_they_were_gone() -> None:
    house = triggered()
    house.wait(600)
    assert house.wait(900) == []
    house.there = []
    house.wait(1)
    house.there = ["porch"]
    house.look()
    assert house.kinds == ["armed", "pending"]


def test_another_place_raises_another_alarm_while_the_first_visitor_stays() -> None:
    house = triggered()
    house.wait(600)
    house.there += ["garden"]
    house.look()
    assert house.kinds == ["armed", "pending"]


def test_a_camera_that_is_blind_for_a_moment_does_not_make_the_visitor_a_new_one() -> None:
    house = triggered()
    house.wait(600)
    house.blind, house.there = {"porch": "the controller was restarted"}, []
    house.wait(5)
    house.blind, house.there = {}, ["porch"]
    assert "pending" not in [event.kind for event in house.wait(60)]


def test_a_camera_that_was_blind_for_long_sees_a_new_visitor() -> None:
    house = triggered()
    house.wait(600)
    house.blind, house.there = {"porch": "unplugged"}, []
    house.wait(60)
    house.blind, house.there = {}, ["porch"]
    assert "pending" in [event.kind for event in house.wait(1)]


def test_who_is_still_there_when_it_is_armed_anew_counts_again() -> None:
    house = triggered()
    house.say(Command.DISARM, Code.RIGHT)
    house.say(Command.ARM_HOME)
    house.look()
    assert house.state is PENDING


def test_what_a_blind_camera_last_saw_is_no_alarm() -> None:
    house = armed(settings=Settings(blind_seconds=60))
    house.blind, house.there = {"porch": "stalled"}, ["porch"]
    assert house.wait(30) == []
    house.blind = {}
    house.look()
    assert house.kinds == ["pending"]


def test_the_button_raises_the_alarm_in_any_state_without_delay() -> None:
    arming = House()
    arming.say(Command.ARM_AWAY)
    pending = armed()
    pending.there = ["porch"]
    pending.look()
    for house in (House(), arming, armed(), pending):
        (event,) = house.say(Command.TRIGGER)
        assert (event.kind, event.command) == (EventKind.TRIGGERED, Command.TRIGGER)


def test_the_button_while_disarmed_ends_disarmed() -> None:
    house = House()
    house.say(Command.TRIGGER)
    house.wait(600)
    assert house.kinds == ["triggered", "disarmed"]


def test_the_button_in_the_exit_delay_ends_armed() -> None:
    house = House()
    house.say(Command.ARM_AWAY)
    house.say(Command.TRIGGER)
    house.wait(600)
    assert house.kinds == ["arming", "triggered", "armed"]


def test_the_button_again_makes_the_alarm_last_longer() -> None:
    house = triggered()
    house.wait(500)
    assert house.say(Command.TRIGGER) == []
    assert house.wait(599) == []
    house.wait(1)
    assert house.kinds == ["armed"]


@pytest.mark.parametrize("command", [Command.ARM_HOME, Command.ARM_AWAY, Command.ARM_NIGHT])
def test_arming_does_not_silence_an_alarm(command: Command) -> None:
    pending = armed()
    pending.there = ["porch"]
    pending.look()
    for house in (pending, triggered()):
        before = house.state
        (event,) = house.say(command, Code.RIGHT)
        assert (event.kind, event.reason) == (EventKind.FAILED_TO_ARM, Refusal.ALARM)
        assert house.state is before


def test_switching_modes_leaves_no_hole() -> None:
    house = armed(ArmMode.HOME)
    (event,) = house.say(Command.ARM_AWAY)
    assert (event.kind, event.state, event.mode, event.wait_s) == (EventKind.ARMING, HOME, ArmMode.AWAY, 30)
    house.wait(29.75)
    assert house.state is HOME
    house.wait(0.25)
    assert house.state is AWAY
    house.there = ["porch"]
    house.look()
    assert house.state is PENDING


def test_the_old_mode_raises_its_alarm_while_the_new_one_is_waited_for() -> None:
    only_hall = ModeSettings(counts=("hall",), exit_delay_seconds=0, entry_delay_seconds=10)
    house = armed(ArmMode.HOME, Settings(home=only_hall))
    house.say(Command.ARM_AWAY)
    house.there = ["porch"]  # counts away alone: they are just leaving
    assert house.wait(20) == []
    house.there = ["hall"]
    (event,) = house.look()
    assert (event.kind, event.wait_s, event.mode) == (EventKind.PENDING, 10, ArmMode.AWAY)


def test_switching_back_before_the_exit_delay_is_over_stays_as_it_was() -> None:
    house = armed(ArmMode.HOME)
    house.say(Command.ARM_AWAY)
    (event,) = house.say(Command.ARM_HOME)
    assert (event.kind, event.mode) == (EventKind.ARMED, ArmMode.HOME)
    assert house.wait(100) == []
    assert house.state is HOME


@pytest.mark.parametrize("command", [Command.ARM_HOME, Command.ARM_AWAY])
def test_the_same_mode_again_is_no_news_and_starts_no_delay_anew(command: Command) -> None:
    house = House()
    house.say(command)
    house.wait(20)
    assert house.say(command) == []
    house.wait(10)
    assert house.state.armed
    assert house.say(command) == []


def test_another_mode_in_the_exit_delay_has_its_own_delay() -> None:
    house = House()
    house.say(Command.ARM_AWAY)
    house.wait(20)
    house.say(Command.ARM_NIGHT)
    house.wait(29)
    assert house.state is ARMING
    house.wait(1)
    assert house.state is NIGHT


def test_switching_to_a_mode_that_watches_less_wants_the_code_of_disarming() -> None:
    house = armed(settings=Settings(home=ModeSettings(counts=("porch/door",), exit_delay_seconds=0)))
    (event,) = house.say(Command.ARM_HOME)
    assert (event.kind, event.reason) == (EventKind.REJECTED_CODE, Refusal.NO_CODE)
    assert house.state is AWAY
    house.say(Command.ARM_HOME, Code.RIGHT)
    assert house.state is HOME
    assert not house.panel.wants_code(Command.ARM_AWAY, house.settings)


def test_a_camera_watches_no_less_than_its_zones() -> None:
    settings = Settings(
        home=ModeSettings(counts=("porch",)),
        night=ModeSettings(counts=("porch/door", "porch/steps")),
        away=ModeSettings(counts=("porch/door", "hall")),
    )
    house = armed(ArmMode.NIGHT, settings)
    assert not house.panel.wants_code(Command.ARM_HOME, settings)
    assert house.panel.wants_code(Command.ARM_AWAY, settings)


def test_a_blind_camera_is_told_once_an_outage() -> None:
    house = armed()
    house.blind = {"porch": "the camera failed: no such device"}
    assert house.wait(9.75) == []
    (event,) = house.wait(0.25)
    assert (event.kind, event.camera, event.reason) == (EventKind.BLIND, "porch", "the camera failed: no such device")
    assert (event.state, event.mode) == (AWAY, ArmMode.AWAY)
    assert list(house.panel.blind) == ["porch"]
    assert house.wait(1000) == []
    house.blind = {}
    house.look()
    assert list(house.panel.blind) == []
    house.blind = {"porch": "again"}
    house.wait(10)
    assert house.kinds == ["blind", "blind"]


def test_a_camera_that_blinks_is_not_told() -> None:
    house = armed()
    for _ in range(20):
        house.blind = {"porch": "stalled"}
        house.wait(9)
        house.blind = {}
        house.wait(1)
    assert house.said == []


def test_a_camera_that_does_not_count_may_be_blind() -> None:
    house = armed(settings=Settings(away=ModeSettings(counts=("garden", "hall/door"))))
    house.blind = {"porch": "unplugged"}
    assert house.wait(60) == []
    house.blind = {"hall": "unplugged"}
    house.wait(60)
    assert house.kinds == ["blind"]


def test_what_was_blind_before_is_told_each_time_it_is_armed() -> None:
    house = House()
    house.blind = {"porch": "unplugged"}
    house.wait(60)
    for _ in range(2):
        house.say(Command.ARM_AWAY)
        house.wait(40)
        house.say(Command.DISARM, Code.RIGHT)
    assert house.kinds == ["arming", "armed", "blind", "disarmed"] * 2


def test_a_blind_camera_alone_is_no_alarm() -> None:
    house = armed(ArmMode.NIGHT)
    house.blind = {"porch": "unplugged"}
    house.wait(900)
    assert house.state is NIGHT

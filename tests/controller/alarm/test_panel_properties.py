"""The alarm panel under random commands, codes, people, blind cameras, set clocks and restarts.

It never disarms without the code, never skips a delay, never forgets that it was armed. The model keeps its own account
of real time, which the panel cannot see.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import settings as effort
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from appliance.controller.alarm.attempts import FIRST_WAIT_S, FREE, LONGEST_WAIT_S
from appliance.controller.alarm.countdown import LONGEST_LOOK_NS
from appliance.controller.alarm.panel_file import from_json, to_json
from appliance.controller.alarm.words import AlarmEvent, AlarmState, ArmMode, Code, Command, EventKind, camera_of
from tests.controller.alarm.house import SECOND, House, ModeSettings, Settings

PLACES = ("porch", "porch/door", "hall", "hall/stairs")
CAMERAS = ("porch", "hall")
PENDING, TRIGGERED, DISARMED, ARMING = (
    AlarmState.PENDING,
    AlarmState.TRIGGERED,
    AlarmState.DISARMED,
    AlarmState.ARMING,
)
CHANGES = {EventKind.DISARMED, EventKind.ARMING, EventKind.ARMED, EventKind.PENDING, EventKind.TRIGGERED}
ARMS = [command for command in Command if command.mode]

delays = st.sampled_from([0, 0.5, 5, 30])
modes = st.builds(
    ModeSettings, st.sampled_from([None, (), *((place,) for place in PLACES), ("porch/door", "hall")]), delays, delays
)
all_settings = st.builds(
    Settings,
    modes,
    modes,
    modes,
    st.sampled_from([1, 20]),
    st.sampled_from(["rearm", "disarm", "stay"]),
    st.sampled_from([0, 5]),
    st.booleans(),
    st.sampled_from([True, True, False]),
    st.booleans(),
)
clock_steps = st.sampled_from([-1_000_000, -60, -10, -1, -0.1, 0.1, 1, 3, 10, 60, 1_000_000])


@dataclass
class Wait:
    """A delay in real time: it must not end before `earliest_ns`, and must be over at `latest_ns`."""

    length_ns: int
    earliest_ns: int
    latest_ns: int

    @classmethod
    def of(cls, real_ns: int, seconds: float) -> Wait:
        length = round(seconds * SECOND)
        return cls(length, real_ns + length, real_ns + length)


def covered(mode: ModeSettings) -> set[str]:
    """Return all that this mode sees somebody in."""
    named = CAMERAS if mode.counts is None else mode.counts
    return {place for place in PLACES if place in named or camera_of(place) in named}


class AnyHousehold(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.real_ns = 0
        self.wait: Wait | None = None
        self.code_wait: Wait | None = None
        self.wrong = 0
        self.had_their_alarm: set[str] = set()
        self.never_left: set[str] = set()
        """Seen in an alarm, and at each look since."""
        self.told_blind: set[str] = set()
        self.armed_in: ArmMode | None = None
        """The mode that is in force, or was when somebody came."""

    @initialize(chosen=all_settings)
    def move_in(self, chosen: Settings) -> None:
        self.house = House(chosen)
        self.look()

    def of_mode(self, mode: ArmMode | None) -> ModeSettings:
        assert mode is not None
        found: ModeSettings = getattr(self.house.settings, mode)
        return found

    # What may happen

    @rule(looks=st.integers(1, 12))
    def a_moment_passes(self, looks: int) -> None:
        self.time_passes(looks)

    @rule(seconds=st.sampled_from([4, 10, 29, 31]))
    def time_passes_by(self, seconds: int) -> None:
        self.time_passes(4 * seconds)

    def time_passes(self, looks: int) -> None:
        for _ in range(looks):
            self.real_ns += SECOND // 4
            self.house.now_ns += SECOND // 4
            self.look()

    @rule(seconds=clock_steps)
    def the_clock_is_set(self, seconds: float) -> None:
        self.house.set_clock(seconds)
        for wait in (self.wait, self.code_wait):
            if wait and seconds > 0:
                wait.earliest_ns -= min(round(seconds * SECOND), LONGEST_LOOK_NS)
        self.look()

    @rule(off_s=st.sampled_from([0, 1, 7, 40]), set_s=st.one_of(st.just(0.0), clock_steps))
    def it_is_restarted(self, off_s: int, set_s: float) -> None:
        before = self.house.panel
        self.house.panel = from_json(to_json(before))
        assert self.house.panel.state is before.state
        assert self.house.panel.blind == before.blind
        self.real_ns += off_s * SECOND
        self.house.now_ns += off_s * SECOND + round(set_s * SECOND)
        for wait in (self.wait, self.code_wait):
            if wait and set_s > 0:  # nobody can tell that from a long time off
                wait.earliest_ns -= round(set_s * SECOND)
            if wait and set_s < 0:
                wait.latest_ns = self.real_ns + wait.length_ns
        if self.wait and self.house.state is TRIGGERED:
            self.wait.latest_ns = self.real_ns + self.wait.length_ns
        self.look()

    @rule(place=st.sampled_from(PLACES))
    def somebody_comes(self, place: str) -> None:
        self.house.there = sorted({*self.house.there, place, camera_of(place)})
        self.look()

    @rule(place=st.sampled_from(PLACES))
    def somebody_comes_and_stays(self, place: str) -> None:
        """For longer than any delay and any alarm, that is, and with all cameras seeing."""
        self.house.blind = {}
        self.somebody_comes(place)
        self.time_passes(4 * 52)

    @precondition(lambda self: self.house.there)
    @rule()
    def all_go(self) -> None:
        self.house.there = []
        self.look()

    @rule(camera=st.sampled_from(CAMERAS))
    def a_camera_fails(self, camera: str) -> None:
        self.house.blind[camera] = "unplugged"
        self.look()

    @precondition(lambda self: self.house.blind)
    @rule()
    def all_cameras_see(self) -> None:
        self.house.blind = {}
        self.look()

    @rule(command=st.sampled_from(ARMS), code=st.sampled_from([Code.MISSING] * 3 + list(Code)))
    def somebody_arms(self, command: Command, code: Code) -> None:
        self.say(command, code)

    @rule(code=st.sampled_from([Code.WRONG] * 3 + list(Code)))
    def somebody_disarms(self, code: Code) -> None:
        self.say(Command.DISARM, code)

    @rule(guesses=st.integers(2, 6))
    def somebody_guesses_and_then_knows(self, guesses: int) -> None:
        for _ in range(guesses):
            self.say(Command.DISARM, Code.WRONG)
        self.say(Command.DISARM, Code.RIGHT)

    @rule(code=st.sampled_from(Code))
    def somebody_presses_the_button(self, code: Code) -> None:
        self.say(Command.TRIGGER, code)

    # What must hold

    def look(self) -> None:
        house, before = self.house, self.house.panel
        seen = {place for place in house.there if camera_of(place) not in house.blind}
        expired = house.panel.state  # a turn begins with what was due
        events = house.look()
        assert all(event.command is None for event in events)
        self.never_left &= seen
        for event in events:
            self.follow(event, expired)
            expired = event.state
            if event.cause and event.previous.armed:
                assert event.cause.place in seen
                assert event.cause.place not in self.never_left, "they had their alarm"
        self.told_blind &= set(house.blind)
        for event in events:
            if event.kind is EventKind.BLIND:
                assert event.camera in house.blind
                assert event.camera not in self.told_blind
                self.told_blind.add(event.camera)
        gone = {place for place in PLACES if place not in house.there and camera_of(place) not in house.blind}
        self.had_their_alarm -= gone
        if house.state in {PENDING, TRIGGERED}:
            self.had_their_alarm |= seen
            self.never_left |= seen
        if house.state.armed:
            mode = self.of_mode(house.panel.mode)
            named = CAMERAS if mode.counts is None else mode.counts
            assert seen & set(named) <= self.had_their_alarm, "somebody is there, and nothing happens"
        assert before.state is not DISARMED or house.state is DISARMED, "it was armed by nobody"

    def say(self, command: Command, code: Code) -> None:
        house, before = self.house, self.house.panel
        needed = house.panel.wants_code(command, house.settings) and code is not Code.NO_PIN
        waiting = self.code_wait is not None and self.real_ns < self.code_wait.earliest_ns
        may_wait = self.code_wait is not None and self.real_ns < self.code_wait.latest_ns
        events = house.say(command, code)
        refused = [event for event in events if event.kind is EventKind.REJECTED_CODE]
        if needed and (code is not Code.RIGHT or waiting):
            assert len(events) == len(refused) == 1
        if refused:
            assert needed
            assert code is not Code.RIGHT or may_wait
            after = house.panel
            assert (after.state, after.target, after.countdown) == (before.state, before.target, before.countdown)
            self.count(code, refused[0])
            return
        if needed:
            self.wrong, self.code_wait = 0, None
        elif code is not Code.NO_PIN:
            assert not self.always_wants_code(command)
        if command.mode and before.state.armed and house.panel.target is not before.target and not needed:
            lost = covered(self.of_mode(before.mode)) - covered(self.of_mode(command.mode))
            assert not lost or code is Code.NO_PIN or not house.settings.code_to_disarm
        if command.mode and before.state in {PENDING, TRIGGERED}:
            assert house.state is before.state
        state = before.state
        for event in events:
            assert event.command is command
            self.follow(event, state)
            state = event.state
        if command is Command.TRIGGER and before.state is TRIGGERED:
            self.wait = self.alarm()
        if command.mode and house.panel.next_mode is None and house.state.armed:
            self.wait = None

    def always_wants_code(self, command: Command) -> bool:
        chosen = self.house.settings
        if command.mode:
            return chosen.code_to_arm
        return chosen.code_to_disarm if command is Command.DISARM else chosen.code_to_trigger

    def count(self, code: Code, refused: AlarmEvent) -> None:
        """Keep the wrong codes as the panel should; a code that came during the wait was none."""
        if refused.reason != "wrong_code":
            return
        assert code is Code.WRONG
        self.wrong += 1
        if self.wrong > FREE:
            wait_s = min(FIRST_WAIT_S * 2 ** (self.wrong - FREE - 1), LONGEST_WAIT_S)
            assert refused.wait_s == wait_s
            self.code_wait = Wait.of(self.real_ns, wait_s)

    def follow(self, event: AlarmEvent, state: AlarmState) -> None:
        """Check one event against what may happen in this state, and note the wait that it begins."""
        assert event.previous is state
        assert event.at_ns == self.house.now_ns
        if event.kind not in CHANGES:
            assert event.state is state
            return
        self.check_way(event)
        if event.kind is EventKind.ARMING:
            self.wait = Wait.of(self.real_ns, self.of_mode(event.mode).exit_delay_seconds)
        elif event.kind is EventKind.PENDING:
            self.wait = Wait.of(self.real_ns, event.wait_s)
            assert event.wait_s == self.of_mode(self.armed_in).entry_delay_seconds
        elif event.kind is EventKind.TRIGGERED:
            self.wait = self.alarm()
        else:
            self.wait = None
        if event.kind is EventKind.ARMED:
            self.armed_in = event.mode
        if event.kind is EventKind.DISARMED:
            self.told_blind.clear()
            self.had_their_alarm.clear()
            self.never_left.clear()

    def check_way(self, event: AlarmEvent) -> None:
        """Check that the panel may go this way, and took its time."""
        command, state, chosen = event.command, event.previous, self.house.settings
        in_time = self.wait is not None and self.wait.earliest_ns <= self.real_ns
        match event.kind:
            case EventKind.DISARMED:
                alarm_is_over = state is TRIGGERED and in_time
                assert command is Command.DISARM or (alarm_is_over and chosen.after_trigger != "stay")
                if command is None and chosen.after_trigger == "rearm":
                    assert event.mode is None
            case EventKind.ARMING:
                assert command is not None
                assert command.mode is event.mode
                assert state in {DISARMED, ARMING} or (state.armed and event.state is state)
            case EventKind.ARMED if command is None:
                assert state in {ARMING, TRIGGERED} or state.armed
                assert in_time
            case EventKind.ARMED:
                assert command is not None
                assert command.mode is event.mode
                assert event.state is state or self.of_mode(event.mode).exit_delay_seconds == 0
                assert state not in {PENDING, TRIGGERED}
            case EventKind.PENDING:
                assert state.armed
                assert event.cause is not None
            case _:
                at_once = state.armed and self.of_mode(self.armed_in).entry_delay_seconds == 0
                assert command is Command.TRIGGER or at_once or (state is PENDING and in_time)
                assert command is Command.TRIGGER or event.cause is not None
        if (
            event.state is not event.previous
            and state in {PENDING, TRIGGERED}
            and event.kind is not EventKind.TRIGGERED
        ):
            assert command is Command.DISARM or state is TRIGGERED

    def alarm(self) -> Wait | None:
        stays = self.house.settings.after_trigger == "stay"
        return None if stays else Wait.of(self.real_ns, self.house.settings.trigger_seconds)

    @invariant()
    def what_is_waited_for_lies_ahead_and_not_too_far(self) -> None:
        panel = self.house.panel
        if panel.countdown is not None:
            assert panel.countdown.ends_ns > self.house.now_ns
            assert self.wait is not None
            assert self.real_ns < self.wait.latest_ns, "it waits for longer than it should"

    @invariant()
    def it_knows_what_it_is_doing(self) -> None:
        panel = self.house.panel
        assert panel.mode is not None or panel.state in {DISARMED, TRIGGERED}
        if panel.state.armed:
            assert panel.mode is not None
            assert panel.state is panel.mode.armed
        if panel.state in {ARMING, PENDING} or panel.next_mode:
            assert panel.countdown is not None
        assert panel.at_ns == self.house.now_ns

    @invariant()
    def what_is_kept_comes_back(self) -> None:
        kept = to_json(self.house.panel)
        assert to_json(from_json(kept)) == kept


AnyHousehold.TestCase.settings = effort(max_examples=150, stateful_step_count=40, deadline=None)
TestAnyHousehold = AnyHousehold.TestCase

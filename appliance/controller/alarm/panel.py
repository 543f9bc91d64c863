"""The alarm panel: who may come when, and what happens otherwise. Values in, values out; time arrives as an argument.

Disarmed -> arming (exit delay) -> armed -> pending (entry delay) at the first sighting that counts -> triggered ->
armed again after a while. A delay of 0 is left out. What changes is told in events, in the order in which it happened.

`now_ns` is wall nanoseconds, since a delay goes on while the appliance is off; `countdown` says what happens when that
clock is set. The panel wants to be asked several times a second, in every state.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from appliance.controller.alarm.attempts import Attempts
from appliance.controller.alarm.countdown import Countdown, set_by_ns
from appliance.controller.alarm.turn import Turn
from appliance.controller.alarm.words import (
    AlarmEvent,
    AlarmState,
    ArmMode,
    Code,
    Command,
    Presence,
    leaves_out,
    mode_settings,
)

if TYPE_CHECKING:
    from appliance.controller.alarm.outages import Outage
    from appliance.controller.alarm.words import AlarmSettings, Scene

Step: TypeAlias = tuple["Panel", tuple[AlarmEvent, ...]]


@dataclass(frozen=True, slots=True)
class Panel:
    """The panel at one moment. Everything but `at_ns` and untold outages outlives the process, see `panel_file`."""

    state: AlarmState = AlarmState.DISARMED
    mode: ArmMode | None = None
    """What it is armed in, was armed in before the alarm, or is arming for. None: disarmed, now or before the alarm."""
    next_mode: ArmMode | None = None
    """Armed, and on its way to another mode: the old one holds until the exit delay is over."""
    since_ns: int = 0
    countdown: Countdown | None = None
    """The delay, or the alarm, that is running."""
    cause: Presence | None = None
    """The sighting behind a pending or triggered alarm. None: it was raised by hand."""
    answered: frozenset[str] = frozenset()
    """Places whose present visitor has had their alarm: they raise another one only after they were gone."""
    outages: tuple[Outage, ...] = ()
    attempts: Attempts = field(default_factory=Attempts)
    doubt: str = ""
    """Why it is not known whether this is the panel's true state; until somebody sets it."""
    at_ns: int | None = None
    """Of the newest look at the clock. None: this panel was just made, or read from its file."""

    @property
    def target(self) -> ArmMode | None:
        """The mode that was asked for last: what it will be armed in when all delays and alarms are over."""
        return self.next_mode or self.mode

    @property
    def blind(self) -> tuple[str, ...]:
        """The cameras whose blindness was told and still lasts: a problem for as long."""
        return tuple(outage.camera for outage in self.outages if outage.told)

    def wants_code(self, command: Command, settings: AlarmSettings) -> bool:
        """Return whether this command is refused without the right code, given that the owner has set a PIN."""
        if command is Command.DISARM:
            return settings.code_to_disarm
        if command.mode is None:
            return settings.code_to_trigger
        return settings.code_to_arm or (settings.code_to_disarm and self._eases(command.mode, settings))

    def _eases(self, mode: ArmMode, settings: AlarmSettings) -> bool:
        """Who may not disarm the house may not disarm a part of it either."""
        if not self.state.armed:
            return False
        asked, chosen = (self.mode, self.next_mode), mode_settings(settings, mode)
        return any(leaves_out(chosen, mode_settings(settings, one)) for one in asked if one)

    def look(self, scene: Scene, now_ns: int, settings: AlarmSettings) -> Step:
        """Return the panel after one more look at the clock and the cameras, and what happened."""
        turn = Turn(self.at(now_ns), now_ns, settings)
        turn.expire()
        turn.see(scene)
        turn.tell_blind(scene)
        return turn.panel, tuple(turn.events)

    def obey(self, command: Command, code: Code, now_ns: int, settings: AlarmSettings) -> Step:
        """Return the panel after a command, and what happened. A code matters only where one is wanted."""
        turn = Turn(self.at(now_ns), now_ns, settings)
        turn.expire()
        wanted = code is not Code.NO_PIN and turn.panel.wants_code(command, settings)
        if not wanted or turn.accepts(command, code):
            turn.do(command)
        return turn.panel, tuple(turn.events)

    def due(self, now_ns: int, settings: AlarmSettings) -> Panel:
        """Return the panel once what is over by now has ended; what that brings about is told at the next turn."""
        turn = Turn(self.at(now_ns), now_ns, settings)
        turn.expire()
        return turn.panel

    def at(self, now_ns: int) -> Panel:
        """Return the panel with its times on the clock as it stands now; nothing has happened yet."""
        if self.at_ns is None:
            return self._woken(now_ns)
        by_ns = set_by_ns(self.at_ns, now_ns)
        if not by_ns:
            return replace(self, at_ns=now_ns)
        return replace(
            self,
            since_ns=max(0, self.since_ns + by_ns),
            countdown=self.countdown.shifted(by_ns) if self.countdown else None,
            outages=tuple(outage.shifted(by_ns) for outage in self.outages),
            attempts=self.attempts.shifted(by_ns),
            at_ns=now_ns,
        )

    def _woken(self, now_ns: int) -> Panel:
        """Return the panel after a restart: the time that it slept has passed."""
        countdown = self.countdown.woken(now_ns) if self.countdown else None
        if countdown and self.state is AlarmState.TRIGGERED and countdown.over(now_ns):
            # An alarm that ended while the appliance was off was not heard to its end.
            countdown = countdown.again(now_ns)
        since_ns = min(self.since_ns or now_ns, now_ns)
        attempts = self.attempts.woken(now_ns)
        return replace(self, since_ns=since_ns, countdown=countdown, attempts=attempts, at_ns=now_ns)

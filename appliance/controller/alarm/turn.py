"""One turn of the alarm panel in the making: the panel so far, and what has happened so far."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from appliance.controller.alarm.attempts import Attempts
from appliance.controller.alarm.countdown import Countdown
from appliance.controller.alarm.outages import followed
from appliance.controller.alarm.words import (
    AlarmEvent,
    AlarmState,
    Code,
    Command,
    EventKind,
    Refusal,
    camera_of,
    counts,
    mode_settings,
    watches,
)

if TYPE_CHECKING:
    from appliance.controller.alarm.panel import Panel
    from appliance.controller.alarm.words import AlarmSettings, ArmMode, Presence, Scene


class Turn:
    """Lives for one call of the panel, which knows what it takes and in which order."""

    def __init__(self, panel: Panel, now_ns: int, settings: AlarmSettings) -> None:
        self.panel = panel
        self.events: list[AlarmEvent] = []
        self._now_ns = now_ns
        self._settings = settings

    def expire(self) -> None:
        """Do what comes after the delay or the alarm that is over, if one is."""
        panel, after = self.panel, self._settings.after_trigger
        if panel.countdown is None or not panel.countdown.over(self._now_ns):
            return
        if panel.state is AlarmState.PENDING:
            self._trigger()
        elif panel.state is AlarmState.TRIGGERED and after == "stay":
            self.panel = replace(self.panel, countdown=None)
        elif panel.target is None or (panel.state is AlarmState.TRIGGERED and after == "disarm"):
            self._disarm()
        else:  # the exit delay, or the alarm, is over
            self._enter(panel.target.armed, mode=panel.target)

    def see(self, scene: Scene) -> None:
        """Raise the alarm over whoever is there and counts, unless they had theirs."""
        seeing = replace(self.panel, outages=followed(self.panel.outages, scene.blind, self._now_ns))
        present = [one for one in scene.present if one.camera not in scene.blind]
        there = {one.place for one in present}
        # A camera that is blind for a moment cannot say that somebody has left; after longer it is somebody else.
        patience_s = self._settings.blind_seconds
        doubtful = {one.camera for one in seeing.outages if not one.lasted(self._now_ns, patience_s)}
        answered = frozenset(place for place in seeing.answered if place in there or camera_of(place) in doubtful)
        if seeing.state in {AlarmState.PENDING, AlarmState.TRIGGERED}:
            answered |= there
        self.panel = replace(seeing, answered=answered)
        if seeing.state.armed and seeing.mode:
            mode = mode_settings(self._settings, seeing.mode)
            news = (one for one in present if counts(mode, one) and one.place not in answered)
            cause = next(news, None)
            if cause:
                self._notice(cause, mode.entry_delay_seconds)

    def tell_blind(self, scene: Scene) -> None:
        """Tell of blind cameras that the mode relies on: once an outage, and again when armed anew."""
        panel = self.panel
        if panel.mode is None or panel.state is AlarmState.ARMING:
            return
        mode, patience_s = mode_settings(self._settings, panel.mode), self._settings.blind_seconds
        for outage in panel.outages:
            if not outage.told and outage.lasted(self._now_ns, patience_s) and watches(mode, outage.camera):
                event = self._event(EventKind.BLIND)
                self._tell(replace(event, camera=outage.camera, reason=scene.blind[outage.camera]))
        told = {event.camera for event in self.events}
        self.panel = replace(
            panel, outages=tuple(replace(one, told=one.told or one.camera in told) for one in panel.outages)
        )

    def accepts(self, command: Command, code: Code) -> bool:
        """Take a code that is wanted; tell where it opens nothing."""
        attempts = self.panel.attempts
        if code is Code.MISSING:
            reason = Refusal.NO_CODE
        elif attempts.wait_s(self._now_ns):
            # Also a code that was looked at before the wait began: else all of many that come at once would count.
            reason = Refusal.LOCKED_OUT
        elif code is Code.RIGHT:
            self.panel = replace(self.panel, attempts=Attempts())
            return True
        elif code is Code.WRONG:
            reason, attempts = Refusal.WRONG_CODE, attempts.failed(self._now_ns)
            self.panel = replace(self.panel, attempts=attempts)
        else:
            reason = Refusal.UNCHECKED
        wait_s = attempts.wait_s(self._now_ns)
        self._tell(replace(self._event(EventKind.REJECTED_CODE, command), reason=reason, wait_s=wait_s))
        return False

    def do(self, command: Command) -> None:
        """Do what was asked for by somebody who may."""
        if command.mode:
            self._arm(command, command.mode)
        elif command is Command.TRIGGER:
            self._trigger(command)
        elif self.panel.state is not AlarmState.DISARMED:
            self._disarm(command)

    def _arm(self, command: Command, mode: ArmMode) -> None:
        panel, chosen = self.panel, mode_settings(self._settings, mode)
        refusal = Refusal.NOTHING_COUNTS if chosen.counts == () else None
        if panel.state in {AlarmState.PENDING, AlarmState.TRIGGERED}:
            refusal = Refusal.ALARM
        if refusal:
            self._tell(replace(self._event(EventKind.FAILED_TO_ARM, command), mode=mode, reason=refusal))
            return
        if mode is panel.target:
            return
        if mode is panel.mode:  # and on its way to another one
            self.panel = replace(self.panel, next_mode=None, countdown=None)
            self._tell(self._event(EventKind.ARMED, command))
            return
        delay = Countdown.of(self._now_ns, chosen.exit_delay_seconds)
        if delay is None:
            self._enter(mode.armed, mode=mode, command=command)
        elif panel.state.armed:
            self.panel = replace(self.panel, next_mode=mode, countdown=delay)
            event = self._event(EventKind.ARMING, command)
            self._tell(replace(event, mode=mode, wait_s=delay.left_s(self._now_ns)))
        else:
            self._enter(AlarmState.ARMING, mode=mode, countdown=delay, command=command)

    def _notice(self, cause: Presence, entry_delay_s: float) -> None:
        """Somebody is there: they have the entry delay of the mode that saw them."""
        delay = Countdown.of(self._now_ns, entry_delay_s)
        if delay is None:
            self._trigger(cause=cause)
        else:
            self._enter(AlarmState.PENDING, mode=self.panel.target, countdown=delay, cause=cause)

    def _trigger(self, command: Command | None = None, cause: Presence | None = None) -> None:
        stays = self._settings.after_trigger == "stay"
        alarm = None if stays else Countdown.of(self._now_ns, self._settings.trigger_seconds)
        if self.panel.state is AlarmState.TRIGGERED:  # raised again: it goes on for longer
            self.panel = replace(self.panel, countdown=alarm)
            return
        cause = cause or self.panel.cause
        self._enter(AlarmState.TRIGGERED, mode=self.panel.target, countdown=alarm, cause=cause, command=command)

    def _disarm(self, command: Command | None = None) -> None:
        # Whoever is there when it is armed again, and whatever is blind then, is news.
        untold = tuple(replace(one, told=False) for one in self.panel.outages)
        self.panel = replace(self.panel, answered=frozenset(), outages=untold)
        self._enter(AlarmState.DISARMED, command=command)

    def _enter(
        self,
        state: AlarmState,
        *,
        mode: ArmMode | None = None,
        countdown: Countdown | None = None,
        cause: Presence | None = None,
        command: Command | None = None,
    ) -> None:
        """Change the state, and tell."""
        before, now = self.panel, self._now_ns
        self.panel = replace(
            before, state=state, mode=mode, next_mode=None, since_ns=now, countdown=countdown, cause=cause
        )
        event = self._event(EventKind.ARMED if state.armed else EventKind(state), command)
        wait_s = countdown.left_s(now) if countdown else 0.0
        self._tell(replace(event, previous=before.state, mode=mode or before.target, cause=cause, wait_s=wait_s))

    def _event(self, kind: EventKind, command: Command | None = None) -> AlarmEvent:
        panel = self.panel
        return AlarmEvent(kind, self._now_ns, panel.state, panel.state, panel.mode, command)

    def _tell(self, event: AlarmEvent) -> None:
        self.events.append(event)

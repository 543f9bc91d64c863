"""The alarm panel at work: what it is told and shown, what it says, and that it outlives this process."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from appliance.controller import visits
from appliance.controller.alarm import panel_file, pin, telling
from appliance.controller.alarm.panel import Panel
from appliance.controller.alarm.words import AlarmState, Code, EventKind, mode_settings, watches
from appliance.controller.keeper import Keeper
from appliance.messages import NO_TRACE, TraceContext
from appliance.telemetry import Sparing
from appliance.telemetry.tracing import NO_PARENT, OFF, publishing, to_utc

if TYPE_CHECKING:
    from collections.abc import Callable

    from appliance.config import Settings
    from appliance.controller.alarm.words import AlarmEvent, Scene
    from appliance.controller.commands import AlarmCommand
    from appliance.controller.statements import Silence, Statements
    from appliance.controller.topics import Topics
    from appliance.telemetry import Tracer

log = logging.getLogger(__name__)

WAITING_MOST = 16
"""Commands that may wait while a code is checked; nobody's household sends more."""
DISK_PATIENCE_S = 2.0
"""What was asked for is told when it would survive a power cut, or after this: a dead disk does not hold it up."""


class Guard:
    """All methods belong to the asyncio thread. `look` is on the alarm's path: it waits for nothing."""

    def __init__(
        self,
        settings: Settings,
        topics: Topics,
        statements: Statements | Silence,
        tracer: Tracer = OFF,
        on_change: Callable[[AlarmState], None] = lambda _state: None,
    ) -> None:
        """`on_change` hears each state that the panel enters."""
        self._instance = settings.instance
        self._settings = settings.alarm
        self._topics = topics
        self._statements = statements
        self._tracer = tracer
        self._on_change = on_change
        self._keeper = Keeper(settings.state_path / "alarm.json", "the alarm panel's state")
        self._panel = self._keeper.load(panel_file.from_json) or Panel()
        if self._keeper.lost:
            doubt = f"{self._keeper.lost}; whether it was armed is not known: set it again"
            self._panel = replace(self._panel, doubt=doubt)
        self._bad_pin = ""
        self._refusals = Sparing(log)
        self._commands: asyncio.Queue[AlarmCommand] = asyncio.Queue(WAITING_MOST)
        self._untold: list[AlarmEvent] = []
        self._is_obeying = False
        self._check_pin()
        if self._panel.state is not AlarmState.DISARMED:
            log.info("alarm: %s, as it was", self._panel.state)

    @property
    def state(self) -> AlarmState:
        return self._panel.state

    @property
    def blind(self) -> tuple[str, ...]:
        """The cameras that the armed panel relies on, and that have been blind for longer than `blind_seconds`."""
        return self._panel.blind

    @property
    def reasons(self) -> list[str]:
        """What is wrong with the panel, in words."""
        return [reason for reason in (self._panel.doubt, self._keeper.problem, self._bad_pin) if reason]

    def holds(self, camera: str | None = None) -> bool:
        """Return whether nothing may be eased without the code now, of this camera or (None) of the whole: who may not
        disarm the house may not blind it either.
        """
        panel, settings = self._panel, self._settings
        if settings.pin is None or not settings.code_to_disarm or panel.state is AlarmState.DISARMED:
            return False
        modes = [mode_settings(settings, mode) for mode in (panel.mode, panel.next_mode) if mode]
        return camera is None or not modes or any(watches(mode, camera) for mode in modes)

    def look(self, scene: Scene) -> None:
        """Take in what the cameras say now, and tell what follows at once."""
        self._panel, events = self._panel.look(scene, time.time_ns(), self._settings)
        self._untold += events
        if events or not self._is_obeying:
            self._tell()
        # After the telling, which notes events: a death in between must not leave an alarm that nobody was told of.
        self._keep()

    def command(self, asked: AlarmCommand) -> None:
        """Have it obeyed, after those before it."""
        try:
            self._commands.put_nowait(asked)
        except asyncio.QueueFull:
            self._refusals.warning("alarm: %s refused: %d commands are waiting already", asked.command, WAITING_MOST)

    async def serve(self) -> None:
        """Obey one command after the other, until cancelled."""
        while True:
            asked = await self._commands.get()
            self._is_obeying = True
            try:
                await self._obey(asked)
            except Exception:
                log.exception("alarm: %s could not be carried out", asked.command)
            finally:
                self._is_obeying = False

    async def stop(self) -> None:
        """Tell what is not told yet, and give the disk a moment for what is not kept."""
        if self._untold:
            self._tell()
        await self._keeper.settled(DISK_PATIENCE_S / 2)

    async def _obey(self, asked: AlarmCommand) -> None:
        code = await self._look_at_code(asked)
        self._panel, events = self._panel.obey(asked.command, code, time.time_ns(), self._settings)
        self._untold += events
        if not any(event.kind in _REFUSALS for event in events):
            self._panel = replace(self._panel, doubt="")
        if self._panel.state in _ALARMS:
            self._tell()  # that waits for no disk
        self._keep()
        if not self._keeper.problem:
            await self._keeper.settled(DISK_PATIENCE_S)
        self._tell()

    async def _look_at_code(self, asked: AlarmCommand) -> Code:
        """Check the code where one is wanted. One at a time, in a thread: it takes memory and a tenth of a second."""
        if self._settings.pin is None:
            return Code.NO_PIN
        if asked.code is None:
            return Code.MISSING
        now_ns = time.time_ns()
        panel = self._panel.due(now_ns, self._settings)
        if not panel.wants_code(asked.command, self._settings) or panel.attempts.wait_s(now_ns):
            return Code.UNCHECKED
        try:
            is_right = await asyncio.to_thread(pin.verify, self._settings.pin.get_secret_value(), asked.code)
        except pin.BrokenPinHashError as error:
            self._blame_pin(error)
            return Code.UNCHECKED
        return Code.RIGHT if is_right else Code.WRONG

    def _check_pin(self) -> None:
        """Find out now, and not before the ringing panel."""
        if self._settings.pin is not None:
            try:
                pin.check_hash(self._settings.pin.get_secret_value())
            except pin.BrokenPinHashError as error:
                self._blame_pin(error)

    def _blame_pin(self, error: pin.BrokenPinHashError) -> None:
        self._bad_pin = f"alarm.pin: {error}; run `porchlight pin` and write what it prints"
        log.error("%s", self._bad_pin)

    def _keep(self) -> None:
        self._keeper.keep(panel_file.to_json(self._panel))

    def _tell(self) -> None:
        """Say what happened, then how things stand."""
        topics, panel = self._topics, self._panel
        untold, self._untold = self._untold, []
        for event in untold:
            if event.state is not event.previous:
                self._on_change(event.state)
            trace = self._trace(event)
            trace_id, told_ns = visits.trace_id(trace), time.monotonic_ns()
            if event.kind in _REFUSALS:
                self._refusals.warning("alarm: %s", telling.in_words(event))
            else:
                level = _LEVELS.get(event.kind, logging.INFO)
                log.log(level, "alarm: %s", telling.in_words(event), extra=_subjects(event, trace_id))
            arrived = functools.partial(self._arrived, trace, topics.alarm_event, told_ns)
            self._statements.event(topics.alarm_event, telling.event_payload(event, self._instance, trace_id), arrived)
            if event.kind is EventKind.TRIGGERED and event.cause is not None:
                camera = event.cause.camera
                payload = telling.camera_payload(event, event.cause, f"{self._instance}_{camera}", trace_id)
                self._statements.event(topics.camera(camera, "event"), payload)
        self._statements.fact(topics.alarm_state, panel.state)
        self._statements.fact(topics.alarm_attributes, telling.attributes(panel))

    def _trace(self, event: AlarmEvent) -> TraceContext:
        """Note the event under the sighting that caused it, or as a trace of its own; return its context."""
        if not self._tracer.is_on:
            return NO_TRACE
        cause = event.cause
        above = TraceContext.from_traceparent(cause.trace) if cause is not None else NO_TRACE
        own = self._tracer.begin() if above == NO_TRACE else self._tracer.beneath(above)
        self._tracer.keep((own,))
        self._tracer.span(
            "alarm",
            own,
            NO_PARENT if above == NO_TRACE else above.span_id,
            event.at_ns,
            max(event.at_ns, time.time_ns()),
            kind=str(event.kind),
            state=str(event.state),
            previous_state=str(event.previous),
            mode=str(event.mode or ""),
            command=str(event.command or ""),
            place=cause.place if cause is not None else event.camera or "",
            incident=cause.incident if cause is not None else "",
            reason=event.reason,
        )
        return own

    def _arrived(self, trace: TraceContext, topic: str, told_ns: int, at_ns: int, is_prompt: bool) -> None:
        utc = to_utc()
        self._tracer.leaf("publish", trace, told_ns + utc, at_ns + utc, **publishing(topic, is_prompt))


def _subjects(event: AlarmEvent, trace_id: str | None) -> dict[str, str | None]:
    """Return what the event's line in the log is about."""
    cause = event.cause
    return {
        "camera": cause.camera if cause is not None else event.camera,
        "incident": cause.incident if cause is not None else None,
        "trace_id": trace_id,
    }


_ALARMS = frozenset({AlarmState.PENDING, AlarmState.TRIGGERED})
_REFUSALS = frozenset({EventKind.REJECTED_CODE, EventKind.FAILED_TO_ARM})
_LEVELS = dict.fromkeys((EventKind.TRIGGERED, EventKind.PENDING, EventKind.BLIND), logging.WARNING)

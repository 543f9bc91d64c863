"""One camera's papers: its ends of the channels, its eye, and what was last said of it."""

from __future__ import annotations

import contextlib
import json
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from appliance.coco import NAMES
from appliance.controller import visits
from appliance.controller.alarm.words import Presence
from appliance.controller.chain import broken_link, source_of
from appliance.controller.eye import Eye, resumed
from appliance.controller.notices import Notices
from appliance.controller.sightings import Counting, Sieve
from appliance.ipc.errors import CorruptError
from appliance.ipc.mailbox import last_state, publish_state, subscribe_detections
from appliance.messages import Clock, Health, Mode, SentryState
from appliance.telemetry import RepeatedFault
from appliance.telemetry.tracing import to_utc

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from appliance.config import Camera
    from appliance.controller.overlay import CameraChoices
    from appliance.controller.statements import Silence, Statements
    from appliance.controller.topics import Topics
    from appliance.messages import Detections, Heartbeat, TraceContext
    from appliance.stage import StageContext

log = logging.getLogger(__name__)

START_PATIENCE_S = 5.0
"""A camera that starts up is no fault yet."""
STATE_EVERY_S = 0.75
"""Asked about at each look (0.25 s apart): so whoever has just come knows the state within a second."""
RESUME_PATIENCE_S = 1.5
SWITCHED_OFF = "detection is switched off"


class Desk:
    """One camera's papers: its channel ends, its eye, and what was last said of it."""

    def __init__(
        self,
        context: StageContext,
        camera: Camera,
        topics: Topics,
        statements: Statements | Silence,
        *,
        choices: CameraChoices,
        on_change: Callable[[], None] = lambda: None,
        on_alarm: Callable[[float], None] = lambda _milliseconds: None,
    ) -> None:
        """`on_change` is called when somebody came or left, or it is not known any more; `on_alarm` hears how long an
        alarm took, in milliseconds.
        """
        self.camera = camera
        self.choices = choices
        with contextlib.ExitStack() as undo:
            self.detections = undo.enter_context(
                contextlib.closing(subscribe_detections(context.folder, camera.id, "controller"))
            )
            # Read, replace, publish, with no wait in between: a death here would lose what the last controller knew.
            before = last_state(context.folder, camera.id)
            self._is_resumed = before is not None and before.known
            self.eye: Eye = resumed(before, len(camera.zones))
            self.states = publish_state(context.folder, camera.id)
            undo.pop_all()
        self._pulse = context.pulse
        self._tracer = context.tracer
        states = [f"transitions.{camera.id}.{state.label}" for state in SentryState]
        context.pulse.begin(states, [f"alarm_seconds.{camera.id}"])
        self._settings = context.settings
        self._sentry = context.settings.sentry_of(camera)
        self._on_change = on_change
        self._names: Mapping[int, str] = NAMES
        self._names_said = ""
        self._told_alarm = on_alarm
        self._notices = Notices(camera, topics, statements, self._on_alarm, context.tracer)
        self._follow_choices()
        self.tell_choices()
        self._fault = RepeatedFault(log, f"camera {camera.id}", camera=camera.id)
        self._blind = RepeatedFault(log, f"camera {camera.id} cannot see", camera=camera.id)
        self._ended = False
        self._broken_link = ""
        self._untold: Eye | None = None
        """The eye as it was when telling of it failed."""
        self._opened_s = time.monotonic()
        self._notices.untold(self.eye)

    @property
    def is_switched_off(self) -> bool:
        return not self.choices.detection

    @property
    def trouble(self) -> str:
        """Why the camera cannot see, though it should; empty where it sees, is switched off, or has just started."""
        is_new = time.monotonic() - self._opened_s <= START_PATIENCE_S
        return "" if self.eye.known or self.is_switched_off or is_new else self.eye.blind_because

    @property
    def present(self) -> tuple[Presence, ...]:
        """Return who is there as the alarm panel has it: for the camera, and for each of its zones."""
        entered = self.eye.entered
        places: list[str | None] = [None] if self.eye.sentry.state is SentryState.TRACKING else []
        pairs = zip(self.camera.zones, self.eye.zones, strict=False)
        places += [zone.id for zone, sentry in pairs if sentry.state is SentryState.TRACKING]
        at_ns, confidence = (entered.wall_ns, entered.confidence) if entered else (0, 0.0)
        incident = visits.incident(self.eye, self.camera) or ""
        trace = entered.trace.traceparent if entered else ""
        return tuple(Presence(self.camera.id, place, at_ns, confidence, incident, trace) for place in places)

    def choose(self, choices: CameraChoices) -> None:
        """Have the owner's choices hold from now on; `tell_choices` says so."""
        if choices.detection and self.is_switched_off:
            self._opened_s = time.monotonic()
        self.choices = choices
        self._follow_choices()

    def tell_choices(self) -> None:
        self._notices.choices(self.choices)

    def forget(self) -> None:
        """Leave nothing for a later camera of this name to go on with."""
        self.eye = Eye()
        self._publish_state()

    def forget_zones(self) -> None:
        """The zones are others from now on: who is in the first of them says nothing about the next first one."""
        self.eye = replace(self.eye, zones=())
        self._publish_state()

    def hear(self) -> None:
        """Detections have arrived: the alarm path. Sentry first, then the camera's pace, then the world."""
        try:
            detections = self.detections.take()
        except CorruptError as error:
            self._fault.report(error)
            return
        if detections is None or self._ended:
            return
        heard_ns, inference = time.monotonic_ns(), detections.frame.trace
        decision = self._tracer.beneath(inference)
        if decision is not inference:
            detections = detections._replace(frame=detections.frame._replace(trace=decision))
        before = self.eye
        now_s = heard_ns / 1e9
        seen = before.see(detections, self._sieve, self._sentry, now_s)
        # A frame that inference had in hands when the chain broke heals nothing.
        self.eye = replace(seen, blind_because=self._broken_link) if self._broken_link else seen
        changed = (
            self.eye.transitions != before.transitions
            or self.eye.known != before.known
            or self.eye.state.zones != before.state.zones
        )
        try:
            if changed or detections.frame.clock is Clock.SCENE:
                self._publish_state()
            if changed:
                self._tell(before, detections)
            self._notices.figures.note(detections, self.eye, now_s)
        except Exception:
            about = {"camera": self.camera.id}
            log.exception("camera %s: what changed could not be told; trying again", self.camera.id, extra=about)
            self._untold = self._untold or before
        if self._tracer.is_on:
            self._trace(detections, inference, heard_ns)

    def check(self, beats: dict[str, Heartbeat]) -> None:
        """Is what we know still true? Called every CHECK_S."""
        now_s = time.monotonic()
        source = source_of(beats, self.camera.id)
        before = self.eye
        if source is not None and source.health is Health.ENDED and not self._ended:
            self._ended = True
            self.eye = self.eye.end(time.time_ns())
        elif source is not None and source.health in (Health.STARTING, Health.RUNNING):
            self._ended = False
        self._broken_link = SWITCHED_OFF if self.is_switched_off else broken_link(beats, self.camera.id)
        self._follow_names(beats)
        fps = self.camera.standby_fps if self.eye.sentry.mode is Mode.STANDBY else self.camera.alarmed_fps
        self.eye = self.eye.check(now_s, fps, self._broken_link)
        if self.eye.known or self.is_switched_off:
            self._blind.heal()
        elif before.known or self.trouble:
            self._blind.report(self.eye.blind_because)
        health = Health.RUNNING if self.eye.known or self.is_switched_off else Health.DEGRADED
        self._pulse.source(self.camera.id, health, self.eye.blind_because)
        self._pulse.counters[f"watching.{self.camera.id}"] = self.eye.known
        self._pulse.counters[f"persons.{self.camera.id}"] = self.eye.person_count
        untold, self._untold = self._untold or before, None
        if self.eye != untold:
            self._publish_state()
            self._tell(untold, None)
        elif now_s - self._stated_s >= STATE_EVERY_S:
            self._publish_state()
        self._state_availability()
        self._notices.chain(self.eye, source, SWITCHED_OFF if self.is_switched_off else "")
        if self.eye.known:
            self._notices.figures.publish(beats[f"capture.{self.camera.id}"].counters, now_s)

    def _trace(self, detections: Detections, inference: TraceContext, heard_ns: int) -> None:
        """Note the decision over these detections, and keep the trace of one that changed something."""
        frame, utc = detections.frame, to_utc(detections.frame)
        self._tracer.leaf("wait", inference, detections.published_ns + utc, heard_ns + utc, consumer="controller")
        self._tracer.span(
            "decision",
            frame.trace,
            inference.span_id,
            heard_ns + utc,
            time.monotonic_ns() + utc,
            camera=self.camera.id,
            frame_number=frame.frame_number,
            state=self.eye.sentry.state.label,
            persons=self.eye.person_count,
            confidence=round(self.eye.confidence, 3),
            incident=visits.incident(self.eye, self.camera) or "",
        )

    def _on_alarm(self, milliseconds: float) -> None:
        self._pulse.tally(f"alarm_seconds.{self.camera.id}", milliseconds / 1000)
        self._told_alarm(milliseconds)

    def close(self) -> None:
        self._notices.availability(known=False)
        self._notices.figures.close()
        self.detections.close()
        self.states.close()

    def _follow_names(self, beats: dict[str, Heartbeat]) -> None:
        """A model that brings class names of its own has inference say them."""
        said = beats["inference"].facts.get("classes", "") if "inference" in beats else self._names_said
        if said != self._names_said:
            self._names_said = said
            self._names = {int(column): name for column, name in json.loads(said).items()} if said else NAMES
            self._sieve = Sieve(self._counting())

    def _follow_choices(self) -> None:
        self._sentry = self._sentry.model_copy(update={"clear_seconds": self.choices.clear_seconds})
        self._sieve = Sieve(self._counting())
        self._publish_state()

    def _counting(self) -> Counting:
        """What counts as a sighting here."""
        camera, sentry = self.camera, self._sentry
        return Counting(
            classes=frozenset(column for column, name in self._names.items() if name in sentry.classes),
            threshold=self.choices.threshold,
            min_height=sentry.min_height,
            max_height=sentry.max_height,
            masks=camera.masks,
            zones=camera.zones,
            only_in_zones=camera.only_in_zones,
        )

    def _publish_state(self) -> None:
        writer = self.states.borrow()
        choices = self.choices
        writer.write(
            replace(
                self.eye.state,
                threshold=choices.threshold,
                detecting=choices.detection,
                live_view=choices.live_view,
            )
        )
        self.states.send(writer)
        self._stated_s = time.monotonic()

    def _tell(self, before: Eye, detections: Detections | None) -> None:
        """Say what changed: events first, then the facts they changed, then that they can be believed."""
        known = set(before.transitions)
        self._tracer.keep(change.trace for change in self.eye.transitions)
        for transition in self.eye.transitions:
            if transition not in known:
                self._pulse.count(f"transitions.{self.camera.id}.{transition.state.label}")
                self._notices.transition(self.eye, transition, detections)
        self._notices.facts(self.eye)
        self._state_availability()
        self._on_change()

    def _state_availability(self) -> None:
        if not self.eye.known and self._is_resumed and time.monotonic() - self._opened_s < RESUME_PATIENCE_S:
            return  # what the controller before has said holds for as long as it takes to see the first frame
        self._notices.availability(known=self.eye.known)

"""One camera's papers: its ends of the channels, its eye, and what was last said of it."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from appliance.coco import NAMES
from appliance.controller import visits
from appliance.controller.alarm.words import Presence
from appliance.controller.commands import in_words
from appliance.controller.discovery.household import ENTERED
from appliance.controller.eye import Eye, resumed
from appliance.controller.figures import Figures, age_ms
from appliance.controller.overlay import Setting
from appliance.controller.sightings import Counting, Sieve
from appliance.ipc.errors import CorruptError
from appliance.ipc.mailbox import last_state, publish_state, subscribe_detections
from appliance.messages import Clock, Health, SentryState
from appliance.mqtt import OFFLINE, ONLINE
from appliance.telemetry import RepeatedFault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from appliance.config import Camera
    from appliance.controller.overlay import CameraChoices
    from appliance.controller.statements import Silence, Statements
    from appliance.controller.topics import Topics
    from appliance.messages import Detections, Heartbeat, SourceHealth, Transition
    from appliance.stage import StageContext

log = logging.getLogger(__name__)

START_PATIENCE_S = 5.0
"""A camera that starts up is no fault yet."""
STATE_EVERY_S = 0.75
"""Asked about at each look (0.25 s apart): so whoever has just come knows the state within a second."""
UNTOLD_NS = 60_000_000_000
"""Who came longer ago was told of, or is no news."""
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
            self.eye: Eye = resumed(last_state(context.folder, camera.id), len(camera.zones))
            self.states = publish_state(context.folder, camera.id)
            undo.pop_all()
        self._pulse = context.pulse
        self._settings = context.settings
        self._sentry = context.settings.sentry_of(camera)
        self._on_change = on_change
        self._names: Mapping[int, str] = NAMES
        self._names_said = ""
        self._topics = topics
        self._statements = statements
        self._figures = Figures(self._topic, statements, on_alarm)
        self._follow_choices()
        self._fault = RepeatedFault(log, f"camera {camera.id}")
        self._blind = RepeatedFault(log, f"camera {camera.id} cannot see")
        self._ended = False
        self._broken_link = ""
        self._untold: Eye | None = None
        """The eye as it was when telling of it failed."""
        self._opened_s = time.monotonic()
        self._decided_after_ms: float | None = None
        self._tell_untold()

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
        return tuple(Presence(self.camera.id, place, at_ns, confidence, incident) for place in places)

    def choose(self, choices: CameraChoices) -> None:
        """Have the owner's choices hold from now on."""
        if choices.detection and self.is_switched_off:
            self._opened_s = time.monotonic()
        self.choices = choices
        self._follow_choices()

    def hear(self) -> None:
        """Detections have arrived: the alarm path. Sentry first, then the camera's pace, then the world."""
        try:
            detections = self.detections.take()
        except CorruptError as error:
            self._fault.report(error)
            return
        if detections is None or self._ended:
            return
        before = self.eye
        now_s = time.monotonic()
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
            self._figures.note(detections, self.eye, now_s)
        except Exception:
            log.exception("camera %s: what changed could not be told; trying again", self.camera.id)
            self._untold = self._untold or before

    def check(self, beats: dict[str, Heartbeat]) -> None:
        """Is what we know still true? Called every CHECK_S."""
        now_s = time.monotonic()
        source = _source_of(beats, self.camera.id)
        before = self.eye
        if source is not None and source.health is Health.ENDED and not self._ended:
            self._ended = True
            self.eye = self.eye.end(time.time_ns())
        elif source is not None and source.health in (Health.STARTING, Health.RUNNING):
            self._ended = False
        self._broken_link = SWITCHED_OFF if self.is_switched_off else _broken_link(beats, source)
        self._follow_names(beats)
        self.eye = self.eye.check(now_s, self.camera.standby_fps, self._broken_link)
        if self.eye.known or self.is_switched_off:
            self._blind.heal()
        elif before.known or self.trouble:
            self._blind.report(self.eye.blind_because)
        health = Health.RUNNING if self.eye.known or self.is_switched_off else Health.DEGRADED
        self._pulse.source(self.camera.id, health, self.eye.blind_because)
        untold, self._untold = self._untold or before, None
        if self.eye != untold:
            self._publish_state()
            self._tell(untold, None)
        elif now_s - self._stated_s >= STATE_EVERY_S:
            self._publish_state()
        connected = source is not None and source.health in (Health.RUNNING, Health.DEGRADED)
        self._statements.fact(self._topic("connectivity"), "ON" if connected else "OFF")
        self._state_availability()
        if self.eye.known:
            self._figures.publish(beats[f"capture.{self.camera.id}"].counters, now_s)

    def close(self) -> None:
        self._statements.fact(self._topic("status"), OFFLINE)
        self.detections.close()
        self.states.close()

    def _topic(self, what: str) -> str:
        return self._topics.camera(self.camera.id, what)

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
        for setting in Setting:
            topic = self._topics.setting(self.camera.id, setting)
            self._statements.fact(topic, in_words(setting, self.choices.value(setting)))

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
        for transition in self.eye.transitions:
            if transition not in known:
                self._decided_after_ms = age_ms(detections)
                self._tell_transition(transition, detections)
        self._state_facts()
        self._state_availability()
        self._on_change()

    def _tell_untold(self) -> None:
        """Tell what a predecessor decided in its last moment, and did not live to tell."""
        told = self._statements.newest_event(self._topic("event"))
        for transition in self.eye.transitions[-1:]:
            is_news = told is None or visits.iso(transition.wall_ns) > str(told["timestamp"])
            if is_news and time.time_ns() - transition.wall_ns < UNTOLD_NS:
                self._tell_transition(transition, None)

    def _tell_transition(self, transition: Transition, detections: Detections | None) -> None:
        log.info(
            "camera %s: %s -> %s (frame %d, confidence %.2f)",
            self.camera.id,
            transition.previous.label,
            transition.state.label,
            transition.frame_number,
            transition.confidence,
        )
        event_type = visits.event_of(transition)
        if event_type is None:
            return
        extra = visits.evidence(self.eye, self.camera)
        if self._decided_after_ms is not None:
            extra["latency_ms"] = self._decided_after_ms
        extra["alarm_latency_ms"] = self._figures.alarms.figures
        device_id = f"{self._settings.instance}_{self.camera.id}"
        payload = visits.event_payload(event_type, transition, device_id, extra)
        arrived = None
        if event_type == ENTERED and self._decided_after_ms is not None and detections is not None:
            arrived = functools.partial(self._figures.arrived, detections.frame.captured_ns)
        self._statements.event(self._topic("event"), payload, arrived)

    def _state_facts(self) -> None:
        eye, fact = self.eye, self._statements.fact
        tracking = eye.sentry.state is SentryState.TRACKING
        fact(self._topic("person"), "ON" if tracking else "OFF")
        fact(self._topic("state"), visits.state_payload(eye, self._decided_after_ms))
        for zone, sentry in zip(self.camera.zones, eye.zones, strict=False):
            fact(self._topics.zone(self.camera.id, zone.id), "ON" if sentry.state is SentryState.TRACKING else "OFF")
        fact(self._topic("person_count"), str(eye.person_count if tracking else 0))
        if eye.sighted_wall_ns and eye.transitions and eye.sentry.state is not SentryState.VALIDATION:
            fact(self._topic("last_seen"), visits.iso(eye.sighted_wall_ns))

    def _state_availability(self) -> None:
        self._statements.fact(self._topic("status"), ONLINE if self.eye.known else OFFLINE)


def _source_of(beats: dict[str, Heartbeat], camera: str) -> SourceHealth | None:
    beat = beats.get(f"capture.{camera}")
    if beat is None:
        return None
    return next((source for source in beat.sources if source.camera == camera), None)


def _broken_link(beats: dict[str, Heartbeat], source: SourceHealth | None) -> str:
    """Say which link of the camera's chain is down; empty where none is."""
    if source is None:
        return "capture is not running"
    if source.health is Health.FAILED:
        return f"the camera failed: {source.reason}"
    if source.health is Health.ENDED:
        return source.reason
    if "inference" not in beats:
        return "inference is not running"
    return ""

"""What MQTT is told of one camera: who came and left, how things stand, and whether that can be believed."""

from __future__ import annotations

import functools
import json
import logging
import time
from typing import TYPE_CHECKING

from appliance.controller import visits
from appliance.controller.commands import in_words
from appliance.controller.discovery.household import ENTERED, Watching
from appliance.controller.figures import Figures, age_ms
from appliance.controller.overlay import Setting
from appliance.messages import Health, SentryState
from appliance.mqtt import OFFLINE, ONLINE
from appliance.telemetry.tracing import OFF, publishing, to_utc

if TYPE_CHECKING:
    from collections.abc import Callable

    from appliance.config import Camera
    from appliance.controller.eye import Eye
    from appliance.controller.overlay import CameraChoices
    from appliance.controller.statements import Silence, Statements
    from appliance.controller.topics import Topics
    from appliance.messages import Detections, FrameInfo, SourceHealth, Transition
    from appliance.telemetry import Tracer

log = logging.getLogger(__name__)

UNSERVED = "its channels cannot be had; the log says why"
UNTOLD_NS = 60_000_000_000
"""Who came longer ago was told of, or is no news."""


class Notices:
    """One camera's."""

    def __init__(
        self,
        camera: Camera,
        topics: Topics,
        statements: Statements | Silence,
        on_alarm: Callable[[float], None],
        tracer: Tracer = OFF,
    ) -> None:
        """`on_alarm` hears how long each alarm took, in milliseconds."""
        self.figures = Figures(self.topic, statements, on_alarm)
        self._camera = camera
        self._topics = topics
        self._statements = statements
        self._decided_after_ms: float | None = None
        self._tracer = tracer

    def topic(self, what: str) -> str:
        """Return the topic of one of the camera's words."""
        return self._topics.camera(self._camera.id, what)

    def transition(self, eye: Eye, transition: Transition, detections: Detections | None) -> None:
        """Tell of a change of the sentry; `detections` are those that decided, None where time did."""
        self._decided_after_ms = age_ms(detections)
        log.info(
            "camera %s: %s -> %s (frame %d, confidence %.2f)",
            self._camera.id,
            transition.previous.label,
            transition.state.label,
            transition.frame_number,
            transition.confidence,
            extra={
                "camera": self._camera.id,
                "incident": visits.incident(eye, self._camera),
                "trace_id": visits.trace_id(transition.trace),
            },
        )
        event_type = visits.event_of(transition)
        if event_type is None:
            return
        extra = visits.evidence(eye, self._camera)
        if self._decided_after_ms is not None:
            extra["latency_ms"] = self._decided_after_ms
        extra["alarm_latency_ms"] = self.figures.alarms.figures
        device_id = f"{self._topics.instance}_{self._camera.id}"
        payload = visits.event_payload(event_type, transition, device_id, extra)
        frame = detections.frame if detections is not None else None
        is_measured = event_type == ENTERED and self._decided_after_ms is not None
        arrived = functools.partial(self._arrived, transition, frame if is_measured else None, time.monotonic_ns())
        self._statements.event(self.topic("event"), payload, arrived)

    def _arrived(
        self, transition: Transition, frame: FrameInfo | None, told_ns: int, at_ns: int, is_prompt: bool
    ) -> None:
        """The broker has the event; how long that took is the alarm's figure where nothing but us was in the way."""
        if frame is not None and is_prompt:
            self.figures.arrived(frame.captured_ns, at_ns)
        utc, trace = to_utc(frame), transition.trace
        self._tracer.leaf("publish", trace, told_ns + utc, at_ns + utc, **publishing(self.topic("event"), is_prompt))

    def untold(self, eye: Eye) -> None:
        """Tell what a predecessor decided in its last moment, and did not live to tell."""
        told = self._statements.newest_event(self.topic("event"))
        for transition in eye.transitions[-1:]:
            is_news = told is None or visits.iso(transition.wall_ns) > str(told["timestamp"])
            if is_news and time.time_ns() - transition.wall_ns < UNTOLD_NS:
                self.transition(eye, transition, None)

    def facts(self, eye: Eye) -> None:
        """Say who is there."""
        fact = self._statements.fact
        tracking = eye.sentry.state is SentryState.TRACKING
        fact(self.topic("person"), "ON" if tracking else "OFF")
        fact(self.topic("state"), visits.state_payload(eye, self._decided_after_ms))
        for zone, sentry in zip(self._camera.zones, eye.zones, strict=False):
            is_there = sentry.state is SentryState.TRACKING
            fact(self._topics.zone(self._camera.id, zone.id), "ON" if is_there else "OFF")
        fact(self.topic("person_count"), str(eye.person_count if tracking else 0))
        if eye.sighted_wall_ns and eye.transitions and eye.sentry.state is not SentryState.VALIDATION:
            fact(self.topic("last_seen"), visits.iso(eye.sighted_wall_ns))

    def availability(self, *, known: bool) -> None:
        """Say whether that can be believed."""
        self._statements.fact(self.topic("status"), ONLINE if known else OFFLINE)

    def chain(self, eye: Eye, source: SourceHealth | None, switched_off: str) -> None:
        """Say whether the camera is connected, whether anybody watches there, and why not."""
        connected = source is not None and source.health in (Health.RUNNING, Health.DEGRADED)
        self._statements.fact(self.topic("connectivity"), "ON" if connected else "OFF")
        if switched_off:
            state, reason = Watching.OFF, switched_off
        elif not eye.known:
            state, reason = Watching.BLIND, eye.blind_because
        elif source is not None and source.health is Health.DEGRADED:
            state, reason = Watching.DEGRADED, source.reason
        else:
            state, reason = Watching.WATCHING, ""
        self._statements.fact(self.topic("watching"), json.dumps({"state": state, "reason": reason}))

    def unserved(self) -> None:
        """Say that nobody can say anything of this camera."""
        self.availability(known=False)
        watching = {"state": Watching.BLIND, "reason": UNSERVED}
        self._statements.fact(self.topic("watching"), json.dumps(watching))

    def choices(self, choices: CameraChoices) -> None:
        """Say what the owner's settings stand at."""
        for setting in Setting:
            topic = self._topics.setting(self._camera.id, setting)
            self._statements.fact(topic, in_words(setting, choices.value(setting)))

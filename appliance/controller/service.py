"""The controller's process: detections in; sentry, state channel and MQTT out. One asyncio loop that never blocks."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import TYPE_CHECKING

from appliance.controller import entities, visits
from appliance.controller.eye import Eye, resumed
from appliance.controller.statements import Statements
from appliance.controller.topics import Topics
from appliance.ipc.errors import CorruptError
from appliance.ipc.heartbeat import read_heartbeats
from appliance.ipc.mailbox import last_state, publish_state, subscribe_detections
from appliance.messages import Clock, Health, SentryState
from appliance.mqtt import OFFLINE, ONLINE
from appliance.telemetry import RepeatedFault

if TYPE_CHECKING:
    from appliance.config import Camera
    from appliance.messages import Detections, Heartbeat, SourceHealth, Transition
    from appliance.stage import StageContext

log = logging.getLogger(__name__)

CHECK_S = 0.25
"""How often the clock and the heartbeats are looked at; what is down shows within this."""
HEARTBEAT_STALE_S = 3.0
START_PATIENCE_S = 5.0
"""A camera that starts up is no fault yet."""
STATE_EVERY_S = 1.0
COUNT_FLOOR_S = 1.0
SEEN_FLOOR_S = 10.0
STATS_EVERY_S = 10.0


def run(context: StageContext) -> None:
    """Serve until told to stop."""
    asyncio.run(_Controller(context).serve())


class _Controller:
    """All cameras, the heartbeats, and what is said of them."""

    def __init__(self, context: StageContext) -> None:
        self.context = context
        self.topics = Topics(context.settings.instance)
        self.statements: Statements | None = None
        self.started = visits.iso(time.time_ns())
        self.desks: list[_Desk] = []

    async def serve(self) -> None:
        context = self.context
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(context.stop.fileno(), stopped.set)
        self.statements = self._open_statements()
        self.desks = [_Desk(self, camera) for camera in context.settings.cameras]
        for desk in self.desks:
            loop.add_reader(desk.detections.fileno(), desk.hear)
        if self.statements is not None:
            self.statements.start()
        context.pulse.health = Health.RUNNING
        try:
            while not stopped.is_set():
                self._check()
                try:
                    await asyncio.wait_for(stopped.wait(), CHECK_S)
                except TimeoutError:
                    continue
        finally:
            loop.remove_reader(context.stop.fileno())
            for desk in self.desks:
                loop.remove_reader(desk.detections.fileno())
                desk.close()
            if self.statements is not None:
                await self.statements.stop()

    def fact(self, topic: str, payload: str) -> None:
        if self.statements is not None:
            self.statements.fact(topic, payload)

    def _open_statements(self) -> Statements | None:
        settings = self.context.settings
        if not settings.mqtt.enabled:
            log.info("MQTT is off (mqtt.enabled): Home Assistant is told nothing")
            return None
        discovery = [
            (payload.topic(settings.mqtt.discovery_prefix), payload.json()) for payload in entities.announce(settings)
        ]
        client_id = f"porchlight-{settings.instance}-controller"
        return Statements(settings.mqtt, client_id, self.topics.status, discovery)

    def _check(self) -> None:
        """Look at the clock and at everybody's heartbeat."""
        beats = {name: beat for name, beat in read_heartbeats(self.context.folder).items() if _fresh(beat)}
        for desk in self.desks:
            desk.check(beats)
        for stage in entities.STAGES:
            alive = stage == "controller" or (stage in beats and beats[stage].health is Health.RUNNING)
            self.fact(self.topics.stage(stage), ONLINE if alive else OFFLINE)
        self._state_health(beats)
        pulse = self.context.pulse
        pulse.facts["mqtt"] = _connection(self.statements)
        pulse.beat()

    def _state_health(self, beats: dict[str, Heartbeat]) -> None:
        reasons = [f"{desk.camera.label}: {desk.eye.blind_because}" for desk in self.desks if not desk.eye.known]
        reasons += [
            f"{stage} is not running" for stage in entities.STAGES if stage not in beats and stage != "controller"
        ]
        facts = beats["inference"].facts if "inference" in beats else {}
        health = {
            "problem": bool(reasons),
            "reasons": reasons,
            "started": self.started,
            "backend": facts.get("backend"),
            "model": facts.get("model"),
        }
        self.fact(self.topics.health, json.dumps(health))


class _Desk:
    """One camera's papers: its channel ends, its eye, and what was last said of it."""

    def __init__(self, controller: _Controller, camera: Camera) -> None:
        context = controller.context
        self.camera = camera
        self.eye: Eye = resumed(last_state(context.folder, camera.id))
        self.states = publish_state(context.folder, camera.id)
        self.detections = subscribe_detections(context.folder, camera.id, "controller")
        self._controller = controller
        self._settings = context.settings
        self._fault = RepeatedFault(log, f"camera {camera.id}")
        self._blind = RepeatedFault(log, f"camera {camera.id} cannot see")
        self._ended = False
        self._opened_s = time.monotonic()
        self._latency_ms: float | None = None
        self._stated_s = self._counted_s = self._seen_s = self._figures_s = 0.0
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
        before = self.eye
        now_s = time.monotonic()
        self.eye = before.see(detections, self._settings.sentry, self._settings.model.threshold, now_s)
        changed = self.eye.transitions != before.transitions or self.eye.known != before.known
        if changed or detections.frame.clock is Clock.SCENE:
            self._publish_state()
        if changed:
            self._tell(before, detections)
        self._note_figures(detections, now_s)

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
        self.eye = self.eye.check(now_s, self.camera.standby_fps, _broken_link(beats, source))
        if self.eye.known:
            self._blind.heal()
        elif before.known or now_s - self._opened_s > START_PATIENCE_S:
            self._blind.report(self.eye.blind_because)
        health = Health.RUNNING if self.eye.known else Health.DEGRADED
        self._controller.context.pulse.source(self.camera.id, health, self.eye.blind_because)
        if self.eye != before:
            self._publish_state()
            self._tell(before, None)
        elif now_s - self._stated_s >= STATE_EVERY_S:
            self._publish_state()
        connected = source is not None and source.health in (Health.RUNNING, Health.DEGRADED)
        self._controller.fact(self._topic("connectivity"), "ON" if connected else "OFF")
        self._state_availability()
        self._publish_figures(now_s, beats)

    def close(self) -> None:
        self._controller.fact(self._topic("status"), OFFLINE)
        self.detections.close()
        self.states.close()

    def _topic(self, what: str) -> str:
        return self._controller.topics.camera(self.camera.id, what)

    def _publish_state(self) -> None:
        writer = self.states.borrow()
        writer.write(self.eye.state)
        self.states.send(writer)
        self._stated_s = time.monotonic()

    def _tell(self, before: Eye, detections: Detections | None) -> None:
        """Say what changed: events first, then the facts they changed, then that they can be believed."""
        known = set(before.transitions)
        for transition in self.eye.transitions:
            if transition not in known:
                self._tell_transition(transition, detections)
        self._state_facts()
        self._state_availability()

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
        if event_type is None or self._controller.statements is None:
            return
        extra: dict[str, object] = {"camera": self.camera.id, "person_count": self.eye.person_count}
        if detections is not None and detections.frame.clock is Clock.MONOTONIC:
            extra["latency_ms"] = round((time.monotonic_ns() - detections.frame.captured_ns) / 1e6, 1)
        device_id = f"{self._settings.instance}_{self.camera.id}"
        payload = visits.event_payload(event_type, transition, device_id, extra)
        self._controller.statements.event(self._topic("event"), payload)

    def _state_facts(self) -> None:
        eye, fact = self.eye, self._controller.fact
        tracking = eye.sentry.state is SentryState.TRACKING
        fact(self._topic("person"), "ON" if tracking else "OFF")
        fact(
            self._topic("state"),
            json.dumps({"state": eye.sentry.state.label, "mode": eye.sentry.mode.label}),
        )
        fact(self._topic("person_count"), str(eye.person_count if tracking else 0))
        if eye.sighted_wall_ns and eye.transitions and eye.sentry.state is not SentryState.VALIDATION:
            fact(self._topic("last_seen"), visits.iso(eye.sighted_wall_ns))

    def _state_availability(self) -> None:
        self._controller.fact(self._topic("status"), ONLINE if self.eye.known else OFFLINE)

    def _note_figures(self, detections: Detections, now_s: float) -> None:
        """While somebody is there: the count and the time, no more often than their floors."""
        if detections.frame.clock is Clock.MONOTONIC:
            self._latency_ms = (time.monotonic_ns() - detections.frame.captured_ns) / 1e6
        if self.eye.sentry.state is not SentryState.TRACKING:
            return
        if now_s - self._counted_s >= COUNT_FLOOR_S:
            self._counted_s = now_s
            self._controller.fact(self._topic("person_count"), str(self.eye.person_count))
        if now_s - self._seen_s >= SEEN_FLOOR_S:
            self._seen_s = now_s
            self._controller.fact(self._topic("last_seen"), visits.iso(self.eye.sighted_wall_ns))

    def _publish_figures(self, now_s: float, beats: dict[str, Heartbeat]) -> None:
        statements = self._controller.statements
        if statements is None or not self.eye.known or now_s - self._figures_s < STATS_EVERY_S:
            return
        self._figures_s = now_s
        capture = beats[f"capture.{self.camera.id}"].counters
        figures = {
            "fps": round(capture.get("fps", 0.0), 1),
            "latency": None if self._latency_ms is None else round(self._latency_ms, 1),
            "dropped": int(capture.get("lost_inference", 0)),
        }
        statements.figure(self._topic("stats"), json.dumps(figures))


def _fresh(beat: Heartbeat) -> bool:
    return time.monotonic_ns() - beat.beat_ns < HEARTBEAT_STALE_S * 1e9


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


def _connection(statements: Statements | None) -> str:
    if statements is None:
        return "off"
    return "connected" if statements.connected else "disconnected"

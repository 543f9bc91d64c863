"""The controller's process: detections in; sentry, state channel and MQTT out. One asyncio loop that never blocks."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import TYPE_CHECKING

from appliance.controller import entities, visits
from appliance.controller.desk import Desk
from appliance.controller.statements import Silence, Statements
from appliance.controller.topics import Topics
from appliance.ipc.heartbeat import fresh_heartbeats
from appliance.messages import Health
from appliance.mqtt import OFFLINE, ONLINE

if TYPE_CHECKING:
    from appliance.messages import Heartbeat
    from appliance.stage import StageContext

log = logging.getLogger(__name__)

CHECK_S = 0.25
"""How often the clock and the heartbeats are looked at; what is down shows within this."""


def run(context: StageContext) -> None:
    """Serve until told to stop."""
    asyncio.run(_Controller(context).serve())


class _Controller:
    """All cameras, the heartbeats, and what is said of them."""

    def __init__(self, context: StageContext) -> None:
        self._context = context
        self._topics = Topics(context.settings.instance)
        self._started = visits.iso(time.time_ns())
        self._statements: Statements | Silence = Silence()
        self._desks: list[Desk] = []

    async def serve(self) -> None:
        context = self._context
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(context.stop.fileno(), stopped.set)
        self._statements = self._open_statements()
        self._desks = [Desk(context, camera, self._topics, self._statements) for camera in context.settings.cameras]
        for desk in self._desks:
            loop.add_reader(desk.detections.fileno(), desk.hear)
        self._statements.start()
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
            for desk in self._desks:
                loop.remove_reader(desk.detections.fileno())
                desk.close()
            await self._statements.stop()

    def _open_statements(self) -> Statements | Silence:
        settings = self._context.settings
        if not settings.mqtt.enabled:
            log.info("MQTT is off (mqtt.enabled): Home Assistant is told nothing")
            return Silence()
        discovery = [
            (payload.topic(settings.mqtt.discovery_prefix), payload.json()) for payload in entities.announce(settings)
        ]
        client_id = f"porchlight-{settings.instance}-controller"
        return Statements(settings.mqtt, client_id, self._topics.status, discovery)

    def _check(self) -> None:
        """Look at the clock and at everybody's heartbeat."""
        beats = fresh_heartbeats(self._context.folder)
        for desk in self._desks:
            desk.check(beats)
        for stage in entities.STAGES:
            alive = stage == "controller" or (stage in beats and beats[stage].health is Health.RUNNING)
            self._statements.fact(self._topics.stage(stage), ONLINE if alive else OFFLINE)
        self._state_health(beats)
        pulse = self._context.pulse
        pulse.facts["mqtt"] = self._statements.connection
        pulse.beat()

    def _state_health(self, beats: dict[str, Heartbeat]) -> None:
        reasons = [f"{desk.camera.label}: {desk.eye.blind_because}" for desk in self._desks if not desk.eye.known]
        reasons += [
            f"{stage} is not running" for stage in entities.STAGES if stage not in beats and stage != "controller"
        ]
        facts = beats["inference"].facts if "inference" in beats else {}
        health = {
            "problem": bool(reasons),
            "reasons": reasons,
            "started": self._started,
            "backend": facts.get("backend"),
            "model": facts.get("model"),
        }
        self._statements.fact(self._topics.health, json.dumps(health))

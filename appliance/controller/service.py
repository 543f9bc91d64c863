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
from appliance.roster import Roster

if TYPE_CHECKING:
    from appliance.config import Camera, Settings
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
        self._desks = Roster(self._open, self._close)

    async def serve(self) -> None:
        context = self._context
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(context.stop.fileno(), stopped.set)
        self._statements = self._open_statements()
        self._desks.follow(context.settings.cameras)
        self._statements.start()
        context.pulse.health = Health.RUNNING
        try:
            while not stopped.is_set():
                self._follow_settings()
                self._check()
                try:
                    await asyncio.wait_for(stopped.wait(), CHECK_S)
                except TimeoutError:
                    continue
        finally:
            loop.remove_reader(context.stop.fileno())
            self._desks.close()
            await self._statements.stop()

    def _open(self, camera: Camera) -> Desk:
        desk = Desk(self._context, camera, self._topics, self._statements)
        asyncio.get_running_loop().add_reader(desk.detections.fileno(), desk.hear)
        return desk

    def _close(self, desk: Desk) -> None:
        asyncio.get_running_loop().remove_reader(desk.detections.fileno())
        desk.close()

    def _follow_settings(self) -> None:
        edited = self._context.edited()
        if edited is None:
            self._desks.retry()
            return
        before = {desk.camera.id for desk in self._desks}
        if self._desks.follow(edited.cameras):
            self._statements.announce(_discovery(edited))
        for gone in before - {camera.id for camera in edited.cameras}:
            self._context.pulse.sources.pop(gone, None)
            self._statements.forget(self._topics.camera(gone, ""))

    def _open_statements(self) -> Statements | Silence:
        settings = self._context.settings
        if not settings.mqtt.enabled:
            log.info("MQTT is off (mqtt.enabled): Home Assistant is told nothing")
            return Silence()
        client_id = f"porchlight-{settings.instance}-controller"
        return Statements(settings.mqtt, client_id, self._topics.status, _discovery(settings))

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
        reasons += [
            f"{stage}: {beats[stage].reason}" for stage in entities.STAGES if stage in beats and beats[stage].reason
        ]
        facts = beats["inference"].facts if "inference" in beats else {}
        if facts.get("shortage"):
            reasons.append(facts["shortage"])
        health = {
            "problem": bool(reasons),
            "reasons": reasons,
            "started": self._started,
            "backend": facts.get("backend"),
            "model": facts.get("model"),
            "shortage": facts.get("shortage") or "",
        }
        self._statements.fact(self._topics.health, json.dumps(health))


def _discovery(settings: Settings) -> dict[str, str]:
    """Return the payload of each device by its topic."""
    return {payload.topic(settings.mqtt.discovery_prefix): payload.json() for payload in entities.announce(settings)}

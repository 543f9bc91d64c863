"""The controller's process: detections in; sentry, alarm panel, state channel and MQTT out. One asyncio loop that never
blocks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING

from appliance import restart
from appliance.controller import visits
from appliance.controller.alarm.guard import Guard
from appliance.controller.alarm.words import AlarmState, Scene
from appliance.controller.chosen import Chosen
from appliance.controller.desk import Desk
from appliance.controller.discovery.herald import Herald
from appliance.controller.discovery.household import STAGES
from appliance.controller.health import health, of_the_cameras
from appliance.controller.inbox import Inbox
from appliance.controller.latency import Latencies
from appliance.controller.notices import UNSERVED, Notices
from appliance.controller.outbox import Outbox
from appliance.controller.statements import Silence, Statements
from appliance.controller.topics import Topics
from appliance.ipc.heartbeat import fresh_heartbeats
from appliance.messages import Health
from appliance.mqtt import OFFLINE, ONLINE, install_id
from appliance.roster import Roster
from appliance.telemetry import Sparing

if TYPE_CHECKING:
    from appliance.config import Camera
    from appliance.messages import Heartbeat
    from appliance.stage import StageContext

log = logging.getLogger(__name__)

CHECK_S = 0.25
"""How often the clock and the heartbeats are looked at; what is down shows within this."""
RESTART_FLOOR_S = 30.0
"""A restart is not asked for again so soon: whoever repeats it would leave nobody watching."""
LAST_WORDS_S = 1.0


def run(context: StageContext) -> None:
    """Serve until told to stop."""
    asyncio.run(_Controller(context).serve())


class _Controller:
    """All cameras, the alarm panel, the heartbeats, and what is said of them."""

    def __init__(self, context: StageContext) -> None:
        self._context = context
        self._cameras = context.settings.cameras
        self._topics = Topics(context.settings.instance)
        self._started_s = time.monotonic()
        self._started = visits.iso(time.time_ns())
        self._latencies = Latencies()
        self._refusals = Sparing(log)
        self._outbox: Outbox | None = None
        self._panel_fault = ""
        self._desks = Roster(self._open, self._close)

    async def serve(self) -> None:
        context, settings = self._context, self._context.settings
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(context.stop.fileno(), stopped.set)
        self._chosen = Chosen(settings, self._desks)
        self._statements = await self._open_statements()
        self._herald = Herald(settings, self._statements)
        pulse = context.pulse
        pulse.begin(f"alarm_transitions.{state}" for state in AlarmState)
        self._guard = Guard(
            settings,
            self._topics,
            self._statements,
            context.tracer,
            on_change=lambda state: pulse.count(f"alarm_transitions.{state}"),
        )
        self._desks.follow(settings.cameras)
        self._statements.start()
        obeying = loop.create_task(self._guard.serve())
        context.pulse.health = Health.RUNNING
        try:
            while not stopped.is_set():
                self._follow_settings()
                self._check()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopped.wait(), CHECK_S)
        finally:
            loop.remove_reader(context.stop.fileno())
            obeying.cancel()
            self._desks.close()
            await self._guard.stop()
            await self._chosen.settled(LAST_WORDS_S)
            await self._herald.stop(LAST_WORDS_S)
            await self._statements.stop()
            if self._outbox is not None:
                await self._outbox.close(LAST_WORDS_S)

    def _open(self, camera: Camera) -> Desk:
        desk = Desk(
            self._context,
            camera,
            self._topics,
            self._statements,
            choices=self._chosen.of(camera.id),
            on_change=self._look,
            on_alarm=self._on_alarm,
        )
        asyncio.get_running_loop().add_reader(desk.detections.fileno(), desk.hear)
        return desk

    def _close(self, desk: Desk) -> None:
        asyncio.get_running_loop().remove_reader(desk.detections.fileno())
        desk.close()

    async def _open_statements(self) -> Statements | Silence:
        settings = self._context.settings
        if not settings.mqtt.enabled:
            log.info("MQTT is off (mqtt.enabled): Home Assistant is told nothing")
            return Silence()
        inbox = Inbox(
            self._topics,
            lambda: [camera.id for camera in self._cameras],
            alarm=lambda asked: self._guard.command(asked),  # noqa: PLW0108 -- it is made after this
            change=lambda asked: self._chosen.change(asked, is_held=self._guard.holds(asked.camera)),
            restart=self._restart,
        )
        self._outbox = Outbox(self._context.folder.path, settings.state_path)
        await self._outbox.open()
        client_id = f"porchlight-{settings.instance}-{install_id(settings.state_path)}-controller"
        return Statements(
            settings.mqtt,
            client_id,
            self._topics.status,
            {},
            self._outbox,
            self._topics.commands,
            inbox.hear,
        )

    def _follow_settings(self) -> None:
        edited = self._context.edited()
        if edited is None:
            self._desks.retry()
            return
        self._cameras = edited.cameras
        there = {camera.id for camera in edited.cameras}
        gone = [desk for desk in self._desks if desk.camera.id not in there]
        for desk in gone:
            desk.forget()
        zones = {camera.id: camera.zones for camera in edited.cameras}
        for desk in self._desks:
            if desk.camera.id in zones and desk.camera.zones != zones[desk.camera.id]:
                desk.forget_zones()
        self._chosen.follow(edited)
        self._desks.follow(edited.cameras)
        self._herald.announce(edited)
        for desk in gone:
            self._context.pulse.sources.pop(desk.camera.id, None)
            self._context.pulse.forget(desk.camera.id)

    def _check(self) -> None:
        """Look at the clock and at everybody's heartbeat."""
        beats = fresh_heartbeats(self._context.folder)
        for desk in self._desks:
            desk.check(beats)
        for camera in self._unserved:
            Notices(camera, self._topics, self._statements, self._on_alarm).unserved()
        self._look()
        for stage in STAGES:
            alive = stage == "controller" or (stage in beats and beats[stage].health is Health.RUNNING)
            self._statements.fact(self._topics.stage(stage), ONLINE if alive else OFFLINE)
        self._state_health(beats)
        self._herald.check()
        pulse = self._context.pulse
        pulse.facts["mqtt"] = self._statements.connection
        pulse.facts["mqtt_problem"] = self._statements.problem
        pulse.counters["mqtt_connected"] = self._statements.connected
        pulse.counters["mqtt_connections"] = self._statements.connections
        pulse.counters["outbox"] = len(self._outbox.events) if self._outbox is not None else 0
        pulse.counters["outbox_lost"] = self._outbox.gave_way if self._outbox is not None else 0
        pulse.facts["alarm"] = self._guard.state
        pulse.beat()

    @property
    def _unserved(self) -> list[Camera]:
        """The cameras whose channels cannot be had: the log says why, and it is tried again."""
        served = {desk.camera.id for desk in self._desks}
        return [camera for camera in self._cameras if camera.id not in served]

    def _look(self) -> None:
        """Show the alarm panel all cameras as they are now: on every change, and when the clock is looked at."""
        unheard = {camera.id: UNSERVED for camera in self._unserved}
        seeing = {desk.camera.id: desk for desk in self._desks}
        blind = {name: desk.eye.blind_because for name, desk in seeing.items() if not desk.eye.known}
        present = tuple(one for desk in seeing.values() if desk.eye.known for one in desk.present)
        try:
            self._guard.look(Scene(present, {**unheard, **blind}))
        except Exception as error:  # it looks again in a moment
            if not self._panel_fault:
                log.exception("the alarm panel cannot look")
            self._panel_fault = f"the alarm panel does not work ({type(error).__name__}: {error})"
        else:
            self._panel_fault = ""

    def _restart(self) -> None:
        if self._guard.holds():
            self._refusals.warning("no restart while the alarm is armed: disarm it first")
            return
        if "supervisor" not in fresh_heartbeats(self._context.folder):
            self._refusals.warning("no restart: nobody here starts the stages anew; restart the container or the pod")
            return
        left_s = RESTART_FLOOR_S - (time.monotonic() - self._started_s)
        if left_s > 0:
            self._refusals.warning("no restart: the controller has just started; ask again in %.0f s", left_s)
            return
        log.warning("a restart was asked for")
        try:
            restart.ask(self._context.folder)
        except OSError as error:
            log.error("it cannot be passed on: %s", error)  # noqa: TRY400 -- its text says all

    def _on_alarm(self, milliseconds: float) -> None:
        self._latencies.add(milliseconds)
        self._statements.fact(self._topics.latency, self._latencies.text)

    def _state_health(self, beats: dict[str, Heartbeat]) -> None:
        reasons = [
            *self._guard.reasons,
            self._panel_fault,
            *self._chosen.reasons,
            self._herald.problem,
            self._statements.problem,
        ]
        if self._outbox is not None:
            reasons += [self._outbox.problem]
            reasons += [f"{self._outbox.lost} undelivered events gave way to newer ones"] if self._outbox.lost else []
        reasons += of_the_cameras(self._unserved, self._desks, self._guard.blind)
        self._statements.fact(self._topics.health, health(self._started, reasons, beats))

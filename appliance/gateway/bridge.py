"""The picture in Home Assistant: watches our own live stream as any viewer does, and publishes it small and seldom.

It has its own connection to the broker and its own last will: what it does or fails to do touches no alarm.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from appliance.gateway.picture import reduced
from appliance.messages import Mode
from appliance.mqtt import ONLINE, Connection, camera_topic, picture_status_topic
from appliance.telemetry import RepeatedFault

if TYPE_CHECKING:
    from collections.abc import Iterable

    from appliance.config import Settings
    from appliance.gateway.live import Live

log = logging.getLogger(__name__)

PATIENCE_S = 3.0
POLL_S = 0.25
"""How soon a change from idle to alarmed is noticed."""


class Bridge:
    """Publishes every camera's picture to its MQTT camera entity."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._status_topic = picture_status_topic(settings.instance)
        self._connection = Connection(
            settings.mqtt, f"porchlight-{settings.instance}-picture", self._status_topic, self._up
        )
        self._tasks: list[tuple[Live, asyncio.Task[None]]] = []

    def start(self) -> None:
        self._connection.start()

    def follow(self, lives: Iterable[Live]) -> None:
        """Serve these cameras; those that are closed end by themselves."""
        self._tasks = [(live, task) for live, task in self._tasks if not task.done()]
        for live in lives:
            if not any(live is served for served, _ in self._tasks):
                task = asyncio.create_task(self._serve(live), name=f"bridge {live.camera.id}")
                self._tasks.append((live, task))

    async def stop(self) -> None:
        for _, task in self._tasks:
            task.cancel()
        await asyncio.gather(*[task for _, task in self._tasks], return_exceptions=True)
        await self._connection.stop()

    def _up(self, _unsent: list[tuple[str, str]]) -> None:
        self._connection.publish(self._status_topic, ONLINE, retain=True)

    async def _serve(self, live: Live) -> None:
        loop = asyncio.get_running_loop()
        topic = camera_topic(self._settings.instance, live.camera.id, "camera")
        fault = RepeatedFault(log, f"camera {live.camera.id}: picture for Home Assistant")
        published = float("-inf")
        while not live.closed:
            await asyncio.sleep(POLL_S)
            if not self._can_send() or loop.time() - published < self._period(live):
                continue
            with live.watched() as viewer:
                packet = await viewer.next(PATIENCE_S)
            if packet is None or not self._can_send():
                continue
            published = loop.time()
            gateway = self._settings.gateway
            try:
                picture = reduced(packet.jpeg, gateway.picture_width, gateway.picture_max_bytes)
            except Exception as error:  # noqa: BLE001 -- this picture only: the task must outlive it
                fault.report(error)
                continue
            fault.heal()
            # Live frames are never retained: what Home Assistant shows after its restart must be new.
            self._connection.publish(topic, picture, qos=0)

    def _can_send(self) -> bool:
        """Not while the last picture still waits for the network: live means new."""
        return self._connection.connected and not self._connection.backlogged

    def _period(self, live: Live) -> float:
        state = live.state
        gateway = self._settings.gateway
        alarmed = state is not None and state.mode is Mode.ALARMED
        return 1 / (gateway.picture_fps_alarmed if alarmed else gateway.picture_fps_idle)

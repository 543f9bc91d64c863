"""The pictures in Home Assistant: the live one, watched as any viewer does, small and seldom; and who came last.

It has its own connection to the broker and its own last will: what it does or fails to do touches no alarm.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING

from appliance.gateway.last_person import LastPerson
from appliance.gateway.picture import reduced
from appliance.messages import Mode
from appliance.mqtt import ONLINE, Connection, camera_topic, install_id, picture_status_topic, status_topic
from appliance.telemetry import RepeatedFault

if TYPE_CHECKING:
    from collections.abc import Iterable

    from appliance.config import Settings
    from appliance.gateway.live import Live

log = logging.getLogger(__name__)

PATIENCE_S = 3.0
EXPIRY_S = 10
"""A picture that reaches Home Assistant later is none of now."""
POLL_S = 0.25
"""How soon a change from idle to alarmed is noticed."""


class Bridge:
    """Publishes every camera's picture to its MQTT camera entity, and who came to its image entity.

    No picture of a camera whose live view is switched off is sent, neither the live one nor that of the last person.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._status_topic = picture_status_topic(settings.instance)
        client_id = f"porchlight-{settings.instance}-{install_id(settings.state_path)}-picture"
        self._connection = Connection(settings.mqtt, client_id, self._status_topic, self._up)
        self._tasks: list[tuple[Live, asyncio.Task[None]]] = []
        self._unsent: dict[str, tuple[Live, bytes]] = {}
        """The last person's picture of each camera where somebody came while the broker was away. One that was sent is
        never sent again: Home Assistant shows when it got it.
        """

    @property
    def connections(self) -> int:
        """Return how many connections to the broker were made so far."""
        return self._connection.connections

    @property
    def connected(self) -> bool:
        return self._connection.connected

    def say_of_controller(self, word: str) -> bool:
        """Say on the controller's own topic that it is online or offline; return whether that was possible."""
        if self._connection.connected:
            self._connection.publish(status_topic(self._settings.instance), word, retain=True)
        return self._connection.connected

    def start(self) -> None:
        self._connection.start()

    def follow(self, lives: Iterable[Live]) -> None:
        """Serve these cameras; those that are closed end by themselves."""
        self._tasks = [(live, task) for live, task in self._tasks if not task.done()]
        for live in lives:
            if not any(live is served for served, _ in self._tasks):
                last_person = LastPerson(live, self._settings.gateway, partial(self._send_last_person, live))
                for serving in (self._serve(live), last_person.serve()):
                    task = asyncio.create_task(serving, name=f"bridge {live.camera.id}")
                    self._tasks.append((live, task))

    async def stop(self) -> None:
        for _, task in self._tasks:
            task.cancel()
        await asyncio.gather(*[task for _, task in self._tasks], return_exceptions=True)
        await self._connection.stop()

    def _up(self) -> None:
        self._connection.publish(self._status_topic, ONLINE, retain=True)
        unsent, self._unsent = self._unsent, {}
        for live, picture in unsent.values():
            if not live.closed and live.live_view:
                self._send_last_person(live, picture)

    def _send_last_person(self, live: Live, picture: bytes) -> None:
        if self._connection.connected:
            topic = camera_topic(self._settings.instance, live.camera.id, "last_person")
            self._connection.publish(topic, picture, qos=1, retain=True)
        else:
            self._unsent[live.camera.id] = live, picture

    async def _serve(self, live: Live) -> None:
        loop = asyncio.get_running_loop()
        topic = camera_topic(self._settings.instance, live.camera.id, "camera")
        what = f"camera {live.camera.id}: picture for Home Assistant"
        fault = RepeatedFault(log, what, camera=live.camera.id)
        published = float("-inf")
        while not live.closed:
            await asyncio.sleep(POLL_S)
            if not live.live_view or not self._can_send() or loop.time() - published < self._period(live):
                continue
            with live.watched() as viewer:
                packet = await viewer.next(PATIENCE_S)
            if packet is None or packet.is_notice or not self._can_send():
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
            self._connection.publish(topic, picture, qos=0, expiry_s=EXPIRY_S)

    def _can_send(self) -> bool:
        """Not while the last picture still waits for the network: live means new."""
        return self._connection.connected and not self._connection.backlogged

    def _period(self, live: Live) -> float:
        state = live.state
        gateway = self._settings.gateway
        alarmed = state is not None and state.mode is Mode.ALARMED
        return 1 / (gateway.picture_fps_alarmed if alarmed else gateway.picture_fps_idle)

"""A connection to the MQTT broker that comes back by itself and says by its last will when it is gone.

The controller and the gateway's picture bridge have one each. paho's own thread does the network; nothing here ever
waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from appliance.telemetry import RepeatedFault

if TYPE_CHECKING:
    from collections.abc import Callable

    from paho.mqtt.client import MQTTMessage

    from appliance.config import Mqtt

log = logging.getLogger(__name__)

ONLINE = "online"
OFFLINE = "offline"
RECONNECT_MOST_S = 5
UNSENT_MOST = 1000
GOODBYE_S = 1.0


def base_topic(instance: str) -> str:
    """Return what all of an instance's topics begin with."""
    return f"porchlight/{instance}"


def picture_status_topic(instance: str) -> str:
    """Return where the picture bridge is online or offline: its last will, which the controller's discovery names."""
    return f"{base_topic(instance)}/picture/status"


def camera_topic(instance: str, camera: str, what: str) -> str:
    return f"{base_topic(instance)}/{camera}/{what}"


class Connection:
    """All methods, and the callbacks, belong to the asyncio thread that made it.

    `on_up` is called after each connect, before anything else is sent, with the events (topic, payload) that the
    connection before could not deliver; `status_topic` says offline when we are gone (retained, QoS 1), and `on_up`
    decides when it says online. `on_acknowledged` hears each publication's number and when the broker's PUBACK came
    (CLOCK_MONOTONIC, nanoseconds).
    """

    def __init__(
        self,
        settings: Mqtt,
        client_id: str,
        status_topic: str,
        on_up: Callable[[list[tuple[str, str]]], None],
        on_message: Callable[[MQTTMessage], None] | None = None,
        on_acknowledged: Callable[[int, int], None] | None = None,
    ) -> None:
        self.connected = False
        self._settings = settings
        self._status_topic = status_topic
        self._on_up = on_up
        self._loop = asyncio.get_running_loop()
        self._fault = RepeatedFault(log, f"MQTT broker {settings.host}:{settings.port}")
        client = Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=MQTTProtocolVersion.MQTTv311)
        if settings.username is not None:
            password = settings.password
            client.username_pw_set(settings.username, password.get_secret_value() if password is not None else None)
        client.will_set(status_topic, OFFLINE, qos=1, retain=True)
        client.reconnect_delay_set(1, RECONNECT_MOST_S)
        client.max_queued_messages_set(UNSENT_MOST)
        client.on_socket_open = _without_delay
        client.on_connect = self._meet
        client.on_connect_fail = lambda _c, _u: self._hand_over(self._fault.report, "cannot be reached")
        client.on_disconnect = lambda _c, _u, _f, reason, _p: self._hand_over(self._disconnected, reason)
        if on_message is not None:
            client.on_message = lambda _c, _u, message: self._hand_over(on_message, message)
        if on_acknowledged is not None:
            client.on_publish = lambda _c, _u, number, _r, _p: self._hand_over(
                on_acknowledged, number, time.monotonic_ns()
            )
        self._client = client

    def start(self) -> None:
        """Connect in the background, for as long as it takes."""
        self._client.connect_async(self._settings.host, self._settings.port, self._settings.keepalive)
        self._client.loop_start()

    def subscribe(self, topic: str) -> None:
        self._client.subscribe(topic, qos=1)

    @property
    def backlogged(self) -> bool:
        """Whether the network has not taken yet what was published before."""
        return self._client.want_write()

    def publish(self, topic: str, payload: str | bytes, *, qos: int = 1, retain: bool = False) -> int:
        """Hand a message to the network thread; return its number. What it could not send yet is sent after a reconnect
        (QoS 1 only).
        """
        return self._client.publish(topic, payload, qos=qos, retain=retain).mid

    async def stop(self) -> None:
        """Say offline (a clean disconnect sends no will) and leave; waits GOODBYE_S at most."""
        if self.connected:
            goodbye = self._client.publish(self._status_topic, OFFLINE, qos=1, retain=True)
            with contextlib.suppress(RuntimeError, ValueError):
                for _ in range(round(GOODBYE_S / 0.02)):
                    if goodbye.is_published():
                        break
                    await asyncio.sleep(0.02)
        self.connected = False
        self._client.disconnect()
        # Name resolution or a connect may hold paho's thread up; it is a daemon, and so is whoever waits for it.
        leave = threading.Thread(target=self._client.loop_stop, daemon=True)
        leave.start()
        for _ in range(round(GOODBYE_S / 0.02)):
            if not leave.is_alive():
                return
            await asyncio.sleep(0.02)

    def _meet(self, client: Client, _data: object, _flags: object, reason: Any, _properties: object) -> None:
        """In paho's thread, before it sends again what was not acknowledged: old facts would overwrite new ones."""
        unsent = client.drop_out_messages()
        events = [(message.topic, message.payload.decode()) for message in unsent if not message.retain]
        self._hand_over(self._connected, reason, events)

    def _hand_over(self, callback: Callable[..., None], *arguments: Any) -> None:
        """From paho's thread to ours."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: we are leaving
            self._loop.call_soon_threadsafe(callback, *arguments)

    def _connected(self, reason: Any, unsent: list[tuple[str, str]]) -> None:
        if reason.is_failure:
            self._fault.report(f"refuses us: {reason}")
            return
        self._fault.heal()
        self.connected = True
        log.info("MQTT: connected to %s:%d", self._settings.host, self._settings.port)
        self._on_up(unsent)

    def _disconnected(self, reason: Any) -> None:
        if self.connected:
            self.connected = False
            self._fault.report(f"connection lost ({reason})")


def _without_delay(_client: Client, _userdata: object, sock: Any) -> None:
    """Nagle's algorithm and delayed ACKs add up: a PUBACK took 41.8 ms with them, 0.24 ms without."""
    if isinstance(sock, socket.socket) and sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

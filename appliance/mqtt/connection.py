"""A connection to the MQTT broker that comes back by itself and says by its last will when it is gone.

The controller and the gateway's picture bridge have one each. paho's own thread does the network; nothing here ever
waits for it. MQTT 5, and 3.1.1 where the broker knows nothing newer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes

from appliance.mqtt import clients, diagnosis
from appliance.mqtt.clients import OFFLINE
from appliance.mqtt.credentials import CredentialsError
from appliance.mqtt.limits import Limits
from appliance.mqtt.tls import TlsError
from appliance.mqtt.versions import V5, Versions
from appliance.telemetry import RepeatedFault, Sparing

if TYPE_CHECKING:
    from collections.abc import Callable

    from paho.mqtt.client import Client, MQTTMessage

    from appliance.config import Mqtt

log = logging.getLogger(__name__)

ONLINE = "online"
HEARD_MOST = 100
"""Messages that may wait for our thread; whoever floods us loses the others."""
GOODBYE_S = 1.0
DIAGNOSE_EVERY_S = 30.0
NO_ROOM = 0


class Connection:
    """All methods, and the callbacks, belong to the asyncio thread that made it.

    `on_up` is called after each connect, before anything else is sent: whatever the connection before had not delivered
    is forgotten here. `status_topic` says offline when we are gone (retained, QoS 1), and `on_up` decides when it says
    online. `on_acknowledged` hears each publication's number and when the broker's PUBACK came (CLOCK_MONOTONIC,
    nanoseconds).
    """

    def __init__(
        self,
        settings: Mqtt,
        client_id: str,
        status_topic: str,
        on_up: Callable[[], None],
        on_message: Callable[[MQTTMessage], None] | None = None,
        on_acknowledged: Callable[[int, int], None] | None = None,
    ) -> None:
        self.connected = False
        self.connections = 0
        """How many were made so far."""
        self.problem = ""
        """Why there is no connection, or what it cannot carry; empty where all is well."""
        self._settings = settings
        self._client_id = client_id
        self._status_topic = status_topic
        self._on_up = on_up
        self._on_message = on_message
        self._on_acknowledged = on_acknowledged
        self._loop = asyncio.get_running_loop()
        self._fault = RepeatedFault(log, f"MQTT broker {settings.host}:{settings.port}")
        self._too_large = Sparing(log)
        self._versions = Versions(settings)
        self._limits = Limits()
        self._refused = False
        self._diagnosed_s = float("-inf")
        self._heard = self._handled = 0
        self._read_s = time.monotonic()
        self._client: Client | None = None
        self._is_stopped = False

    def start(self) -> None:
        """Connect in the background, for as long as it takes."""
        if self._is_stopped:
            return
        try:
            client = self._make()
        except (TlsError, CredentialsError) as error:
            self._complain(str(error))
            self._loop.call_later(DIAGNOSE_EVERY_S, self.start)
            return
        self._client = client
        clients.connect(client, self._settings, self._versions.current)
        client.loop_start()

    def subscribe(self, topic: str) -> None:
        if self._client is not None:
            self._client.subscribe(topic, qos=1)

    @property
    def backlogged(self) -> bool:
        """Whether the network has not taken yet what was published before."""
        return self._client is not None and self._client.want_write()

    def publish(
        self, topic: str, payload: str | bytes, *, qos: int = 1, retain: bool = False, expiry_s: int | None = None
    ) -> int | None:
        """Hand a message to the network thread; return its number. None: it is larger than the broker takes, or there
        is no connection; NO_ROOM: too much waits already. `expiry_s` is how long the broker may keep it for somebody
        (MQTT 5).
        """
        content = payload.encode() if isinstance(payload, str) else payload
        if self._client is None:
            return None
        if too_large := self._limits.leave_out(topic, content):
            self.problem = too_large
            self._too_large.warning("MQTT: %s", too_large)
            return None
        if self._limits.take_in(topic):
            self.problem = ""
        properties = None
        if expiry_s is not None and self._versions.current == V5:
            properties = clients.properties(PacketTypes.PUBLISH, MessageExpiryInterval=expiry_s)
        said = self._client.publish(topic, content, qos=qos, retain=retain, properties=properties)
        return NO_ROOM if said.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE else said.mid

    async def stop(self) -> None:
        """Say offline (a clean disconnect sends no will) and leave; waits GOODBYE_S at most."""
        self._is_stopped = True
        client = self._client
        if client is None:
            return
        if self.connected:
            goodbye = client.publish(self._status_topic, OFFLINE, qos=1, retain=True)
            with contextlib.suppress(RuntimeError, ValueError):
                for _ in range(round(GOODBYE_S / 0.02)):
                    if goodbye.is_published():
                        break
                    await asyncio.sleep(0.02)
        self.connected = False
        leaving = clients.leave(client)
        for _ in range(round(GOODBYE_S / 0.02)):
            if not leaving.is_alive():
                return
            await asyncio.sleep(0.02)

    def _make(self) -> Client:
        version, in_flight = self._versions.current, self._limits.in_flight
        client = clients.make(self._settings, self._client_id, version, self._status_topic, in_flight)
        client.on_socket_open = self._opened
        client.on_connect = self._meet
        client.on_connect_fail = lambda one, _u: self._hand_over(self._failed, one)
        client.on_disconnect = lambda one, _u, _f, reason, _p: self._hand_over(self._disconnected, one, reason)
        if self._on_message is not None:
            client.on_message = self._hear
        on_acknowledged = self._on_acknowledged
        if on_acknowledged is not None:
            client.on_publish = lambda _c, _u, number, reason, _p: self._hand_over(
                self._published, on_acknowledged, number, reason, time.monotonic_ns()
            )
        client.on_subscribe = lambda _c, _u, _n, reasons, _p: self._hand_over(self._subscribed, reasons)
        return client

    def _renew(self) -> None:
        """Connect again by another client; this one's thread leaves by itself."""
        if self._client is not None:
            clients.leave(self._client)
        self.connected = False
        self.start()

    def _meet(self, client: Client, _data: object, _flags: object, reason: Any, properties: Any) -> None:
        """In paho's thread, before it sends again what was not acknowledged: old facts would overwrite new ones."""
        client.drop_out_messages()
        self._hand_over(self._answered, client, reason, properties)

    def _opened(self, client: Client, _data: object, sock: Any) -> None:
        """In paho's thread."""
        clients.without_delay(sock)
        self._hand_over(self._begin)
        patience_s = self._versions.patience_s
        self._hand_over(lambda: self._loop.call_later(patience_s, self._unanswered, client, sock))

    def _begin(self) -> None:
        self._refused = False

    def _unanswered(self, client: Client, sock: object) -> None:
        if client is self._client and client.socket() is sock and not self.connected and not self._is_stopped:
            self._complain("takes the connection and does not answer")
            if self._versions.unanswered():
                self._renew()

    def _hear(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        """In paho's thread. Each counter has one thread that writes it."""
        if self._heard - self._handled < HEARD_MOST:
            self._heard += 1
            self._hand_over(self._take, message)

    def _take(self, message: MQTTMessage) -> None:
        self._handled += 1
        if self._on_message is not None:
            self._on_message(message)

    def _hand_over(self, callback: Callable[..., object], *arguments: Any) -> None:
        """From paho's thread to ours."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: we are leaving
            self._loop.call_soon_threadsafe(callback, *arguments)

    def _answered(self, client: Client, reason: Any, properties: Any) -> None:
        if client is not self._client:
            return
        if reason.is_failure:
            if str(reason) == "Unsupported protocol version" and self._versions.refused():
                self._renew()
            else:
                self._refused = True
                self._complain(diagnosis.refusal(str(reason)))
            return
        self._versions.taken()
        self._refused = False
        if self._limits.lower(properties):
            text = "MQTT: the broker takes %d unacknowledged messages at a time; connecting again with that"
            log.info(text, self._limits.in_flight)
            self._renew()
            return
        self._limits.renew(properties)
        self._fault.heal()
        self.problem = ""
        self.connected = True
        self.connections += 1
        version = "5" if self._versions.current == V5 else "3.1.1"
        log.info("MQTT: connected to %s:%d, version %s", self._settings.host, self._settings.port, version)
        self._on_up()

    def _disconnected(self, client: Client, reason: Any) -> None:
        if client is not self._client or self._is_stopped:
            return
        clients.draw_waits(client)
        if self.connected:
            self.connected = False
            self._complain(f"connection lost ({reason})")
            if self._versions.lost():
                self._renew()
            return
        if self._refused:
            self._read_files_anew()
            return
        if self._versions.in_vain():
            self._renew()
        else:
            self._failed(client)

    def _published(self, acknowledged: Callable[[int, int], None], number: int, reason: Any, at_ns: int) -> None:
        if reason.is_failure:
            # It is sent again after the next connect.
            self._refuse(f"does not take what we publish ({reason})")
        else:
            acknowledged(number, at_ns)

    def _subscribed(self, reasons: list[Any]) -> None:
        for reason in reasons:
            if reason.is_failure:
                self._refuse(f"does not let us hear commands ({reason})")

    def _refuse(self, text: str) -> None:
        told = f"{text}; its access list must allow porchlight/# and {self._settings.discovery_prefix}/#"
        self.problem = f"MQTT broker {told}"
        self._fault.report(told)

    def _failed(self, client: Client) -> None:
        """Find out why, in a thread: it may take seconds, and paho does not say."""
        now = time.monotonic()
        if client is not self._client or self._is_stopped or now - self._diagnosed_s < DIAGNOSE_EVERY_S:
            return
        self._diagnosed_s = now

        def diagnose() -> None:
            found = diagnosis.why(self._settings)
            self._hand_over(self._found_out, client, found)

        threading.Thread(target=diagnose, name="mqtt-why", daemon=True).start()

    def _found_out(self, client: Client, text: str) -> None:
        if self.connected or self._is_stopped:
            return
        self._complain(text)
        if client is self._client:
            self._read_files_anew()

    def _read_files_anew(self) -> None:
        tls = self._settings.tls
        named = self._settings.password_file or (tls.enabled and (tls.ca_file or tls.cert_file))
        now = time.monotonic()
        if named and now - self._read_s >= DIAGNOSE_EVERY_S:
            self._read_s = now
            self._renew()

    def _complain(self, text: str) -> None:
        self.problem = text
        self._fault.report(text)

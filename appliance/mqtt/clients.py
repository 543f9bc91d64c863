"""paho's client, as both of our connections want it: credentials, TLS, a will, and how it comes and goes."""

from __future__ import annotations

import random
import socket
import threading
from typing import TYPE_CHECKING, Any, Literal

from paho.mqtt.client import MQTT_CLEAN_START_FIRST_ONLY, Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from appliance.mqtt.credentials import password_of
from appliance.mqtt.tls import context

if TYPE_CHECKING:
    from appliance.config import Mqtt

OFFLINE = "offline"
RECONNECT_S = (0.5, 1.5)
RECONNECT_MOST_S = (4.0, 6.0)
"""The first and the longest wait, each drawn anew, so that a house's devices do not come back in step."""
UNSENT_MOST = 1000
WILL_DELAY_S = 5
"""A death that is healed sooner is not told: Home Assistant would show everything as unavailable for half a second, and
each automation that waits for a state would start over it (MQTT 5 only).
"""
SESSION_S = 10
"""For so long the broker keeps what was commanded while we were away; it must not be less than the will's delay."""


def make(settings: Mqtt, client_id: str, protocol: MQTTProtocolVersion, status_topic: str, in_flight: int) -> Client:
    """Return a client that says offline on `status_topic` when it is gone. TlsError, CredentialsError."""
    client = Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=protocol)
    if settings.username is not None:
        client.username_pw_set(settings.username, password_of(settings))
    if settings.tls.enabled:
        client.tls_set_context(context(settings.tls))
    delayed = properties(PacketTypes.WILLMESSAGE, WillDelayInterval=WILL_DELAY_S)
    of_will = delayed if protocol == MQTTProtocolVersion.MQTTv5 else None
    client.will_set(status_topic, OFFLINE, qos=1, retain=True, properties=of_will)
    client.max_queued_messages_set(UNSENT_MOST)
    client.max_inflight_messages_set(in_flight)
    draw_waits(client)
    return client


def connect(client: Client, settings: Mqtt, protocol: MQTTProtocolVersion) -> None:
    """Connect when its thread runs, again and again."""
    is_5 = protocol == MQTTProtocolVersion.MQTTv5
    of_session = properties(PacketTypes.CONNECT, SessionExpiryInterval=SESSION_S) if is_5 else None
    # Not a clean start: it would end the session, and with it send the will, however soon we are back.
    clean: bool | Literal[3] = False if is_5 else MQTT_CLEAN_START_FIRST_ONLY
    client.connect_async(settings.host, settings.port, settings.keepalive, clean_start=clean, properties=of_session)


def leave(client: Client) -> threading.Thread:
    """Disconnect in a thread: name resolution or a connect may hold paho's up; both are daemons."""
    client.on_connect = client.on_connect_fail = client.on_disconnect = client.on_message = client.on_publish = None
    client.on_subscribe = None

    def end() -> None:
        client.disconnect()
        client.loop_stop()
        sock = client.socket()
        if sock is not None:  # its thread had not come to it
            sock.close()

    thread = threading.Thread(target=end, name="mqtt-leaves", daemon=True)
    thread.start()
    return thread


def draw_waits(client: Client) -> None:
    """Draw anew how long it waits before it connects again."""
    client.reconnect_delay_set(random.uniform(*RECONNECT_S), random.uniform(*RECONNECT_MOST_S))  # type: ignore[arg-type] # paho adds them to times


def properties(kind: int, **values: int) -> Properties:
    """Return MQTT 5's properties for a packet of that kind."""
    made = Properties(kind)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(made, name, value)
    return made


def without_delay(sock: Any) -> None:
    """Nagle's algorithm and delayed ACKs add up: a PUBACK took 41.8 ms with them, 0.24 ms without."""
    if isinstance(sock, socket.socket) and sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

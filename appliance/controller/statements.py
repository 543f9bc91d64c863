"""What the controller says over MQTT: retained facts, true again after every reconnect, and events told live."""

from __future__ import annotations

import asyncio
import functools
import logging
import random
import time
from typing import TYPE_CHECKING, Any

from appliance.mqtt import NO_ROOM, ONLINE, Connection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from paho.mqtt.client import MQTTMessage

    from appliance.config import Mqtt
    from appliance.controller.outbox import Acknowledged, Event, Outbox

log = logging.getLogger(__name__)

IN_FLIGHT_MOST = 200
"""Events that may wait for their PUBACK: the client's queue has room for them and all facts."""
SETTLE_S = 2.0
"""Home Assistant subscribes to what was just announced in delayed batches: events before that would be lost."""
BIRTH_WAIT_S = (1.0, 5.0)
"""After Home Assistant's birth, so that not every device of the house speaks at once."""


class Statements:
    """All methods belong to the asyncio thread. `discovery` has the payload of each device by its topic."""

    def __init__(
        self,
        settings: Mqtt,
        client_id: str,
        status_topic: str,
        discovery: dict[str, str],
        outbox: Outbox,
        commands: Sequence[str] = (),
        on_command: Callable[[MQTTMessage], None] = lambda _message: None,
    ) -> None:
        """`commands` are the topics on which `on_command` hears."""
        self._settings = settings
        self._commands = commands
        self._on_command = on_command
        self._unacknowledged: dict[int, Callable[[int], None]] = {}
        self._farewell: dict[str, str] = {}
        self._flying = 0
        self._unsaid: dict[str, None] = {}
        self._birth: asyncio.TimerHandle | None = None
        self._status_topic = status_topic
        self._discovery = discovery
        self._facts: dict[str, str] = {}
        self._outbox = outbox
        outbox.on_found = self._tell_events
        self._settled_at = float("inf")
        self._timers: set[asyncio.TimerHandle] = set()
        self._loop = asyncio.get_running_loop()
        self._connection = Connection(settings, client_id, status_topic, self._up, self._hear, self._acknowledged)

    @property
    def connected(self) -> bool:
        return self._connection.connected

    @property
    def connections(self) -> int:
        """Return how many were made so far."""
        return self._connection.connections

    @property
    def connection(self) -> str:
        """Return the connection in a word, for the page; `problem` says more."""
        return "connected" if self.connected else "disconnected"

    @property
    def problem(self) -> str:
        """Why there is no connection, or what it cannot carry; empty where all is well."""
        return self._connection.problem

    @property
    def parted(self) -> bool:
        """Whether the broker has taken every farewell."""
        return not self._farewell

    def start(self) -> None:
        self._connection.start()

    def fact(self, topic: str, payload: str) -> None:
        """State something that holds until it is stated otherwise: retained, sent when it changes."""
        if self._facts.get(topic) != payload:
            self._facts[topic] = payload
            if self.connected:
                self._say(topic)

    def event(self, topic: str, payload: Mapping[str, Any], acknowledged: Acknowledged | None = None) -> None:
        """Tell what happened: at once, or as soon as somebody can listen, again until the broker has acknowledged it.

        `acknowledged` hears of that, unless this process ends before.
        """
        prompt = self._loop.time() >= self._settled_at  # else it waits for Home Assistant, and not for us
        self._outbox.put(topic, payload, acknowledged, late=not self.connected, prompt=prompt)
        self._tell_events()

    def newest_event(self, topic: str) -> Mapping[str, Any] | None:
        """Return the newest event on this topic, of this process or one before it; None: there was none."""
        newest = self._outbox.newest(topic)
        return newest.payload if newest is not None else None

    def figure(self, topic: str, payload: str) -> None:
        """Publish what is worth nothing later: neither retained nor kept."""
        if self.connected:
            self._connection.publish(topic, payload, qos=0)

    def announce(self, discovery: dict[str, str], farewell: dict[str, str] | None = None) -> None:
        """Announce these devices, after a farewell: what is said once more on topics that we have no other word for.

        The farewell goes out first, again after each reconnect, until the broker has acknowledged it or another one
        takes its place.
        """
        changed = {topic: payload for topic, payload in discovery.items() if self._discovery.get(topic) != payload}
        self._discovery = discovery
        self._farewell = dict(farewell or {})
        for topic in self._farewell:
            self._facts.pop(topic, None)
        if self.connected:
            self._part()
            for topic, payload in changed.items():
                self._connection.publish(topic, payload, retain=True)

    async def stop(self) -> None:
        for timer in self._timers:
            timer.cancel()
        await self._connection.stop()

    def _up(self) -> None:
        self._unacknowledged.clear()
        self._flying = 0
        for event in self._outbox.events.values():
            event.late, event.in_flight = True, False
        for topic in (self._settings.birth_topic, *self._commands):
            self._connection.subscribe(topic)
        self._announce()
        self._settled_at = self._loop.time() + SETTLE_S
        self._later(SETTLE_S + 0.05, self._tell_events)  # timers may fire a clock tick early

    def _hear(self, message: MQTTMessage) -> None:
        if message.topic != self._settings.birth_topic:
            self._on_command(message)
        elif message.payload == self._settings.birth_payload.encode() and not message.retain:
            if self._birth is not None and self._birth in self._timers:
                return  # whoever says it again and again is answered once
            log.info("MQTT: Home Assistant has started; announcing again")
            self._birth = self._later(random.uniform(*BIRTH_WAIT_S), self._announce)

    def _announce(self) -> None:
        """Every fact as it stands now, then that it can be believed, then discovery: nothing old is ever available."""
        if self.connected:
            self._part()
            for topic in self._facts:
                self._say(topic)
            for topic, payload in ((self._status_topic, ONLINE), *self._discovery.items()):
                self._connection.publish(topic, payload, retain=True)

    def _say(self, topic: str) -> None:
        """Publish a fact, or remember that there was no room for it: the next PUBACK makes some."""
        if self._connection.publish(topic, self._facts[topic], retain=True) == NO_ROOM:
            self._unsaid[topic] = None

    def _part(self) -> None:
        for topic, payload in self._farewell.items():
            number = self._connection.publish(topic, payload, retain=True)
            if number is not None:
                self._unacknowledged[number] = functools.partial(self._parted, topic, payload)

    def _parted(self, topic: str, payload: str, _at_ns: int) -> None:
        if self._farewell.get(topic) == payload:
            del self._farewell[topic]

    def _tell_events(self) -> None:
        if not self.connected or self._loop.time() < self._settled_at:
            return
        waiting = [event for event in self._outbox.events.values() if not event.in_flight]
        for event in waiting[: IN_FLIGHT_MOST - self._flying]:
            number = self._connection.publish(event.topic, event.text(time.time_ns()))
            if number == NO_ROOM:
                return  # the next PUBACK makes some
            if number is None:
                log.error("an event on %s is given up: the broker does not take it", event.topic)
                self._outbox.remove(event.number)
                continue
            event.in_flight = True
            self._flying += 1
            self._unacknowledged[number] = functools.partial(self._delivered, event)

    def _delivered(self, event: Event, at_ns: int) -> None:
        self._flying -= 1
        self._outbox.remove(event.number)
        if event.acknowledged is not None:
            event.acknowledged(at_ns, event.prompt and not event.late)
        self._tell_events()

    def _acknowledged(self, number: int, at_ns: int) -> None:
        """Handed over from paho's thread, so never before `_tell_events` has noted the number."""
        unsaid, self._unsaid = self._unsaid, {}
        for topic in unsaid.keys() & self._facts.keys():
            self._say(topic)
        acknowledged = self._unacknowledged.pop(number, None)
        if acknowledged is not None:
            acknowledged(at_ns)

    def _later(self, seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        def fire() -> None:
            self._timers.discard(handle)
            callback()

        handle = self._loop.call_later(seconds, fire)
        self._timers.add(handle)
        return handle


class Silence:
    """What is said where MQTT is turned off: the same words, to nobody."""

    connected = False
    connections = 0
    connection = "off"
    problem = ""
    parted = False

    def start(self) -> None: ...

    def fact(self, topic: str, payload: str) -> None: ...

    def event(self, topic: str, payload: Mapping[str, Any], acknowledged: Acknowledged | None = None) -> None: ...

    def newest_event(self, _topic: str) -> None:
        return None

    def figure(self, topic: str, payload: str) -> None: ...

    def announce(self, discovery: dict[str, str], farewell: dict[str, str] | None = None) -> None: ...

    async def stop(self) -> None: ...

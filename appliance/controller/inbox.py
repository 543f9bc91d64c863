"""The commands that come over MQTT: understood and passed on, or refused aloud. Anybody at the broker may send them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from appliance.controller.commands import AlarmCommand, ChangeSetting, CommandRefusedError, parse
from appliance.telemetry import Sparing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from paho.mqtt.client import MQTTMessage

    from appliance.controller.topics import Topics

log = logging.getLogger(__name__)


class Inbox:
    """Passes each command to whom it concerns."""

    def __init__(
        self,
        topics: Topics,
        cameras: Callable[[], Collection[str]],
        *,
        alarm: Callable[[AlarmCommand], None],
        change: Callable[[ChangeSetting], None],
        restart: Callable[[], None],
    ) -> None:
        """`cameras` are those that there are now."""
        self._topics = topics
        self._cameras = cameras
        self._alarm = alarm
        self._change = change
        self._restart = restart
        self._refusals = Sparing(log)

    def hear(self, message: MQTTMessage) -> None:
        """Take one message. Nothing that it holds raises."""
        try:
            asked = parse(message.topic, bytes(message.payload), message.retain, self._topics, self._cameras())
        except CommandRefusedError as error:
            self._refusals.warning("command refused: %s", error)
            return
        if isinstance(asked, AlarmCommand):
            self._alarm(asked)
        elif isinstance(asked, ChangeSetting):
            self._change(asked)
        else:
            self._restart()

"""Tells Home Assistant that the controller hangs: a process that hangs cannot say so, and its last will waits for the
keepalive, most of a minute.

It writes on the controller's own topic. Whoever is back says online again: the controller with each connection, and the
witness where the hang has passed without one.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from appliance.mqtt import OFFLINE, ONLINE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from appliance.messages import Heartbeat

log = logging.getLogger(__name__)

PATIENCE_S = 3.0
"""A controller that died is back in less; one that hangs has missed three beats."""


class Witness:
    """`publish` sends a retained word on the controller's topic, and returns whether that was possible.

    Of a controller that has not started yet it says nothing.
    """

    def __init__(self, publish: Callable[[str], bool], now_s: float) -> None:
        self._publish = publish
        self._heard_s = now_s
        self._beat_ns = 0
        self._has_accused = False

    def look(self, beats: Mapping[str, Heartbeat], now_s: float) -> None:
        """Take in the heartbeats as they are now."""
        beat = beats.get("controller")
        if beat is not None and beat.beat_ns != self._beat_ns:
            self._beat_ns, self._heard_s = beat.beat_ns, now_s
            if self._has_accused and beat.facts.get("mqtt") == "connected" and self._publish(ONLINE):
                log.info("the controller is back")
                self._has_accused = False
        elif self._beat_ns and not self._has_accused and now_s - self._heard_s > PATIENCE_S and self._publish(OFFLINE):
            log.warning("the controller has not been heard of for %.0f s: its entities are unavailable", PATIENCE_S)
            self._has_accused = True

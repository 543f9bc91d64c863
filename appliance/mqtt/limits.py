"""What the broker takes: how much at a time, how large; and what was left out because of it."""

from __future__ import annotations

from typing import Any

IN_FLIGHT_MOST = 20
"""Publications that may wait for their PUBACK, unless the broker's Receive Maximum is less."""
OVERHEAD = 64
"""Bytes of a PUBLISH beside topic and payload, at most."""


class Limits:
    """As the broker says with its answer (MQTT 5; others say nothing)."""

    def __init__(self) -> None:
        self.in_flight = IN_FLIGHT_MOST
        self._largest: int | None = None
        self._left_out: set[str] = set()

    def lower(self, properties: Any) -> bool:
        """Return whether the broker takes fewer publications at a time than it was to be given."""
        before, most = self.in_flight, getattr(properties, "ReceiveMaximum", IN_FLIGHT_MOST)
        self.in_flight = min(before, most)
        return self.in_flight < before

    def renew(self, properties: Any) -> None:
        """Have the newest connection's hold, of which nothing was left out yet."""
        self._left_out.clear()
        self._largest = getattr(properties, "MaximumPacketSize", None)

    def leave_out(self, topic: str, content: bytes) -> str:
        """Return in words that this is larger than the broker takes; empty: it is not."""
        size = len(topic.encode()) + len(content) + OVERHEAD
        if self._largest is None or size <= self._largest:
            return ""
        self._left_out.add(topic)
        return f"the broker takes {self._largest:,} bytes at most, {topic} has {size:,}: raise its limit"

    def take_in(self, topic: str) -> bool:
        """Return whether nothing is left out any more, now that this, which was, is not."""
        if topic not in self._left_out:
            return False
        self._left_out.discard(topic)
        return not self._left_out

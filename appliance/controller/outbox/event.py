"""One event on its way to the broker."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

Acknowledged: TypeAlias = Callable[[int, bool], None]
"""Hears when the broker's PUBACK came (CLOCK_MONOTONIC, nanoseconds), and whether it was sent at once, and once."""


@dataclass(slots=True)
class Event:
    """`number` grows from each event to the next, over restarts too; `wall_ns` is when it was told first."""

    number: int
    topic: str
    payload: Mapping[str, Any]
    wall_ns: int
    acknowledged: Acknowledged | None = field(default=None, compare=False)
    prompt: bool = True
    """Nothing but the network is between it and the broker."""
    late: bool = False
    """It could not be sent at once, or was sent and not acknowledged."""
    in_flight: bool = False

    def text(self, now_ns: int) -> str:
        """Return the JSON to send at this wall time."""
        words = {**self.payload, "event_id": self.number}
        if self.late:
            words |= {"replayed": True, "age_s": round(max(0, now_ns - self.wall_ns) / 1e9, 1)}
        return json.dumps(words)

    def line(self) -> str:
        """Return the event as a line of the journal."""
        return json.dumps([self.number, self.topic, self.wall_ns, self.payload])


def from_line(line: str) -> Event:
    """Return the event of a line; ValueError where it holds none."""
    match json.loads(line):
        case [int(number), str(topic), int(wall_ns), dict(payload)] if topic:
            return Event(number, topic, payload, wall_ns, late=True)
    raise ValueError("no event")

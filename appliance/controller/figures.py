"""What is told of one camera in figures, no more often than anybody can use: count, statistics, latencies."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from appliance.controller import visits
from appliance.controller.latency import Latencies
from appliance.messages import Clock, SentryState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from appliance.controller.eye import Eye
    from appliance.controller.statements import Silence, Statements
    from appliance.messages import Detections

COUNT_FLOOR_S = 1.0
SEEN_FLOOR_S = 10.0
STATS_EVERY_S = 10.0


class Figures:
    """One camera's. `topic` makes a topic of one of its words."""

    def __init__(
        self, topic: Callable[[str], str], statements: Statements | Silence, on_alarm: Callable[[float], None]
    ) -> None:
        """`on_alarm` hears each alarm latency, in milliseconds."""
        self.alarms = Latencies()
        self._topic = topic
        self._statements = statements
        self._on_alarm = on_alarm
        self._latency_ms: float | None = None
        self._is_closed = False
        self._counted_s = self._seen_s = self._stated_s = float("-inf")

    def note(self, detections: Detections, eye: Eye, now_s: float) -> None:
        """While somebody is there: the count and the time, no more often than their floors."""
        self._latency_ms = age_ms(detections)
        if eye.sentry.state is not SentryState.TRACKING:
            return
        if now_s - self._counted_s >= COUNT_FLOOR_S:
            self._counted_s = now_s
            self._statements.fact(self._topic("person_count"), str(eye.person_count))
        if eye.sighted_wall_ns and now_s - self._seen_s >= SEEN_FLOOR_S:
            self._seen_s = now_s
            self._statements.fact(self._topic("last_seen"), visits.iso(eye.sighted_wall_ns))

    def publish(self, counters: Mapping[str, float], now_s: float) -> None:
        """Publish the statistics when they are due; `counters` are capture's."""
        if now_s - self._stated_s < STATS_EVERY_S:
            return
        self._stated_s = now_s
        figures = {
            "fps": round(counters.get("fps", 0.0), 1),
            "latency": self._latency_ms,
            "dropped": int(counters.get("lost.inference", 0)),
        }
        self._statements.figure(self._topic("stats"), json.dumps(figures))

    def close(self) -> None:
        """Hear of no more arrivals."""
        self._is_closed = True

    def arrived(self, captured_ns: int, at_ns: int) -> None:
        """Note that the broker had the alarm over this frame at that moment (both CLOCK_MONOTONIC, nanoseconds)."""
        if self._is_closed:
            return  # the camera may have been taken back meanwhile: nothing more is retained of it
        milliseconds = (at_ns - captured_ns) / 1e6
        self.alarms.add(milliseconds)
        self._statements.fact(self._topic("latency"), self.alarms.text)
        self._on_alarm(milliseconds)


def age_ms(detections: Detections | None) -> float | None:
    """Return how long ago the frame was captured, where that is a question of real time."""
    if detections is None or detections.frame.clock is not Clock.MONOTONIC:
        return None
    return round((time.monotonic_ns() - detections.frame.captured_ns) / 1e6, 1)

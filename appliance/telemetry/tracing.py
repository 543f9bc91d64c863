"""Traces: each process remembers its spans of the newest frames, and delivers those of the traces that are kept.

Which frame matters is known only when the sentry has decided. So every frame gets a trace context, which rides in the
slots; each process notes what it did as plain values; and the state channel, which goes to all of them, names with each
transition the trace that it came from. Whoever reads that name delivers what it remembers. A frame that decided nothing
costs a few dozen bytes for a few seconds, and no byte on the network.

Where no collector is set, `begin` gives NO_TRACE, and every other call returns at once.
"""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from appliance.messages import NO_TRACE, Clock, TraceContext

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from appliance.messages import FrameInfo

Attribute: TypeAlias = str | int | float | bool

SAMPLED, RANDOM = 0x01, 0x02
"""W3C trace flags: delivered from the start, whatever is decided; and that the trace id is random."""
REMEMBERED_MOST = 512
"""Traces: seventeen seconds of a camera at 30 frames per second."""
KEPT_MOST = 1024
"""Names of kept traces: more than the state channels of all cameras repeat."""
NO_PARENT = b""


class Span(NamedTuple):
    """What one stage did for one trace. Times are UTC, nanoseconds since 1970."""

    name: str
    context: TraceContext
    parent: bytes
    """The span id of the one above it; NO_PARENT for the first."""
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Attribute]


class Tracer:
    """One process's. `deliver` must never wait; None: nothing is traced. Belongs to one thread."""

    def __init__(self, deliver: Callable[[Span], None] | None = None, share: float = 0.0) -> None:
        """`share` of the traces that begin here is delivered whatever becomes of them, 0 to 1."""
        self._deliver = deliver
        self._share = share
        self._remembered: dict[bytes, list[Span]] = {}
        self._kept: dict[bytes, None] = {}

    @property
    def is_on(self) -> bool:
        return self._deliver is not None

    def begin(self) -> TraceContext:
        """Return the context of a new trace's first span."""
        if self._deliver is None:
            return NO_TRACE
        flags = RANDOM | (SAMPLED if self._share and random.random() < self._share else 0)
        return TraceContext.of(os.urandom(16), os.urandom(8), flags)

    def beneath(self, parent: TraceContext) -> TraceContext:
        """Return the context of a new span beneath `parent`; `parent` itself where nothing is traced."""
        return parent if self._deliver is None or parent == NO_TRACE else parent.child(os.urandom(8))

    def span(
        self,
        name: str,
        context: TraceContext,
        parent: bytes,
        start_ns: int,
        end_ns: int,
        **attributes: Attribute,
    ) -> None:
        """Note what was done, under the ids of `context`; times in UTC."""
        if self._deliver is None or context == NO_TRACE:
            return
        noted, trace = Span(name, context, parent, start_ns, end_ns, attributes), context.trace_id
        if context.flags & SAMPLED or trace in self._kept:
            self._deliver(noted)
            return
        self._remembered.setdefault(trace, []).append(noted)
        if len(self._remembered) > REMEMBERED_MOST:
            del self._remembered[next(iter(self._remembered))]

    def leaf(self, name: str, parent: TraceContext, start_ns: int, end_ns: int, **attributes: Attribute) -> None:
        """Note what was done beneath `parent` and has nothing beneath itself; times in UTC."""
        if self._deliver is not None and parent != NO_TRACE:
            self.span(name, self.beneath(parent), parent.span_id, start_ns, end_ns, **attributes)

    def keep(self, traces: Iterable[TraceContext]) -> None:
        """Deliver what is remembered of these, and what is noted of them from now on."""
        if self._deliver is None:
            return
        for context in traces:
            trace = context.trace_id
            if trace in self._kept or context == NO_TRACE:
                continue
            self._kept[trace] = None
            if len(self._kept) > KEPT_MOST:
                del self._kept[next(iter(self._kept))]
            for noted in self._remembered.pop(trace, ()):
                self._deliver(noted)


OFF = Tracer()
"""Traces nothing."""


def publishing(topic: str, is_prompt: bool) -> dict[str, Attribute]:
    """Return the attributes of an MQTT publication, by OpenTelemetry's conventions for messaging."""
    return {
        "messaging.system": "mqtt",
        "messaging.operation.type": "send",
        "messaging.destination.name": topic,
        "prompt": is_prompt,
    }


def to_utc(frame: FrameInfo | None = None) -> int:
    """Return what makes UTC of CLOCK_MONOTONIC for this frame's spans, nanoseconds.

    By the frame's own pair of times, so that it is the same in every process, whatever is done to the clock meanwhile;
    a replay's frames have none.
    """
    if frame is not None and frame.clock is Clock.MONOTONIC:
        return frame.wall_ns - frame.captured_ns
    return time.time_ns() - time.monotonic_ns()

"""What MQTT hears of a transition: person_entered and person_left, with the ancestor's fields."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING

from appliance.controller.discovery.household import ENTERED, LEFT
from appliance.messages import NO_TRACE, SentryState

if TYPE_CHECKING:
    from appliance.config import Camera
    from appliance.controller.eye import Eye
    from appliance.messages import TraceContext, Transition


def event_of(transition: Transition) -> str | None:
    """Return person_entered or person_left, or None: a validation is nobody's business yet."""
    if transition.state is SentryState.TRACKING:
        return ENTERED
    if transition.previous is SentryState.TRACKING:
        return LEFT
    return None


def event_payload(
    event_type: str, transition: Transition, device_id: str, extra: dict[str, object]
) -> dict[str, object]:
    """Return the event's words. `device_id`, `timestamp`, `state`, `previous_state` and `event_type` are detr-mmap's
    StateChangeNotification; the time is that of the frame that decided.
    """
    return {
        "event_type": event_type,
        "device_id": device_id,
        "timestamp": iso(transition.wall_ns),
        "state": transition.state.name.capitalize(),
        "previous_state": transition.previous.name.capitalize(),
        "confidence": round(transition.confidence, 3),
        "frame_number": transition.frame_number,
        "trace_id": trace_id(transition.trace),
        **extra,
    }


def evidence(eye: Eye, camera: Camera) -> dict[str, object]:
    """Return what a visit's event tells beside the ancestor's fields: who, where, and the frames that decided."""
    there = zip(camera.zones, eye.zone_counts, strict=False)
    return {
        "camera": camera.id,
        "person_count": eye.person_count,
        "incident": incident(eye, camera),
        "zones": [zone.id for zone, count in there if count],
        "observations": [
            {
                "frame_number": one.frame_number,
                "timestamp": iso(one.wall_ns),
                "confidence": round(one.seen.score, 3),
                "box": [round(side) for side in one.seen.box],
            }
            for one in eye.decided
        ],
    }


def trace_id(trace: TraceContext) -> str | None:
    """Return the name of a trace as its viewer spells it, None where nothing is traced."""
    return None if trace == NO_TRACE else trace.trace_id.hex()


def incident(eye: Eye, camera: Camera) -> str | None:
    """Return the visit's name, the same for entering, alarm and leaving: the camera, and when it was entered in
    milliseconds since 1970. None: that is not remembered.
    """
    return f"{camera.id}-{eye.entered.wall_ns // 1_000_000}" if eye.entered else None


def state_payload(eye: Eye, decided_after_ms: float | None) -> str:
    """Return the retained `state` JSON: the state, and the transition that led to it.

    `latency_ms` is what the decision took from the frame's capture, where the frame followed the real clock.
    """
    facts: dict[str, object] = {"state": eye.sentry.state.label, "mode": eye.sentry.mode.label}
    if eye.transitions:
        last = eye.transitions[-1]
        facts |= {
            "previous_state": last.previous.label,
            "timestamp": iso(last.wall_ns),
            "frame_number": last.frame_number,
            "confidence": round(last.confidence, 3),
        }
        if decided_after_ms is not None:
            facts["latency_ms"] = decided_after_ms
    return json.dumps(facts)


def iso(wall_ns: int) -> str:
    """Return ISO 8601 in UTC, to the millisecond."""
    moment = dt.datetime.fromtimestamp(wall_ns / 1e9, dt.UTC)
    return moment.isoformat(timespec="milliseconds")

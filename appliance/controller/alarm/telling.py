"""What MQTT and the log hear of the alarm panel. Values in, texts out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from appliance.controller.alarm.words import EventKind, Presence
from appliance.controller.discovery.camera import ALARM
from appliance.controller.visits import iso

if TYPE_CHECKING:
    from appliance.controller.alarm.panel import Panel
    from appliance.controller.alarm.words import AlarmEvent


def event_payload(event: AlarmEvent, device_id: str, trace_id: str | None) -> dict[str, object]:
    """Return the words of the hub's alarm event. What does not belong to the event is None, `wait_seconds` 0."""
    return {
        "event_type": event.kind,
        "device_id": device_id,
        "timestamp": iso(event.at_ns),
        "state": event.state,
        "previous_state": event.previous,
        "mode": event.mode,
        "command": event.command,
        "reason": event.reason or None,
        "wait_seconds": round(event.wait_s, 1),
        **_cause(event.cause),
        "trace_id": trace_id,
        **({"camera": event.camera} if event.camera else {}),
    }


def camera_payload(event: AlarmEvent, cause: Presence, device_id: str, trace_id: str | None) -> dict[str, object]:
    """Return the words of `alarm_triggered`, the event of the camera that caused the alarm; the time is the alarm's."""
    return {
        "event_type": ALARM,
        "device_id": device_id,
        "timestamp": iso(event.at_ns),
        "mode": event.mode,
        **_cause(cause),
        "trace_id": trace_id,
    }


def attributes(panel: Panel) -> str:
    """Return the JSON that stands beside the panel's state; it changes when something happens, not with the clock."""
    wait = panel.attempts.wait
    return json.dumps(
        {
            "mode": panel.mode,
            "next_mode": panel.next_mode,
            "since": iso(panel.since_ns) if panel.since_ns else None,
            "until": iso(panel.countdown.ends_ns) if panel.countdown else None,
            **_cause(panel.cause),
            "blind": panel.blind,
            "wrong_codes": panel.attempts.wrong,
            "codes_refused_until": iso(wait.ends_ns) if wait else None,
        }
    )


def in_words(event: AlarmEvent) -> str:
    """Return the event as a line of the log."""
    words = [f"{event.kind}"]
    if event.state is not event.previous:
        words.append(f"({event.previous} -> {event.state})")
    if event.command:
        words.append(f"on {event.command}")
    if event.cause and event.kind in {EventKind.PENDING, EventKind.TRIGGERED}:
        words.append(f"over {event.cause.place}")
    if event.camera:
        words.append(f"camera {event.camera}")
    if event.reason:
        words.append(f"because of {event.reason}")
    if event.wait_s:
        words.append(f"for {event.wait_s:.0f} s")
    return " ".join(words)


def _cause(cause: Presence | None) -> dict[str, object]:
    if cause is None:
        return dict.fromkeys(("camera", "zone", "incident", "confidence", "seen"))
    return {
        "camera": cause.camera,
        "zone": cause.zone,
        "incident": cause.incident or None,
        "confidence": round(cause.confidence, 3),
        "seen": iso(cause.at_ns) if cause.at_ns else None,
    }

"""What MQTT hears of a transition: person_entered and person_left, with the ancestor's fields."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING

from appliance.controller.entities import ENTERED, LEFT
from appliance.messages import SentryState

if TYPE_CHECKING:
    from appliance.messages import Transition


def event_of(transition: Transition) -> str | None:
    """Return person_entered or person_left, or None: a validation is nobody's business yet."""
    if transition.state is SentryState.TRACKING:
        return ENTERED
    if transition.previous is SentryState.TRACKING:
        return LEFT
    return None


def event_payload(event_type: str, transition: Transition, device_id: str, extra: dict[str, object]) -> str:
    """Return the event's JSON. `device_id`, `timestamp`, `state`, `previous_state` and `event_type` are detr-mmap's
    StateChangeNotification; the time is that of the frame that decided.
    """
    return json.dumps(
        {
            "event_type": event_type,
            "device_id": device_id,
            "timestamp": iso(transition.wall_ns),
            "state": transition.state.name.capitalize(),
            "previous_state": transition.previous.name.capitalize(),
            "confidence": round(transition.confidence, 3),
            "frame_number": transition.frame_number,
            **extra,
        }
    )


def iso(wall_ns: int) -> str:
    """Return ISO 8601 in UTC, to the millisecond."""
    moment = dt.datetime.fromtimestamp(wall_ns / 1e9, dt.UTC)
    return moment.isoformat(timespec="milliseconds")

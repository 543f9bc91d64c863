"""What Home Assistant is told of the appliance's health: whether anything is wrong, what, and what looks for people."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from appliance.controller.discovery.household import STAGES
from appliance.controller.notices import UNSERVED
from appliance.stage import why_down

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from appliance.config import Camera
    from appliance.controller.desk import Desk
    from appliance.messages import Heartbeat


def health(started: str, reasons: Iterable[str], beats: Mapping[str, Heartbeat]) -> str:
    """Return the health topic's payload. `reasons` are the controller's own; the empty ones among them are none.

    `beats` are the stages' fresh heartbeats; `started` is when the controller did, in ISO 8601.
    """
    facts = beats["inference"].facts if "inference" in beats else {}
    shortage = facts.get("shortage") or ""
    wrong = [reason for reason in (*reasons, *_of_the_stages(beats), shortage) if reason]
    said = {
        "problem": bool(wrong),
        "reasons": wrong,
        "started": started,
        "backend": facts.get("backend"),
        "model": facts.get("model"),
        "shortage": shortage,
    }
    return json.dumps(said)


def of_the_cameras(unserved: Iterable[Camera], desks: Iterable[Desk], relied_on: Collection[str]) -> list[str]:
    """Return what is wrong with the cameras. Of the blind ones, the armed alarm relies on those in `relied_on`."""
    reasons = [f"{camera.label}: {UNSERVED}" for camera in unserved]
    for desk in desks:
        if desk.camera.id in relied_on:
            reasons.append(f"{desk.camera.label}, which the armed alarm relies on: {desk.eye.blind_because}")
        elif desk.trouble:
            reasons.append(f"{desk.camera.label}: {desk.trouble}")
    return reasons


def _of_the_stages(beats: Mapping[str, Heartbeat]) -> list[str]:
    down = [why_down(beats, stage) for stage in STAGES if stage not in beats and stage != "controller"]
    return [*down, *(f"{stage}: {beats[stage].reason}" for stage in STAGES if stage in beats and beats[stage].reason)]

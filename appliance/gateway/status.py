"""What the page and the probes ask: whether everybody is there, and what the cameras see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from appliance import __version__
from appliance.messages import NO_TRACE, Health
from appliance.stage import why_down

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from appliance.config import Settings
    from appliance.gateway.live import Live
    from appliance.messages import Heartbeat, SourceHealth

STAGES = ("capture", "inference", "controller", "gateway")
_MODEL_FACTS = {"name": "model", "notice": "notice"}
_DETECTOR_FACTS = ("shortage", "building")


def status(settings: Settings, lives: Sequence[Live], beats: Mapping[str, Heartbeat]) -> dict[str, Any]:
    """Return `api/status`: the page's whole knowledge besides the pictures."""
    inference = beats.get("inference")
    controller = beats.get("controller")
    return {
        "instance": settings.instance,
        "version": __version__,
        "model": {key: inference.facts.get(fact, "") if inference else "" for key, fact in _MODEL_FACTS.items()},
        **{fact: inference.facts.get(fact, "") if inference else "" for fact in _DETECTOR_FACTS},
        "stages": [_stage(name, beats) for name in STAGES],
        "mqtt": controller.facts.get("mqtt", "unknown") if controller else "unknown",
        "mqtt_problem": controller.facts.get("mqtt_problem", "") if controller else "",
        "alarm": controller.facts.get("alarm", "unknown") if controller else "unknown",
        "trace_url": settings.telemetry.trace_url,
        "cameras": [_camera(live, beats) for live in lives],
    }


def trouble(lives: Sequence[Live], beats: Mapping[str, Heartbeat]) -> list[str]:
    """Return what is wrong, for /healthz; empty where all is well. A camera is well while its frames are *looked at*,
    when it is a clip that has ended, or when its owner has switched detection off.
    """
    wrong = [why_down(beats, name) for name in STAGES if name not in beats and name != "gateway"]
    for live in lives:
        source = _source(beats, f"capture.{live.camera.id}", live.camera.id)
        ended = source is not None and source.health is Health.ENDED
        known, reason = _knowledge(live, beats)
        switched_off = live.state is not None and not live.state.detecting
        if not known and not ended and not switched_off:
            wrong.append(f"{live.camera.id}: {reason}")
    return wrong


def _stage(name: str, beats: Mapping[str, Heartbeat]) -> dict[str, str]:
    beat = beats.get(name)
    if beat is None:
        return {"name": name, "health": "failed", "reason": why_down(beats, name).removeprefix(f"{name} is ")}
    return {"name": name, "health": beat.health.label, "reason": beat.reason}


def _camera(live: Live, beats: Mapping[str, Heartbeat]) -> dict[str, Any]:
    camera = live.camera
    known, reason = _knowledge(live, beats)
    state = live.state
    capture = beats.get(f"capture.{camera.id}")
    inference = beats.get("inference")
    return {
        "id": camera.id,
        "name": camera.label,
        "known": known,
        "reason": reason,
        "state": state.state.label if state else "standby",
        "mode": state.mode.label if state else "standby",
        "detecting": state.detecting if state else True,
        "live_view": live.live_view,
        "person_count": state.person_count if state else 0,
        "zones": [zone.label for bit, zone in enumerate(camera.zones) if state and state.zones >> bit & 1],
        "fps": round(capture.counters.get("fps", 0.0), 1) if capture else None,
        "latency_ms": _rounded(inference.counters.get(f"latency_ms.{camera.id}")) if inference else None,
        "queue_ms": _rounded(inference.counters.get(f"queue_ms.{camera.id}")) if inference else None,
        "viewers": live.viewers,
        "transitions": [
            {
                "state": transition.state.label,
                "previous_state": transition.previous.label,
                "wall_ms": transition.wall_ns // 1_000_000,
                "frame_number": transition.frame_number,
                "confidence": round(transition.confidence, 3),
                "trace_id": None if transition.trace == NO_TRACE else transition.trace.trace_id.hex(),
            }
            for transition in (state.transitions if state else ())
        ],
    }


def _knowledge(live: Live, beats: Mapping[str, Heartbeat]) -> tuple[bool, str]:
    """Say whether the camera's state can be believed, and if not, why."""
    state = live.state
    if state is None:
        return False, "the controller is not running"
    if state.known:
        return True, ""
    source = _source(beats, "controller", live.camera.id)
    return False, source.reason if source else "starting"


def _source(beats: Mapping[str, Heartbeat], name: str, camera: str) -> SourceHealth | None:
    beat = beats.get(name)
    return next((s for s in beat.sources if s.camera == camera), None) if beat else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)

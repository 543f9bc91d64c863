"""What lies between a camera and its detections, from the heartbeats: who is there, and which link is down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.messages import Health
from appliance.stage import why_down

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appliance.messages import Heartbeat, SourceHealth


def source_of(beats: Mapping[str, Heartbeat], camera: str) -> SourceHealth | None:
    """Return what capture says of the camera; None: nobody captures it."""
    beat = beats.get(f"capture.{camera}")
    if beat is None:
        return None
    return next((source for source in beat.sources if source.camera == camera), None)


def broken_link(beats: Mapping[str, Heartbeat], camera: str) -> str:
    """Say which link of the camera's chain is down; empty where none is."""
    source = source_of(beats, camera)
    if source is None:
        return why_down(beats, f"capture.{camera}")
    if source.health is Health.FAILED:
        return f"the camera failed: {source.reason}"
    if source.health is Health.ENDED:
        return source.reason
    if "inference" not in beats:
        return why_down(beats, "inference")
    return ""

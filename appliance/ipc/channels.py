"""Which channels there are, and who reads them, in an order that is part of the protocol (releases name an index)."""

from __future__ import annotations

from dataclasses import dataclass

FRAMES = "frames"
DETECTIONS = "detections"
STATE = "state"

SUBSCRIBERS: dict[str, tuple[str, ...]] = {
    FRAMES: ("inference", "gateway"),
    DETECTIONS: ("controller", "gateway"),
    STATE: ("capture", "inference", "gateway"),
}


@dataclass(frozen=True, slots=True)
class Channel:
    """One publisher's messages about one camera."""

    kind: str
    camera: str

    @property
    def subscribers(self) -> tuple[str, ...]:
        return SUBSCRIBERS[self.kind]

    def __str__(self) -> str:
        return f"{self.kind}/{self.camera}"


def frames_channel(camera: str) -> Channel:
    return Channel(FRAMES, camera)


def detections_channel(camera: str) -> Channel:
    return Channel(DETECTIONS, camera)


def state_channel(camera: str) -> Channel:
    return Channel(STATE, camera)

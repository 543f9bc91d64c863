"""Cameras that cannot be believed: since when, and whether an armed panel has said so. Values in, values out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


@dataclass(frozen=True, slots=True)
class Outage:
    """One camera's. It ends, and is forgotten, when the camera sees again."""

    camera: str
    since_ns: int
    told: bool = False

    def shifted(self, by_ns: int) -> Outage:
        """Return the outage after the clock was set by so much."""
        return replace(self, since_ns=self.since_ns + by_ns)

    def lasted(self, now_ns: int, seconds: float) -> bool:
        """Return whether it is longer than that."""
        return now_ns - self.since_ns >= round(seconds * 1e9)


def followed(outages: tuple[Outage, ...], blind: Collection[str], now_ns: int) -> tuple[Outage, ...]:
    """Return the outages after one more look: those that go on, and those that have just begun."""
    known = {outage.camera: outage for outage in outages}
    return tuple(known.get(camera) or Outage(camera, now_ns) for camera in sorted(blind))

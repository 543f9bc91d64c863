"""What the synthetic camera is asked for, and what it says is to be seen. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["person", "cat", "car", "parcel"]


@dataclass(frozen=True, slots=True)
class SceneOptions:
    """One scene. The same options give the same pictures, on any machine and in any order of asking."""

    seed: int = 1
    width: int = 1280
    height: int = 720
    hour: float = 15.0
    """The time of day, 0 to 24; it stands still."""
    people_per_minute: float = 2.0
    rain: bool | None = None
    """None: the seed decides."""
    timestamps: bool = False
    """Writes the scene time into each picture, for people and for `read_timestamp`."""


@dataclass(frozen=True, slots=True)
class Truth:
    """One thing that can be seen."""

    kind: Kind
    box: tuple[float, float, float, float]
    """x1 y1 x2 y2 in pixels, around what can be seen of it; never beyond the picture."""
    visible: float
    """The share of its outline that can be seen, above 0 and at most 1: the rest is hidden, or outside."""


@dataclass(frozen=True, slots=True)
class Visit:
    """The scene time, in seconds, from the first to the last moment at which somebody is seen for 30 % or more.

    In between they may be out of sight for a moment, behind a post or a tree; between two visits nobody comes for 8 s
    or more.
    """

    begin: float
    end: float
    people: int

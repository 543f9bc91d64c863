"""How somebody moves over the ground: along a smooth line, fast or slow, and which way they look."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

Point = tuple[float, float]

_STEP_M = 0.04
_BRAKE = 1.6
"""Metres per second, squared."""


class Line:
    """A smooth line over the ground through the given points (x, z in metres), measured along itself."""

    def __init__(self, points: Sequence[Point]) -> None:
        dense = _catmull_rom(np.array(points, np.float64))
        for _ in range(3):
            dense[1:-1] = (dense[:-2] + 2 * dense[1:-1] + dense[2:]) / 4
        steps = np.hypot(*np.diff(dense, axis=0).T)
        self._along = np.concatenate(([0.0], np.cumsum(steps)))
        self._points = dense
        self.length = float(self._along[-1])

    def at(self, distance: float) -> Point:
        return (
            float(np.interp(distance, self._along, self._points[:, 0])),
            float(np.interp(distance, self._along, self._points[:, 1])),
        )

    def heading(self, distance: float) -> float:
        """Return the direction of the line in radians: 0 is away from the camera, pi / 2 to the right."""
        (x1, z1), (x2, z2) = self.at(max(0.0, distance - 0.25)), self.at(min(self.length, distance + 0.25))
        return math.atan2(x2 - x1, z2 - z1)


def _catmull_rom(points: Any) -> Any:
    padded = np.concatenate((2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]))
    pieces = []
    for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        count = max(2, round(float(np.hypot(*(c - b))) / _STEP_M))
        t = np.linspace(0, 1, count, endpoint=False)[:, None]
        pieces.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3))
    return np.concatenate((*pieces, points[-1:]))


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody is and how they move there."""

    x: float
    z: float
    heading: float
    walked: float
    """Metres walked so far: the feet follow it."""
    pace: float
    """0 standing, 1 walking freely."""


@dataclass(frozen=True, slots=True)
class Walk:
    """Up along one line, a wait at its end, away along another."""

    begin: float
    speed: float
    come: Line
    wait: float
    facing: float
    """The direction they look in while they wait."""
    leave: Line

    @property
    def arrival(self) -> float:
        return self.begin + self._duration(self.come)

    @property
    def departure(self) -> float:
        return self.arrival + self.wait

    @property
    def end(self) -> float:
        return self.departure + self._duration(self.leave)

    def place(self, t: float) -> Place | None:
        """Return where they are, or None while they are on no line."""
        if not self.begin <= t < self.end:
            return None
        if t < self.arrival:
            done = self.come.length - self._eased(self.arrival - t)
            return self._on(self.come, done, done, self._pace(self.arrival - t))
        if t < self.departure:
            x, z = self.come.at(self.come.length)
            return Place(x, z, self._looking(t), self.come.length, 0.0)
        done = self._eased(t - self.departure)
        return self._on(self.leave, done, self.come.length + done, self._pace(t - self.departure))

    def _on(self, line: Line, distance: float, walked: float, pace: float) -> Place:
        x, z = line.at(distance)
        return Place(x, z, line.heading(distance), walked, pace)

    def _duration(self, line: Line) -> float:
        return line.length / self.speed + self.speed / (2 * _BRAKE)

    def _eased(self, seconds: float) -> float:
        """Return the metres from the standstill, so long after it (or before it)."""
        rise = self.speed / _BRAKE
        if seconds < rise:
            return 0.5 * _BRAKE * seconds**2
        return self.speed * (seconds - rise / 2)

    def _pace(self, seconds: float) -> float:
        return min(1.0, 0.15 + _BRAKE * seconds / self.speed)

    def _looking(self, t: float) -> float:
        came, goes = self.come.heading(self.come.length), self.leave.heading(0.0)
        turned = _turn(came, self.facing, (t - self.arrival) / 0.7)
        return _turn(turned, goes, 1 - (self.departure - t) / 0.9)


def _turn(start: float, goal: float, share: float) -> float:
    share = min(1.0, max(0.0, share))
    smooth = share * share * (3 - 2 * share)
    return start + math.remainder(goal - start, math.tau) * smooth

"""A person's body: joints from a pose, limbs as hulls around balls, each shaded from the side of the light."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from appliance.capture.synthetic.perspective import FOCAL, Perspective
from appliance.capture.synthetic.sprites import Part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.capture.synthetic.looks import Colour

_CIRCLE = np.stack(
    (np.cos(np.linspace(0, math.tau, 14, endpoint=False)), np.sin(np.linspace(0, math.tau, 14, endpoint=False))), 1
)
_TONES = ((1.0, 0.0, 0.76), (0.82, 0.14, 0.91), (0.54, 0.30, 1.03))
"""Radius, shift towards the light, brightness: from the edge inwards."""

Local = tuple[float, float, float]
"""A point of the body in metres: to its right, up from its ground, forward."""
Ball = tuple[Local, float]


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a body stands and what it does."""

    x: float
    ground: float
    z: float
    heading: float
    stride: float
    """The walking cycle's phase in radians."""
    pace: float
    """0 standing, 1 walking."""
    reach: float = 0.0
    """0 arm down, 1 finger at the bell."""
    bend: float = 0.0
    """0 upright, 1 putting something on the ground."""
    holds: bool = False
    """Both arms in front, carrying."""


class Frame3D:
    """The axes of a body, and where its points lie in the picture."""

    def __init__(self, pose: Pose, view: Perspective, light_from: float) -> None:
        """Take the light's side: -1 from the left, 1 from the right."""
        self._sin, self._cos = math.sin(pose.heading), math.cos(pose.heading)
        self._pose = pose
        self._view = view
        self._light = light_from

    @property
    def towards_camera(self) -> float:
        """1 where the body faces the camera, -1 where it shows its back."""
        return -self._cos

    def depth(self, point: Local) -> float:
        right, _, forward = point
        return self._pose.z - right * self._sin + forward * self._cos

    def project(self, point: Local) -> tuple[float, float, float]:
        """Return u, v and the scale there (picture widths per metre)."""
        right, up, forward = point
        x = self._pose.x + right * self._cos + forward * self._sin
        z = max(0.3, self.depth(point))
        ((u, v),) = self._view.project(((x, self._pose.ground + up, z),))
        return float(u), float(v), FOCAL / z

    def hull(self, balls: Sequence[Ball], colour: Colour, depth_bias: float = 0.0) -> Limb:
        """Return the hull around balls, in three tones."""
        placed = [(self.project(centre), radius) for centre, radius in balls]
        parts = []
        for number, (share, shift, tone) in enumerate(_TONES):
            points = []
            for (u, v, scale), radius in placed:
                size = radius * scale
                points.append(_CIRCLE * (size * share) + (u + self._light * shift * size, v - 0.5 * shift * size))
            outline = cv2.convexHull(np.concatenate(points).astype(np.float32))[:, 0, :]
            red, green, blue = colour
            parts.append(Part(outline, (red * tone, green * tone, blue * tone), is_shade=number > 0))
        depth = sum(self.depth(centre) for centre, _ in balls) / len(balls)
        return Limb(depth + depth_bias, tuple(parts))


@dataclass(frozen=True, slots=True)
class Limb:
    depth: float
    parts: tuple[Part, ...]


def between(a: Local, b: Local, share: float) -> Local:
    return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share


def knee(hip: Local, ankle: Local, thigh: float, shin: float, forward: float) -> Local:
    """Return the joint between two bones, bent towards `forward` (1) or backward (-1)."""
    up, ahead = ankle[1] - hip[1], ankle[2] - hip[2]
    reach = min(math.hypot(up, ahead), (thigh + shin) * 0.999)
    along = (thigh**2 - shin**2 + reach**2) / (2 * reach)
    aside = math.sqrt(max(0.0, thigh**2 - along**2)) * forward
    sin, cos = up / math.hypot(up, ahead), ahead / math.hypot(up, ahead)
    side = hip[0] + (ankle[0] - hip[0]) * along / reach
    return side, hip[1] + sin * along + cos * aside, hip[2] + cos * along - sin * aside


def foot_track(phase: float, length: float, lift: float) -> tuple[float, float]:
    """Return how far ahead and how high a foot is: on the ground it goes back evenly, then swings forward."""
    cycle = (phase / math.tau) % 1.0
    if cycle < 0.58:
        return length * (1 - 2 * cycle / 0.58), 0.0
    swing = (cycle - 0.58) / 0.42
    smooth = swing * swing * (3 - 2 * swing)
    return length * (2 * smooth - 1), lift * math.sin(math.pi * swing)


def as_array(points: Any) -> Any:
    return np.asarray(points, np.float32)

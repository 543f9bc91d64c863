"""Bodies: joints from a pose, limbs as hulls around balls, each shaded from the side of the light."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from appliance.capture.synthetic.perspective import FOCAL, Perspective
from appliance.capture.synthetic.sprites import Part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.capture.synthetic.light import Rgb

Local = tuple[float, float, float]
"""A point of a body in metres: to its right, up from its ground, forward."""
Ball = tuple[Local, float]

_TURNS = np.linspace(0, math.tau, 14, endpoint=False)
_CIRCLE = np.stack((np.cos(_TURNS), np.sin(_TURNS)), axis=1)
_TONES = ((1.0, 0.0, 0.76), (0.82, 0.14, 0.91), (0.54, 0.30, 1.03))
"""Radius, shift towards the light, brightness: from the edge inwards."""


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


class Figure:
    """A body that is put together limb by limb, and then drawn at once."""

    def __init__(self, pose: Pose, view: Perspective, light_from: float) -> None:
        """Take the light's side: -1 from the left, 1 from the right."""
        self._sin, self._cos = math.sin(pose.heading), math.cos(pose.heading)
        self._pose, self._view, self._light = pose, view, light_from
        self._balls: list[tuple[float, float, float, float]] = []
        self._limbs: list[tuple[int, float, Rgb]] = []
        """Where its balls begin, what is added to its depth, its colour."""

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
        x, z = self._pose.x + right * self._cos + forward * self._sin, self.depth(point)
        ((u, v),) = self._view.project(((x, self._pose.ground + up, z),))
        return float(u), float(v), FOCAL / z

    def add(self, balls: Sequence[Ball], colour: Rgb, bias: float = 0.0) -> None:
        """Add the hull around balls (centre, radius). `bias` is added to its depth: more lies farther back."""
        self._limbs.append((len(self._balls), bias, colour))
        self._balls += [(*centre, radius) for centre, radius in balls]

    def parts(self) -> tuple[Part, ...]:
        """Return all limbs, the farthest first, each in three tones."""
        right, up, forward, radius = np.array(self._balls).T
        z = self._pose.z - right * self._sin + forward * self._cos
        x = self._pose.x + right * self._cos + forward * self._sin
        middles = self._view.project(np.stack((x, up + self._pose.ground, z), axis=1))
        size = (radius * FOCAL / z)[:, None]
        tones = []
        for share, shift, _ in _TONES:
            centre = middles + size * shift * (self._light, -0.5)
            tones.append((centre[:, None, :] + (size * share)[:, None, :] * _CIRCLE).astype(np.float32))
        begins = [begin for begin, _, _ in self._limbs]
        ends = [*begins[1:], len(self._balls)]
        depths = np.add.reduceat(z, begins) / np.diff([*begins, len(self._balls)]) + [
            bias for _, bias, _ in self._limbs
        ]
        parts = []
        for one in np.argsort(-depths, kind="stable").tolist():
            red, green, blue = self._limbs[one][2]
            for number, (_, _, bright) in enumerate(_TONES):
                outline = cv2.convexHull(tones[number][begins[one] : ends[one]].reshape(-1, 2))[:, 0]
                parts.append(Part(outline, (red * bright, green * bright, blue * bright), is_shade=number > 0))
        return tuple(parts)


def between(a: Local, b: Local, share: float) -> Local:
    return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share


def bent_joint(root: Local, tip: Local, upper: float, lower: float, forward: float) -> Local:
    """Return the joint between two bones from `root` to `tip`, bent forward (1, a knee) or backward (-1, an elbow)."""
    up, ahead = tip[1] - root[1], tip[2] - root[2]
    distance = max(1e-6, math.hypot(up, ahead))
    reach = min(distance, (upper + lower) * 0.999)
    along = (upper**2 - lower**2 + reach**2) / (2 * reach)
    aside = math.sqrt(max(0.0, upper**2 - along**2)) * forward
    sin, cos = up / distance, ahead / distance
    side = root[0] + (tip[0] - root[0]) * along / reach
    return side, root[1] + sin * along + cos * aside, root[2] + cos * along - sin * aside


def foot_track(phase: float, length: float, lift: float) -> tuple[float, float]:
    """Return how far ahead and how high a foot is: on the ground it goes back evenly, then swings forward."""
    cycle = (phase / math.tau) % 1.0
    if cycle < 0.58:
        return length * (1 - 2 * cycle / 0.58), 0.0
    swing = (cycle - 0.58) / 0.42
    smooth = swing * swing * (3 - 2 * swing)
    return length * (2 * smooth - 1), lift * math.sin(math.pi * swing)

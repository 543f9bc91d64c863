"""A person in their clothes: from a look and a pose to polygons."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from appliance.capture.synthetic.figures import Ball, Frame3D, Limb, Local, Pose, between, foot_track, knee

if TYPE_CHECKING:
    from appliance.capture.synthetic.looks import Colour, Look
    from appliance.capture.synthetic.perspective import Perspective
    from appliance.capture.synthetic.sprites import Part

STRIDE_M = 1.42
"""Metres of two steps, for somebody of average height."""


def draw_body(look: Look, pose: Pose, view: Perspective, light_from: float) -> tuple[Part, ...]:
    """Return the parts of one person, the farthest first."""
    return _Body(look, pose, Frame3D(pose, view, light_from)).parts()


class _Body:
    def __init__(self, look: Look, pose: Pose, frame: Frame3D) -> None:
        self._look, self._pose, self._frame = look, pose, frame
        h = self._h = look.height
        bob = 0.016 * h * math.cos(2 * pose.stride) * pose.pace
        self._lean = 0.03 * h * pose.pace + 0.25 * h * pose.bend
        self._hip_y = 0.515 * h - 0.012 * h * pose.pace + bob - 0.16 * h * pose.bend
        self._shoulder_y = self._hip_y + (0.295 - 0.10 * pose.bend) * h
        self._wide = look.build
        self._limbs: list[Limb] = []

    def parts(self) -> tuple[Part, ...]:
        for side in (-1.0, 1.0):
            self._leg(side)
            self._arm(side)
        self._torso()
        self._head()
        self._bag()
        self._limbs.sort(key=lambda limb: -limb.depth)
        return tuple(part for limb in self._limbs for part in limb.parts)

    def _add(self, balls: list[Ball], colour: Colour, bias: float = 0.0) -> None:
        self._limbs.append(self._frame.hull(balls, colour, bias))

    def _leg(self, side: float) -> None:
        look, pose, h, wide = self._look, self._pose, self._h, self._wide
        ahead, lift = foot_track(
            pose.stride + (math.pi if side > 0 else 0), 0.205 * h * pose.pace * look.gait, 0.085 * h * pose.pace
        )
        hip: Local = (side * 0.052 * h * wide, self._hip_y, -0.06 * h * pose.bend)
        ankle: Local = (side * 0.048 * h, 0.045 * h + lift, ahead)
        joint = knee(hip, ankle, 0.245 * h, 0.245 * h, 1.0)
        loose = 1.12 if look.below == "trousers" else 1.0
        thigh, calf, thin = 0.046 * h * wide * loose, 0.036 * h * wide * loose, 0.026 * h * loose
        heel_up = min(1.0, lift / (0.08 * h)) * (1 if ahead < 0 else 0.2)
        toe: Local = (ankle[0] + side * 0.012 * h, ankle[1] - 0.022 * h - 0.03 * h * heel_up, ankle[2] + 0.085 * h)
        heel: Local = (ankle[0], ankle[1] - 0.018 * h, ankle[2] - 0.012 * h)
        self._add([(heel, 0.024 * h), (toe, 0.018 * h)], look.shoes, 0.004)
        calf_ball = between(joint, ankle, 0.3)
        if look.below == "trousers":
            self._add([(joint, calf), (calf_ball, calf), (ankle, thin * 1.15)], look.bottom)
            self._add([(hip, thigh * 1.1), (joint, calf * 1.04)], look.bottom, -0.005)
            return
        self._add([(joint, calf * 0.82), (calf_ball, calf * 0.98), (ankle, thin * 0.85)], look.skin)
        self._add([(hip, thigh), (joint, calf * 0.85)], look.skin, -0.003)
        if look.below == "shorts":
            self._add([(hip, thigh * 1.18), (between(hip, joint, 0.82), thigh * 1.08)], look.bottom, -0.006)

    def _arm(self, side: float) -> None:
        look, pose, h = self._look, self._pose, self._h
        shoulder: Local = (side * 0.108 * h * self._wide, self._shoulder_y - 0.018 * h, self._lean)
        swing = -math.sin(pose.stride + (math.pi if side > 0 else 0)) * 0.17 * h * pose.pace * look.gait
        hand: Local = (
            side * 0.135 * h * self._wide,
            self._shoulder_y - 0.305 * h + 0.02 * h * pose.pace,
            self._lean + swing + 0.03 * h,
        )
        if pose.holds:
            hand = (side * 0.085 * h, self._shoulder_y - (0.20 + 0.24 * pose.bend) * h, self._lean + 0.17 * h)
        elif look.umbrella is not None and side > 0:
            hand = (side * 0.06 * h, self._shoulder_y - 0.06 * h, self._lean + 0.13 * h)
        elif side > 0 and pose.reach > 0:
            goal: Local = (0.13 * h, self._shoulder_y - 0.06 * h, self._lean + 0.27 * h)
            hand = between(hand, goal, pose.reach)
        elbow = knee(shoulder, hand, 0.168 * h, 0.155 * h, -1.0)
        bulk = {"coat": 1.2, "jacket": 1.2, "hoodie": 1.15}.get(look.wear, 1.0)
        upper, fore = 0.034 * h * bulk * self._wide**0.5, 0.027 * h * bulk
        bare = look.wear in {"shirt", "dress"}
        self._add(
            [(elbow, fore * (0.85 if bare else 1)), (hand, fore * (0.62 if bare else 0.86))],
            look.skin if bare else look.top,
        )
        palm = between(elbow, hand, 1.16)
        self._add([(hand, 0.019 * h), (palm, 0.021 * h)], look.skin, -0.002)
        self._add(
            [(shoulder, upper * 1.1), (between(shoulder, elbow, 0.72 if bare else 1.0), upper * 0.95)], look.top, -0.004
        )
        if bare:
            self._add([(between(shoulder, elbow, 0.6), upper * 0.8), (elbow, upper * 0.72)], look.skin, 0.002)

    def _torso(self) -> None:
        look, h, w = self._look, self._h, self._wide
        bulk = {"coat": 1.14, "jacket": 1.12, "hoodie": 1.12}.get(look.wear, 1.0)
        top, hip, lean = self._shoulder_y, self._hip_y, self._lean
        r = 0.048 * h * bulk * w
        sides = (-1.0, 1.0)
        if look.below != "skirt" or look.wear == "shirt":
            self._add([((s * 0.05 * h * w, hip + 0.01 * h, 0.0), 0.05 * h * w) for s in sides], look.bottom, -0.001)
        chest: list[Ball] = [((s * 0.078 * h * w, top - 0.03 * h, lean), r) for s in sides]
        waist: list[Ball] = [((s * 0.05 * h * w, hip + 0.06 * h, lean * 0.5), r * 0.98) for s in sides]
        self._add([*chest, *waist], look.top, -0.008)
        if look.wear in {"jacket", "hoodie", "shirt"}:
            self._add(
                [*waist, *(((s * 0.053 * h * w, hip + 0.012 * h, 0.0), r * 1.0) for s in sides)], look.top, -0.007
            )
        if look.wear == "coat":
            hem: list[Ball] = [((s * 0.075 * h * w, hip - 0.20 * h, -0.01), r * 0.95) for s in sides]
            self._add([*waist, *hem], look.top, -0.012)
        if look.below == "skirt" and look.wear != "coat":
            colour = look.top if look.wear == "dress" else look.bottom
            sway = 0.012 * h * math.sin(self._pose.stride) * self._pose.pace
            hem = [((s * 0.085 * h * w + sway, hip - 0.19 * h, 0.0), r * 0.9) for s in sides]
            self._add([*(((s * 0.04 * h * w, hip + 0.05 * h, 0.0), r) for s in sides), *hem], colour, -0.012)
        self._add(
            [((0, top - 0.01 * h, lean), 0.03 * h), ((0, top + 0.05 * h, lean + 0.008), 0.028 * h)], look.skin, 0.004
        )

    def _head(self) -> None:
        look, h, lean = self._look, self._h, self._lean + 0.012
        size = 0.064 * (0.6 * h + 0.4 * 1.72)
        centre: Local = (0.0, self._shoulder_y + 0.115 * h, lean)
        up, facing = centre[1], self._frame.towards_camera

        def at(right: float, above: float, ahead: float) -> Local:
            return right * size, up + above * size, lean + ahead * size

        hair = look.skin if look.hair_kind == "bald" else look.hair
        skull = [(at(0, 0.28, -0.22), size * 0.98), (at(0, 0.1, 0.1), size * 0.86)]
        self._add(skull, hair, 0.01)
        self._add([(at(0, -0.12, 0.26), size * 0.82), (at(0, -0.72, 0.36), size * 0.52)], look.skin, -0.02)
        if look.hair_kind == "long":
            self._add([(at(0, 0.1, -0.36), size * 0.95), (at(0, -1.3, -0.5), size * 0.72)], hair, 0.012)
        elif look.hair_kind == "bun":
            self._add([(at(0, 0.75, -0.95), size * 0.5)], hair, -0.001)
        elif look.hair_kind == "curly":
            self._add([(at(s, 0.3, -0.3), size * 0.85) for s in (-0.35, 0.35)], hair, 0.005)
        if look.hair_kind != "bald" and look.hat == "none":
            self._add([(at(s, 0.74, 0.18), size * 0.42) for s in (-0.42, 0.0, 0.42)], hair, -0.03)
        if facing > 0.15:
            self._face(at, size)
        self._hat(at, size)

    def _face(self, at: object, size: float) -> None:
        assert callable(at)
        dark = (38.0, 28.0, 26.0)
        for side in (-1, 1):
            self._add([(at(0.3 * side, 0.1, 1.0), size * 0.085)], dark, -0.2)
        red, green, blue = self._look.skin
        self._add([(at(s, -0.62, 0.86), size * 0.07) for s in (-0.2, 0.2)], (red * 0.7, green * 0.5, blue * 0.5), -0.2)

    def _hat(self, at: object, size: float) -> None:
        assert callable(at)
        look = self._look
        if look.hat == "cap":
            self._add([(at(0, 0.62, -0.1), size * 0.86), (at(0, 0.5, 0.2), size * 0.8)], look.hat_colour, -0.06)
            self._add(
                [(at(s, 0.42, 1.15), size * 0.16) for s in (-0.4, 0.4)] + [(at(0, 0.5, 0.7), size * 0.2)],
                look.hat_colour,
                -0.08,
            )
        elif look.hat == "beanie":
            self._add([(at(0, 0.66, -0.12), size * 0.94), (at(0, 0.42, 0.0), size * 0.98)], look.hat_colour, -0.05)
        elif look.hat == "hood":
            self._add([(at(0, 0.3, -0.3), size * 1.16), (at(0, -0.7, -0.35), size * 0.95)], look.top, 0.008)

    def _bag(self) -> None:
        look, h = self._look, self._h
        if look.bag == "backpack":
            back = self._lean - 0.12 * h
            self._add(
                [((s * 0.06 * h, y, back), 0.05 * h) for s in (-1, 1) for y in (self._shoulder_y - 0.06 * h, self._hip_y + 0.06 * h)],
                look.bag_colour, -0.002,
            )  # fmt: skip
        elif look.bag == "shoulder":
            side = -0.15 * h * self._wide
            self._add(
                [((side, self._hip_y + y * h, f * h), 0.028 * h) for y in (-0.05, 0.06) for f in (-0.06, 0.06)],
                look.bag_colour,
            )

"""A person in their clothes: from a look and a pose to polygons."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from appliance.capture.synthetic.figures import Figure, bent_joint, between, foot_track

if TYPE_CHECKING:
    from appliance.capture.synthetic.figures import Ball, Local, Pose
    from appliance.capture.synthetic.looks import Look
    from appliance.capture.synthetic.perspective import Perspective
    from appliance.capture.synthetic.sprites import Part

STRIDE_M = 1.27
"""Metres of two steps, for somebody of 1.72 m."""
_BULK = {"coat": 1.17, "jacket": 1.15, "hoodie": 1.14}
_BELOW, _BEHIND = 10.0, 20.0
"""Added to the depth of legs, which clothes and arms cover, and of an arm on the far side, which all covers."""
_SIDES = (-1.0, 1.0)


def draw_body(look: Look, pose: Pose, view: Perspective, light_from: float) -> tuple[Part, ...]:
    """Return the parts of one person, the farthest first."""
    return _Body(look, pose, Figure(pose, view, light_from)).parts()


class _Body:
    def __init__(self, look: Look, pose: Pose, figure: Figure) -> None:
        self._look, self._pose, self._figure = look, pose, figure
        h = self._h = look.height
        bob = 0.011 * math.cos(2 * pose.stride - 1.16 * math.pi)
        self._lean = (0.022 * pose.pace + 0.27 * pose.bend) * h
        self._hip_y = (0.53 + (bob - 0.014) * pose.pace - 0.17 * pose.bend) * h
        self._shoulder_y = self._hip_y + (0.287 - 0.11 * pose.bend) * h
        self._wide = look.build
        self._bulk = _BULK.get(look.wear, 1.0)
        self._bare_arms = look.wear in {"shirt", "dress"}
        self._add = figure.add

    def parts(self) -> tuple[Part, ...]:
        for side in _SIDES:
            self._leg(side)
            self._arm(side)
        self._torso()
        self._skirts()
        self._head()
        self._bag()
        return self._figure.parts()

    def _leg(self, side: float) -> None:
        look, pose, h, wide = self._look, self._pose, self._h, self._wide
        turn = pose.stride + (math.pi if side > 0 else 0)
        ahead, lift = foot_track(turn, 0.205 * h * pose.pace * look.gait, 0.075 * h * pose.pace)
        hip: Local = (side * 0.05 * h * wide, self._hip_y, -0.06 * h * pose.bend)
        tip_toe = 0.035 * h * max(0.0, -ahead / (0.205 * h) - 0.45) * pose.pace
        ankle: Local = (side * 0.048 * h, 0.042 * h + lift + tip_toe, ahead)
        joint = bent_joint(hip, ankle, 0.247 * h, 0.247 * h, 1.0)
        self._foot(side, ankle, drop=min(1.0, (lift + tip_toe) / (0.06 * h)) * (1.0 if ahead < 0 else 0.15))
        loose = 1.10 if look.below == "trousers" else 1.0
        thigh, calf, thin = 0.047 * h * wide * loose, 0.036 * h * wide * loose, 0.027 * h * loose
        below = between(joint, ankle, 0.3)
        if look.below == "trousers":
            self._add([(joint, calf), (below, calf * 0.97), (ankle, thin * 1.12)], look.bottom, _BELOW)
            self._add([(hip, thigh * 1.08), (joint, calf * 1.03)], look.bottom, _BELOW - 0.004)
            return
        self._add([(joint, calf * 0.82), (below, calf * 0.97), (ankle, thin * 0.85)], look.skin, _BELOW)
        self._add([(hip, thigh), (joint, calf * 0.85)], look.skin, _BELOW - 0.003)
        if look.below == "shorts":
            self._add([(hip, thigh * 1.16), (between(hip, joint, 0.85), thigh * 1.06)], look.bottom, _BELOW - 0.006)

    def _foot(self, side: float, ankle: Local, drop: float) -> None:
        h = self._h
        toe: Local = (
            ankle[0] + side * 0.012 * h,
            ankle[1] - (0.02 + 0.045 * drop) * h,
            ankle[2] + (0.085 - 0.02 * drop) * h,
        )
        heel: Local = (ankle[0], ankle[1] - 0.016 * h, ankle[2] - 0.014 * h)
        self._add([(heel, 0.025 * h), (toe, 0.019 * h)], self._look.shoes, _BELOW + 0.004)

    def _arm(self, side: float) -> None:
        look, h = self._look, self._h
        shoulder: Local = (side * 0.102 * h * self._wide, self._shoulder_y - 0.032 * h, self._lean)
        hand = self._hand(side, shoulder)
        elbow = bent_joint(shoulder, hand, 0.170 * h, 0.158 * h, -1.0)
        upper, fore = 0.033 * h * self._bulk * self._wide**0.5, 0.026 * h * self._bulk
        far = _BEHIND if self._figure.depth(shoulder) > self._figure.depth((0, 0, self._lean)) + 0.07 else 0.0
        bare = self._bare_arms
        sleeve = look.skin if bare else look.top
        self._add([(hand, 0.019 * h), (between(elbow, hand, 1.15), 0.020 * h)], look.skin, far - 0.012)
        self._add([(elbow, fore * (0.86 if bare else 1)), (hand, fore * (0.64 if bare else 0.84))], sleeve, far - 0.014)
        if bare:
            self._add([(between(shoulder, elbow, 0.5), upper * 0.82), (elbow, upper * 0.74)], look.skin, far - 0.013)
        self._add(
            [(shoulder, upper * 1.03), (between(shoulder, elbow, 0.66 if bare else 1.0), upper)], look.top, far - 0.016
        )

    def _hand(self, side: float, shoulder: Local) -> Local:
        look, pose, h = self._look, self._pose, self._h
        right, up, ahead = shoulder
        if pose.holds or pose.bend > 0.3:
            return side * 0.085 * h, up - (0.19 + 0.12 * pose.bend) * h, self._lean + (0.17 + 0.06 * pose.bend) * h
        if look.umbrella is not None and side > 0:
            return 0.06 * h, up - 0.05 * h, self._lean + 0.14 * h
        swing = -math.sin(pose.stride + 0.5 + (math.pi if side > 0 else 0)) * 0.145 * h * pose.pace * look.gait
        reach = 0.318 * h
        hangs: Local = (
            right + side * 0.020 * h,
            up - math.sqrt(reach**2 - swing**2) + 0.006 * h * pose.pace,
            ahead + swing + 0.022 * h,
        )
        rings: Local = (0.12 * h, up - 0.02 * h, self._lean + 0.28 * h)
        return between(hangs, rings, pose.reach) if side > 0 else hangs

    def _torso(self) -> None:
        look, h, w = self._look, self._h, self._wide
        top, hip, lean = self._shoulder_y, self._hip_y, self._lean
        r = 0.046 * h * self._bulk * w
        neck: Local = (0, top + 0.008 * h, lean)
        self._add(
            [((s * 0.047 * h * w, hip + 0.012 * h, 0.0), 0.052 * h * w) for s in _SIDES], look.bottom, _BELOW - 0.02
        )
        chest: list[Ball] = [((s * 0.070 * h * w, top - 0.038 * h, lean), r) for s in _SIDES]
        chest.append((neck, 0.036 * h))
        waist: list[Ball] = [((s * 0.044 * h * w, hip + 0.055 * h, lean * 0.5), r * 1.0) for s in _SIDES]
        low = 0.004 if look.wear in {"jacket", "hoodie"} else 0.018
        hips: list[Ball] = [((s * 0.049 * h * w, hip + low * h, 0.0), r * 1.04) for s in _SIDES]
        if look.wear != "dress":
            self._add([*waist, *hips], look.top, 0.006)
        self._add([*chest, *waist], look.top, 0.0)
        self._add(
            [((0, top - 0.005 * h, lean), 0.029 * h), ((0, top + 0.05 * h, lean + 0.010), 0.028 * h)], look.skin, -0.001
        )
        if look.wear in {"jacket", "coat"} and self._figure.towards_camera > 0.2:
            red, green, blue = look.top
            front = r + lean
            seam: list[Ball] = [((0, top - 0.03 * h, front), 0.004 * h), ((0, hip + 0.02 * h, front * 0.8), 0.004 * h)]
            self._add(seam, (red * 0.55, green * 0.55, blue * 0.55), -0.03)

    def _skirts(self) -> None:
        look, h, w, hip = self._look, self._h, self._wide, self._hip_y
        r = 0.046 * h * self._bulk * w
        sway = 0.014 * h * math.sin(self._pose.stride) * self._pose.pace
        apart = 0.05 * h * self._pose.pace
        if look.wear == "coat":
            hem: list[Ball] = [
                ((s * 0.062 * h * w + sway, hip - 0.19 * h, a), r) for s in _SIDES for a in (-apart, apart)
            ]
            self._add(
                [*(((s * 0.046 * h * w, hip + 0.06 * h, self._lean * 0.5), r * 1.02) for s in _SIDES), *hem],
                look.top,
                0.002,
            )
        elif look.below == "skirt":
            colour = look.top if look.wear == "dress" else look.bottom
            hem = [((s * 0.080 * h * w + sway, hip - 0.19 * h, a), r * 0.85) for s in _SIDES for a in (-apart, apart)]
            self._add(
                [*(((s * 0.040 * h * w, hip + 0.05 * h, self._lean * 0.5), r) for s in _SIDES), *hem], colour, 0.008
            )

    def _head(self) -> None:
        look, h = self._look, self._h
        size = self._head_size = 0.062 * (0.6 * h + 0.4 * 1.72)
        self._head_at: Local = (0.0, self._shoulder_y + 0.113 * h, self._lean + 0.014)
        hair = look.skin if look.hair_kind == "bald" else look.hair
        at = self._on_head
        self._add([(at(0, 0.28, -0.22), size * 0.98), (at(0, 0.1, 0.1), size * 0.86)], hair, -0.005)
        self._add([(at(0, -0.12, 0.26), size * 0.82), (at(0, -0.70, 0.36), size * 0.52)], look.skin, -0.02)
        if look.hair_kind == "long":
            self._add([(at(0, 0.1, -0.36), size * 0.95), (at(0, -1.3, -0.55), size * 0.70)], hair, -0.004)
        elif look.hair_kind == "bun":
            self._add([(at(0, 0.75, -0.95), size * 0.5)], hair, -0.01)
        elif look.hair_kind == "curly":
            self._add([(at(s, 0.3, -0.3), size * 0.85) for s in (-0.35, 0.35)], hair, -0.005)
        if look.hair_kind != "bald" and look.hat == "none":
            self._add([(at(s, 0.74, 0.18), size * 0.42) for s in (-0.42, 0.0, 0.42)], hair, -0.03)
        if self._figure.towards_camera > 0.15:
            self._face()
        self._hat()

    def _on_head(self, right: float, above: float, ahead: float) -> Local:
        """Return a point from the middle of the head, in head sizes."""
        (x, y, z), size = self._head_at, self._head_size
        return x + right * size, y + above * size, z + ahead * size

    def _face(self) -> None:
        at, size = self._on_head, self._head_size
        red, green, blue = self._look.skin
        for side in (-1, 1):
            self._add([(at(0.3 * side, 0.1, 1.0), size * 0.085)], (38.0, 28.0, 26.0), -0.2)
            self._add(
                [(at(s * side, 0.27, 0.98), size * 0.04) for s in (0.18, 0.44)],
                (red * 0.5, green * 0.42, blue * 0.4),
                -0.2,
            )
        self._add([(at(0, -0.2, 1.1), size * 0.10)], (red * 0.93, green * 0.86, blue * 0.84), -0.19)
        self._add([(at(s, -0.60, 0.86), size * 0.06) for s in (-0.2, 0.2)], (red * 0.72, green * 0.5, blue * 0.5), -0.2)

    def _hat(self) -> None:
        look, at, size = self._look, self._on_head, self._head_size
        if look.hat == "cap":
            self._add([(at(0, 0.62, -0.1), size * 0.86), (at(0, 0.5, 0.2), size * 0.8)], look.hat_colour, -0.06)
            brim: list[Ball] = [(at(s, 0.42, 1.15), size * 0.15) for s in (-0.4, 0.4)]
            self._add([*brim, (at(0, 0.5, 0.7), size * 0.2)], look.hat_colour, -0.08)
        elif look.hat == "beanie":
            self._add([(at(0, 0.66, -0.12), size * 0.94), (at(0, 0.42, 0.0), size * 0.98)], look.hat_colour, -0.05)
        elif look.hat == "hood":
            self._add([(at(0, 0.3, -0.3), size * 1.16), (at(0, -0.7, -0.35), size * 0.95)], look.top, -0.006)

    def _bag(self) -> None:
        look, h = self._look, self._h
        low, high = self._hip_y, self._shoulder_y
        if look.bag == "backpack":
            back = self._lean - 0.115 * h
            corners: list[Ball] = [
                ((s * 0.052 * h, y, back), 0.045 * h) for s in _SIDES for y in (high - 0.07 * h, low + 0.06 * h)
            ]
            self._add(corners, look.bag_colour)
            if self._figure.towards_camera > 0.3:
                for side in _SIDES:
                    strap: list[Ball] = [
                        ((side * 0.075 * h, high - y * h, self._lean + 0.045 * h), 0.010 * h) for y in (0.0, 0.13)
                    ]
                    self._add(strap, look.bag_colour, -0.02)
        elif look.bag == "shoulder":
            side = -0.145 * h * self._wide
            satchel: list[Ball] = [
                ((side, low + y * h, f * h), 0.022 * h) for y in (-0.045, 0.035) for f in (-0.05, 0.05)
            ]
            self._add(
                satchel,
                look.bag_colour,
                -0.02 if self._figure.depth((side, 0, 0)) < self._figure.depth((0, 0, 0)) + 0.05 else _BEHIND,
            )

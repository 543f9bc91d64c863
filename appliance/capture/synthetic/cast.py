"""Everything that moves, at one moment: as sprites, each in the light of the place where it is."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

from appliance.capture.synthetic import place, props
from appliance.capture.synthetic.backdrop import vignette
from appliance.capture.synthetic.body import STRIDE_M, draw_body
from appliance.capture.synthetic.figures import Pose
from appliance.capture.synthetic.perspective import FOCAL
from appliance.capture.synthetic.routes import Line
from appliance.capture.synthetic.sprites import Shadow, Sprite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from appliance.capture.synthetic.light import Light, Rgb
    from appliance.capture.synthetic.perspective import Perspective, Point3D
    from appliance.capture.synthetic.routes import Place
    from appliance.capture.synthetic.schedule import Guest, Schedule

_CAR_EVERY_S, _CAT_EVERY_S = 26.0, 47.0
_CAT_SPEED = 0.95
_CAT_WAYS = (
    Line([(7.8, 7.6), (3.5, 7.0), (0.8, 5.6), (-1.5, 4.75), (-5.5, 4.7)]),
    Line([(-0.9, 9.6), (2.0, 9.2), (5.0, 8.4), (9.2, 8.6)]),
    Line([(-5.4, 4.8), (-2.0, 4.7), (0.8, 5.3), (4.0, 8.0), (9.0, 9.5)]),
)
_LIGHT_FROM = -0.5


class Cast:
    """All that moves in one scene."""

    def __init__(
        self,
        schedule: Schedule,
        view: Perspective,
        light: Light,
        shade: Callable[[float, float, float], float],
        seed: int,
    ) -> None:
        """`shade` says how far leaves keep the sun from a place (x, z) at a time."""
        self._schedule, self._view, self._light, self._shade, self._seed = schedule, view, light, shade, seed

    def sprites(self, t: float) -> list[Sprite]:
        """Return what is about at `t`, the farthest first."""
        found = [*self._people(t), *self._parcels(t), *self._car(t), *self._cat(t)]
        return sorted(found, key=lambda sprite: -sprite.z)

    def _people(self, t: float) -> Iterator[Sprite]:
        call = self._schedule.at(t)
        for guest in call.guests if call else ():
            where = guest.walk.place(t)
            if where is not None:
                yield from self._guest(guest, where, t)

    def _guest(self, guest: Guest, where: Place, t: float) -> Iterator[Sprite]:
        look = guest.look
        stride = guest.phase + math.tau * where.walked / (STRIDE_M * look.height / 1.72 * look.gait)
        since = t - guest.walk.arrival
        cargo = guest.brings or guest.takes
        holds = (guest.brings is not None and t < guest.handover + 0.2) or (
            guest.takes is not None and t > guest.handover - 0.2
        )
        pose = Pose(
            x=where.x,
            ground=place.ground_at(where.x, where.z),
            z=where.z,
            heading=where.heading,
            stride=stride,
            pace=where.pace,
            reach=_bump(since, 0.8, 2.0) if guest.rings else 0.0,
            bend=_bump(t - guest.handover, -0.8, 0.9) if cargo else 0.0,
            holds=holds,
        )
        light = self._lit(where.x, where.z, 1.1, t)
        shadow = self._shadow(where.x, pose.ground, where.z, 0.34 * look.build, t)
        yield Sprite(
            where.z,
            "person",
            draw_body(look, pose, self._view, _LIGHT_FROM),
            light,
            self._light.colour,
            0.0048 / where.z,
            shadow,
        )
        if look.umbrella is not None:
            parts = props.umbrella(self._view, pose, look.height, look.umbrella, _LIGHT_FROM)
            yield Sprite(where.z - 0.02, None, parts, light, self._light.colour)
        if cargo is not None and holds and (t < guest.handover) == (guest.brings is not None):
            yield self._carried(guest, pose, t)

    def _carried(self, guest: Guest, pose: Pose, t: float) -> Sprite:
        cargo = guest.brings or guest.takes
        assert cargo is not None  # noqa: S101  # for mypy: the caller has looked
        h = guest.look.height
        ahead, up = 0.22 * h, (0.60 - 0.42 * pose.bend) * h
        sin, cos = math.sin(pose.heading), math.cos(pose.heading)
        held: Point3D = pose.x + sin * ahead, pose.ground + up, pose.z + cos * ahead
        share = _smooth(1 - abs(t - guest.handover) / 0.55)
        lies: Point3D = (cargo.spot[0], place.FLOOR_Y, cargo.spot[1])
        x, y, z = (a + (b - a) * share for a, b in zip(held, lies, strict=True))
        turn = pose.heading * (1 - share) + cargo.turn * share
        parts = props.parcel(self._view, (x, y, z), cargo.size, _quarter(turn))
        return Sprite(z, "parcel", parts, self._lit(x, z, 1.0, t), self._light.colour)

    def _parcels(self, t: float) -> Iterator[Sprite]:
        for one in self._schedule.lying(t):
            x, z = one.spot
            parts = props.parcel(self._view, (x, place.FLOOR_Y, z), one.size, one.turn)
            shadow = self._shadow(x, place.FLOOR_Y, z, one.size[0] * 0.85, t)
            yield Sprite(z, "parcel", parts, self._lit(x, z, 0.3, t), self._light.colour, 0.0, shadow)

    def _car(self, t: float) -> Iterator[Sprite]:
        slot = math.floor(t / _CAR_EVERY_S)
        rng = random.Random(f"{self._seed} car {slot}")
        if rng.random() > 0.6:
            return
        speed, right, begin = rng.uniform(6.5, 10.0), rng.random() < 0.5, rng.uniform(0, _CAR_EVERY_S - 4)
        way = (t - slot * _CAR_EVERY_S - begin) * speed
        z = place.CAR_LANES[0 if right else 1]
        edge = 0.55 * z / FOCAL + 3
        x = -4.6 + way if right else edge - way
        if not -4.7 < x < edge + 0.1:
            return
        parts = props.car(self._view, x, z, right=right, paint=rng.randrange(1 << 30), dark=self._light.street)
        yield Sprite(
            z, "car", parts, self._lit(x, z, 0.8, t), self._light.colour, 0.0006, self._shadow(x, 0, z, 2.6, t)
        )

    def _cat(self, t: float) -> Iterator[Sprite]:
        slot = math.floor(t / _CAT_EVERY_S)
        rng = random.Random(f"{self._seed} cat {slot}")
        line, begin = rng.choice(_CAT_WAYS), rng.uniform(0, _CAT_EVERY_S - 18)
        gone = (t - slot * _CAT_EVERY_S - begin) * _CAT_SPEED
        if rng.random() > 0.5 or not 0 < gone < line.length:
            return
        x, z = line.at(gone)
        pose = Pose(x, 0.0, z, line.heading(gone), gone * 14.0, 1.0)
        parts = props.cat(self._view, pose, _LIGHT_FROM, self._seed)
        yield Sprite(
            z, "cat", parts, self._lit(x, z, 0.2, t), self._light.colour, 0.003 / z, self._shadow(x, 0, z, 0.24, t)
        )

    def _sun(self, x: float, z: float, t: float) -> float:
        """Return the share of the sun that reaches the ground there."""
        return 0.3 if place.in_porch(x, z) else 1 - 0.75 * self._shade(x, z, t)

    def _lit(self, x: float, z: float, y: float, t: float) -> Rgb:
        sun = self._sun(x, z, t)
        ((u, v),) = self._view.project([(x, y, z)])
        dim = vignette(u, v, self._view.aspect)
        red, green, blue = ((a + b * sun) * dim for a, b in zip(self._light.on(x, y, z), self._light.sun, strict=True))
        return red, green, blue

    def _shadow(self, x: float, y: float, z: float, wide: float, t: float) -> Shadow:
        ((u, v),) = self._view.project([(x, y, z)])
        under_roof = place.in_porch(x, z)
        sun = (
            0.0
            if under_roof
            else self._sun(x, z, t) * self._light.sun[0] / (self._light.sun[0] + self._light.ambient[0])
        )
        return Shadow(float(u), float(v), wide * FOCAL / z, 0.46, sun * 0.95)


def _smooth(share: float) -> float:
    share = min(1.0, max(0.0, share))
    return share * share * (3 - 2 * share)


def _bump(t: float, begin: float, end: float) -> float:
    """Return a smooth rise from 0 to 1 and back within begin..end."""
    ramp = min(0.55, (end - begin) / 2)
    return _smooth((t - begin) / ramp) * _smooth((end - t) / ramp)


def _quarter(turn: float) -> float:
    """Return the same look of a box within an eighth of a turn."""
    return math.remainder(turn, math.pi / 2)

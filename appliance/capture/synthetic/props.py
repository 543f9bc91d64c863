"""What people carry or leave: parcels and umbrellas; and what comes by on its own: the cat and the car."""

from __future__ import annotations

import math
import random
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from appliance.capture.synthetic.figures import Figure
from appliance.capture.synthetic.sprites import Part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.capture.synthetic.figures import Local, Pose
    from appliance.capture.synthetic.light import Rgb
    from appliance.capture.synthetic.perspective import Perspective, Point3D

_FURS: tuple[Rgb, ...] = ((46, 42, 40), (176, 112, 60), (128, 122, 116), (222, 214, 202), (92, 74, 58))
_PAINTS: tuple[Rgb, ...] = (
    (168, 30, 34), (40, 66, 120), (204, 206, 208), (52, 54, 58), (120, 126, 132), (46, 92, 84), (222, 218, 208),
)  # fmt: skip


def shape(
    view: Perspective, points: Sequence[Point3D], colour: Rgb, *, shade: bool = False, glows: bool = False
) -> Part:
    return Part(view.project(points).astype(np.float32), colour, is_shade=shade, glows=glows)


def parcel(view: Perspective, at: Point3D, size: tuple[float, float, float], turn: float) -> tuple[Part, ...]:
    """Return a cardboard box (wide, high, deep) whose bottom's middle lies at `at`."""
    (x, y, z), (wide, high, deep) = at, size
    sin, cos = math.sin(turn), math.cos(turn)

    def corner(across: float, up: float, back: float) -> Point3D:
        a, b = across * wide / 2, back * deep / 2
        return x + a * cos + b * sin, y + up * high, z - a * sin + b * cos

    faces: list[tuple[float, list[Point3D], float]] = []
    for name, tone in (("left", 0.98), ("right", 0.68), ("near", 0.86)):
        side = {"left": (-1, -1, -1, 1), "right": (1, -1, 1, 1), "near": (-1, -1, 1, -1)}[name]
        a1, b1, a2, b2 = side
        quad = [corner(a1, 0, b1), corner(a2, 0, b2), corner(a2, 1, b2), corner(a1, 1, b1)]
        faces.append((sum(point[2] for point in quad) / 4, quad, tone))
    faces.sort(key=lambda face: -face[0])
    brown = np.array((190, 146, 98))
    parts = [shape(view, quad, _rgb(brown * tone)) for _, quad, tone in faces]
    parts.append(
        shape(view, [corner(-1, 1, -1), corner(1, 1, -1), corner(1, 1, 1), corner(-1, 1, 1)], _rgb(brown * 1.14))
    )
    tape = [corner(-0.12, 1, -1), corner(0.12, 1, -1), corner(0.12, 1, 1), corner(-0.12, 1, 1)]
    parts.append(shape(view, tape, (216, 190, 146), shade=True))
    front = [corner(-0.12, 0.55, -1.005), corner(0.12, 0.55, -1.005), corner(0.12, 1, -1.005), corner(-0.12, 1, -1.005)]
    parts.append(shape(view, front, (196, 166, 122), shade=True))
    label = [corner(0.3, 0.3, -1.01), corner(0.8, 0.3, -1.01), corner(0.8, 0.72, -1.01), corner(0.3, 0.72, -1.01)]
    parts.append(shape(view, label, (232, 230, 224), shade=True))
    return tuple(parts)


def umbrella(view: Perspective, pose: Pose, height: float, colour: Rgb, light_from: float) -> tuple[Part, ...]:
    """Return an open umbrella in somebody's right hand, above their head."""
    figure = Figure(pose, view, light_from)
    grip: Local = (0.06 * height, height * 0.74, 0.14 * height)
    top: Local = (0.03 * height, height * 1.20, 0.05 * height)
    u, v, scale = figure.project(top)
    wide, high = 0.56 * scale, 0.27 * scale
    figure.add([(grip, 0.009), (top, 0.008)], (60, 58, 56))
    angles = np.linspace(math.pi, 2 * math.pi, 33)
    dome = np.stack((u + wide * np.cos(angles), v + high * 0.55 + high * 1.1 * np.sin(angles)), 1)
    ribs = np.linspace(1, -1, 6)
    lower = [
        (u + wide * (a + (b - a) * share), v + high * 0.55 - high * 0.16 * math.sin(math.pi * share))
        for a, b in pairwise(ribs)
        for share in np.linspace(0, 1, 6, endpoint=False)
    ]
    parts = [
        *figure.parts(),
        Part(np.concatenate((dome, np.array(lower))).astype(np.float32), _rgb(np.array(colour) * 0.86)),
    ]
    for number, (a, b) in enumerate(pairwise(ribs)):
        tone = (0.74, 0.86, 0.98, 1.10, 1.16)[number]
        arc = np.linspace(b, a, 7)
        rim = [(u + wide * e, v + high * 0.55 - high * 0.14 * math.sin(math.pi * (e - b) / (a - b))) for e in arc]
        left = [
            (u + wide * a * math.cos(h), v + high * 0.55 - high * 1.06 * math.sin(h)) for h in np.linspace(0.0, 1.5, 7)
        ]
        right = [
            (u + wide * b * math.cos(h), v + high * 0.55 - high * 1.06 * math.sin(h)) for h in np.linspace(1.5, 0.0, 7)
        ]
        parts.append(Part(np.array([*left, *right, *rim], np.float32), _rgb(np.array(colour) * tone), is_shade=True))
    return tuple(parts)


def cat(view: Perspective, pose: Pose, light_from: float, fur: int) -> tuple[Part, ...]:
    """Return a cat that trots."""
    figure, colour = Figure(pose, view, light_from), _FURS[fur % len(_FURS)]
    dark: Rgb = (colour[0] * 0.82, colour[1] * 0.82, colour[2] * 0.82)
    for side in (-1.0, 1.0):
        for end, shift in ((0.15, 0.0), (-0.17, math.pi * 0.9)):
            phase = pose.stride + shift + (math.pi if side > 0 else 0)
            swing = math.sin(phase)
            foot: Local = (side * 0.035, 0.015 + 0.03 * max(0.0, math.cos(phase)), end + 0.07 * swing)
            elbow: Local = (side * 0.038, 0.09, end + 0.02 * swing)
            figure.add([((side * 0.04, 0.17, end), 0.034), (elbow, 0.02), (foot, 0.016)], dark)
    figure.add([((0, 0.205, 0.14), 0.064), ((0, 0.20, -0.16), 0.068)], colour)
    figure.add([((0, 0.24, 0.17), 0.05), ((0, 0.285, 0.245), 0.045)], colour)
    figure.add([((0, 0.305, 0.27), 0.052), ((0, 0.288, 0.315), 0.030)], colour, -0.01)
    for side in (-1, 1):
        figure.add([((side * 0.03, 0.345, 0.265), 0.016), ((side * 0.038, 0.378, 0.258), 0.004)], dark, -0.02)
    sway = 0.05 * math.sin(pose.stride * 0.5)
    tail: list[Local] = [(0, 0.22, -0.20), (sway * 0.4, 0.30, -0.29), (sway, 0.40, -0.31), (sway * 1.6, 0.46, -0.29)]
    for a, b in pairwise(tail):
        figure.add([(a, 0.018), (b, 0.015)], colour, 0.01)
    return figure.parts()


def car(view: Perspective, x: float, z: float, *, right: bool, paint: int, dark: float) -> tuple[Part, ...]:
    """Return a car that shows its side; `dark` (0..1) turns on its lamps."""
    rng = random.Random(paint)
    colour, van = np.array(rng.choice(_PAINTS)), rng.random() < 0.25
    way, long = (1 if right else -1), rng.uniform(2.0, 2.3)

    def outline(points: Sequence[tuple[float, float]]) -> list[Point3D]:
        return [(x + way * a * long, b, z) for a, b in points]

    roof = (
        [(-0.80, 1.0), (-0.62, 1.42), (0.10, 1.45), (0.46, 0.98)]
        if not van
        else [(-0.98, 1.0), (-0.96, 1.86), (0.42, 1.88), (0.70, 1.05)]
    )
    glass = (
        [(-0.70, 1.0), (-0.58, 1.34), (0.08, 1.37), (0.38, 1.0)]
        if not van
        else [(0.0, 1.12), (0.0, 1.62), (0.40, 1.66), (0.60, 1.12)]
    )
    body = [(-0.99, 0.34), (-1.0, 0.74), (-0.86, 1.0), *roof, (0.86, 0.88), (0.99, 0.66), (0.99, 0.34)]
    parts = [
        shape(view, outline(body), _rgb(colour * 0.95)),
        shape(
            view, outline([(-0.98, 0.34), (-0.98, 0.58), (0.99, 0.58), (0.99, 0.34)]), _rgb(colour * 0.72), shade=True
        ),
        shape(
            view, outline([(-0.86, 0.93), (-0.84, 0.98), (0.80, 0.93), (0.82, 0.88)]), _rgb(colour * 1.18), shade=True
        ),
        shape(view, outline(glass), (46, 54, 64), shade=True),
        shape(
            view, outline([(-0.22, 0.98), (-0.22, 1.38), (-0.18, 1.38), (-0.18, 0.98)]), _rgb(colour * 0.8), shade=True
        ),
    ]
    for middle in (-0.62, 0.64):
        for radius, tone in ((0.34, (24, 24, 26)), (0.19, (126, 128, 132)), (0.07, (52, 52, 56))):
            turns = np.linspace(0, math.tau, 16, endpoint=False)
            wheel = [(x + way * middle * long + radius * math.cos(a), 0.33 + radius * math.sin(a), z) for a in turns]
            parts.append(shape(view, wheel, tone, shade=radius < 0.3))
    lamps = (
        ([(0.90, 0.64), (0.90, 0.76), (0.985, 0.70), (0.985, 0.62)], (250, 240, 214)),
        ([(-0.995, 0.64), (-0.985, 0.82), (-0.94, 0.82), (-0.94, 0.64)], (216, 34, 28)),
    )
    for points, tone in lamps:
        parts.append(shape(view, outline(points), tone, shade=True, glows=dark > 0.3))
    return tuple(parts)


def _rgb(tones: Any) -> Rgb:
    red, green, blue = (float(min(255.0, value)) for value in tones)
    return red, green, blue

"""The light of an hour: what falls on things, what the sky looks like, how noisy the camera gets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from appliance.capture.synthetic.perspective import Point3D

Rgb = tuple[float, float, float]

PORCH_LAMP: Point3D = (-1.52, 2.12, 6.2)
STREET_LAMP: Point3D = (2.3, 4.4, 18.2)
_KNEE = 0.72


@dataclass(frozen=True, slots=True)
class Light:
    """Factors on the colours of things, 1 being white paper in full light; sky colours are RGB 0..255."""

    ambient: Rgb
    sun: Rgb
    porch: float
    street: float
    sky_top: Rgb
    sky_bottom: Rgb
    windows: float
    """How brightly windows are lit from within."""
    noise: float
    """Standard deviation of the sensor's noise, of 255."""
    colour: float = 1.0
    """1: full colours; a camera sees few of them at night."""

    def on(self, x: Any, y: Any, z: Any) -> tuple[Any, Any, Any]:
        """Return the RGB factors at a place out of the sun; numbers or arrays."""
        porch = 0.95 * self.porch / (1 + _distance2(x, y, z, PORCH_LAMP) / 2.3**2)
        street = 0.62 * self.street / (1 + _distance2(x, y, z, STREET_LAMP) / 5.0**2)
        red, green, blue = self.ambient
        return red + porch + street * 0.9, green + porch * 0.78 + street * 0.86, blue + porch * 0.52 + street * 0.74


_HOURS: tuple[tuple[float, Light], ...] = (
    (4.0, Light((0.115, 0.135, 0.185), (0, 0, 0), 1.0, 1.0, (9, 13, 26), (26, 32, 50), 0.35, 5.2, 0.62)),
    (6.0, Light((0.33, 0.33, 0.40), (0.08, 0.04, 0.02), 0.8, 0.7, (52, 70, 116), (212, 158, 142), 0.5, 3.0, 0.9)),
    (7.5, Light((0.56, 0.56, 0.60), (0.44, 0.32, 0.19), 0.0, 0.0, (104, 146, 204), (236, 214, 196), 0.0, 1.6)),
    (10.0, Light((0.62, 0.655, 0.72), (0.47, 0.435, 0.365), 0.0, 0.0, (84, 142, 214), (198, 219, 238), 0.0, 1.3)),
    (15.5, Light((0.62, 0.65, 0.71), (0.48, 0.44, 0.36), 0.0, 0.0, (82, 138, 210), (200, 218, 235), 0.0, 1.3)),
    (18.0, Light((0.56, 0.54, 0.57), (0.50, 0.36, 0.20), 0.1, 0.0, (98, 136, 190), (240, 212, 178), 0.15, 1.7)),
    (19.5, Light((0.40, 0.36, 0.42), (0.20, 0.09, 0.03), 0.7, 0.6, (64, 72, 124), (240, 150, 106), 0.7, 2.6, 0.95)),
    (20.7, Light((0.22, 0.23, 0.32), (0.02, 0.01, 0.01), 1.0, 1.0, (26, 34, 74), (122, 88, 104), 1.0, 3.8, 0.8)),
    (22.0, Light((0.125, 0.145, 0.20), (0, 0, 0), 1.0, 1.0, (10, 15, 30), (30, 36, 56), 0.8, 4.8, 0.65)),
)


def light_at(hour: float, *, rain: bool) -> Light:
    """Return the light of an hour, 0 to 24."""
    hours = [_HOURS[-1][0] - 24, *(at for at, _ in _HOURS), _HOURS[0][0] + 24]
    lights = [_HOURS[-1][1], *(light for _, light in _HOURS), _HOURS[0][1]]
    after = next(i for i, at in enumerate(hours) if i > 0 and hour <= at)
    share = (hour - hours[after - 1]) / (hours[after] - hours[after - 1])
    light = _blend(lights[after - 1], lights[after], share)
    if not rain:
        return light
    grey_top, grey_bottom = sum(light.sky_top) / 3 * 0.92, sum(light.sky_bottom) / 3 * 0.84
    red, green, blue = light.ambient
    return replace(
        light,
        ambient=(red * 0.90, green * 0.92, blue * 0.96),
        sun=(0.0, 0.0, 0.0),
        porch=max(light.porch, 0.45),
        windows=max(light.windows, 0.35),
        sky_top=(grey_top * 0.97, grey_top, grey_top * 1.05),
        sky_bottom=(grey_bottom * 0.98, grey_bottom, grey_bottom * 1.03),
        noise=light.noise + 0.8,
        colour=light.colour * 0.85,
    )


def tone(value: Any) -> Any:
    """Return brightness as the camera records it: 0..1 straight, what is brighter bends towards 1."""
    above = np.maximum(value - _KNEE, 0.0)
    return np.minimum(value, _KNEE) + (1 - _KNEE) * np.tanh(above / (1 - _KNEE) * 0.9)


def _blend(a: Light, b: Light, share: float) -> Light:
    def mixed(name: str) -> Any:
        first, second = getattr(a, name), getattr(b, name)
        if isinstance(first, tuple):
            return tuple(p + (q - p) * share for p, q in zip(first, second, strict=True))
        return first + (second - first) * share

    return Light(**{name: mixed(name) for name in Light.__slots__})


def _distance2(x: Any, y: Any, z: Any, lamp: Point3D) -> Any:
    return (x - lamp[0]) ** 2 + (y - lamp[1]) ** 2 + (z - lamp[2]) ** 2


def as_array(colour: Rgb) -> Any:
    """Return a colour that multiplies pictures."""
    return np.array(colour, np.float32)

"""From metres to the picture: x to the right, y up, z away from the camera; the picture's width is 1."""

from __future__ import annotations

from typing import Any

import numpy as np

Point3D = tuple[float, float, float]

EYE_Y = 2.2
"""The camera's height. It looks level, through a shifted lens: what is upright stays upright."""
FOCAL = 0.72
CENTRE_U = 0.5
_HORIZON = 0.36
"""The share of the picture above the horizon."""


class Perspective:
    """Where a point of the scene lies in a picture of this shape."""

    def __init__(self, aspect: float) -> None:
        """Take the picture's height over its width."""
        self.horizon = _HORIZON * aspect
        self.aspect = aspect

    def project(self, points: Any) -> Any:
        """Return (n, 2) float64 u, v of (n, 3) x, y, z."""
        at = np.asarray(points, np.float64).reshape(-1, 3)
        scale = FOCAL / np.maximum(at[:, 2], 0.05)
        return np.stack((CENTRE_U + at[:, 0] * scale, self.horizon + (EYE_Y - at[:, 1]) * scale), axis=1)

    def unproject(self, u: Any, v: Any, z: Any) -> tuple[Any, Any]:
        """Return the x and y of what is seen at u, v when it lies at z."""
        return (u - CENTRE_U) * z / FOCAL, EYE_Y - (v - self.horizon) * z / FOCAL

    def ground_depth(self, v: Any, height: float = 0.0) -> Any:
        """Return the z at which the level at `height` is seen at v; far away at the horizon and above."""
        return FOCAL * (EYE_Y - height) / np.maximum(v - self.horizon, 1e-4)

"""RF-DETR's arithmetic, plainly: each step from its definition, in float64. What the appliance does is held against it.

That these definitions are the rfdetr package's own is what test_golden.py is for.
"""

from __future__ import annotations

from functools import lru_cache
from math import exp
from typing import Any, TypeAlias

import numpy as np

from appliance.inference.rfdetr import MEAN, STD, TOP_K

Row: TypeAlias = tuple[tuple[float, float, float, float], float, int]
"""Box x1 y1 x2 y2 in pixels, score, class id."""


def resized(rgb: Any, side: int) -> Any:
    """Plain bilinear, half-pixel centres, no antialiasing, on floats of 0..1: float64 [side, side, 3]."""
    top, bottom, down = places(rgb.shape[0], side)
    left, right, along = places(rgb.shape[1], side)
    down = down[:, None, None]
    along = along[None, :, None]
    picture = rgb[top] * (1 - down) + rgb[bottom] * down
    return (picture[:, left] * (1 - along) + picture[:, right] * along) / 255


@lru_cache(maxsize=64)
def places(length: int, side: int) -> tuple[Any, Any, Any]:
    """Return the two pixels that each of `side` new ones lies between, and how far along it lies."""
    at = np.clip((np.arange(side) + 0.5) * length / side - 0.5, 0, length - 1)
    low = np.floor(at).astype(int)
    return low, np.minimum(low + 1, length - 1), at - low


def expected_tensor(rgb: Any, side: int) -> Any:
    normal = (resized(rgb, side) - np.array(MEAN)) / np.array(STD)
    return normal.transpose(2, 0, 1)[None]


def expected_rows(dets: Any, labels: Any, width: int, height: int, threshold: float) -> list[Row]:
    """Sigmoid, top-k over queries x classes, index // classes, index % classes, boxes to corners: one at a time.

    A score of the threshold counts. Of equal logits the one with the lower index comes first. Boxes end where the
    picture does.
    """
    classes = labels.shape[1]
    logits = labels.reshape(-1)
    rows: list[Row] = []
    for index in np.argsort(-logits, kind="stable")[:TOP_K]:
        score = 1 / (1 + exp(-float(logits[index])))
        if np.float32(score) >= np.float32(threshold):
            cx, cy, w, h = map(float, dets[index // classes])
            left, right = (min(max(x * width, 0.0), width) for x in (cx - w / 2, cx + w / 2))
            top, bottom = (min(max(y * height, 0.0), height) for y in (cy - h / 2, cy + h / 2))
            rows.append(((left, top, right, bottom), score, int(index % classes)))
    return rows


def best_score(labels: Any, class_id: int) -> float:
    """Return the score of the query that is most of this class."""
    return 1 / (1 + exp(-float(labels[:, class_id].max())))

"""Makes each picture a little different each time it is learnt from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from training.pictures import Bytes, Floats


def augment(picture: Bytes, things: Floats, rng: np.random.Generator) -> tuple[Bytes, Floats]:
    """Return a picture like this one, and its things (n, 6): kind, x1 y1 x2 y2 in 0..1, visible."""
    if rng.random() < 0.5:
        picture, things = _flipped(picture, things)
    if rng.random() < 0.5:
        picture, things = _moved(picture, things, rng)
    if rng.random() < 0.6:
        picture = _relit(picture, rng)
    return picture, things


def _flipped(picture: Bytes, things: Floats) -> tuple[Bytes, Floats]:
    things = things.copy()
    things[:, [1, 3]] = 1 - things[:, [3, 1]]
    return np.ascontiguousarray(picture[:, ::-1]), things


def _moved(picture: Bytes, things: Floats, rng: np.random.Generator) -> tuple[Bytes, Floats]:
    """Cut a part out, at least three quarters of each side; what slips over the edge is seen less."""
    side = len(picture)
    scale = rng.uniform(1, 4 / 3, 2)
    shift = rng.uniform(1 - scale, 0)
    matrix = np.array([[scale[0], 0, shift[0] * side], [0, scale[1], shift[1] * side]])
    moved = cv2.warpAffine(picture, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    boxes = things[:, 1:5] * np.tile(scale, 2) + np.tile(shift, 2)
    inside = boxes.clip(0, 1)
    share = _area(inside) / np.maximum(_area(boxes), 1e-9)
    kept = np.concatenate((things[:, :1], inside, things[:, 5:] * share[:, None]), axis=1)
    return np.asarray(moved, np.uint8), kept[share > 0].astype(np.float32)


def _area(boxes: Floats) -> Floats:
    return np.asarray((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))


def _relit(picture: Bytes, rng: np.random.Generator) -> Bytes:
    """Another exposure, contrast and white balance, and some noise."""
    gain = np.exp(rng.normal(0, 0.18) + rng.normal(0, 0.05, 3))
    table = (np.arange(256)[:, None] / 255) ** np.exp(rng.normal(0, 0.15)) * 255 * gain + rng.normal(0, 6)
    table = np.asarray(table.clip(0, 255), np.uint8).reshape(1, 256, 3)
    relit = cv2.LUT(picture, table)
    if rng.random() < 0.4:
        noise = rng.integers(-128, 128, (picture.shape[0] // 2, picture.shape[1], 3)).astype(np.int16)
        noise = np.concatenate((noise, noise[::-1, ::-1]))
        relit = (relit + noise * rng.uniform(0, 0.1)).clip(0, 255).astype(np.uint8)
    return np.asarray(relit, np.uint8)

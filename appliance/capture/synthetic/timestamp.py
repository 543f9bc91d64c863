"""The scene time in a picture, for people and for machines."""

from __future__ import annotations

from typing import Any

import cv2

_BITS = 32


def _block(width: int) -> int:
    return max(4, round(width / 80))


def write_timestamp(picture: Any, t: float) -> None:
    """Write mm:ss.mmm, and below it the milliseconds as 32 blocks, the highest bit first, white for 1."""
    block = _block(picture.shape[1])
    ms = round(t * 1000) & 0xFFFFFFFF
    picture[: block * 3, : block * (_BITS + 2)] = 0
    text = f"{ms // 60_000:02}:{ms // 1000 % 60:02}.{ms % 1000:03}"
    cv2.putText(
        picture,
        text,
        (block, round(block * 2.75)),
        cv2.FONT_HERSHEY_SIMPLEX,
        block / 17,
        (255, 255, 255),
        max(1, block // 8),
        cv2.LINE_AA,
    )
    for bit in range(_BITS):
        if ms >> (_BITS - 1 - bit) & 1:
            picture[:block, block * (bit + 1) : block * (bit + 2)] = 255


def read_timestamp(picture: Any) -> float:
    """Return the scene time that `write_timestamp` wrote into this picture, in seconds."""
    block = _block(picture.shape[1])
    ms = 0
    for bit in range(_BITS):
        inside = picture[
            block // 4 : block - block // 4, block * (bit + 1) + block // 4 : block * (bit + 2) - block // 4
        ]
        ms = ms << 1 | int(inside.mean() > 127)
    return ms / 1000

"""JPEGs for viewers: the camera's own where it gives them, else encoded here; smaller ones for Home Assistant."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import simplejpeg

from appliance.messages import PixelFormat

if TYPE_CHECKING:
    from appliance.messages import Frame

QUALITY = 80
_QUALITIES = (75, 60, 45, 30, 15)
_EIGHTHS = 8
NOTICE_SIZE = (640, 360)
_NIGHT, _CHALK = (16, 12, 10), (200, 200, 200)


def _table(zero: int, span: int, full_zero: int) -> Any:
    """Return what turns video's limited range (BT.601) into JPEG's full one."""
    return ((np.arange(256) - zero) * 255 / span + full_zero).round().clip(0, 255).astype(np.uint8)


_FULL_LUMA = _table(16, 219, 0)
_FULL_CHROMA = _table(128, 224, 128)


def jpeg_of(frame: Frame) -> bytes:
    """Return a frame's JPEG, as a copy: it outlives the slot. ValueError: the picture cannot be encoded."""
    info = frame.info
    if info.format is PixelFormat.JPEG:
        return bytes(frame.data)
    rows = 1 if info.format is PixelFormat.YUYV else 2
    if (
        not info.width
        or not info.height
        or (info.format is not PixelFormat.RGB24 and (info.width % 2 or info.height % rows))
    ):
        raise ValueError(f"there is no {info.format.name} picture of {info.width}x{info.height}")
    flat: Any = np.frombuffer(frame.data, np.uint8)
    if info.format is PixelFormat.I420:
        pixels = info.width * info.height
        luma = cv2.LUT(flat[:pixels].reshape(info.height, info.width), _FULL_LUMA)
        chroma = cv2.LUT(flat[pixels:].reshape(info.height, info.width // 2), _FULL_CHROMA)
        u, v = chroma.reshape(2, info.height // 2, info.width // 2)
        return bytes(simplejpeg.encode_jpeg_yuv_planes(luma, u, v, QUALITY))
    match info.format:
        case PixelFormat.YUYV:
            rgb = cv2.cvtColor(flat.reshape(info.height, info.width, 2), cv2.COLOR_YUV2RGB_YUYV)
        case PixelFormat.NV12:
            rgb = cv2.cvtColor(flat.reshape(-1, info.width), cv2.COLOR_YUV2RGB_NV12)
        case _:
            rgb = flat.reshape(info.height, info.width, 3)
    return bytes(simplejpeg.encode_jpeg(rgb, QUALITY, "RGB", "420"))


def reduced(jpeg: bytes, max_width: int, max_bytes: int) -> bytes:
    """Return the JPEG no wider than `max_width` and no longer than `max_bytes` (a few hundred are the least there is).

    The width is the largest eighth of the original's that fits: libjpeg decodes at that scale for next to nothing.
    Where the lowest quality is still too long, it is halved until it fits. ValueError: it is no JPEG.
    """
    _, width, _, _ = simplejpeg.decode_jpeg_header(jpeg)
    if width <= max_width and len(jpeg) <= max_bytes:
        return jpeg
    eighths = max(1, min(_EIGHTHS, max_width * _EIGHTHS // width))
    picture = simplejpeg.decode_jpeg(jpeg, "RGB", min_width=-(-width * eighths // _EIGHTHS), min_factor=1)
    if picture.shape[1] > max_width:  # an eighth of a very wide one
        picture = _scaled(picture, max_width / picture.shape[1])
    while True:
        for quality in _QUALITIES:
            smaller = bytes(simplejpeg.encode_jpeg(picture, quality, "RGB", "420"))
            if len(smaller) <= max_bytes:
                return smaller
        if max(picture.shape[:2]) == 1:
            return smaller
        picture = _scaled(picture, 0.5)


@cache
def notice(words: str) -> bytes:
    """Return a JPEG of NOTICE_SIZE that says `words` (one line, ASCII) and shows nothing else."""
    width, height = NOTICE_SIZE
    picture = np.full((height, width, 3), _NIGHT, np.uint8)
    (long, high), _ = cv2.getTextSize(words, cv2.FONT_HERSHEY_DUPLEX, 1.0, 1)
    corner = ((width - long) // 2, (height + high) // 2)
    cv2.putText(picture, words, corner, cv2.FONT_HERSHEY_DUPLEX, 1.0, _CHALK, 1, cv2.LINE_AA)
    return bytes(simplejpeg.encode_jpeg(picture, QUALITY, "BGR", "420"))


def _scaled(picture: Any, factor: float) -> Any:
    height, width = (max(1, int(side * factor)) for side in picture.shape[:2])
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)

"""A decoded frame of FFmpeg's as a packed I420 picture: even sides, no padding, black at 16 and white at 235."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from av.video.reformatter import ColorRange

from appliance.messages import PixelFormat

if TYPE_CHECKING:
    from av import VideoFrame


def i420_layout(frame: VideoFrame) -> tuple[int, int, int]:
    """Return width, height and bytes of what `copy_i420` makes of a frame: odd sides lose their last row or column."""
    width, height = frame.width & ~1, frame.height & ~1
    return width, height, PixelFormat.I420.raw_size(width, height)


def copy_i420(frame: VideoFrame, into: memoryview) -> int:
    """Copy three planes into one packed picture (FFmpeg's rows are padded, ours are not); return its bytes."""
    if frame.format.name != "yuv420p" or frame.color_range == ColorRange.JPEG:
        frame = frame.reformat(format="yuv420p", dst_color_range=ColorRange.MPEG)  # as all I420 here
    width, height, size = i420_layout(frame)
    planes: Any = frame.planes
    at = 0
    for plane, (columns, rows) in zip(
        planes, ((width, height), (width // 2, height // 2), (width // 2, height // 2)), strict=True
    ):
        padded = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        target = np.frombuffer(into[at : at + columns * rows], np.uint8).reshape(rows, columns)
        np.copyto(target, padded[:rows, :columns])
        at += columns * rows
    return size

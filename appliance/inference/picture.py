"""From a frame as the camera gave it to an RGB picture, in place or in buffers that are reused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import simplejpeg

from appliance.messages import PixelFormat

if TYPE_CHECKING:
    from appliance.inference.rfdetr import Bytes
    from appliance.messages import Frame


_LARGEST_FACTOR = 8
_LONGEST_SIDE = 1 << 16
"""Of a picture, in pixels. Its size comes from a camera; whoever reads it counts positions in 32 bits."""
_GRAIN = {
    PixelFormat.RGB24: (1, 1),
    PixelFormat.YUYV: (2, 1),
    PixelFormat.NV12: (2, 2),
    PixelFormat.I420: (2, 2),
}
"""How many pixels share a colour, across and down: a picture's sides are multiples of these."""


class PictureError(Exception):
    """This frame holds no picture; the next may."""


def demand_raw(frame: Frame) -> None:
    """Hold a raw frame against its format. PictureError: there is no such picture, or not in so many bytes."""
    info = frame.info
    across, down = _GRAIN[info.format]
    if (
        not (0 < info.width < _LONGEST_SIDE and 0 < info.height < _LONGEST_SIDE)
        or info.width % across
        or info.height % down
    ):
        raise PictureError(f"there is no {info.format.name} picture of {info.width}x{info.height}")
    if frame.data.nbytes != info.format.raw_size(info.width, info.height):
        raise PictureError(f"{frame.data.nbytes} bytes are no {info.format.name} picture of {info.width}x{info.height}")


class Decoder:
    """Decodes frames for a model whose input is `side` pixels wide and high.

    A JPEG is decoded once, at the smallest of the scales 1, 1/2, 1/4, 1/8 that still covers the input: those between
    have no vector code in libjpeg-turbo, and 5/8 takes half as long again as the whole picture. Raw formats are
    converted whole: what is resized is the RGB picture, by RF-DETR's definition.
    """

    def __init__(self, side: int) -> None:
        self._side = side
        self._buffers: dict[tuple[int, ...], Any] = {}

    def decode(self, frame: Frame) -> Bytes:
        """Return uint8 [height, width, 3], RGB; overwritten by the next call. PictureError: it is broken.

        An RGB24 frame is not copied: the picture is a view of the frame's own memory and must be gone when that is
        given back.
        """
        info = frame.info
        if info.format is PixelFormat.JPEG:
            return self._jpeg(frame.data, info.width, info.height)
        demand_raw(frame)
        flat = np.frombuffer(frame.data, np.uint8)
        shape = (info.height, info.width, 3)
        if info.format is PixelFormat.RGB24:
            return flat.reshape(shape)
        rgb: Bytes = self._buffer(shape)
        match info.format:
            case PixelFormat.YUYV:
                cv2.cvtColor(flat.reshape(info.height, info.width, 2), cv2.COLOR_YUV2RGB_YUYV, dst=rgb)
            case PixelFormat.NV12:
                cv2.cvtColor(flat.reshape(-1, info.width), cv2.COLOR_YUV2RGB_NV12, dst=rgb)
            case PixelFormat.I420:
                cv2.cvtColor(flat.reshape(-1, info.width), cv2.COLOR_YUV2RGB_I420, dst=rgb)
        return rgb

    def _jpeg(self, data: memoryview, width: int, height: int) -> Bytes:
        factor = 1
        while factor < _LARGEST_FACTOR and min(width, height) >= 2 * factor * self._side:
            factor *= 2
        try:
            picture: Bytes = simplejpeg.decode_jpeg(
                data,
                "RGB",
                min_height=-(-height // factor),
                min_width=-(-width // factor),
                min_factor=1,
                buffer=self._buffer((height, width, 3)),  # a scaled picture takes its beginning
            )
        except ValueError as error:
            raise PictureError(f"broken JPEG: {error}") from None
        return picture

    def _buffer(self, shape: tuple[int, ...]) -> Any:
        """One buffer per shape; a camera's size hardly ever changes, so more than a few mean churn: start over."""
        if shape not in self._buffers:
            if len(self._buffers) >= 32:
                self._buffers.clear()
            self._buffers[shape] = np.empty(shape, np.uint8)
        return self._buffers[shape]

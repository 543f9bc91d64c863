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


class PictureError(Exception):
    """This frame holds no picture; the next may."""


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
        rows = 1 if info.format is PixelFormat.YUYV else 2
        if (
            not info.width
            or not info.height
            or (info.format is not PixelFormat.RGB24 and (info.width % 2 or info.height % rows))
        ):
            raise PictureError(f"there is no {info.format.name} picture of {info.width}x{info.height}")
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

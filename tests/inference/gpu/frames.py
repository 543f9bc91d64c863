"""Frames for the kernel and for what is around it: every format, any size, and how far two tensors may differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import simplejpeg

from appliance.inference.cpu_input import CpuInput
from appliance.inference.rfdetr import STD
from appliance.messages import Frame, FrameInfo, PixelFormat

RAW = [PixelFormat.YUYV, PixelFormat.NV12, PixelFormat.I420, PixelFormat.RGB24]
GRAIN = {PixelFormat.YUYV: (2, 1), PixelFormat.NV12: (2, 2), PixelFormat.I420: (2, 2), PixelFormat.RGB24: (1, 1)}
"""A picture's width and height are multiples of these."""


def frame(kind: PixelFormat, width: int, height: int, data: bytes) -> Frame:
    return Frame(FrameInfo(1, 0, 0, width, height, kind), memoryview(bytearray(data)))


def take_back(one: Frame) -> None:
    """Take the frame's memory back, as a slot's: BufferError if anything still looks into it.

    That the view can be released says nothing: NumPy has one of its own on the same memory.
    """
    memory = one.data.obj
    one.data.release()
    assert isinstance(memory, bytearray)
    memory.clear()


def noise(kind: PixelFormat, width: int, height: int, seed: int = 0) -> Frame:
    """Return a frame of random bytes: all colours there are, and some that there are not."""
    random = np.random.default_rng(seed)
    if kind is PixelFormat.JPEG:
        rgb = random.integers(0, 256, (height, width, 3), np.uint8)
        return frame(kind, width, height, simplejpeg.encode_jpeg(rgb, 90))
    return frame(kind, width, height, random.bytes(kind.raw_size(width, height)))


def extreme(kind: PixelFormat, width: int, height: int, seed: int = 0) -> Frame:
    """Return a raw frame of nothing but 0, 1, 15, 16, 128, 235, 254 and 255: the ends of what each byte can say."""
    ends = np.array([0, 1, 15, 16, 128, 235, 254, 255], np.uint8)
    chosen = np.random.default_rng(seed).integers(0, len(ends), kind.raw_size(width, height))
    return frame(kind, width, height, ends[chosen].tobytes())


def expected(one: Frame, side: int) -> Any:
    """Return the CPU path's tensor."""
    cpu = CpuInput(side)
    cpu.take(one)
    return cpu.tensor


def apart(one: Any, other: Any) -> float:
    """Return by how many grey steps (1/255 of the value range) two tensors differ, at most."""
    steps = np.abs(one.astype(np.float64) - other) * 255 * np.array(STD)[None, :, None, None]
    return float(steps.max())

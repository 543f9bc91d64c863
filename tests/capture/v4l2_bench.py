"""A camera in a kernel of the test's own, and the source that is tried on it."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.capture.source import Grabbed, SourceError
from appliance.capture.v4l2 import V4l2Source, abi
from appliance.config import V4l2Settings
from tests.capture.clips import jpeg, noise
from tests.capture.fake_kernel import MJPG, VIDEO0, YUYV, FakeCamera, FakeKernel

SIZE = (64, 48)
SETTINGS = V4l2Settings(VIDEO0)
PICTURE = jpeg(noise(0))
YUYV_BYTES = 64 * 48 * 2


def usb_camera(**what: Any) -> FakeCamera:
    return FakeCamera({MJPG: [SIZE, (128, 96)], YUYV: [SIZE, (32, 32)]}, **what)


def raw_camera(pixelformat: int = YUYV, **what: Any) -> FakeCamera:
    return FakeCamera({pixelformat: [SIZE]}, pixelformat=pixelformat, **what)


class Bench:
    """A camera, its kernel, and the source that is tried on it."""

    def __init__(self, camera: FakeCamera, settings: V4l2Settings = SETTINGS) -> None:
        self.camera = camera
        self.kernel = FakeKernel(camera)
        self.source = V4l2Source(settings, self.kernel)

    def feed(self, picture: bytes = PICTURE, flags: int = abi.V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC, **more: int) -> bool:
        """Let a picture be taken now."""
        return self.camera.feed(picture, flags, self.kernel.monotonic_ns, **more)

    def later(self, ns: int) -> None:
        self.kernel.monotonic_ns += ns

    def grab(self) -> tuple[Grabbed, bytes] | None:
        """Return the next frame and its picture."""
        grabbed = self.source.grab()
        if grabbed is None:
            return None
        room = bytearray(b"\xaa" * (grabbed.size + 1))
        assert self.source.retrieve(memoryview(room)[: grabbed.size]) == grabbed.size
        assert room[-1] == 0xAA
        return grabbed, bytes(room[:-1])


def refusal(camera: FakeCamera | FakeKernel, settings: V4l2Settings = SETTINGS) -> str:
    """Return why a camera cannot be opened; nothing may be left open."""
    kernel = FakeKernel(camera) if isinstance(camera, FakeCamera) else camera
    with pytest.raises(SourceError) as caught:
        V4l2Source(settings, kernel)
    assert kernel.leaks == 0
    return str(caught.value)

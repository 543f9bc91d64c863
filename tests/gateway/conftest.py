"""A run folder of the test's own, and whoever publishes to the gateway: capture, inference, controller."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import simplejpeg

from appliance.ipc.mailbox import publish_detections, publish_frames, publish_state
from appliance.ipc.run_folder import RunFolder
from appliance.messages import CameraState, Detections, FrameInfo, PixelFormat, Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


MS = 1_000_000
PERSON = 1


@pytest.fixture(autouse=True)
def _state_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The installation's id is kept in the state folder: not in that of whoever runs the tests."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg-state"))


def a_jpeg(width: int = 64, height: int = 48, level: int = 90) -> bytes:
    return bytes(simplejpeg.encode_jpeg(np.full((height, width, 3), level, np.uint8)))


def noise(width: int, height: int) -> Any:
    """Return a picture that compresses badly, RGB."""
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def a_frame(
    number: int, captured_ns: int = 0, kind: PixelFormat = PixelFormat.JPEG, size: tuple[int, int] = (64, 48)
) -> FrameInfo:
    width, height = size
    return FrameInfo(number, captured_ns, 10**18 + captured_ns, width, height, kind)


def found_in(frame: FrameInfo, *rows: tuple[Any, float, int]) -> Detections:
    """Return detections: each row is (x1 y1 x2 y2, score, COCO category id); without any, one person."""
    rows = rows or (((1, 2, 30, 40), 0.9, PERSON),)
    boxes, scores, class_ids = zip(*rows, strict=True)
    return Detections(frame, Rows.of(np.array(boxes, "f4"), np.array(scores, "f4"), np.array(class_ids, "i4")), 5 * MS)


class Stages:
    """The three stages that publish about one camera."""

    def __init__(self, folder: RunFolder, camera: str = "porch") -> None:
        self.frames = publish_frames(folder, camera, 1_000_000)
        self.detections = publish_detections(folder, camera)
        self.states = publish_state(folder, camera)

    def show(self, frame: FrameInfo, data: bytes | None = None) -> FrameInfo:
        """Publish a frame; a JPEG of its size unless told otherwise."""
        data = a_jpeg(frame.width, frame.height) if data is None else data
        writer = self.frames.borrow()
        writer.data[: len(data)] = data
        writer.write(frame, len(data))
        self.frames.send(writer)
        return frame

    def find(self, detections: Detections) -> None:
        writer = self.detections.borrow()
        writer.write(detections)
        self.detections.send(writer)

    def tell(self, state: CameraState) -> None:
        writer = self.states.borrow()
        writer.write(state)
        self.states.send(writer)

    def close(self) -> None:
        for publisher in (self.frames, self.detections, self.states):
            publisher.close()


@pytest.fixture
def folder() -> Iterator[RunFolder]:
    one = RunFolder(f"test_{secrets.token_hex(6)}")
    one.create()
    yield one
    one.remove()


@pytest.fixture
def stages(folder: RunFolder) -> Iterator[Callable[[str], Stages]]:
    """Make the stages that publish about a camera."""
    made: list[Stages] = []

    def make(camera: str = "porch") -> Stages:
        made.append(Stages(folder, camera))
        return made[-1]

    yield make
    for one in made:
        one.close()

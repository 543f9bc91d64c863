"""A live channel of each kind whose slots a test can overwrite behind its ends' backs."""

from __future__ import annotations

import contextlib
import mmap
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from appliance.ipc import channel_file
from appliance.ipc.channels import Channel
from appliance.ipc.mailbox import (
    publish_detections,
    publish_frames,
    publish_state,
    subscribe_detections,
    subscribe_frames,
    subscribe_state,
)
from appliance.messages import CameraState, Detections, FrameInfo, PixelFormat, Rows, SentryState, Transition

if TYPE_CHECKING:
    from collections.abc import Callable

    from appliance.ipc.publisher import Publisher
    from appliance.ipc.run_folder import RunFolder
    from appliance.ipc.subscriber import Subscriber

CAMERA = "porch"
ROOM = 2000
"""Of a picture, in bytes."""
INFO = FrameInfo(1, 2, 3, 4, 5, PixelFormat.JPEG)


class Kind(NamedTuple):
    """How to open one kind of channel, what to say there, and the bytes that a reader has got of a vector."""

    name: str
    reader: str
    publish: Callable[[RunFolder], Publisher[Any]]
    subscribe: Callable[[RunFolder, str], Subscriber[Any]]
    write: Callable[[Any], None]
    got: Callable[[Any], bytes]


def _write_frame(writer: Any) -> None:
    writer.data[:ROOM] = bytes(ROOM)
    writer.write(INFO, ROOM // 2)


def _write_detections(writer: Any) -> None:
    ones = np.ones(20, np.float32)
    writer.write(Detections(INFO, Rows.of(np.ones((20, 4), np.float32), ones, ones.astype(np.int32)), 6))


def _write_state(writer: Any) -> None:
    change = Transition(SentryState.STANDBY, SentryState.TRACKING, 1, 2, 3, 0.5)
    writer.write(CameraState(person_count=1, transitions=(change,) * 3))


def _transitions(state: CameraState) -> bytes:
    return b"".join(struct.pack("<QQQ", t.frame_number, t.captured_ns, t.wall_ns) for t in state.transitions)


KINDS = [
    Kind(
        "frames",
        "inference",
        lambda folder: publish_frames(folder, CAMERA, ROOM),
        lambda folder, name: subscribe_frames(folder, CAMERA, name),
        _write_frame,
        lambda frame: bytes(frame.data),
    ),
    Kind(
        "detections",
        "controller",
        lambda folder: publish_detections(folder, CAMERA),
        lambda folder, name: subscribe_detections(folder, CAMERA, name),
        _write_detections,
        lambda detections: detections.rows.data,
    ),
    Kind(
        "state",
        "capture",
        lambda folder: publish_state(folder, CAMERA),
        lambda folder, name: subscribe_state(folder, CAMERA, name),
        _write_state,
        _transitions,
    ),
]


class Live:
    """One channel: its publisher, and its file's bytes in `memory`."""

    def __init__(self, folder: RunFolder, kind: Kind, ends: contextlib.ExitStack) -> None:
        self._folder, self._kind = folder, kind
        self.channel = Channel(kind.name, CAMERA)
        self.path = folder.channel_file(self.channel)
        self.publisher = ends.enter_context(contextlib.closing(kind.publish(folder)))
        with contextlib.closing(channel_file.open_for_reading(self.path)) as file:
            self.header = file.header
        with self.path.open("r+b") as opened:
            self.memory = ends.enter_context(contextlib.closing(mmap.mmap(opened.fileno(), 0)))
        self._pristine = bytes(self.memory)
        self.vector_at: int = self.publisher.borrow()._layout.vector_at
        """Within a slot: where the elements begin, behind their number."""

    def subscribe(self, name: str = "") -> contextlib.closing[Subscriber[Any]]:
        return contextlib.closing(self._kind.subscribe(self._folder, name or self._kind.reader))

    def publish(self) -> int:
        """Say something; return the slot it went to."""
        writer = self.publisher.borrow()
        self._kind.write(writer)
        self.publisher.send(writer)
        slot: int = writer.slot
        return slot

    def heal(self) -> None:
        """Undo all that was written behind the publisher's back."""
        self.memory[:] = self._pristine

    def start(self, slot: int) -> int:
        """Where a slot begins in `memory`."""
        return self.header.first + slot * self.header.stride

    def overwrite(self, at: int, data: bytes) -> None:
        """As much of it as the file has room for."""
        room = self.memory[at : at + len(data)]
        self.memory[at : at + len(room)] = data[: len(room)]

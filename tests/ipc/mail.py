"""One frames channel in a test's hands. A picture is one byte, repeated, so that a torn one shows."""

from __future__ import annotations

import contextlib

from appliance.ipc.channels import frames_channel
from appliance.ipc.mailbox import publish_frames, subscribe_frames
from appliance.ipc.publisher import Publisher
from appliance.ipc.queues import Queue
from appliance.ipc.run_folder import RunFolder
from appliance.ipc.slots import FrameWriter
from appliance.ipc.subscriber import Subscriber
from appliance.messages import Frame, FrameInfo, PixelFormat

CAMERA = "porch"
FRAMES = frames_channel(CAMERA)
SIZE = 8192
SLOTS = len(FRAMES.subscribers) + 2


class Mail:
    """Opens the ends of one frames channel; a picture is one byte, repeated."""

    def __init__(self, folder: RunFolder, ends: contextlib.ExitStack) -> None:
        self.folder = folder
        self._ends = ends

    def publisher(self) -> Publisher[FrameWriter]:
        return self._ends.enter_context(contextlib.closing(publish_frames(self.folder, CAMERA, SIZE)))

    def subscriber(self, name: str = "inference") -> Subscriber[Frame]:
        return self._ends.enter_context(contextlib.closing(subscribe_frames(self.folder, CAMERA, name)))

    def queue(self, name: str, depth: int, size: int) -> Queue:
        return self._ends.enter_context(contextlib.closing(Queue(name, depth, size)))

    def both(self) -> tuple[Publisher[FrameWriter], Subscriber[Frame]]:
        return self.publisher(), self.subscriber()


def publish(publisher: Publisher[FrameWriter], byte: int) -> int:
    """Publish a picture of this byte; return the slot it went to."""
    writer = publisher.borrow()
    writer.data[:SIZE] = bytes([byte]) * SIZE
    writer.write(FrameInfo(byte, 0, 0, 64, 64, PixelFormat.JPEG), SIZE)
    publisher.send(writer)
    return writer.slot


def received(subscriber: Subscriber[Frame]) -> int | None:
    """Receive and give back; return the byte of the picture, which must be of nothing else."""
    loan = subscriber.receive()
    if loan is None:
        return None
    with loan as frame:
        return only_byte(frame)


def only_byte(frame: Frame) -> int:
    (byte,) = set(bytes(frame.data))
    assert frame.info.frame_number == byte
    return byte


def die(subscriber: Subscriber[Frame]) -> None:
    """The kernel closes what a killed process had open; nobody says goodbye."""
    subscriber._registration.close()
    subscriber._undo.pop_all()
    subscriber._queue.close()
    subscriber._releases.close()

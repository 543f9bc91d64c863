"""What a configuration needs of the machine: shared memory, message queues, descriptors.

`porchlight run` and `porchlight doctor` both ask here. All of it follows from what the mailbox makes for a camera.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from appliance.config import HttpSettings, SyntheticSettings, V4l2Settings, parse_source
from appliance.ipc.channel_file import required_bytes
from appliance.ipc.channels import DETECTIONS, FRAMES, STATE, SUBSCRIBERS, Channel
from appliance.ipc.protocol import DESCRIPTOR_BYTES, RELEASE_BYTES, RELEASE_DEPTH, SPARE_SLOTS
from appliance.ipc.templates import detections_template, frame_template, state_template
from appliance.messages import PixelFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.config import Camera
    from appliance.ipc.run_folder import RunFolder

PUBLISHERS = {FRAMES: "capture", DETECTIONS: "inference", STATE: "controller"}
"""Which stage publishes a channel."""

_BESIDES = 64 * 1024
"""Seats and heartbeats of one camera: a dozen files of one page."""

# Python's mmap keeps a descriptor of its own for each file it maps.
_DESCRIPTORS_TO_SUBSCRIBE = 4  # seat, two queues, channel file
_DESCRIPTORS_TO_PUBLISH = 3  # lock, queue of releases, channel file
_DESCRIPTORS_PER_SUBSCRIBER = 2  # at the publisher: seat, queue
_DESCRIPTORS_BESIDES = 64
"""An estimate for what has no camera: log, model, broker, web server and a few viewers."""


@dataclass(frozen=True, slots=True)
class SharedMemory:
    """Bytes of shared memory."""

    start: int
    """What `porchlight run` demands: every channel file once."""
    renewal: int
    """What it takes beyond that to replace a publisher that died: the largest channel file once more, since readers
    keep the old one until they hear of the new one.
    """
    unsure: int
    """What may come on top: where only the camera knows what it gives, raw pictures of 1920x1080."""

    @property
    def comfortable(self) -> int:
        return self.start + self.renewal + self.unsure


@dataclass(frozen=True, slots=True)
class QueueNeed:
    """One message queue: its name, how many messages it holds, and of how many bytes."""

    name: str
    depth: int
    message_bytes: int


def shared_memory(cameras: Sequence[Camera]) -> SharedMemory:
    expected = [_channel_bytes(FRAMES, _picture_bytes(camera)[0]) for camera in cameras]
    at_most = [_channel_bytes(FRAMES, _picture_bytes(camera)[1]) for camera in cameras]
    renewal, most_to_renew = max(expected, default=0), max(at_most, default=0)
    return SharedMemory(
        start=sum(camera_bytes(camera) for camera in cameras),
        renewal=renewal,
        unsure=sum(at_most) - sum(expected) + most_to_renew - renewal,
    )


def camera_bytes(camera: Camera) -> int:
    """Return what one camera's channels take, in bytes of shared memory."""
    frames = _channel_bytes(FRAMES, _picture_bytes(camera)[0])
    return frames + _channel_bytes(DETECTIONS) + _channel_bytes(STATE) + _BESIDES


def queues(folder: RunFolder, cameras: Sequence[Camera]) -> list[QueueNeed]:
    """Return every queue that the instance will have."""
    found = []
    for camera in cameras:
        for kind, subscribers in SUBSCRIBERS.items():
            channel = Channel(kind, camera.id)
            found.append(QueueNeed(folder.release_queue(channel), RELEASE_DEPTH, RELEASE_BYTES))
            found += [QueueNeed(folder.descriptor_queue(channel, name), 1, DESCRIPTOR_BYTES) for name in subscribers]
    return found


def descriptors(cameras: int) -> tuple[str, int]:
    """Return the stage that needs the most file descriptors in one process, and about how many.

    `capture` is left out: it has a process per camera, which needs a dozen.
    """
    stages = {name for names in SUBSCRIBERS.values() for name in names} - {PUBLISHERS[FRAMES]}
    busiest = max(sorted(stages), key=descriptors_per_camera)
    return busiest, _DESCRIPTORS_BESIDES + cameras * descriptors_per_camera(busiest)


def descriptors_per_camera(stage: str) -> int:
    """Return how many descriptors a stage's ends of one camera's channels hold open."""
    read = sum(stage in names for names in SUBSCRIBERS.values())
    publish = sum(
        _DESCRIPTORS_TO_PUBLISH + _DESCRIPTORS_PER_SUBSCRIBER * len(SUBSCRIBERS[kind])
        for kind, publisher in PUBLISHERS.items()
        if publisher == stage
    )
    return _DESCRIPTORS_TO_SUBSCRIBE * read + publish


def _picture_bytes(camera: Camera) -> tuple[int, int]:
    """Return the room for one picture: what is expected, and what it may be where only the camera knows."""
    jpeg = camera.max_jpeg_bytes
    match parse_source(camera.source):
        case V4l2Settings(format="yuyv", size=(width, height)):
            return (raw := PixelFormat.YUYV.raw_size(width, height)), raw
        case V4l2Settings(format="nv12", size=(width, height)):
            return (raw := PixelFormat.NV12.raw_size(width, height)), raw
        case V4l2Settings(format="mjpg") | HttpSettings() | SyntheticSettings():
            return jpeg, jpeg
        case V4l2Settings():
            return jpeg, max(jpeg, PixelFormat.YUYV.raw_size(1920, 1080))
        case _:
            return jpeg, max(jpeg, PixelFormat.I420.raw_size(1920, 1080))


@functools.cache
def _channel_bytes(kind: str, picture_bytes: int = 0) -> int:
    match kind:
        case "frames":
            template = frame_template(picture_bytes)
        case "detections":
            template = detections_template()
        case _:
            template = state_template()
    return required_bytes(len(SUBSCRIBERS[kind]) + SPARE_SLOTS, len(template))

"""The ends of the three channels, each by its name: what stages open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.ipc import channel_file, slots, templates
from appliance.ipc.channels import detections_channel, frames_channel, state_channel
from appliance.ipc.errors import CorruptError
from appliance.ipc.publisher import Publisher
from appliance.ipc.subscriber import Subscriber

if TYPE_CHECKING:
    from appliance.ipc.run_folder import RunFolder
    from appliance.messages import CameraState, Detections, Frame


def publish_frames(folder: RunFolder, camera: str, max_bytes: int) -> Publisher[slots.FrameWriter]:
    """`max_bytes`: of the largest picture; a camera that changes its size gets a new publisher."""
    return Publisher(folder, frames_channel(camera), templates.frame_template(max_bytes), slots.FrameWriter)


def subscribe_frames(folder: RunFolder, camera: str, name: str) -> Subscriber[Frame]:
    return Subscriber(folder, frames_channel(camera), name, slots.FrameReader)


def publish_detections(folder: RunFolder, camera: str) -> Publisher[slots.DetectionsWriter]:
    return Publisher(folder, detections_channel(camera), templates.detections_template(), slots.DetectionsWriter)


def subscribe_detections(folder: RunFolder, camera: str, name: str) -> Subscriber[Detections]:
    return Subscriber(folder, detections_channel(camera), name, slots.DetectionsReader)


def publish_state(folder: RunFolder, camera: str) -> Publisher[slots.StateWriter]:
    return Publisher(folder, state_channel(camera), templates.state_template(), slots.StateWriter)


def subscribe_state(folder: RunFolder, camera: str, name: str) -> Subscriber[CameraState]:
    return Subscriber(folder, state_channel(camera), name, slots.StateReader)


def last_state(folder: RunFolder, camera: str) -> CameraState | None:
    """Return what the controller before this one published last, if the run folder still holds it.

    Only before `publish_state`, which replaces the file. A slot that was being written at the time says sequence 0; the
    one before it is whole.
    """
    try:
        file = channel_file.open_for_reading(folder.channel_file(state_channel(camera)))
    except (FileNotFoundError, CorruptError):
        return None
    try:
        readers = [slots.StateReader(file.slot(i), file.source(i)) for i in range(file.header.slots)]
        newest = max(readers, key=lambda reader: reader.sequence())
        return newest.value(newest.sequence()) if newest.sequence() else None
    except CorruptError:
        return None
    finally:
        file.close()

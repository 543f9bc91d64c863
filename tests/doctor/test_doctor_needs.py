"""What a configuration is said to need is what the mailbox really takes, no less and hardly more."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance import needs
from appliance.config import Camera
from appliance.ipc.channels import SUBSCRIBERS
from appliance.ipc.mailbox import (
    publish_detections,
    publish_frames,
    publish_state,
    subscribe_detections,
    subscribe_frames,
    subscribe_state,
)
from appliance.ipc.run_folder import RunFolder
from tests.doctor.machine import Machine

PUBLISH: dict[str, Callable[..., Any]] = {
    "frames": lambda folder, camera: publish_frames(folder, camera, 2_000_000),
    "detections": publish_detections,
    "state": publish_state,
}
SUBSCRIBE: dict[str, Callable[..., Any]] = {
    "frames": subscribe_frames,
    "detections": subscribe_detections,
    "state": subscribe_state,
}


def camera(source: str = "synthetic://porch", **more: int) -> Camera:
    return Camera(id="porch", source=source, max_jpeg_bytes=more.get("max_jpeg_bytes", 2_000_000))


def open_ends(folder: RunFolder, stage: str, name: str, ends: contextlib.ExitStack) -> None:
    """What one stage opens for one camera."""
    for kind, publisher in needs.PUBLISHERS.items():
        if publisher == stage:
            ends.enter_context(contextlib.closing(PUBLISH[kind](folder, name)))
        if stage in SUBSCRIBERS[kind]:
            ends.enter_context(contextlib.closing(SUBSCRIBE[kind](folder, name, stage)))


@pytest.fixture
def folder(tmp_path: Path, instance: str) -> RunFolder:
    one = RunFolder(instance, tmp_path)
    one.create()
    return one


def test_a_camera_takes_what_was_demanded_for_it(folder: RunFolder) -> None:
    with contextlib.ExitStack() as ends:
        for stage in ("capture", "inference", "controller", "gateway"):
            open_ends(folder, stage, "porch", ends)
        taken = sum(path.stat().st_blocks * 512 for path in folder.path.glob("*/*"))
    demanded = needs.shared_memory([camera()]).start
    assert demanded - 100_000 < taken <= demanded


def test_every_queue_that_was_foretold_is_there_and_no_other(folder: RunFolder) -> None:
    with contextlib.ExitStack() as ends:
        for stage in ("capture", "inference", "controller", "gateway"):
            open_ends(folder, stage, "porch", ends)
        assert sorted(queue.name for queue in needs.queues(folder, [camera()])) == folder.queues()
    assert len(needs.queues(folder, [camera()])) == 10


@pytest.mark.parametrize("stage", ["capture", "inference", "controller", "gateway"])
def test_a_stage_has_as_many_descriptors_open_for_a_camera_as_was_foretold(folder: RunFolder, stage: str) -> None:
    def count() -> int:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    for other in {"capture", "inference", "controller", "gateway"} - {stage}:  # their files and queues are there
        with contextlib.ExitStack() as ends:
            open_ends(folder, other, "porch", ends)
    before = count()
    with contextlib.ExitStack() as ends:
        open_ends(folder, stage, "porch", ends)
        opened = count() - before
    # A subscriber maps its channel file only when it is told of a frame.
    told = sum(stage in names for names in SUBSCRIBERS.values())
    assert opened + told == needs.descriptors_per_camera(stage)


def test_the_busiest_stage_grows_with_every_camera() -> None:
    stage, few = needs.descriptors(1)
    assert stage == "inference"
    assert needs.descriptors(24)[1] - few == 23 * needs.descriptors_per_camera(stage)


@pytest.mark.parametrize(
    ("source", "picture"),
    [
        ("synthetic://porch", 2_000_000),
        ("http://camera/stream.mjpeg", 2_000_000),
        ("v4l2:///dev/video0?format=mjpg&size=1920x1080", 2_000_000),
        ("v4l2:///dev/video0?format=yuyv&size=1920x1080", 1920 * 1080 * 2),
        ("v4l2:///dev/video0?format=nv12&size=640x480", 640 * 480 * 3 // 2),
    ],
)
def test_where_the_settings_tell_the_size_of_a_picture_nothing_is_unsure(source: str, picture: int) -> None:
    need = needs.shared_memory([camera(source)])
    assert need.unsure == 0
    assert 4 * picture < need.renewal < 4 * picture + 5 * 4096 + 4096
    assert need.renewal < need.start < need.renewal + 200_000


@pytest.mark.parametrize("source", ["rtsp://camera/stream", "v4l2:///dev/video0", "v4l2:///dev/video0?format=yuyv"])
def test_where_only_the_camera_knows_raw_pictures_may_come_on_top(source: str) -> None:
    need = needs.shared_memory([camera(source)])
    assert need.start == needs.shared_memory([camera()]).start
    assert need.comfortable > need.start + need.renewal
    assert needs.shared_memory([camera(source, max_jpeg_bytes=16_000_000)]).unsure == 0


def test_the_needs_of_cameras_add_up_and_one_at_a_time_is_replaced() -> None:
    one, other = camera(), camera("v4l2:///dev/video0?format=yuyv&size=1920x1080")
    both = needs.shared_memory([one, other])
    assert both.start == needs.camera_bytes(one) + needs.camera_bytes(other)
    assert both.renewal == needs.shared_memory([other]).renewal
    assert needs.shared_memory([]) == needs.SharedMemory(0, 0, 0)


SUCCESSION = """
import sys
from appliance.config import Camera
from appliance.ipc.errors import SharedMemoryFullError
from appliance.ipc.mailbox import publish_detections, publish_frames, publish_state
from appliance.ipc.run_folder import RunFolder
folder = RunFolder("test")
folder.claim()
ends = [publish_frames(folder, "porch", 2_000_000), publish_detections(folder, "porch"), publish_state(folder, "porch")]
ends[0].close()  # its process has died
try:
    publish_frames(folder, "porch", 2_000_000).close()
except SharedMemoryFullError:
    print("never comes back")
else:
    print("came back")
"""


@pytest.mark.parametrize(("renewed", "said"), [(False, "never comes back"), (True, "came back")])
def test_a_dead_cameras_successor_needs_room_beside_what_its_predecessor_left(
    machine: Callable[[str], Machine], renewed: bool, said: str
) -> None:
    need = needs.shared_memory([camera()])
    done = machine(str(need.start + renewed * need.renewal)).run(sys.executable, "-c", SUCCESSION)
    assert done.stdout.strip() == said, done.stderr


def test_the_needs_load_no_heavy_library() -> None:
    code = "import appliance.doctor.command, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert set(loaded).isdisjoint({"onnxruntime", "av", "cv2", "simplejpeg", "aiohttp", "paho"})

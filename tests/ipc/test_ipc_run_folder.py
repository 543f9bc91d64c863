"""The run folder has one owner, is swept before and after, and names everything that an instance has at run time."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import time
from typing import TYPE_CHECKING

import posix_ipc
import pytest

from appliance.ipc import run_folder
from appliance.ipc.channels import SUBSCRIBERS, Channel, detections_channel, frames_channel, state_channel
from appliance.ipc.errors import RefusedError, SharedMemoryFullError, TakenError
from appliance.ipc.heartbeat import HeartbeatFile
from appliance.ipc.mailbox import (
    publish_detections,
    publish_frames,
    publish_state,
    subscribe_detections,
    subscribe_frames,
    subscribe_state,
)
from appliance.ipc.protocol import MAX_SUBSCRIBERS
from appliance.ipc.queues import Queue
from appliance.ipc.run_folder import RunFolder, hold
from appliance.messages import Health, Heartbeat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FOLDERS = {"frames", "detections", "state", "heartbeats"}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[RunFolder]:
    """Not there yet, and not in shared memory; queue names come from its own name all the same."""
    one = RunFolder(f"test_{os.getpid()}_{secrets.token_hex(4)}", tmp_path)
    yield one
    one.remove()


def queues_of(folder: RunFolder) -> list[str]:
    names = []
    for kind, subscribers in SUBSCRIBERS.items():
        channel = Channel(kind, "porch")
        names.append(folder.release_queue(channel))
        names += [folder.descriptor_queue(channel, name) for name in subscribers]
    return names


def exists(queue: str) -> bool:
    try:
        posix_ipc.MessageQueue(queue).close()
    except posix_ipc.ExistentialError:
        return False
    return True


def subscribe_to_everything(folder: RunFolder) -> None:
    """What readers leave when they are killed."""
    for name in SUBSCRIBERS["frames"]:
        subscribe_frames(folder, "porch", name).close()
    for name in SUBSCRIBERS["detections"]:
        subscribe_detections(folder, "porch", name).close()
    for name in SUBSCRIBERS["state"]:
        subscribe_state(folder, "porch", name).close()


def publish_everything(folder: RunFolder) -> None:
    """What publishers leave when they are killed."""
    publish_frames(folder, "porch", 100).close()
    publish_detections(folder, "porch").close()
    publish_state(folder, "porch").close()


def test_names_come_from_instance_camera_and_subscriber() -> None:
    folder = RunFolder("porch")
    frames, state = frames_channel("yard"), state_channel("yard")
    assert str(folder.path) == "/dev/shm/porchlight-porch"
    assert folder.channel_file(frames) == folder.path / "frames" / "yard"
    assert folder.channel_file(detections_channel("yard")) == folder.path / "detections" / "yard"
    assert folder.publisher_lock(frames) == folder.path / "frames" / "yard.lock"
    assert folder.seat(state, "capture") == folder.path / "state" / "yard.capture.seat"
    assert folder.descriptor_queue(frames, "gateway") == "/porchlight-porch.frames.yard.gateway"
    assert folder.release_queue(state) == "/porchlight-porch.state.yard.releases"
    assert folder.heartbeats == folder.path / "heartbeats"
    assert str(frames) == "frames/yard"


def test_a_camera_has_ten_queues_and_no_channel_too_many_subscribers() -> None:
    assert len(set(queues_of(RunFolder("porch")))) == 10
    assert all(len(names) <= MAX_SUBSCRIBERS for names in SUBSCRIBERS.values())
    assert all(run_folder._RELEASES not in names for names in SUBSCRIBERS.values())


def test_only_its_owner_may_look_into_the_run_folder(folder: RunFolder) -> None:
    before = os.umask(0)
    try:
        folder.create()
    finally:
        os.umask(before)
    everything = [folder.path, *folder.path.iterdir()]
    assert {path.name for path in everything[1:]} == FOLDERS
    assert {stat.S_IMODE(path.stat().st_mode) for path in everything} == {0o700}
    folder.create()  # it may be there already


def test_a_second_supervisor_is_refused_while_the_first_lives(folder: RunFolder) -> None:
    folder.claim()
    (folder.path / "frames" / "porch").touch()
    second = RunFolder(folder.path.name.removeprefix("porchlight-"), folder.path.parent)
    with pytest.raises(TakenError, match=r"supervisor\.lock"):
        second.claim()
    assert (folder.path / "frames" / "porch").exists()
    folder.remove()
    second.claim()
    second.remove()


@pytest.mark.parametrize("leave", [publish_everything, subscribe_to_everything])
def test_claiming_sweeps_what_a_killed_instance_left(folder: RunFolder, leave: Callable[[RunFolder], None]) -> None:
    folder.create()
    leave(folder)
    HeartbeatFile(folder, "capture").write(Heartbeat("capture", Health.RUNNING, 1, 1))
    (folder.path / "control.sock").touch()
    left = [queue for queue in queues_of(folder) if exists(queue)]
    assert len(left) == 10  # either side opens all of a channel's queues
    folder.claim()
    assert {path.name for path in folder.path.iterdir()} == {*FOLDERS, "supervisor.lock"}
    assert list(folder.path.glob("*/*")) == []
    assert [queue for queue in left if exists(queue)] == []


@pytest.mark.parametrize("leave", [publish_everything, subscribe_to_everything])
def test_removing_leaves_neither_files_nor_queues(folder: RunFolder, leave: Callable[[RunFolder], None]) -> None:
    folder.claim()
    leave(folder)
    folder.remove()
    assert not folder.path.exists()
    for queue in queues_of(folder):
        with pytest.raises(posix_ipc.ExistentialError):
            posix_ipc.MessageQueue(queue)
    folder.remove()  # gone is gone


def test_one_instance_does_not_sweep_anothers_queues(folder: RunFolder) -> None:
    other = RunFolder(f"{folder.path.name.removeprefix('porchlight-')}2", folder.path.parent)
    for one in (folder, other):
        one.create()
        subscribe_to_everything(one)
    folder.remove()
    assert all(exists(queue) for queue in queues_of(other))
    other.remove()


def test_a_folder_that_is_removed_while_it_is_claimed_is_made_again(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The supervisor before may be on its way out: it removes the folder, and the lock that we have just got."""
    leaving = RunFolder(folder.path.name.removeprefix("porchlight-"), folder.path.parent)
    really_hold = run_folder.hold
    held: list[Path] = []

    def hold_then_lose(path: Path, patience_s: float) -> int:
        fd = really_hold(path, patience_s)
        if not held:
            leaving.remove()
        held.append(path)
        return fd

    monkeypatch.setattr(run_folder, "hold", hold_then_lose)
    folder.claim()
    assert len(held) == 2
    assert (folder.path / "frames").is_dir()
    with pytest.raises(TakenError):
        hold(folder.path / "supervisor.lock")


def test_too_little_shared_memory_for_all_cameras_is_refused_with_both_sizes(folder: RunFolder) -> None:
    folder.create()
    folder.demand_room(0)
    stats = os.statvfs(folder.path)
    needed = stats.f_blocks * stats.f_frsize + 1
    with pytest.raises(SharedMemoryFullError, match=rf"has [\d,]+ bytes free, the cameras may need {needed:,}"):
        folder.demand_room(needed)


def test_a_lock_is_free_again_when_its_holder_is_gone(tmp_path: Path) -> None:
    fd = hold(tmp_path / "lock")
    with pytest.raises(TakenError, match=f"{tmp_path}/lock is held by another live process"):
        hold(tmp_path / "lock")
    os.close(fd)
    os.close(hold(tmp_path / "lock"))


def test_whoever_has_patience_gets_the_lock_of_a_holder_that_dies_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying = hold(tmp_path / "lock")
    monkeypatch.setattr(time, "sleep", lambda _seconds: os.close(dying))
    os.close(hold(tmp_path / "lock", patience_s=60))


def test_queues_of_an_instance_are_found_by_their_files_alone(folder: RunFolder) -> None:
    """No /dev/mqueue is needed: what has a seat or a lock has queues of that name, and nothing else is touched."""
    folder.create()
    subscribe_frames(folder, "porch", "gateway").close()
    stranger = f"/{folder.path.name}.frames.yard.gateway"
    with contextlib.closing(Queue(stranger, 1, 32)):
        folder.claim()
        assert exists(stranger)
    posix_ipc.unlink_message_queue(stranger)


def test_what_the_system_says_of_a_file_comes_in_words(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.create()
    for number, hint in {
        errno.EMFILE: "ulimit -n",
        errno.EACCES: "another user",
        errno.EROFS: "read-only",
        errno.EIO: "doctor",
    }.items():
        monkeypatch.setattr(os, "open", _refusing(number))
        with pytest.raises(RefusedError, match=rf"cannot use .*supervisor\.lock: {os.strerror(number)}; .*{hint}"):
            hold(folder.path / "supervisor.lock")
        monkeypatch.undo()
    monkeypatch.setattr(os, "open", _refusing(errno.ENOSPC))
    with pytest.raises(SharedMemoryFullError, match="--shm-size"):
        hold(folder.path / "supervisor.lock")
    monkeypatch.undo()


def _refusing(number: int) -> Callable[..., int]:
    def refuse(*_arguments: object, **_more: object) -> int:
        raise OSError(number, os.strerror(number))

    return refuse


def test_something_else_in_the_folders_place_is_named(tmp_path: Path) -> None:
    folder = RunFolder("test", tmp_path)
    folder.path.touch()
    with pytest.raises(TakenError, match="is not a folder of this user's"):
        folder.create()
    folder.path.unlink()
    folder.path.mkdir(mode=0o700)
    (folder.path / "frames").touch()
    with pytest.raises(RefusedError, match="something else lies in its place"):
        folder.create()


def test_a_file_system_without_a_limit_has_room(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.create()
    unlimited = os.statvfs_result((4096, 4096, 0, 0, 0, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _path: unlimited)
    folder.demand_room(1 << 40)

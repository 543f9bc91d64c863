"""Who lives and what was left is told apart, without touching either."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.doctor import instances
from appliance.doctor.finding import Level
from appliance.ipc.heartbeat import HeartbeatFile
from appliance.ipc.run_folder import RunFolder
from appliance.messages import Health, Heartbeat
from tests.doctor.machine import Holder

Hold = Callable[..., Holder]


def beat(folder: RunFolder, name: str, ago_s: float, health: Health = Health.RUNNING) -> None:
    folder.create()
    HeartbeatFile(folder, name).write(Heartbeat(name, health, time.monotonic_ns() - round(ago_s * 1e9), 1))


@pytest.fixture
def folder(instance: str, tmp_path: Path) -> RunFolder:
    return RunFolder(instance, tmp_path)


def snapshot(folder: RunFolder) -> list[tuple[str, int]]:
    """Every file with its time of change."""
    return sorted((str(path), path.lstat().st_ctime_ns) for path in folder.path.rglob("*"))


def test_where_nobody_was_ever_nothing_is_left(tmp_path: Path) -> None:
    (finding,) = instances.examine(tmp_path, "porch")
    assert finding.level is Level.OK
    assert "none is running" in finding.text


@pytest.mark.parametrize("what", [("claim",), ("channels",), ("beats",), ("claim", "channels", "beats")])
def test_whoever_holds_a_lock_or_beats_is_alive(
    tmp_path: Path, hold: Hold, folder: RunFolder, what: tuple[str]
) -> None:
    """`channels` alone: stages that run without a supervisor, as containers of k3s do."""
    hold(*what)
    before = snapshot(folder)
    (finding,) = instances.examine(tmp_path, None)
    assert finding.level is Level.OK
    assert f"{folder.path.name} is running" in finding.text
    assert snapshot(folder) == before


def test_a_killed_instance_has_left_files_bytes_and_queues(tmp_path: Path, hold: Hold, folder: RunFolder) -> None:
    hold("claim", "channels").kill()
    (folder.path / "frames" / ".porch.0123456789abcdef").write_bytes(bytes(1_000_000))
    before = snapshot(folder)
    (finding,) = instances.examine(tmp_path, None)
    assert finding.level is Level.WARNING
    assert f"{folder.path.name} was left by an instance that was killed: 15 files (1 temporary), 9." in finding.text
    assert "10 message queues" in finding.text
    assert "--sweep" in finding.remedy
    assert snapshot(folder) == before


def test_of_a_live_instance_it_is_said_who_beats_and_who_is_silent(tmp_path: Path, folder: RunFolder) -> None:
    beat(folder, "supervisor", 0)
    beat(folder, "inference", 0, Health.STARTING)
    (finding,) = instances.examine(tmp_path, None)
    assert finding.level is Level.OK
    assert finding.text.endswith("heartbeats: inference (starting), supervisor")
    beat(folder, "gateway", 60)
    (finding,) = instances.examine(tmp_path, None)
    assert finding.level is Level.WARNING
    assert finding.text.endswith("silent: gateway")


def test_old_heartbeats_are_no_sign_of_life(folder: RunFolder) -> None:
    beat(folder, "gateway", 60)
    assert not instances.is_live(folder)


def test_a_folder_of_another_users_is_not_looked_into(
    tmp_path: Path, folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.create()
    monkeypatch.setattr(os, "geteuid", lambda: folder.path.stat().st_uid + 1)
    monkeypatch.setattr(instances, "is_live", lambda _folder: pytest.fail("looked into"))
    (finding,) = instances.examine(tmp_path, None)
    assert finding.level is Level.OK
    assert "belongs to another user" in finding.text
    (problem, _) = instances.examine(tmp_path, folder.path.name.removeprefix("porchlight-"))
    assert problem.level is Level.PROBLEM
    assert "in the way" in problem.text


@pytest.mark.parametrize("kind", ["file", "link", "dangling"])
def test_what_lies_in_the_place_of_this_instances_folder_is_a_problem_and_of_anothers_is_none(
    tmp_path: Path, kind: str
) -> None:
    place = tmp_path / "porchlight-porch"
    if kind == "file":
        place.touch()
    else:
        place.symlink_to(tmp_path if kind == "link" else tmp_path / "nowhere")
    assert instances.examine(tmp_path, "porch")[0].level is Level.PROBLEM
    assert [finding.level for finding in instances.examine(tmp_path, "other")] == [Level.OK]


def test_odd_things_in_a_folder_neither_block_nor_hide_that_it_was_left(tmp_path: Path, folder: RunFolder) -> None:
    folder.create()
    os.mkfifo(folder.path / "supervisor.lock")
    os.mkfifo(folder.path / "frames" / "porch.lock")
    odd = bytes(folder.path / "state") + b"/\xff\x1b[2J.seat"
    os.close(os.open(odd, os.O_CREAT))
    (folder.path / "heartbeats" / "gateway").write_bytes(b"nonsense")
    (folder.path / "detections" / "porch").symlink_to("/dev/zero")
    (finding,) = instances.examine(tmp_path, None)
    assert finding.level is Level.WARNING
    assert "was left" in finding.text
    Path(os.fsdecode(odd)).unlink()


def test_a_lock_that_is_a_link_is_not_followed_and_its_folder_left_alone(tmp_path: Path, folder: RunFolder) -> None:
    folder.create()
    (folder.path / "supervisor.lock").symlink_to(tmp_path / "elsewhere")
    assert instances.is_live(folder)
    assert not (tmp_path / "elsewhere").exists()

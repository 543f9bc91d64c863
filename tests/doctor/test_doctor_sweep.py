"""A sweep removes what the dead have left, and nothing of the living."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance import needs
from appliance.config import Camera
from appliance.doctor import instances, orphans
from appliance.doctor.finding import Finding, Level
from appliance.doctor.queues import exists
from appliance.doctor.sweep import sweep
from appliance.ipc.run_folder import RunFolder
from tests.doctor.machine import Holder

Hold = Callable[..., Holder]


@pytest.fixture(autouse=True)
def unmounted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Queues of other tests are none of our business: here only names tell of any."""
    monkeypatch.setattr(orphans, "mount_point_of", lambda _kind: None)


@pytest.fixture
def folder(instance: str, tmp_path: Path) -> RunFolder:
    return RunFolder(instance, tmp_path)


def names(folder: RunFolder) -> list[str]:
    return [queue.name for queue in needs.queues(folder, [Camera(id="porch", source="synthetic://porch")])]


def swept(tmp_path: Path, folder: RunFolder) -> Finding:
    (finding,) = sweep(tmp_path, names(folder))
    return finding


@pytest.mark.parametrize("what", [("claim",), ("channels",), ("beats",), ("claim", "channels", "beats")])
def test_a_live_instance_keeps_everything(tmp_path: Path, hold: Hold, folder: RunFolder, what: tuple[str]) -> None:
    holder = hold(*what)
    before = sorted(folder.path.rglob("*")), [exists(name) for name in names(folder)]
    assert swept(tmp_path, folder).text == "there was nothing to remove"
    assert (sorted(folder.path.rglob("*")), [exists(name) for name in names(folder)]) == before
    assert holder.lives


def test_of_a_killed_instance_nothing_is_left_and_it_is_said_what_was(
    tmp_path: Path, hold: Hold, folder: RunFolder
) -> None:
    hold("claim", "channels").kill()
    finding = swept(tmp_path, folder)
    assert finding.level is Level.OK
    assert f"{folder.path.name} removed: 14 files, 8.1 MB, 10 message queues" in finding.text
    assert list(tmp_path.iterdir()) == []
    assert not any(exists(name) for name in names(folder))


def test_an_instance_that_starts_meanwhile_is_left_alone(
    tmp_path: Path, hold: Hold, folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold("claim", "channels")
    monkeypatch.setattr(instances, "is_live", lambda _folder: False)  # it was not yet, when we looked
    finding = swept(tmp_path, folder)
    assert finding.level is Level.WARNING
    assert "left alone" in finding.text
    assert all(exists(name) for name in names(folder))


def test_a_folder_of_another_users_stays(tmp_path: Path, folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.create()
    monkeypatch.setattr(os, "geteuid", lambda: folder.path.stat().st_uid + 1)
    assert swept(tmp_path, folder).text == "there was nothing to remove"
    assert folder.path.exists()


def test_a_seat_whose_queue_cannot_have_such_a_name_has_none_and_is_removed(tmp_path: Path, folder: RunFolder) -> None:
    folder.create()
    seat = folder.path / "state" / f"{'x' * 250}.seat"
    seat.touch()
    assert "was left" in instances.examine(tmp_path, None)[0].text
    finding = swept(tmp_path, folder)
    assert finding.level is Level.OK
    assert not seat.exists()


def test_what_cannot_be_removed_is_named(tmp_path: Path, folder: RunFolder) -> None:
    folder.create()
    (folder.path / "link").symlink_to(tmp_path)  # to a folder, which is not to be emptied through it
    (tmp_path / "precious").touch()
    finding = swept(tmp_path, folder)
    assert finding.level is Level.PROBLEM
    assert "by hand" in finding.remedy
    assert (tmp_path / "precious").exists()
    (folder.path / "link").unlink()


def test_queues_without_a_folder_are_found_by_the_names_that_the_settings_give(
    tmp_path: Path, folder: RunFolder, queue: Callable[..., str]
) -> None:
    name = queue()
    (finding,) = orphans.examine(tmp_path, names(folder))
    assert finding.level is Level.WARNING
    assert name in finding.text
    assert finding.remedy == "porchlight doctor --sweep removes it"
    assert swept(tmp_path, folder).text == f"{folder.path.name} removed: 1 message queue"
    assert not exists(name)
    assert list(tmp_path.iterdir()) == []
    assert orphans.examine(tmp_path, names(folder)) == []


def test_queues_without_a_folder_are_found_where_they_are_mounted(
    tmp_path: Path, folder: RunFolder, queue: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted = tmp_path / "mqueue"
    mounted.mkdir()
    there = [queue(), queue("frames.porch.releases", 10, 24)]
    for name in (*there, "/porchlight-something_else", "/others", f"/{folder.path.name}.frames.gone.releases"):
        (mounted / name[1:]).touch()
    monkeypatch.setattr(orphans, "mount_point_of", lambda _kind: mounted)
    assert orphans.find(tmp_path, ()) == {folder.path.name.removeprefix("porchlight-"): there}


def test_a_queue_that_a_live_process_has_open_is_nobodys_leftover(
    tmp_path: Path, hold: Hold, folder: RunFolder
) -> None:
    """Its folder may lie in a /dev/shm that we do not see."""
    hold("claim", "channels")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert orphans.examine(elsewhere, names(folder)) == []
    assert swept(elsewhere, folder).text == "there was nothing to remove"
    assert all(exists(name) for name in names(folder))

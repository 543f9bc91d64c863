"""The trial makes, uses and removes the real things, and lets errors speak for themselves."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import posix_ipc
import pytest

from appliance.doctor import trial
from appliance.doctor.finding import Level
from appliance.ipc.run_folder import RunFolder


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The queues that were made."""
    made = []
    really = posix_ipc.MessageQueue

    def make(name: str, *args: Any, **more: Any) -> Any:
        made.append(name)
        return really(name, *args, **more)

    monkeypatch.setattr(posix_ipc, "MessageQueue", make)
    return made


def test_where_all_is_well_the_trial_says_so_and_leaves_nothing(tmp_path: Path, names: list[str]) -> None:
    findings = trial.examine(tmp_path)
    assert [finding.level for finding in findings] == [Level.OK] * 3
    assert list(tmp_path.iterdir()) == []
    (name,) = names
    with pytest.raises(posix_ipc.ExistentialError):
        posix_ipc.unlink_message_queue(name)


def test_a_trial_that_is_killed_is_found_by_a_sweep(tmp_path: Path) -> None:
    folder = RunFolder("doctor_test", tmp_path)
    trial._claim(folder)
    assert folder.release_queue(trial._CHANNEL) in folder.queues()
    folder.remove()


def refuse(number: int) -> Any:
    def call(*_args: object, **_more: object) -> None:
        raise OSError(number, os.strerror(number))

    return call


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_where_no_folder_can_be_made_the_errors_own_words_are_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(Path, "mkdir", refuse(number))
    (finding,) = trial.examine(tmp_path)
    assert finding.level is Level.PROBLEM
    assert os.strerror(number) in finding.text
    assert finding.remedy


def test_where_a_channel_file_has_no_room_the_queue_is_tried_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "posix_fallocate", refuse(errno.ENOSPC))
    _, file, queue = trial.examine(tmp_path)
    assert (file.level, queue.level) == (Level.PROBLEM, Level.OK)
    assert "bytes of shared memory" in file.text
    assert "--shm-size" in file.remedy
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (posix_ipc.PermissionsError("Permission denied"), "Permission denied"),
        (OSError(errno.ENOSYS, "Function not implemented"), "Function not implemented"),
        (OSError("This process already has the maximum number of files open"), "maximum number of files"),
    ],
)
def test_where_the_kernel_refuses_a_queue_its_words_are_passed_on_with_what_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    def make(*_args: object, **_more: object) -> None:
        raise error

    monkeypatch.setattr(posix_ipc, "MessageQueue", make)
    *_, queue = trial.examine(tmp_path)
    assert queue.level is Level.PROBLEM
    assert words in queue.text
    assert queue.remedy

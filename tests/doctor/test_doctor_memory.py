"""Shared memory: is it there, is it memory, is there enough of it to start, and to go on when a process dies."""

from __future__ import annotations

import os
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from appliance.doctor import memory
from appliance.doctor.finding import Finding, Level
from appliance.needs import SharedMemory

NEED = SharedMemory(start=10_000_000, renewal=8_000_000, unsure=4_000_000)


@pytest.fixture(autouse=True)
def tmpfs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "file_system_of", lambda _path: "tmpfs")


def with_free(monkeypatch: pytest.MonkeyPatch, free: int, held: int = 0) -> Finding:
    stats = SimpleNamespace(f_blocks=15_625, f_frsize=4096, f_bavail=free // 4096)
    monkeypatch.setattr(os, "statvfs", lambda _path: stats)
    (finding,) = memory.examine(NEED, "2 cameras", held, Path("/dev/shm"))
    return finding


@pytest.mark.parametrize(
    ("free", "level"),
    [
        (9_900_000, Level.PROBLEM),  # does not start
        (10_100_000, Level.WARNING),  # starts, and stays dark where a camera's process dies
        (18_100_000, Level.WARNING),  # well, unless pictures are raw
        (22_100_000, Level.OK),
    ],
)
def test_how_bad_too_little_shared_memory_is(monkeypatch: pytest.MonkeyPatch, free: int, level: Level) -> None:
    finding = with_free(monkeypatch, free)
    assert finding.level is level
    assert f"{free / 1e6:.1f} MB free of 64.0 MB" in finding.text
    assert "for 2 cameras: 10.0 MB to start" in finding.text
    assert bool(finding.remedy) == (level is not Level.OK)


def test_what_the_instance_has_already_counts_as_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert with_free(monkeypatch, 12_100_000, held=10_000_000).level is Level.OK


def test_the_size_that_is_advised_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    advised = re.search(r"--shm-size=(\d+)m", with_free(monkeypatch, 9_000_000).remedy)
    assert advised is not None
    used = 64_000_000 - 9_000_000
    assert 0 <= int(advised[1]) * 2**20 - used - NEED.comfortable < 2 * 2**20


def test_a_machine_without_shared_memory_is_told_how_to_get_it(tmp_path: Path) -> None:
    (finding,) = memory.examine(NEED, "2 cameras", 0, tmp_path / "shm")
    assert (finding.level, finding.text) == (Level.PROBLEM, f"{tmp_path}/shm is not there")
    assert "mount a tmpfs" in finding.remedy


def test_a_disk_in_the_place_of_shared_memory_is_no_problem_but_worth_a_word(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(memory, "file_system_of", lambda _path: "ext4")
    first, _ = memory.examine(SharedMemory(0, 0, 0), "2 cameras", 0, tmp_path)
    assert first.level is Level.WARNING
    assert "is ext4, not tmpfs" in first.text

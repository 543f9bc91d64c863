"""Which file system lies where is read from the kernel's own table."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.doctor.mounts import file_system_of, mount_point_of

TABLE = r"""22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw
23 22 0:5 / /dev rw - devtmpfs devtmpfs rw
24 23 0:20 / /dev/shm rw - ext4 /dev/sdb rw
25 23 0:21 / /dev/shm rw,nosuid - tmpfs tmpfs rw,size=64k
26 23 0:19 / /dev/my\040queues rw - mqueue mqueue rw
nonsense
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "mountinfo"
    path.write_text(TABLE)
    return path


@pytest.mark.parametrize(
    ("path", "kind"), [("/dev/shm", "tmpfs"), ("/dev/shm/x", "tmpfs"), ("/dev/shmx", "devtmpfs"), ("/home", "ext4")]
)
def test_the_innermost_and_latest_mount_counts(table: Path, path: str, kind: str) -> None:
    assert file_system_of(Path(path), table) == kind


def test_a_mount_is_found_by_its_kind(table: Path) -> None:
    assert mount_point_of("mqueue", table) == Path("/dev/my queues")
    assert mount_point_of("nfs", table) is None


def test_without_the_table_nothing_is_known(tmp_path: Path) -> None:
    assert file_system_of(Path("/dev/shm"), tmp_path / "none") is None
    assert mount_point_of("mqueue", tmp_path / "none") is None


def test_here_shared_memory_is_tmpfs() -> None:
    assert file_system_of(Path("/dev/shm")) == "tmpfs"

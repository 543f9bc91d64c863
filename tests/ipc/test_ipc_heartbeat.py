"""A heartbeat is read as it was written, whole or not at all; whatever else lies in the folder is ignored."""

from __future__ import annotations

import os
import stat
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.ipc import heartbeat
from appliance.ipc.errors import CorruptError
from appliance.ipc.heartbeat import HeartbeatFile, decode, encode, read_heartbeats
from appliance.ipc.run_folder import RunFolder
from appliance.messages import Health, Heartbeat, SourceHealth
from tests.ipc.values import HEARTBEATS

if TYPE_CHECKING:
    from pathlib import Path

BEAT = Heartbeat(
    "capture",
    Health.DEGRADED,
    1,
    2,
    "one camera is away",
    (SourceHealth("porch", Health.RUNNING), SourceHealth("yard", Health.FAILED, "no such device")),
    {"frames": 3.0, "fps": 29.97},
    {"mode": "alarmed"},
)
GOOD = encode(BEAT)


@given(HEARTBEATS)
def test_a_heartbeat_is_read_as_it_was_written(beat: Heartbeat) -> None:
    assert decode(encode(beat), "here") == beat


@given(st.binary(max_size=200))
def test_random_bytes_are_no_heartbeat(junk: bytes) -> None:
    for data in (junk, junk[:4] + b"PLH1" + junk[4:]):
        read_or_refuse(data)


@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4))
@settings(max_examples=1000)
def test_a_heartbeat_with_wrong_bytes_is_read_or_refused_by_name(patches: list[tuple[int, bytes]]) -> None:
    patched = bytearray(GOOD)
    for at, wrong in patches:
        patched[at : at + len(wrong)] = wrong
    read_or_refuse(bytes(patched))


@pytest.mark.parametrize("length", range(0, len(GOOD), 4))
def test_a_heartbeat_cut_off_is_read_or_refused_by_name(length: int) -> None:
    read_or_refuse(GOOD[:length])


def read_or_refuse(data: bytes) -> None:
    """Any exception but a CorruptError with the file's name fails the test."""
    try:
        decode(data, "here")
    except CorruptError as error:
        assert str(error).startswith("here: ")  # noqa: PT017 -- it may also be well


def test_heartbeats_are_found_by_the_name_of_their_file(folder: RunFolder) -> None:
    HeartbeatFile(folder, "capture").write(BEAT)
    HeartbeatFile(folder, "gateway").write(BEAT)
    assert read_heartbeats(folder) == {"capture": BEAT, "gateway": BEAT}
    HeartbeatFile(folder, "gateway").remove()
    HeartbeatFile(folder, "gateway").remove()  # gone is gone
    assert read_heartbeats(folder) == {"capture": BEAT}


def test_what_is_no_heartbeat_is_ignored_and_the_others_are_read(folder: RunFolder) -> None:
    HeartbeatFile(folder, "capture").write(BEAT)
    (folder.heartbeats / "empty").touch()
    (folder.heartbeats / "junk").write_bytes(b"junk" * 100)
    (folder.heartbeats / "half").write_bytes(GOOD[: len(GOOD) // 2])
    (folder.heartbeats / "huge").write_bytes(GOOD + bytes(1 << 20))
    (folder.heartbeats / "folder").mkdir()
    (folder.heartbeats / "dangling").symlink_to("nowhere")
    assert read_heartbeats(folder) == {"capture": BEAT}


def test_of_a_huge_file_no_more_is_read_than_a_heartbeat_may_have(folder: RunFolder) -> None:
    with (folder.heartbeats / "huge").open("wb") as huge:
        huge.truncate(64 << 20)
    tracemalloc.start()
    try:
        assert read_heartbeats(folder) == {}
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_before_there_is_a_folder_nobody_is_there(tmp_path: Path) -> None:
    assert read_heartbeats(RunFolder("none", tmp_path)) == {}


@pytest.mark.parametrize("fault", ["a part fits", "nothing fits"])
def test_a_full_file_system_is_an_error_and_leaves_the_heartbeat_before(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    file = HeartbeatFile(folder, "capture")
    file.write(BEAT)
    write = os.write

    def write_a_part(fd: int, data: bytes) -> int:
        if fault == "nothing fits":
            raise OSError(28, "No space left on device")
        return write(fd, data[: len(data) // 2])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write_a_part)
        with pytest.raises(OSError, match="No space left on device"):
            file.write(Heartbeat("capture", Health.FAILED, 9, 9))
    assert read_heartbeats(folder) == {"capture": BEAT}
    file.write(Heartbeat("capture", Health.FAILED, 9, 9))
    assert read_heartbeats(folder)["capture"].health is Health.FAILED


def test_another_version_is_refused_naming_both() -> None:
    data = bytearray(encode(BEAT))
    data[7:8] = b"9"
    with pytest.raises(CorruptError, match=r"^here: holds .*PLH9.*reads b'PLH1'"):
        decode(bytes(data), "here")


def test_while_a_heartbeat_is_written_the_one_before_is_seen(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = HeartbeatFile(folder, "capture")
    file.write(BEAT)
    write = os.write
    seen = []

    def write_under_observation(fd: int, data: bytes) -> int:
        seen.append(read_heartbeats(folder))
        count = write(fd, data)
        seen.append(read_heartbeats(folder))
        return count

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write_under_observation)
        file.write(Heartbeat("capture", Health.RUNNING, 9, 9))
    assert seen == [{"capture": BEAT}] * 2


def test_nobody_else_may_read_a_heartbeat(folder: RunFolder) -> None:
    before = os.umask(0)
    try:
        HeartbeatFile(folder, "capture").write(BEAT)
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder.heartbeats / "capture").stat().st_mode) == 0o600


def test_what_was_read_once_is_not_decoded_again(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The controller asks four times a second for what changes once."""
    decoded: list[str] = []
    plain = heartbeat.decode

    def counted(data: bytes, source: str) -> Heartbeat:
        decoded.append(source)
        return plain(data, source)

    monkeypatch.setattr(heartbeat, "decode", counted)
    file = HeartbeatFile(folder, "capture")
    for number in range(3):
        file.write(Heartbeat("capture", Health.RUNNING, number, 1))
        for _ in range(4):
            assert read_heartbeats(folder)["capture"].beat_ns == number
    assert len(decoded) == 3

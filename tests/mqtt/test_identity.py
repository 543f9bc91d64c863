"""The name of an installation: one for ever, whoever asks first, and a new one where it cannot be kept."""

from __future__ import annotations

import fcntl
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from appliance.mqtt import install_id


def test_it_is_made_once_and_kept(tmp_path: Path) -> None:
    made = install_id(tmp_path / "state")
    assert re.fullmatch(r"[0-9a-f]{8}", made)
    assert {install_id(tmp_path / "state") for _ in range(5)} == {made}


def test_two_installations_differ(tmp_path: Path) -> None:
    assert len({install_id(tmp_path / str(number)) for number in range(20)}) == 20


@pytest.mark.parametrize("content", [None, b"", b"no id\n"])
def test_whoever_asks_at_the_same_time_gets_the_same(tmp_path: Path, content: bytes | None) -> None:
    """The controller and the gateway start together, where nothing is kept yet or what is kept is spoilt."""
    for number in range(30):
        folder = tmp_path / str(number)
        if content is not None:
            folder.mkdir()
            (folder / "install-id").write_bytes(content)
        with ThreadPoolExecutor(8) as askers:
            answers = set(askers.map(install_id, [folder] * 8))
        assert answers == {install_id(folder)}


def test_nothing_but_the_name_is_left_in_the_folder(tmp_path: Path) -> None:
    install_id(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["install-id"]


def test_a_folder_that_is_made_for_it_is_its_owners_alone(tmp_path: Path) -> None:
    install_id(tmp_path / "state")
    assert (tmp_path / "state").stat().st_mode & 0o077 == 0


def test_where_it_cannot_be_kept_there_is_one_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    first, second = install_id(tmp_path / "file" / "state"), install_id(tmp_path / "file" / "state")
    assert re.fullmatch(r"[0-9a-f]{8}", first)
    assert first != second


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: Path, _text: str) -> int:
        file.touch()
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        assert re.fullmatch(r"[0-9a-f]{8}", install_id(tmp_path))
    assert not list(tmp_path.iterdir())
    assert install_id(tmp_path) == install_id(tmp_path)


def test_a_file_system_without_links_is_no_reason_to_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert re.fullmatch(r"[0-9a-f]{8}", install_id(tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_file_system_without_locks_is_no_reason_to_leave_what_is_spoilt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    (tmp_path / "install-id").write_bytes(b"no id")
    assert install_id(tmp_path) == install_id(tmp_path)


def test_what_is_spoilt_is_set_aside_once_whoever_finds_it(tmp_path: Path) -> None:
    (tmp_path / "install-id").write_bytes(b"no id")
    with ThreadPoolExecutor(8) as askers:
        list(askers.map(install_id, [tmp_path] * 8))
    assert [file.read_bytes() for file in tmp_path.iterdir() if file.name != "install-id"] == [b"no id"]


@pytest.mark.parametrize("content", [b"../../x\n", b"\xff\xfe", b"", b"0123456789abcdef"])
def test_what_is_no_name_of_ours_is_never_used(tmp_path: Path, content: bytes) -> None:
    """It becomes a part of the client's id, and of topics."""
    (tmp_path / "install-id").write_bytes(content)
    assert re.fullmatch(r"[0-9a-f]{8}", install_id(tmp_path))


@pytest.mark.parametrize("content", [b"", b"\0" * 9])
def test_a_file_that_a_power_cut_has_emptied_is_written_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "install-id").write_bytes(content)
    assert install_id(tmp_path) == install_id(tmp_path)

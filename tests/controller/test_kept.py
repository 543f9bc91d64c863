"""Texts that survive: the old one or the new one, whole, whatever happens."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from appliance.controller.kept import LARGEST, NoTextError, read, set_aside, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "porch" / "settings.json"


def names(path: Path) -> list[str]:
    return sorted(one.name for one in path.parent.iterdir())


def test_nothing_was_kept_before_the_first_time(path: Path) -> None:
    assert read(path) is None


@pytest.mark.parametrize("text", ["", '{"name": "Haust\u00fcr"}', "two\nlines\r\n"])
def test_what_was_written_is_read_and_nothing_else_lies_there(path: Path, text: str) -> None:
    write(path, "the one before")
    write(path, text)
    assert read(path) == text
    assert names(path) == ["settings.json"]


def test_the_file_is_its_owners_alone(path: Path) -> None:
    before = os.umask(0)
    try:
        write(path, "secret")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_death_before_it_was_finished_leaves_the_last_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Died(BaseException):
        pass

    def die(_: int) -> None:
        raise Died

    write(path, "the one before")
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", die)
        with pytest.raises(Died):
            write(path, "the new one")
    assert read(path) == "the one before"
    write(path, "the next one")
    assert read(path) == "the next one"
    assert names(path) == ["settings.json"]


def test_the_disk_has_the_text_before_its_name_and_then_the_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[bool, str | None]] = []

    def note(descriptor: int) -> None:
        synced.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), read(path)))

    write(path, "the one before")
    monkeypatch.setattr(os, "fsync", note)
    write(path, "the new one")
    assert synced == [(False, "the one before"), (True, "the new one")]


def test_a_full_disk_leaves_the_last_one_and_no_rubbish(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    write(path, "the one before")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write(path, "the new one")
    assert read(path) == "the one before"
    assert names(path) == ["settings.json"]


def test_a_link_that_lies_in_the_way_is_not_followed(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("somebody else's")
    path.parent.mkdir(parents=True)
    path.with_name(".settings.json.new").symlink_to(other)
    write(path, "ours")
    assert other.read_text() == "somebody else's"
    assert read(path) == "ours"
    assert not path.is_symlink()


@pytest.mark.parametrize(
    ("content", "why"), [(b"\xff{}", "byte 0 cannot be read"), (b" " * (LARGEST + 1), "more than 1,000,000 bytes")]
)
def test_what_is_no_text_of_ours_is_refused(path: Path, content: bytes, why: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(NoTextError, match=why):
        read(path)


def test_what_cannot_be_used_is_set_aside_and_never_overwritten(path: Path) -> None:
    kept_aside = []
    for text in ("one", "two", "three"):
        write(path, text)
        kept_aside.append(set_aside(path))
        assert read(path) is None
    assert [one.read_text() for one in kept_aside] == ["one", "two", "three"]
    assert names(path) == ["settings.json.broken", "settings.json.broken2", "settings.json.broken3"]

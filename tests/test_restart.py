"""A restart that was asked for is seen once."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator

import pytest

from appliance import restart
from appliance.ipc.run_folder import RunFolder


@pytest.fixture
def folder() -> Iterator[RunFolder]:
    one = RunFolder(f"test_{os.getpid()}_{secrets.token_hex(4)}")
    one.create()
    yield one
    one.remove()


def test_nobody_has_asked_until_somebody_does(folder: RunFolder) -> None:
    assert not restart.is_asked(folder)
    restart.ask(folder)
    assert restart.is_asked(folder)


def test_it_is_seen_once_however_often_it_was_asked_for(folder: RunFolder) -> None:
    for _ in range(3):
        restart.ask(folder)
    assert restart.is_asked(folder)
    assert not restart.is_asked(folder)
    restart.ask(folder)
    assert restart.is_asked(folder)


def test_one_instance_does_not_start_another_anew(folder: RunFolder) -> None:
    other = RunFolder(f"test_{os.getpid()}_{secrets.token_hex(4)}")
    other.create()
    try:
        restart.ask(other)
        assert not restart.is_asked(folder)
        assert restart.is_asked(other)
    finally:
        other.remove()


def test_the_mark_is_its_owners_alone_and_goes_with_the_folder(folder: RunFolder) -> None:
    before = {file.name for file in folder.path.iterdir()}
    restart.ask(folder)
    (mark,) = [file for file in folder.path.iterdir() if file.name not in before]
    assert stat.S_IMODE(mark.stat().st_mode) == 0o600
    folder.remove()
    assert not folder.path.exists()


def test_without_a_run_folder_asking_is_an_error_and_nobody_has_asked(folder: RunFolder) -> None:
    folder.remove()
    with pytest.raises(OSError, match="No such file"):
        restart.ask(folder)
    assert not restart.is_asked(folder)


def test_a_mark_that_cannot_be_taken_away_starts_nothing_anew_for_ever(folder: RunFolder) -> None:
    (folder.path / "restart").mkdir()
    assert not restart.is_asked(folder)
    assert not restart.is_asked(folder)

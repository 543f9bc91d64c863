"""An edit is seen once, when it is finished, and only if it can be used."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.config import Settings, Watch, watch

GOOD = "instance: {name}\ncameras: []\n"


class Clock:
    """Each look is a second after the last."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._now = 0.0
        monkeypatch.setattr(time, "monotonic", self.later)

    def later(self) -> float:
        self._now += watch.LOOK_EVERY_S
        return self._now


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    Clock(monkeypatch)
    path = tmp_path / "settings.yaml"
    path.write_text(GOOD.format(name="before"))
    return path


def looks(one: Watch, count: int = 4) -> list[str]:
    """Return the instances of the settings that so many looks told of."""
    found: list[Settings | None] = [one.look() for _ in range(count)]
    return [settings.instance for settings in found if settings is not None]


def in_place(path: Path, text: str) -> None:
    path.write_text(text)


def by_rename(path: Path, text: str) -> None:
    other = path.with_suffix(".tmp")
    other.write_text(text)
    other.rename(path)


def by_link(path: Path, text: str) -> None:
    """As Kubernetes swaps a ConfigMap."""
    other = path.with_suffix(f".{len(text)}")
    other.write_text(text)
    link = path.with_suffix(".link")
    link.symlink_to(other)
    link.rename(path)


@pytest.mark.parametrize("edit", [in_place, by_rename, by_link])
def test_an_edit_is_told_once(file: Path, edit: Callable[[Path, str], None]) -> None:
    one = Watch(file, {})
    assert looks(one) == []
    edit(file, GOOD.format(name="after"))
    assert looks(one) == ["after"]
    assert looks(one) == []
    edit(file, GOOD.format(name="once_more"))
    assert looks(one) == ["once_more"]


def test_a_file_that_is_still_being_written_is_left_until_it_rests(file: Path) -> None:
    one = Watch(file, {})
    for number in range(5):
        file.write_text(GOOD.format(name=f"draft{number}"))
        os.utime(file, ns=(number, number))
        assert looks(one, 1) == []
    assert looks(one) == ["draft4"]


def test_a_bad_edit_is_reported_once_and_the_next_good_one_told(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    one = Watch(file, {})
    file.write_text("instance: NOT A NAME\n")
    assert looks(one) == []
    assert caplog.text.count("nothing is changed") == 1
    assert "instance" in caplog.text
    file.write_text(GOOD.format(name="after"))
    assert looks(one) == ["after"]


def test_a_file_that_is_gone_for_a_while_changes_nothing(file: Path) -> None:
    one = Watch(file, {})
    file.unlink()
    assert looks(one) == []
    file.write_text(GOOD.format(name="after"))
    assert looks(one) == ["after"]


def test_nobody_looks_more_often_than_once_a_second(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 1.0)
    one = Watch(file, {})
    file.write_text(GOOD.format(name="after"))
    assert looks(one, 100) == []

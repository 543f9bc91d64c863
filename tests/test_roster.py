"""Cameras come, change and go; what cannot be opened is tried again, and the others run."""

from __future__ import annotations

import time

import pytest

from appliance import roster
from appliance.config import Camera
from appliance.ipc.errors import QueueError
from appliance.roster import Roster


def camera(name: str, fps: float = 3.0) -> Camera:
    return Camera(id=name, source="synthetic://porch", standby_fps=fps)


class Street:
    """What was opened and closed, in order; refuses what is in `refused`."""

    def __init__(self) -> None:
        self.deeds: list[str] = []
        self.refused: set[str] = set()
        self.roster = Roster(self._open, self._close)

    def _open(self, one: Camera) -> str:
        if one.id in self.refused:
            raise QueueError("no queue left")
        self.deeds.append(f"+{one.id}")
        return f"{one.id} at {one.standby_fps:g}"

    def _close(self, thing: str) -> None:
        self.deeds.append(f"-{thing.split(maxsplit=1)[0]}")


def test_what_stays_as_it_is_is_left_alone() -> None:
    street = Street()
    assert street.roster.follow([camera("a"), camera("b")])
    assert not street.roster.follow([camera("a"), camera("b")])
    assert street.deeds == ["+a", "+b"]
    assert street.roster.follow([camera("a"), camera("c")])
    assert street.deeds == ["+a", "+b", "-b", "+c"]
    assert list(street.roster) == ["a at 3", "c at 3"]


def test_a_camera_that_has_changed_is_closed_before_it_is_opened_again() -> None:
    street = Street()
    street.roster.follow([camera("a"), camera("b")])
    street.roster.follow([camera("a", fps=5), camera("b")])
    assert street.deeds == ["+a", "+b", "-a", "+a"]
    assert list(street.roster) == ["a at 5", "b at 3"]


def test_the_order_is_the_settings() -> None:
    street = Street()
    street.roster.follow([camera("a"), camera("b")])
    street.roster.follow([camera("c"), camera("b"), camera("a")])
    assert list(street.roster) == ["c at 3", "b at 3", "a at 3"]


def test_one_that_cannot_be_opened_is_tried_again_and_keeps_nobody_from_work(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    street = Street()
    street.refused = {"a"}
    street.roster.follow([camera("a"), camera("b")])
    assert list(street.roster) == ["b at 3"]
    assert "camera a: cannot be served: no queue left" in caplog.text
    assert not street.roster.retry()  # not at once
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + roster.RETRY_S)
    assert not street.roster.retry()
    street.refused = set()
    monkeypatch.setattr(time, "monotonic", lambda: now + 2 * roster.RETRY_S)
    assert street.roster.retry()
    assert list(street.roster) == ["a at 3", "b at 3"]
    assert not street.roster.retry()


def test_closing_closes_all() -> None:
    street = Street()
    street.roster.follow([camera("a"), camera("b")])
    street.roster.close()
    assert street.deeds == ["+a", "+b", "-a", "-b"]
    assert list(street.roster) == []

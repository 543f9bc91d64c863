"""Whoever comes late to a camera's state has it within a second, though nothing changes."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from appliance.config import Camera, Settings
from appliance.controller import desk as desk_module
from appliance.controller.desk import Desk
from appliance.controller.overlay import CameraChoices
from appliance.controller.service import CHECK_S
from appliance.controller.statements import Silence
from appliance.controller.topics import Topics
from appliance.ipc.heartbeat import HeartbeatFile
from appliance.ipc.mailbox import subscribe_state
from appliance.ipc.run_folder import RunFolder
from appliance.stage import Pulse, StageContext, Stop

CAMERA = "porch"


@pytest.fixture
def folder() -> Iterator[RunFolder]:
    one = RunFolder(f"test_{os.getpid()}_{secrets.token_hex(4)}")
    one.create()
    yield one
    one.remove()


@pytest.fixture
def check(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Lets the time between two looks at the clock pass, and then the desk look. Nothing else ever happens."""
    now = 1000.0
    clock = SimpleNamespace(
        monotonic=lambda: now, monotonic_ns=lambda: round(now * 1e9), time_ns=lambda: round(now * 1e9)
    )
    monkeypatch.setattr(desk_module, "time", clock)
    camera = Camera(id=CAMERA, source="synthetic://porch")
    choices = CameraChoices(threshold=0.5, clear_seconds=3)
    context = StageContext(Settings(), folder, Pulse(HeartbeatFile(folder, "controller"), "controller"), Stop())

    def look() -> None:
        nonlocal now
        now += CHECK_S
        desk.check({})

    with contextlib.closing(Desk(context, camera, Topics("home"), Silence(), choices=choices)) as desk:
        yield look


@pytest.mark.parametrize("looks_before", range(9))
def test_who_comes_late_has_the_state_within_a_second(
    folder: RunFolder, check: Callable[[], None], looks_before: int
) -> None:
    for _ in range(looks_before):
        check()
    with contextlib.closing(subscribe_state(folder, CAMERA, "gateway")) as late:
        assert late.take() is None
        for _ in range(round(1 / CHECK_S)):
            check()
        assert late.take() is not None

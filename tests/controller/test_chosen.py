"""What is set in Home Assistant: it holds at once, survives a restart, and is not eased while the alarm is armed."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import pytest

from appliance.config import Camera, Settings
from appliance.controller import kept
from appliance.controller.chosen import Chosen
from appliance.controller.commands import ChangeSetting
from appliance.controller.desk import Desk
from appliance.controller.overlay import CameraChoices, Setting

PATIENCE_S = 30.0
OFF = ChangeSetting("porch", Setting.DETECTION, value=False)
STRICTER = ChangeSetting("porch", Setting.THRESHOLD, 0.9)


class Stand:
    """Stands for the porch's desk: what it was told to do, and how often it told what holds."""

    def __init__(self) -> None:
        self.camera = Camera(id="porch", source="synthetic://porch")
        self.choices: CameraChoices | None = None
        self.tellings = 0

    def choose(self, choices: CameraChoices) -> None:
        self.choices = choices

    def tell_choices(self) -> None:
        self.tellings += 1


def settings_of(folder: Path, **sentry: float) -> Settings:
    camera = Camera.model_validate({"id": "porch", "source": "synthetic://porch", "sentry": sentry})
    return Settings(instance="home", state_dir=folder, cameras=(camera,))


def chosen_of(folder: Path, desk: Stand | None = None) -> Chosen:
    return Chosen(settings_of(folder), [cast("Desk", desk)] if desk is not None else [])


def in_loop(script: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await script()

    asyncio.run(main())


async def until(look: Callable[[], object]) -> None:
    async def wait() -> None:
        while not look():
            await asyncio.sleep(0.01)

    await asyncio.wait_for(wait(), PATIENCE_S)


def test_it_holds_at_once_and_after_a_restart(tmp_path: Path) -> None:
    async def script() -> None:
        desk = Stand()
        chosen = chosen_of(tmp_path, desk)
        chosen.change(OFF, is_held=False)
        assert desk.choices == chosen.of("porch")
        assert not chosen.of("porch").detection
        await chosen.settled(PATIENCE_S)
        assert not chosen_of(tmp_path).of("porch").detection

    in_loop(script)


def test_it_is_told_when_it_is_on_disk_and_not_sooner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers, write = threading.Event(), kept.write

    def slowly(path: Path, text: str) -> None:
        assert answers.wait(PATIENCE_S)
        write(path, text)

    async def script() -> None:
        desk = Stand()
        chosen = chosen_of(tmp_path, desk)
        chosen.change(OFF, is_held=False)
        for _ in range(10):
            await asyncio.sleep(0)
        assert desk.tellings == 0
        answers.set()
        await until(lambda: desk.tellings)
        assert kept.read(tmp_path / "choices.json")

    monkeypatch.setattr(kept, "write", slowly)
    in_loop(script)


@pytest.mark.parametrize("asked", [OFF, STRICTER])
def test_nothing_is_eased_while_the_alarm_is_armed(
    tmp_path: Path, asked: ChangeSetting, caplog: pytest.LogCaptureFixture
) -> None:
    async def script() -> None:
        desk = Stand()
        chosen = chosen_of(tmp_path, desk)
        before = chosen.of("porch")
        chosen.change(asked, is_held=True)
        assert chosen.of("porch") == before
        assert desk.choices is None

    in_loop(script)
    assert f"camera porch: {asked.setting} is not eased while the alarm is armed" in caplog.text


def test_what_eases_nothing_may_be_set_while_the_alarm_is_armed(tmp_path: Path) -> None:
    async def script() -> None:
        chosen = chosen_of(tmp_path)
        chosen.change(ChangeSetting("porch", Setting.THRESHOLD, 0.2), is_held=True)
        assert chosen.of("porch").threshold == 0.2

    in_loop(script)


def test_what_holds_already_is_not_news(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def script() -> None:
        chosen = chosen_of(tmp_path, Stand())
        for _ in range(3):
            chosen.change(OFF, is_held=False)

    caplog.set_level(logging.INFO)
    in_loop(script)
    assert caplog.messages == ["camera porch: detection set to OFF"]


def test_what_was_edited_in_the_file_since_is_chosen_no_more(tmp_path: Path) -> None:
    async def script() -> None:
        chosen = chosen_of(tmp_path)
        chosen.change(STRICTER, is_held=False)
        chosen.follow(settings_of(tmp_path, threshold=0.7))
        assert chosen.of("porch").threshold == 0.7

    in_loop(script)


def test_that_what_was_kept_is_broken_is_a_problem_until_something_is_set(tmp_path: Path) -> None:
    async def script() -> None:
        (tmp_path / "choices.json").write_text("{")
        chosen = chosen_of(tmp_path)
        assert ["could not be read" in reason for reason in chosen.reasons] == [True]
        chosen.change(OFF, is_held=False)
        await chosen.settled(PATIENCE_S)
        assert chosen.reasons == []

    in_loop(script)

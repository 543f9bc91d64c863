"""What was set in Home Assistant: it holds at once, is kept, and is told when a power cut would not take it back."""

from __future__ import annotations

import asyncio
import functools
import logging
from typing import TYPE_CHECKING

from appliance.controller import overlay
from appliance.controller.alarm.guard import DISK_PATIENCE_S
from appliance.controller.commands import eases, in_words
from appliance.controller.keeper import Keeper
from appliance.telemetry import Sparing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from appliance.config import Settings
    from appliance.controller.commands import ChangeSetting
    from appliance.controller.desk import Desk
    from appliance.controller.overlay import CameraChoices

log = logging.getLogger(__name__)


class Chosen:
    """All methods belong to the asyncio thread; only making it waits for the disk."""

    def __init__(self, settings: Settings, desks: Iterable[Desk]) -> None:
        """`desks` are those that are there whenever it looks."""
        self._desks = desks
        self._keeper = Keeper(settings.state_path / "choices.json", "what was set in Home Assistant")
        written = overlay.written_in(settings)
        kept = self._keeper.load(functools.partial(overlay.from_json, written=written))
        self._overlay = kept or overlay.Overlay(written)
        self._refusals, self._changes = Sparing(log), Sparing(log)
        self._tellings: set[asyncio.Task[None]] = set()

    @property
    def reasons(self) -> list[str]:
        """What is wrong with what was kept, in words."""
        return [reason for reason in (self._keeper.problem, self._keeper.lost) if reason]

    def of(self, camera: str) -> CameraChoices:
        """Return what holds for a camera of config.yaml."""
        return self._overlay.of(camera)

    def follow(self, edited: Settings) -> None:
        """Forget the choices whose setting was edited in config.yaml."""
        self._overlay = self._overlay.over(overlay.written_in(edited))
        self._keep()

    def change(self, asked: ChangeSetting, *, is_held: bool) -> None:
        """Have a setting hold that was just chosen. `is_held`: the alarm does not let this camera see less."""
        if is_held and eases(asked, self.of(asked.camera)):
            text = "camera %s: %s is not eased while the alarm is armed"
            self._refusals.warning(text, asked.camera, asked.setting, camera=asked.camera)
            return
        self._keeper.lost = ""
        self._overlay = self._overlay.choose(asked.camera, asked.setting, asked.value)
        chosen = self.of(asked.camera)
        for desk in self._desks:
            if desk.camera.id == asked.camera and desk.choices != chosen:
                value = in_words(asked.setting, asked.value)
                text = "camera %s: %s set to %s"
                self._changes.info(text, asked.camera, asked.setting, value, camera=asked.camera)
                desk.choose(chosen)
        self._keep()
        telling = asyncio.get_running_loop().create_task(self._tell())
        self._tellings.add(telling)
        telling.add_done_callback(self._tellings.discard)

    async def settled(self, seconds: float) -> None:
        """Wait until the choices are on disk, or for so long."""
        await self._keeper.settled(seconds)

    async def _tell(self) -> None:
        """Say what the settings stand at when that would survive a power cut, or the disk does not answer."""
        await self.settled(DISK_PATIENCE_S)
        for desk in self._desks:
            desk.tell_choices()

    def _keep(self) -> None:
        self._keeper.keep(self._overlay.to_json())

"""Announces the household, takes back what is no more, and keeps a record of both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.controller.discovery.announced import Announced, announced, farewell, from_json
from appliance.controller.discovery.household import household
from appliance.controller.keeper import Keeper

if TYPE_CHECKING:
    from appliance.config import Settings
    from appliance.controller.statements import Silence, Statements


class Herald:
    """All methods belong to the asyncio thread."""

    def __init__(self, settings: Settings, statements: Statements | Silence) -> None:
        self._statements = statements
        self._keeper = Keeper(settings.state_path / "announced.json", "what Home Assistant was told of us")
        self._before = self._keeper.load(from_json) or Announced()
        """What the broker may still have."""
        self._noted: Announced | None = None
        self.announce(settings)

    @property
    def problem(self) -> str:
        """Why what is announced would not be remembered; empty where it is."""
        return self._keeper.problem

    async def stop(self, seconds: float) -> None:
        """Give the disk so long for what is not kept yet."""
        await self._keeper.settled(seconds)

    def announce(self, settings: Settings) -> None:
        """Announce the household as it is now, in place of what was announced before."""
        devices = household(settings)
        payloads = {device.topic(settings.mqtt.discovery_prefix): device for device in devices}
        self._now = announced(settings, devices)
        parting = farewell(self._before, self._now, payloads)
        self._statements.announce({topic: device.json() for topic, device in payloads.items()}, parting)
        # Until the broker has taken all of it, the record holds both: else a death in between would forget the old.
        self._before = self._now.over(self._before)
        self.check()

    def check(self) -> None:
        """Note that the broker has taken the farewell, if it has."""
        if self._statements.parted:
            self._before = self._now
        if self._before is self._noted:
            return
        self._noted = self._before
        self._keeper.keep(self._before.model_dump_json(indent=1))

"""A home on what a version has left: what its controller starts with, and what it says of it."""

from __future__ import annotations

import asyncio
import functools
import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.controller import overlay
from appliance.controller.alarm.guard import Guard
from appliance.controller.alarm.words import AlarmState, Scene
from appliance.controller.discovery.herald import Herald
from appliance.controller.keeper import Keeper
from appliance.controller.outbox import Outbox, store
from appliance.mqtt import install_id
from tests.controller.alarm import test_guard
from tests.controller.discovery import test_herald
from tests.upgrade.recording import (
    CHOSEN,
    INSTANCE,
    TOPICS,
    events,
    lay_out,
    settings_of,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


JSON_FILES = ("alarm.json", "choices.json", "announced.json")


@dataclass
class Started:
    """What the controller has of its state folder when it has started."""

    guard: Guard
    choices: overlay.Overlay
    outbox: Outbox
    said: test_herald.Said
    reasons: list[str]

    @property
    def numbers(self) -> list[int]:
        return list(self.outbox.events)

    def is_whole_but(self, spoilt: str) -> bool:
        """Whether all came back that does not lie in this file."""
        return (
            (self.guard.state is AlarmState.ARMED_NIGHT or spoilt == "alarm.json")
            and (all(self.choices.of(name) == chosen for name, chosen in CHOSEN.items()) or spoilt == "choices.json")
            and (self.numbers == [event.number for event in events()] or spoilt == "outbox.sqlite3")
            and (any("cellar" in topic for topic in self.said.farewells[0]) or spoilt == "announced.json")
        )


class Home:
    """The two folders of an appliance, the one as a version has left it, the other empty."""

    def __init__(self, folder: Path, recorded: Path, instance: str = INSTANCE) -> None:
        self.state, self.run = folder / "state", folder / "run"
        self.run.mkdir()
        lay_out(recorded, self.state, instance)

    def start(self, script: Callable[[Started], Awaitable[None]] | None = None) -> Started:
        """Start what the controller starts on this folder, look once, do what the script does, and stop."""

        async def main() -> Started:
            settings = settings_of(self.state)
            keeper = Keeper(self.state / "choices.json", "what was set in Home Assistant")
            written = overlay.written_in(settings)
            choices = keeper.load(functools.partial(overlay.from_json, written=written)) or overlay.Overlay(written)
            outbox = Outbox(self.run, self.state)
            await outbox.open()
            install_id(self.state)
            said = test_herald.Said()
            herald = Herald(settings, said)
            guard = Guard(settings, TOPICS, test_guard.Said())
            obeying = asyncio.create_task(guard.serve())
            guard.look(Scene((), {}))
            reasons = [*guard.reasons, keeper.lost, outbox.problem]
            started = Started(guard, choices, outbox, said, [reason for reason in reasons if reason])
            if script is not None:
                await script(started)
            obeying.cancel()
            await guard.stop()
            await herald.stop(30)
            await outbox.close(30)
            return started

        return asyncio.run(main())

    def make_newer(self, name: str) -> bytes:
        """Have a file say that the next version wrote it, with something new in it; return what it holds then."""
        path = self.state / name
        if path.suffix == ".json":
            document = json.loads(path.read_text())
            path.write_text(json.dumps({**document, "version": document["version"] + 1, "news": ["something"]}))
        else:
            connection = sqlite3.connect(path)
            connection.execute("ALTER TABLE event ADD COLUMN news TEXT")
            connection.execute(f"PRAGMA user_version = {store.VERSION + 1}")
            connection.close()
        return path.read_bytes()

    def make_ours(self, name: str) -> None:
        """Undo `make_newer`, and so play the newer version."""
        path = self.state / name
        if path.suffix == ".json":
            document = json.loads(path.read_text())
            del document["news"]
            path.write_text(json.dumps({**document, "version": document["version"] - 1}))
        else:
            connection = sqlite3.connect(path)
            connection.execute("ALTER TABLE event DROP COLUMN news")
            connection.execute(f"PRAGMA user_version = {store.VERSION}")
            connection.close()

    def aside(self, name: str) -> Path:
        return self.state / f"{name}.broken"

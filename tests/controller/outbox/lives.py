"""Lives of an outbox, each ending as by SIGKILL; and a disk that fails or hangs when it is told to."""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.controller.outbox import Event, Outbox
from appliance.controller.outbox.store import Store

TOPIC = "porch/event"
PATIENCE_S = 30.0


class Disk:
    """The real disk, until it is told to fail or to hang."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fault: Exception | None = None
        self.asked = 0
        """How often something was to be changed, also in vain."""
        self.given: list[object] = []
        """What it was to keep, as it was put."""
        self.answers = threading.Event()
        self.answers.set()
        change = Store.change

        def ask(store: Store, put: Iterable[Event], *more: Any) -> None:
            self.asked += 1
            self.given += [event.payload["what"] for event in put]
            assert self.answers.wait(PATIENCE_S)
            if self.fault is not None:
                raise copy.copy(self.fault)  # its traceback holds on to whoever met it
            change(store, put, *more)

        monkeypatch.setattr(Store, "change", ask)


class House:
    """The two folders, and whoever lives on them."""

    def __init__(self, folder: Path) -> None:
        self.run = folder / "run"
        self.state = folder / "state"
        self.run.mkdir()

    @property
    def path(self) -> Path:
        return self.state / "outbox.sqlite3"

    def live(self, script: Callable[[Outbox], Awaitable[Any]]) -> None:
        """Run a script with an outbox. Nothing is said to it at the end."""

        async def main() -> None:
            outbox = Outbox(self.run, self.state)
            try:
                await outbox.open()
                await script(outbox)
            finally:
                outbox._journal.close()
                if outbox._store is not None and outbox._task is None:
                    outbox._store.close()

        asyncio.run(main())

    def lose_power(self) -> None:
        """The run folder is memory."""
        for file in self.run.iterdir():
            file.unlink()

    def rows(self) -> list[dict[str, Any]]:
        """Return what is on disk."""
        store = Store(self.path)
        rows = [dict(event.payload) for event in store.load()]
        store.close()
        return rows


def put(outbox: Outbox, *whats: object, late: bool = False) -> None:
    for what in whats:
        outbox.put(TOPIC, {"what": what}, None, late=late)


def whats(outbox: Outbox) -> list[object]:
    """Return what is to be delivered, as it was put."""
    return [event.payload["what"] for event in outbox.events.values()]


def problem(outbox: Outbox) -> str:
    return outbox.problem


async def until(look: Callable[[], object]) -> None:
    async def wait() -> None:
        while not look():
            await asyncio.sleep(0.005)

    await asyncio.wait_for(wait(), PATIENCE_S)


async def tried(outbox: Outbox) -> None:
    """Wait until the disk has said yes or no."""
    await until(lambda: outbox._task is None)


def disk_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    disk = Disk(monkeypatch)
    yield disk
    disk.answers.set()

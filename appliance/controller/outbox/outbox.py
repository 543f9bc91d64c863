"""The events that the broker has not acknowledged: noted in memory at once, on disk a moment later, by a thread.

An event is sent live whatever becomes of its row. All methods belong to the asyncio thread; none waits for the disk but
`open`, which does for OPEN_S at most.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from appliance.controller import kept
from appliance.controller.outbox.event import Event
from appliance.controller.outbox.journal import Journal
from appliance.controller.outbox.store import NewerStoreError, Store
from appliance.telemetry import RepeatedFault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

log = logging.getLogger(__name__)

MOST = 5000
"""Events; beyond them the oldest give way."""
OPEN_S = 3.0
SLOW_S = 5.0
RETRY_S = 30.0
_WHAT = "events that were not delivered"


class Outbox:
    """In order of their numbers."""

    def __init__(self, run_folder: Path, state_folder: Path) -> None:
        self.events: dict[int, Event] = {}
        self.lost = 0
        """Events that gave way to newer ones."""
        self._journal = Journal(run_folder / "events.journal")
        self._path = state_folder / "outbox.sqlite3"
        self._store: Store | None = None
        self._on_disk: set[int] = set()
        self._highest = 0
        self._why = ""
        self._began_s = 0.0
        self._task: asyncio.Task[None] | None = None
        self._again: asyncio.TimerHandle | None = None
        self._executor = ThreadPoolExecutor(1, "outbox")
        self._fault = RepeatedFault(log, f"{_WHAT} cannot be kept in {self._path}")

    @property
    def problem(self) -> str:
        """Why what is not delivered would not survive a power cut; empty where it would, or soon will."""
        if self._why:
            return f"{_WHAT} cannot be kept: {self._why}"
        if self._task is not None and time.monotonic() - self._began_s > SLOW_S:
            return f"{_WHAT} cannot be kept: the disk does not answer"
        return ""

    async def open(self) -> None:
        """Take over what an earlier process did not get delivered."""
        found: list[Event] = []
        with contextlib.suppress(TimeoutError):
            self._began_s = time.monotonic()
            found = await asyncio.wait_for(self._run(self._open_store), OPEN_S)
        self._on_disk = {event.number for event in found}
        left = {event.number: event for event in found if event.number not in self._journal.done}
        left |= self._journal.pending
        self.events = {number: left[number] for number in sorted(left)}
        self._highest = max(self._highest, *self._journal.done, *self.events, 0, 0)
        if self.events:
            log.info("%d events of before are still to be delivered", len(self.events))
        self._sync()

    def put(
        self, topic: str, payload: Mapping[str, Any], acknowledged: Callable[[int], None] | None, *, late: bool
    ) -> None:
        """Take in what happened just now; `late`: it cannot be sent at once."""
        now_ns = time.time_ns()
        self._highest = number = max(self._highest + 1, now_ns // 1000)
        event = Event(number, topic, payload, now_ns, acknowledged, late)
        self.events[number] = event
        self._journal.put(event)
        if len(self.events) > MOST:
            self.remove(next(iter(self.events)))
            self.lost += 1
        self._sync()

    def remove(self, number: int) -> None:
        """Forget an event that the broker has, or that can never be delivered."""
        if self.events.pop(number, None) is not None:
            self._journal.remove(number)
            self._sync()

    def newest(self, topic: str) -> Event | None:
        """Return the newest event on this topic, delivered or not; None: since the appliance started there was none."""
        return self._journal.newest.get(topic)

    async def close(self, seconds: float) -> None:
        """Give the disk so long for what is not there yet."""
        if self._task is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._task), seconds)
        self._journal.close()
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _sync(self) -> None:
        """Have a thread make the disk hold what is to be delivered; one at a time."""
        if self._task is None and self._again is None and self.events.keys() != self._on_disk:
            self._began_s = time.monotonic()
            self._task = asyncio.get_running_loop().create_task(self._write())

    def _try_again(self) -> None:
        self._again = None
        self._sync()

    async def _write(self) -> None:
        try:
            while self.events.keys() != self._on_disk:
                # An event that is acknowledged sooner than the disk is ready never goes there.
                put = [event for number, event in self.events.items() if number not in self._on_disk]
                remove = self._on_disk - self.events.keys()
                self._began_s = time.monotonic()
                await self._run(self._change, put, remove)
                self._on_disk = (self._on_disk | {event.number for event in put}) - remove
            self._why = ""
            self._fault.heal()
        except Exception as error:  # noqa: BLE001 -- a disk full, no thread to be had: whatever it is, it is told
            self._why = str(error)
            self._fault.report(error)
            self._again = asyncio.get_running_loop().call_later(RETRY_S, self._try_again)
        finally:
            self._task = None

    async def _run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, *arguments)

    def _open_store(self) -> list[Event]:
        """In the thread."""
        try:
            self._store = Store(self._path)
            self._highest = self._store.highest()
            return self._store.load()
        except (sqlite3.DatabaseError, ValueError) as error:
            if isinstance(error, sqlite3.OperationalError):
                log.warning("%s cannot be read: %s (%s)", _WHAT, error, self._path)
            else:
                self._set_aside(error)
        except NewerStoreError as error:
            self._set_aside(error)
        except OSError as error:
            log.warning("%s cannot be read: %s (%s)", _WHAT, error.strerror, self._path)
        self._store = None
        return []

    def _set_aside(self, error: Exception) -> None:
        where = ""
        with contextlib.suppress(OSError):
            where = f"; set aside as {kept.set_aside(self._path)}"
            for beside in ("-wal", "-shm"):
                self._path.with_name(self._path.name + beside).unlink(missing_ok=True)
        log.error("%s cannot be read: %s%s", _WHAT, error, where)

    def _change(self, put: Iterable[Event], remove: Iterable[int]) -> None:
        """In the thread."""
        if self._store is None:
            self._store = Store(self._path)
        self._store.change(put, remove)

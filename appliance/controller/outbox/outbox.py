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
from typing import TYPE_CHECKING, Any

from appliance.controller import kept
from appliance.controller.disk import DiskThread
from appliance.controller.outbox.event import Event
from appliance.controller.outbox.journal import Journal
from appliance.controller.outbox.store import NewerStoreError, Store
from appliance.telemetry import RepeatedFault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from appliance.controller.outbox.event import Acknowledged

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
        """Events that gave way to newer ones in this outage."""
        self.gave_way = 0
        """Likewise, since this process began."""
        self.on_found: Callable[[], None] = lambda: None
        """Called when the disk has given events of before, which may be late."""
        self._journal = Journal(run_folder / "events.journal")
        self._path = state_folder / "outbox.sqlite3"
        self._store: Store | None = None
        self._on_disk: set[int] = set()
        self._highest = self._highest_on_disk = 0
        self._why = ""
        self._began_s = 0.0
        self._task: asyncio.Task[None] | None = None
        self._again: asyncio.TimerHandle | None = None
        self._disk = DiskThread("outbox")
        self._is_spoilt = False
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
        """Take over what an earlier process did not get delivered; what the disk gives later than OPEN_S comes then."""
        self._take_over(list(self._journal.pending.values()), max(self._journal.done, default=0))
        self._sync()
        await self._settled(OPEN_S)
        if self.events:
            log.info("%d events of before are still to be delivered", len(self.events))

    def put(
        self,
        topic: str,
        payload: Mapping[str, Any],
        acknowledged: Acknowledged | None,
        *,
        late: bool,
        prompt: bool = True,
    ) -> None:
        """Take in what happened just now. `late`: it cannot be sent at once. Not `prompt`: it waits for a hearer."""
        now_ns = time.time_ns()
        self._highest = number = max(self._highest + 1, now_ns // 1000)
        event = Event(number, topic, payload, now_ns, acknowledged, prompt, late)
        self._journal.put(event)
        self.events[number] = event
        self._make_room()
        self._sync()

    def remove(self, number: int) -> None:
        """Forget an event that the broker has, or that can never be delivered."""
        if self.events.pop(number, None) is not None:
            self._journal.remove(number)
            if not self.events:
                self.lost = 0  # the outage is over
            self._sync()

    def newest(self, topic: str) -> Event | None:
        """Return the newest event on this topic, delivered or not; None: since the appliance started there was none."""
        return self._journal.newest.get(topic)

    async def close(self, seconds: float) -> None:
        """Give the disk so long for what is not there yet."""
        await self._settled(seconds)
        if self._again is not None:
            self._again.cancel()
        self._journal.close()
        if self._store is not None and self._task is None:
            store, self._store = self._store, None
            with contextlib.suppress(Exception):
                await asyncio.wait_for(self._disk.run(store.close), seconds)

    def _take_over(self, found: list[Event], highest: int) -> None:
        left = {event.number: event for event in found if event.number not in self._journal.done}
        self.events = dict(sorted({**left, **self.events}.items()))
        self._highest = max(self._highest, highest, *self.events, 0)
        self._make_room()

    def _make_room(self) -> None:
        while len(self.events) > MOST:
            number = next(iter(self.events))
            del self.events[number]
            self._journal.remove(number)
            self.lost += 1
            self.gave_way += 1

    @property
    def _is_kept(self) -> bool:
        return (
            self._store is not None
            and not self._why
            and self.events.keys() == self._on_disk
            and self._highest == self._highest_on_disk
        )

    def _sync(self) -> None:
        """Have a thread make the disk hold what is to be delivered; one at a time, and not sooner than agreed."""
        if self._task is None and self._again is None and not self._is_kept:
            self._began_s = time.monotonic()
            self._task = asyncio.get_running_loop().create_task(self._write())

    def _try_again(self) -> None:
        self._again = None
        self._sync()

    async def _settled(self, seconds: float) -> None:
        if self._task is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._task), seconds)

    async def _write(self) -> None:
        try:
            if self._store is None:
                self._store, found, highest = await self._run(self._open_store)
                self._on_disk, self._highest_on_disk = {event.number for event in found}, highest
                self._take_over(found, highest)
                if found:
                    self.on_found()
            while True:
                # An event that is acknowledged sooner than the disk is ready never goes there.
                put = [event for number, event in self.events.items() if number not in self._on_disk]
                remove, highest = self._on_disk - self.events.keys(), self._highest
                self._began_s = time.monotonic()
                await self._run(self._store.change, put, remove, highest)
                self._on_disk = (self._on_disk | {event.number for event in put}) - remove
                self._highest_on_disk, self._why = highest, ""
                if self._is_kept:
                    break
            self._is_spoilt = False
            self._fault.heal()
        except Exception as error:  # noqa: BLE001 -- a disk full, no thread to be had: whatever it is, it is told
            await self._fail(error)
        finally:
            self._task = None

    async def _fail(self, error: Exception) -> None:
        self._why = getattr(error, "strerror", None) or str(error)
        self._fault.report(self._why)
        wait_s = RETRY_S
        if self._store is not None and _is_broken(error):
            store, self._store = self._store, None
            with contextlib.suppress(Exception):
                await self._run(self._set_aside, store, error)
            wait_s, self._is_spoilt = RETRY_S if self._is_spoilt else 0.0, True
        self._again = asyncio.get_running_loop().call_later(wait_s, self._try_again)

    async def _run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await self._disk.run(work, *arguments)

    def _open_store(self) -> tuple[Store, list[Event], int]:
        """In the thread. A file that cannot be used is set aside, once, and a new one made."""
        for is_last in (False, True):
            store = None
            try:
                store = Store(self._path)
                return store, store.load(), store.highest()
            except Exception as error:
                if is_last or not _is_broken(error):
                    if store is not None:
                        store.close()
                    raise
                self._set_aside(store, error)
        raise AssertionError

    def _set_aside(self, store: Store | None, error: Exception) -> None:
        """In the thread."""
        if store is not None:
            store.close()
        where = kept.set_aside(self._path)
        for beside in ("-wal", "-shm"):
            self._path.with_name(self._path.name + beside).unlink(missing_ok=True)
        log.error("%s cannot be read: %s; set aside as %s", _WHAT, error, where)


def _is_broken(error: Exception) -> bool:
    """Return whether it is the file that is wrong, and not the disk under it."""
    if isinstance(error, sqlite3.OperationalError):
        return False
    return isinstance(error, sqlite3.DatabaseError | NewerStoreError | ValueError | TypeError)

"""A text that is kept on disk while the loop goes on: a thread writes the newest, one at a time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, TypeVar

from appliance.controller import kept
from appliance.controller.disk import DiskThread
from appliance.telemetry import RepeatedFault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

log = logging.getLogger(__name__)

RETRY_S = 30.0
SLOW_S = 5.0
"""A disk that takes longer has a fault worth telling."""

T = TypeVar("T")


class Keeper:
    """One file in the state folder. All methods belong to the asyncio thread, and only `load` waits for the disk."""

    def __init__(self, path: Path, what: str) -> None:
        """`what` is kept there, in words."""
        self.lost = ""
        """Why what was kept could not be used; empty where it could."""
        self._path = path
        self._what = what
        self._wanted: str | None = None
        self._written: str | None = None
        self._why = ""
        self._began_s = 0.0
        self._task: asyncio.Task[None] | None = None
        self._again: asyncio.TimerHandle | None = None
        self._disk = DiskThread(path.name)
        self._is_in_the_way = False
        """What is there could not be read: it is set aside before anything is written in its place."""
        self._fault = RepeatedFault(log, f"{what} cannot be kept in {path}")

    @property
    def problem(self) -> str:
        """Why the newest text would not survive a restart; empty where it would, or soon will."""
        if self._why:
            return f"{self._what} cannot be kept: {self._why}"
        if self._task is not None and time.monotonic() - self._began_s > SLOW_S:
            return f"{self._what} cannot be kept: the disk does not answer"
        return ""

    def load(self, understood: Callable[[str], T]) -> T | None:
        """Return what `understood` makes of the file; None: there is none, or none that it can use (ValueError).

        Such a file is renamed, so that nothing is overwritten, and `lost` says so. Waits for the disk: at a start only.
        """
        try:
            text = kept.read(self._path)
            value = None if text is None else understood(text)
        except OSError as error:
            self._is_in_the_way = True
            self._lose(f"{error.strerror or error} ({self._path})")
        except ValueError as error:
            self._is_in_the_way = True
            self._lose(f"{error} ({self._tried_aside()})")
        else:
            self._wanted = self._written = text
            return value
        return None

    def keep(self, text: str) -> None:
        """Have this on disk soon, in place of what was there."""
        if text != self._wanted:
            self._wanted = text
            self._write()

    async def settled(self, seconds: float) -> bool:
        """Wait until the newest text is on disk, or for so long; return whether it is."""
        if self._task is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._task), seconds)
        return self._wanted == self._written

    def _write(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again = None
        if self._task is None and self._wanted != self._written:
            self._began_s = time.monotonic()
            self._task = asyncio.get_running_loop().create_task(self._write_newest())

    async def _write_newest(self) -> None:
        try:
            while self._wanted is not None and self._wanted != self._written:
                text = self._wanted
                await self._disk.run(self._put, text)
                self._written, self._why, self._began_s = text, "", time.monotonic()
            self._fault.heal()
        except Exception as error:  # noqa: BLE001 -- a disk full, no thread to be had: whatever it is, it is told
            self._why = getattr(error, "strerror", None) or str(error)
            self._fault.report(self._why)
            self._again = asyncio.get_running_loop().call_later(RETRY_S, self._write)
        finally:
            self._task = None

    def _put(self, text: str) -> None:
        """In a thread."""
        if self._is_in_the_way:
            self._set_aside()
        kept.write(self._path, text)

    def _set_aside(self) -> str:
        """OSError: it is still in the way."""
        try:
            where = f"set aside as {kept.set_aside(self._path)}"
        except FileNotFoundError:
            where = "gone by now"
        self._is_in_the_way = False
        return where

    def _tried_aside(self) -> str:
        try:
            return self._set_aside()
        except OSError as error:
            return f"it cannot be set aside: {error.strerror or error}"

    def _lose(self, why: str) -> None:
        self.lost = f"{self._what} could not be read: {why}"
        log.error("%s", self.lost)

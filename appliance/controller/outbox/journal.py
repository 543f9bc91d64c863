"""Events on their way, in the run folder: memory that a killed process leaves behind, and that no disk can hold up.

A line for each event, and one with its number when it is done. A line that was cut by a death is the last one.
"""

from __future__ import annotations

import contextlib
import logging
import os
from typing import TYPE_CHECKING

from appliance.controller.outbox.event import Event, from_line
from appliance.telemetry import RepeatedFault

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

log = logging.getLogger(__name__)

LARGEST = 1_000_000
"""Bytes, after which it is written anew without what is done."""


class Journal:
    """One process writes it. An event takes some microseconds."""

    def __init__(self, path: Path) -> None:
        self.pending: dict[int, Event] = {}
        self.done: set[int] = set()
        """Those that were done when it was opened: nothing else may bring them back."""
        self.newest: dict[str, Event] = {}
        """Of each topic, done or not."""
        self._path = path
        self._size = 0
        self._fd = -1
        self._fault = RepeatedFault(log, f"events cannot be noted in {path}")
        self._read()
        self._write_anew()

    def put(self, event: Event) -> None:
        """Note the event before it is sent."""
        self.pending[event.number] = event
        self.newest[event.topic] = event
        self._append(event.line())

    def remove(self, number: int) -> None:
        """Note that it is done."""
        if self.pending.pop(number, None) is not None:
            self._append(str(number))

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            for line in self._path.read_bytes().decode(errors="replace").split("\n"):
                with contextlib.suppress(ValueError):
                    self._take(line)

    def _take(self, line: str) -> None:
        if line.isdigit():
            self.pending.pop(int(line), None)
            self.done.add(int(line))
        elif line:
            event = from_line(line)
            self.newest[event.topic] = event
            self.pending[event.number] = event

    def _append(self, line: str) -> None:
        if self._size > LARGEST:
            self._write_anew()
            return
        content = f"{line}\n".encode()
        try:
            if os.write(self._fd, content) != len(content):
                raise OSError("it is full")  # noqa: TRY301 -- as if the system had said so
        except OSError as error:
            self._fault.report(error.strerror or error)
        else:
            self._size += len(content)
            self._fault.heal()

    def _write_anew(self) -> None:
        """Keep what is pending, and the newest of each topic; what was there stays until this is whole."""
        kept: Iterable[Event] = {
            event.number: event for event in (*self.newest.values(), *self.pending.values())
        }.values()
        lines = [event.line() for event in sorted(kept, key=lambda one: one.number)]
        lines += [str(event.number) for event in self.newest.values() if event.number not in self.pending]
        content = "".join(f"{line}\n" for line in lines).encode()
        fresh = self._path.with_suffix(".new")
        try:
            fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                if os.write(fd, content) != len(content):
                    raise OSError("it is full")  # noqa: TRY301 -- as if the system had said so
                fresh.replace(self._path)
            except OSError:
                os.close(fd)
                raise
        except OSError as error:
            self._fault.report(error.strerror or error)
            return
        self.close()
        self._fd, self._size = fd, len(content)

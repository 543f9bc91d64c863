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
    from pathlib import Path

log = logging.getLogger(__name__)

LARGEST = 1_000_000
"""Bytes, after which it is written anew."""
DONE_MOST = 5000
"""As many as the outbox may have rows of."""


class Journal:
    """One process writes it. An event takes some microseconds."""

    def __init__(self, path: Path) -> None:
        self.pending: dict[int, Event] = {}
        self.done: dict[int, None] = {}
        """What was done, the newest last: nothing else may bring it back."""
        self.newest: dict[str, Event] = {}
        """Of each topic, done or not."""
        self._path = path
        self._size = 0
        self._anew_at = LARGEST
        self._fd = -1
        self._is_cut = False
        self._fault = RepeatedFault(log, f"events cannot be noted in {path}")
        self._read()
        self._write_anew()

    def put(self, event: Event) -> None:
        """Note the event before it is sent. TypeError: what it holds is no JSON."""
        line = event.line()
        self.pending[event.number] = event
        self.newest[event.topic] = event
        self._append(line)

    def remove(self, number: int) -> None:
        """Note that it is done."""
        if self.pending.pop(number, None) is not None:
            self._note_done(number)
            self._append(str(number))

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _note_done(self, number: int) -> None:
        self.done[number] = None
        if len(self.done) > DONE_MOST:
            del self.done[next(iter(self.done))]

    def _read(self) -> None:
        content = ""
        with contextlib.suppress(OSError):
            content = self._path.read_bytes().decode(errors="replace")
        for line in content.split("\n")[:-1]:  # what has no end was cut
            with contextlib.suppress(ValueError):
                self._take(line)

    def _take(self, line: str) -> None:
        if line.isdigit():
            self.pending.pop(int(line), None)
            self._note_done(int(line))
        elif line:
            event = from_line(line)
            self.newest[event.topic] = event
            self.pending[event.number] = event

    def _append(self, line: str) -> None:
        if self._fd < 0 or self._size > self._anew_at:
            self._anew_at = max(LARGEST, 2 * self._size)  # where it does not succeed, not again at each line
            if self._write_anew() or self._fd < 0:
                return
        content = f"\n{line}\n".encode() if self._is_cut else f"{line}\n".encode()
        try:
            written = os.write(self._fd, content)
        except OSError as error:
            self._fault.report(error.strerror or error)
            return
        self._size += written
        # What is there of a line that found no room must not spoil the next one.
        self._is_cut = written != len(content)
        if self._is_cut:
            self._fault.report("it is full")
        else:
            self._fault.heal()

    def _write_anew(self) -> bool:
        """Keep what is pending, newest and done, and return whether that worked: until then, what was there stays."""
        kept = {event.number: event for event in (*self.newest.values(), *self.pending.values())}
        lines = [kept[number].line() for number in sorted(kept)]
        lines += [str(number) for number in sorted({*self.done, *(kept.keys() - self.pending.keys())})]
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
            with contextlib.suppress(OSError):
                fresh.unlink()
            self._fault.report(error.strerror or error)
            return False
        self.close()
        self._fd, self._size, self._is_cut = fd, len(content), False
        # Where all of it is pending, the next time must be far off.
        self._anew_at = max(LARGEST, 2 * self._size)
        self._fault.heal()
        return True

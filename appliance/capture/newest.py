"""A thread that reads from a camera that can only be read by waiting, and hands over the newest it has got."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

from appliance.capture.source import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")

PATIENCE_S = 3.0
"""How long `close` waits for the thread. It is a daemon: one that hangs in the network does not keep the process."""


class Newest(Generic[T]):
    """Runs `read` in a thread, and keeps only the latest of what it yields: a slow taker loses the rest, counted."""

    def __init__(self, read: Callable[[], Iterable[T]], name: str) -> None:
        """`read` must end soon after `closing` is set. What it says in a SourceError, `take` says in one of its own."""
        self.closing = threading.Event()
        self.lost = 0
        self._read = read
        self._lock = threading.Lock()
        self._latest: T | None = None
        self._error: str | None = None
        """Words only: an error of `read` would hold its frames, and what is in them, for as long as this lives."""
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def fileno(self) -> int:
        """Readable while `take` has something to give or to raise."""
        return self._bell

    def take(self) -> T | None:
        """Return the latest that was not taken yet, or None. SourceError: reading has ended, and why."""
        with self._lock:
            latest, self._latest = self._latest, None
            if latest is None and self._error is not None:
                raise SourceError(self._error)  # the bell stays up: so it is said again to whoever asks again
            if self._error is None:
                self._silence()
        return latest

    def close(self) -> None:
        self.closing.set()
        self._thread.join(PATIENCE_S)
        with self._lock:
            self._latest = None
            if self._bell >= 0:
                os.close(self._bell)
                self._bell = -1

    def _run(self) -> None:
        try:
            for one in self._read():
                if self.closing.is_set():
                    return
                self._put(one)
            self._fail("the stream has ended")
        except SourceError as error:
            self._fail(str(error))
        except BaseException as error:  # a thread that dies unheard would look like a camera that is silent
            self._fail(f"reading failed ({type(error).__name__})")  # no more of it: it may hold the URL
            raise

    def _put(self, one: T) -> None:
        with self._lock:
            if self._latest is not None:
                self.lost += 1
            self._latest = one
            self._ring()

    def _fail(self, error: str) -> None:
        with self._lock:
            self._error = error
            self._ring()

    def _ring(self) -> None:
        if self._bell >= 0:
            os.eventfd_write(self._bell, 1)

    def _silence(self) -> None:
        if self._bell >= 0:
            try:
                os.eventfd_read(self._bell)
            except BlockingIOError:
                return

"""Logs: one line per fact, on stderr, the same from every stage. (Traces and metrics join here in a later version.)."""

from __future__ import annotations

import atexit
import logging
import logging.handlers
import queue
import sys
import time
from collections import deque

LINES_KEPT = 1000
LAST_WORDS_S = 0.5


class RepeatedFault:
    """A fault that lasts: each reason told once as a warning, then at debug, then once when it heals."""

    REASONS_MOST = 8

    def __init__(self, log: logging.Logger, what: str) -> None:
        self._log = log
        self._what = what
        self._since: float | None = None
        self._told: set[str] = set()

    def report(self, reason: object) -> None:
        text = str(reason)
        is_new = text not in self._told and len(self._told) < self.REASONS_MOST
        level = logging.WARNING if is_new else logging.DEBUG
        if is_new:
            self._told.add(text)
        if self._since is None:
            self._since = time.monotonic()
        self._log.log(level, "%s: %s", self._what, reason)

    def heal(self) -> None:
        if self._since is not None:
            self._log.info("%s: well again after %.0f s", self._what, time.monotonic() - self._since)
            self._since = None
            self._told.clear()


class Sparing:
    """Lines that anybody may cause from outside: MOST a minute, the others are counted."""

    MOST = 10
    WINDOW_S = 60.0

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._since = float("-inf")
        self._said = self._unsaid = 0

    def warning(self, text: str, *values: object) -> None:
        self._say(logging.WARNING, text, *values)

    def info(self, text: str, *values: object) -> None:
        self._say(logging.INFO, text, *values)

    def _say(self, level: int, text: str, *values: object) -> None:
        now = time.monotonic()
        if now - self._since >= self.WINDOW_S:
            if self._unsaid:
                self._log.warning("and %d more such lines in that minute", self._unsaid)
            self._since, self._said, self._unsaid = now, 0, 0
        if self._said < self.MOST:
            self._said += 1
            self._log.log(level, text, *values)
        else:
            self._unsaid += 1
            if self._unsaid == 1:
                self._log.warning("more of these come in than are told here; the others are counted for a minute")


class _NeverWaits(logging.handlers.QueueHandler):
    """Hands lines to a thread; where that is stuck (a stopped pager, a full pipe), they are dropped and counted."""

    dropped = 0

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            self.dropped += 1
        else:
            lines, self.dropped = self.dropped, 0
            if lines:
                logging.getLogger(__name__).warning("%d log lines were dropped: nobody read them", lines)


def set_up_logs(process: str, level: str) -> None:
    """Log this process's lines under its stage's name. No caller ever waits for whoever reads them."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter(
        f"%(asctime)s.%(msecs)03d %(levelname)-7s {process}: %(message)s", "%Y-%m-%d %H:%M:%S"
    )
    handler.setFormatter(formatter)
    lines: queue.Queue[logging.LogRecord] = queue.Queue(LINES_KEPT)
    listener = logging.handlers.QueueListener(lines, handler)
    listener.start()
    root = logging.getLogger()
    root.handlers[:] = [_NeverWaits(lines)]
    atexit.register(_finish, lines)
    root.setLevel(level.upper())
    # What libraries say of their daily work is no fact of ours.
    for noisy in ("aiohttp.access", "asyncio", "libav"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _finish(lines: queue.Queue[logging.LogRecord]) -> None:
    """Give the last lines a moment to be written; the listener is a daemon and holds nothing up."""
    deadline = time.monotonic() + LAST_WORDS_S
    while not lines.empty() and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.005)  # the line in the listener's hands


class Rate:
    """Events per second over the last few seconds, measured."""

    def __init__(self, window_s: float = 5.0) -> None:
        self._window_s = window_s
        self._times: deque[float] = deque()

    def count(self) -> None:
        self._times.append(time.monotonic())
        self._forget()

    @property
    def per_second(self) -> float:
        """Intervals over the time they took; 0 with fewer than two events in the window."""
        self._forget()
        if len(self._times) < 2:
            return 0.0
        return (len(self._times) - 1) / max(self._times[-1] - self._times[0], 1e-6)

    def _forget(self) -> None:
        while self._times and self._times[0] < time.monotonic() - self._window_s:
            self._times.popleft()

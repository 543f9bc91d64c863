"""Logs: one line per fact, on stderr, the same from every stage, as text or as JSON.

A line's camera, incident and trace travel in `extra`: camera, incident, trace_id.
"""

from __future__ import annotations

import atexit
import datetime as dt
import json
import logging
import logging.handlers
import queue
import sys
import time
from typing import Literal

LINES_KEPT = 1000
LAST_WORDS_S = 0.5
SUBJECTS = ("camera", "incident", "trace_id")
"""What a line may be about, beside its stage."""


class RepeatedFault:
    """A fault that lasts: each reason told once as a warning, then at debug, then once when it heals."""

    REASONS_MOST = 8

    def __init__(self, log: logging.Logger, what: str, **subjects: str) -> None:
        """`subjects` are those of its lines: camera, incident, trace_id."""
        self._log = log
        self._what = what
        self._subjects = subjects
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
        self._log.log(level, "%s: %s", self._what, reason, extra=self._subjects)

    def heal(self) -> None:
        if self._since is not None:
            lasted_s = time.monotonic() - self._since
            self._log.info("%s: well again after %.0f s", self._what, lasted_s, extra=self._subjects)
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

    def warning(self, text: str, *values: object, **subjects: str) -> None:
        self._say(logging.WARNING, text, values, subjects)

    def info(self, text: str, *values: object, **subjects: str) -> None:
        self._say(logging.INFO, text, values, subjects)

    def _say(self, level: int, text: str, values: tuple[object, ...], subjects: dict[str, str]) -> None:
        now = time.monotonic()
        if now - self._since >= self.WINDOW_S:
            if self._unsaid:
                self._log.warning("and %d more such lines in that minute", self._unsaid)
            self._since, self._said, self._unsaid = now, 0, 0
        if self._said < self.MOST:
            self._said += 1
            self._log.log(level, text, *values, extra=subjects)
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


class TextFormatter(logging.Formatter):
    """For people. The camera is in the words; the incident and the trace follow them."""

    def __init__(self, process: str) -> None:
        super().__init__(
            f"%(asctime)s.%(msecs)03d %(levelname)-7s {process}: %(message)s%(about)s", "%Y-%m-%d %H:%M:%S"
        )

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 -- logging's own name
        """Return the line without its traceback."""
        named = {"incident": "incident", "trace_id": "trace"}
        about = [f"{word} {value}" for name, word in named.items() if (value := getattr(record, name, ""))]
        record.about = f" [{', '.join(about)}]" if about else ""
        return super().formatMessage(record)


class JsonFormatter(logging.Formatter):
    """For programs: one JSON object a line. A traceback is in its message, where the queue has put it."""

    def __init__(self, process: str) -> None:
        super().__init__()
        stage, _, self._camera = process.partition(".")
        self._stage = stage

    def format(self, record: logging.LogRecord) -> str:
        """Return the line. `timestamp` is UTC."""
        moment = dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds")
        fields = {
            "timestamp": moment,
            "level": record.levelname.lower(),
            "stage": self._stage,
            "camera": self._camera,
            "message": record.getMessage(),
        }
        fields |= {name: value for name in SUBJECTS if (value := getattr(record, name, ""))}
        return json.dumps({name: value for name, value in fields.items() if value})


_FORMATTERS: dict[str, type[TextFormatter | JsonFormatter]] = {"text": TextFormatter, "json": JsonFormatter}


def set_up_logs(process: str, level: str, form: Literal["text", "json"] = "text") -> None:
    """Log this process's lines under its stage's name. No caller ever waits for whoever reads them."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_FORMATTERS[form](process))
    lines: queue.Queue[logging.LogRecord] = queue.Queue(LINES_KEPT)
    listener = logging.handlers.QueueListener(lines, handler)
    listener.start()
    root = logging.getLogger()
    root.handlers[:] = [_NeverWaits(lines)]
    atexit.register(_finish, lines)
    _unwritten.append(lines)
    root.setLevel(level.upper())
    # What libraries say of their daily work is no fact of ours.
    for noisy in ("aiohttp.access", "asyncio", "libav", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


_unwritten: list[queue.Queue[logging.LogRecord]] = []


def finish_logs() -> None:
    """Give what is not written yet its moment; for a process that ends without the interpreter's leave."""
    for lines in _unwritten:
        _finish(lines)


def _finish(lines: queue.Queue[logging.LogRecord]) -> None:
    """Give the last lines a moment to be written; the listener is a daemon and holds nothing up."""
    deadline = time.monotonic() + LAST_WORDS_S
    while not lines.empty() and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.005)  # the line in the listener's hands

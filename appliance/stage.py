"""What every stage's process has in common: its settings, its run folder, its heartbeat, and how it is told to stop."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import logging
import os
import resource
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.messages import Health, Heartbeat, SourceHealth
from appliance.telemetry import RepeatedFault, Tally, Tracer
from appliance.telemetry.metrics import camera_of
from appliance.telemetry.tracing import OFF

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import FrameType

    from appliance.config import Settings, Watch
    from appliance.ipc.heartbeat import HeartbeatFile
    from appliance.ipc.run_folder import RunFolder

log = logging.getLogger(__name__)

BEAT_S = 1.0
_PR_SET_PDEATHSIG = 1
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
WORDS_MOST = 1000
ORPHAN_S = 3.0
"""How long a stage whose supervisor has died may take to stop."""


class StageRefusedError(Exception):
    """What the stage was given can never work (a model, a taken address); the text says what would."""


def leave_last_words(folder: RunFolder, name: str, words: str) -> None:
    """Leave for the supervisor why this stage cannot go on."""
    with contextlib.suppress(OSError):
        _words_file(folder, name).write_text(words)


def last_words(folder: RunFolder, name: str) -> str:
    """Return why that stage could not go on, once; empty where it said nothing."""
    file = _words_file(folder, name)
    with contextlib.suppress(OSError):
        words = file.read_text(errors="replace")[:WORDS_MOST]
        file.unlink()
        return words
    return ""


def down_fact(name: str) -> str:
    """Return the name of the fact in the supervisor's heartbeat that says why that stage is down."""
    return f"down.{name}"


def why_down(beats: Mapping[str, Heartbeat], name: str) -> str:
    """Return in words that the stage is not running, and why where its supervisor knows."""
    above = beats.get("capture" if name.startswith("capture.") else "supervisor")
    why = above.facts.get(down_fact(name), "") if above else ""
    stage = name.partition(".")[0]
    return f"{stage} is not running: {why}" if why else f"{stage} is not running"


def _words_file(folder: RunFolder, name: str) -> Path:
    return folder.path / f"{name}.why"


class Watchdog:
    """Ends a process whose loop hangs, also where nobody supervises it: its MQTT session must not outlive its mind.

    faulthandler's timer needs neither the interpreter's lock nor a signal; where it hung, or crashed in native code, is
    left in `trace`. `last_words` is what the process before has left there.
    """

    def __init__(self, trace: Path, seconds: float) -> None:
        self.last_words = trace.read_text(errors="replace") if trace.exists() else ""
        self._file = trace.open("w")
        self._seconds = seconds
        faulthandler.enable(self._file)

    def feed(self, seconds: float | None = None) -> None:
        """Be quiet for `seconds` from now (by default those of the settings)."""
        faulthandler.dump_traceback_later(seconds or self._seconds, exit=True, file=self._file)


@dataclass(slots=True)
class Pulse:
    """A process's heartbeat, as it stands. Whoever works sets the fields; `beat` writes them when a second has passed,
    and is called from the loop that does the work: a loop that hangs stops beating.
    """

    file: HeartbeatFile
    name: str
    health: Health = Health.STARTING
    reason: str = ""
    sources: dict[str, SourceHealth] = field(default_factory=dict)
    counters: dict[str, float] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    tallies: dict[str, Tally] = field(default_factory=dict)
    started_wall_ns: int = field(default_factory=time.time_ns)
    watchdog: Watchdog | None = None
    _due: float = 0.0
    _fault: RepeatedFault = field(default_factory=lambda: RepeatedFault(log, "cannot write the heartbeat"))

    def source(self, camera: str, health: Health, reason: str = "") -> None:
        """Say how a camera is doing, at once when that changed."""
        said = SourceHealth(camera, health, reason)
        if self.sources.get(camera) != said:
            self.sources[camera] = said
            self.beat(now=True)

    def tally(self, name: str, value: float) -> None:
        """Count `value` into the histogram of that name."""
        if name not in self.tallies:
            self.tallies[name] = Tally()
        self.tallies[name].add(value)

    def begin(self, counters: Iterable[str] = (), tallies: Iterable[str] = ()) -> None:
        """Start these at 0: what grows from nothing has no rate, for whoever asks."""
        for name in counters:
            self.counters.setdefault(name, 0)
        for name in tallies:
            self.tallies.setdefault(name, Tally())

    def count(self, name: str, more: float = 1) -> None:
        """Add to a counter."""
        self.counters[name] = self.counters.get(name, 0) + more

    def forget(self, camera: str) -> None:
        """Say nothing more of a camera that is not served any more."""
        for figures in (self.counters, self.tallies):
            for name in [name for name in figures if camera == camera_of(name)]:
                del figures[name]

    @property
    def is_due(self) -> bool:
        """Whether `beat` would write: what only it needs can be worked out then."""
        return time.monotonic() >= self._due

    def beat(self, *, now: bool = False) -> None:
        """Write the heartbeat if one is due, or `now`. A full file system is reported, never raised."""
        moment = time.monotonic()
        if not now and moment < self._due:
            return
        self._due = moment + BEAT_S
        if self.watchdog is not None and self.health is Health.RUNNING:
            self.watchdog.feed()
        self.counters.update(_own_figures())
        beat = Heartbeat(
            stage=self.name,
            health=self.health,
            beat_ns=time.monotonic_ns(),
            started_wall_ns=self.started_wall_ns,
            reason=self.reason,
            sources=tuple(self.sources.values()),
            counters=dict(self.counters),
            facts=dict(self.facts),
            histograms={name: tally.histogram for name, tally in self.tallies.items()},
        )
        try:
            self.file.write(beat)
        except OSError as error:
            self._fault.report(error)
        else:
            self._fault.heal()


def _own_figures() -> dict[str, float]:
    """Return what this process takes: processor time in seconds, resident memory in bytes."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    figures = {"cpu_seconds.user": used.ru_utime, "cpu_seconds.system": used.ru_stime}
    with contextlib.suppress(OSError, IndexError, ValueError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        figures["memory_bytes"] = pages * _PAGE_BYTES
    return figures


class Stop:
    """Set by SIGTERM, SIGINT, or the supervisor's death. A pipe makes it readable for poll and asyncio too."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._event = threading.Event()

    def __bool__(self) -> bool:
        return self._event.is_set()

    def fileno(self) -> int:
        return self._read

    def set(self) -> None:
        if not self._event.is_set():
            self._event.set()
            os.write(self._write, b"x")

    def wait(self, seconds: float) -> bool:
        """Sleep, but not past a stop; True once it is set."""
        return self._event.wait(seconds)


@dataclass(frozen=True, slots=True)
class StageContext:
    """What a stage's `run` is given."""

    settings: Settings
    folder: RunFolder
    pulse: Pulse
    stop: Stop
    watch: Watch | None = None
    """Tells of edited settings; None: they stay as they are."""
    tracer: Tracer = OFF

    def edited(self) -> Settings | None:
        """Return edited settings, once. To be asked about once a second."""
        return None if self.watch is None else self.watch.look()


def stop_on_signals() -> Stop:
    """Return a Stop that SIGTERM and SIGINT set."""
    stop = Stop()

    def handle(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
    return stop


def stop_with_supervisor(stop: Stop) -> None:
    """Stop when standard input ends: the supervisor holds the other end of that pipe for as long as it lives, so even a
    killed one leaves no stage behind, and one that was stopped (SIGSTOP) is woken to see it.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGCONT)

    def watch() -> None:
        while os.read(0, 1024):
            pass
        stop.set()
        time.sleep(ORPHAN_S)
        os._exit(1)  # whoever still hangs does not hear a stop

    threading.Thread(target=watch, name="lifeline", daemon=True).start()

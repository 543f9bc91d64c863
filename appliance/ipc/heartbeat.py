"""Heartbeats: once a second each process writes one small FlatBuffer to a temporary name and renames it.

A reader sees a whole heartbeat or the one before. The supervisor deletes the file of a process that has died, so a
missing file and a stale one mean the same: nobody is there.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import struct
import time
from typing import TYPE_CHECKING, Any

import flatbuffers

from appliance.ipc.errors import CorruptError
from appliance.ipc.generated.Counter import CounterT
from appliance.ipc.generated.Fact import FactT
from appliance.ipc.generated.Heartbeat import Heartbeat as FbHeartbeat
from appliance.ipc.generated.Heartbeat import HeartbeatT
from appliance.ipc.generated.Histogram import HistogramT
from appliance.ipc.generated.SourceHealth import SourceHealthT
from appliance.messages import Health, Heartbeat, Histogram, SourceHealth

if TYPE_CHECKING:
    from pathlib import Path

    from appliance.ipc.run_folder import RunFolder

_IDENTIFIER = b"PLH1"
_MAX_BYTES = 256 * 1024
_REMEMBERED = 64
"""Heartbeats: more than an appliance has processes."""
STALE_NS = 3_000_000_000
"""Three missed beats: whoever wrote that is not to be believed any more."""


class HeartbeatFile:
    """Where one process writes its heartbeats."""

    def __init__(self, folder: RunFolder, name: str) -> None:
        self._path = folder.heartbeats / name
        self._temporary = folder.heartbeats / f".{name}"

    def write(self, beat: Heartbeat) -> None:
        """Replace the heartbeat before. Errors of the file system are the caller's to report: OSError."""
        data = encode(beat)
        fd = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            if os.write(fd, data) != len(data):  # the file system had room for a part
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._temporary))
        finally:
            os.close(fd)
        self._temporary.rename(self._path)

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)


def read_heartbeats(folder: RunFolder) -> dict[str, Heartbeat]:
    """Return the heartbeats that are there, by file name; unreadable ones count as not there."""
    beats = {}
    with contextlib.suppress(FileNotFoundError):
        for path in folder.heartbeats.iterdir():
            if not path.name.startswith("."):
                with contextlib.suppress(OSError, CorruptError):
                    found = path.stat()
                    beats[path.name] = _read(path, found.st_ino, found.st_mtime_ns)
    return beats


@functools.lru_cache(maxsize=_REMEMBERED)
def _read(path: Path, _inode: int, _mtime_ns: int) -> Heartbeat:
    """Return the heartbeat in this file. Each is a file of its own, so what was read once need not be decoded again:
    the controller asks four times a second, and it is on the alarm's path.
    """
    with path.open("rb") as file:
        return decode(file.read(_MAX_BYTES + 1), str(path))


def fresh_heartbeats(folder: RunFolder) -> dict[str, Heartbeat]:
    """Return the heartbeats that can be believed: those not older than STALE_NS."""
    now = time.monotonic_ns()
    return {name: beat for name, beat in read_heartbeats(folder).items() if now - beat.beat_ns < STALE_NS}


def encode(beat: Heartbeat) -> bytes:
    """Return the finished FlatBuffer of a heartbeat."""
    table = HeartbeatT()
    table.stage = beat.stage
    table.health = beat.health
    table.reason = beat.reason.encode("utf-8", "replace").decode()  # a file name may hold what is no text
    table.beatNs = beat.beat_ns
    table.startedWallNs = beat.started_wall_ns
    table.sources = [_source(source) for source in beat.sources]
    table.counters = [_named(CounterT(), name, value) for name, value in beat.counters.items()]
    table.facts = [_named(FactT(), name, value) for name, value in beat.facts.items()]
    table.histograms = [_histogram(name, histogram) for name, histogram in beat.histograms.items()]
    builder = flatbuffers.Builder(1024)
    builder.Finish(table.Pack(builder), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def decode(data: bytes, source: str) -> Heartbeat:
    """Return the heartbeat in `data`; CorruptError names `source`."""
    if not 16 <= len(data) <= _MAX_BYTES:
        raise CorruptError(f"{source}: {len(data)} bytes are no heartbeat")
    if data[4:8] != _IDENTIFIER:
        raise CorruptError(f"{source}: holds {data[4:8]!r}, this version reads {_IDENTIFIER!r}")
    try:
        table = HeartbeatT.InitFromObj(FbHeartbeat.GetRootAs(data, 0))
        return Heartbeat(
            stage=_text(table.stage),
            health=Health(table.health),
            beat_ns=table.beatNs,
            started_wall_ns=table.startedWallNs,
            reason=_text(table.reason),
            sources=tuple(
                SourceHealth(_text(s.camera), Health(s.health), _text(s.reason)) for s in table.sources or ()
            ),
            counters={_text(c.name): c.value for c in table.counters or ()},
            facts={_text(f.name): _text(f.value) for f in table.facts or ()},
            histograms={_text(h.name): _counted(h) for h in table.histograms or ()},
        )
    except (struct.error, ValueError, TypeError, IndexError, AttributeError) as error:
        raise CorruptError(f"{source}: {error}") from None


def _source(source: SourceHealth) -> Any:
    table = SourceHealthT()
    table.camera = source.camera
    table.health = source.health
    table.reason = source.reason
    return table


def _histogram(name: str, histogram: Histogram) -> Any:
    table = HistogramT()
    table.name = name
    table.bounds, table.counts, table.sum = list(histogram.bounds), list(histogram.counts), histogram.sum
    return table


def _counted(table: Any) -> Histogram:
    bounds, counts = ([] if vector is None else vector.tolist() for vector in (table.bounds, table.counts))
    if len(counts) != len(bounds) + 1:
        raise ValueError(f"a histogram has {len(counts)} counts for {len(bounds)} bounds")
    return Histogram(tuple(bounds), tuple(counts), table.sum)


def _named(table: Any, name: str, value: float | str) -> Any:
    table.name = name
    table.value = value
    return table


def _text(value: bytes | str | None) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value or ""

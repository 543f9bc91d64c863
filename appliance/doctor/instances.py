"""Which instances have something in shared memory, and which of them live."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from appliance.doctor.finding import Finding, amount, ok, problem, several, warning
from appliance.doctor.queues import exists
from appliance.ipc.heartbeat import fresh_heartbeats, read_heartbeats
from appliance.ipc.run_folder import RunFolder
from appliance.messages import Health

SUBJECT = "instances"
PREFIX = "porchlight-"
SWEEP = "porchlight doctor --sweep removes it"


@dataclass(frozen=True, slots=True)
class Content:
    """What lies in a run folder."""

    files: int
    temporary: int
    """Of these, files that were never given their name."""
    held: int
    """Bytes of shared memory."""
    queues: tuple[str, ...]
    """The instance's queues that are there."""

    def __str__(self) -> str:
        files = several(self.files, "file")
        if self.temporary:
            files += f" ({self.temporary} temporary)"
        return f"{files}, {amount(self.held)}, {several(len(self.queues), 'message queue')}"


def examine(shared_memory: Path, configured: str | None) -> list[Finding]:
    """Say of every run folder whose it is: a live instance's, a killed one's, another user's."""
    findings = []
    if configured is not None:
        findings += _in_the_way(shared_memory / f"{PREFIX}{configured}")
    mine, others = find(shared_memory)
    findings += [_live(folder) if is_live(folder) else _left(folder) for folder in mine]
    findings += [ok(SUBJECT, f"{path.name} belongs to another user: not looked into") for path in others]
    return findings or [ok(SUBJECT, f"none is running, none has left anything in {shared_memory}")]


def find(shared_memory: Path) -> tuple[list[RunFolder], list[Path]]:
    """Return this user's run folders, and those of others."""
    mine, others = [], []
    with contextlib.suppress(OSError):
        for path in sorted(shared_memory.glob(f"{PREFIX}*")):
            with contextlib.suppress(OSError):
                found = path.lstat()
                if not stat.S_ISDIR(found.st_mode):
                    continue
                if found.st_uid == os.geteuid():
                    mine.append(RunFolder(path.name.removeprefix(PREFIX), shared_memory))
                else:
                    others.append(path)
    return mine, others


def is_live(folder: RunFolder) -> bool:
    """Say whether any process of the instance lives: its supervisor, or a stage that runs without one.

    The supervisor's lock is tried last, and only where nothing else shows life: who takes it does not wait for us.
    """
    with contextlib.suppress(OSError):
        if fresh_heartbeats(folder):
            return True
    return any(_is_held(lock) for lock in folder.locks())


def content(folder: RunFolder) -> Content:
    """Return what the folder holds; what is going away meanwhile does not count."""
    files = temporary = held = 0
    for place, _, names in os.walk(folder.path):
        for name in names:
            with contextlib.suppress(OSError):
                held += (Path(place) / name).lstat().st_blocks * 512
                files += 1
                temporary += name.startswith(".")
    return Content(files, temporary, held, tuple(queue for queue in folder.queues() if exists(queue)))


def _is_held(lock: Path) -> bool:
    """Say whether a live process holds the lock: by trying to share it for an instant, making nothing."""
    try:
        fd = os.open(lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return True  # it cannot be told, so nobody may touch it
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False


def _in_the_way(path: Path) -> list[Finding]:
    with contextlib.suppress(FileNotFoundError):
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            text = f"{path} is in the way: it is not a folder of this user's"
            return [problem(SUBJECT, text, "remove it, or set another instance")]
    return []


def _live(folder: RunFolder) -> Finding:
    fresh = fresh_heartbeats(folder)
    stale = sorted(read_heartbeats(folder).keys() - fresh.keys())
    said = [
        name if beat.health is Health.RUNNING else f"{name} ({beat.health.label})"
        for name, beat in sorted(fresh.items())
    ]
    text = f"{folder.path.name} is running; heartbeats: {', '.join(said) or 'none fresh'}"
    if not stale:
        return ok(SUBJECT, text)
    remedy = "its log says why; the supervisor replaces a stage that stays silent"
    return warning(SUBJECT, f"{text}; silent: {', '.join(stale)}", remedy)


def _left(folder: RunFolder) -> Finding:
    text = f"{folder.path.name} was left by an instance that was killed: {content(folder)}"
    return warning(SUBJECT, text, f"{SWEEP}, and so does the instance's next start")

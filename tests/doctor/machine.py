"""A small machine of one's own: mounts and queues apart from everybody's, and a /dev/shm of any size."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.rig import ROOT

if TYPE_CHECKING:
    from pathlib import Path

ANCHOR = 'mount -t tmpfs -o size="$0" none /dev/shm && echo ready && read line'
HOLDER = """
import sys, time
from pathlib import Path
from appliance.ipc.channels import SUBSCRIBERS
from appliance.ipc.heartbeat import HeartbeatFile
from appliance.ipc.mailbox import (
    publish_detections, publish_frames, publish_state, subscribe_detections, subscribe_frames, subscribe_state
)
from appliance.ipc.run_folder import RunFolder
from appliance.messages import Health, Heartbeat

folder = RunFolder(sys.argv[1], Path(sys.argv[2]))
folder.claim() if "claim" in sys.argv else folder.create()
if "channels" in sys.argv:
    ends = [
        publish_frames(folder, "porch", 2_000_000), publish_detections(folder, "porch"), publish_state(folder, "porch"),
        *(subscribe_frames(folder, "porch", name) for name in SUBSCRIBERS["frames"]),
        *(subscribe_detections(folder, "porch", name) for name in SUBSCRIBERS["detections"]),
        *(subscribe_state(folder, "porch", name) for name in SUBSCRIBERS["state"]),
    ]
if "beats" in sys.argv:
    HeartbeatFile(folder, "gateway").write(Heartbeat("gateway", Health.RUNNING, time.monotonic_ns() + 10**13, 1))
print("ready", flush=True)
sys.stdin.read()
"""
"""An instance in one process: `claim` as a supervisor does, hold all ends of a camera's `channels`, write `beats`."""


class Machine:
    """Runs commands in namespaces of its own for as long as it is not closed. Needs root and util-linux."""

    def __init__(self, shared_memory: str) -> None:
        command = ["unshare", "--mount", "--ipc", "sh", "-c", ANCHOR, shared_memory]
        try:
            self._anchor = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        except FileNotFoundError:
            pytest.skip("not here: unshare (Debian: util-linux)")
        assert self._anchor.stdout is not None
        if self._anchor.stdout.readline() != b"ready\n":
            self.close()
            pytest.skip("needs the right to mount a small tmpfs (root)")

    def within(self, *command: str | Path) -> list[str]:
        return ["nsenter", f"--target={self._anchor.pid}", "--mount", "--ipc", f"--wd={ROOT}", *map(str, command)]

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.within(*command), capture_output=True, text=True, check=False)

    def doctor(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "appliance.cli", "doctor", *arguments)

    def close(self) -> None:
        self._anchor.communicate(b"\n")


class Holder:
    """A process that lives as an instance does, until it is killed."""

    def __init__(self, instance: str, *what: str, machine: Machine | None = None, shm: str | Path = "/dev/shm") -> None:
        command = [sys.executable, "-c", HOLDER, instance, str(shm), *what]
        self._process = subprocess.Popen(
            machine.within(*command) if machine else command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    @property
    def lives(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        if self.lives:
            os.kill(self._process.pid, signal.SIGKILL)
        self._process.communicate()


def findings(done: subprocess.CompletedProcess[str], subject: str) -> list[dict[str, Any]]:
    """Return what `doctor --json` found on a subject."""
    assert "Traceback" not in done.stderr, done.stderr
    document = json.loads(done.stdout)
    return [finding for finding in document["findings"] if finding["subject"] == subject]

"""A storm: a writer flat out and three readers, processes of their own, that are killed and restarted all the time.

One reader is steady, one is slow (it keeps each picture for some milliseconds), one is killed up to a tenth of a second
after its first read; the writer is killed now and then, wherever it is. director.py stages it. `storm` is for the
tests and the bench.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from appliance.ipc.run_folder import RunFolder

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Weather:
    """What kind of storm."""

    reads: int
    kills: int
    way: str
    fps: int
    seed: int
    at_most_s: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What has come of a storm. `reads` are by reader; `retries` are reads that had to be given up, `refused` those
    that ended with a CorruptError, `losses` pictures that readers have not seen.
    """

    reads: dict[str, int]
    retries: dict[str, int]
    torn: int
    refused: int
    losses: int
    published: int
    no_free_slot: int
    kills: int
    writer_restarts: int
    seconds: float

    @property
    def total(self) -> int:
        return sum(self.reads.values())


def storm(
    reads: int, *, kills: int = 0, way: str = "lent", fps: int = 0, seed: int = 1, at_most_s: float = 180
) -> Outcome:
    """Let it rage, and leave nothing behind. RuntimeError with what it said: somebody ended without being killed.

    It ends after so many `reads` and so many `kills` of the mortal reader, or after `at_most_s`. `way`: one of WAYS.
    `fps`: of the writer, 0 for flat out.
    """
    weather = Weather(reads, kills, way, fps, seed, at_most_s)
    folder = RunFolder(f"storm_{os.getpid()}_{secrets.token_hex(4)}")
    lifeline, ours = os.pipe()
    process = call_director(folder, weather, lifeline)
    os.close(lifeline)
    try:
        said, errors = process.communicate(timeout=at_most_s + 30)
    finally:
        os.close(ours)
        process.kill()
        process.communicate()  # its pipes end when the last of its cast is gone
        folder.remove()
    if process.returncode:
        raise RuntimeError(errors)
    return Outcome(**json.loads(said))


def call_director(folder: RunFolder, weather: Weather, lifeline: int) -> subprocess.Popen[str]:
    """Start the director's process. It stops when `lifeline` ends."""
    instance = folder.path.name.removeprefix("porchlight-")
    return subprocess.Popen(
        [sys.executable, "-m", "tests.ipc.director", instance, json.dumps(asdict(weather))],
        cwd=ROOT,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # a process that forks has one thread
        stdin=lifeline,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )

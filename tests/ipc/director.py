"""Stages a storm: `python -m tests.ipc.director INSTANCE WEATHER`, which prints the outcome.

The director has imported everything, so that a restart is a fork. It stops, with all its cast, when its standard input
ends; they stop when they have lost it.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import random
import select
import signal
import sys
import time
import traceback
from dataclasses import asdict
from enum import IntEnum

import numpy as np

from appliance.ipc.errors import CorruptError
from appliance.ipc.run_folder import RunFolder
from tests.ipc.storm import Outcome, Weather
from tests.ipc.ways import READERS, WAYS, Look, Words, is_whole

WRITER = "writer"
HOLDS_S = {"steady": 0.0, "slow": 0.008, "mortal": 0.001}
"""Between the two looks at a picture. The mortal's is long enough that it often dies with the picture in hands."""
LONGEST_LIFE_S = 0.1
FIRST_READ_S = 1.0
"""A way under which the mortal gets nothing to read must not stop the storm."""
READS_PER_WRITER = 300
"""Between two kills of the writer, on average."""


class Count(IntEnum):
    """What a process counts, in shared memory. A reader's DONE are reads, the writer's publications."""

    DONE = 0
    TORN = 1
    RETRIES = 2
    REFUSED = 3
    LOST = 4
    NO_FREE_SLOT = 5


class OrphanedError(BaseException):
    """Whoever wanted the storm is gone."""


class Director:
    """Starts and kills the cast: at most one process of each name at a time."""

    def __init__(self, folder: RunFolder, weather: Weather) -> None:
        self._folder = folder
        self._weather = weather
        self._way = WAYS[weather.way]
        self._counts: Words = np.frombuffer(mmap.mmap(-1, mmap.PAGESIZE), np.uint64)[: 8 * len(Count)].reshape(8, -1)
        self._rows = {name: self._counts[i] for i, name in enumerate((*READERS, WRITER))}
        self._pids: dict[str, int] = {}
        self._pid = os.getpid()

    def direct(self) -> Outcome:
        weather, chance = self._weather, random.Random(self._weather.seed)
        kills = restarts = 0
        begun = time.monotonic()
        for name in (WRITER, "steady", "slow"):
            self._start(name)
        next_restart = READS_PER_WRITER
        while (self._reads() < weather.reads or kills < weather.kills) and time.monotonic() - begun < weather.at_most_s:
            self._start("mortal")
            self._await_first_read()
            life = chance.uniform(0, LONGEST_LIFE_S)
            before = chance.uniform(0, life)
            self._pause(before)
            if self._reads() >= next_restart:
                self._kill(WRITER)
                self._start(WRITER)
                restarts += 1
                next_restart = self._reads() + chance.randint(1, 2 * READS_PER_WRITER)
            self._pause(life - before)
            self._look_after_everybody()
            self._kill("mortal")
            kills += 1
        seconds = time.monotonic() - begun
        self.end()
        return self._outcome(kills, restarts, seconds)

    def end(self) -> None:
        with contextlib.ExitStack() as everybody:
            for name in self._pids:
                everybody.callback(self._kill, name)

    def _start(self, name: str) -> None:
        pid = os.fork()
        if pid:
            self._pids[name] = pid
            return
        status = 1
        try:
            if name == WRITER:
                self._write()
            else:
                self._read(name)
            status = 0
        except BaseException:  # noqa: BLE001 -- reported, and nothing else may run in this fork
            traceback.print_exc()
        finally:
            os._exit(status)

    def _kill(self, name: str) -> None:
        pid = self._pids.pop(name)
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if not os.WIFSIGNALED(status):
            raise RuntimeError(f"{name} has ended by itself")

    def _look_after_everybody(self) -> None:
        for name, pid in self._pids.items():
            if os.waitpid(pid, os.WNOHANG) != (0, 0):
                del self._pids[name]
                raise RuntimeError(f"{name} has ended by itself")

    def _pause(self, seconds: float) -> None:
        if select.select([sys.stdin], [], [], seconds)[0]:
            raise OrphanedError

    def _await_first_read(self) -> None:
        row = self._rows["mortal"]
        before, deadline = row[Count.DONE], time.monotonic() + FIRST_READ_S
        while row[Count.DONE] == before and time.monotonic() < deadline:
            self._pause(0.001)

    def _reads(self) -> int:
        return sum(int(self._rows[name][Count.DONE]) for name in READERS)

    def _write(self) -> None:
        write, row = self._way.writer(self._folder), self._rows[WRITER]
        period = 1 / self._weather.fps if self._weather.fps else 0.0
        while os.getppid() == self._pid:
            try:
                write()
            except LookupError:
                row[Count.NO_FREE_SLOT] += 1
            else:
                row[Count.DONE] += 1
            time.sleep(period)

    def _read(self, name: str) -> None:
        read, row = self._way.reader(self._folder, name), self._rows[name]
        look = _looking_twice(HOLDS_S[name])
        while os.getppid() == self._pid:
            try:
                sight = read(look)
            except CorruptError:
                row[Count.REFUSED] += 1
                continue
            if sight is not None:
                row[Count.TORN] += not sight.whole
                row[Count.LOST] += sight.lost
                row[Count.DONE if sight.was_read else Count.RETRIES] += 1

    def _outcome(self, kills: int, restarts: int, seconds: float) -> Outcome:
        def total(count: Count) -> int:
            return int(self._counts[:, count].sum())

        return Outcome(
            reads={name: int(self._rows[name][Count.DONE]) for name in READERS},
            retries={name: int(self._rows[name][Count.RETRIES]) for name in READERS},
            torn=total(Count.TORN),
            refused=total(Count.REFUSED),
            losses=total(Count.LOST),
            published=int(self._rows[WRITER][Count.DONE]),
            no_free_slot=total(Count.NO_FREE_SLOT),
            kills=kills,
            writer_restarts=restarts,
            seconds=round(seconds, 1),
        )


def _looking_twice(hold_s: float) -> Look:
    """For whoever writes while we look."""

    def look(words: Words, number: int) -> bool:
        first = is_whole(words, number)
        if hold_s:
            time.sleep(hold_s)
        return is_whole(words, number) and first

    return look


def main(instance: str, settings: str) -> None:
    folder = RunFolder(instance)
    folder.create()
    director = Director(folder, Weather(**json.loads(settings)))
    try:
        print(json.dumps(asdict(director.direct())))
    except OrphanedError:
        pass
    finally:
        with contextlib.suppress(RuntimeError):
            director.end()
        folder.remove()


if __name__ == "__main__":
    main(*sys.argv[1:])

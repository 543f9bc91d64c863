"""kill -9 at any moment of an outbox's life, with a broker that comes and goes: nothing that was told is lost."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.controller.outbox.journal import Journal
from appliance.controller.outbox.store import Store
from tests.rig import ROOT, Broker, Ear, Heard, free_port, wait_for

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

KILLS = 200
POWER_CUTS = 40
LIFE_S = 0.15
"""From the fork: some die while they open, some in the midst of telling."""
AWAY = 10
"""So many lives in a row have no broker, so many have one."""
EACH = 10_000
"""A life's numbers begin at its own multiple."""

LIVES = """
import asyncio, itertools, os, sys, time
from pathlib import Path
from appliance.config import Mqtt
from appliance.controller import statements
from appliance.controller.outbox import Outbox
from appliance.mqtt import clients, connection
run, state, port, told = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
statements.SETTLE_S = 0.02
clients.RECONNECT_S = clients.RECONNECT_MOST_S = (0.01, 0.03)

async def live(first, most):
    outbox = Outbox(run, state)
    await outbox.open()
    said = statements.Statements(Mqtt(host="127.0.0.1", port=port), "kill", "porchlight/x/status", {}, outbox)
    said.start()
    for number in range(first, first + most):
        said.event("porchlight/x/event", {"number": number, "made_s": time.time()})
        os.write(told, b"told %d\\n" % number)
        await asyncio.sleep(0.002)
        if number in {event.payload["number"] for event in outbox.events.values() if event.number in outbox._on_disk}:
            os.write(told, b"kept %d\\n" % number)
    while most or outbox.events or outbox._task is not None:
        await asyncio.sleep(0.01)
    await said.stop()
    await outbox.close(5)

for line in sys.stdin:
    first, most = map(int, line.split())
    pid = os.fork()
    if pid == 0:
        asyncio.run(live(first, most))
        os._exit(0)
    print(pid, flush=True)
    print(os.waitpid(pid, 0)[1], flush=True)
"""
"""Forks a life for each line that it reads, so that not each one has to import everything first."""


class Line:
    """A TCP connection to the broker that can be cut; the broker itself stays, and with it what it has taken."""

    def __init__(self, to: int) -> None:
        self.port = free_port()
        self._to = to
        self._listener: socket.socket | None = None
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()

    def up(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        with self._lock:
            listener, self._listener = self._listener, None
            for one in [*([listener] if listener else []), *self._open]:
                _end(one)
            self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near = listener.accept()[0]
                far = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                return
            with self._lock:
                if self._listener is not listener:
                    _end(near)
                    _end(far)
                    return
                self._open += [near, far]
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=(source, target), daemon=True).start()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while content := source.recv(65536):
            target.sendall(content)
    for one in (source, target):
        _end(one)


def _end(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()


class Lives:
    """Lives on the same two folders, one after the other."""

    def __init__(self, folder: Path, port: int) -> None:
        self.run = Path("/dev/shm") / f"porchlight-outbox-{os.getpid()}"
        self.run.mkdir()
        self.state = folder / "state"
        self.told: list[int] = []
        self.kept: list[int] = []
        self.ended: dict[int, float] = {}
        """When each life was over (time.time()), by its first number."""
        self._pipe, told = os.pipe()
        self._unread = b""
        self._firsts = itertools.count(EACH, EACH)
        self._process = subprocess.Popen(
            [sys.executable, "-c", LIVES, str(self.run), str(self.state), str(port), str(told)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            pass_fds=[told],
        )
        os.close(told)

    def live(self, most: int, seconds: float, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Have a life make so many events at most, and kill it after so long; `meanwhile` is done half way."""
        first = next(self._firsts)
        pid = self._begin(first, most)
        self._read(seconds / 2)
        meanwhile()
        self._read(seconds / 2)
        os.kill(pid, signal.SIGKILL)
        assert int(self._answer()) == signal.SIGKILL, "it ended before it was killed"
        self.ended[first] = time.time()
        self._read(0)

    def deliver(self) -> None:
        """Have a last life deliver what is left; it ends by itself."""
        self._begin(next(self._firsts), 0)
        assert int(self._answer()) == 0

    def left(self) -> list[int]:
        """Return the numbers of what is in the journal and on disk."""
        journal = Journal(self.run / "events.journal")
        store = Store(self.state / "outbox.sqlite3")
        left = [*journal.pending, *(event.number for event in store.load())]
        journal.close()
        store.close()
        return left

    def lose_power(self) -> None:
        for file in self.run.iterdir():
            file.unlink()

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()
        os.close(self._pipe)
        shutil.rmtree(self.run)

    def _begin(self, first: int, most: int) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{first} {most}\n")
        self._process.stdin.flush()
        return int(self._answer())

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def _read(self, seconds: float) -> None:
        """Take what comes through the pipe for so long."""
        deadline = time.monotonic() + seconds
        while select.select([self._pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
            *lines, self._unread = (self._unread + os.read(self._pipe, 65536)).split(b"\n")
            for line in lines:
                what, number = line.split()
                (self.told if what == b"told" else self.kept).append(int(number))


@pytest.fixture
def quiet_broker(tmp_path: Path) -> Iterator[Broker]:
    """A mosquitto that drops nothing of what it has taken, however slow the ear."""
    one = Broker(tmp_path)
    with one._config.open("a") as config:
        config.write("max_queued_messages 0\n")
    one.start()
    yield one
    one.stop()


@pytest.fixture
def line(quiet_broker: Broker) -> Iterator[Line]:
    one = Line(quiet_broker.port)
    yield one
    one.cut()


@pytest.fixture
def ear(quiet_broker: Broker) -> Iterator[Ear]:
    one = Ear(quiet_broker.port)
    yield one
    one.close()


@pytest.fixture
def lives(tmp_path: Path, line: Line) -> Iterator[Lives]:
    one = Lives(tmp_path, line.port)
    yield one
    one.close()


def _come_and_go(lives: Lives, line: Line, chance: random.Random, kills: int, after: Callable[[], None]) -> None:
    """Kill so many lives; there is no broker at first."""
    for life in range(kills):
        away = life // AWAY % 2 == 0
        if not away:
            line.up()
        # Now and then it comes or goes while somebody tells.
        turn = (line.up if away else line.cut) if chance.random() < 0.3 else lambda: None
        lives.live(EACH - 1, chance.uniform(0, LIFE_S), turn)
        line.cut()
        after()
    line.up()
    lives.deliver()


def _arrivals(ear: Ear, numbers: set[int]) -> dict[int, list[tuple[Heard, dict[str, Any]]]]:
    """Return what came of each number, in the order of the first arrivals."""

    def all_there() -> bool:
        return numbers <= {json.loads(one.payload)["number"] for one in ear.all("/event")}

    try:
        wait_for("every number", 20, all_there)
    except AssertionError:
        there = {json.loads(one.payload)["number"] for one in ear.all("/event")}
        raise AssertionError(f"lost: {sorted(numbers - there)}") from None
    found: dict[int, list[tuple[Heard, dict[str, Any]]]] = {}
    for heard in ear.all("/event"):
        words = heard.json()
        found.setdefault(words["number"], []).append((heard, words))
    return found


def _doubles(found: dict[int, list[tuple[Heard, dict[str, Any]]]]) -> int:
    return sum(len(times) - 1 for times in found.values())


def test_an_outbox_that_is_killed_at_any_moment_loses_nothing_that_was_told(
    lives: Lives, line: Line, ear: Ear, figure: Callable[[str, str], None]
) -> None:
    _come_and_go(lives, line, random.Random(36), KILLS, lambda: None)
    found = _arrivals(ear, set(lives.told))
    assert list(found) == sorted(found)
    numbers = [times[0][1]["event_id"] for times in found.values()]
    assert numbers == sorted(set(numbers))
    replayed = 0
    for number, times in found.items():
        assert len({(words["event_id"], words["made_s"]) for _, words in times}) == 1
        for place, (heard, words) in enumerate(times):
            replayed += "replayed" in words
            # What came again, or after its process had died, was late. A second for the way to the ear.
            if place or heard.at > lives.ended[number // EACH * EACH] + 1:
                assert words["replayed"] is True
            if "replayed" in words:
                assert words["made_s"] + words["age_s"] == pytest.approx(heard.at, abs=5)
    assert lives.left() == []
    ages = sorted(words.get("age_s", 0.0) for times in found.values() for _, words in times)
    figure(
        f"kill -9 an outbox, {KILLS} times",
        f"{len(lives.told)} events told, 0 lost, {_doubles(found)} came again, {replayed} replayed "
        f"(age p50 {statistics.median(ages):.1f} s, at most {ages[-1]:.1f} s)",
    )


def test_after_a_power_cut_what_was_on_disk_arrives(
    lives: Lives, line: Line, ear: Ear, figure: Callable[[str, str], None]
) -> None:
    _come_and_go(lives, line, random.Random(37), POWER_CUTS, lives.lose_power)
    found = _arrivals(ear, set(lives.kept))
    assert list(found) == sorted(found)
    numbers = [times[0][1]["event_id"] for times in found.values()]
    assert numbers == sorted(set(numbers))
    assert lives.kept
    assert lives.left() == []
    lost = len(set(lives.told) - found.keys())
    figure(
        f"an outbox that loses the run folder, {POWER_CUTS} times",
        f"{len(lives.told)} events told, {len(lives.kept)} seen on disk before the broker had them, 0 of these lost, "
        f"{lost} of the others, {_doubles(found)} came again",
    )


HUNG = """
import asyncio, sys, threading
from pathlib import Path
from appliance.controller.outbox import Outbox
from appliance.controller.outbox.store import Store
asked = threading.Event()
def hang(*_):
    asked.set()
    threading.Event().wait()
Store.change = hang
async def main():
    outbox = Outbox(Path(sys.argv[1]), Path(sys.argv[1]))
    outbox.put("porchlight/x/event", {}, None, late=True)
    while not asked.is_set():
        await asyncio.sleep(0.01)
    await outbox.close(0.1)
asyncio.run(main())
"""


def test_a_disk_that_hangs_does_not_keep_the_process_from_ending(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", HUNG, str(tmp_path)], cwd=ROOT, timeout=6, check=False)
    assert ended.returncode == 0

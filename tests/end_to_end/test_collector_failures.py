"""A collector that is away, refuses, dawdles, swallows everything or babbles: no alarm is later or lost for it."""

from __future__ import annotations

import contextlib
import re
import secrets
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.visits import VISIT_S, Witness, account, visiting_clip, visiting_settings
from tests.end_to_end.receiver import PROTOCOLS, Receiver
from tests.rig import Appliance, Broker, Ear, free_port, wait_for

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

Start = Callable[[dict[str, Any]], Appliance]
Figure = Callable[[str, str], None]
STAGES = ("capture.front_door", "inference", "controller", "gateway")
SPEAKERS = {"capture", "inference", "controller"}
"""Who has spans of every frame; the gateway has some only while somebody looks."""
SLOW_S = 30.0
VISITS = 2
"""Comings for each thing that a collector does."""
SEEN_S = 6 * VISIT_S
ENTRY_PROMISE_S = 1.5
STOP_PROMISE_S = 5.0
LATER_MOST = 3.0
"""Times: how much later an event may be than with a collector that is well, on a machine that has other things to do."""
GROWN_MOST_MB = 40.0
START_S = 60.0
QUICK = {"OTEL_EXPORTER_OTLP_TIMEOUT": "2", "OTEL_BSP_SCHEDULE_DELAY": "500", "OTEL_METRIC_EXPORT_INTERVAL": "2000"}
"""So that each failure is noticed while we look; the defaults are 10 s, 5 s and 60 s."""
TOLD = re.compile(r" (WARNING|INFO) +(\S+): OpenTelemetry collector (\S+) \((\S+)\): (.*)")


@contextmanager
def away(_protocol: str, _port: int) -> Iterator[None]:
    """Nobody listens."""
    yield


@contextmanager
def refusing(protocol: str, port: int) -> Iterator[None]:
    """UNAVAILABLE, or 503."""

    def refuse() -> None:
        raise RuntimeError("closed for today")

    with PROTOCOLS[protocol](port) as receiver:
        receiver.before = refuse
        yield


@contextmanager
def slow(protocol: str, port: int) -> Iterator[None]:
    """An answer takes half a minute."""
    is_over = threading.Event()
    with PROTOCOLS[protocol](port) as receiver, contextlib.ExitStack() as leaving:
        leaving.callback(is_over.set)
        receiver.before = lambda: is_over.wait(SLOW_S) and None
        yield


@contextmanager
def black_hole(_protocol: str, port: int) -> Iterator[None]:
    """Takes connections, and never says a word."""
    with _serving(port, lambda _caller: None):
        yield


@contextmanager
def babbling(_protocol: str, port: int) -> Iterator[None]:
    """Speaks, but no language that we know."""

    def babble(caller: socket.socket) -> None:
        with caller:
            caller.settimeout(1)
            caller.recv(4096)
            caller.sendall(b"\x00\xff\x13garbage\r\n" * 50)

    with _serving(port, babble):
        yield


@contextmanager
def _serving(port: int, answer: Callable[[socket.socket], None]) -> Iterator[None]:
    callers: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", port)) as server:
        server.settimeout(0.1)
        is_over = threading.Event()

        def serve() -> None:
            while not is_over.is_set():
                with contextlib.suppress(OSError):
                    caller, _ = server.accept()
                    callers.append(caller)
                    answer(caller)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join(5)
            for caller in callers:
                caller.close()


Fault = Callable[[str, int], AbstractContextManager[None]]
FAULTS: tuple[Fault, ...] = (away, refusing, slow, black_hole, babbling)


@dataclass
class Porch:
    """An appliance where somebody comes every few seconds, and who knows of it."""

    home: Appliance
    ear: Ear
    witness: Witness
    protocol: str
    port: int
    secret: str
    phases: list[tuple[str, float, float]] = field(default_factory=list)
    """What the collector did, and from when to when (time.time())."""

    def entries(self, since: float, until: float = float("inf")) -> list[float]:
        """Return how late each coming was heard, in seconds after the frame that decided."""
        heard = [one for one in self.ear.all("/front_door/event", since) if one.at < until]
        entered = [one for one in heard if one.json()["event_type"] == "person_entered"]
        return [one.at - datetime.fromisoformat(one.json()["timestamp"]).timestamp() for one in entered]

    def see_visits(self, what: str) -> None:
        """Wait until somebody has come VISITS times."""
        began = time.time()
        wait_for(f"visits while the collector is {what}", SEEN_S, lambda: len(self.entries(began)) >= VISITS)
        self.phases.append((what, began, time.time()))

    def told(self, level: str, since: int = 0) -> list[tuple[str, str]]:
        """Return what was said of the collector from that place of the log on: stage and words."""
        found = TOLD.findall(self.home.log_text()[since:])
        return [(stage, words) for said, stage, _, _, words in found if said == level]

    def memory_mb(self) -> dict[str, float]:
        sizes = {}
        for stage in STAGES:
            pid = wait_for(stage, START_S, lambda stage=stage: self.home.pid_of(stage))
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            sizes[stage] = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024
        return sizes

    def well(self) -> AbstractContextManager[Receiver]:
        return PROTOCOLS[self.protocol](self.port)


def speakers(receiver: Receiver) -> set[str]:
    return {span.stage for span in list(receiver.spans)}


@pytest.fixture(params=sorted(PROTOCOLS))
def porch(
    request: pytest.FixtureRequest, tmp_path: Path, broker: Broker, ear: Ear, appliance: Start
) -> Iterator[Callable[..., Porch]]:
    made: list[Porch] = []

    def build(**telemetry: Any) -> Porch:
        clip = visiting_clip(tmp_path / "visits.mp4")
        port, secret = free_port(), f"canary{secrets.token_hex(8)}"
        settings = visiting_settings(
            broker.port,
            clip,
            telemetry={
                "otlp_endpoint": f"http://127.0.0.1:{port}",
                "otlp_protocol": request.param,
                "otlp_headers": f"x-tenant=home,authorization=Bearer {secret}",
                "trace_share": 1.0,
                **telemetry,
            },
        )
        home = appliance(settings)
        made.append(Porch(home, ear, Witness(home.instance), request.param, port, secret))
        wait_for("it sees", START_S, lambda: home.state() != "unknown")
        return made[-1]

    yield build
    for one in made:
        one.witness.stop()


def test_whatever_the_collector_does_nobody_waits_for_it(
    porch: Callable[..., Porch], monkeypatch: pytest.MonkeyPatch, figure: Figure
) -> None:
    for name, value in QUICK.items():
        monkeypatch.setenv(name, value)
    t0 = time.time()
    one = porch(log_level="debug")
    with one.well() as receiver:
        wait_for("traces of every frame", START_S, lambda: speakers(receiver) >= SPEAKERS)
        one.see_visits("well")
        before_mb = one.memory_mb()
    print("T well", time.time() - t0)
    for fault in FAULTS:
        place = len(one.home.log_text())
        with fault(one.protocol, one.port):
            one.see_visits(fault.__name__)
            with contextlib.suppress(AssertionError):
                wait_for("it is told", 10, lambda: {s.partition('.')[0] for s, _ in one.told("WARNING", place)} >= SPEAKERS)
            mb = one.memory_mb()
        print("T", fault.__name__, time.time() - t0)
        back_place = len(one.home.log_text())
        with one.well() as receiver:
            with contextlib.suppress(AssertionError):
                wait_for("traces flow again", 20, lambda: speakers(receiver) >= SPEAKERS)
                wait_for("it is told", 10, lambda: {s.partition('.')[0] for s, _ in one.told("INFO", back_place)} >= SPEAKERS)
        print("T back", time.time() - t0, speakers(receiver))
        for line in one.told("WARNING", place): print("   W", line)
        for line in one.told("INFO", place): print("   I", line)
        print({s: (round(mb[s] - before_mb[s], 1)) for s in mb})
    print(before_mb)
    print(account(one.witness, one.ear))
    for what, a, b in one.phases:
        print(what, [round(x, 3) for x in one.entries(a, b)])
    log = one.home.log_text()
    assert one.secret not in log
    print(len(log))
    Path("/tmp/h3/log-" + one.protocol.replace("/", "_")).write_text(log)
    assert 0

"""A collector that is away, refuses, dawdles, swallows everything or babbles: no alarm is later or lost for it."""

from __future__ import annotations

import contextlib
import re
import secrets
import signal
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

from appliance.ipc.heartbeat import fresh_heartbeats
from appliance.ipc.run_folder import RunFolder
from tests.chaos.visits import VISIT_S, Account, Witness, account, visiting_clip, visiting_settings
from tests.end_to_end.receiver import PROTOCOLS, Receiver
from tests.rig import Appliance, Broker, Ear, free_port, wait_for

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

Start = Callable[[dict[str, Any]], Appliance]
Figure = Callable[[str, str], None]
STAGES = ("capture.front_door", "inference", "controller", "gateway")
TRACING = STAGES[:3]
"""Who has spans of every frame; the gateway has some only while somebody looks."""
SLOW_S = 30.0
VISITS_WELL, VISITS = 3, 1
"""Comings while the collector is well, and at least for each way in which it is not."""
SEEN_S = 6 * VISIT_S
BACK_S = 20.0
START_S = 60.0
ENTRY_PROMISE_S = 1.5
STOP_PROMISE_S = 5.0
LATER_MOST = 3.0
"""Times, as medians: no more than that, on a machine that has other things to do."""
GROWN_MOST_MB = 20.0
QUICK = {
    "OTEL_EXPORTER_OTLP_TIMEOUT": "2",
    "OTEL_BSP_SCHEDULE_DELAY": "500",
    "OTEL_METRIC_EXPORT_INTERVAL": "2000",
    "OTEL_BSP_MAX_QUEUE_SIZE": "64",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "64",
}
"""So that failures are noticed, and queues run over, while we look; by default 10 s, 5 s, 60 s, 2048 and 512."""
LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} ([A-Z]+) +(\S+): (.*)")
ABOUT_IT = re.compile(r"OpenTelemetry collector http://127\.0\.0\.1:\d+ \(\S+\): (.*)")
CLOSED = "closed for today"


class Canaries:
    """The words in the headers that must not be told, also where the collector repeats them."""

    def __init__(self) -> None:
        self.key, self.token = (f"canary{secrets.token_hex(8)}" for _ in range(2))

    @property
    def headers(self) -> str:
        return f"api-key={self.key},authorization=Bearer {self.token}"

    @property
    def repeated(self) -> str:
        return f"{CLOSED} to {self.key} and {self.token}"


@contextmanager
def away(_protocol: str, _port: int, _words: str) -> Iterator[None]:
    """Nobody listens."""
    yield


@contextmanager
def refusing(protocol: str, port: int, words: str) -> Iterator[None]:
    """UNAVAILABLE, or 503."""

    def refuse() -> None:
        raise RuntimeError(words)

    with PROTOCOLS[protocol](port) as receiver:
        receiver.before = refuse
        yield


@contextmanager
def slow(protocol: str, port: int, _words: str) -> Iterator[None]:
    """An answer takes half a minute."""
    is_over = threading.Event()

    def dawdle() -> None:
        is_over.wait(SLOW_S)

    with contextlib.ExitStack() as leaving, PROTOCOLS[protocol](port) as receiver:
        leaving.callback(is_over.set)
        receiver.before = dawdle
        yield


@contextmanager
def black_hole(_protocol: str, port: int, _words: str) -> Iterator[None]:
    """Takes connections, and never says a word."""
    with serving(port, lambda _caller: None):
        yield


@contextmanager
def babbling(_protocol: str, port: int, _words: str) -> Iterator[None]:
    """Speaks, but no language that we know."""

    def babble(caller: socket.socket) -> None:
        with caller:
            caller.settimeout(1)
            caller.recv(4096)
            caller.sendall(b"\x00\xff\x13garbage\r\n" * 50)

    with serving(port, babble):
        yield


@contextmanager
def serving(port: int, answer: Callable[[socket.socket], None]) -> Iterator[list[socket.socket]]:
    """Yields whoever has called so far."""
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
            yield callers
        finally:
            is_over.set()
            thread.join(5)
            for caller in callers:
                caller.close()


Fault = Callable[[str, int, str], AbstractContextManager[None]]
FAULTS: tuple[Fault, ...] = (away, refusing, slow, black_hole, babbling)


@dataclass
class Story:
    """What was seen of one appliance, whose collector failed in every way, one after the other."""

    protocol: str
    canaries: Canaries
    late_s: dict[str, list[float]] = field(default_factory=dict)
    """By what the collector did, "well" or a fault: seconds from the frame that decided until it was heard."""
    told: dict[str, list[tuple[str, str, str]]] = field(default_factory=dict)
    """By fault: level, stage and words of each line about the collector."""
    told_back: dict[str, list[tuple[str, str, str]]] = field(default_factory=dict)
    """The same, from the collector's return on."""
    grown_mb: dict[str, float] = field(default_factory=dict)
    """By stage: resident memory with the fault that took the most, less that before."""
    lost: float = 0.0
    """Spans, as inference counted them."""
    account: Account | None = None
    log: str = ""


@dataclass
class House:
    """An appliance where somebody comes every few seconds, and who knows of it."""

    home: Appliance
    ear: Ear
    witness: Witness

    def late_s(self, since: float) -> list[float]:
        """Return how late each coming was heard, in seconds after the frame that decided."""
        events = [(one.at, one.json()) for one in self.ear.all("/front_door/event", since)]
        entered = [(at, words["timestamp"]) for at, words in events if words["event_type"] == "person_entered"]
        return [at - datetime.fromisoformat(timestamp).timestamp() for at, timestamp in entered]

    def see_visits(self, what: str, many: int) -> list[float]:
        """Wait until somebody has come so often; return how late that was heard."""
        began = time.time()
        wait_for(f"visits: {what}", SEEN_S, lambda: len(self.late_s(began)) >= many)
        return self.late_s(began)

    def told(self, since: int) -> list[tuple[str, str, str]]:
        """Return what is said of the collector from that place of the log on: level, stage, words."""
        lines = (LINE.fullmatch(line) for line in self.home.log_text()[since:].splitlines())
        about = ((line[1], line[2], ABOUT_IT.fullmatch(line[3])) for line in lines if line)
        return [(level, stage, words[1]) for level, stage, words in about if words and level != "DEBUG"]

    def have_told(self, level: str, since: int) -> bool:
        """Whether all who trace have said something of the collector."""
        return {stage for said, stage, _ in self.told(since) if said == level} >= set(TRACING)

    def memory_mb(self) -> dict[str, float]:
        return {stage: self._resident_mb(stage) for stage in STAGES}

    def _resident_mb(self, stage: str) -> float:
        pid = wait_for(f"{stage} lives", START_S, lambda: self.home.pid_of(stage))
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def telemetry(protocol: str, port: int, canaries: Canaries) -> dict[str, Any]:
    return {
        "otlp_endpoint": f"http://127.0.0.1:{port}",
        "otlp_protocol": protocol,
        "otlp_headers": canaries.headers,
        "trace_share": 1.0,
        "log_level": "debug",
    }


def live_through(house: House, story: Story, port: int) -> None:
    """Have the collector fail in every way; it is well before and after each."""
    with PROTOCOLS[story.protocol](port) as receiver:
        wait_for("traces of every frame", START_S, lambda: are_tracing(receiver))
        wait_for("an event that nothing held up", SEEN_S, lambda: house.late_s(0))
        story.late_s["well"] = house.see_visits("the collector is well", VISITS_WELL)
        before_mb = house.memory_mb()
    for fault in FAULTS:
        live_through_one(house, story, port, fault, before_mb)
    story.lost = fresh_heartbeats(RunFolder(house.home.instance))["inference"].counters.get("spans_lost", 0.0)
    story.account = account(house.witness, house.ear)
    story.log = house.home.log_text()


def live_through_one(house: House, story: Story, port: int, fault: Fault, before_mb: dict[str, float]) -> None:
    name, began = fault.__name__, len(house.home.log_text())
    with fault(story.protocol, port, story.canaries.repeated):
        story.late_s[name] = house.see_visits(name, VISITS)
        wait_for(f"{name}: it is told", BACK_S, lambda: house.have_told("WARNING", began))
        story.told[name] = house.told(began)
        for stage, mb in house.memory_mb().items():
            story.grown_mb[stage] = max(story.grown_mb.get(stage, 0.0), mb - before_mb[stage])
        ended = len(house.home.log_text())
    with PROTOCOLS[story.protocol](port) as receiver:
        wait_for(f"after {name}: traces flow again", BACK_S, lambda: are_tracing(receiver))
        wait_for(f"after {name}: it is told", BACK_S, lambda: house.have_told("INFO", ended))
        story.told_back[name] = house.told(ended)


def are_tracing(receiver: Receiver) -> bool:
    return {span.stage for span in list(receiver.spans)} >= {stage.partition(".")[0] for stage in TRACING}


@pytest.fixture(scope="module", params=sorted(PROTOCOLS))
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Lived through once, for all that is asked about it."""
    folder = tmp_path_factory.mktemp("collector")
    clip = visiting_clip(folder / "visits.mp4")
    with contextlib.ExitStack() as leaving, pytest.MonkeyPatch.context() as patch:
        for name, value in QUICK.items():
            patch.setenv(name, value)
        broker = Broker(folder)
        broker.start()
        leaving.callback(broker.stop)
        ear = leaving.enter_context(contextlib.closing(Ear(broker.port)))
        port, one = free_port(), Story(request.param, Canaries())
        told = telemetry(one.protocol, port, one.canaries)
        home = Appliance(folder, visiting_settings(broker.port, clip, telemetry=told))
        witness = Witness(home.instance)
        leaving.callback(witness.stop)
        home.start()
        leaving.callback(home.close)
        try:
            live_through(House(home, ear, witness), one, port)
        except AssertionError:
            print(home.log_text())  # pytest shows it where the test failed
            raise
        yield one


def test_events_arrive_as_with_a_collector_that_is_well(story: Story, figure: Figure) -> None:
    well_s = statistics.median(story.late_s["well"])
    for fault in FAULTS:
        late_s = story.late_s[fault.__name__]
        ratio = statistics.median(late_s) / well_s
        figure(
            f"collector {fault.__name__} by {story.protocol}: seconds from frame to ear, well and so",
            f"{well_s:.3f} -> {statistics.median(late_s):.3f} (x{ratio:.2f})",
        )
        assert max(late_s) < 3 * ENTRY_PROMISE_S, fault
    failing = [late for fault in FAULTS for late in story.late_s[fault.__name__]]
    assert statistics.median(failing) < LATER_MOST * well_s


def test_no_event_is_lost_or_told_twice(story: Story, figure: Figure) -> None:
    assert story.account is not None, "it was not lived through"
    assert story.account.again == 0
    assert story.account.events >= 2 * (VISITS_WELL + VISITS * len(FAULTS)) - 1
    figure(f"a collector that fails in every way, by {story.protocol}", str(story.account))


def test_no_stage_grows_while_nothing_is_taken_off_its_hands(story: Story, figure: Figure) -> None:
    figure(
        f"a collector that fails in every way, by {story.protocol}: MB more at most",
        ", ".join(f"{stage} {mb:.1f}" for stage, mb in story.grown_mb.items()),
    )
    assert set(story.grown_mb) == set(STAGES)
    assert max(story.grown_mb.values()) < GROWN_MOST_MB, story.grown_mb


def test_each_reason_is_told_once_and_once_that_it_is_well_again(story: Story) -> None:
    for name, lines in story.told.items():
        for stage in TRACING:
            words = [words for level, who, words in lines if who == stage and level == "WARNING"]
            assert 1 <= len(words) == len(set(words)), (name, stage, words)
            back = [words for level, who, words in story.told_back[name] if who == stage and level == "INFO"]
            assert len(back) == 1, (name, stage, back)
            assert re.fullmatch(r"well again after \d+ s", back[0])


def test_the_log_says_why(story: Story) -> None:
    for name, reason in (("away", "refused"), ("refusing", CLOSED)):
        for level, stage, words in story.told[name]:
            assert level != "WARNING" or reason in words, (name, stage, words)


def test_every_line_of_the_log_is_one_of_ours(story: Story) -> None:
    strangers = [line for line in story.log.splitlines() if not LINE.fullmatch(line)]
    assert strangers == []


def test_no_headers_value_is_told_even_where_the_collector_repeats_it(story: Story) -> None:
    assert CLOSED in story.log, "nothing was repeated"
    assert story.canaries.key not in story.log


def test_nor_the_token_of_an_authorization_without_its_scheme(story: Story) -> None:
    assert story.canaries.token not in story.log


def test_spans_that_did_not_fit_are_counted(story: Story) -> None:
    assert story.lost > 0


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_a_black_hole_does_not_hold_up_the_end(
    protocol: str, tmp_path: Path, broker: Broker, appliance: Start, monkeypatch: pytest.MonkeyPatch, figure: Figure
) -> None:
    """The exporters have their own patience, which is longer than ours."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    port = free_port()
    told = telemetry(protocol, port, Canaries())
    with serving(port, lambda _caller: None) as callers:
        home = appliance(visiting_settings(broker.port, visiting_clip(tmp_path / "visits.mp4"), telemetry=told))
        wait_for("it sees", START_S, lambda: home.state() != "unknown")
        wait_for("all of them wait for an answer", START_S, lambda: len(callers) > len(STAGES))
        began = time.monotonic()
        assert home.stop(signal.SIGTERM) == 0
        took_s = time.monotonic() - began
        killed = home.log_text().count("does not stop")
        figure(
            f"SIGTERM while the collector is a black hole, by {protocol}",
            f"stopped after {took_s:.2f} s, {killed} stages had to be killed",
        )
        assert took_s < 3 * STOP_PROMISE_S
        assert not home.pids()
        assert not home.run_folder.exists()


def test_an_alarm_is_explained_down_to_the_frame(tmp_path: Path, broker: Broker, ear: Ear, appliance: Start) -> None:
    delays = {"exit_delay_seconds": 0.0, "entry_delay_seconds": 1.0}
    with PROTOCOLS["grpc"]() as receiver:
        told = {"otlp_endpoint": receiver.url, "otlp_protocol": "grpc"}
        clip = visiting_clip(tmp_path / "visits.mp4")
        home = appliance(visiting_settings(broker.port, clip, alarm={"away": delays}, telemetry=told))
        topic = f"porchlight/{home.instance}/alarm"

        def send(command: str) -> None:
            ear._client.publish(f"{topic}/set", command, qos=1)

        def told_of(kind: str, since: float = 0) -> dict[str, Any] | None:
            events = (one.json() for one in ear.all("/alarm/event", since))
            return next((words for words in events if words["event_type"] == kind), None)

        wait_for("it sees", START_S, lambda: home.state() != "unknown")
        send("ARM_AWAY")
        pending = wait_for("somebody comes", START_S, lambda: told_of("pending"))
        triggered = wait_for("the alarm", START_S, lambda: told_of("triggered"))
        entered = next(
            words
            for words in (one.json() for one in ear.all("/front_door/event"))
            if words["event_type"] == "person_entered" and words["incident"] == triggered["incident"]
        )
        trace_id = entered["trace_id"]
        assert pending["trace_id"] == triggered["trace_id"] == trace_id

        def of_the_camera() -> list[str]:
            alarms = [one.json() for one in ear.all("/front_door/event")]
            return [words["trace_id"] for words in alarms if words["event_type"] == "alarm_triggered"]

        wait_for("the camera's own event", 20, of_the_camera)
        assert of_the_camera() == [trace_id]

        def spans(trace_id: str, name: str) -> list[Any]:
            return [span for span in receiver.trace(trace_id) if span.name == name]

        wait_for("all of its trace", 20, lambda: len(spans(trace_id, "alarm")) == 2)
        wait_for("all of its trace", 20, lambda: len(spans(trace_id, "publish")) == 3)
        (decision,) = spans(trace_id, "decision")
        assert decision.attributes["porchlight.incident"] == triggered["incident"]
        ringing = spans(trace_id, "alarm")
        assert [span.attributes["porchlight.state"] for span in ringing] == ["pending", "triggered"]
        assert {span.parent for span in ringing} == {decision.span_id}
        above = {decision.span_id, *(span.span_id for span in ringing)}
        assert {span.parent for span in spans(trace_id, "publish")} == above
        assert decision.start_ns <= ringing[0].start_ns <= ringing[1].start_ns
        waited_s = (ringing[1].start_ns - ringing[0].start_ns) / 1e9
        assert 1 <= waited_s < 1 + 3 * ENTRY_PROMISE_S

        # By hand: nobody is to blame for it, so it is a trace of its own.
        send("DISARM")
        wait_for("it is disarmed", 20, lambda: ear.last("/alarm/state") == "disarmed")
        began = time.time()
        send("TRIGGER")
        by_hand = wait_for("an alarm by hand", 20, lambda: told_of("triggered", began))
        own = by_hand["trace_id"]
        assert own not in {trace_id, None}
        wait_for("its trace", 20, lambda: spans(own, "alarm") and spans(own, "publish"))
        root, published = receiver.trace(own)
        assert (root.name, root.parent) == ("alarm", "")
        assert root.attributes["porchlight.command"] == "TRIGGER"
        assert (published.name, published.parent) == ("publish", root.span_id)
        assert published.attributes["messaging.destination.name"] == f"{topic}/event"

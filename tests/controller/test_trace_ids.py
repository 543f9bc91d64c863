"""Why did it ring: events name their trace, an alarm stands beneath the sighting behind it, also after a restart."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.config import Alarm, Camera, Mqtt, Settings
from appliance.controller import statements as statements_module
from appliance.controller import visits
from appliance.controller.alarm import guard as guard_module
from appliance.controller.alarm import panel_file
from appliance.controller.alarm.guard import Guard
from appliance.controller.alarm.words import AlarmState, Command, EventKind, Presence
from appliance.controller.desk import Desk
from appliance.controller.eye import Eye
from appliance.controller.notices import Notices
from appliance.controller.outbox import Acknowledged, Outbox
from appliance.controller.overlay import CameraChoices
from appliance.controller.statements import Statements
from appliance.controller.topics import Topics
from appliance.ipc.heartbeat import HeartbeatFile
from appliance.ipc.mailbox import publish_detections
from appliance.ipc.run_folder import RunFolder
from appliance.messages import (
    NO_TRACE,
    Clock,
    Detections,
    FrameInfo,
    Health,
    Heartbeat,
    PixelFormat,
    Rows,
    SentryState,
    SourceHealth,
    TraceContext,
    Transition,
)
from appliance.stage import Pulse, StageContext, Stop
from appliance.telemetry import Span, Tracer
from appliance.telemetry.tracing import NO_PARENT, OFF
from tests.controller.alarm import house as alarm_house
from tests.controller.alarm.test_guard import Clock as GuardClock
from tests.controller.alarm.test_guard import Said as Heard
from tests.controller.alarm.test_guard import Work, arm
from tests.controller.discovery.test_herald import Wire

PATIENCE_S = 30.0
CAMERA = Camera(id="porch", source="synthetic://porch")
TOPICS = Topics("home")
ENTERED = TraceContext.of(b"\xab" * 16, b"\x01" * 8, 2)
PORCH = Presence("porch", None, alarm_house.NOON, 0.9, "porch-1", ENTERED.traceparent)


class Said(Heard):
    """Notes what is said, and who wants to hear that the broker has it."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Acknowledged | None] = []

    def event(self, topic: str, payload: Mapping[str, Any], acknowledged: Acknowledged | None = None) -> None:
        super().event(topic, payload)
        self.waiting.append(acknowledged)

    def acknowledge(self, *, is_prompt: bool = True) -> None:
        for hear in self.waiting:
            if hear is not None:
                hear(time.monotonic_ns(), is_prompt)
        self.waiting.clear()


@dataclass
class Traces:
    """A tracer, and what it has delivered."""

    delivered: list[Span] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tracer = Tracer(self.delivered.append)

    def named(self, name: str) -> list[Span]:
        return [span for span in self.delivered if span.name == name]


@pytest.fixture
def traces() -> Traces:
    return Traces()


# Events of a camera


def a_transition(trace: TraceContext = ENTERED) -> Transition:
    return Transition(SentryState.VALIDATION, SentryState.TRACKING, 7, 7, alarm_house.NOON, 0.9, trace)


@pytest.mark.parametrize(("trace", "told"), [(ENTERED, "ab" * 16), (NO_TRACE, None)])
def test_an_event_names_the_trace_of_its_decision_or_none(trace: TraceContext, told: str | None) -> None:
    payload = visits.event_payload("person_entered", a_transition(trace), "home_porch", {})
    assert payload["trace_id"] == visits.trace_id(trace) == told
    json.dumps(payload)


def live_detections() -> Detections:
    now_ns = time.monotonic_ns()
    frame = FrameInfo(7, now_ns, time.time_ns(), 640, 480, PixelFormat.JPEG, Clock.MONOTONIC, ENTERED)
    return Detections(frame, Rows())


@pytest.mark.parametrize("is_prompt", [True, False])
def test_the_brokers_answer_ends_the_trace_and_the_event_and_the_log_name_it(
    traces: Traces, caplog: pytest.LogCaptureFixture, is_prompt: bool
) -> None:
    caplog.set_level(logging.INFO)
    said, took = Said(), list[float]()
    traces.tracer.keep((ENTERED,))
    one = Notices(CAMERA, TOPICS, said, took.append, traces.tracer)
    one.transition(Eye(transitions=(a_transition(),)), a_transition(), live_detections())
    (event,) = said.events(TOPICS.camera("porch", "event"))
    (line,) = [record for record in caplog.records if "tracking" in record.getMessage()]
    assert event["trace_id"] == vars(line)["trace_id"] == "ab" * 16
    assert event["incident"] == vars(line)["incident"]
    assert vars(line)["camera"] == "porch"
    assert traces.delivered == []
    said.acknowledge(is_prompt=is_prompt)
    (publish,) = traces.delivered
    assert (publish.name, publish.parent) == ("publish", ENTERED.span_id)
    assert publish.context.trace_id == ENTERED.trace_id
    assert publish.start_ns <= publish.end_ns
    assert publish.attributes["messaging.destination.name"] == TOPICS.camera("porch", "event")
    assert publish.attributes["prompt"] is is_prompt
    assert len(took) == is_prompt  # what waited for the broker is no figure of ours


# The desk: from detections to the event


class Porch:
    """A camera's desk at its real channel, and inference that hands it detections."""

    def __init__(self, folder: RunFolder, tracer: Tracer) -> None:
        self.said = Said()
        pulse = Pulse(HeartbeatFile(folder, "controller"), "controller")
        context = StageContext(Settings(instance="home"), folder, pulse, Stop(), tracer=tracer)
        choices = CameraChoices(threshold=0.5, clear_seconds=3)
        self.desk = Desk(context, CAMERA, TOPICS, self.said, choices=choices)
        self._publisher = publish_detections(folder, "porch")
        self._began_ns = time.monotonic_ns()

    def see(self, number: int, *, is_there: bool, is_traced: bool = True) -> TraceContext:
        """Have it see a frame; return the trace context of the inference over it."""
        trace = TraceContext.of(number.to_bytes(16), number.to_bytes(8), 2) if is_traced else NO_TRACE
        captured_ns = self._began_ns + number * 100_000_000
        wall_ns = time.time_ns() - time.monotonic_ns() + captured_ns
        frame = FrameInfo(number, captured_ns, wall_ns, 640, 480, PixelFormat.JPEG, Clock.MONOTONIC, trace, captured_ns)
        person = (np.array([[100, 50, 300, 450]], "f4"), np.array([0.9], "f4"), np.array([1], "i4"))
        writer = self._publisher.borrow()
        writer.write(Detections(frame, Rows.of(*person) if is_there else Rows(), 5, captured_ns))
        self._publisher.send(writer)
        self.desk.hear()
        return trace

    def end(self) -> None:
        """The clip is over."""
        ended = (SourceHealth("porch", Health.ENDED, "the clip has ended"),)
        now_ns = time.monotonic_ns()
        beats = {
            name: Heartbeat(name, Health.RUNNING, now_ns, 1, sources=ended)
            for name in ("capture", "capture.porch", "inference")
        }
        self.desk.check(beats)

    def events(self) -> list[dict[str, Any]]:
        return self.said.events(TOPICS.camera("porch", "event"))

    def close(self) -> None:
        self.desk.close()
        self._publisher.close()


@pytest.fixture
def folder() -> Iterator[RunFolder]:
    one = RunFolder(f"test_{os.getpid()}_{secrets.token_hex(4)}")
    one.create()
    yield one
    one.remove()


@pytest.fixture
def porch(folder: RunFolder, traces: Traces) -> Iterator[Porch]:
    with contextlib.closing(Porch(folder, traces.tracer)) as one:
        yield one


def test_the_decision_stands_beneath_the_inference_and_the_event_names_their_trace(
    porch: Porch, traces: Traces
) -> None:
    porch.see(1, is_there=False)
    seen = [porch.see(number, is_there=True) for number in (2, 3, 4)]
    (event,) = porch.events()
    assert event["trace_id"] == seen[-1].trace_id.hex()
    (decision,) = [span for span in traces.named("decision") if span.context.trace_id == seen[-1].trace_id]
    assert (decision.parent, decision.attributes["state"]) == (seen[-1].span_id, "tracking")
    assert decision.attributes["incident"] == event["incident"]
    (wait,) = [span for span in traces.named("wait") if span.context.trace_id == seen[-1].trace_id]
    assert (wait.parent, wait.attributes["consumer"]) == (seen[-1].span_id, "controller")
    porch.said.acknowledge()
    (publish,) = traces.named("publish")
    assert (publish.parent, publish.context.trace_id) == (decision.context.span_id, seen[-1].trace_id)


def test_of_frames_that_decided_nothing_no_span_is_delivered(porch: Porch, traces: Traces) -> None:
    quiet = [porch.see(number, is_there=False) for number in (1, 2, 3)]
    assert traces.delivered == []
    came = [porch.see(number, is_there=True) for number in (4, 5, 6, 7)]
    decided = {came[0].trace_id, came[2].trace_id}  # validation, and tracking
    assert {span.context.trace_id for span in traces.delivered} == decided
    assert not decided & {trace.trace_id for trace in quiet}


def test_the_state_channel_names_the_traces_that_decided(porch: Porch) -> None:
    seen = [porch.see(number, is_there=True) for number in (1, 2, 3)]
    named = [change.trace.trace_id for change in porch.desk.eye.state.transitions]
    assert named == [seen[0].trace_id, seen[2].trace_id]


def test_who_is_there_brings_the_trace_of_the_entering_to_the_alarm_panel(porch: Porch, traces: Traces) -> None:
    for number in (1, 2, 3, 4, 5):
        porch.see(number, is_there=True)
    (presence,) = porch.desk.present
    context = TraceContext.from_traceparent(presence.trace)
    (decision,) = [span for span in traces.named("decision") if span.attributes["frame_number"] == 3]
    assert context == decision.context


def test_without_a_collector_no_event_has_a_trace(folder: RunFolder) -> None:
    with contextlib.closing(Porch(folder, OFF)) as porch:
        for number in (1, 2, 3):
            porch.see(number, is_there=True, is_traced=False)
        (event,) = porch.events()
        assert event["trace_id"] is None
        (presence,) = porch.desk.present
        assert presence.trace == ""


def test_who_leaves_because_the_clip_has_ended_is_told_with_a_trace_that_is_kept(porch: Porch, traces: Traces) -> None:
    for number in (1, 2, 3):
        porch.see(number, is_there=True)
    last = porch.see(4, is_there=True)
    porch.end()
    entered, left = porch.events()
    assert [entered["event_type"], left["event_type"]] == ["person_entered", "person_left"]
    assert left["trace_id"] == last.trace_id.hex()
    porch.said.acknowledge()
    assert {span.name for span in traces.delivered if span.context.trace_id == last.trace_id} == {
        "wait",
        "decision",
        "publish",
    }


# The alarm panel


@dataclass
class House:
    """Where a guard with a tracer works, once or again after a restart."""

    folder: Path
    clock: GuardClock

    def run(self, tracer: Tracer, script: Callable[[Work], Awaitable[None]]) -> Said:
        """Start, look once, do what the script does, and stop; return what was said."""
        said = Said()

        async def main() -> None:
            settings = Settings(instance="home", state_dir=self.folder, cameras=(CAMERA,), alarm=Alarm())
            work = Work(Guard(settings, TOPICS, said, tracer), said, self.clock)
            obeying = asyncio.create_task(work.guard.serve())
            try:
                work.look()
                await script(work)
            finally:
                obeying.cancel()
                await work.guard.stop()

        asyncio.run(main())
        return said

    def edit(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Change what is kept of the panel."""
        file = self.folder / "alarm.json"
        content = json.loads(file.read_text())
        change(content)
        file.write_text(json.dumps(content))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> GuardClock:
    one = GuardClock()
    monkeypatch.setattr(guard_module, "time", one)
    return one


@pytest.fixture
def house(tmp_path: Path, clock: GuardClock) -> House:
    return House(tmp_path / "state", clock)


async def come_in(work: Work) -> None:
    """Arm, and have somebody come: the entry delay begins."""
    await arm(work)
    work.look(PORCH)


async def stay(work: Work) -> None:
    work.wait(31, PORCH)


async def ring(work: Work) -> None:
    await come_in(work)
    await stay(work)


async def trigger(work: Work) -> None:
    await work.ask(Command.TRIGGER)


async def nothing(_work: Work) -> None:
    """Leave it as it is."""


def alarms(said: Said) -> dict[str, dict[str, Any]]:
    """Return the alarm's events by kind."""
    return {event["event_type"]: event for event in said.events()}


def test_an_alarm_stands_beneath_the_sighting_that_caused_it(house: House, traces: Traces) -> None:
    said = house.run(traces.tracer, ring)
    pending, triggered = (
        span for span in traces.named("alarm") if span.attributes["kind"] in (EventKind.PENDING, EventKind.TRIGGERED)
    )
    for span in (pending, triggered):
        assert span.context.trace_id == ENTERED.trace_id
        assert span.parent == ENTERED.span_id
        assert (span.attributes["place"], span.attributes["incident"]) == ("porch", "porch-1")
        assert span.start_ns <= span.end_ns
    assert pending.context.span_id != triggered.context.span_id
    events = alarms(said)
    assert events["pending"]["trace_id"] == events["triggered"]["trace_id"] == ENTERED.trace_id.hex()
    (told,) = said.events(TOPICS.camera("porch", "event"))
    assert (told["event_type"], told["trace_id"]) == ("alarm_triggered", ENTERED.trace_id.hex())


def test_the_brokers_answer_stands_beneath_the_alarm(house: House, traces: Traces) -> None:
    said = house.run(traces.tracer, ring)
    said.acknowledge(is_prompt=False)
    alarm = next(span for span in traces.named("alarm") if span.attributes["kind"] == EventKind.TRIGGERED)
    (publish,) = [span for span in traces.named("publish") if span.parent == alarm.context.span_id]
    assert publish.context.trace_id == alarm.context.trace_id
    assert publish.attributes["messaging.destination.name"] == TOPICS.alarm_event
    assert publish.attributes["prompt"] is False


def test_an_alarm_by_hand_is_a_trace_of_its_own(house: House, traces: Traces) -> None:
    said = house.run(traces.tracer, trigger)
    (span,) = traces.named("alarm")
    assert (span.parent, span.attributes["command"]) == (NO_PARENT, "TRIGGER")
    assert alarms(said)["triggered"]["trace_id"] == span.context.trace_id.hex()


def test_each_command_is_a_trace_of_its_own(house: House, traces: Traces) -> None:
    async def script(work: Work) -> None:
        await work.ask(Command.ARM_HOME)
        await work.ask(Command.DISARM)

    said = house.run(traces.tracer, script)
    told = [event["trace_id"] for event in said.events()]
    assert len(set(told)) == len(told) == 2
    assert told == [span.context.trace_id.hex() for span in traces.named("alarm")]


def test_the_log_says_what_an_alarm_is_about(house: House, traces: Traces, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    house.run(traces.tracer, ring)
    (line,) = [record for record in caplog.records if record.getMessage().startswith("alarm: triggered")]
    about = {name: vars(line)[name] for name in ("camera", "incident", "trace_id")}
    assert about == {"camera": "porch", "incident": "porch-1", "trace_id": ENTERED.trace_id.hex()}


def test_an_alarm_that_goes_off_after_a_restart_still_has_its_trace(house: House, traces: Traces) -> None:
    house.run(Traces().tracer, come_in)
    said = house.run(traces.tracer, stay)
    assert alarms(said)["triggered"]["trace_id"] == ENTERED.trace_id.hex()
    (span,) = traces.named("alarm")
    assert (span.context.trace_id, span.parent) == (ENTERED.trace_id, ENTERED.span_id)


def test_a_triggered_alarm_still_has_its_trace_when_it_was_restarted(house: House) -> None:
    house.run(Traces().tracer, ring)
    panels = list[Any]()

    async def look(work: Work) -> None:
        panels.append(work.guard._panel)

    house.run(Traces().tracer, look)
    (panel,) = panels
    assert panel.state is AlarmState.TRIGGERED
    assert panel.cause is not None
    assert panel.cause.trace == ENTERED.traceparent


def test_without_a_collector_an_alarm_has_no_trace_though_its_sighting_had_one(house: House) -> None:
    said = house.run(OFF, ring)
    assert [event["trace_id"] for event in said.events()] == [None] * len(said.kinds)
    (told,) = said.events(TOPICS.camera("porch", "event"))
    assert told["trace_id"] is None


def test_a_panel_file_of_before_is_read_and_its_alarm_is_a_trace_of_its_own(house: House, traces: Traces) -> None:
    house.run(OFF, come_in)
    house.edit(lambda content: content["cause"].pop("trace"))
    said = house.run(traces.tracer, stay)
    (span,) = traces.named("alarm")
    assert span.parent == NO_PARENT
    assert alarms(said)["triggered"]["trace_id"] == span.context.trace_id.hex()


@pytest.mark.parametrize("text", ["", "nonsense", "00-zz-zz-01"])
def test_a_kept_trace_that_is_none_takes_no_alarm_with_it(house: House, traces: Traces, text: str) -> None:
    house.run(OFF, come_in)
    house.edit(lambda content: content["cause"].update(trace=text))
    said = house.run(traces.tracer, stay)
    assert said.kinds == ["triggered"]
    (span,) = traces.named("alarm")
    assert span.parent == NO_PARENT


def test_a_panel_is_kept_with_the_trace_of_its_cause() -> None:
    panel = alarm_house.triggered().panel
    assert panel.cause is not None
    panel = replace(panel, cause=replace(panel.cause, trace=ENTERED.traceparent))
    kept = panel_file.from_json(panel_file.to_json(panel))
    assert kept.cause == panel.cause


# Whether an event was told at once


@pytest.mark.parametrize(
    ("is_connected", "is_settled", "is_prompt"),
    [(True, True, True), (True, False, False), (False, True, False)],
)
def test_only_what_waited_for_nobody_is_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_connected: bool, is_settled: bool, is_prompt: bool
) -> None:
    heard: list[bool] = []
    monkeypatch.setattr(statements_module, "Connection", Wire)

    async def main() -> None:
        outbox = Outbox(tmp_path, tmp_path)
        said = Statements(Mqtt(), "test", TOPICS.status, {}, outbox)
        wire: object = said._connection
        assert isinstance(wire, Wire)
        monkeypatch.setattr(statements_module, "SETTLE_S", -1.0 if is_settled else PATIENCE_S)
        if is_connected:
            wire.up()
        said.event("porchlight/home/porch/event", {}, lambda _at_ns, prompt: heard.append(prompt))
        monkeypatch.setattr(statements_module, "SETTLE_S", -1.0)
        if not is_connected:
            wire.up()
        said._settled_at = 0.0
        said._tell_events()
        wire.acknowledge()
        await said.stop()
        await outbox.close(PATIENCE_S)

    asyncio.run(main())
    assert heard == [is_prompt]


def test_what_flies_again_after_a_lost_connection_is_not_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[bool] = []
    monkeypatch.setattr(statements_module, "Connection", Wire)
    monkeypatch.setattr(statements_module, "SETTLE_S", -1.0)

    async def main() -> None:
        outbox = Outbox(tmp_path, tmp_path)
        said = Statements(Mqtt(), "test", TOPICS.status, {}, outbox)
        wire: object = said._connection
        assert isinstance(wire, Wire)
        wire.up()
        said.event("porchlight/home/porch/event", {}, lambda _at_ns, prompt: heard.append(prompt))
        wire.up()
        said._tell_events()
        wire.acknowledge()
        await said.stop()
        await outbox.close(PATIENCE_S)

    asyncio.run(main())
    assert heard == [False]

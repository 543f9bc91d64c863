"""Traces: what is remembered has its bounds, what is kept is delivered once, and off costs nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from types import SimpleNamespace
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.messages import NO_TRACE, Clock, FrameInfo, PixelFormat, TraceContext
from appliance.telemetry import tracing
from appliance.telemetry.tracing import KEPT_MOST, NO_PARENT, OFF, RANDOM, REMEMBERED_MOST, SAMPLED, Span, Tracer

contexts = st.builds(
    TraceContext.of,
    st.binary(min_size=16, max_size=16).filter(any),
    st.binary(min_size=8, max_size=8).filter(any),
    st.integers(0, 255),
)


@dataclass
class Process:
    """One stage's tracer, and what it has delivered."""

    share: float = 0.0
    delivered: list[Span] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tracer = Tracer(self.delivered.append, self.share)

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.delivered]

    def note(self, name: str, context: TraceContext) -> None:
        self.tracer.span(name, context, NO_PARENT, 1, 2)


def numbered(number: int, flags: int = 0) -> TraceContext:
    return TraceContext.of((number + 1).to_bytes(16), (number + 1).to_bytes(8), flags)


# Off


@pytest.mark.parametrize("tracer", [OFF, Tracer(), Tracer(None, share=1.0)])
def test_where_no_collector_is_set_there_is_no_trace_and_nothing_is_remembered(tracer: Tracer) -> None:
    given_to_it = numbered(7, SAMPLED)
    assert not tracer.is_on
    assert tracer.begin() is NO_TRACE
    assert tracer.beneath(given_to_it) is given_to_it
    tracer.span("capture", given_to_it, NO_PARENT, 1, 2, camera="porch")
    tracer.leaf("wait", given_to_it, 1, 2)
    tracer.keep((given_to_it,))
    assert (tracer._remembered, tracer._kept) == ({}, {})


def test_what_has_no_trace_is_not_noted_kept_or_continued() -> None:
    process = Process(share=1.0)
    assert process.tracer.beneath(NO_TRACE) is NO_TRACE
    process.note("capture", NO_TRACE)
    process.tracer.leaf("wait", NO_TRACE, 1, 2)
    process.tracer.keep((NO_TRACE,))
    process.note("capture", NO_TRACE)
    assert process.delivered == []
    assert (process.tracer._remembered, process.tracer._kept) == ({}, {})


# Contexts


def test_each_trace_has_an_id_of_its_own_and_is_delivered_only_where_a_share_says_so() -> None:
    begun = [Process().tracer.begin() for _ in range(100)]
    assert len({context.trace_id for context in begun}) == len({context.span_id for context in begun}) == 100
    assert {context.flags for context in begun} == {RANDOM}
    assert {Process(share=1.0).tracer.begin().flags for _ in range(100)} == {RANDOM | SAMPLED}


@pytest.mark.parametrize(("drawn", "is_sampled"), [(0.0, True), (0.2499, True), (0.25, False), (0.9999, False)])
def test_the_share_is_that_of_the_traces_that_begin(
    monkeypatch: pytest.MonkeyPatch, drawn: float, is_sampled: bool
) -> None:
    monkeypatch.setattr(tracing, "random", SimpleNamespace(random=lambda: drawn))
    assert bool(Process(share=0.25).tracer.begin().flags & SAMPLED) is is_sampled


@given(contexts)
def test_a_span_beneath_another_is_of_its_trace_and_has_its_flags(parent: TraceContext) -> None:
    below = Process().tracer.beneath(parent)
    assert (below.trace_id, below.flags, len(below)) == (parent.trace_id, parent.flags, 25)
    assert below.span_id != parent.span_id


@given(contexts, st.binary(min_size=8, max_size=8))
def test_a_child_has_its_own_span_id_and_all_else_of_its_parent(parent: TraceContext, span_id: bytes) -> None:
    child = parent.child(span_id)
    assert type(child) is TraceContext
    assert (child.trace_id, child.span_id, child.flags) == (parent.trace_id, span_id, parent.flags)


@given(contexts)
def test_a_traceparent_is_read_as_it_was_written(context: TraceContext) -> None:
    version, trace_id, span_id, flags = context.traceparent.split("-")
    assert (version, trace_id, span_id) == ("00", context.trace_id.hex(), context.span_id.hex())
    assert int(flags, 16) == context.flags
    assert TraceContext.from_traceparent(context.traceparent) == context


def test_no_trace_is_an_empty_traceparent() -> None:
    assert NO_TRACE.traceparent == ""
    assert TraceContext.from_traceparent("") == NO_TRACE


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        f"00-{'a' * 32}-{'b' * 16}",
        f"00-{'a' * 31}-{'b' * 16}-01",
        f"00-{'A' * 32}-{'b' * 16}-01",
        f"00-{'g' * 32}-{'b' * 16}-01",
        f"ff-{'a' * 32}-{'b' * 16}-01",
        f"00-{'a' * 32}-{'b' * 16}-01\n",
        f" 00-{'a' * 32}-{'b' * 16}-01",
        f"00-{'a' * 32}-{'b' * 16}-01-more",
    ],
)
def test_what_is_no_traceparent_is_no_trace(text: str) -> None:
    assert TraceContext.from_traceparent(text) == NO_TRACE


@given(st.text())
def test_any_text_is_a_context_or_no_trace(text: str) -> None:
    assert len(TraceContext.from_traceparent(text)) == 25


@pytest.mark.parametrize("text", [f"00-{'0' * 32}-{'b' * 16}-01", f"00-{'a' * 32}-{'0' * 16}-01"])
def test_an_id_of_zeros_is_none(text: str) -> None:
    assert TraceContext.from_traceparent(text) == NO_TRACE


# Keeping


def test_a_frame_that_decided_nothing_is_never_delivered() -> None:
    process = Process()
    for _ in range(3):
        process.note("capture", process.tracer.begin())
    process.tracer.keep((process.tracer.begin(),))
    assert process.delivered == []


def test_a_span_is_delivered_as_it_was_noted() -> None:
    process = Process(share=1.0)
    above = process.tracer.begin()
    process.tracer.span("capture", above, NO_PARENT, 5, 9, camera="porch", size=7)
    process.tracer.leaf("wait", above, 9, 12, consumer="inference")
    capture, wait = process.delivered
    assert capture == Span("capture", above, NO_PARENT, 5, 9, {"camera": "porch", "size": 7})
    assert (wait.name, wait.parent, wait.start_ns, wait.end_ns) == ("wait", above.span_id, 9, 12)
    assert wait.context.trace_id == above.trace_id
    assert wait.context.span_id not in (above.span_id, NO_PARENT)
    assert wait.attributes == {"consumer": "inference"}


def test_a_sampled_trace_is_delivered_at_once_and_not_again_when_it_is_kept() -> None:
    process = Process()
    sampled = numbered(1, SAMPLED | RANDOM)
    process.note("capture", sampled)
    assert process.names == ["capture"]
    process.tracer.keep((sampled,))
    process.note("encode", sampled)
    assert process.names == ["capture", "encode"]
    assert process.tracer._remembered == {}


TRACES = 6
steps = st.lists(
    st.one_of(st.integers(0, TRACES - 1), st.sets(st.integers(0, TRACES - 1), max_size=3)), max_size=60
)  # a number: a span of that trace is noted; a set: the state channel names these


@given(steps, st.sets(st.integers(0, TRACES - 1)))
def test_of_a_kept_trace_each_span_is_delivered_once_whether_noted_before_or_after(
    done: list[int | set[int]], sampled: set[int]
) -> None:
    process = Process()
    noted: dict[int, list[str]] = {number: [] for number in range(TRACES)}
    kept = set(sampled)
    for at, step in enumerate(done):
        if isinstance(step, int):
            noted[step].append(f"{step}-{at}")
            process.note(f"{step}-{at}", numbered(step, SAMPLED if step in sampled else 0))
        else:
            kept |= step
            process.tracer.keep(numbered(number) for number in sorted(step))
    for number, names in noted.items():
        told = [name for name in process.names if name.startswith(f"{number}-")]
        assert told == (names if number in kept else [])


@given(steps, st.integers(1, 3), st.integers(1, 3))
def test_whatever_is_noted_and_kept_memory_has_its_bounds_and_nothing_is_delivered_twice(
    done: list[int | set[int]], remembered_most: int, kept_most: int
) -> None:
    process = Process()
    with patch.multiple(tracing, REMEMBERED_MOST=remembered_most, KEPT_MOST=kept_most):
        for at, step in enumerate(done):
            if isinstance(step, int):
                process.note(str(at), numbered(step))
            else:
                process.tracer.keep(numbered(number) for number in sorted(step))
            assert len(process.tracer._remembered) <= remembered_most
            assert len(process.tracer._kept) <= kept_most
    assert max(Counter(process.names).values(), default=1) == 1


def test_so_many_of_the_newest_traces_are_remembered_and_none_that_is_older() -> None:
    process = Process()
    everything = [numbered(number) for number in range(REMEMBERED_MOST + 3)]
    for number, context in enumerate(everything):
        process.note(f"capture {number}", context)
        process.note(f"wait {number}", context)
    process.tracer.keep(everything)
    assert process.names == [
        f"{what} {number}" for number in range(3, REMEMBERED_MOST + 3) for what in ("capture", "wait")
    ]


def test_so_many_of_the_newest_names_are_kept_and_a_late_span_of_those_is_still_delivered() -> None:
    process = Process()
    everything = [numbered(number) for number in range(KEPT_MOST + 1)]
    process.tracer.keep(everything)
    process.note("of the oldest", everything[0])
    process.note("of the second", everything[1])
    process.note("of the newest", everything[-1])
    assert process.names == ["of the second", "of the newest"]


def test_a_name_that_the_state_channel_repeats_crowds_no_other_one_out() -> None:
    process = Process()
    first = numbered(0)
    process.tracer.keep((first,))
    for _ in range(2 * KEPT_MOST):
        process.tracer.keep((first, numbered(1), numbered(2)))
    process.note("late", first)
    assert process.names == ["late"]


# Times and attributes


def a_frame(clock: Clock) -> FrameInfo:
    return FrameInfo(1, 5_000, 1_790_000_000_000_005_500, 64, 48, PixelFormat.JPEG, clock)


def test_a_frames_own_times_make_its_utc_the_same_in_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    live = a_frame(Clock.MONOTONIC)
    for now_ns in (1, 10**18):
        monkeypatch.setattr(tracing, "time", SimpleNamespace(time_ns=lambda: now_ns, monotonic_ns=lambda: 1))  # noqa: B023
        assert live.captured_ns + tracing.to_utc(live) == live.wall_ns


@pytest.mark.parametrize("frame", [None, a_frame(Clock.SCENE)])
def test_without_such_a_frame_the_clocks_of_now_do(monkeypatch: pytest.MonkeyPatch, frame: FrameInfo | None) -> None:
    clocks = SimpleNamespace(time_ns=lambda: 1_790_000_000_000_000_000, monotonic_ns=lambda: 70_000)
    monkeypatch.setattr(tracing, "time", clocks)
    assert 70_000 + tracing.to_utc(frame) == 1_790_000_000_000_000_000


def test_a_publication_is_told_by_the_conventions_for_messaging() -> None:
    assert tracing.publishing("porchlight/home/porch/event", is_prompt=False) == {
        "messaging.system": "mqtt",
        "messaging.operation.type": "send",
        "messaging.destination.name": "porchlight/home/porch/event",
        "prompt": False,
    }

"""Any value that can travel between the stages, as hypothesis strategies."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from appliance.messages import (
    CameraState,
    Clock,
    Detections,
    FrameInfo,
    Health,
    Heartbeat,
    Histogram,
    Mode,
    PixelFormat,
    Rows,
    SentryState,
    SourceHealth,
    TraceContext,
    Transition,
)

MAX_PICTURE = 2000
"""Room for a picture in these tests, in bytes."""

U64 = st.integers(0, 2**64 - 1)
U32 = st.integers(0, 2**32 - 1)
SEQUENCES = st.integers(1, 2**64 - 1)
FLOATS = st.floats(width=32, allow_nan=False)
IDS = st.integers(-(2**31), 2**31 - 1)
TRACES = st.builds(
    TraceContext.of,
    trace_id=st.binary(min_size=16, max_size=16),
    span_id=st.binary(min_size=8, max_size=8),
    flags=st.integers(0, 255),
)


def infos(
    formats: st.SearchStrategy[PixelFormat],
    sides: st.SearchStrategy[int] = U32,
    published: st.SearchStrategy[int] = U64,
) -> st.SearchStrategy[FrameInfo]:
    return st.builds(
        FrameInfo,
        frame_number=U64,
        captured_ns=U64,
        wall_ns=U64,
        width=sides,
        height=sides,
        format=formats,
        clock=st.sampled_from(Clock),
        trace=TRACES,
        published_ns=published,
    )


@st.composite
def pictures(draw: st.DrawFn) -> tuple[FrameInfo, bytes]:
    """A JPEG of any length, or a raw picture of just the bytes that its size asks for."""
    if draw(st.booleans()):
        return draw(infos(st.just(PixelFormat.JPEG))), draw(st.binary(max_size=MAX_PICTURE))
    raw = st.sampled_from([fmt for fmt in PixelFormat if fmt is not PixelFormat.JPEG])
    info = draw(infos(raw, st.integers(0, 24)))
    size = info.format.raw_size(info.width, info.height)
    return info, draw(st.binary(min_size=size, max_size=size))


ROWS = st.one_of(st.integers(0, 3), st.integers(0, 300))


@st.composite
def detections(draw: st.DrawFn, counts: st.SearchStrategy[int] = ROWS) -> Detections:
    count = draw(counts)
    return Detections(
        frame=draw(infos(st.sampled_from(PixelFormat), published=st.just(0))),  # theirs, and not the frame's
        rows=Rows.of(
            boxes=draw(arrays(np.float32, (count, 4), elements=FLOATS)),
            scores=draw(arrays(np.float32, count, elements=FLOATS)),
            class_ids=draw(arrays(np.int32, count, elements=IDS)),
        ),
        infer_ns=draw(U64),
        published_ns=draw(U64),
    )


TRANSITIONS = st.builds(
    Transition,
    previous=st.sampled_from(SentryState),
    state=st.sampled_from(SentryState),
    frame_number=U64,
    captured_ns=U64,
    wall_ns=U64,
    confidence=FLOATS,
    trace=TRACES,
)
HISTOGRAMS = st.lists(st.floats(allow_nan=False), max_size=4).flatmap(
    lambda bounds: st.builds(
        Histogram,
        bounds=st.just(tuple(bounds)),
        counts=st.lists(U64, min_size=len(bounds) + 1, max_size=len(bounds) + 1).map(tuple),
        sum=st.floats(allow_nan=False),
    )
)


def states(least: int = 0, most: int = 16) -> st.SearchStrategy[CameraState]:
    """With so many transitions."""
    return st.builds(
        CameraState,
        state=st.sampled_from(SentryState),
        mode=st.sampled_from(Mode),
        known=st.booleans(),
        person_count=U32,
        observed_frame=U64,
        last_sighting_ns=U64,
        misses=U32,
        transitions=st.lists(TRANSITIONS, min_size=least, max_size=most).map(tuple),
        threshold=st.floats(0, 1, width=32),
        zones=st.integers(0, 2**16 - 1),
        detecting=st.booleans(),
        live_view=st.booleans(),
    )


STATES = states()


HEARTBEATS = st.builds(
    Heartbeat,
    stage=st.text(),
    health=st.sampled_from(Health),
    beat_ns=U64,
    started_wall_ns=U64,
    reason=st.text(),
    sources=st.lists(
        st.builds(SourceHealth, camera=st.text(), health=st.sampled_from(Health), reason=st.text()), max_size=5
    ).map(tuple),
    counters=st.dictionaries(st.text(), st.floats(allow_nan=False), max_size=5),
    facts=st.dictionaries(st.text(), st.text(), max_size=5),
    histograms=st.dictionaries(st.text(), HISTOGRAMS, max_size=3),
)

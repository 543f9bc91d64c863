"""What travels between the stages: frames, detections, camera states, heartbeats.

Values only; those that are made for every frame are named tuples, which cost a third of a data class. How they lie in
shared memory is `appliance.ipc`'s business; nothing beyond it sees a FlatBuffer.

Times: `captured_ns` is CLOCK_MONOTONIC (the driver's own timestamp where it gives one); in a lockstep replay it is
scene time on the same axis (see `Clock`). `wall_ns` is the same instant in UTC, nanoseconds since 1970.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Integers: TypeAlias = NDArray[np.int32]

ROW_BYTES = 24
_COLUMNS = 6


class PixelFormat(IntEnum):
    """How the bytes of a frame are to be read. Raw formats are packed: no padding between rows or planes."""

    JPEG = 0
    YUYV = 1
    NV12 = 2
    I420 = 3
    RGB24 = 4

    def raw_size(self, width: int, height: int) -> int:
        """Return the bytes of one picture; planar formats need even sides. JPEG has no fixed size: ValueError."""
        match self:
            case PixelFormat.YUYV:
                return width * height * 2
            case PixelFormat.NV12 | PixelFormat.I420:
                return width * height * 3 // 2
            case PixelFormat.RGB24:
                return width * height * 3
            case _:
                raise ValueError("a JPEG has no fixed size")


class Clock(IntEnum):
    """What `captured_ns` follows: real time, or a replay's scene time that runs as fast as the machine can."""

    MONOTONIC = 0
    SCENE = 1


class SentryState(IntEnum):
    STANDBY = 0
    VALIDATION = 1
    TRACKING = 2

    @property
    def label(self) -> str:
        """The state as MQTT and Home Assistant spell it."""
        return self.name.lower()


class Mode(IntEnum):
    """How fast a camera is asked to look."""

    STANDBY = 0
    ALARMED = 1

    @property
    def label(self) -> str:
        return self.name.lower()


class TraceContext(bytes):
    """W3C trace context in its 25 bytes: trace id 16, span id 8, flags 1; all zero when nothing is traced."""

    __slots__ = ()

    @classmethod
    def of(cls, trace_id: bytes, span_id: bytes, flags: int) -> TraceContext:
        return cls(trace_id + span_id + bytes((flags,)))

    @property
    def trace_id(self) -> bytes:
        return self[:16]

    @property
    def span_id(self) -> bytes:
        return self[16:24]

    @property
    def flags(self) -> int:
        return self[24]

    @property
    def traceparent(self) -> str:
        """W3C's header of that name; empty when nothing is traced."""
        if self == NO_TRACE:
            return ""
        return f"00-{self.trace_id.hex()}-{self.span_id.hex()}-{self.flags:02x}"

    @classmethod
    def from_traceparent(cls, text: str) -> TraceContext:
        """Return the context of such a header; NO_TRACE where it is none."""
        match = _TRACEPARENT.fullmatch(text)
        context = cls(bytes.fromhex("".join(match.groups()))) if match else NO_TRACE
        return context if any(context.trace_id) and any(context.span_id) else NO_TRACE

    def child(self, span_id: bytes) -> TraceContext:
        """Return the context of a span beneath this one."""
        return TraceContext(self[:16] + span_id + self[24:])


NO_TRACE = TraceContext(25)
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many values fell into each bucket. `counts` is one longer than `bounds`, which are upper and inclusive."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float


class FrameInfo(NamedTuple):
    """All of a frame but its picture."""

    frame_number: int
    captured_ns: int
    wall_ns: int
    width: int
    height: int
    format: PixelFormat
    clock: Clock = Clock.MONOTONIC
    trace: TraceContext = NO_TRACE
    published_ns: int = 0
    """When capture handed it on, CLOCK_MONOTONIC."""


class Frame(NamedTuple):
    """One picture as the camera gave it. `data` lies in the slot and dies with its loan."""

    info: FrameInfo
    data: memoryview


class Rows:
    """What was found in one picture: `data` holds n rows of ROW_BYTES each, as the mailbox has them.

    A row is float32 x1 y1 x2 y2 in source pixels, float32 score in 0..1, int32 class id: COCO's category ids (person is
    1). Highest score first. The arrays are views of `data`, made when they are asked for.
    """

    __slots__ = ("data",)

    def __init__(self, data: bytes = b"") -> None:
        self.data = data

    @classmethod
    def of(cls, boxes: Floats, scores: Floats, class_ids: Integers) -> Rows:
        """Put together `boxes` (n, 4), `scores` (n,) and `class_ids` (n,)."""
        block = np.empty((len(scores), _COLUMNS), "<f4")
        block[:, :4] = boxes
        block[:, 4] = scores
        block.view("<i4")[:, 5] = class_ids
        return cls(block.tobytes())

    @property
    def boxes(self) -> Floats:
        """Float32 (n, 4)."""
        return self._columns("<f4")[:, :4]

    @property
    def scores(self) -> Floats:
        """Float32 (n,)."""
        return self._columns("<f4")[:, 4]

    @property
    def class_ids(self) -> Integers:
        """Int32 (n,)."""
        return self._columns("<i4")[:, 5]

    def __len__(self) -> int:
        return len(self.data) // ROW_BYTES

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rows) and self.data == other.data

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Rows.of({self.boxes.tolist()}, {self.scores.tolist()}, {self.class_ids.tolist()})"

    def _columns(self, code: str) -> NDArray[Any]:
        return np.frombuffer(self.data, code).reshape(-1, _COLUMNS)


class Detections(NamedTuple):
    """What the model saw in one frame. It is a copy and outlives its slot.

    `infer_ns` is what decoding, pre-processing, the model and post-processing took together. `published_ns` is when
    they were handed on, CLOCK_MONOTONIC. The frame's trace is that of the inference.
    """

    frame: FrameInfo
    rows: Rows
    infer_ns: int = 0
    published_ns: int = 0


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of the sentry's state, and the frame that decided it. `trace` is that of the decision."""

    previous: SentryState
    state: SentryState
    frame_number: int
    captured_ns: int
    wall_ns: int
    confidence: float
    trace: TraceContext = NO_TRACE


@dataclass(frozen=True, slots=True)
class CameraState:
    """What the controller holds true of one camera, for capture (pace), inference (period) and gateway (page).

    `observed_frame` is the newest frame that the sentry has taken into account; a lockstep source waits for it.
    `transitions` are the latest ones, oldest first. `zones` are those that somebody is in: bit 0 is the first of
    the camera's settings. `threshold`, `detecting` and `live_view` are the owner's, and may change while all runs.
    """

    state: SentryState = SentryState.STANDBY
    mode: Mode = Mode.STANDBY
    known: bool = False
    person_count: int = 0
    observed_frame: int = 0
    last_sighting_ns: int = 0
    misses: int = 0
    transitions: tuple[Transition, ...] = ()
    threshold: float = 0.5
    zones: int = 0
    detecting: bool = True
    live_view: bool = True


class Health(IntEnum):
    """How a stage, or a source within it, is doing."""

    STARTING = 0
    RUNNING = 1
    DEGRADED = 2
    ENDED = 3
    FAILED = 4

    @property
    def label(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """One camera as one stage sees it; `reason` is for a person to read, empty while all is well."""

    camera: str
    health: Health
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a stage says of itself once a second. `beat_ns` is CLOCK_MONOTONIC."""

    stage: str
    health: Health
    beat_ns: int
    started_wall_ns: int
    reason: str = ""
    sources: tuple[SourceHealth, ...] = ()
    counters: dict[str, float] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    histograms: dict[str, Histogram] = field(default_factory=dict)

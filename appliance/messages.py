"""What travels between the stages: frames, detections, camera states, heartbeats.

Values only. How they lie in shared memory is `appliance.ipc`'s business; nothing beyond it sees a FlatBuffer.

Times: `captured_ns` is CLOCK_MONOTONIC (the driver's own timestamp where it gives one); in a lockstep replay it is
scene time on the same axis (see `Clock`). `wall_ns` is the same instant in UTC, nanoseconds since 1970.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any


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


@dataclass(frozen=True, slots=True)
class TraceContext:
    """W3C trace context: 16 and 8 bytes, all zero when nothing is traced."""

    trace_id: bytes = bytes(16)
    span_id: bytes = bytes(8)
    flags: int = 0


NO_TRACE = TraceContext()


@dataclass(frozen=True, slots=True)
class FrameInfo:
    """All of a frame but its picture."""

    frame_number: int
    captured_ns: int
    wall_ns: int
    width: int
    height: int
    format: PixelFormat
    clock: Clock = Clock.MONOTONIC
    trace: TraceContext = NO_TRACE


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture as the camera gave it. `data` lies in the slot and dies with its loan."""

    info: FrameInfo
    data: memoryview


@dataclass(frozen=True, slots=True)
class Detections:
    """What the model saw in one frame.

    `boxes` is float32 (n, 4), x1 y1 x2 y2 in source pixels; `scores` float32 (n,), 0..1, highest first; `class_ids`
    int32 (n,), COCO category ids (person is 1). The arrays are copies: a Detections outlives its slot.
    `infer_ns` is what decoding, pre-processing, the model and post-processing took together.
    """

    frame: FrameInfo
    boxes: Any
    scores: Any
    class_ids: Any
    infer_ns: int = 0


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of the sentry's state, and the frame that decided it."""

    previous: SentryState
    state: SentryState
    frame_number: int
    captured_ns: int
    wall_ns: int
    confidence: float


@dataclass(frozen=True, slots=True)
class CameraState:
    """What the controller holds true of one camera, for capture (pace), inference (period) and gateway (page).

    `observed_frame` is the newest frame that the sentry has taken into account; a lockstep source waits for it.
    `transitions` are the latest ones, oldest first.
    """

    state: SentryState = SentryState.STANDBY
    mode: Mode = Mode.STANDBY
    known: bool = False
    person_count: int = 0
    observed_frame: int = 0
    last_sighting_ns: int = 0
    misses: int = 0
    transitions: tuple[Transition, ...] = ()


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

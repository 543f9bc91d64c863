"""The one door between FlatBuffers in slots and the values of `appliance.messages`.

For each channel: a template (a finished buffer at its largest), a writer that patches a slot, a reader that makes the
value. Readers check what they read before they use it; a view into a slot never leaves without its loan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import flatbuffers
import numpy as np

from appliance.ipc.errors import CorruptError
from appliance.ipc.generated import CameraState as fb_state
from appliance.ipc.generated import Detections as fb_detections
from appliance.ipc.generated import Frame as fb_frame
from appliance.ipc.generated.TraceContext import CreateTraceContext
from appliance.ipc.layout import Layout, TableSpec
from appliance.messages import (
    CameraState,
    Clock,
    Detections,
    Frame,
    FrameInfo,
    Mode,
    PixelFormat,
    SentryState,
    TraceContext,
    Transition,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_DETECTIONS = 300
MAX_TRANSITIONS = 16
_DETECTION_BYTES = 24
_TRANSITION = np.dtype(
    {
        "names": ["frame_number", "captured_ns", "wall_ns", "confidence", "previous", "state"],
        "formats": ["<u8", "<u8", "<u8", "<f4", "u1", "u1"],
        "offsets": [0, 8, 16, 24, 28, 29],
        "itemsize": 32,
    }
)
_TRACE_CODE = "25s"  # trace_id, span_id, flags: the struct TraceContext in one piece

# Field ids count the fields in their .fbs file from 0; `sequence` is 0 in every table.
FRAME = TableSpec(
    b"PLF1",
    scalars=((1, "Q"), (2, "Q"), (3, "Q"), (4, "I"), (5, "I"), (6, _TRACE_CODE), (7, "B"), (8, "B")),
    vector=9,
    element_bytes=1,
)
DETECTIONS = TableSpec(
    b"PLD1",
    scalars=((1, "Q"), (2, "Q"), (3, "Q"), (4, "Q"), (5, "I"), (6, "I"), (7, _TRACE_CODE), (8, "B"), (9, "B")),
    vector=10,
    element_bytes=_DETECTION_BYTES,
)
STATE = TableSpec(
    b"PLS1",
    scalars=((1, "Q"), (2, "Q"), (3, "I"), (4, "I"), (5, "B"), (6, "B"), (7, "B")),
    vector=8,
    element_bytes=_TRANSITION.itemsize,
)

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class SlotReader(Protocol[T_co]):
    """Reads one slot. `value` may look into the slot; `let_go` ends every such view, BufferError if one is in use."""

    def value(self, sequence: int) -> T_co: ...

    def let_go(self) -> None: ...


def frame_template(max_bytes: int) -> bytes:
    """Return a finished Frame whose picture has room for `max_bytes`."""
    builder = flatbuffers.Builder(max_bytes + 512)
    builder.ForceDefaults(True)
    data = builder.CreateByteVector(bytes(max_bytes))
    fb_frame.FrameStart(builder)
    fb_frame.FrameAddData(builder, data)
    fb_frame.FrameAddSequence(builder, 0)
    fb_frame.FrameAddFrameNumber(builder, 0)
    fb_frame.FrameAddCapturedNs(builder, 0)
    fb_frame.FrameAddWallNs(builder, 0)
    fb_frame.FrameAddWidth(builder, 0)
    fb_frame.FrameAddHeight(builder, 0)
    fb_frame.FrameAddTrace(builder, CreateTraceContext(builder, bytes(16), bytes(8), 0))
    fb_frame.FrameAddFormat(builder, 0)
    fb_frame.FrameAddClock(builder, 0)
    return _finish(builder, fb_frame.FrameEnd(builder), FRAME)


def detections_template() -> bytes:
    """Return a finished Detections with room for MAX_DETECTIONS rows."""
    builder = flatbuffers.Builder(MAX_DETECTIONS * _DETECTION_BYTES + 512)
    builder.ForceDefaults(True)
    fb_detections.DetectionsStartRowsVector(builder, MAX_DETECTIONS)
    builder.Pad(MAX_DETECTIONS * _DETECTION_BYTES)
    rows = builder.EndVector()
    fb_detections.DetectionsStart(builder)
    fb_detections.DetectionsAddRows(builder, rows)
    fb_detections.DetectionsAddSequence(builder, 0)
    fb_detections.DetectionsAddFrameNumber(builder, 0)
    fb_detections.DetectionsAddCapturedNs(builder, 0)
    fb_detections.DetectionsAddWallNs(builder, 0)
    fb_detections.DetectionsAddInferNs(builder, 0)
    fb_detections.DetectionsAddWidth(builder, 0)
    fb_detections.DetectionsAddHeight(builder, 0)
    fb_detections.DetectionsAddTrace(builder, CreateTraceContext(builder, bytes(16), bytes(8), 0))
    fb_detections.DetectionsAddFormat(builder, 0)
    fb_detections.DetectionsAddClock(builder, 0)
    return _finish(builder, fb_detections.DetectionsEnd(builder), DETECTIONS)


def state_template() -> bytes:
    """Return a finished CameraState with room for MAX_TRANSITIONS."""
    builder = flatbuffers.Builder(MAX_TRANSITIONS * _TRANSITION.itemsize + 512)
    builder.ForceDefaults(True)
    fb_state.CameraStateStartTransitionsVector(builder, MAX_TRANSITIONS)
    builder.Pad(MAX_TRANSITIONS * _TRANSITION.itemsize)
    transitions = builder.EndVector()
    fb_state.CameraStateStart(builder)
    fb_state.CameraStateAddTransitions(builder, transitions)
    fb_state.CameraStateAddSequence(builder, 0)
    fb_state.CameraStateAddObservedFrame(builder, 0)
    fb_state.CameraStateAddLastSightingNs(builder, 0)
    fb_state.CameraStateAddPersonCount(builder, 0)
    fb_state.CameraStateAddMisses(builder, 0)
    fb_state.CameraStateAddState(builder, 0)
    fb_state.CameraStateAddMode(builder, 0)
    fb_state.CameraStateAddKnown(builder, False)
    return _finish(builder, fb_state.CameraStateEnd(builder), STATE)


class SlotWriter(Generic[T]):
    """One slot of a publisher. `slot` and `sequence` are set when it is borrowed."""

    spec: TableSpec

    def __init__(self, buffer: memoryview, source: str) -> None:
        self._buffer = buffer
        self._layout = Layout(buffer, self.spec, source)
        self.sequence = 0
        self.slot = 0

    def let_go(self) -> None:
        """End every view into the slot, so that its file can be unmapped."""


class FrameWriter(SlotWriter[Frame]):
    """`data` is where the picture goes, as long as the slot has room; then `write` says what it is."""

    spec = FRAME

    def __init__(self, buffer: memoryview, source: str) -> None:
        super().__init__(buffer, source)
        start = self._layout.vector_at
        self.data = buffer[start : start + self._layout.capacity]

    def write(self, info: FrameInfo, length: int) -> None:
        """Finish the slot: the picture is `length` bytes of `data`."""
        values = (*_frame_values(info)[:5], _trace_bytes(info), info.format, info.clock)
        self._layout.write(self._buffer, values, length, self.sequence)

    def let_go(self) -> None:
        self.data.release()


class DetectionsWriter(SlotWriter[Detections]):
    spec = DETECTIONS

    def __init__(self, buffer: memoryview, source: str) -> None:
        super().__init__(buffer, source)
        rows = buffer[self._layout.vector_at :][: MAX_DETECTIONS * _DETECTION_BYTES]
        self._floats: Any = np.frombuffer(rows, "<f4").reshape(MAX_DETECTIONS, 6)
        self._ids: Any = np.frombuffer(rows, "<i4").reshape(MAX_DETECTIONS, 6)

    def write(self, detections: Detections) -> None:
        """Finish the slot: boxes, scores and class ids as three strided copies into one block."""
        count = min(len(detections.scores), MAX_DETECTIONS)
        self._floats[:count, :4] = detections.boxes[:count]
        self._floats[:count, 4] = detections.scores[:count]
        self._ids[:count, 5] = detections.class_ids[:count]
        info = detections.frame
        number, captured, wall, width, height = _frame_values(info)
        values = (number, captured, wall, detections.infer_ns, width, height, _trace_bytes(info), info.format, info.clock)
        self._layout.write(self._buffer, values, count, self.sequence)

    def let_go(self) -> None:
        del self._floats, self._ids


class StateWriter(SlotWriter[CameraState]):
    spec = STATE

    def write(self, state: CameraState) -> None:
        """Finish the slot. Written a few times a second at most: the transitions go through a small array."""
        rows = np.array(
            [
                (t.frame_number, t.captured_ns, t.wall_ns, t.confidence, t.previous, t.state)
                for t in state.transitions[-MAX_TRANSITIONS:]
            ],
            _TRANSITION,
        )
        start = self._layout.vector_at
        self._buffer[start : start + rows.nbytes] = rows.tobytes()
        values = (
            state.observed_frame,
            state.last_sighting_ns,
            state.person_count,
            state.misses,
            state.state,
            state.mode,
            state.known,
        )
        self._layout.write(self._buffer, values, len(rows), self.sequence)


class _Reader:
    spec: TableSpec

    def __init__(self, buffer: memoryview, source: str) -> None:
        self._buffer = buffer
        self._layout = Layout(buffer, self.spec, source)
        self._source = source

    def _read(self, sequence: int) -> tuple[int, list[Any]]:
        try:
            found, length, scalars = self._layout.read(self._buffer)
        except CorruptError as error:
            raise CorruptError(f"{self._source}: {error}") from None
        if found != sequence:
            raise CorruptError(f"{self._source}: holds publication {found} where {sequence} was announced")
        return length, scalars

    def sequence(self) -> int:
        return self._layout.sequence(self._buffer)

    def let_go(self) -> None:
        """Nothing to end: the value is a copy."""


class FrameReader(_Reader):
    spec = FRAME
    _view: memoryview | None = None

    def value(self, sequence: int) -> Frame:
        length, (number, captured, wall, width, height, trace, fmt, clock) = self._read(sequence)
        info = _info(self._source, (number, captured, wall, width, height), trace, fmt, clock)
        if info.format is not PixelFormat.JPEG and length != info.format.raw_size(width, height):
            raise CorruptError(f"{self._source}: {length} bytes are no {info.format.name} of {width}x{height}")
        start = self._layout.vector_at
        self._view = self._buffer[start : start + length]
        return Frame(info, self._view)

    def let_go(self) -> None:
        if self._view is not None:
            self._view.release()
            self._view = None


class DetectionsReader(_Reader):
    spec = DETECTIONS

    def value(self, sequence: int) -> Detections:
        length, scalars = self._read(sequence)
        number, captured, wall, infer_ns, width, height, trace, fmt, clock = scalars
        start = self._layout.vector_at
        block = bytes(self._buffer[start : start + length * _DETECTION_BYTES])
        floats = np.frombuffer(block, "<f4").reshape(length, 6)
        ids = np.frombuffer(block, "<i4").reshape(length, 6)
        info = _info(self._source, (number, captured, wall, width, height), trace, fmt, clock)
        return Detections(info, floats[:, :4], floats[:, 4], ids[:, 5], infer_ns)


class StateReader(_Reader):
    spec = STATE

    def value(self, sequence: int) -> CameraState:
        length, (observed, sighting_ns, count, misses, state, mode, known) = self._read(sequence)
        start = self._layout.vector_at
        rows = np.frombuffer(bytes(self._buffer[start : start + length * _TRANSITION.itemsize]), _TRANSITION)
        try:
            transitions = tuple(
                Transition(
                    previous=SentryState(int(row["previous"])),
                    state=SentryState(int(row["state"])),
                    frame_number=int(row["frame_number"]),
                    captured_ns=int(row["captured_ns"]),
                    wall_ns=int(row["wall_ns"]),
                    confidence=float(row["confidence"]),
                )
                for row in rows
            )
            return CameraState(
                SentryState(state), Mode(mode), bool(known), count, observed, sighting_ns, misses, transitions
            )
        except ValueError as error:
            raise CorruptError(f"{self._source}: {error}") from None


def _finish(builder: Any, root: int, spec: TableSpec) -> bytes:
    builder.Finish(root, file_identifier=spec.identifier)
    return bytes(builder.Output())


def _frame_values(info: FrameInfo) -> tuple[int, int, int, int, int]:
    return info.frame_number, info.captured_ns, info.wall_ns, info.width, info.height


def _trace_bytes(info: FrameInfo) -> bytes:
    trace = info.trace
    return trace.trace_id + trace.span_id + bytes((trace.flags,))


def _info(source: str, values: Sequence[int], trace: bytes, fmt: int, clock: int) -> FrameInfo:
    number, captured, wall, width, height = values
    try:
        return FrameInfo(
            number,
            captured,
            wall,
            width,
            height,
            PixelFormat(fmt),
            Clock(clock),
            TraceContext(trace[:16], trace[16:24], trace[24]),
        )
    except ValueError as error:
        raise CorruptError(f"{source}: {error}") from None

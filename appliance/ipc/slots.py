"""The one door between FlatBuffers in slots and the values of `appliance.messages`.

For each channel: a writer that patches a slot, and a reader that makes the value. Readers check what they
read before they use it; a view into a slot never leaves without its loan.
"""

from __future__ import annotations

from pickle import PickleBuffer
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import numpy as np

from appliance.ipc.errors import CorruptError
from appliance.ipc.layout import Layout, TableSpec
from appliance.ipc.templates import (
    DETECTION_BYTES,
    DETECTIONS,
    FRAME,
    MAX_DETECTIONS,
    MAX_TRANSITIONS,
    STATE,
    TRANSITION,
)
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

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class SlotReader(Protocol[T_co]):
    """Reads one slot. `value` may look into the slot; `let_go` ends every such view, BufferError if one is in use."""

    def value(self, sequence: int) -> T_co: ...

    def let_go(self) -> None: ...


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
        rows = buffer[self._layout.vector_at :][: MAX_DETECTIONS * DETECTION_BYTES]
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
        values = (
            number,
            captured,
            wall,
            detections.infer_ns,
            width,
            height,
            _trace_bytes(info),
            info.format,
            info.clock,
        )
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
            TRANSITION,
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
    _picture: memoryview | None = None
    _view: memoryview | None = None

    def value(self, sequence: int) -> Frame:
        length, (number, captured, wall, width, height, trace, fmt, clock) = self._read(sequence)
        info = _info(self._source, (number, captured, wall, width, height), trace, fmt, clock)
        if info.format is not PixelFormat.JPEG and length != info.format.raw_size(width, height):
            raise CorruptError(f"{self._source}: {length} bytes are no {info.format.name} of {width}x{height}")
        start = self._layout.vector_at
        self._picture = self._buffer[start : start + length]
        # Slices and numpy arrays of a memoryview share its claim on the memory, and releasing it does not notice them.
        # This one has a claim of its own, on `_picture`, which therefore cannot be released while any of them lives.
        self._view = memoryview(PickleBuffer(self._picture))
        return Frame(info, self._view)

    def let_go(self) -> None:
        if self._view is not None and self._picture is not None:
            self._view.release()
            self._picture.release()
            self._view = self._picture = None


class DetectionsReader(_Reader):
    spec = DETECTIONS

    def value(self, sequence: int) -> Detections:
        length, scalars = self._read(sequence)
        number, captured, wall, infer_ns, width, height, trace, fmt, clock = scalars
        start = self._layout.vector_at
        block = bytes(self._buffer[start : start + length * DETECTION_BYTES])
        floats = np.frombuffer(block, "<f4").reshape(length, 6)
        ids = np.frombuffer(block, "<i4").reshape(length, 6)
        info = _info(self._source, (number, captured, wall, width, height), trace, fmt, clock)
        return Detections(info, floats[:, :4], floats[:, 4], ids[:, 5], infer_ns)


class StateReader(_Reader):
    spec = STATE

    def value(self, sequence: int) -> CameraState:
        length, (observed, sighting_ns, count, misses, state, mode, known) = self._read(sequence)
        start = self._layout.vector_at
        rows = np.frombuffer(bytes(self._buffer[start : start + length * TRANSITION.itemsize]), TRANSITION)
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

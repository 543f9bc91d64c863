"""The one door between FlatBuffers in slots and the values of `appliance.messages`.

For each channel: a writer that patches a slot, and a reader that makes the value. Readers check what they
read before they use it; a view into a slot never leaves without its loan.
"""

from __future__ import annotations

from pickle import PickleBuffer
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from appliance.ipc.errors import CorruptError
from appliance.ipc.layout import Layout, TableSpec
from appliance.ipc.templates import (
    DETECTIONS,
    FRAME,
    MAX_DETECTIONS,
    MAX_TRANSITIONS,
    STATE,
    TRANSITION,
)
from appliance.messages import (
    ROW_BYTES,
    CameraState,
    Clock,
    Detections,
    Frame,
    FrameInfo,
    Mode,
    PixelFormat,
    Rows,
    SentryState,
    TraceContext,
    Transition,
)

_MOST_ROW_BYTES = MAX_DETECTIONS * ROW_BYTES
_FORMATS = tuple(PixelFormat)
_CLOCKS = tuple(Clock)

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
        self._layout = layout = Layout(buffer, self.spec, source)
        self._pack, self._commit = layout.pack, layout.commit
        self.sequence = 0
        self.slot = 0

    @property
    def is_written(self) -> bool:
        """Whether the slot holds what it was borrowed for."""
        return self._layout.sequence == self.sequence

    def let_go(self) -> None:
        """End every view into the slot, so that its file can be unmapped. BufferError: one is in use elsewhere."""


class FrameWriter(SlotWriter[Frame]):
    """`data` is where the picture goes, as long as the slot has room; then `write` says what it is."""

    spec = FRAME

    def __init__(self, buffer: memoryview, source: str) -> None:
        super().__init__(buffer, source)
        start = self._layout.vector_at
        self.data = buffer[start : start + self._layout.capacity]

    def write(self, info: FrameInfo, length: int) -> None:
        """Finish the slot: the picture is `length` bytes of `data`. ValueError: more than it has."""
        if length > len(self.data):
            raise ValueError(f"{length} bytes do not fit a slot laid out for {len(self.data)}")
        self._pack(*info, length)
        self._commit(self.sequence)

    def let_go(self) -> None:
        self.data.release()


class DetectionsWriter(SlotWriter[Detections]):
    spec = DETECTIONS

    def __init__(self, buffer: memoryview, source: str) -> None:
        super().__init__(buffer, source)
        self._rows = buffer[self._layout.vector_at :]

    def write(self, detections: Detections) -> None:
        """Finish the slot: the rows are copied as one block; of more than there is room for, the first."""
        info, rows, infer_ns, published_ns = detections
        data = rows.data
        length = len(data)
        if length > _MOST_ROW_BYTES:
            data, length = data[:_MOST_ROW_BYTES], _MOST_ROW_BYTES
        self._rows[:length] = data
        self._pack(*info[:-1], infer_ns, published_ns, length // ROW_BYTES)
        self._commit(self.sequence)

    def let_go(self) -> None:
        self._rows.release()


class StateWriter(SlotWriter[CameraState]):
    spec = STATE

    def write(self, state: CameraState) -> None:
        """Finish the slot. Written a few times a second at most: the transitions go through a small array."""
        rows = np.array(
            [
                (t.frame_number, t.captured_ns, t.wall_ns, t.confidence, t.previous, t.state, bytes(t.trace))
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
            state.threshold,
            state.zones,
            state.state,
            state.mode,
            state.known,
            state.detecting,
            state.live_view,
        )
        self._pack(*values, len(rows))
        self._commit(self.sequence)


class _Reader:
    spec: TableSpec

    def __init__(self, buffer: memoryview, source: str) -> None:
        self._buffer = buffer
        self._layout = Layout(buffer, self.spec, source)
        self._source = source

    def _read(self, sequence: int) -> tuple[Any, ...]:
        """Return sequence, scalars in their order, the vector's length."""
        try:
            values = self._layout.read()
        except CorruptError as error:
            raise CorruptError(f"{self._source}: {error}") from None
        if values[0] != sequence:
            raise CorruptError(f"{self._source}: holds publication {values[0]} where {sequence} was announced")
        return values

    def sequence(self) -> int:
        return self._layout.sequence

    def let_go(self) -> None:
        """Nothing to end: the value is a copy."""


class FrameReader(_Reader):
    spec = FRAME
    _picture: memoryview | None = None
    _view: memoryview | None = None

    def value(self, sequence: int) -> Frame:
        values = self._read(sequence)
        length = values[-1]
        info = _info(self._source, values, values[-2])
        if info.format is not PixelFormat.JPEG and length != info.format.raw_size(info.width, info.height):
            raise CorruptError(
                f"{self._source}: {length} bytes are no {info.format.name} of {info.width}x{info.height}"
            )
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
        values = self._read(sequence)
        *_, infer_ns, published_ns, length = values
        start = self._layout.vector_at
        rows = Rows(bytes(self._buffer[start : start + length * ROW_BYTES]))
        return Detections(_info(self._source, values), rows, infer_ns, published_ns)


class StateReader(_Reader):
    spec = STATE

    def value(self, sequence: int) -> CameraState:
        _, observed, sighting_ns, count, misses, threshold, zones, *choices, length = self._read(sequence)
        state, mode, known, detecting, live_view = choices
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
                    trace=TraceContext(row["trace"].tobytes()),
                )
                for row in rows
            )
            return CameraState(
                state=SentryState(state),
                mode=Mode(mode),
                known=bool(known),
                person_count=count,
                observed_frame=observed,
                last_sighting_ns=sighting_ns,
                misses=misses,
                transitions=transitions,
                threshold=threshold,
                zones=zones,
                detecting=bool(detecting),
                live_view=bool(live_view),
            )
        except ValueError as error:
            raise CorruptError(f"{self._source}: {error}") from None


def _info(source: str, values: tuple[Any, ...], published_ns: int = 0) -> FrameInfo:
    """Return the frame that a slot is of; its fields follow the sequence."""
    _, number, captured, wall, width, height, fmt, clock, trace, *_ = values
    try:
        context = TraceContext(trace)
        return FrameInfo(number, captured, wall, width, height, _FORMATS[fmt], _CLOCKS[clock], context, published_ns)
    except IndexError:
        raise CorruptError(f"{source}: no pixel format {fmt}, or no clock {clock}, is known") from None

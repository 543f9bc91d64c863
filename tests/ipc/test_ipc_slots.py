"""What is patched into a slot is read alike by us and by the official accessors; what is no slot is refused by name."""

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.ipc import slots, templates
from appliance.ipc.errors import CorruptError
from appliance.ipc.generated.CameraState import CameraState as FbCameraState
from appliance.ipc.generated.Detections import Detections as FbDetections
from appliance.ipc.generated.Frame import Frame as FbFrame
from appliance.ipc.layout import Layout
from appliance.messages import (
    CameraState,
    Detections,
    FrameInfo,
    PixelFormat,
    Rows,
    SentryState,
    TraceContext,
    Transition,
)
from tests.ipc.portraits import trace_of
from tests.ipc.values import MAX_PICTURE, SEQUENCES, STATES, detections, infos, pictures

HERE = "/run/folder/frames/porch slot 3"

FRAME = bytearray(templates.frame_template(MAX_PICTURE))
DETECTIONS = bytearray(templates.detections_template())
STATE = bytearray(templates.state_template())
"""One slot of each kind for all examples: whatever one leaves behind must not show in the next."""

FRAME_WRITER = slots.FrameWriter(memoryview(FRAME), HERE)
DETECTIONS_WRITER = slots.DetectionsWriter(memoryview(DETECTIONS), HERE)
STATE_WRITER = slots.StateWriter(memoryview(STATE), HERE)

Reader = slots.FrameReader | slots.DetectionsReader | slots.StateReader
KINDS = pytest.mark.parametrize(
    ("make_reader", "template"),
    [
        (slots.FrameReader, templates.frame_template(MAX_PICTURE)),
        (slots.DetectionsReader, templates.detections_template()),
        (slots.StateReader, templates.state_template()),
    ],
)


def write_frame(info: FrameInfo, data: bytes, sequence: int) -> None:
    FRAME_WRITER.sequence = sequence
    FRAME_WRITER.data[: len(data)] = data
    FRAME_WRITER.write(info, len(data))


def write_detections(value: Detections, sequence: int) -> None:
    DETECTIONS_WRITER.sequence = sequence
    DETECTIONS_WRITER.write(value)


def write_state(value: CameraState, sequence: int) -> None:
    STATE_WRITER.sequence = sequence
    STATE_WRITER.write(value)


def read_back(value: Detections, sequence: int) -> Detections:
    write_detections(value, sequence)
    return slots.DetectionsReader(memoryview(DETECTIONS), HERE).value(sequence)


def official_info(table: Any) -> tuple[object, ...]:
    trace = table.Trace()
    return (
        table.FrameNumber(),
        table.CapturedNs(),
        table.WallNs(),
        table.Width(),
        table.Height(),
        table.Format(),
        table.Clock(),
        bytes(trace.TraceId()),
        bytes(trace.SpanId()),
        trace.Flags(),
    )


def our_info(info: FrameInfo) -> tuple[object, ...]:
    return (
        info.frame_number,
        info.captured_ns,
        info.wall_ns,
        info.width,
        info.height,
        info.format,
        info.clock,
        info.trace.trace_id,
        info.trace.span_id,
        info.trace.flags,
    )


@given(pictures(), SEQUENCES)
def test_a_frame_is_read_as_it_was_written_by_us_and_by_the_official_accessors(
    picture: tuple[FrameInfo, bytes], sequence: int
) -> None:
    info, data = picture
    write_frame(info, data, sequence)

    ours = slots.FrameReader(memoryview(FRAME), HERE).value(sequence)
    assert (ours.info, bytes(ours.data)) == (info, data)

    assert FbFrame.FrameBufferHasIdentifier(FRAME, 0)
    official = FbFrame.GetRootAs(FRAME, 0)
    assert official.Sequence() == sequence
    assert official_info(official) == our_info(info)
    assert official.DataLength() == len(data)
    assert official.DataAsNumpy().tobytes() == data


@given(detections(), SEQUENCES)
def test_detections_are_read_as_they_were_written_by_us_and_by_the_official_accessors(
    value: Detections, sequence: int
) -> None:
    ours = read_back(value, sequence)
    assert ours == value

    assert FbDetections.DetectionsBufferHasIdentifier(DETECTIONS, 0)
    official = FbDetections.GetRootAs(DETECTIONS, 0)
    assert official.Sequence() == sequence
    assert official_info(official) == our_info(value.frame)
    assert official.InferNs() == value.infer_ns
    rows = value.rows
    assert official.RowsLength() == len(rows)
    for i in {0, len(rows) // 2, len(rows) - 1} if len(rows) else ():
        row = official.Rows(i)
        assert [row.X1(), row.Y1(), row.X2(), row.Y2()] == rows.boxes[i].tolist()
        assert (row.Score(), row.ClassId()) == (rows.scores[i], rows.class_ids[i])


@given(STATES, SEQUENCES)
def test_a_state_is_read_as_it_was_written_by_us_and_by_the_official_accessors(
    value: CameraState, sequence: int
) -> None:
    write_state(value, sequence)

    assert slots.StateReader(memoryview(STATE), HERE).value(sequence) == value

    assert FbCameraState.CameraStateBufferHasIdentifier(STATE, 0)
    official = FbCameraState.GetRootAs(STATE, 0)
    assert official.Sequence() == sequence
    assert (official.ObservedFrame(), official.LastSightingNs()) == (value.observed_frame, value.last_sighting_ns)
    assert (official.PersonCount(), official.Misses()) == (value.person_count, value.misses)
    assert (official.State(), official.Mode(), official.Known()) == (value.state, value.mode, value.known)
    rows = [official.Transitions(i) for i in range(official.TransitionsLength())]
    assert value.transitions == tuple(
        Transition(
            r.Previous(),
            r.State(),
            r.FrameNumber(),
            r.CapturedNs(),
            r.WallNs(),
            r.Confidence(),
            TraceContext.of(bytes(t.TraceId()), bytes(t.SpanId()), t.Flags()),
        )
        for r, t in ((row, trace_of(row)) for row in rows)
    )


@pytest.mark.parametrize("count", [0, 1, 2, 150, 299, 300])
def test_detections_of_any_number_of_rows_lie_in_one_block(count: int) -> None:
    value = some_detections(count)
    ours = read_back(value, 7)
    assert ours == value
    assert ours.rows.boxes.shape == (count, 4)
    assert ours.rows.class_ids.tolist() == list(range(count))
    official = FbDetections.GetRootAs(DETECTIONS, 0)
    assert [official.Rows(i).ClassId() for i in range(official.RowsLength())] == list(range(count))


def some_detections(count: int) -> Detections:
    rows = Rows.of(
        np.arange(count * 4, dtype=np.float32).reshape(count, 4),
        np.linspace(1, 0, count, dtype=np.float32),
        np.arange(count, dtype=np.int32),
    )
    return Detections(FrameInfo(1, 2, 3, 640, 480, PixelFormat.JPEG), rows)


def test_of_more_than_three_hundred_rows_the_first_are_kept() -> None:
    ours = read_back(some_detections(301), 8)
    assert ours.rows.class_ids.tolist() == list(range(300))


def test_of_more_than_sixteen_transitions_the_latest_are_kept() -> None:
    changes = [Transition(SentryState.STANDBY, SentryState.VALIDATION, i, i, i, 0.5) for i in range(20)]
    write_state(CameraState(transitions=tuple(changes)), 9)
    assert slots.StateReader(memoryview(STATE), HERE).value(9).transitions == tuple(changes[4:])


def test_detections_outlive_their_slot() -> None:
    kept = read_back(some_detections(3), 10)
    read_back(some_detections(0), 11)
    write_detections(Detections(kept.frame, Rows(bytes(len(kept.rows.data)))), 12)
    assert kept == some_detections(3)


def test_a_picture_that_has_no_room_is_refused_before_anything_is_written() -> None:
    info = FrameInfo(1, 2, 3, 4, 5, PixelFormat.JPEG)
    write_frame(info, b"before", 13)
    FRAME_WRITER.sequence = 14
    with pytest.raises(ValueError, match="do not fit"):
        FRAME_WRITER.write(info, len(FRAME_WRITER.data) + 1)
    assert bytes(slots.FrameReader(memoryview(FRAME), HERE).value(13).data) == b"before"


@given(infos(st.sampled_from([f for f in PixelFormat if f is not PixelFormat.JPEG]), st.integers(1, 20)))
def test_a_raw_picture_that_is_not_of_its_size_is_refused(info: FrameInfo) -> None:
    size = info.format.raw_size(info.width, info.height)
    for wrong in (size - 1, size + 1):
        write_frame(info, bytes(wrong), 15)
        with pytest.raises(CorruptError, match=f"^{HERE}: {wrong} bytes are no {info.format.name}"):
            slots.FrameReader(memoryview(FRAME), HERE).value(15)


@KINDS
def test_a_slot_holds_only_what_was_announced(make_reader: Callable[..., Reader], template: bytes) -> None:
    with pytest.raises(CorruptError, match=f"^{HERE}: holds publication 0 where 3 was announced"):
        make_reader(memoryview(template), HERE).value(3)


@KINDS
def test_a_vector_may_be_as_long_as_it_was_laid_out_and_no_longer(
    make_reader: Callable[..., Reader], template: bytes
) -> None:
    layout = Layout(memoryview(template), make_reader.spec, HERE)  # type: ignore[attr-defined]
    length_at = layout.vector_at - 4
    for claimed in (layout.capacity + 1, 2**31, 2**32 - 1):
        corrupted = bytearray(template)
        struct.pack_into("<I", corrupted, length_at, claimed)
        with pytest.raises(CorruptError, match=f"^{HERE}: a vector claims {claimed} elements"):
            make_reader(memoryview(corrupted), HERE).value(0)
    whole = bytearray(template)
    struct.pack_into("<I", whole, length_at, layout.capacity)
    make_reader(memoryview(whole), HERE).value(0)


@KINDS
def test_another_schema_is_refused_naming_both(make_reader: Callable[..., Reader], template: bytes) -> None:
    other = bytearray(template)
    other[7:8] = b"9"
    with pytest.raises(CorruptError) as caught:
        make_reader(memoryview(other), HERE)
    assert HERE in str(caught.value)
    assert str(bytes(other[4:8])) in str(caught.value)
    assert str(bytes(template[4:8])) in str(caught.value)


def lie_about_the_root(data: bytearray, _table: int, _vtable: int) -> str:
    struct.pack_into("<I", data, 0, 2**32 - 1)
    return "points outside"


def lie_about_the_vtable(data: bytearray, table: int, _vtable: int) -> str:
    struct.pack_into("<i", data, table, table + 1)
    return "vtable lies outside"


def lie_about_the_vtables_size(data: bytearray, table: int, _vtable: int) -> str:
    struct.pack_into("<i", data, table, table - (len(data) - 4))
    struct.pack_into("<H", data, len(data) - 4, 2**16 - 1)
    return "vtable ends outside"


def leave_a_field_out(data: bytearray, _table: int, vtable: int) -> str:
    struct.pack_into("<H", data, vtable + 6, 0)
    return "field 1 has no place"


def lie_about_a_field(data: bytearray, _table: int, vtable: int) -> str:
    struct.pack_into("<H", data, vtable + 6, 2**16 - 1)
    return "field 1 lies outside"


def lay_one_field_over_another(data: bytearray, _table: int, vtable: int) -> str:
    data[vtable + 8 : vtable + 10] = data[vtable + 6 : vtable + 8]
    return "not in its order"


def lie_about_the_vector(data: bytearray, table: int, vtable: int) -> str:
    specs = (templates.FRAME, templates.DETECTIONS, templates.STATE)
    (vector,) = (spec.vector for spec in specs if spec.identifier == bytes(data[4:8]))
    struct.pack_into("<I", data, table + struct.unpack_from("<H", data, vtable + 4 + 2 * vector)[0], 400)
    return "its vector does not follow"


@KINDS
@pytest.mark.parametrize(
    "lie",
    [
        lie_about_the_root,
        lie_about_the_vtable,
        lie_about_the_vtables_size,
        leave_a_field_out,
        lie_about_a_field,
        lay_one_field_over_another,
        lie_about_the_vector,
    ],
)
def test_a_slot_that_lies_about_where_things_are_is_refused(
    make_reader: Callable[..., Reader], template: bytes, lie: Callable[[bytearray, int, int], str]
) -> None:
    table = struct.unpack_from("<I", template)[0]
    vtable = table - struct.unpack_from("<i", template, table)[0]
    lying = bytearray(template)
    fault = lie(lying, table, vtable)
    with pytest.raises(CorruptError, match=f"^{HERE}: .*{fault}"):
        make_reader(memoryview(lying), HERE)


@KINDS
@given(length=st.integers(0, 9000))
def test_a_slot_cut_off_anywhere_is_refused_or_read_within_its_bounds(
    make_reader: Callable[..., Reader], template: bytes, length: int
) -> None:
    read_or_refuse(make_reader, template[:length])


@KINDS
@given(st.binary(max_size=300))
def test_random_bytes_are_refused_by_name(make_reader: Callable[..., Reader], template: bytes, junk: bytes) -> None:
    with pytest.raises(CorruptError, match=f"^{HERE}: "):
        make_reader(memoryview(junk[:4] + b"XXXX" + junk[4:]), HERE)
    read_or_refuse(make_reader, junk[:4] + template[4:8] + junk[4:])


@KINDS
@given(patches=st.lists(st.tuples(st.integers(0, 160), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4))
@settings(max_examples=300)
def test_a_slot_with_wrong_bytes_is_refused_or_read_but_nothing_else_happens(
    make_reader: Callable[..., Reader], template: bytes, patches: list[tuple[int, bytes]]
) -> None:
    corrupted = bytearray(template)
    for at, wrong in patches:
        corrupted[at : at + len(wrong)] = wrong
    read_or_refuse(make_reader, bytes(corrupted))


def read_or_refuse(make_reader: Callable[..., Reader], data: bytes) -> None:
    """Any exception but a CorruptError with the slot's name fails the test."""
    try:
        reader = make_reader(memoryview(data), HERE)
        reader.value(reader.sequence())
    except CorruptError as error:
        assert str(error).startswith(f"{HERE}: ")  # noqa: PT017 -- it may also be well

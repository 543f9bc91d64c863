"""The WebSocket message: the ancestor's bytes, fields and types; what is added changes none of them."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.gateway.wire import Packet, unpack
from appliance.messages import CameraState, Clock, FrameInfo, Mode, PixelFormat, Rows, SentryState
from tests.gateway.conftest import MS, a_frame, found_in

NS = st.integers(0, 2**63 - 1)
SIDES = st.integers(1, 2**16)
FRAMES = st.builds(
    FrameInfo, st.integers(0, 2**64 - 1), NS, NS, SIDES, SIDES, st.sampled_from(PixelFormat), st.sampled_from(Clock)
)
COORDINATES = st.floats(-1000, 10000, width=32)
ROWS = st.lists(
    st.tuples(st.tuples(*[COORDINATES] * 4), st.floats(0, 1, width=32), st.integers(1, 90)), min_size=1, max_size=20
)
STATES = st.builds(CameraState, st.sampled_from(SentryState), st.sampled_from(Mode), st.booleans())


def received(packet: Packet) -> dict[str, Any]:
    return unpack(packet.message())[0]


@given(FRAMES, st.binary(max_size=200), st.none() | ROWS, st.none() | STATES, NS)
def test_a_message_arrives_as_it_was_sent(frame: FrameInfo, jpeg: bytes, rows: Any, state: Any, sent_ns: int) -> None:
    found = None if rows is None else found_in(frame, *rows)
    packet = Packet("porch", frame, jpeg, found, state, sent_ns)
    metadata, picture = unpack(packet.message())
    assert picture == jpeg
    assert metadata == packet.metadata()


@given(FRAMES, st.none() | ROWS)
def test_the_ancestors_fields_are_there_with_its_types(frame: FrameInfo, rows: Any) -> None:
    found = None if rows is None else found_in(frame, *rows)
    message = received(Packet("porch", frame, b"", found, None))
    assert message["frame_number"] == frame.frame_number
    assert message["timestamp_ns"] == frame.wall_ns
    assert (message["width"], message["height"]) == (frame.width, frame.height)
    assert message["status"] == ("frame_only" if rows is None else "complete")
    for field in ("frame_number", "timestamp_ns", "width", "height"):
        assert isinstance(message[field], int)
    for row, (box, score, class_id) in zip(message["detections"] or (), rows or (), strict=True):
        assert [row["x1"], row["y1"], row["x2"], row["y2"]] == pytest.approx(box, abs=0.051)
        assert row["confidence"] == pytest.approx(score, abs=1e-4)
        assert row["class_id"] == class_id - 1
        assert {type(row[key]) for key in ("x1", "y1", "x2", "y2", "confidence")} == {float}
        assert set(row) == {"x1", "y1", "x2", "y2", "confidence", "class_id"}


def test_the_bytes_are_the_ancestors() -> None:
    message = Packet("porch", a_frame(7), b"\xff\xd8picture\xff\xd9", None, None).message()
    (length,) = struct.unpack("<I", message[:4])
    assert json.loads(message[4 : 4 + length])["frame_number"] == 7
    assert message[4 + length :] == b"\xff\xd8picture\xff\xd9"


def test_a_person_is_class_0_and_a_dog_17() -> None:
    found = found_in(a_frame(1), ((0, 0, 1, 1), 0.9, 1), ((0, 0, 1, 1), 0.8, 18))
    message = received(Packet("porch", a_frame(1), b"", found, None))
    assert [row["class_id"] for row in message["detections"]] == [0, 17]


def test_nobody_seen_is_an_empty_list_and_not_looked_yet_is_none() -> None:
    nobody = found_in(a_frame(1))._replace(rows=Rows())
    looked = received(Packet("porch", a_frame(1), b"", nobody, None))
    assert (looked["detections"], looked["status"]) == ([], "complete")
    unlooked = received(Packet("porch", a_frame(1), b"", None, None))
    assert (unlooked["detections"], unlooked["status"]) == (None, "frame_only")


def test_what_is_added_says_whose_picture_it_is_and_what_is_known() -> None:
    state = CameraState(SentryState.TRACKING, Mode.ALARMED, known=True)
    message = received(Packet("porch", a_frame(8), b"", found_in(a_frame(7)), state))
    assert message["camera"] == "porch"
    assert message["detections_frame_number"] == 7
    assert (message["known"], message["state"], message["mode"]) == (True, "tracking", "alarmed")


def test_without_a_controller_nothing_is_known() -> None:
    message = received(Packet("porch", a_frame(1), b"", None, None))
    assert (message["known"], message["state"], message["mode"]) == (False, None, None)
    unknown = received(Packet("porch", a_frame(1), b"", None, CameraState(known=False)))
    assert (unknown["known"], unknown["state"]) == (False, "standby")


def test_a_notice_says_that_the_live_view_is_off_and_a_picture_that_it_is_on() -> None:
    notice = received(Packet("porch", a_frame(1), b"", None, None, is_notice=True))
    assert (notice["live_view"], notice["detections"], notice["status"]) == (False, None, "frame_only")
    assert received(Packet("porch", a_frame(1), b"", None, None))["live_view"] is True


def test_whether_anything_is_looked_for_is_the_owners_word() -> None:
    off = received(Packet("porch", a_frame(1), b"", None, CameraState(detecting=False)))
    on = received(Packet("porch", a_frame(1), b"", None, CameraState()))
    unheard = received(Packet("porch", a_frame(1), b"", None, None))
    assert (off["detecting"], on["detecting"], unheard["detecting"]) == (False, True, True)


def test_the_age_is_from_capture_to_sending_and_a_replay_has_none() -> None:
    live = FrameInfo(1, 1000 * MS, 0, 64, 48, PixelFormat.JPEG)
    replay = FrameInfo(1, 1000 * MS, 0, 64, 48, PixelFormat.JPEG, Clock.SCENE)
    assert received(Packet("porch", live, b"", None, None, sent_ns=1042 * MS + 560_000))["age_ms"] == 42.6
    assert received(Packet("porch", replay, b"", None, None, sent_ns=1042 * MS))["age_ms"] is None


@given(st.binary(max_size=64))
def test_anything_else_is_no_message(data: bytes) -> None:
    try:
        metadata, _ = unpack(data)
    except ValueError:
        return
    assert isinstance(metadata, dict)


@pytest.mark.parametrize(
    "data",
    [b"", b"\1\0\0", b"\1\0\0\0", b"\xff\xff\xff\xff{}", b"\2\0\0\0{", b"\2\0\0\0[]", b"\1\0\0\0\xff", b"\0\0\0\0"],
)
def test_what_is_no_message_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        unpack(data)

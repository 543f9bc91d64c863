"""An MJPEG stream's bytes to its JPEGs: whatever a camera writes around them, and however the network cuts it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import cv2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.capture.http_mjpeg.splitter import Splitter
from tests.capture.clips import grey, jpeg, noise

PICTURES = [jpeg(noise(seed, 32, 24)) for seed in range(3)]
ROOM = 4_000
"""max_jpeg_bytes: each of the pictures takes half of it."""


def split(stream: bytes, size: int | None = None, room: int = ROOM) -> tuple[list[bytes], Splitter]:
    """Return the pictures of a stream that comes in pieces of `size` bytes, and what found them."""
    splitter = Splitter(room)
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)] if size else [stream]
    return [
        bytes(found.data) for number, piece in enumerate(pieces) for found in splitter.feed(piece, number)
    ], splitter


def framed(pictures: list[bytes], before: bytes, after: bytes = b"\r\n") -> bytes:
    return b"".join(before.replace(b"LENGTH", b"%d" % len(one)) + one + after for one in pictures)


def with_segment(picture: bytes, marker: int, content: bytes) -> bytes:
    """Put a segment right behind the picture's start."""
    return picture[:2] + bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content + picture[2:]


def encoded(*options: int) -> bytes:
    done, data = cv2.imencode(".jpg", noise(9), options)
    assert done
    return data.tobytes()


FRAMINGS = {
    "as it should be": b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: LENGTH\r\n\r\n",
    "without a length": b"--frame\r\nContent-Type: image/jpeg\r\n\r\n",
    "with a length that is too small": b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: 7\r\n\r\n",
    "with a length that is too large": b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: 99999999\r\n\r\n",
    "with a length that is no number": b"--frame\r\nContent-Length: about 5 kB\r\n\r\n",
    "with line feeds only": b"--frame\nContent-Type: image/jpeg\n\n",
    "with another boundary than announced": b"----=_Part_17\r\nContent-Type: image/jpeg\r\n\r\n",
    "with headers that nobody knows": b"--frame\r\nX-Timestamp: 12.5\r\n" + b"X-Pad: " + b"x" * 3000 + b"\r\n\r\n",
    "with garbage": bytes(range(255)) * 4 + b"\r\n--frame\r\n\r\n",
    "with half a start": b"\xff\xd8\r\n--frame\r\n\r\n\xff",
    "bare": b"",
}


@pytest.mark.parametrize("before", FRAMINGS.values(), ids=list(FRAMINGS))
@pytest.mark.parametrize("size", [None, 1, 2, 7, 1000])
def test_pictures_come_out_as_they_went_in(before: bytes, size: int | None) -> None:
    pictures, splitter = split(b"HTTP camera 1.0\r\n\r\n" + framed(PICTURES, before), size)
    assert pictures == PICTURES
    assert (splitter.broken, splitter.oversized) == (0, 0)


def test_a_picture_is_there_with_its_last_byte_and_not_only_with_the_next_boundary() -> None:
    splitter = Splitter(ROOM)
    assert splitter.feed(PICTURES[0][:-1], 1) == []
    assert splitter.is_within_picture
    assert [found.data for found in splitter.feed(PICTURES[0][-1:], 2)] == [PICTURES[0]]
    assert not splitter.is_within_picture


def test_a_pictures_time_is_that_of_its_beginning_and_not_that_of_the_boundary_before_it() -> None:
    splitter = Splitter(ROOM)
    for at, piece in enumerate((b"--frame\r\n\r\n", PICTURES[0][:50], PICTURES[0][50:-1])):
        assert splitter.feed(piece, at) == []
    ((_, first),) = splitter.feed(PICTURES[0][-1:] + b"\r\n--frame\r\n\r\n", 3)
    ((_, second),) = splitter.feed(PICTURES[1], 4)
    assert (first, second) == (1, 4)


def test_a_thumbnail_stays_in_its_picture() -> None:
    picture = with_segment(PICTURES[0], 0xE1, b"Exif\0\0" + jpeg(grey(9, 8, 8)))
    assert split(picture * 2)[0] == [picture] * 2


@pytest.mark.parametrize("option", [cv2.IMWRITE_JPEG_PROGRESSIVE, cv2.IMWRITE_JPEG_RST_INTERVAL])
def test_scans_and_restarts_do_not_end_a_picture(option: int) -> None:
    picture = encoded(option, 1)
    assert split(picture * 2, room=len(picture))[0] == [picture] * 2


def test_filling_between_segments_belongs_to_the_picture() -> None:
    picture = PICTURES[0][:2] + b"\xff\xff\xff" + PICTURES[0][2:]
    assert split(picture)[0] == [picture]


def without_start(picture: bytes) -> bytes:
    return picture[2:]


def without_end(picture: bytes) -> bytes:
    return picture[:-2]


def cut_in_its_scan(picture: bytes) -> bytes:
    return picture[: len(picture) - 100]


def cut_in_its_tables(picture: bytes) -> bytes:
    return picture[:100]


def with_a_length_that_lies(picture: bytes) -> bytes:
    return with_segment(picture, 0xFE, b"")[:4] + b"\x09\x00" + picture[2:]


def with_a_length_beyond_all_bounds(picture: bytes) -> bytes:
    return with_segment(picture, 0xDA, b"")[:4] + b"\xff\xff" + picture[2:]


def with_a_thumbnail_and_then_a_lie(picture: bytes) -> bytes:
    return with_segment(with_a_length_that_lies(picture), 0xE1, jpeg(grey(9, 8, 8)))


def with_a_length_of_nothing(picture: bytes) -> bytes:
    return with_segment(picture, 0xFE, b"")[:4] + b"\x00\x00" + picture[2:]


def with_noise_between_segments(picture: bytes) -> bytes:
    return picture[:2] + b"\xff\xfe\x00\x04abcdef" + picture[2:]


def nothing_but_start_and_end(picture: bytes) -> bytes:
    return b"\xff\xd8\xff\xd9"


@pytest.mark.parametrize(
    "spoil",
    [
        without_start,
        without_end,
        cut_in_its_scan,
        cut_in_its_tables,
        with_a_length_that_lies,
        with_a_length_beyond_all_bounds,
        with_a_thumbnail_and_then_a_lie,
        with_a_length_of_nothing,
        with_noise_between_segments,
        nothing_but_start_and_end,
    ],
)
@pytest.mark.parametrize("size", [None, 1, 64])
def test_a_broken_picture_is_passed_over_and_counted_and_the_next_one_is_whole(spoil: Any, size: int | None) -> None:
    stream = framed([PICTURES[0], spoil(PICTURES[1]), PICTURES[2]], FRAMINGS["as it should be"])
    pictures, splitter = split(stream, size)
    assert pictures == [PICTURES[0], PICTURES[2]]
    assert (splitter.broken, splitter.oversized) == (1, 0)


@pytest.mark.parametrize("size", [None, 1, 64])
def test_a_picture_as_large_as_allowed_passes_and_one_byte_more_does_not(size: int | None) -> None:
    room = max(len(one) for one in PICTURES) + 500
    fits = with_segment(PICTURES[0], 0xFE, bytes(room - len(PICTURES[0]) - 4))
    large = with_segment(PICTURES[1], 0xFE, bytes(room - len(PICTURES[1]) - 3))
    assert (len(fits), len(large)) == (room, room + 1)
    pictures, splitter = split(framed([fits, large, PICTURES[2]], b"--frame\r\n\r\n"), size, room)
    assert pictures == [fits, PICTURES[2]]
    assert (splitter.broken, splitter.oversized) == (0, 1)


def test_nothing_is_found_within_a_picture_that_is_too_large() -> None:
    thumbnail = jpeg(grey(9, 8, 8))
    large = with_segment(encoded(cv2.IMWRITE_JPEG_QUALITY, 100), 0xE1, thumbnail)
    pictures, splitter = split(large + PICTURES[0], 100, room=len(large) - 1)
    assert pictures == [PICTURES[0]]
    assert splitter.oversized == 1


@pytest.mark.parametrize("size", [None, 100])
def test_a_picture_without_an_end_is_left_at_the_next_ones_start(size: int | None) -> None:
    endless = PICTURES[0][:-2] + bytes(5 * ROOM)
    pictures, splitter = split(framed([endless, PICTURES[1]], FRAMINGS["as it should be"]), size)
    assert pictures == [PICTURES[1]]
    assert (splitter.broken, splitter.oversized) == (0, 1)


STARTS = [
    b"\xff\xd8\xff\xda\x00\x02" + bytes(3000),
    b"\xff\xd8\xff\xda\xff\xff" + bytes(3000),
    b"\xff\xd8\xff\xe0\xff\xff" + bytes(3000),
    b"\xff\xd8\xff\xe0\x0f\x00" + bytes(3000),
]
"""Of pictures that have no end, by lengths that are right, too long to be, and too long."""


def streams() -> st.SearchStrategy[bytes]:
    """Whole pictures, pieces of pictures, boundaries, and what looks like any of them."""
    markers = st.sampled_from([0x00, 0x01, 0xC0, 0xD0, 0xD8, 0xD9, 0xDA, 0xE1, 0xFE, 0xFF])
    pictures = st.sampled_from([*PICTURES, encoded(cv2.IMWRITE_JPEG_PROGRESSIVE, 1)])
    pieces = st.one_of(
        pictures,
        st.builds(
            lambda picture, a, b: picture[min(a, b) : max(a, b)], pictures, st.integers(0, 2500), st.integers(0, 2500)
        ),
        st.builds(flipped, pictures, st.integers(0, 999), st.integers(1, 255)),
        st.lists(markers, max_size=6).map(lambda codes: b"".join(bytes([0xFF, code]) for code in codes)),
        st.sampled_from([*FRAMINGS.values(), *STARTS, b"\xff" * 5000]),
        st.binary(max_size=50),
    )
    return st.lists(pieces, max_size=8).map(b"".join)


def flipped(picture: bytes, at: int, bits: int) -> bytes:
    at %= len(picture)
    return picture[:at] + bytes([picture[at] ^ bits]) + picture[at + 1 :]


@given(streams(), st.lists(st.integers(0, 1 << 20), max_size=12))
def test_any_cutting_of_any_stream_gives_the_same_pictures_and_counts_in_bounded_memory(
    stream: bytes, cuts: list[int]
) -> None:
    whole, reference = split(stream)
    splitter = Splitter(ROOM)
    found = []
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    for at, (begin, end) in enumerate(pairwise(places)):
        found += splitter.feed(stream[begin:end], at)
        assert len(splitter._held) <= ROOM + 4 + end - begin
    assert [bytes(one.data) for one in found] == whole
    assert (splitter.broken, splitter.oversized) == (reference.broken, reference.oversized)
    assert all(len(picture) <= ROOM for picture in whole)
    assert all(earlier.arrived_ns <= later.arrived_ns for earlier, later in pairwise(found))


@given(st.lists(st.tuples(st.sampled_from(list(FRAMINGS.values())), st.sampled_from(PICTURES))), st.integers(1, 5000))
def test_whole_pictures_are_never_lost_however_they_are_framed_and_cut(
    parts: list[tuple[bytes, bytes]], size: int
) -> None:
    pictures, splitter = split(b"".join(before + picture + b"\r\n" for before, picture in parts), size)
    assert pictures == [picture for _, picture in parts]
    assert splitter.broken == 0

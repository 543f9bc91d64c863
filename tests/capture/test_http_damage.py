"""http:// -- broken, oversized and endless pictures: skipped and counted, or given up, in bounded memory."""

from __future__ import annotations

import tracemalloc

import pytest

from tests.capture.clips import jpeg, noise
from tests.capture.odd_camera import MULTIPART, ROOM, Call, part, serving, streaming, until, viewing, watching

PICTURES = [jpeg(noise(seed)) for seed in range(3)]


def claiming(picture: bytes, width: int, height: int) -> bytes:
    """Put another size into a picture's header."""
    at = picture.index(b"\xff\xc0") + 5
    return picture[:at] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + picture[at + 4 :]


@pytest.mark.parametrize(
    "bad",
    [
        PICTURES[1][2:],
        PICTURES[1][:-2],
        PICTURES[1][:300],
        claiming(PICTURES[1], 20_000, 20_000),
        claiming(PICTURES[1], 0, 0),
        b"\xff\xd8\xff\xda\x00\x02 no picture at all \xff\xd9",
    ],
    ids=["no start", "no end", "cut", "20,000 x 20,000", "0 x 0", "no picture"],
)
def test_a_broken_picture_is_skipped_and_counted(bad: bytes) -> None:
    with watching(streaming([part(PICTURES[0]), part(bad) + part(PICTURES[2])])) as viewer:
        assert viewer.pictures(2) == [PICTURES[0], PICTURES[2]]
        assert (viewer.source.broken, viewer.source.oversized) == (1, 0)


def test_a_picture_that_is_too_large_is_skipped_and_counted() -> None:
    large = jpeg(noise(5, 320, 240), quality=100)
    assert len(large) > ROOM
    with watching(streaming([part(PICTURES[0]), part(large) + part(PICTURES[2])])) as viewer:
        assert viewer.pictures(2) == [PICTURES[0], PICTURES[2]]
        assert (viewer.source.broken, viewer.source.oversized) == (0, 1)


@pytest.mark.parametrize(
    ("first", "more", "words"),
    [
        (PICTURES[0][:-2], bytes(1000), f"larger than max_jpeg_bytes ({ROOM:,})"),
        (b"", b"no picture, ", "without a JPEG picture"),
        (b"", part(PICTURES[1][:-2]), "are broken"),
        (b"", part(claiming(PICTURES[0], 20_000, 20_000)), "are broken"),
    ],
    ids=["endless picture", "endless text", "endlessly broken pictures", "endlessly wrong headers"],
)
def test_a_stream_without_end_and_without_a_picture_is_given_up(first: bytes, more: bytes, words: str) -> None:
    def script(call: Call) -> None:
        call.send(MULTIPART, first)
        while True:
            call.send(more)

    with watching(script) as viewer:
        assert words in viewer.fault()


def test_memory_is_bounded_by_three_pictures() -> None:
    large = jpeg(noise(5, 1280, 1024), quality=95)
    whole, endless = part(large), large[:-2] + bytes(2 * len(large))

    def script(call: Call) -> None:
        call.send(MULTIPART)
        for _ in range(20):
            call.send(whole)
        call.send(endless)
        call.hold()

    with serving(script) as camera:
        tracemalloc.start()
        try:
            with viewing(camera.url(), camera, room=len(large)) as viewer:
                assert viewer._grab().size == len(large)
                until(lambda: viewer.source.oversized)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 4.5 * len(large)  # a growing bytearray has an eighth to spare; and there are the network's buffers

"""v4l2:// and pictures that are damaged: skipped, counted, told once; the camera goes on."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
import simplejpeg

from appliance.capture.v4l2 import abi
from tests.capture.clips import grey, jpeg
from tests.capture.v4l2_bench import PICTURE, YUYV_BYTES, Bench, raw_camera, usb_camera

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def bench() -> Iterator[Bench]:
    one = Bench(usb_camera())
    yield one
    one.source.close()
    assert one.kernel.leaks == 0


BROKEN = {
    "an error flag": (PICTURE, {"flags": abi.V4L2_BUF_FLAG_ERROR}, "a damaged or empty picture"),
    "nothing": (b"", {}, "a damaged or empty picture"),
    "no JPEG": (b"GIF89a", {}, "what is no JPEG"),
    "no end": (PICTURE[:-300], {}, "a JPEG that is cut off"),
    "only its beginning": (PICTURE[:20], {}, "a broken JPEG"),
    "another size": (jpeg(grey(9, 32, 32)), {}, "a JPEG of 32x32, not 64x48"),
    "a tiny size": (jpeg(grey(9, 8, 8)), {}, "a JPEG of 8x8"),
}


def with_size(width: int, height: int) -> bytes:
    """Return a JPEG whose header claims another size."""
    at = PICTURE.index(b"\xff\xc0") + 5
    return PICTURE[:at] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + PICTURE[at + 4 :]


BROKEN["a huge size"] = (with_size(20_000, 20_000), {}, "a JPEG of 20000x20000")


@pytest.mark.parametrize("name", list(BROKEN))
def test_a_broken_picture_is_skipped_counted_and_told_once(
    bench: Bench, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    picture, how, told = BROKEN[name]
    bench.feed()
    assert bench.grab()
    for _ in range(2):
        bench.feed(picture, **how)
        assert bench.grab() is None
        bench.feed()
        assert bench.grab()
    assert bench.source.counts()["broken"] == 2
    assert bench.source.last_broken.startswith(told)
    [line] = caplog.messages
    assert line.startswith(f"/dev/video0 gave {told}")


def test_a_good_picture_is_kept_when_a_broken_one_follows(bench: Bench) -> None:
    bench.feed()
    bench.feed(b"x")
    _, data = bench.grab() or pytest.fail("no frame")
    assert data == PICTURE
    assert bench.source.counts()["broken"] == 1


def test_a_size_that_two_pictures_agree_on_is_the_camera_s(bench: Bench) -> None:
    small = jpeg(grey(9, 32, 32))
    bench.feed(small)
    assert bench.grab() is None
    bench.feed(small)
    grabbed, _ = bench.grab() or pytest.fail("no frame")
    assert (grabbed.width, grabbed.height) == (32, 32)


def test_a_jpeg_may_have_a_few_rows_more_than_the_driver_says(bench: Bench) -> None:
    bench.feed(jpeg(grey(9, 64, 56)))
    grabbed, _ = bench.grab() or pytest.fail("no frame")
    assert (grabbed.width, grabbed.height) == (64, 56)


def test_what_the_driver_left_behind_a_jpeg_is_cut_off(bench: Bench) -> None:
    bench.feed(PICTURE + bytes(2000))
    _, data = bench.grab() or pytest.fail("no frame")
    assert data == PICTURE


def test_a_jpeg_without_huffman_tables_passes_as_most_usb_cameras_give_it(bench: Bench) -> None:
    picture = without_tables(PICTURE)
    assert simplejpeg.decode_jpeg(picture).shape == (48, 64, 3)
    bench.feed(picture)
    _, data = bench.grab() or pytest.fail("no frame")
    assert data == picture


def without_tables(picture: bytes) -> bytes:
    while (at := picture.find(b"\xff\xc4")) >= 0:
        picture = picture[:at] + picture[at + 2 + int.from_bytes(picture[at + 2 : at + 4], "big") :]
    return picture


def test_a_camera_that_never_writes_an_end_is_taken_as_it_is(bench: Bench) -> None:
    for _ in range(2):
        bench.feed(PICTURE[:-2])
        _, data = bench.grab() or pytest.fail("no frame")
        assert data == PICTURE[:-2]


def test_a_raw_picture_that_is_short_is_skipped() -> None:
    bench = Bench(raw_camera(padding=2))
    bench.feed(bytes(48 * 130 - 3))
    assert bench.grab() is None
    assert bench.source.last_broken == "a picture of 6,237 bytes, not 6,238"


def test_a_driver_that_claims_more_bytes_than_its_buffer_has_is_not_followed_there() -> None:
    bench = Bench(raw_camera(buffer_bytes=YUYV_BYTES))
    bench.feed(bytes(YUYV_BYTES), used=1 << 31)
    _, data = bench.grab() or pytest.fail("no frame")
    assert len(data) == YUYV_BYTES

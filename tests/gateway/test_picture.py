"""JPEGs for viewers and for Home Assistant: the right colours, and never larger than was asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st

from appliance.gateway.picture import NOTICE_SIZE, jpeg_of, notice, reduced
from appliance.messages import Frame, PixelFormat
from tests.gateway.conftest import a_frame, a_jpeg, noise

RED, GREEN, BLUE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128)
# Y, Cb, Cr of BT.601 in video's limited range.
YUV = {RED: (81, 90, 240), GREEN: (145, 54, 34), BLUE: (41, 240, 110), GREY: (126, 128, 128)}
RAW = [PixelFormat.RGB24, PixelFormat.YUYV, PixelFormat.NV12, PixelFormat.I420]


def plain(colour: Any, kind: PixelFormat, width: int = 64, height: int = 48) -> bytes:
    """Return a raw picture of one colour."""
    y, u, v = YUV[colour]
    pixels = width * height
    match kind:
        case PixelFormat.YUYV:
            return bytes((y, u, y, v)) * (pixels // 2)
        case PixelFormat.NV12:
            return bytes([y]) * pixels + bytes((u, v)) * (pixels // 4)
        case PixelFormat.I420:
            return bytes([y]) * pixels + bytes([u]) * (pixels // 4) + bytes([v]) * (pixels // 4)
        case _:
            return bytes(colour) * pixels


def size(jpeg: bytes) -> tuple[int, int]:
    height, width, _, _ = simplejpeg.decode_jpeg_header(jpeg)
    return width, height


def encoded(picture: Any, quality: int = 95) -> bytes:
    return bytes(simplejpeg.encode_jpeg(picture, quality))


def test_the_cameras_own_jpeg_is_passed_on_as_it_is_and_outlives_its_slot() -> None:
    slot = bytearray(a_jpeg())
    jpeg = jpeg_of(Frame(a_frame(1), memoryview(slot)))
    slot[:] = bytes(len(slot))
    assert jpeg == a_jpeg()


@pytest.mark.parametrize("kind", RAW)
@pytest.mark.parametrize("colour", [RED, GREEN, BLUE, GREY], ids=["red", "green", "blue", "grey"])
def test_a_raw_picture_is_encoded_in_its_colours(kind: PixelFormat, colour: Any) -> None:
    jpeg = jpeg_of(Frame(a_frame(1, kind=kind), memoryview(plain(colour, kind))))
    picture = simplejpeg.decode_jpeg(jpeg)
    assert picture.shape == (48, 64, 3)
    assert np.allclose(picture.astype(int), colour, atol=6)


@pytest.mark.parametrize("kind", [PixelFormat.YUYV, PixelFormat.NV12, PixelFormat.I420])
@pytest.mark.parametrize(("level", "grey"), [(16, 0), (235, 255), (0, 0), (255, 255)])
def test_videos_black_and_white_are_black_and_white(kind: PixelFormat, level: int, grey: int) -> None:
    data = bytearray([128]) * kind.raw_size(64, 48)
    luma = slice(0, 64 * 48 * 2, 2) if kind is PixelFormat.YUYV else slice(0, 64 * 48)
    data[luma] = bytes([level]) * (64 * 48)
    picture = simplejpeg.decode_jpeg(jpeg_of(Frame(a_frame(1, kind=kind), memoryview(data))))
    assert np.allclose(picture.astype(int), grey, atol=2)


def test_a_raw_picture_of_a_size_that_there_is_not_is_a_value_error() -> None:
    for kind, width, height in (
        (PixelFormat.I420, 3, 4),
        (PixelFormat.NV12, 4, 3),
        (PixelFormat.YUYV, 3, 2),
        (PixelFormat.RGB24, 5, 0),
    ):
        frame = Frame(a_frame(1, kind=kind, size=(width, height)), memoryview(bytes(100)))
        with pytest.raises(ValueError, match=f"no {kind.name} picture of {width}x{height}"):
            jpeg_of(frame)


@given(
    width=st.integers(1, 4000),
    height=st.integers(1, 60),
    max_width=st.integers(160, 1280),
    max_bytes=st.integers(10_000, 100_000),
    noisy=st.booleans(),
)
def test_a_reduced_picture_is_no_wider_and_no_longer_than_asked(
    width: int, height: int, max_width: int, max_bytes: int, noisy: bool
) -> None:
    picture = noise(width, height) if noisy else np.zeros((height, width, 3), np.uint8)
    small = reduced(encoded(picture), max_width, max_bytes)
    shown = size(small)
    assert shown[0] <= max_width
    assert len(small) <= max_bytes
    if not noisy:
        assert shown[0] >= min(width, max_width) * 0.5
        assert shown[0] / width == pytest.approx(shown[1] / height, abs=1 / height)


@pytest.mark.parametrize("sides", [(1280, 720), (1920, 1080), (640, 480), (3840, 2160)])
@pytest.mark.parametrize("max_width", [160, 320, 640, 1280])
def test_even_noise_fits_at_every_setting_that_is_allowed(sides: tuple[int, int], max_width: int) -> None:
    small = reduced(encoded(noise(*sides), 60), max_width, 10_000)
    assert size(small)[0] <= max_width
    assert len(small) <= 10_000


def test_what_fits_already_is_passed_on_as_it_is() -> None:
    jpeg = a_jpeg(640, 480)
    assert reduced(jpeg, 640, len(jpeg)) is jpeg


def test_a_wide_picture_is_scaled_by_eighths_and_keeps_its_shape() -> None:
    assert size(reduced(a_jpeg(1920, 1080), 640, 100_000)) == (480, 270)
    assert size(reduced(a_jpeg(1280, 720), 640, 100_000)) == (640, 360)


def test_a_picture_that_is_too_long_keeps_its_width_where_a_lower_quality_is_enough() -> None:
    jpeg = encoded(noise(320, 240))
    small = reduced(jpeg, 320, len(jpeg) // 2)
    assert size(small) == (320, 240)
    assert len(small) <= len(jpeg) // 2


@pytest.mark.parametrize("data", [b"", b"no JPEG", encoded(noise(1280, 720))[:5000]], ids=["empty", "text", "cut"])
def test_what_is_no_jpeg_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        reduced(data, 640, 100_000)


def test_a_notice_is_a_small_picture_with_words_on_it() -> None:
    said = notice("live view is off")
    assert size(said) == NOTICE_SIZE
    assert len(said) < 20_000
    picture = simplejpeg.decode_jpeg(said, "GRAY")[:, :, 0]
    assert picture[:100].max() < 40
    assert 0.001 < (picture > 128).mean() < 0.05
    assert notice("something else") != said

"""From a frame's bytes to the RGB picture that the model's input is made of."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import numpy as np
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st

from appliance.inference.picture import Decoder, PictureError
from appliance.inference.rfdetr import Preprocessor, postprocess
from appliance.messages import Frame, FrameInfo, PixelFormat
from tests.inference.gpu.frames import take_back

RED, GREEN, BLUE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128)
CONVERTED = [PixelFormat.YUYV, PixelFormat.NV12, PixelFormat.I420]
RAW = [PixelFormat.RGB24, *CONVERTED]
FEW_BYTES = 4096
SIDES = st.integers(min_value=1, max_value=700)
NO_SIZES = [
    (PixelFormat.I420, 3, 3),
    (PixelFormat.NV12, 4, 3),
    (PixelFormat.NV12, 3, 4),
    (PixelFormat.YUYV, 3, 2),
    (PixelFormat.I420, 0, 0),
    (PixelFormat.RGB24, 0, 5),
    (PixelFormat.RGB24, 5, 0),
]
"""Sizes that no picture of the format has."""


def quarters(width: int, height: int) -> Any:
    """Return red and green over blue and grey."""
    rgb = np.empty((height, width, 3), np.uint8)
    rgb[: height // 2, : width // 2], rgb[: height // 2, width // 2 :] = RED, GREEN
    rgb[height // 2 :, : width // 2], rgb[height // 2 :, width // 2 :] = BLUE, GREY
    return rgb


def packed(rgb: Any, kind: PixelFormat) -> bytes:
    """Lay `rgb` out as cameras do: BT.601, limited range; two, or two by two, pixels share their colour."""
    r, g, b = (rgb[:, :, channel] / 255 for channel in range(3))
    y = np.rint(16 + 65.481 * r + 128.553 * g + 24.966 * b).astype(np.uint8)
    u = np.rint(128 - 37.797 * r - 74.203 * g + 112 * b).astype(np.uint8)
    v = np.rint(128 + 112 * r - 93.786 * g - 18.214 * b).astype(np.uint8)
    match kind:
        case PixelFormat.YUYV:
            planes = [np.stack((y[:, ::2], u[:, ::2], y[:, 1::2], v[:, ::2]), axis=2)]
        case PixelFormat.NV12:
            planes = [y, np.stack((u[::2, ::2], v[::2, ::2]), axis=2)]
        case PixelFormat.I420:
            planes = [y, u[::2, ::2], v[::2, ::2]]
        case _:
            planes = [rgb]
    return b"".join(plane.tobytes() for plane in planes)


def frame(data: bytes, width: int, height: int, kind: PixelFormat) -> Frame:
    return Frame(FrameInfo(1, 0, 0, width, height, kind), memoryview(bytearray(data)))


def jpeg(rgb: Any, kind: str = "RGB") -> Frame:
    height, width = rgb.shape[:2]
    return frame(simplejpeg.encode_jpeg(np.ascontiguousarray(rgb), 95, kind), width, height, PixelFormat.JPEG)


def of_kind(rgb: Any, kind: PixelFormat) -> Frame:
    height, width = rgb.shape[:2]
    return jpeg(rgb) if kind is PixelFormat.JPEG else frame(packed(rgb, kind), width, height, kind)


def corners(rgb: Any) -> list[Any]:
    """Return the colours of the four quarters, in their middles."""
    height, width = rgb.shape[:2]
    return [rgb[y, x].astype(int) for y in (height // 4, height * 3 // 4) for x in (width // 4, width * 3 // 4)]


def allocated(work: Any) -> int:
    """Return the most bytes that Python and numpy had in use for one more piece of `work`, beyond those before it."""
    work()
    gc.collect()
    tracemalloc.start()
    try:
        work()  # what is made once under the tracer is not counted
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        work()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", RAW)
@pytest.mark.parametrize(("width", "height"), [(64, 48), (36, 20), (2, 2)])
def test_red_green_blue_and_grey_come_out_in_their_places(kind: PixelFormat, width: int, height: int) -> None:
    rgb = quarters(width, height) if width > 2 else np.full((2, 2, 3), RED, np.uint8)
    decoded = Decoder(224).decode(frame(packed(rgb, kind), width, height, kind))
    assert (*decoded.shape, str(decoded.dtype)) == (height, width, 3, "uint8")
    assert np.allclose(corners(decoded), corners(rgb), atol=0 if kind is PixelFormat.RGB24 else 3)


def test_a_jpegs_colours_come_out_in_their_places_whatever_the_scale() -> None:
    for width, height in ((64, 48), (640, 480), (1920, 1080)):
        decoded = Decoder(224).decode(jpeg(quarters(width, height)))
        assert np.allclose(corners(decoded), [RED, GREEN, BLUE, GREY], atol=6)


def test_a_grey_jpeg_is_a_picture_too() -> None:
    decoded = Decoder(224).decode(jpeg(np.full((60, 80, 1), 77, np.uint8), "GRAY"))
    assert decoded.shape == (60, 80, 3)
    assert np.all(decoded == 77)


@given(width=SIDES, height=SIDES)
def test_a_jpeg_is_decoded_at_the_smallest_power_of_two_that_still_covers_the_models_side(
    width: int, height: int
) -> None:
    side = 96
    decoded = Decoder(side).decode(jpeg(np.zeros((height, width, 3), np.uint8)))
    scaled = [(-(-height // factor), -(-width // factor)) for factor in (8, 4, 2)]
    # One that has a side smaller than the model's is kept as it is: nothing is enlarged.
    covering = (size for size, factor in zip(scaled, (8, 4, 2), strict=True) if min(width, height) >= factor * side)
    assert decoded.shape[:2] == next(covering, (height, width))


@pytest.mark.parametrize("kind", CONVERTED)
def test_raw_pictures_of_one_size_are_decoded_into_the_same_memory(kind: PixelFormat) -> None:
    decoder = Decoder(224)
    first = decoder.decode(frame(packed(np.full((48, 64, 3), RED, np.uint8), kind), 64, 48, kind))
    second = decoder.decode(frame(packed(np.full((48, 64, 3), GREY, np.uint8), kind), 64, 48, kind))
    assert np.shares_memory(first, second)
    assert np.allclose(first, 128, atol=3)


def test_an_rgb_picture_is_looked_at_where_it_lies() -> None:
    given = of_kind(quarters(64, 48), PixelFormat.RGB24)
    assert np.shares_memory(Decoder(224).decode(given), np.frombuffer(given.data, np.uint8))


@pytest.mark.parametrize("kind", PixelFormat)
def test_a_frames_memory_can_go_back_as_soon_as_the_tensor_is_filled(kind: PixelFormat) -> None:
    given = of_kind(quarters(640, 480), kind)
    decoder, preprocessor = Decoder(96), Preprocessor(96)
    tensor = preprocessor.fill(decoder.decode(given))
    before = tensor.copy()
    take_back(given)
    assert np.array_equal(tensor, before)


@pytest.mark.parametrize("kind", PixelFormat)
def test_from_a_frame_to_the_tensor_nothing_is_allocated_but_a_few_small_objects(kind: PixelFormat) -> None:
    given = of_kind(quarters(640, 480), kind)
    decoder, preprocessor = Decoder(224), Preprocessor(224)
    assert allocated(lambda: preprocessor.fill(decoder.decode(given))) < FEW_BYTES


@pytest.mark.parametrize("found", [0, 1, 10, 300])
def test_rows_are_made_beside_a_mask_of_the_logits_in_what_their_number_needs(found: int) -> None:
    dets, labels = np.full((300, 4), 0.5, np.float32), np.full((300, 91), -9, np.float32)
    labels[:found, 1] = 2
    assert allocated(lambda: postprocess(dets, labels, 1920, 1080, 0.5)) < labels.size + FEW_BYTES + found * 100


def test_a_tensor_may_be_memory_of_the_backends_own() -> None:
    own = np.full((1, 3, 32, 32), 9, np.float32)
    preprocessor = Preprocessor(32, own)
    picture = quarters(64, 48)
    assert preprocessor.fill(picture) is preprocessor.tensor is own
    assert np.array_equal(own, Preprocessor(32).fill(picture))


def a_tensor_that_must_not_change() -> Any:
    tensor = np.zeros((1, 3, 32, 32), np.float32)
    tensor.flags.writeable = False
    return tensor


@pytest.mark.parametrize(
    "tensor",
    [
        np.zeros((1, 3, 32, 33), np.float32),
        np.zeros((3, 32, 32), np.float32),
        np.zeros((1, 3, 32, 32), np.float64),
        np.zeros((1, 3, 32, 64), np.float32)[:, :, :, ::2],
        a_tensor_that_must_not_change(),
    ],
    ids=["side", "batch", "type", "layout", "read-only"],
)
def test_a_tensor_that_cannot_be_filled_in_place_is_refused(tensor: Any) -> None:
    with pytest.raises(ValueError, match=r"no float32 \[1, 3, 32, 32\] to write in"):
        Preprocessor(32, tensor)


def test_jpegs_of_one_size_are_decoded_into_the_same_memory() -> None:
    decoder = Decoder(96)
    first = decoder.decode(jpeg(np.full((480, 640, 3), 10, np.uint8)))
    second = decoder.decode(jpeg(np.full((480, 640, 3), 200, np.uint8)))
    assert np.shares_memory(first, second)
    assert np.all(first == 200)


def test_cameras_of_many_sizes_do_not_pile_up_memory() -> None:
    decoder = Decoder(224)
    for width in range(2, 202, 2):
        decoder.decode(frame(bytes(width * 2 * 2), width, 2, PixelFormat.YUYV))
    assert len(decoder._buffers) <= 32


def test_a_picture_may_be_larger_than_the_one_before() -> None:
    decoder = Decoder(224)
    for width, height in ((640, 480), (1280, 720), (64, 48), (1280, 720)):
        assert np.allclose(corners(decoder.decode(jpeg(quarters(width, height)))), [RED, GREEN, BLUE, GREY], atol=6)


WHOLE = bytes(jpeg(np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)).data)


@pytest.mark.parametrize(
    ("data", "width", "height"),
    [
        (b"", 640, 480),
        (b"\xff\xd8", 640, 480),
        (b"no JPEG " * 100, 640, 480),
        (WHOLE[: len(WHOLE) // 2], 640, 480),
        (WHOLE[:200], 640, 480),
        (b"\0\0" + WHOLE[2:], 640, 480),
        (WHOLE, 64, 48),  # larger than it says
        (WHOLE, 0, 0),
    ],
    ids=["empty", "magic", "text", "half", "header", "start", "liar", "sizeless"],
)
def test_a_broken_jpeg_is_a_picture_error_and_leaves_no_view_behind(data: bytes, width: int, height: int) -> None:
    decoder = Decoder(224)
    broken = frame(data, width, height, PixelFormat.JPEG)
    with pytest.raises(PictureError) as caught:
        decoder.decode(broken)
    take_back(broken)  # while the error is still alive, as in the stage
    assert "JPEG" in str(caught.value)
    assert decoder.decode(jpeg(quarters(640, 480))).shape == (240, 320, 3)


@pytest.mark.parametrize(("kind", "width", "height"), NO_SIZES)
def test_a_raw_picture_of_a_size_that_there_is_not_is_a_picture_error(
    kind: PixelFormat, width: int, height: int
) -> None:
    broken = frame(bytes(kind.raw_size(width, height)), width, height, kind)
    with pytest.raises(PictureError, match=f"{kind.name} picture of {width}x{height}"):
        Decoder(224).decode(broken)
    take_back(broken)


def test_a_yuyv_picture_may_have_an_odd_height() -> None:
    rgb = np.full((3, 4, 3), GREY, np.uint8)
    assert np.allclose(Decoder(224).decode(frame(packed(rgb, PixelFormat.YUYV), 4, 3, PixelFormat.YUYV)), 128, atol=3)

"""v4l2:// while it runs: what comes out of the buffers, when it is stale, how it breaks and closes."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.capture.source import Grabbed, SourceError
from appliance.capture.v4l2 import V4l2Source, abi
from appliance.capture.v4l2.source import STALE_NS
from appliance.messages import Clock, PixelFormat
from tests.capture.clips import grey, jpeg, noise
from tests.capture.fake_kernel import MS, NV12, VIDEO0, YUYV, FakeKernel
from tests.capture.v4l2_bench import PICTURE, SETTINGS, SIZE, YUYV_BYTES, Bench, raw_camera, usb_camera

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def bench() -> Iterator[Bench]:
    one = Bench(usb_camera())
    yield one
    one.source.close()
    assert one.kernel.leaks == 0


def test_a_jpeg_passes_byte_for_byte_with_the_driver_s_own_time(bench: Bench) -> None:
    bench.feed()
    taken_ns = bench.kernel.monotonic_ns
    bench.later(7 * MS)
    grabbed, data = bench.grab() or pytest.fail("no frame")
    wall_ns = bench.kernel.now()[1] - 7 * MS
    assert grabbed == Grabbed(taken_ns, wall_ns, 64, 48, PixelFormat.JPEG, len(PICTURE))
    assert data == PICTURE
    assert bench.source.clock is Clock.MONOTONIC


@pytest.mark.parametrize("flags", [0, 0x4000])
def test_without_the_driver_s_time_it_is_that_of_dequeuing(bench: Bench, flags: int) -> None:
    bench.feed(flags=flags)
    bench.later(7 * MS)
    grabbed, _ = bench.grab() or pytest.fail("no frame")
    assert (grabbed.captured_ns, grabbed.wall_ns) == bench.kernel.now()


@pytest.mark.parametrize("off_ns", [-11_000 * MS, 1 * MS])
def test_a_time_that_cannot_be_this_machine_s_is_not_believed(bench: Bench, off_ns: int) -> None:
    bench.camera.feed(PICTURE, at_ns=bench.kernel.monotonic_ns + off_ns)
    grabbed, _ = bench.grab() or pytest.fail("no frame")
    assert grabbed.captured_ns == bench.kernel.monotonic_ns


@pytest.mark.parametrize(("pixelformat", "rows", "row"), [(YUYV, 48, 128), (NV12, 72, 64)])
@pytest.mark.parametrize("padding", [0, 2, 64])
def test_raw_rows_are_packed(pixelformat: int, rows: int, row: int, padding: int) -> None:
    bench = Bench(raw_camera(pixelformat, padding=padding))
    lines = [bytes([number]) * row for number in range(rows)]
    bench.feed((b"\xee" * padding).join(lines))  # the last row's padding is missing, as it may be
    grabbed, data = bench.grab() or pytest.fail("no frame")
    assert data == b"".join(lines)
    assert grabbed.format is {YUYV: PixelFormat.YUYV, NV12: PixelFormat.NV12}[pixelformat]
    assert (grabbed.width, grabbed.height) == SIZE


def test_a_driver_that_does_not_say_how_long_rows_are_packs_them() -> None:
    bench = Bench(raw_camera(answers={"bytesperline": 0}))
    picture = bytes(range(256)) * (YUYV_BYTES // 256)
    bench.feed(picture)
    _, data = bench.grab() or pytest.fail("no frame")
    assert data == picture


def test_the_newest_is_kept_and_the_others_go_back_at_once(bench: Bench) -> None:
    pictures = [jpeg(noise(seed)) for seed in range(3)]
    for picture in pictures:
        bench.feed(picture)
        bench.later(10 * MS)
    _, data = bench.grab() or pytest.fail("no frame")
    assert data == pictures[2]
    assert len(bench.camera.queued) == 3
    assert bench.grab() is None
    assert len(bench.camera.queued) == 4


def test_a_frame_can_be_retrieved_until_the_next_grab_and_not_thereafter(bench: Bench) -> None:
    bench.feed()
    bench.grab()
    for _ in range(2):
        assert bench.source.retrieve(memoryview(bytearray(len(PICTURE)))) == len(PICTURE)
    assert bench.source.grab() is None
    with pytest.raises(SourceError, match="no frame was grabbed"):
        bench.source.retrieve(memoryview(bytearray(len(PICTURE))))


@pytest.mark.parametrize("flags", [0, abi.V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC])
def test_what_waited_in_full_buffers_is_not_taken_for_new(bench: Bench, flags: int) -> None:
    while bench.feed(flags=flags):
        bench.later(1)
    bench.later(STALE_NS + 1)
    assert bench.grab() is None
    assert bench.source.counts()["stale"] == 1
    fresh = jpeg(grey(1))
    bench.feed(fresh, flags)
    _, data = bench.grab() or pytest.fail("no frame")
    assert data == fresh


@pytest.mark.parametrize("flags", [0, abi.V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC])
@pytest.mark.parametrize("buffers", [2, 4])
def test_a_slow_camera_loses_nothing(buffers: int, flags: int) -> None:
    bench = Bench(usb_camera(buffers=buffers))
    for number in range(5):
        bench.later(1000 * MS)
        bench.feed(flags=flags)
        assert bench.grab(), number
    assert bench.source.counts()["stale"] == 0


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"unplugged": True}, "/dev/video0 was unplugged"),
        (
            {"fails": {abi.VIDIOC_DQBUF: [errno.EIO]}},
            "/dev/video0 stopped: input/output error, as when it was unplugged, or its cable or hub is bad",
        ),
        ({"fails": {abi.VIDIOC_QBUF: [errno.EINVAL]}}, "/dev/video0 takes no buffer: Invalid argument"),
    ],
)
def test_a_camera_that_breaks_while_it_runs_says_how_and_closes_whole(fault: dict[str, Any], said: str) -> None:
    bench = Bench(usb_camera())
    bench.feed()
    assert bench.grab()
    for name, value in fault.items():
        setattr(bench.camera, name, value)
    with pytest.raises(SourceError) as caught:
        bench.source.grab()
    assert str(caught.value) == said
    bench.source.close()
    assert bench.kernel.leaks == 0


def test_a_buffer_that_never_was_is_refused(bench: Bench) -> None:
    bench.feed()
    bench.camera.filled[0]["index"] = 17
    with pytest.raises(SourceError, match="returned buffer 17"):
        bench.source.grab()


def test_closing_twice_closes_once_and_stops_the_camera(bench: Bench) -> None:
    bench.feed()
    bench.grab()
    bench.source.close()
    bench.source.close()
    assert bench.kernel.asked.count("streamoff") == 1
    assert bench.kernel.leaks == 0


def test_twenty_rounds_leave_nothing_open() -> None:
    kernel = FakeKernel()
    for number in range(20):
        camera = usb_camera()
        kernel.nodes[VIDEO0] = camera
        source = V4l2Source(SETTINGS, kernel)
        camera.feed(PICTURE, at_ns=kernel.monotonic_ns)
        assert source.grab(), number
        camera.unplugged = True
        with pytest.raises(SourceError):
            source.grab()
        source.close()
    assert kernel.leaks == 0


@given(st.lists(st.sampled_from(["good", "bad", "flagged", "grab", "wait"]), max_size=40))
def test_whatever_comes_no_buffer_is_lost_and_no_frame_is_older_than_the_last(steps: list[str]) -> None:
    bench = Bench(usb_camera())
    newest_ns = grabbed_ns = 0
    for step in steps:
        bench.later(MS)
        if step == "good" and bench.feed():
            newest_ns = bench.kernel.monotonic_ns
        elif step == "bad":
            bench.feed(b"bad")
        elif step == "flagged":
            bench.feed(flags=abi.V4L2_BUF_FLAG_ERROR)
        elif step == "wait":
            bench.later(STALE_NS)
        elif step == "grab":
            found = bench.grab()
            assert len(bench.camera.queued) == (3 if found else 4)
            if found:
                assert grabbed_ns < found[0].captured_ns == newest_ns
                grabbed_ns = found[0].captured_ns
    bench.source.close()
    assert bench.kernel.leaks == 0

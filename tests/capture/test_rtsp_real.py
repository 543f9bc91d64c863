"""rtsp:// against GStreamer's RTSP server: codecs, transports, logins, changes of size, servers that die and return."""

from __future__ import annotations

import contextlib
import select
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

import av
import pytest
import simplejpeg

from appliance.capture.rtsp.source import RtspSource
from appliance.capture.source import Grabbed, SourceError
from appliance.config import Camera, RtspSettings
from appliance.messages import Health, Mode, PixelFormat
from tests.capture.rtsp_camera import H264, X264, RtspCamera, live, need_server, served
from tests.rig import CLIP, need, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.capture.conftest import Running

pytestmark = pytest.mark.real

PATIENCE_S = 20
DESCRIPTORS = Path("/proc/self/fd")
ENCODERS = {
    "H.264": f"{X264} ! {H264}",
    "H.264 with B-frames": "x264enc bframes=2 b-adapt=false rc-lookahead=0 sync-lookahead=0 threads=1 key-int-max=25 "
    f"! video/x-h264,profile=main ! {H264}",
    "H.265": "x265enc tune=zerolatency speed-preset=ultrafast key-int-max=25 ! rtph265pay config-interval=-1 name=pay0",
    "MJPEG": "jpegenc ! rtpjpegpay name=pay0",
}


@pytest.fixture
def cameras() -> Iterator[Callable[..., RtspCamera]]:
    """Start cameras; they are ended after the test."""
    with contextlib.ExitStack() as ends:

        def start(mounts: dict[str, str], **more: Any) -> RtspCamera:
            need_server("x264enc", "jpegenc", "h264parse", "qtdemux")
            one = RtspCamera(mounts, **more)
            ends.callback(one.kill)
            one.start()
            return one

        yield start


@contextlib.contextmanager
def opened(
    camera: RtspCamera, login: str = "", transport: Literal["tcp", "udp"] = "tcp", path: str = "/porch"
) -> Iterator[RtspSource]:
    address = f"127.0.0.1:{camera.port}{path}"
    one = RtspSource(RtspSettings(f"rtsp://{login}{address}", f"rtsp://{address}", transport))
    try:
        yield one
    finally:
        one.close()


def next_of(source: RtspSource) -> tuple[Grabbed, bytes]:
    """Wait for a picture, as the service does. SourceError: there will be none."""
    while True:
        assert select.select([source.fileno()], [], [], PATIENCE_S)[0], "neither a picture nor an error"
        grabbed = source.grab()
        if grabbed is not None:
            room = bytearray(grabbed.size)
            return grabbed, bytes(room[: source.retrieve(memoryview(room))])


def end_of(source: RtspSource) -> str:
    """Wait for the error that ends a stream, past all its pictures."""
    try:
        while True:
            next_of(source)
    except SourceError as error:
        return str(error)


def until(source: RtspSource, right: Callable[[Grabbed, bytes], bool]) -> tuple[Grabbed, bytes]:
    """Wait for a picture that is right."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        grabbed, data = next_of(source)
        if right(grabbed, data):
            return grabbed, data
    raise AssertionError("no picture was right")


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("codec", ENCODERS)
def test_a_live_camera_gives_its_pictures(
    cameras: Callable[..., RtspCamera],
    figure: Callable[[str, str], None],
    codec: str,
    transport: Literal["tcp", "udp"],
) -> None:
    if codec == "H.265":
        need_server("x265enc")
    camera = cameras({"/porch": live(encode=ENCODERS[codec])})
    began = time.monotonic()
    with opened(camera, transport=transport) as source:
        first = next_of(source)
        took_s = time.monotonic() - began
        frames = [first, *(next_of(source) for _ in range(20))]
        assert source.counts() == {"broken": 0, "stale": 0}
    form = PixelFormat.JPEG if codec == "MJPEG" else PixelFormat.I420
    assert {(one.width, one.height, one.format) for one, _ in frames} == {(320, 240, form)}
    if form is PixelFormat.JPEG:
        assert {simplejpeg.decode_jpeg(data).shape for _, data in frames} == {(240, 320, 3)}
    assert all(earlier[0].captured_ns < later[0].captured_ns for earlier, later in pairwise(frames))
    assert all(abs(one.wall_ns - one.captured_ns - time.time_ns() + time.monotonic_ns()) < 1e9 for one, _ in frames)
    figure(f"RTSP, {codec} over {transport}: from opening to the first picture", f"{took_s:.2f} s")


def test_a_clip_arrives_picture_by_picture_as_it_is(cameras: Callable[..., RtspCamera]) -> None:
    need(CLIP)
    camera = cameras({"/porch": served(CLIP)})
    with opened(camera) as source:
        came = [data for _, data in (next_of(source) for _ in range(10))]
    with av.open(str(CLIP)) as container:
        clip = [frame.to_ndarray().tobytes() for frame, _ in zip(container.decode(video=0), range(100), strict=False)]
    assert [data in clip for data in came] == [True] * 10


def test_a_camera_that_is_killed_is_an_error_and_one_that_returns_is_opened_anew(
    cameras: Callable[..., RtspCamera],
) -> None:
    camera = cameras({"/porch": live()})
    with opened(camera) as source:
        next_of(source)
        camera.kill()
        assert end_of(source).split(": ")[1] in {
            "the camera has ended the stream",
            "the connection to the camera broke off",
        }
    with opened(camera) as source:
        assert "nothing answers at this port" in end_of(source)
    camera.start()
    with opened(camera) as source:
        next_of(source)


def test_a_camera_that_hangs_is_an_error_soon(
    cameras: Callable[..., RtspCamera], figure: Callable[[str, str], None]
) -> None:
    camera = cameras({"/porch": live()})
    with opened(camera) as source:
        next_of(source)
        camera.freeze()
        froze = time.monotonic()
        assert "has sent nothing for 2.5 s" in end_of(source)
        figure("RTSP: from a camera's last word to the error", f"{time.monotonic() - froze:.2f} s")


def test_a_camera_that_hangs_can_be_closed_at_any_time(cameras: Callable[..., RtspCamera]) -> None:
    camera = cameras({"/porch": live()})
    with opened(camera) as source:
        next_of(source)
        camera.freeze()
    assert not source._newest._thread.is_alive()


def test_a_change_of_resolution_in_mid_stream_is_followed(cameras: Callable[..., RtspCamera]) -> None:
    camera = cameras({"/porch": live(320, 240)})
    with opened(camera) as source:
        next_of(source)
        for width, height in ((640, 480), (160, 120), (320, 240)):
            camera.set("size", "caps", f"video/x-raw,format=I420,width={width},height={height},framerate=25/1")
            grabbed, data = until(source, lambda one, _, width=width: one.width == width)  # type: ignore[misc]
            assert (grabbed.height, len(data)) == (height, width * height * 3 // 2)


@pytest.mark.parametrize("kind", ["basic", "digest"])
def test_a_camera_with_a_password_opens_with_the_right_one_only(cameras: Callable[..., RtspCamera], kind: str) -> None:
    password = "p@ss:w/rd#%?"
    camera = cameras({"/porch": live()}, **{kind: ["keeper", password]})
    with opened(camera, login=f"keeper:{quote(password, safe='')}@") as source:
        next_of(source)
    with opened(camera, login="keeper:wrong@") as source:
        assert "refuses the user or the password" in end_of(source)
    with opened(camera) as source:
        assert "asks for a user and a password" in end_of(source)


def test_what_a_camera_has_no_video_for_is_refused_in_words(cameras: Callable[..., RtspCamera]) -> None:
    camera = cameras({"/porch": live(), "/sound": "( audiotestsrc is-live=true ! alawenc ! rtppcmapay name=pay0 )"})
    with opened(camera, path="/sound") as source:
        assert "no video at this path" in end_of(source)
    with opened(camera, path="/garden") as source:
        assert "nothing at this path (404)" in end_of(source)


@pytest.mark.parametrize("codec", ["H.264", "H.264 with B-frames"])
def test_an_alarm_sees_what_happens_as_soon_as_if_it_had_always_looked(
    cameras: Callable[..., RtspCamera], figure: Callable[[str, str], None], codec: str
) -> None:
    camera = cameras({"/porch": live(encode=ENCODERS[codec])})
    with opened(camera) as source:
        next_of(source)
        for pace in (None, 3.0):
            camera.set("source", "pattern", "black")
            source.pace(pace)
            until(source, lambda _, data: data[0] < 20)
            camera.set("source", "pattern", "white")
            source.pace(None)
            began = time.monotonic()
            until(source, lambda _, data: data[0] > 200)
            took_ms = (time.monotonic() - began) * 1000
            before = "all pictures" if pace is None else "standby"
            figure(
                f"RTSP, {codec}, 25 fps: from a change of the scene to its picture, after {before}", f"{took_ms:.0f} ms"
            )


def test_a_camera_that_grows_dies_and_returns_is_published_all_the_while(
    cameras: Callable[..., RtspCamera], capturing: Callable[[Camera], Running]
) -> None:
    camera = cameras({"/porch": live(320, 240)})
    running = capturing(Camera(id="porch", source=f"rtsp://keeper:secret@127.0.0.1:{camera.port}/porch"))

    def published(width: int) -> bool:
        found = running.house.next()
        assert found is not None, "nothing was published"
        return found[0].width == width

    wait_for("the first pictures", PATIENCE_S, lambda: published(320))
    camera.set("size", "caps", "video/x-raw,format=I420,width=640,height=480,framerate=25/1")
    wait_for("larger pictures", PATIENCE_S, lambda: published(640))
    running.house.answer(mode=Mode.ALARMED)
    camera.kill()
    running.heard.until(Health.RUNNING, Health.FAILED)
    camera.start()
    wait_for("pictures of the camera that returned", PATIENCE_S, lambda: published(320))
    assert not any("secret" in reason for reason in running.heard.reasons)


def test_a_camera_opened_again_and_again_leaves_nothing_behind(cameras: Callable[..., RtspCamera]) -> None:
    camera = cameras({"/porch": live()})
    with opened(camera) as source:
        next_of(source)
    descriptors, threads = len(list(DESCRIPTORS.iterdir())), threading.active_count()
    for _ in range(10):
        with opened(camera) as source:
            next_of(source)
    assert len(list(DESCRIPTORS.iterdir())) == descriptors
    assert threading.active_count() == threads

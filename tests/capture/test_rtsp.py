"""rtsp:// -- what a camera refuses is said in words, without its password; what it sends is decoded, newest first."""

from __future__ import annotations

import contextlib
import select
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import av.logging
import pytest

from appliance.capture.rtsp import connection, source
from appliance.capture.rtsp.skipping import Backlog, discard
from appliance.capture.rtsp.source import RtspSource
from appliance.capture.source import Grabbed, SourceError
from appliance.config import RtspSettings
from appliance.messages import Clock, PixelFormat
from tests.capture.clips import MS, grey, jpeg, mjpeg, noise, video
from tests.capture.rtsp_fake import AUDIO, SDP, VIDEO, Peer, camera, h264

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_S = 30
DESCRIPTORS = Path("/proc/self/fd")
USER, PASSWORD = "porchkeeper", "s3cret-word"
H264_SDP = SDP + VIDEO.format("H264")


def settings(port: int, login: str = f"{USER}:{PASSWORD}@") -> RtspSettings:
    return RtspSettings(f"rtsp://{login}127.0.0.1:{port}/porch?key={PASSWORD}", f"rtsp://127.0.0.1:{port}/porch")


def next_of(camera_source: RtspSource) -> tuple[Grabbed, bytes]:
    """Wait for a picture, as the service does. SourceError: there will be none."""
    while True:
        assert select.select([camera_source.fileno()], [], [], PATIENCE_S)[0], (
            "the camera gave nothing, not even an error"
        )
        grabbed = camera_source.grab()
        if grabbed is not None:
            room = bytearray(grabbed.size)
            return grabbed, bytes(room[: camera_source.retrieve(memoryview(room))])


def all_of(camera_source: RtspSource) -> tuple[list[tuple[Grabbed, bytes]], SourceError]:
    """Return what came until a stream ended (not each picture: the newest counts), and the error that says why."""
    found = []
    try:
        while True:
            found.append(next_of(camera_source))
    except SourceError as error:
        return found, error


def end_of(camera_source: RtspSource) -> SourceError:
    return all_of(camera_source)[1]


@contextlib.contextmanager
def opened(wanted: RtspSettings) -> Iterator[RtspSource]:
    one = RtspSource(wanted)
    try:
        yield one
    finally:
        one.close()


@pytest.fixture
def in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a camera that says nothing a second."""
    monkeypatch.setattr(connection, "OPEN_S", 1.0)
    monkeypatch.setattr(connection, "SILENCE_S", 1.0)


def says(status: str, *headers: str, body: str = "", to: str = "DESCRIBE") -> Callable[[Peer], None]:
    """Return a camera that answers one kind of request so, and what comes before it as cameras do."""

    def script(peer: Peer) -> None:
        while True:
            if peer.request().startswith(to):
                peer.answer(status, *headers, body=body)
            elif to == "DESCRIBE":
                peer.answer("200 OK", "Public: DESCRIBE, SETUP, PLAY")
            else:
                peer.answer("200 OK", "Content-Type: application/sdp", body=H264_SDP)

    return script


def describes(sdp: str) -> Callable[[Peer], None]:
    """Return a camera that begins with this description, and then sends nothing."""

    def script(peer: Peer) -> None:
        peer.begin(sdp)
        peer.wait()

    return script


def hangs_up(peer: Peer) -> None:
    peer.request()


def babbles(peer: Peer) -> None:
    peer.request()
    while True:
        peer.send(b"\0\xff$ RTSP is no language of mine \r\n" * 100)


BASIC, DIGEST = 'WWW-Authenticate: Basic realm="c"', 'WWW-Authenticate: Digest realm="c", nonce="n"'


@pytest.mark.usefixtures("in_haste")
@pytest.mark.parametrize(
    ("script", "words"),
    [
        (says("401 Unauthorized", BASIC), "refuses the user or the password in the URL"),
        (says("401 Unauthorized", DIGEST), "refuses the user or the password in the URL"),
        (says("403 Forbidden"), "does not allow it"),
        (says("404 Not Found"), "nothing at this path (404)"),
        (says("453 Not Enough Bandwidth"), "too many viewers"),
        (says("503 Service Unavailable"), "may have too many viewers"),
        (says("461 Unsupported transport", to="SETUP"), "does not send over TCP; write #transport=udp"),
        (says("200 OK"), "does not speak RTSP"),
        (says("200 OK", "Content-Type: application/sdp", body="<html>Welcome</html>"), "no video at this path"),
        (describes(SDP + AUDIO), "no video at this path"),
        (describes(H264_SDP), "no answer, or no picture, within 1 s"),
        (Peer.wait, "no answer, or no picture, within 1 s"),
        (hangs_up, "hangs up"),
        (babbles, "does not speak RTSP"),
    ],
)
def test_a_camera_that_refuses_is_named_with_the_reason_and_never_with_its_password(
    script: Callable[[Peer], None],
    words: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(0)
    with camera(script) as port, opened(settings(port)) as refused:
        error = end_of(refused)
    assert words in str(error)
    assert str(error).startswith(f"rtsp://127.0.0.1:{port}/porch: ")
    assert error.__cause__ is None
    assert error.__context__ is None
    told = "".join([*traceback.format_exception(error), repr(error), caplog.text, *capfd.readouterr()])
    assert USER not in told
    assert PASSWORD not in told


def test_ffmpeg_itself_says_nothing() -> None:
    assert av.logging.get_level() is None


def test_a_camera_that_asks_for_a_password_and_got_none_says_where_to_write_it() -> None:
    with camera(says("401 Unauthorized", BASIC)) as port, opened(settings(port, login="")) as refused:
        assert "write them into the URL: rtsp://user:password@host/" in str(end_of(refused))


def test_a_port_where_nobody_listens_is_named() -> None:
    with camera(Peer.wait) as port:
        pass
    with opened(settings(port)) as refused:
        assert "nothing answers at this port" in str(end_of(refused))


@pytest.mark.parametrize("host", ["no-such-camera.invalid", "a" * 64])
def test_a_host_that_nobody_knows_is_named(host: str) -> None:
    with opened(RtspSettings(f"rtsp://{USER}:{PASSWORD}@{host}/porch", f"rtsp://{host}/porch")) as refused:
        error = end_of(refused)
    assert "nobody in this network knows this host name" in str(error)
    assert error.__context__ is None


@pytest.mark.usefixtures("in_haste")
def test_a_kind_of_video_that_nobody_knows_is_named() -> None:
    def script(peer: Peer) -> None:
        peer.begin(SDP + VIDEO.format("SMELLOVISION"))
        for number in range(100):
            peer.picture(number, b"\0\0\1what a rose")
        peer.wait()

    with camera(script) as port, opened(settings(port)) as refused:
        assert "cannot be decoded here; set the camera to H.264, H.265 or MJPEG" in str(end_of(refused))


def leaves(_peer: Peer) -> None:
    """Do no more: the connection is closed."""


def plays(units: list[bytes], then: Callable[[Peer], None] = leaves) -> Callable[[Peer], None]:
    """Return a camera that sends these pictures."""

    def script(peer: Peer) -> None:
        peer.begin(H264_SDP)
        for number, one in enumerate(units):
            peer.picture(number, one)
        then(peer)

    return script


def test_what_a_camera_sends_is_decoded() -> None:
    with camera(plays(h264([grey(200)] * 5))) as port, opened(settings(port)) as porch:
        grabbed, data = all_of(porch)[0][-1]
        assert porch.clock is Clock.MONOTONIC
    assert (grabbed.width, grabbed.height, grabbed.format, grabbed.size) == (64, 48, PixelFormat.I420, len(data))
    assert data[0] == pytest.approx(16 + 200 * 219 / 255, abs=2)


def test_a_title_that_is_no_utf8_is_no_reason_to_refuse_a_camera() -> None:
    def script(peer: Peer) -> None:
        peer.begin(H264_SDP.replace("s=camera", "s=K\xfcche"))
        for number, one in enumerate(h264([grey(9)] * 3)):
            peer.picture(number, one)

    with camera(script) as port, opened(settings(port)) as porch:
        assert all_of(porch)[0]


def test_a_change_of_size_in_mid_stream_is_followed() -> None:
    units = h264([noise(seed) for seed in range(5)]) + h264([noise(seed, 96, 80) for seed in range(5)])
    with camera(plays(units)) as port, opened(settings(port)) as porch:
        grabbed, data = all_of(porch)[0][-1]
    assert (grabbed.width, grabbed.height) == (96, 80)
    assert grabbed.size == len(data) == 96 * 80 * 3 // 2


@pytest.mark.usefixtures("in_haste")
@pytest.mark.parametrize(
    ("then", "words"),
    [
        (Peer.wait, "has sent nothing for 1 s"),
        (leaves, "has ended the stream"),
        (lambda peer: peer.send(b"$\0\xff\xff half a packet"), "has ended the stream"),
        (babbles, "has sent nothing"),
    ],
    ids=["says no more", "hangs up", "hangs up in a packet", "loses its mind"],
)
def test_a_stream_that_stops_is_an_error_and_stays_one(then: Callable[[Peer], None], words: str) -> None:
    with camera(plays(h264([grey(9)] * 5), then)) as port, opened(settings(port)) as porch:
        next_of(porch)
        assert words in str(end_of(porch))
        assert words in str(end_of(porch))


def test_what_cannot_be_decoded_is_counted_and_the_rest_goes_on() -> None:
    units = h264([grey(level) for level in (0, 50, 100, 200)], g="1")
    spoilt = [units[0], b"\0\0\1\x65" + b"\xff" * 40, *units[1:]]
    with camera(plays(spoilt)) as port, opened(settings(port)) as porch:
        _, data = all_of(porch)[0][-1]
        assert porch.broken == 1
    assert data[0] == pytest.approx(16 + 200 * 219 / 255, abs=2)


@pytest.mark.usefixtures("in_haste")
@pytest.mark.parametrize(
    "script", [Peer.wait, plays(h264([grey(9)] * 3), Peer.wait), hangs_up], ids=["opening", "reading", "over"]
)
def test_a_closed_camera_leaves_nothing_behind(script: Callable[[Peer], None]) -> None:
    threads, descriptors = set(threading.enumerate()), len(list(DESCRIPTORS.iterdir()))
    with camera(script) as port:
        porch = RtspSource(settings(port))
        if script is hangs_up:
            end_of(porch)
        porch.close()
        porch.close()
        assert not {one for one in threading.enumerate() if one.name == "rtsp"} - threads
        assert porch._connection._container is None or not porch._connection._container.streams.video
    assert len(list(DESCRIPTORS.iterdir())) <= descriptors


class Clip:
    """In the place of a connection: the packets of a clip, which a test lets through."""

    def __init__(self, _settings: RtspSettings) -> None:
        self.before: Callable[[int], None] = lambda _: None

    def open(self) -> Any:
        raise SourceError("a test reads it itself")

    def play(self, path: Path) -> Any:
        self._container = av.open(str(path))
        return self._container.streams.video[0].codec_context

    def packets(self) -> Iterator[Any]:
        for number, packet in enumerate(self._container.demux(video=0)):
            if packet.size:
                self.before(number)
                yield packet

    def error(self, what: str) -> SourceError:
        return SourceError(what)

    def close(self) -> None: ...


@pytest.fixture
def clip(monkeypatch: pytest.MonkeyPatch) -> Iterator[RtspSource]:
    """A source whose generators a test may run, on a Clip."""
    monkeypatch.setattr(source, "Connection", Clip)
    with opened(settings(1)) as one:
        yield one


def pictures(one: Any, path: Path) -> list[tuple[Grabbed, bytes]]:
    """Return all that a source makes of a clip."""
    found = []
    for shot in one._decoded(one._connection.play(path)):
        one._grabbed = shot
        room = bytearray(shot.grabbed.size)
        one.retrieve(memoryview(room))
        found.append((shot.grabbed, bytes(room)))
    return found


@pytest.fixture
def with_b_frames(tmp_path: Path) -> Path:
    """A clip in which every other picture helps to decode no other."""
    options = {"x264-params": "bframes=1:b-adapt=0:keyint=12:scenecut=0"}
    return written(tmp_path, h264([noise(seed) for seed in range(36)], **options))


def written(folder: Path, units: list[bytes]) -> Path:
    (folder / "clip.h264").write_bytes(b"".join(units))
    return folder / "clip.h264"


def test_in_standby_fewer_pictures_are_decoded_and_those_are_the_same(clip: RtspSource, with_b_frames: Path) -> None:
    every = [data for _, data in pictures(clip, with_b_frames)]
    clip.pace(0.1)
    few = [data for _, data in pictures(clip, with_b_frames)]
    assert len(every) >= 34  # the decoder holds back the last
    assert len(few) < 24
    assert set(few) < set(every)


def test_after_standby_each_picture_is_decoded_from_the_next_on_and_whole(clip: Any, with_b_frames: Path) -> None:
    every = [data for _, data in pictures(clip, with_b_frames)]
    clip.pace(0.1)
    clip._connection.before = lambda number: clip.pace(None) if number == 18 else None
    few = [data for _, data in pictures(clip, with_b_frames)]
    assert few[-16:] == every[-16:]
    assert set(few) < set(every)


def test_times_never_go_back_even_where_pictures_do(clip: RtspSource, with_b_frames: Path) -> None:
    times = [grabbed.captured_ns for grabbed, _ in pictures(clip, with_b_frames)]
    assert times == sorted(set(times))


def test_a_picture_counts_from_when_it_began_to_arrive(clip: Any, tmp_path: Path, hands: Hands) -> None:
    """FFmpeg gives a picture when the next one begins."""
    path = written(tmp_path, h264([noise(seed) for seed in range(5)]))
    began = hands.at_ns
    clip._connection.before = hands.pass_40_ms
    found = [grabbed for grabbed, _ in pictures(clip, path)]
    assert [one.captured_ns for one in found] == [began + number * 40 * MS for number in range(5)]
    assert {one.wall_ns - one.captured_ns for one in found} == {10**18}


class Hands:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.at_ns = 1_000_000 * MS

    def pass_40_ms(self, _: int) -> None:
        self.at_ns += 40 * MS

    def monotonic_ns(self) -> int:
        return self.at_ns

    def time_ns(self) -> int:
        return self.at_ns + 10**18


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Hands:
    one = Hands()
    monkeypatch.setattr(source, "time", one)
    return one


def test_a_picture_of_a_size_that_cannot_be_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MOST_PIXELS", 96 * 79)
    units = h264([grey(0)] * 3) + h264([grey(100, 96, 80)] * 4) + h264([grey(200)] * 3)
    with camera(plays(units)) as port, opened(settings(port)) as porch:
        frames, _ = all_of(porch)
        assert porch.broken == 4
    assert {grabbed.width for grabbed, _ in frames} == {64}
    assert frames[-1][1][0] == pytest.approx(16 + 200 * 219 / 255, abs=2)


def test_a_stream_that_the_decoder_refuses_is_named(
    clip: RtspSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "MOST_PIXELS", 64 * 47)
    with pytest.raises(SourceError, match="cannot be decoded here") as caught:
        pictures(clip, video(tmp_path / "clip.mkv", [grey(1)], "libx264"))
    assert caught.value.__context__ is None


def test_a_jpeg_passes_byte_for_byte_and_a_broken_one_is_counted(clip: Any, tmp_path: Path) -> None:
    whole = [jpeg(noise(seed)) for seed in range(3)]
    clip._connection.play(mjpeg(tmp_path / "clip.avi", [whole[0], b"this is no JPEG", *whole[1:]]))
    shots = list(clip._jpegs())
    assert [shot.picture for shot in shots] == whole
    assert {(shot.grabbed.width, shot.grabbed.height, shot.grabbed.format) for shot in shots} == {
        (64, 48, PixelFormat.JPEG)
    }
    assert clip.broken == 1


@pytest.mark.parametrize(
    ("codec", "fps", "since_ms", "left_out"),
    [
        ("h264", None, 0, "DEFAULT"),
        ("h264", 3, 0, "NONREF"),
        ("h264", 3, 160, "NONREF"),
        ("h264", 3, 170, "DEFAULT"),
        ("h264", 0.1, 499, "NONREF"),
        ("h264", 0.1, 500, "DEFAULT"),
        ("hevc", 3, 0, "DEFAULT"),
    ],
)
def test_a_picture_that_helps_no_other_is_left_out_until_one_is_due(
    codec: str, fps: float | None, since_ms: int, left_out: str
) -> None:
    assert discard(codec, fps, since_ms * MS) == left_out


def dropped(waits_ms: list[int], keys: tuple[int, ...], work_ms: int = 39) -> list[int]:
    """Return the numbers of the packets that are dropped, where each was waited for so long, and then worked on."""
    now, backlog, found = 0, Backlog(0), []
    for number, wait_ms in enumerate(waits_ms):
        asked, now = now, now + wait_ms * MS
        if backlog.skips(asked, now, is_key=number in keys):
            found.append(number)
        now += work_ms * MS
    return found


def test_a_reader_that_keeps_up_drops_nothing() -> None:
    assert dropped([5] * 1000, keys=(0,)) == []


def test_a_burst_after_a_pause_drops_nothing() -> None:
    assert dropped([*[35] * 50, 900, *[0] * 22, *[35] * 50], keys=(0,), work_ms=5) == []


def test_a_reader_that_falls_behind_drops_up_to_the_key_frame_after_it_has_caught_up() -> None:
    lost = dropped([*[0] * 60, *[40] * 60], keys=(0, 30, 50, 100))
    assert lost == list(range(lost[0], 100))
    assert 25 <= lost[0] < 30

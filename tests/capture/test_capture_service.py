"""One camera's process, with real channels: what it publishes, when, and what it says of itself."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from appliance.capture import service
from appliance.capture.source import Grabbed
from appliance.config import Camera
from appliance.ipc.heartbeat import read_heartbeats
from appliance.messages import Clock, Health, Mode, PixelFormat
from tests.capture.clips import MS, grey, jpeg, mjpeg, noise, video

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from appliance.ipc.run_folder import RunFolder
    from tests.capture.conftest import Running

    Start = Callable[[Camera], Running]


def camera(path: Path, rate: str = "lockstep", **settings: Any) -> Camera:
    return Camera(id="porch", source=f"file://{path}?rate={rate}", **settings)


def standby(_number: int) -> Mode:
    return Mode.STANDBY


def alarmed(_number: int) -> Mode:
    return Mode.ALARMED


def test_every_paced_frame_arrives_exactly_once_and_in_order(capturing: Start, tmp_path: Path) -> None:
    jpegs = [jpeg(noise(seed)) for seed in range(12)]
    running = capturing(camera(mjpeg(tmp_path / "clip.avi", jpegs)))
    frames = running.house.watch(standby, frames=4)
    running.heard.until(Health.ENDED)
    assert running.house.next(0) is None
    assert running.house.lost == 0
    assert [info.frame_number for info, _ in frames] == [1, 5, 8, 11]  # 3 of every 10
    assert [data for _, data in frames] == [jpegs[0], jpegs[4], jpegs[7], jpegs[10]]
    began = frames[0][0].captured_ns
    assert [info.captured_ns - began for info, _ in frames] == [0, 400 * MS, 700 * MS, 1000 * MS]
    wall = frames[0][0].wall_ns
    assert [info.wall_ns - wall for info, _ in frames] == [0, 400 * MS, 700 * MS, 1000 * MS]
    assert {(i.width, i.height, i.format, i.clock) for i, _ in frames} == {(64, 48, PixelFormat.JPEG, Clock.SCENE)}


def test_while_alarmed_every_frame_of_the_clip_arrives(capturing: Start, tmp_path: Path) -> None:
    running = capturing(camera(video(tmp_path / "clip.mp4", [grey(20 * i) for i in range(12)])))
    frames = running.house.watch(alarmed, frames=12)
    running.heard.until(Health.ENDED)
    assert [info.frame_number for info, _ in frames] == list(range(1, 13))
    assert all(len(data) == PixelFormat.I420.raw_size(64, 48) for _, data in frames)
    assert len({data for _, data in frames}) == 12
    assert running.house.next(0) is None


def test_an_alarm_is_obeyed_from_the_very_next_frame_and_so_is_its_end(capturing: Start, tmp_path: Path) -> None:
    running = capturing(camera(mjpeg(tmp_path / "clip.avi", [jpeg(grey(i)) for i in range(30)])))
    frames = running.house.watch(lambda number: Mode.ALARMED if 5 <= number < 9 else Mode.STANDBY, frames=10)
    assert [info.frame_number for info, _ in frames] == [1, 5, 6, 7, 8, 9, 10, 13, 16, 19]


def test_a_frame_whose_reader_died_with_it_is_published_once_more(
    capturing: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "LOCKSTEP_PATIENCE_S", 0.05)
    running = capturing(camera(mjpeg(tmp_path / "clip.avi", [jpeg(noise(i)) for i in range(5)])))
    first = running.house.next()
    assert first is not None
    again = running.house.next()
    assert again is not None
    assert again[0].published_ns > first[0].published_ns
    assert (again[0]._replace(published_ns=first[0].published_ns), again[1]) == first
    running.house.answer(observed=1)


def test_nothing_goes_on_until_the_frame_itself_was_observed(capturing: Start, tmp_path: Path) -> None:
    running = capturing(camera(mjpeg(tmp_path / "clip.avi", [jpeg(noise(i)) for i in range(5)])))
    assert running.house.next() is not None
    running.house.answer(observed=0, mode=Mode.ALARMED)  # the controller's once a second, about an older frame
    assert running.house.next(0.1) is None
    running.house.answer(observed=1, mode=Mode.ALARMED)
    found = running.house.next()
    assert found is not None
    assert found[0].frame_number == 2


def test_the_heartbeat_says_starting_then_running_then_ended(
    capturing: Start, tmp_path: Path, folder: RunFolder
) -> None:
    running = capturing(camera(mjpeg(tmp_path / "clip.avi", [jpeg(noise(i)) for i in range(12)])))
    running.house.watch(alarmed, frames=12)
    running.heard.until(Health.ENDED)
    assert running.heard.healths == [Health.STARTING, Health.RUNNING, Health.ENDED]
    assert "the clip has ended" in running.heard.reasons
    (beat,) = read_heartbeats(folder).values()
    assert beat.stage == "capture.porch"
    assert beat.health is Health.RUNNING  # the process; its camera has ended
    assert beat.facts == {"mode": "alarmed"}
    assert running.pulse.counters["frames_captured"] == 12
    assert running.pulse.counters["frames_published"] == 12
    assert running.pulse.counters["lost.inference"] == 0


def test_a_camera_that_has_ended_stays_so_and_can_be_stopped(capturing: Start, tmp_path: Path) -> None:
    running = capturing(camera(mjpeg(tmp_path / "clip.avi", [jpeg(grey(1))])))
    running.house.watch(standby, frames=1)
    running.heard.until(Health.ENDED)
    running.house.answer(mode=Mode.ALARMED)
    assert running.house.next(0.1) is None
    assert running.heard.healths[-1] is Health.ENDED


@pytest.mark.parametrize("rate", ["lockstep", "realtime"])
def test_an_oversized_jpeg_is_reported_counted_and_left_out(capturing: Start, tmp_path: Path, rate: str) -> None:
    small = [jpeg(grey(i)) for i in range(3)]
    big = jpeg(noise(1, 256, 256), quality=100)
    path = mjpeg(tmp_path / "clip.avi", [small[0], big, small[1], small[2]])
    running = capturing(camera(path, rate, max_jpeg_bytes=50_000, standby_fps=30.0))
    if rate == "lockstep":  # who watches in real time may miss some
        frames = running.house.watch(standby, frames=3)
        assert [info.frame_number for info, _ in frames] == [1, 3, 4]
        assert [data for _, data in frames] == small
    running.heard.until(Health.RUNNING, Health.DEGRADED, Health.RUNNING, Health.ENDED)
    assert f"a JPEG of {len(big):,} bytes is over max_jpeg_bytes (50,000)" in running.heard.reasons
    assert running.pulse.counters["unusable.oversized"] == 1
    assert running.pulse.counters["frames_published"] == 3


def test_a_clip_that_cannot_be_opened_is_reported_and_opened_when_it_is_there(
    capturing: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "REOPEN_FIRST_S", 0.01)
    monkeypatch.setattr(service, "REOPEN_MOST_S", 0.02)
    path = tmp_path / "clip.avi"
    running = capturing(camera(path))
    running.heard.until(Health.STARTING, Health.FAILED, Health.STARTING, Health.FAILED)
    assert f"cannot open {path}: No such file or directory" in running.heard.reasons
    mjpeg(tmp_path / "made.avi", [jpeg(grey(1))]).rename(path)
    running.house.watch(standby, frames=1)
    running.heard.until(Health.FAILED, Health.RUNNING, Health.ENDED)


def test_a_clip_that_breaks_is_reported_and_begins_again_and_counts_on(
    capturing: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "REOPEN_FIRST_S", 0.01)
    path = mjpeg(tmp_path / "clip.avi", [*(jpeg(noise(i)) for i in range(50)), b"no JPEG"])
    running = capturing(camera(path))
    # 5 s of scene pass in no time: on its second round the clip's clock is behind, and the camera must not be blind.
    frames = running.house.watch(standby, frames=30)
    running.heard.until(Health.RUNNING, Health.FAILED, Health.RUNNING)
    numbers = [info.frame_number for info, _ in frames]
    assert numbers == sorted(set(numbers))
    assert numbers[15] == 51
    assert frames[15][1] == frames[0][1]


def test_a_stop_is_obeyed_while_nobody_answers(capturing: Start, tmp_path: Path) -> None:
    running = capturing(camera(mjpeg(tmp_path / "clip.avi", [jpeg(grey(1))])))
    assert running.house.next() is not None
    running.end()


def test_a_picture_that_grows_gets_a_channel_with_room_for_it(
    capturing: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(service, "open_source", lambda _camera: Growing())
    running = capturing(camera(tmp_path / "none.avi"))
    frames = running.house.watch(alarmed, frames=3)
    assert [(info.width, len(data)) for info, data in frames] == [(64, 64 * 64 * 3), (320, 320 * 64 * 3), (32, 6144)]
    assert [set(data) for _, data in frames] == [{1}, {2}, {3}]


class Growing:
    """A camera whose pictures change their size."""

    clock = Clock.SCENE

    def __init__(self) -> None:
        self._widths = iter((64, 320, 32))
        self._size = self._level = 0

    def grab(self) -> Grabbed | None:
        width = next(self._widths, None)
        if width is None:
            return None
        self._size = PixelFormat.RGB24.raw_size(width, 64)
        self._level += 1
        return Grabbed(self._level * 1_000 * MS, 0, width, 64, PixelFormat.RGB24, self._size)

    def retrieve(self, into: memoryview) -> int:
        into[: self._size] = bytes([self._level]) * self._size
        return self._size

    def fileno(self) -> None: ...

    def pace(self, fps: float | None) -> None: ...

    def counts(self) -> dict[str, float]:
        return {}

    def close(self) -> None: ...


class Late(Growing):
    """A camera that the machine cannot keep up with: each of its frames should have been shown a second ago."""

    clock = Clock.MONOTONIC

    _shutter = threading.Event()

    def grab(self) -> Grabbed | None:
        self._shutter.wait(0.001)  # a thousand frames a second are enough
        self._size = PixelFormat.RGB24.raw_size(64, 64)
        self._level = min(self._level + 1, 255)
        return Grabbed(self._level * MS, 0, 64, 64, PixelFormat.RGB24, self._size)


def test_an_alarm_is_heard_even_where_every_frame_is_late(
    capturing: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(service, "open_source", lambda _camera: Late())
    running = capturing(camera(tmp_path / "none.avi", standby_fps=0.2))
    assert running.house.next() is not None  # the one frame of these five seconds
    running.house.answer(mode=Mode.ALARMED)
    assert running.house.next() is not None

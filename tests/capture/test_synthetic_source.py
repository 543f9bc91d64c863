"""The synthetic camera as a source: its pace, its clocks, its JPEGs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import simplejpeg

from appliance.capture.opening import open_source
from appliance.capture.synthetic import Scene, SceneOptions, read_timestamp, source
from appliance.capture.synthetic.source import SyntheticSource
from appliance.config import Camera
from appliance.config.source import SyntheticSettings
from appliance.messages import Clock, Mode, PixelFormat
from tests.capture.clips import MS, noise

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.capture.conftest import Running

LOCKSTEP = SyntheticSettings(seed=2, width=160, height=90, fps=10, timestamps=True, rate="lockstep")
REALTIME = SyntheticSettings(seed=2, width=160, height=90, fps=10)


def retrieved(camera: SyntheticSource, size: int) -> bytes:
    room = bytearray(size)
    return bytes(room[: camera.retrieve(memoryview(room))])


def test_each_frame_is_a_jpeg_of_the_size_asked_for_and_no_larger_than_was_said() -> None:
    camera = SyntheticSource(LOCKSTEP)
    for _ in range(3):
        grabbed = camera.grab()
        assert grabbed is not None
        assert (grabbed.width, grabbed.height, grabbed.format) == (160, 90, PixelFormat.JPEG)
        jpeg = retrieved(camera, grabbed.size)
        assert simplejpeg.decode_jpeg(jpeg).shape == (90, 160, 3)
    camera.close()


def test_a_picture_that_hardly_compresses_is_made_to_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    camera = SyntheticSource(LOCKSTEP)
    monkeypatch.setattr(Scene, "render", lambda *_: noise(1, 160, 90))
    grabbed = camera.grab()
    assert grabbed is not None
    assert simplejpeg.decode_jpeg(retrieved(camera, grabbed.size)).shape == (90, 160, 3)


def test_the_largest_picture_fits_the_largest_jpeg_that_a_camera_may_give_unless_told_otherwise() -> None:
    grabbed = SyntheticSource(SyntheticSettings(width=1920, height=1080)).grab()
    assert grabbed is not None
    assert grabbed.size <= Camera(id="a", source="synthetic://porch").max_jpeg_bytes


def test_the_picture_is_that_of_the_frame_even_where_frames_were_left_out() -> None:
    camera = SyntheticSource(LOCKSTEP)
    for number in range(7):
        grabbed = camera.grab()
        assert grabbed is not None
        if number % 3 == 0:
            picture = simplejpeg.decode_jpeg(retrieved(camera, grabbed.size))
            assert read_timestamp(picture) == pytest.approx(number / 10)


def test_a_frame_that_nobody_retrieves_is_not_painted(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(Scene, "render", refuse)
    camera = SyntheticSource(LOCKSTEP)
    assert all(camera.grab() is not None for _ in range(1000))


@pytest.mark.parametrize("fps", [1, 10, 29.97])
def test_scene_time_goes_on_by_one_frame_each(fps: float) -> None:
    camera = SyntheticSource(SyntheticSettings(fps=fps, rate="lockstep"))
    frames = [grabbed for grabbed in (camera.grab() for _ in range(100)) if grabbed]
    assert [one.captured_ns - frames[0].captured_ns for one in frames] == [round(i * 1e9 / fps) for i in range(100)]
    assert [one.wall_ns - frames[0].wall_ns for one in frames] == [round(i * 1e9 / fps) for i in range(100)]


class Hands:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.at_ns = 1_000_000 * MS

    def module(self) -> SimpleNamespace:
        return SimpleNamespace(monotonic_ns=lambda: self.at_ns, time_ns=lambda: 10**18 + self.at_ns)


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Hands:
    one = Hands()
    monkeypatch.setattr(source, "time", one.module())
    return one


def test_in_real_time_each_frame_has_the_time_at_which_it_is_due(hands: Hands) -> None:
    camera = SyntheticSource(REALTIME)
    assert camera.clock is Clock.MONOTONIC
    began = hands.at_ns
    for number in range(5):
        grabbed = camera.grab()
        assert grabbed is not None
        assert grabbed.captured_ns == began + number * 100 * MS
        assert grabbed.wall_ns == grabbed.captured_ns + 10**18
        hands.at_ns = grabbed.captured_ns + 30 * MS


def test_a_machine_that_slept_goes_on_from_now(hands: Hands) -> None:
    camera = SyntheticSource(REALTIME)
    camera.grab()
    hands.at_ns += 3_600_000 * MS
    second, third = camera.grab(), camera.grab()
    assert second is not None
    assert third is not None
    assert second.captured_ns == hands.at_ns
    assert third.captured_ns == hands.at_ns + 100 * MS


def test_in_lockstep_it_keeps_its_own_time_however_long_one_looks(hands: Hands) -> None:
    camera = SyntheticSource(LOCKSTEP)
    assert camera.clock is Clock.SCENE
    times = []
    for _ in range(4):
        grabbed = camera.grab()
        assert grabbed is not None
        times.append(grabbed.captured_ns)
        hands.at_ns += 3_600_000 * MS
    assert [at - times[0] for at in times] == [i * 100 * MS for i in range(4)]


def test_a_url_opens_the_scene_that_it_describes() -> None:
    url = "synthetic://porch?seed=9&size=320x180&hour=21&people_per_minute=5&rain=true&timestamps=true&rate=lockstep"
    camera = open_source(Camera(id="porch", source=url))
    assert isinstance(camera, SyntheticSource)
    assert camera._scene.options == SceneOptions(9, 320, 180, 21, 5, rain=True, timestamps=True)
    camera.close()


def test_its_frames_travel_as_any_camera_s_do(capturing: Callable[[Camera], Running]) -> None:
    url = "synthetic://porch?size=160x90&fps=10&timestamps=true&rate=lockstep"
    running = capturing(Camera(id="porch", source=url))
    frames = running.house.watch(lambda _: Mode.ALARMED, frames=4)
    assert [info.frame_number for info, _ in frames] == [1, 2, 3, 4]
    assert {info.format for info, _ in frames} == {PixelFormat.JPEG}
    times = [read_timestamp(simplejpeg.decode_jpeg(data)) for _, data in frames]
    assert np.allclose(times, [0, 0.1, 0.2, 0.3])

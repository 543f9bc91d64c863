"""file:// -- what a clip holds is what the camera gives: pictures, times, end; and a bad one says which it is."""

from __future__ import annotations

import wave
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest

from appliance.capture import file
from appliance.capture.file import FileSource
from appliance.capture.source import Grabbed, SourceError
from appliance.config import FileSource as FileSettings
from appliance.messages import Clock, PixelFormat
from tests.capture.clips import FPS, MS, grey, jpeg, mjpeg, noise, video

if TYPE_CHECKING:
    from collections.abc import Iterator


def lockstep(path: Path, *, loop: bool = False) -> FileSource:
    return FileSource(FileSettings(path, loop, "lockstep"))


def played(path: Path, most: int = 100, *, loop: bool = False) -> list[tuple[Grabbed, bytes]]:
    """Return the frames of a clip and their pictures, at most so many."""
    source = lockstep(path, loop=loop)
    try:
        return list(frames_of(source, most))
    finally:
        source.close()


def frames_of(source: FileSource, most: int) -> Iterator[tuple[Grabbed, bytes]]:
    for _ in range(most):
        grabbed = source.grab()
        if grabbed is None:
            return
        room = bytearray(b"\xaa" * (grabbed.size + 1))
        assert source.retrieve(memoryview(room)[: grabbed.size]) == grabbed.size
        yield grabbed, bytes(room[:-1])


def decoded(path: Path) -> list[Any]:
    """Return the planes of each frame, packed, as PyAV itself gives them: uint8 (height * 3 / 2, width)."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="yuv420p") for frame in container.decode(video=0)]


@pytest.mark.parametrize("ending", ["avi", "mkv", "mov"])
def test_a_jpeg_passes_byte_for_byte(tmp_path: Path, ending: str) -> None:
    jpegs = [jpeg(noise(seed), quality) for seed, quality in enumerate((90, 50, 100))]
    frames = played(mjpeg(tmp_path / f"clip.{ending}", jpegs))
    assert [data for _, data in frames] == jpegs
    assert {(g.width, g.height, g.format) for g, _ in frames} == {(64, 48, PixelFormat.JPEG)}
    assert [g.size for g, _ in frames] == [len(data) for data in jpegs]


def test_the_size_of_a_jpeg_is_its_own_and_not_what_the_clip_claims(tmp_path: Path) -> None:
    ((grabbed, _),) = played(mjpeg(tmp_path / "clip.mkv", [jpeg(noise(0, 80, 40))]))
    assert (grabbed.width, grabbed.height) == (80, 40)


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
@pytest.mark.parametrize("width", [64, 66])  # FFmpeg pads the rows of 66
def test_a_video_frame_is_its_three_planes_packed(tmp_path: Path, codec: str, width: int) -> None:
    path = video(tmp_path / "clip.mp4", [noise(seed, width) for seed in range(5)], codec)
    frames = played(path)
    assert {(g.width, g.height, g.format) for g, _ in frames} == {(width, 48, PixelFormat.I420)}
    assert [data for _, data in frames] == [picture.tobytes() for picture in decoded(path)]


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p"])
def test_odd_sides_are_cropped_to_even_ones(tmp_path: Path, pix_fmt: str) -> None:
    path = video(tmp_path / "clip.mkv", [noise(seed, 65, 47) for seed in range(3)], "ffv1", pix_fmt)
    with av.open(str(path)) as container:
        whole = [frame.reformat(format="yuv420p") for frame in container.decode(video=0)]
    frames = played(path)
    assert {(g.width, g.height, g.size) for g, _ in frames} == {(64, 46, 64 * 46 * 3 // 2)}
    for (_, data), frame in zip(frames, whole, strict=True):
        planes = [np.frombuffer(bytes(plane), np.uint8).reshape(-1, plane.line_size) for plane in frame.planes]
        cropped = planes[0][:46, :64], planes[1][:23, :32], planes[2][:23, :32]
        assert data == b"".join(plane.tobytes() for plane in cropped)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuvj420p", "yuv422p", "gray"])
def test_black_is_16_and_white_235_whatever_the_clip_calls_them(tmp_path: Path, pix_fmt: str) -> None:
    path = video(tmp_path / "clip.mkv", [grey(0), grey(255)], "ffv1" if pix_fmt == "gray" else "libx264", pix_fmt)
    (_, black), (_, white) = played(path)
    assert black[0] == pytest.approx(16, abs=1)
    assert white[0] == pytest.approx(235, abs=1)
    assert black[-1] == pytest.approx(128, abs=1)


def test_a_clip_that_plays_once_ends_with_none_and_stays_ended(tmp_path: Path) -> None:
    source = lockstep(video(tmp_path / "clip.mp4", [grey(i) for i in range(4)]))
    assert len(list(frames_of(source, 100))) == 4
    assert source.grab() is None
    assert source.grab() is None
    source.close()


@pytest.mark.parametrize("ending", ["mp4", "mkv", "avi"])
def test_a_loop_begins_again_and_its_time_goes_on(tmp_path: Path, ending: str) -> None:
    codec = "libx264" if ending != "avi" else "mpeg4"  # B-frames: pictures that FFmpeg holds back at the end
    path = video(tmp_path / f"clip.{ending}", [noise(seed) for seed in range(4)], codec)
    frames = played(path, 12, loop=True)
    assert [g.captured_ns - frames[0][0].captured_ns for g, _ in frames] == [i * 100 * MS for i in range(12)]
    assert [g.wall_ns - frames[0][0].wall_ns for g, _ in frames] == [i * 100 * MS for i in range(12)]
    pictures = [data for _, data in frames]
    assert pictures[:4] == pictures[4:8] == pictures[8:]
    assert len(set(pictures)) == 4


def test_a_loop_of_jpegs_begins_again(tmp_path: Path) -> None:
    jpegs = [jpeg(noise(seed)) for seed in range(3)]
    frames = played(mjpeg(tmp_path / "clip.avi", jpegs), 7, loop=True)
    assert [data for _, data in frames] == [*jpegs, *jpegs, jpegs[0]]
    times = [g.captured_ns for g, _ in frames]
    assert [later - earlier for earlier, later in pairwise(times)] == [100 * MS] * 6


def test_a_loop_of_a_single_picture_has_growing_times(tmp_path: Path) -> None:
    times = [g.captured_ns for g, _ in played(video(tmp_path / "clip.mkv", [grey(1)], "libx264"), 5, loop=True)]
    assert times == sorted(set(times))


def test_scene_time_begins_with_the_first_picture_wherever_the_clip_has_it(tmp_path: Path) -> None:
    path = video(tmp_path / "clip.mkv", [grey(i) for i in range(3)], "libx264", first_pts=50)
    source = lockstep(path, loop=True)
    times = [grabbed.captured_ns - source._start_ns for grabbed, _ in frames_of(source, 6)]
    source.close()
    assert times == [i * 100 * MS for i in range(6)]


@pytest.mark.parametrize(("rate", "clock"), [("lockstep", Clock.SCENE), ("realtime", Clock.MONOTONIC)])
def test_a_lockstep_clip_follows_scene_time_and_a_realtime_one_the_clock(
    tmp_path: Path, rate: Any, clock: Clock
) -> None:
    source = FileSource(FileSettings(video(tmp_path / "clip.mp4", [grey(0)]), rate=rate))
    assert source.clock is clock
    source.close()


class Hands:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.at_ns = 1_000_000 * MS

    def module(self) -> SimpleNamespace:
        return SimpleNamespace(monotonic_ns=lambda: self.at_ns, time_ns=lambda: 10**18 + self.at_ns)


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Hands:
    one = Hands()
    monkeypatch.setattr(file, "time", one.module())
    return one


def test_in_real_time_each_frame_has_the_time_at_which_the_clip_shows_it(tmp_path: Path, hands: Hands) -> None:
    path = video(tmp_path / "clip.mp4", [grey(i) for i in range(5)])
    source = FileSource(FileSettings(path))
    began = hands.at_ns
    for number, (grabbed, _) in enumerate(frames_of(source, 5)):
        assert grabbed.captured_ns == began + number * 1_000 * MS // FPS
        assert grabbed.wall_ns == grabbed.captured_ns + 10**18
        hands.at_ns = grabbed.captured_ns + 30 * MS  # a little late, as ever
    source.close()


def test_a_machine_that_slept_goes_on_from_now(tmp_path: Path, hands: Hands) -> None:
    source = FileSource(FileSettings(video(tmp_path / "clip.mp4", [grey(i) for i in range(5)])))
    source.grab()
    hands.at_ns += 3_600_000 * MS
    (third, _), (fourth, _) = frames_of(source, 2)
    assert third.captured_ns == hands.at_ns
    assert third.wall_ns == hands.at_ns + 10**18
    assert fourth.captured_ns == hands.at_ns + 100 * MS
    source.close()


def test_a_clip_in_lockstep_keeps_its_own_time_however_long_one_looks(tmp_path: Path, hands: Hands) -> None:
    source = lockstep(video(tmp_path / "clip.mp4", [grey(i) for i in range(5)]))
    times = []
    for grabbed, _ in frames_of(source, 5):
        times.append(grabbed.captured_ns)
        hands.at_ns += 3_600_000 * MS
    source.close()
    assert [at - times[0] for at in times] == [i * 100 * MS for i in range(5)]


def test_a_file_name_is_a_file_name_even_where_ffmpeg_would_see_a_protocol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mjpeg(tmp_path / "clip.mkv", [jpeg(grey(9))]).rename(tmp_path / "12:30 %d?#.mkv")
    assert len(played(Path("12:30 %d?#.mkv"))) == 1


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("No clip at all. " * 1000)


def folder(path: Path) -> None:
    path.mkdir()


def missing(path: Path) -> None:
    """Leave nothing there."""


def sound(path: Path) -> None:
    with wave.open(str(path), "wb") as tone:
        tone.setnchannels(1)
        tone.setsampwidth(2)
        tone.setframerate(8000)
        tone.writeframes(bytes(1600))


def without_its_end(path: Path) -> None:
    video(path, [noise(seed) for seed in range(10)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])  # an mp4's index is at its end


def broken_in_the_middle(path: Path) -> None:
    video(path, [noise(seed) for seed in range(30)], "libx264", options={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def broken_jpegs(path: Path) -> None:
    mjpeg(path, [jpeg(grey(1)), b"this is no JPEG, whatever the clip says"])


def without_pictures(path: Path) -> None:
    whole = video(path, [noise(0)], "libx264").read_bytes()
    path.write_bytes(whole[: whole.index(b"\x1fC\xb6u") + 40])  # Matroska's first cluster, its picture cut off


@pytest.mark.parametrize("loop", [False, True], ids=["once", "looped"])
@pytest.mark.parametrize(
    ("spoil", "name", "words"),
    [
        (empty, "clip.mp4", "Invalid data found"),
        (text, "clip.mp4", "Invalid data found"),
        (folder, "clip.mp4", "Is a directory"),
        (missing, "clip.mp4", "No such file"),
        (sound, "clip.wav", "has no video"),
        (without_its_end, "clip.mp4", "Invalid data found"),
        (broken_in_the_middle, "clip.mp4", "Invalid data found"),
        (broken_jpegs, "clip.avi", "holds a broken JPEG"),
        (without_pictures, "clip.mkv", "holds no picture"),
    ],
)
def test_a_bad_clip_is_refused_with_its_path_and_what_is_wrong(
    tmp_path: Path, spoil: Any, name: str, words: str, loop: bool
) -> None:
    path = tmp_path / name
    spoil(path)
    with pytest.raises(SourceError) as caught:
        played(path, loop=loop)
    assert str(path) in str(caught.value)
    assert words in str(caught.value)


def test_what_lies_before_a_break_is_played(tmp_path: Path) -> None:
    broken_in_the_middle(tmp_path / "clip.mp4")
    source = lockstep(tmp_path / "clip.mp4")
    frames = frames_of(source, 30)
    assert len({next(frames)[1] for _ in range(5)}) == 5
    with pytest.raises(SourceError):
        list(frames)
    source.close()

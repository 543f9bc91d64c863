"""One camera, examined: what it gives is measured, what is wrong is said in words, and nothing is given away."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import simplejpeg

from appliance.capture.source import Grabbed, SourceError
from appliance.cli import main
from appliance.doctor import camera
from appliance.doctor.finding import Finding, Level
from appliance.messages import Clock, PixelFormat

SCENE = "synthetic://porch?size=320x180&fps=10"


class Lamp:
    """A recorded source of plain pictures of one brightness; it breaks after so many frames."""

    clock = Clock.SCENE

    def __init__(self, brightness: int, breaks_after: int = 1000, size: tuple[int, int] = (320, 180)) -> None:
        picture = np.zeros((size[1], size[0], 3), np.uint8)
        picture[:, size[0] // 2 :] = brightness  # one half of it is black
        self._jpeg = simplejpeg.encode_jpeg(picture)
        self._size = size
        self._number, self._breaks_after = 0, breaks_after
        self.closed = False

    def fileno(self) -> None:
        return None

    def grab(self) -> Grabbed | None:
        self._number += 1
        if self._number > self._breaks_after:
            raise SourceError("the cable was cut")
        if self._number > 20:
            return None
        at = self._number * 100_000_000
        return Grabbed(at, at, *self._size, PixelFormat.JPEG, len(self._jpeg))

    def retrieve(self, into: memoryview) -> int:
        into[: len(self._jpeg)] = self._jpeg
        return len(self._jpeg)

    def pace(self, fps: float | None) -> None: ...

    def counts(self) -> dict[str, int]:
        return {"broken": 2, "late": 0}

    def close(self) -> None:
        self.closed = True


def examined(monkeypatch: pytest.MonkeyPatch, source: Lamp, folder: Path) -> list[Finding]:
    monkeypatch.setattr(camera, "open_source", lambda _camera: source)
    found = list(camera.examine(SCENE, 1, folder / "picture.jpg"))
    assert source.closed
    return found


def levels(found: list[Finding]) -> list[Level]:
    return [finding.level for finding in found]


def test_a_camera_that_is_well_is_measured_and_its_picture_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "picture.jpg"
    code = main(["doctor", "camera", SCENE, "--seconds", "0.5", "--picture", str(picture), "--json"])
    said = json.loads(capsys.readouterr().out)
    assert code == 0
    assert "320x180 JPEG" in said["findings"][0]["text"]
    assert "frames per second" in said["findings"][0]["text"]
    assert simplejpeg.decode_jpeg(picture.read_bytes()).shape == (180, 320, 3)


def test_the_frame_rate_is_that_of_the_pictures_times(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = examined(monkeypatch, Lamp(128), tmp_path)
    assert "10.0 frames per second" in found[0].text


def test_frames_that_could_not_be_used_are_counted_by_kind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = examined(monkeypatch, Lamp(128), tmp_path)
    assert "2 frames could not be used (2 broken)" in [finding.text for finding in found]


@pytest.mark.parametrize(("brightness", "words"), [(0, "nothing to be seen"), (30, "very dark")])
def test_a_picture_that_shows_nothing_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, brightness: int, words: str
) -> None:
    found = examined(monkeypatch, Lamp(brightness), tmp_path)
    assert any(words in finding.text for finding in found if finding.level is Level.WARNING)


def test_a_picture_that_is_larger_than_needed_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = examined(monkeypatch, Lamp(128, size=(2560, 1440)), tmp_path)
    assert any("sub stream" in finding.remedy for finding in found)


def test_a_camera_that_breaks_is_a_problem_with_what_it_gave_before(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = examined(monkeypatch, Lamp(128, breaks_after=5), tmp_path)
    assert (found[0].level, found[0].text) == (Level.PROBLEM, "the cable was cut")
    assert "320x180 JPEG" in found[1].text
    assert (tmp_path / "picture.jpg").exists()


def test_a_picture_that_cannot_be_written_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = examined(monkeypatch, Lamp(128), tmp_path / "nowhere")
    assert any("cannot write" in finding.text for finding in found)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://me:s3cretword@camera/x",
        "rtsp://me:s3cretword@127.0.0.1:9/x",
        "http://me:s3cretword@127.0.0.1:9/x",
        "http://me:s3cretword@camera:port/x",
    ],
)
def test_what_cannot_be_opened_is_a_problem_in_words_without_its_password(
    url: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["doctor", "camera", url, "--picture", str(tmp_path / "picture.jpg")]) == 1
    said = capsys.readouterr()
    assert "problem" in said.out
    assert "s3cretword" not in said.out + said.err

"""Trained weights on real footage: a person is found where there is one, and only there.

The weights are DEIMv2-Femto's behind RF-DETR's contract (../shared/models/README.md), not RF-DETR's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import simplejpeg

from appliance import coco
from appliance.capture.file import FileSource
from appliance.config import FileSource as FileSettings
from appliance.inference.backends.onnxruntime_cpu import OnnxRuntimeCpu
from appliance.inference.picture import Decoder
from appliance.inference.rfdetr import postprocess
from appliance.messages import Frame, FrameInfo, PixelFormat
from tests.inference.reference import best_score, expected_tensor
from tests.rig import CLIP, MODEL, SHARED, need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from appliance.messages import Rows

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

THRESHOLD = 0.5
LOWEST = 0.05
THREADS = 2
STILLS = ("bicycle", "bus", "car", "car_bicycle", "car_bus", "cat", "dog", "dog_bicycle")
HAND = SHARED / "media" / "bottle-detection.mp4"
VISITS = ((6.3, 19.5), (22.8, 44.7), (51.0, 69.6), (74.7, 86.7), (92.7, 119.7), (123.9, 135.9))
"""Seconds into the clip (../shared/media/README.md)."""
EDGE_S = 1.0
JPEG_QUALITY = 85


class Eye:
    """A picture in, the best person's score out, by the stage's own steps or by the plain reference."""

    def __init__(self, model: Path) -> None:
        self._detector = OnnxRuntimeCpu(model, THREADS)
        self.side = self._detector.info.side
        self._decoder = Decoder(self.side)

    def rows(self, frame: Frame) -> Rows:
        """Return what the stage publishes, from the lowest score that anybody can ask for."""
        self._detector.take(frame)
        dets, labels = self._detector.detect()
        return postprocess(dets, labels, frame.info.width, frame.info.height, LOWEST)

    def best_person(self, frame: Frame) -> float:
        rows = self.rows(frame)
        return float(rows.scores[rows.class_ids == coco.PERSON].max(initial=0))

    def best_person_by_the_reference(self, frame: Frame) -> float:
        """Resize, normalisation and scores by their definitions; the same pixels, and the same session."""
        self._detector.tensor[:] = expected_tensor(self._decoder.decode(frame), self.side)
        _, labels = self._detector.detect()
        return best_score(labels, coco.PERSON)

    def rgb(self, frame: Frame) -> Any:
        """Return the picture as it is; overwritten by the next call."""
        return self._decoder.decode(frame)


@pytest.fixture(scope="module")
def eye() -> Eye:
    need(MODEL)
    return Eye(MODEL)


def frames(clip: Path, every: int = 1) -> Iterator[tuple[float, Frame]]:
    """Return each `every`th frame of the clip, and its second in it."""
    need(clip)
    source = FileSource(FileSettings(clip, rate="lockstep"))
    number = began_ns = 0
    while (grabbed := source.grab()) is not None:
        began_ns = began_ns or grabbed.captured_ns
        number += 1
        if number % every:
            continue
        picture = bytearray(grabbed.size)
        source.retrieve(memoryview(picture))
        info = FrameInfo(number, grabbed.captured_ns, grabbed.wall_ns, grabbed.width, grabbed.height, grabbed.format)
        yield (grabbed.captured_ns - began_ns) / 1e9, Frame(info, memoryview(picture))
    source.close()


def a_frame(data: Any, width: int, height: int, kind: PixelFormat) -> Frame:
    return Frame(FrameInfo(1, 0, 0, width, height, kind), memoryview(data))


@pytest.mark.parametrize("name", STILLS)
def test_nobody_is_seen_where_there_are_only_things_and_pets(eye: Eye, name: str) -> None:
    still = SHARED / "media" / "stills" / f"{name}.jpg"
    need(still)
    data = still.read_bytes()
    height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    assert eye.best_person(a_frame(data, width, height, PixelFormat.JPEG)) < THRESHOLD


def test_the_six_visits_are_seen_and_the_empty_room_between_them_is_empty(eye: Eye) -> None:
    wrong: list[str] = []
    looks = 0
    for seconds, frame in frames(CLIP, every=10):
        if any(abs(seconds - edge) <= EDGE_S for visit in VISITS for edge in visit):
            continue
        looks += 1
        score = eye.best_person(frame)
        if (score >= THRESHOLD) != any(first <= seconds <= last for first, last in VISITS):
            wrong.append(f"{seconds:.1f} s: {score:.2f}")
    assert looks > 100
    assert not wrong


def test_in_every_frame_somebody_is_seen_exactly_where_the_plain_reference_sees_somebody(
    eye: Eye, figure: Callable[[str, str], None]
) -> None:
    scores = np.array([(eye.best_person(f), eye.best_person_by_the_reference(f)) for _, f in frames(CLIP)])
    ours, plain = scores.T
    seen = plain >= THRESHOLD
    apart = np.abs(np.where(ours < LOWEST, plain, ours) - plain)  # what is not reported has no score
    figure(
        f"best person against the plain reference, {len(scores)} frames, somebody in {np.count_nonzero(seen)}",
        f"scores apart by {apart.mean():.4f} on average, {apart.max():.3f} at most; "
        f"the nearest to {THRESHOLD:g} is {np.abs(plain - THRESHOLD).min():.4f} away",
    )
    assert len(scores) == 1394
    assert np.count_nonzero(seen) > 1000
    wrong = np.flatnonzero((ours >= THRESHOLD) != seen)
    assert [f"frame {at}: {ours[at]:.4f}, by the reference {plain[at]:.4f}" for at in wrong] == []


@pytest.mark.parametrize(("factor", "every"), [(2, 5), (4, 25)])
def test_a_jpeg_decoded_at_a_smaller_scale_changes_no_decision(
    eye: Eye, figure: Callable[[str, str], None], factor: int, every: int
) -> None:
    """The clip is enlarged by `factor`: so much smaller, its JPEG still covers the input. Every fifth or 25th frame is
    enough: enlarging and encoding take longer than looking.
    """
    scores = []
    for _, frame in frames(CLIP, every):
        rgb = eye.rgb(frame)
        large = cv2.resize(rgb, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
        height, width = large.shape[:2]
        data = simplejpeg.encode_jpeg(large, JPEG_QUALITY)
        whole = np.ascontiguousarray(simplejpeg.decode_jpeg(data, "RGB")).data.cast("B")
        jpeg = a_frame(data, width, height, PixelFormat.JPEG)
        assert eye.rgb(jpeg).shape == (height // factor, width // factor, 3)  # else there is nothing to compare
        scores.append((eye.best_person(jpeg), eye.best_person(a_frame(whole, width, height, PixelFormat.RGB24))))
    scaled, full = np.array(scores).T
    figure(
        f"JPEG decoded at 1/{factor} against all of it, {len(scores)} frames of {width}x{height}",
        f"best person's scores apart by {np.abs(scaled - full).mean():.4f} on average, "
        f"{np.abs(scaled - full).max():.3f} at most",
    )
    assert np.count_nonzero(full >= THRESHOLD) > len(full) // 2
    assert np.flatnonzero((scaled >= THRESHOLD) != (full >= THRESHOLD)).tolist() == []


def test_the_hand_that_reaches_for_bottles_is_called_a_person_as_often_as_it_was(
    eye: Eye, figure: Callable[[str, str], None]
) -> None:
    """A hard case for false alarms, reported as it is: no promise, but a change must be noticed."""
    scores = np.array([eye.best_person(frame) for _, frame in frames(HAND)])
    share = np.count_nonzero(scores >= THRESHOLD) / len(scores)
    figure(
        f"{HAND.name}: a hand, {len(scores)} frames",
        f"called a person at {THRESHOLD:g} in {share:.1%} of them, best score {scores.max():.3f}",
    )
    assert 0.19 <= share <= 0.23
    assert 0.77 <= scores.max() <= 0.85

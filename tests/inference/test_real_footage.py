"""Trained weights on real footage: a person is found where there is one, and only there.

The weights are DEIMv2-Femto's behind RF-DETR's contract (../shared/models/README.md), not RF-DETR's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import simplejpeg

from appliance.capture.file import FileSource
from appliance.config import FileSource as FileSettings
from appliance.inference.onnxruntime_cpu import OnnxRuntimeCpu
from appliance.inference.picture import Decoder
from appliance.inference.rfdetr import Preprocessor, postprocess
from appliance.messages import Frame, FrameInfo, PixelFormat
from tests.rig import CLIP, MODEL, SHARED, need

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.real

PERSON = 1
THRESHOLD = 0.5
STILLS = ("bicycle", "bus", "car", "car_bicycle", "car_bus", "cat", "dog", "dog_bicycle")
VISITS = ((6.3, 19.5), (22.8, 44.7), (51.0, 69.6), (74.7, 86.7), (92.7, 119.7), (123.9, 135.9))
"""Seconds into the clip (../shared/media/README.md)."""
EDGE_S = 1.0


class Eye:
    """A picture in, the best person's score out, by the stage's own steps."""

    def __init__(self, model: Path) -> None:
        self._detector = OnnxRuntimeCpu(model, None)
        self._decoder = Decoder(self._detector.info.side)
        self._preprocessor = Preprocessor(self._detector.info.side)

    def best_person(self, frame: Frame) -> float:
        tensor = self._preprocessor.fill(self._decoder.decode(frame))
        dets, labels = self._detector.detect(tensor)
        rows = postprocess(dets, labels, frame.info.width, frame.info.height, 0.05)
        return max((float(s) for s, c in zip(rows.scores, rows.class_ids, strict=True) if c == PERSON), default=0.0)


@pytest.fixture(scope="module")
def eye() -> Eye:
    need(MODEL)
    return Eye(MODEL)


@pytest.mark.parametrize("name", STILLS)
def test_nobody_is_seen_where_there_are_only_things_and_pets(eye: Eye, name: str) -> None:
    still = SHARED / "media" / "stills" / f"{name}.jpg"
    need(still)
    data = still.read_bytes()
    height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    assert eye.best_person(Frame(FrameInfo(1, 0, 0, width, height, PixelFormat.JPEG), memoryview(data))) < THRESHOLD


def test_the_six_visits_are_seen_and_the_empty_room_between_them_is_empty(eye: Eye) -> None:
    need(CLIP)
    source = FileSource(FileSettings(CLIP, rate="lockstep"))
    wrong: list[str] = []
    number = looks = began_ns = 0
    while (grabbed := source.grab()) is not None:
        began_ns = began_ns or grabbed.captured_ns
        seconds = (grabbed.captured_ns - began_ns) / 1e9
        number += 1
        if number % 10 or any(abs(seconds - edge) <= EDGE_S for visit in VISITS for edge in visit):
            continue
        looks += 1
        picture = bytearray(grabbed.size)
        source.retrieve(memoryview(picture))
        info = FrameInfo(number, grabbed.captured_ns, grabbed.wall_ns, grabbed.width, grabbed.height, grabbed.format)
        score = eye.best_person(Frame(info, memoryview(picture)))
        if (score >= THRESHOLD) != any(first <= seconds <= last for first, last in VISITS):
            wrong.append(f"{seconds:.1f} s: {score:.2f}")
    source.close()
    assert looks > 100
    assert not wrong

"""Zones and masks on real footage, seen through a real model (DEIMv2-Femto behind RF-DETR's contract)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

import pytest

from appliance.capture.file import FileSource
from appliance.config import FileSource as FileSettings
from appliance.controller.sightings import Sieve, Sightings
from appliance.inference.backends import REFERENCE, open_backend
from appliance.inference.rfdetr import postprocess
from appliance.messages import Detections, Frame, FrameInfo
from tests.rig import CLIP, MODEL, SHARED, need

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from appliance.polygon import Spot

pytestmark = pytest.mark.real

BOTTLES = SHARED / "media" / "bottle-detection.mp4"
VISITS = ((6.3, 19.5), (22.8, 44.7), (51.0, 69.6), (74.7, 86.7), (92.7, 119.7), (123.9, 135.9))
"""Seconds into CLIP (../shared/media/README.md)."""
EDGE_S = 1.0
EVERY = 5
PERSON = 1


@dataclass(frozen=True)
class ZoneSettings:
    id: str
    polygon: tuple[Spot, ...]
    point: Literal["feet", "centre"] = "feet"


@dataclass(frozen=True)
class Settings:
    classes: frozenset[int] = frozenset({PERSON})
    threshold: float = 0.5
    min_height: float = 0.0
    max_height: float = 1.0
    masks: tuple[tuple[Spot, ...], ...] = ()
    zones: tuple[ZoneSettings, ...] = ()
    only_in_zones: bool = False


TABLE = ZoneSettings("table", ((0.50, 0.80), (0.72, 0.80), (0.74, 0.96), (0.50, 0.96)))
"""The floor before the high table, where each visitor stops to read."""
WINDOW = ZoneSettings("window", ((0.0, 0.55), (0.30, 0.55), (0.30, 1.0), (0.0, 1.0)))
"""The floor below the window. Nobody sets foot there, but shoulders lean in from the right."""
WALL = ZoneSettings("wall", ((0.0, 0.0), (1.0, 0.0), (1.0, 0.7), (0.0, 0.7)))
"""Nobody can stand on it; everybody stands before it."""
WALL_BY_CENTRE = ZoneSettings("wall_by_centre", WALL.polygon, "centre")

HAND = ((0.0, 0.2), (0.88, 0.2), (0.88, 0.92), (0.0, 0.92))
"""Where the hands that reach in from above come to an end, around the bottles."""
LEFT_BOTTLE = ((0.0, 0.2), (0.3, 0.2), (0.3, 0.92), (0.0, 0.92))


def detected(path: Path) -> list[tuple[float, Detections]]:
    """Return each EVERY-th frame's second in the clip and its rows, through the inference stage's own steps."""
    detector = open_backend(REFERENCE, MODEL, None, threads=2)
    source = FileSource(FileSettings(path, rate="lockstep"))
    looks: list[tuple[float, Detections]] = []
    number = began_ns = 0
    while (grabbed := source.grab()) is not None:
        began_ns = began_ns or grabbed.captured_ns
        number += 1
        if number % EVERY:
            continue
        picture = bytearray(grabbed.size)
        source.retrieve(memoryview(picture))
        info = FrameInfo(number, grabbed.captured_ns, grabbed.wall_ns, grabbed.width, grabbed.height, grabbed.format)
        detector.take(Frame(info, memoryview(picture)))
        dets, labels = detector.detect()
        rows = postprocess(dets, labels, info.width, info.height, 0.05)
        looks.append(((grabbed.captured_ns - began_ns) / 1e9, Detections(info, rows)))
    source.close()
    detector.close()
    return looks


@pytest.fixture(scope="module")
def looks_at() -> Callable[[Path], list[tuple[float, Detections]]]:
    """Detect each clip once."""
    return cache(detected)


def sifted(looks: list[tuple[float, Detections]], settings: Settings) -> list[tuple[float, Sightings]]:
    sieve = Sieve(settings)
    return [(second, sieve.sift(look.rows, look.frame.width, look.frame.height)) for second, look in looks]


@pytest.fixture(scope="module")
def room(looks_at: Callable[[Path], list[tuple[float, Detections]]]) -> list[tuple[float, Sightings]]:
    need(CLIP, MODEL)
    return sifted(looks_at(CLIP), Settings(zones=(TABLE, WINDOW, WALL, WALL_BY_CENTRE)))


def frames_in(found: list[tuple[float, Sightings]], zone: str, first: float, last: float) -> int:
    return sum(sightings.zones[zone].count > 0 for second, sightings in found if first <= second <= last)


def test_in_each_visit_the_zone_that_is_crossed_counts(room: list[tuple[float, Sightings]]) -> None:
    for first, last in VISITS:
        assert frames_in(room, "table", first, last) >= 10, f"the visit from {first} s"


def test_between_the_visits_no_zone_counts(room: list[tuple[float, Sightings]]) -> None:
    edges = [0.0, *(edge for visit in VISITS for edge in visit), 139.0]
    for zone in ("table", "window", "wall", "wall_by_centre"):
        for left, came in zip(edges[::2], edges[1::2], strict=True):
            assert frames_in(room, zone, left + EDGE_S, came - EDGE_S) == 0


def test_the_zone_that_nobody_enters_never_counts_though_boxes_reach_into_it(
    room: list[tuple[float, Sightings]],
) -> None:
    leaning = [
        best.box
        for _, sightings in room
        if (best := sightings.camera.best) and best.box[0] < 0.29 * 768 and best.box[3] > 0.6 * 432
    ]
    assert leaning
    assert all(sightings.zones["window"].count == 0 for _, sightings in room)


def test_feet_are_never_on_the_wall_and_centres_often_are(room: list[tuple[float, Sightings]]) -> None:
    assert all(sightings.zones["wall"].count == 0 for _, sightings in room)
    assert sum(sightings.zones["wall_by_centre"].count for _, sightings in room) > 100


def test_a_camera_that_looks_only_below_the_window_sees_nobody(
    looks_at: Callable[[Path], list[tuple[float, Detections]]],
) -> None:
    need(CLIP, MODEL)
    found = sifted(looks_at(CLIP), Settings(zones=(WINDOW,), only_in_zones=True))
    assert all(sightings.camera.count == 0 for _, sightings in found)
    assert sum(sightings.left_out.outside for _, sightings in found) > 150


def test_a_mask_over_the_hand_silences_it(looks_at: Callable[[Path], list[tuple[float, Detections]]]) -> None:
    need(BOTTLES, MODEL)
    looks = looks_at(BOTTLES)
    unmasked = sum(sightings.camera.count for _, sightings in sifted(looks, Settings()))
    assert unmasked > 40, "a hard case: without a mask the hand counts"
    masked = [sightings for _, sightings in sifted(looks, Settings(masks=(HAND,)))]
    assert all(sightings.camera.count == 0 for sightings in masked)
    assert sum(sightings.left_out.mask for sightings in masked) == unmasked


def test_a_mask_beside_it_leaves_it_counting(looks_at: Callable[[Path], list[tuple[float, Detections]]]) -> None:
    need(BOTTLES, MODEL)
    found = [sightings for _, sightings in sifted(looks_at(BOTTLES), Settings(masks=(LEFT_BOTTLE,)))]
    assert sum(sightings.left_out.mask for sightings in found) > 10
    assert sum(sightings.camera.count for sightings in found) > 10

"""Where a box stands, and in which zones."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nan
from typing import TYPE_CHECKING, Literal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from appliance.controller.zones import Place, Zone, placed

if TYPE_CHECKING:
    from appliance.controller.zones import Box
    from appliance.polygon import Spot

WIDTH, HEIGHT = 640, 480
numbers = st.floats(-1000, 1000, width=32)


@dataclass(frozen=True)
class Settings:
    polygon: tuple[Spot, ...]
    point: Literal["feet", "centre"] = "feet"
    id: str = "drive"


def standing(box: Box) -> Place:
    place = placed(box, WIDTH, HEIGHT)
    assert place is not None
    return place


def rectangle(left: float, top: float, right: float, bottom: float) -> tuple[Spot, ...]:
    return ((left, top), (right, top), (right, bottom), (left, bottom))


def test_the_feet_are_the_middle_of_the_lower_edge() -> None:
    assert standing((160, 120, 320, 360)) == Place(feet=(0.375, 0.75), centre=(0.375, 0.5), height=0.5)


def test_of_a_clipped_box_the_part_in_the_picture_stands_somewhere() -> None:
    assert standing((-100, -100, 320, 240)) == Place((0.25, 0.5), (0.25, 0.25), 0.5)
    assert standing((320, 240, 9000, 9000)) == Place((0.75, 1.0), (0.75, 0.75), 0.5)
    assert standing((-inf, -inf, inf, inf)) == Place((0.5, 1.0), (0.5, 0.5), 1.0)


def test_feet_below_the_picture_stand_at_its_lower_border() -> None:
    strip = Zone(Settings(rectangle(0, 0.8, 1, 1)))
    assert strip.holds(standing((100, 100, 200, 480)))
    assert strip.holds(standing((100, 100, 200, 483.5))), "a model's box reaches a little over the border"


def test_a_box_as_large_as_the_picture_has_height_one() -> None:
    assert standing((0, 0, WIDTH, HEIGHT)).height == 1
    assert standing((-3, -3, WIDTH + 3, HEIGHT + 3)).height == 1


@pytest.mark.parametrize(
    "box",
    [
        (-200, 100, -100, 200),
        (650, 100, 700, 200),
        (100, -50, 200, -1),
        (100, 490, 200, 600),
        (nan, 100, 200, 200),
        (100, nan, 200, 200),
        (100, 100, nan, 200),
        (100, 100, 200, nan),
        (200, 100, 100, 200),
        (100, 200, 200, 100),
    ],
)
def test_what_is_no_box_or_beside_the_picture_stands_nowhere(box: Box) -> None:
    assert placed(box, WIDTH, HEIGHT) is None


def test_in_a_picture_without_size_nobody_stands_anywhere() -> None:
    assert placed((0, 0, 0, 0), 0, 480) is None
    assert placed((0, 0, 0, 0), 640, 0) is None


@given(numbers, numbers, numbers, numbers, st.integers(1, 800), st.integers(1, 800))
def test_whoever_stands_somewhere_stands_in_the_picture(
    x1: float, y1: float, x2: float, y2: float, width: int, height: int
) -> None:
    assume(x1 <= x2 and y1 <= y2)
    place = placed((x1, y1, x2, y2), width, height)
    touches = x2 >= 0 and y2 >= 0 and x1 <= width and y1 <= height
    assert (place is not None) == touches
    if place is not None:
        assert all(0 <= share <= 1 for share in (*place.feet, *place.centre, place.height))
        assert place.feet[0] == place.centre[0]
        assert place.feet[1] >= place.centre[1]


def test_a_zone_takes_the_feet_or_the_centre() -> None:
    wall = rectangle(0, 0, 1, 0.6)
    place = standing((100, 48, 200, 432))
    assert not Zone(Settings(wall)).holds(place)
    assert Zone(Settings(wall, "centre")).holds(place)


def test_on_a_shared_border_one_is_in_both_zones() -> None:
    left, right = Zone(Settings(rectangle(0, 0, 0.5, 1))), Zone(Settings(rectangle(0.5, 0, 1, 1)))
    on_it = standing((300, 100, 340, 300))
    assert on_it.feet[0] == 0.5
    assert left.holds(on_it)
    assert right.holds(on_it)


@given(st.floats(0, 1, width=32), st.floats(0, 1, width=32), numbers, numbers)
def test_nobody_slips_between_neighbouring_zones(above: float, below: float, x: float, y: float) -> None:
    left = Zone(Settings(((0, 0), (above, 0), (below, 1), (0, 1))))
    right = Zone(Settings(((above, 0), (1, 0), (1, 1), (below, 1))))
    place = placed((x - 30, y - 90, x + 30, y), WIDTH, HEIGHT)
    assert place is None or left.holds(place) or right.holds(place)

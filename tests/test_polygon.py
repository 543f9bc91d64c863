"""Which spots a polygon holds, and which points make none."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import dist, inf, nan
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from appliance.polygon import Polygon, PolygonError, usable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.polygon import Spot

SQUARE = [(0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75)]
HORSESHOE = [(0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.7, 0.9), (0.7, 0.3), (0.3, 0.3), (0.3, 0.9), (0.1, 0.9)]
STAR = [(0.5, 0.0), (0.8, 0.9), (0.0, 0.35), (1.0, 0.35), (0.2, 0.9)]
"""Drawn in one go, five lines: its middle is gone around twice."""

eighths = st.integers(0, 8).map(lambda number: number / 8)
sixteenths = st.integers(-1, 17).map(lambda number: number / 16)
shares = st.floats(0, 1, width=32)


def outlines(values: st.SearchStrategy[float]) -> st.SearchStrategy[list[Spot]]:
    return st.lists(st.tuples(values, values), min_size=3, max_size=9)


def sides(points: Sequence[Spot]) -> list[tuple[Spot, Spot]]:
    return list(pairwise([*points, points[0]]))


def turns(points: Sequence[Spot], spot: Spot) -> int | None:
    """Count how often the outline goes around the spot, in quarter turns of exact numbers; None: the spot is on it."""
    quarters = 0
    x, y = map(Fraction, spot)
    for one, other in sides(points):
        ax, ay = Fraction(one[0]) - x, Fraction(one[1]) - y
        bx, by = Fraction(other[0]) - x, Fraction(other[1]) - y
        side = ax * by - ay * bx
        if side == 0 and ax * bx + ay * by <= 0:
            return None
        step = (quadrant(bx, by) - quadrant(ax, ay)) % 4
        quarters += {0: 0, 1: 1, 2: 2 if side > 0 else -2, 3: -1}[step]
    assert quarters % 4 == 0
    return quarters // 4


def quadrant(x: Fraction, y: Fraction) -> int:
    if x > 0 and y >= 0:
        return 0
    if x <= 0 and y > 0:
        return 1
    return 2 if x < 0 else 3


def distance(spot: Spot, one: Spot, other: Spot) -> float:
    """Return how far a spot is from the line between two."""
    length = dist(one, other)
    if length == 0:
        return dist(spot, one)
    along = sum((s - o) * (t - o) for s, o, t in zip(spot, one, other, strict=True)) / length**2
    along = min(1, max(0, along))
    nearest = (one[0] + along * (other[0] - one[0]), one[1] + along * (other[1] - one[1]))
    return dist(spot, nearest)


@given(outlines(eighths), sixteenths, sixteenths)
def test_it_holds_what_its_outline_goes_around_and_the_outline(points: list[Spot], x: float, y: float) -> None:
    assert Polygon(points).holds(x, y) == (turns(points, (x, y)) != 0)


@given(outlines(shares), shares, shares)
def test_away_from_the_outline_rounding_does_not_matter(points: list[Spot], x: float, y: float) -> None:
    assume(min(distance((x, y), *side) for side in sides(points)) > 1e-9)
    assert Polygon(points).holds(x, y) == (turns(points, (x, y)) != 0)


@given(outlines(eighths), st.integers(0, 8), sixteenths, sixteenths)
def test_it_matters_neither_where_one_begins_nor_which_way_one_goes(
    points: list[Spot], first: int, x: float, y: float
) -> None:
    held = Polygon(points).holds(x, y)
    turned = points[first % len(points) :] + points[: first % len(points)]
    assert Polygon(turned).holds(x, y) == held
    assert Polygon(points[::-1]).holds(x, y) == held
    assert Polygon([*points, points[0]]).holds(x, y) == held, "closed by hand"


@given(outlines(shares))
def test_every_corner_and_every_level_or_upright_edge_belongs_to_it(points: list[Spot]) -> None:
    polygon = Polygon(points)
    assert all(polygon.holds(*corner) for corner in points)
    for (ax, ay), (bx, by) in sides(points):
        if ax == bx or ay == by:
            assert polygon.holds((ax + bx) / 2, (ay + by) / 2)


@given(st.lists(st.tuples(shares, shares), min_size=2, max_size=6), shares, shares)
def test_neighbours_leave_no_gap(border: list[Spot], x: float, y: float) -> None:
    border = sorted(border, key=lambda spot: spot[1])
    border = [(border[0][0], 0.0), *border, (border[-1][0], 1.0)]
    left, right = Polygon([*border, (0.0, 1.0), (0.0, 0.0)]), Polygon([*border, (1.0, 1.0), (1.0, 0.0)])
    assert left.holds(x, y) or right.holds(x, y)
    for (ax, ay), (bx, by) in pairwise(border):
        middle = ((ax + bx) / 2, (ay + by) / 2)
        assert left.holds(*middle) or right.holds(*middle)
        assert left.holds(ax, ay)
        assert right.holds(ax, ay)


def test_the_bay_of_a_horseshoe_is_outside() -> None:
    horseshoe = Polygon(HORSESHOE)
    assert not horseshoe.holds(0.5, 0.6)
    assert all(horseshoe.holds(*spot) for spot in ((0.2, 0.6), (0.8, 0.6), (0.5, 0.2), (0.5, 0.3)))


def test_a_corner_level_with_the_spot_counts_once() -> None:
    assert not Polygon([(0.5, 0), (1, 0.5), (0, 1)]).holds(0.1, 0.5)
    assert not Polygon([(0, 0), (0.5, 0.5), (1, 0), (0.6, 1), (0.4, 1)]).holds(0.1, 0.5)
    assert Polygon([(0.5, 0), (1, 0.5), (0.5, 1), (0, 0.5)]).holds(0.5, 0.5)


def test_what_an_outline_goes_around_twice_is_no_hole() -> None:
    assert turns(STAR, (0.5, 0.5)) in (2, -2)
    assert Polygon(STAR).holds(0.5, 0.5)
    assert not Polygon(STAR).holds(0.5, 0.8), "between two of its points"


def test_both_halves_of_a_bow_tie_are_inside() -> None:
    bow_tie = Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])
    assert bow_tie.holds(0.1, 0.5)
    assert bow_tie.holds(0.9, 0.5)
    assert not bow_tie.holds(0.5, 0.1)


@pytest.mark.parametrize("spot", [(nan, 0.5), (0.5, nan), (nan, nan), (inf, 0.5), (0.5, -inf)])
def test_what_is_no_spot_is_nowhere(spot: Spot) -> None:
    assert not Polygon(SQUARE).holds(*spot)


@pytest.mark.parametrize(
    "points",
    [
        SQUARE,
        HORSESHOE,
        STAR,
        [*SQUARE, SQUARE[0]],
        [(0, 0), (1, 0), (1, 1), (0, 1)],
        [(0, 0), (1, 0), (1, 0.001)],
        [(0.5, 0.5), (0.5, 0.6), (0.51, 0.5)],
    ],
)
def test_an_area_on_the_picture_is_taken_as_it_is(points: list[Spot]) -> None:
    assert usable(points) is points


@pytest.mark.parametrize(
    ("points", "what"),
    [
        ([], "no points"),
        ([(0.5, 0.5)], "only one point"),
        ([(0.1, 0.1), (0.9, 0.9)], "only 2 different points"),
        ([(0.1, 0.1), (0.9, 0.9), (0.1, 0.1)], "only 2 different points"),
        ([(0.1, 0.1), (0.2, 0.2), (0.3, 0.3)], "on one line"),
        ([(0.1, 0.3), (0.3, 0.9), (0.2, 0.6), (0.15, 0.45)], "on one line"),
        ([(0, 0), (1, 0), (1, 0.00001)], "on one line"),
        ([(0, 0), (1, 1), (1, 0), (0, 1)], "as much one way round as the other"),
        ([(0.5, 0.5), (0.501, 0.5), (0.5, 0.501)], "encloses nothing"),
        ([(0, 0), (1.01, 0), (1, 1)], r"point 2, \(1.01, 0\), does not lie on the picture"),
        ([(0, 0), (1, 1.01), (1, 1)], r"point 2, \(1, 1.01\), does not lie on the picture"),
        ([(0, 0), (1, 0), (1, -0.1)], r"point 3, \(1, -0.1\), does not lie on the picture"),
        ([(320, 240), (640, 240), (640, 480)], r"point 1, \(320, 240\), does not lie on the picture"),
        ([(0, 0), (nan, 0), (1, 1)], r"point 2, \(nan, 0\), does not lie on the picture"),
        ([(0, 0), (1, 0), (1, inf)], r"point 3, \(1, inf\), does not lie on the picture"),
    ],
)
def test_what_makes_no_polygon_is_refused_in_words(points: list[Spot], what: str) -> None:
    with pytest.raises(PolygonError, match=what) as refused:
        usable(points)
    assert refused.value.hint.startswith("write ")
    assert str(refused.value) == f"{refused.value.what}; {refused.value.hint}"


@given(outlines(eighths))
def test_whatever_is_taken_holds_something(points: list[Spot]) -> None:
    try:
        usable(points)
    except PolygonError:
        return
    spots = [((column + 0.37) / 64, (row + 0.41) / 64) for row in range(64) for column in range(64)]
    assert any(Polygon(points).holds(*spot) for spot in spots)

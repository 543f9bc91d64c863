"""What counts in a frame, where, and why the rest does not."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import nan
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.controller.sightings import LeftOut, Seen, Sieve, Sightings, Tally
from appliance.messages import Rows

if TYPE_CHECKING:
    from appliance.controller.zones import Box
    from appliance.polygon import Spot

PERSON, CAT = 1, 17
WIDTH, HEIGHT = 640, 480
Rectangle = tuple[float, float, float, float]
"""left, top, right, bottom, in shares."""


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


class Row(NamedTuple):
    box: Box = (100, 120, 200, 360)
    """Feet at (0.234375, 0.75), half as high as the picture."""
    score: float = 0.9
    class_id: int = PERSON


def rectangle(left: float, top: float, right: float, bottom: float) -> tuple[Spot, ...]:
    return ((left, top), (right, top), (right, bottom), (left, bottom))


def sift(settings: Settings, *rows: Row) -> Sightings:
    return Sieve(settings).sift(in_rows(rows), WIDTH, HEIGHT)


def in_rows(rows: tuple[Row, ...] | list[Row]) -> Rows:
    return Rows.of(
        np.array([row.box for row in rows], np.float32).reshape(-1, 4),
        np.array([row.score for row in rows], np.float32),
        np.array([row.class_id for row in rows], np.int32),
    )


LEFT = ZoneSettings("left", rectangle(0, 0, 0.5, 1))
RIGHT = ZoneSettings("right", rectangle(0.5, 0, 1, 1))
ON_THE_LEFT, ON_THE_RIGHT = Row(), Row((400, 120, 500, 360), 0.8)


def test_an_empty_frame_has_nobody_anywhere() -> None:
    nobody = Tally(0, None)
    assert sift(Settings(zones=(LEFT, RIGHT))) == Sightings(nobody, {"left": nobody, "right": nobody}, LeftOut())
    assert nobody.score == 0


def test_a_person_counts_and_is_kept_as_the_model_saw_it() -> None:
    found = sift(Settings(), Row((-1.5, 120, 200, 480.25), 0.75))
    assert found.camera == Tally(1, Seen(0.75, PERSON, (-1.5, 120, 200, 480.25)))
    assert found.camera.score == 0.75
    assert found.left_out == LeftOut()


def test_the_best_of_several_is_kept_whatever_their_order() -> None:
    for rows in ([Row(score=0.75), Row(score=0.5)], [Row(score=0.5), Row(score=0.75)]):
        found = sift(Settings(zones=(LEFT,)), *rows)
        assert (found.camera.count, found.camera.score) == (2, 0.75)
        assert found.zones["left"] == found.camera


def test_of_equally_good_ones_the_first_is_kept() -> None:
    both = Settings(classes=frozenset({PERSON, CAT}))
    for rows in ([Row(), Row(class_id=CAT)], [Row(class_id=CAT), Row()]):
        best = sift(both, *rows).camera.best
        assert best is not None
        assert best.class_id == rows[0].class_id


def test_only_the_wanted_classes_count() -> None:
    assert sift(Settings(), Row(class_id=CAT)).left_out == LeftOut(other_class=1)
    assert sift(Settings(classes=frozenset({PERSON, CAT})), Row(class_id=CAT), Row()).camera.count == 2
    assert sift(Settings(classes=frozenset()), Row()).camera.count == 0


@pytest.mark.parametrize("threshold", [0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_a_score_at_the_threshold_counts_and_the_next_one_below_does_not(threshold: float) -> None:
    at = np.float32(threshold)
    below = np.nextafter(at, np.float32(0))
    assert sift(Settings(threshold=threshold), Row(score=float(at))).camera.count == 1
    assert sift(Settings(threshold=threshold), Row(score=float(below))).left_out == LeftOut(score=1)


def test_a_height_at_a_bound_counts() -> None:
    half = Settings(min_height=0.5, max_height=0.5)
    assert sift(half, Row()).camera.count == 1
    assert sift(half, Row((100, 121, 200, 360)), Row((100, 119, 200, 360))).left_out == LeftOut(size=2)


def test_the_height_is_what_is_seen_of_somebody() -> None:
    assert sift(Settings(max_height=0.5), Row((100, 240, 200, 900))).camera.count == 1
    assert sift(Settings(min_height=0.6), Row((100, 240, 200, 900))).left_out == LeftOut(size=1)
    assert sift(Settings(), Row((-9, -9, 700, 500))).camera.count == 1


def test_a_mask_drops_whose_feet_are_in_it_and_not_who_only_reaches_over_it() -> None:
    pavement = Settings(masks=(rectangle(0, 0.7, 1, 1),))
    hedge = Settings(masks=(rectangle(0, 0.2, 1, 0.7),))
    assert sift(pavement, Row()).left_out == LeftOut(mask=1)
    assert sift(hedge, Row()).camera.count == 1


def test_a_mask_down_to_the_lower_border_drops_who_is_cut_off_there() -> None:
    strip = Settings(masks=(rectangle(0, 0.9, 1, 1),))
    cut_off = [Row((100, 120, 200, lower)) for lower in (480, 480.5, 483, 600)]
    assert sift(strip, *cut_off).left_out == LeftOut(mask=4)
    assert sift(Settings(masks=(rectangle(0, 0.9, 1, 0.99),)), *cut_off).camera.count == 4, "it ends above the border"


def test_the_border_of_a_mask_belongs_to_it() -> None:
    assert sift(Settings(masks=(rectangle(0, 0.75, 1, 1),)), Row()).left_out == LeftOut(mask=1)


def test_each_mask_drops() -> None:
    both = Settings(masks=(LEFT.polygon, rectangle(0.6, 0, 1, 1)))
    assert sift(both, ON_THE_LEFT, ON_THE_RIGHT).left_out == LeftOut(mask=2)


def test_what_a_mask_drops_counts_in_no_zone_either() -> None:
    found = sift(Settings(masks=(LEFT.polygon,), zones=(LEFT,)), Row())
    assert (found.camera.count, found.zones["left"].count, found.left_out) == (0, 0, LeftOut(mask=1))


def test_zones_count_for_themselves() -> None:
    found = sift(Settings(zones=(LEFT, RIGHT)), ON_THE_LEFT, ON_THE_RIGHT, ON_THE_RIGHT._replace(score=0.7))
    assert [(name, tally.count) for name, tally in found.zones.items()] == [("left", 1), ("right", 2)]
    assert found.zones["right"].score == pytest.approx(0.8)
    assert found.camera.count == 3


def test_zones_may_overlap() -> None:
    everywhere = ZoneSettings("everywhere", rectangle(0, 0, 1, 1))
    found = sift(Settings(zones=(LEFT, everywhere)), ON_THE_LEFT, ON_THE_RIGHT)
    assert {name: tally.count for name, tally in found.zones.items()} == {"left": 1, "everywhere": 2}


def test_who_is_in_no_zone_counts_for_the_camera_unless_it_looks_only_there() -> None:
    settings = Settings(zones=(LEFT,))
    assert sift(settings, ON_THE_RIGHT).camera.count == 1
    fenced = sift(replace(settings, only_in_zones=True), ON_THE_LEFT, ON_THE_RIGHT)
    assert fenced.camera.count == 1
    assert fenced.left_out == LeftOut(outside=1)


def test_without_zones_there_is_no_outside() -> None:
    assert sift(Settings(only_in_zones=True), Row()).camera.count == 1


def test_a_row_is_left_out_for_the_first_reason_only() -> None:
    strict = Settings(min_height=0.6, masks=(LEFT.polygon,), zones=(LEFT,), only_in_zones=True)
    wrong_in_all = Row(score=0.1, class_id=CAT)
    assert sift(strict, wrong_in_all).left_out == LeftOut(other_class=1)
    assert sift(strict, wrong_in_all._replace(class_id=PERSON)).left_out == LeftOut(score=1)
    assert sift(strict, Row()).left_out == LeftOut(size=1)
    assert sift(replace(strict, min_height=0.0), Row()).left_out == LeftOut(mask=1)
    assert sift(replace(strict, min_height=0.0), ON_THE_RIGHT).left_out == LeftOut(outside=1)


def test_what_is_no_number_or_beside_the_picture_does_not_count() -> None:
    assert sift(Settings(), Row(score=nan)).left_out == LeftOut(score=1)
    broken = [Row((nan, 1, 2, 3)), Row((0, 1, 2, nan)), Row((-50, 0, -20, 90)), Row((0, 481, 90, 500))]
    assert sift(Settings(zones=(LEFT,)), *broken).left_out == LeftOut(size=4)


def test_three_hundred_rows_are_all_accounted_for() -> None:
    rows = [Row((n, 120, n + 100, 360), 0.3 + n / 500, (PERSON, CAT)[n % 2]) for n in range(300)]
    found = sift(Settings(zones=(LEFT, RIGHT)), *rows)
    assert found.left_out == LeftOut(other_class=150, score=50)
    assert found.camera.count == 100
    assert found.camera.best is not None
    assert found.camera.best.box[0] == 298
    assert found.zones["left"].count + found.zones["right"].count == 101, "one stands on the border of both"


def test_the_answer_does_not_change_with_the_rows_memory() -> None:
    rows = in_rows([Row()])
    found = Sieve(Settings()).sift(rows, WIDTH, HEIGHT)
    rows.data = bytes(len(rows.data))
    assert found.camera == Tally(1, Seen(float(np.float32(0.9)), PERSON, (100, 120, 200, 360)))


sixteenths = st.integers(0, 16).map(lambda number: number / 16)
rectangles = st.tuples(sixteenths, sixteenths, sixteenths, sixteenths)
rows_of_the_grid = st.builds(
    Row,
    st.tuples(*(st.integers(-2, 18).map(lambda number: number * 40.0) for _ in range(4))),
    st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, nan]),
    st.sampled_from([PERSON, CAT, 18]),
)


@dataclass(frozen=True)
class Drawn:
    """Settings of rectangles, which an exact and slow reader understands too."""

    masks: list[Rectangle] = field(default_factory=list)
    zones: list[tuple[Rectangle, Literal["feet", "centre"]]] = field(default_factory=list)
    low: float = 0.0
    high: float = 1.0
    only_in_zones: bool = False

    @property
    def settings(self) -> Settings:
        zones = (ZoneSettings(str(n), rectangle(*sides), point) for n, (sides, point) in enumerate(self.zones))
        return Settings(
            classes=frozenset({PERSON, 18}),
            min_height=self.low,
            max_height=self.high,
            masks=tuple(rectangle(*sides) for sides in self.masks),
            zones=tuple(zones),
            only_in_zones=self.only_in_zones,
        )

    def judge(self, row: Row, side: int) -> str | list[str]:
        """Return why a row does not count, or the zones that it counts in. The picture is a square."""
        if row.class_id not in (PERSON, 18):
            return "other_class"
        if row.score not in (0.5, 0.75, 1.0):
            return "score"
        x1, y1, x2, y2 = (Fraction(value) / side for value in row.box)
        if x1 > x2 or y1 > y2 or x2 < 0 or y2 < 0 or x1 > 1 or y1 > 1:
            return "size"
        x1, y1, x2, y2 = (min(Fraction(1), max(Fraction(0), value)) for value in (x1, y1, x2, y2))
        if not self.low <= y2 - y1 <= self.high:
            return "size"
        feet, centre = ((x1 + x2) / 2, y2), ((x1 + x2) / 2, (y1 + y2) / 2)
        if any(lies_in(sides, feet) for sides in self.masks):
            return "mask"
        zones = self.zones
        inside = [str(n) for n, (sides, at) in enumerate(zones) if lies_in(sides, feet if at == "feet" else centre)]
        return "outside" if self.only_in_zones and zones and not inside else inside


def lies_in(sides: Rectangle, spot: tuple[Fraction, Fraction]) -> bool:
    left, right = sorted((sides[0], sides[2]))
    top, bottom = sorted((sides[1], sides[3]))
    return left <= spot[0] <= right and top <= spot[1] <= bottom


drawings = st.builds(
    Drawn,
    st.lists(rectangles, max_size=2),
    st.lists(st.tuples(rectangles, st.sampled_from(["feet", "centre"])), max_size=3),
    st.sampled_from([0.0, 0.125, 0.25]),
    st.sampled_from([0.5, 0.75, 1.0]),
    st.booleans(),
)


@given(drawings, st.lists(rows_of_the_grid, max_size=12))
def test_every_row_counts_or_is_left_out_as_the_rules_say(drawn: Drawn, rows: list[Row]) -> None:
    found = Sieve(drawn.settings).sift(in_rows(rows), 640, 640)
    verdicts = [drawn.judge(row, 640) for row in rows]
    assert found.left_out._asdict() == {reason: verdicts.count(reason) for reason in LeftOut._fields}
    expected = {"camera": [row for row, verdict in zip(rows, verdicts, strict=True) if isinstance(verdict, list)]}
    for zone in drawn.settings.zones:
        expected[zone.id] = [row for row, verdict in zip(rows, verdicts, strict=True) if zone.id in verdict]
    tallies = {"camera": found.camera, **found.zones}
    assert list(tallies) == list(expected)
    for where, tally in tallies.items():
        assert tally.count == len(expected[where])
        assert tally.score == max((row.score for row in expected[where]), default=0)
        assert (tally.best is None) == (tally.count == 0)
        assert tally.best is None or Row(tally.best.box, tally.best.score, tally.best.class_id) in expected[where]

"""The synthetic porch: the same options and time give the same picture, and its truth is what the picture shows."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import simplejpeg

from appliance.capture.synthetic import Scene, SceneOptions, Truth, Visit, read_timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable

    from appliance.capture.synthetic.sprites import Sprite

SMALL = SceneOptions(seed=3, width=320, height=180, rain=False)
BUSY = replace(SMALL, people_per_minute=8)
HOURS = [0.0, 6.5, 15.0, 19.5, 24.0]


def middle(visit: Visit) -> float:
    return (visit.begin + visit.end) / 2


def people(truths: Iterable[Truth]) -> list[Truth]:
    return [one for one in truths if one.kind == "person"]


@pytest.fixture(scope="module")
def busy() -> Scene:
    return Scene(BUSY)


@pytest.mark.parametrize("rain", [False, True])
def test_the_same_options_give_the_same_picture_and_truth(rain: bool) -> None:
    options = replace(BUSY, rain=rain)
    first, second = Scene(options), Scene(options)
    t = middle(first.visits(60)[0])
    assert np.array_equal(first.render(t), second.render(t))
    assert first.truth(t) == second.truth(t)
    assert first.visits(200) == second.visits(200)


def test_it_does_not_matter_what_was_asked_before(busy: Scene) -> None:
    times = [31.0, 4.25, 300.5, 12.0, 31.05]
    other = Scene(BUSY)
    asked = {t: (busy.render(t), busy.truth(t)) for t in times}
    for t in sorted(times, reverse=True):
        picture, truth = asked[t]
        assert np.array_equal(other.render(t), picture)
        assert other.truth(t) == truth


def test_visits_asked_for_in_small_steps_are_those_asked_for_at_once(busy: Scene) -> None:
    other = Scene(BUSY)
    for until in range(0, 300, 20):
        visits = other.visits(until)
    assert visits == busy.visits(280)


def test_every_size_has_the_same_truth() -> None:
    scenes = [Scene(replace(BUSY, width=width, height=width * 9 // 16)) for width in (320, 640, 1280)]
    for t in np.linspace(5, 45, 9).tolist():
        small, *larger = (scene.truth(t) for scene in scenes)
        for factor, truth in zip((2, 4), larger, strict=True):
            assert [one.kind for one in truth] == [one.kind for one in small]
            assert [one.visible for one in truth] == [one.visible for one in small]
            for one, same in zip(truth, small, strict=True):
                assert one.box == pytest.approx([edge * factor for edge in same.box])


@pytest.mark.parametrize("hour", HOURS)
def test_a_picture_has_the_size_that_was_asked_for_at_any_hour(hour: float) -> None:
    picture = Scene(replace(SMALL, width=200, height=120, hour=hour)).render(10)
    assert (picture.shape, picture.dtype) == ((120, 200, 3), np.uint8)


def test_night_is_darker_than_day() -> None:
    day, dusk, night = (Scene(replace(SMALL, hour=hour)).render(0).mean() for hour in (14.0, 19.5, 1.0))
    assert day > dusk > night


@pytest.mark.parametrize(
    "other",
    [replace(SMALL, seed=4), replace(SMALL, hour=19.0), replace(SMALL, rain=True)],
    ids=["seed", "hour", "rain"],
)
def test_another_scene_looks_different(other: SceneOptions) -> None:
    difference = Scene(SMALL).render(0).astype(int) - Scene(other).render(0)
    assert np.abs(difference).mean() > 4


def test_another_seed_has_other_visits() -> None:
    assert len({Scene(replace(SMALL, seed=seed)).visits(120) for seed in range(8)}) == 8


def test_the_seed_decides_whether_it_rains_where_nobody_else_does() -> None:
    rains = {Scene(replace(SMALL, seed=seed, rain=None))._rains for seed in range(30)}
    assert rains == {False, True}


def test_without_people_nobody_ever_comes() -> None:
    scene = Scene(replace(SMALL, people_per_minute=0))
    assert scene.visits(10_000) == ()
    for t in np.linspace(0, 900, 150).tolist():
        assert not people(scene.truth(t))


def test_a_visit_is_from_the_first_to_the_last_moment_at_which_somebody_is_seen(busy: Scene) -> None:
    def seen(t: float) -> bool:
        return any(one.visible >= 0.3 for one in people(busy.truth(t)))

    for visit in busy.visits(150):
        assert seen(visit.begin)
        assert seen(visit.end)
        assert not seen(visit.begin - 0.001)
        assert not seen(visit.end + 0.001)
        for t in np.arange(visit.begin, visit.end - 1, 0.5).tolist():
            assert seen(t) or seen(t + 0.4) or seen(t + 0.8), f"nobody for a second at {t}"


@pytest.mark.parametrize("rate", [0.5, 2, 20])
def test_between_two_visits_nobody_is_there_for_eight_seconds(rate: float) -> None:
    scene = Scene(replace(SMALL, people_per_minute=rate))
    for earlier, later in pairwise(scene.visits(500)):
        assert later.begin - earlier.end >= 8
        for t in np.linspace(earlier.end + 0.01, later.begin - 0.01, 12).tolist():
            assert all(one.visible < 0.3 for one in people(scene.truth(t)))


@pytest.mark.parametrize("rate", [0.5, 2, 6, 15])
def test_as_many_people_come_as_were_asked_for(rate: float) -> None:
    minutes = 60
    come = sum(visit.people for visit in Scene(replace(SMALL, people_per_minute=rate)).visits(minutes * 60))
    assert come / minutes == pytest.approx(rate, rel=0.25)


def test_visits_until_a_moment_are_those_that_begin_before_it(busy: Scene) -> None:
    first, second = busy.visits(120)[:2]
    assert busy.visits(first.begin) == ()
    assert busy.visits(first.begin + 0.01) == (first,)
    assert busy.visits(second.begin + 0.01) == (first, second)


def test_boxes_lie_in_the_picture_and_shares_between_none_and_all(busy: Scene) -> None:
    for t in np.linspace(0, 120, 240).tolist():
        for one in busy.truth(t):
            x1, y1, x2, y2 = one.box
            assert 0 <= x1 < x2 <= 320
            assert 0 <= y1 < y2 <= 180
            assert 0 < one.visible <= 1


def test_a_box_is_just_as_large_as_what_the_picture_shows_of_somebody() -> None:
    scene = Scene(replace(BUSY, width=640, height=360))
    shares = []
    for visit in scene.visits(60):
        for t in np.linspace(visit.begin, visit.end, 12).tolist():
            shares += [tightness(scene, t, sprite) for sprite in scene._cast.sprites(t) if sprite.kind == "person"]
    fair = [share for share in shares if share]
    assert len(fair) > 20
    assert np.median(fair) > 0.85


def tightness(scene: Scene, t: float, person: Sprite) -> float:
    """Return the share of somebody's box that their pixels span; assert that none lies beyond it."""
    sprites = [replace(sprite, shadow=None) for sprite in scene._cast.sprites(t)]
    order = [sprite.extent for sprite in sprites].index(person.extent)
    others = [*sprites[:order], *sprites[order + 1 :]]
    changed = np.abs(scene._compose(t, sprites).astype(int) - scene._compose(t, others)).max(axis=2) > 16
    boxes = {one.box for one in people(scene.truth(t))} - {one.box for one in scene._seen(others)}
    if len(boxes) != 1 or not changed.any():
        return 0.0  # hidden, or it uncovers somebody behind
    ((x1, y1, x2, y2),) = boxes
    rows, columns = np.where(changed)
    left, right, top, bottom = columns.min(), columns.max() + 1, rows.min(), rows.max() + 1
    assert left >= x1 - 2
    assert right <= x2 + 2
    assert top >= y1 - 2
    assert bottom <= y2 + 2
    return float((right - left) * (bottom - top) / ((x2 - x1) * (y2 - y1)))


def test_where_nobody_is_in_the_truth_nobody_is_in_the_picture(busy: Scene) -> None:
    t = busy.visits(60)[0].end + 4
    nothing = [sprite for sprite in busy._cast.sprites(t) if sprite.kind != "person"]
    assert np.array_equal(busy.render(t), busy._compose(t, nothing))


def test_there_is_more_than_people_to_see() -> None:
    kinds = set()
    for seed in range(4):
        scene = Scene(replace(SMALL, seed=seed))
        kinds |= {one.kind for t in np.arange(0, 240, 1.5).tolist() for one in scene.truth(t)}
    assert kinds == {"person", "cat", "car", "parcel"}


def test_a_parcel_stays_when_the_courier_has_gone() -> None:
    scene = next(one for one in map(Scene, (replace(SMALL, seed=seed) for seed in range(20))) if courier_first(one))
    gone = scene.visits(60)[0].end
    for t in (gone + 1, gone + 4, gone + 7):
        (parcel,) = (one for one in scene.truth(t) if one.kind == "parcel")
        assert parcel.visible == 1


def courier_first(scene: Scene) -> bool:
    return any(guest.brings for guest in scene._schedule.calls(10)[0].guests)


def test_somebody_at_the_edge_is_seen_in_part() -> None:
    scene = Scene(SMALL)
    visible = [one.visible for visit in scene.visits(120) for one in people(scene.truth(visit.begin + 0.05))]
    assert all(0.25 < share < 0.6 for share in visible)


@pytest.mark.parametrize(("width", "height"), [(160, 90), (640, 360), (1280, 720), (1920, 1080)])
@pytest.mark.parametrize("t", [0.0, 0.001, 61.234, 4_294_967.295])
def test_a_timestamp_can_be_read_out_of_a_jpeg(width: int, height: int, t: float) -> None:
    scene = Scene(replace(SMALL, width=width, height=height, hour=23, timestamps=True, people_per_minute=0))
    scene.__dict__["_backdrop"] = replace_backdrop(width, height)
    jpeg = simplejpeg.encode_jpeg(scene.render(t), 50, "RGB", "420")
    assert read_timestamp(simplejpeg.decode_jpeg(jpeg)) == t


def replace_backdrop(width: int, height: int) -> Any:
    """Return a grey backdrop, for the painted one takes its time."""
    from appliance.capture.synthetic.backdrop import Backdrop

    grey, far = np.full((height, width, 3), 99, np.uint8), np.full((height, width), 1e6, np.float32)
    return Backdrop(grey, grey, far, (far, far, far))


def test_what_is_over_is_forgotten_and_what_comes_stays_as_it_was(busy: Scene) -> None:
    """A camera that runs for a year has had a million visits."""
    beside = Scene(busy.options)
    later = [visit for visit in busy.visits(3600) if visit.begin > 1800]
    for minute in range(1, 31):
        beside.visits(minute * 60)
        beside.forget(minute * 60)
    assert len(beside._schedule._calls) + len(beside._schedule._lying) < 12
    assert [visit for visit in beside.visits(3600) if visit.begin > 1800] == later
    at = later[0].begin + 5
    assert (beside.render(at) == busy.render(at)).all()

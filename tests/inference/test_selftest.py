"""Two answers to one picture: when they are the same, and what is said when they are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from appliance.inference.selftest import BEST, EXACT, ROUNDED, Answer, Find, answer, complaint, overlap
from tests.inference.onnx_maker import rows

PERSON = Find((100, 100, 300, 700), 0.82, 1)
CAR = Find((500, 500, 900, 700), 0.7, 3)
FAINT = Find((0, 0, 50, 50), 0.2, 64)
SEEN = Answer((PERSON, CAR, FAINT), (0.82, 0.7, 0.2))


def shifted(find: Find, pixels: float) -> Find:
    x1, y1, x2, y2 = find.box
    return replace(find, box=(x1 + pixels, y1, x2 + pixels, y2))


def given(*finds: Find, best: tuple[float, ...] = SEEN.best) -> Answer:
    return Answer(finds, best)


def test_the_same_answer_is_right() -> None:
    assert complaint(SEEN, SEEN, EXACT) == ""


def test_the_order_of_queries_means_nothing() -> None:
    assert complaint(SEEN, given(CAR, FAINT, PERSON), EXACT) == ""


def test_what_is_hardly_seen_may_be_missed() -> None:
    assert complaint(SEEN, given(PERSON, CAR), EXACT) == ""


def test_a_person_that_is_missed_is_told_with_the_score() -> None:
    assert complaint(SEEN, given(CAR), EXACT) == "it misses a find of class 1 with a score of 0.82"


def test_a_person_that_nobody_else_sees_is_told() -> None:
    ghost = Find((700, 0, 800, 300), 0.6, 2)
    assert complaint(SEEN, given(PERSON, CAR, ghost), EXACT) == "it alone has a find of class 2 with a score of 0.60"


@pytest.mark.parametrize(("pixels", "right"), [(1, True), (20, False)])
def test_a_box_must_lie_where_the_references_does(pixels: float, right: bool) -> None:
    wrong = complaint(SEEN, given(shifted(PERSON, pixels), CAR), EXACT)
    assert (wrong == "") is right
    assert right or wrong == "its box of class 1 overlaps by 0.82 (at least 0.98 is right)"


def test_fewer_bits_may_move_a_box_further() -> None:
    moved = given(shifted(PERSON, 8), CAR)
    assert complaint(SEEN, moved, EXACT)
    assert not complaint(SEEN, moved, ROUNDED)


def test_a_score_must_be_the_references() -> None:
    off = given(replace(PERSON, score=0.79), CAR)
    assert complaint(SEEN, off, EXACT) == "its score of class 1 is off by 0.030 (at most 0.01 is right)"
    assert not complaint(SEEN, off, ROUNDED)


def test_a_model_that_finds_nothing_is_held_to_its_best_scores() -> None:
    silent = Answer((), (0.05, 0.04))
    assert not complaint(silent, Answer((), (0.052, 0.041)), EXACT)
    said = complaint(silent, Answer((), (0.25, 0.04)), EXACT)
    assert said == "its best scores differ by up to 0.200 (at most 0.01 is right)"


@pytest.mark.parametrize("best", [(float("nan"), 0.7, 0.2), (0.82,), (float("inf"),) * 3])
def test_scores_that_are_no_numbers_are_wrong(best: tuple[float, ...]) -> None:
    assert complaint(SEEN, given(PERSON, CAR, best=best), ROUNDED) == "its scores are no numbers"


def test_an_answer_has_the_finds_and_the_best_scores() -> None:
    made = rows([(3, (0.5, 0.5, 0.5, 0.5), 1, 2.0), (9, (0.25, 0.75, 0.1, 0.2), 18, 1.0)])
    said = answer(made["dets"][0], made["labels"][0])
    assert [(find.class_id, round(find.score, 3)) for find in said.finds] == [(1, 0.881), (18, 0.731)]
    assert said.finds[0].box == pytest.approx((250, 250, 750, 750))
    assert len(said.best) == BEST
    assert said.best[:3] == pytest.approx([0.8808, 0.7311, 6.1e-6], abs=1e-4)


def test_a_collapsed_backend_is_found_out() -> None:
    """What OpenVINO 2025.3 was reported to do to RF-DETR: confident nonsense."""
    made = rows([(3, (0.5, 0.5, 0.5, 0.5), 1, 2.0)])
    noise = np.random.default_rng(1).normal(-4, 1, made["labels"][0].shape).astype(np.float32)
    collapsed = answer(made["dets"][0], noise)
    assert complaint(answer(made["dets"][0], made["labels"][0]), collapsed, ROUNDED)


def test_overlap_is_intersection_over_union() -> None:
    assert overlap((0, 0, 10, 10), (0, 0, 10, 10)) == 1
    assert overlap((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 10, 10), (10, 0, 20, 10)) == 0

"""Do a model and its int8 form see the same? What counts, what is asked, and what is said where it is not enough."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.inference.quantize.agreement import LEAST, LEAST_FINDS, OVERLAP, SLACK, Agreement, agreement, too_few
from appliance.inference.selftest import SIDE, Answer, Find

PERSON, CAT = 1, 17
THRESHOLD = 0.5
HERE = (100.0, 100.0, 300.0, 500.0)
THERE = (600.0, 100.0, 800.0, 500.0)
NOBODY = Answer((), ())


def seen(*finds: Find) -> Answer:
    return Answer(finds, tuple(find.score for find in finds))


def person(score: float = 0.9, box: tuple[float, float, float, float] = HERE, class_id: int = PERSON) -> Answer:
    return seen(Find(box, score, class_id))


def compared(before: list[Answer], after: list[Answer]) -> Agreement:
    return agreement(before, after, THRESHOLD, {PERSON})


def test_one_that_both_find_is_counted_from_both_sides() -> None:
    assert compared([person()], [person(0.8)]) == Agreement(pictures=1, finds=2, shared=2, presence=1, overlap=1.0)


def test_one_that_only_one_of_them_finds_is_nobodys_else() -> None:
    assert compared([person()], [NOBODY]) == Agreement(1, 1, 0, 0, 0.0)
    assert compared([NOBODY], [person()]) == Agreement(1, 1, 0, 0, 0.0)


def test_what_stands_below_the_threshold_in_both_is_no_find() -> None:
    assert compared([person(0.49)], [person(0.48)]) == Agreement(1, 0, 0, 1, 0.0)


def test_a_find_at_the_threshold_counts() -> None:
    assert compared([person(THRESHOLD)], [person(THRESHOLD)]).shared == 2


@pytest.mark.parametrize(("score", "shared"), [(0.49, 1), (THRESHOLD - SLACK, 1), (THRESHOLD - SLACK - 0.001, 0)])
def test_whoever_stands_at_the_threshold_is_found_by_the_other_a_little_below_it(score: float, shared: int) -> None:
    alike = compared([person(THRESHOLD)], [person(score)])
    assert (alike.finds, alike.shared) == (1, shared)
    assert alike.presence == 0  # what Home Assistant is told knows no slack


def test_the_same_place_with_another_class_is_another_find() -> None:
    assert compared([person()], [person(class_id=CAT)]).shared == 0


def test_a_pet_is_nobody() -> None:
    assert compared([person(class_id=CAT)], [NOBODY]).presence == 1


@pytest.mark.parametrize(("right", "shared"), [(300.0, 2), (200.0, 2), (199.0, 0)])
def test_boxes_are_of_the_same_thing_where_half_of_them_is_in_common(right: float, shared: int) -> None:
    alike = compared([person()], [person(box=(100.0, 100.0, right, 500.0))])
    assert alike.shared == shared
    assert alike.overlap == (pytest.approx((right - 100) / 200) if shared else 0.0)
    assert OVERLAP == 0.5


def test_two_people_are_told_apart_by_their_places() -> None:
    both = seen(Find(HERE, 0.9, PERSON), Find(THERE, 0.8, PERSON))
    alike = compared([both], [person(box=THERE)])
    assert (alike.finds, alike.shared) == (3, 2)


def test_answers_to_different_pictures_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="shorter"):
        compared([NOBODY], [])


GOOD = Agreement(pictures=100, finds=200, shared=190, presence=95, overlap=0.9)


def test_what_is_asked_is_enough() -> None:
    assert GOOD.share == LEAST
    assert GOOD.complaint() == ""


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (replace(GOOD, shared=189), "it agrees in 94.5% of 200 finds, and 95% are asked"),
        (replace(GOOD, presence=94), "whether somebody is there in 94 of 100 pictures"),
        (compared([person()] * 50, [NOBODY] * 50), "it agrees in 0.0% of 50 finds"),
    ],
)
def test_a_little_less_is_a_complaint_that_says_how_much(one: Agreement, words: str) -> None:
    assert words in one.complaint()


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([], "in the 0 pictures held back the model sees somebody 0 times, and it takes 10"),
        (
            [person()] * (LEAST_FINDS - 1),
            "sees somebody 9 times, and it takes 10 to judge: give more",
        ),
        ([person(class_id=CAT)] * 50, "in the 50 pictures held back the model sees somebody 0 times"),
        ([person(0.49)] * 50, "sees somebody 0 times"),
    ],
)
def test_with_too_few_of_those_who_count_nothing_can_be_said(answers: list[Answer], words: str) -> None:
    assert words in too_few(answers, THRESHOLD, {PERSON})


def test_ten_of_them_are_enough() -> None:
    assert too_few([person()] * LEAST_FINDS, THRESHOLD, {PERSON}) == ""


def test_a_share_of_nothing_is_nothing() -> None:
    assert compared([NOBODY], [NOBODY]).share == 0.0


def test_the_words_hold_the_figures() -> None:
    assert str(GOOD) == (
        "95.0% of 200 finds in common, median overlap of their boxes 0.90, "
        "somebody or nobody there alike in 95 of 100 pictures"
    )


@st.composite
def finds(draw: st.DrawFn) -> Find:
    x, y = draw(st.floats(0, SIDE - 10)), draw(st.floats(0, SIDE - 10))
    width, height = draw(st.floats(1, SIDE - x)), draw(st.floats(1, SIDE - y))
    return Find((x, y, x + width, y + height), draw(st.floats(0.05, 1)), draw(st.sampled_from([PERSON, CAT, 3])))


ANSWERS = st.lists(finds(), max_size=5).map(lambda found: seen(*found))
PAIRS = st.lists(st.tuples(ANSWERS, ANSWERS), max_size=6)
THRESHOLDS = st.floats(0.05, 0.95)


@given(st.lists(ANSWERS, max_size=6), THRESHOLDS)
def test_whoever_answers_as_before_agrees_wholly(answers: list[Answer], threshold: float) -> None:
    alike = agreement(answers, answers, threshold, {PERSON})
    assert alike.shared == alike.finds
    assert alike.presence == alike.pictures == len(answers)
    assert alike.overlap == (pytest.approx(1.0) if alike.finds else 0.0)
    assert bool(alike.complaint()) is (alike.finds == 0)


@given(PAIRS, THRESHOLDS)
def test_it_does_not_matter_which_of_them_came_first(pairs: list[tuple[Answer, Answer]], threshold: float) -> None:
    before, after = [old for old, _ in pairs], [new for _, new in pairs]
    there = agreement(before, after, threshold, {PERSON})
    back = agreement(after, before, threshold, {PERSON})
    assert replace(there, overlap=0.0) == replace(back, overlap=0.0)
    assert there.overlap == pytest.approx(back.overlap)


@given(PAIRS, THRESHOLDS)
def test_no_share_is_more_than_all(pairs: list[tuple[Answer, Answer]], threshold: float) -> None:
    alike = agreement([old for old, _ in pairs], [new for _, new in pairs], threshold, {PERSON})
    assert 0 <= alike.shared <= alike.finds
    assert 0 <= alike.presence <= alike.pictures == len(pairs)
    assert 0 <= alike.share <= 1
    assert alike.overlap == 0.0 or alike.overlap >= OVERLAP


@given(st.lists(ANSWERS, min_size=1, max_size=6), THRESHOLDS)
def test_a_form_that_sees_nothing_shares_nothing(answers: list[Answer], threshold: float) -> None:
    alike = agreement(answers, [NOBODY] * len(answers), threshold, {PERSON})
    assert alike.shared == 0
    assert alike.complaint()

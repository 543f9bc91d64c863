"""RF-DETR's arithmetic against plain references written from its definition."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from appliance.inference.rfdetr import STD, TOP_K, Preprocessor, postprocess
from appliance.messages import Rows
from tests.inference.reference import Row, expected_rows, expected_tensor

PERSON = 1
SIDES = st.integers(min_value=1, max_value=90)
LOGITS = st.floats(-12, 12, width=32)
HIDDEN = -12.0
KINDS = ["float32", "float32", "int32"]
Box: TypeAlias = tuple[float, float, float, float]


def a_picture(height: int, width: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def assert_prepared(rgb: Any, side: int) -> None:
    tensor = Preprocessor(side).fill(rgb)
    assert tensor.shape == (1, 3, side, side)
    assert tensor.dtype == np.float32
    one_step = 1 / 255 / np.array(STD)[None, :, None, None]
    assert np.all(np.abs(tensor - expected_tensor(rgb, side)) <= one_step)


@pytest.mark.parametrize(
    ("height", "width", "side"),
    [
        (224, 224, 224),  # nothing to resize
        (448, 448, 224),  # exactly half
        (432, 768, 384),
        (720, 1280, 224),
        (1280, 720, 224),
        (97, 61, 224),  # larger than the picture
        (300, 100, 224),  # smaller one way, larger the other
        (1, 1, 224),
        (1, 640, 224),
        (640, 1, 224),
    ],
)
def test_a_picture_is_squeezed_to_the_square_and_normalised(height: int, width: int, side: int) -> None:
    assert_prepared(a_picture(height, width), side)


@given(height=SIDES, width=SIDES, side=st.integers(1, 40), seed=st.integers(0, 99))
def test_any_size_is_squeezed_alike(height: int, width: int, side: int, seed: int) -> None:
    assert_prepared(a_picture(height, width, seed), side)


def test_the_channels_stay_red_green_blue() -> None:
    tensor = Preprocessor(32).fill(np.full((10, 20, 3), (255, 0, 128), np.uint8))
    red, green, blue = tensor[0].reshape(3, -1)
    assert np.allclose(red, (1 - 0.485) / 0.229, atol=1e-5)
    assert np.allclose(green, (0 - 0.456) / 0.224, atol=1e-5)
    assert np.allclose(blue, (128 / 255 - 0.406) / 0.225, atol=1e-5)


def test_a_picture_is_not_letterboxed() -> None:
    tall = Preprocessor(32).fill(np.full((100, 10, 3), 255, np.uint8)).copy()
    wide = Preprocessor(32).fill(np.full((10, 100, 3), 255, np.uint8))
    assert np.array_equal(tall, wide)
    assert np.ptp(tall[0, 0]) == 0


def test_the_tensor_is_one_and_the_same_and_holds_nothing_of_the_picture_before() -> None:
    preprocessor = Preprocessor(32)
    first = preprocessor.fill(a_picture(50, 70, 1))
    second = preprocessor.fill(a_picture(30, 20, 2))
    assert np.shares_memory(first, second)
    assert np.array_equal(second, Preprocessor(32).fill(a_picture(30, 20, 2)))


def assert_rows(found: Rows, expected: list[Row]) -> None:
    assert found.class_ids.tolist() == [class_id for _, _, class_id in expected]
    assert found.scores.tolist() == pytest.approx([score for _, score, _ in expected], rel=1e-6)
    assert np.allclose(found.boxes, np.array([box for box, _, _ in expected]).reshape(-1, 4), rtol=1e-5, atol=1e-3)
    assert [str(found.boxes.dtype), str(found.scores.dtype), str(found.class_ids.dtype)] == KINDS


@given(st.data(), st.integers(1, 12), st.integers(1, 6), st.integers(1, 4000), st.integers(1, 4000))
def test_rows_are_those_of_the_definition(data: st.DataObject, queries: int, classes: int, w: int, h: int) -> None:
    dets = data.draw(arrays(np.float32, (queries, 4), elements=st.floats(0, 1, width=32)))
    labels = data.draw(arrays(np.float32, (queries, classes), elements=LOGITS))
    threshold = data.draw(st.floats(0.05, 0.99))
    assert_rows(postprocess(dets, labels, w, h, threshold), expected_rows(dets, labels, w, h, threshold))


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.99))
def test_of_more_than_three_hundred_the_best_three_hundred_come_out(seed: int, threshold: float) -> None:
    random = np.random.default_rng(seed)
    dets = random.random((20, 4), np.float32)
    labels = random.normal(2, 3, (20, 91)).astype(np.float32)
    found = postprocess(dets, labels, 640, 480, threshold)
    assert len(found.scores) <= TOP_K
    assert_rows(found, expected_rows(dets, labels, 640, 480, threshold))


def seen(boxes: Sequence[Box], logits: Sequence[float], threshold: float = 0.5) -> Rows:
    """Post-process one person per box, in queries of their own, in a picture of 1000 x 500."""
    dets = np.full((300, 4), 0.5, np.float32)
    labels = np.full((300, 91), HIDDEN, np.float32)
    for number, (box, logit) in enumerate(zip(boxes, logits, strict=True)):
        dets[number * 7] = box
        labels[number * 7, PERSON] = logit
    return postprocess(dets, labels, 1000, 500, threshold)


@pytest.mark.parametrize("people", [2, 3, 10])
def test_people_who_overlap_are_all_seen(people: int) -> None:
    boxes = [(0.5 + 0.001 * number, 0.5, 0.2, 0.6) for number in range(people)]
    found = seen(boxes, [3.0] * people)
    assert len(found.scores) == people
    assert found.class_ids.tolist() == [PERSON] * people
    assert found.boxes[:, 0] == pytest.approx([400 + number for number in range(people)], abs=1e-2)


def test_people_in_one_and_the_same_place_are_all_seen() -> None:
    assert len(seen([(0.5, 0.5, 0.2, 0.6)] * 3, [1.0, 1.0, 1.0]).scores) == 3


def test_one_query_can_be_two_classes() -> None:
    dets = np.full((300, 4), 0.5, np.float32)
    labels = np.full((300, 91), HIDDEN, np.float32)
    labels[42, 17], labels[42, 18] = 1.0, 2.0
    assert postprocess(dets, labels, 10, 10, 0.5).class_ids.tolist() == [18, 17]


def test_the_best_come_first() -> None:
    found = seen([(0.1 + number / 10, 0.5, 0.1, 0.1) for number in range(5)], [0.5, 4.0, 1.0, 3.0, 2.0])
    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)
    assert (found.boxes[:, 0] + 50) == pytest.approx([200, 400, 500, 300, 100], abs=1e-2)


def test_a_box_is_scaled_by_the_pictures_own_sides() -> None:
    found = seen([(0.25, 0.5, 0.1, 0.4)], [5.0])
    assert found.boxes[0] == pytest.approx([200, 150, 300, 350], abs=1e-2)


def test_a_box_ends_where_the_picture_does() -> None:
    found = seen([(0.05, 0.5, 0.2, 1.4), (0.95, 0.9, 0.2, 0.4)], [5.0, 4.0])
    assert found.boxes == pytest.approx(np.array([[0, 0, 150, 500], [850, 350, 1000, 500]]), abs=1e-2)


@given(st.floats(-2.75, 4.5, width=32))
def test_a_score_exactly_at_the_threshold_counts_and_one_just_below_does_not(logit: float) -> None:
    score = np.float32(1 / (1 + exp(-logit)))
    box = [(0.5, 0.5, 0.1, 0.1)]
    assert seen(box, [logit], float(score)).scores.tolist() == [score]
    assert seen(box, [logit], float(np.nextafter(score, np.float32(1)))).scores.tolist() == []


def test_a_logit_of_zero_is_a_score_of_a_half() -> None:
    assert seen([(0.5, 0.5, 0.1, 0.1)], [0.0]).scores.tolist() == [0.5]
    assert seen([(0.5, 0.5, 0.1, 0.1)], [log(0.9 / 0.1)], 0.9).scores == pytest.approx([0.9])


def test_where_nothing_is_seen_the_arrays_are_empty_and_of_their_kind() -> None:
    found = seen([], [])
    assert [found.boxes.shape, found.scores.shape, found.class_ids.shape] == [(0, 4), (0,), (0,)]
    assert [str(found.boxes.dtype), str(found.scores.dtype), str(found.class_ids.dtype)] == KINDS


def test_a_logit_that_is_no_number_is_no_detection() -> None:
    boxes = [(0.5, 0.5, 0.1, 0.1)] * 4
    assert seen(boxes, [float("nan"), 2.0, float("-inf"), float("inf")]).scores == pytest.approx([1.0, 0.880797])


def test_what_comes_out_does_not_change_what_went_in() -> None:
    dets = np.full((300, 4), 0.5, np.float32)
    labels = np.full((300, 91), 1.0, np.float32)
    postprocess(dets, labels, 640, 480, 0.5)
    assert np.all(dets == np.float32(0.5))
    assert np.all(labels == np.float32(1.0))

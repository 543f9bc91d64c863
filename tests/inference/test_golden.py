"""Porchlight's arithmetic against records of what predict() of the rfdetr package 1.11.2 really did.

golden/make_golden.py made the records and says what is in them; the package itself is not needed here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance import coco
from appliance.inference.picture import Decoder
from appliance.inference.rfdetr import MEAN, STD, TOP_K, Preprocessor, postprocess
from appliance.messages import Frame, FrameInfo, PixelFormat, Rows
from tests.inference.golden.pictures import NANO, PICTURES, SEEN, Picture
from tests.inference.reference import resized

GOLDEN = Path(__file__).parent / "golden"
LEVEL = 1 / 255
"""One grey level, where values lie in 0..1: before the mean is taken off and std divided by."""
RECORDED_WITHIN = 0.5 / 65535
REFERENCE_WITHIN = 0.02 * LEVEL
"""torch places a pixel in float32, which is a 30,000th of a pixel off where the picture is wide; measured 0.014."""
SCORE_WITHIN = 1e-6
BOX_WITHIN = 0.5
"""Pixels of the source."""
ALIKE = 2.0**-23
"""The package orders by float32 scores, and its sigmoid is not ours to the last bit: scores so near to one another are
equal for one of the two and not for the other, and their rows may stand in either order.
"""
CRAFTED = ("equal_logits", "scores_that_are_one", "scores_that_round_alike", "crowd", "beyond_the_edge", "no_numbers")


@dataclass(frozen=True, slots=True)
class Record:
    """Raw outputs, and what predict() made of them at one threshold."""

    dets: Any
    labels: Any
    width: int
    height: int
    threshold: float
    boxes: Any
    scores: Any
    class_ids: Any


def load(name: str) -> Any:
    with np.load(GOLDEN / f"{name}.npz") as arrays:
        return dict(arrays)


def facts() -> Any:
    return json.loads((GOLDEN / "facts.json").read_text())


@pytest.fixture(scope="module")
def inputs() -> Any:
    return load("inputs")


@pytest.fixture(scope="module")
def outputs() -> Any:
    return load("outputs")


def records(outputs: Any, case: str) -> Iterator[Record]:
    """Return the case's records, one for each threshold."""
    width, height = (int(side) for side in outputs[f"{case}/size"])
    for key in outputs:
        if key.startswith(f"{case}/") and key.endswith("/xyxy"):
            there = key.removesuffix("/xyxy")
            yield Record(
                outputs[f"{case}/dets"], outputs[f"{case}/labels"], width, height, float(there.split("/")[1]),
                outputs[key], outputs[f"{there}/confidence"], outputs[f"{there}/class_id"],
            )  # fmt: skip


def rows_of(record: Record) -> Rows:
    return postprocess(record.dets, record.labels, record.width, record.height, record.threshold)


def unnormalised(tensor: Any) -> Any:
    """Return the values in 0..1 of a tensor [1, 3, side, side], channel by channel: times std, plus mean."""
    return tensor[0].astype(np.float64) * np.array(STD)[:, None, None] + np.array(MEAN)[:, None, None]


def furthest(tensor: Any, recorded: Any) -> float:
    """Return the largest difference in any pixel, in grey levels, at its worst for what the record left out."""
    difference = np.abs(unnormalised(tensor) - recorded / 65535).max()
    return float((difference + RECORDED_WITHIN) / LEVEL)


def names(pictures: tuple[Picture, ...]) -> list[str]:
    return [picture.name for picture in pictures]


every_picture = pytest.mark.parametrize("picture", PICTURES, ids=names(PICTURES))


@every_picture
def test_the_pictures_are_those_that_the_package_was_shown(picture: Picture) -> None:
    assert hashlib.sha256(picture.rgb().tobytes()).hexdigest() == facts()["sha256"][picture.name]


@every_picture
def test_no_pixel_of_the_input_is_a_grey_level_away_from_what_predict_gives_its_model(
    inputs: Any, picture: Picture
) -> None:
    assert inputs[picture.name].shape == (3, picture.side, picture.side)
    assert furthest(Preprocessor(picture.side).fill(picture.rgb()), inputs[picture.name]) <= 1


@every_picture
def test_nor_where_the_picture_comes_as_a_frame(inputs: Any, picture: Picture) -> None:
    info = FrameInfo(1, 0, 0, picture.width, picture.height, PixelFormat.RGB24)
    rgb = Decoder(picture.side).decode(Frame(info, memoryview(picture.rgb().tobytes())))
    assert furthest(Preprocessor(picture.side).fill(rgb), inputs[picture.name]) <= 1


@every_picture
def test_the_plain_reference_is_what_predict_gives_its_model(inputs: Any, picture: Picture) -> None:
    """So what holds against the reference, for any size that hypothesis thinks of, holds against the package."""
    reference = resized(picture.rgb(), picture.side).transpose(2, 0, 1)
    assert np.abs(reference - inputs[picture.name] / 65535).max() <= REFERENCE_WITHIN


def assert_the_packages(found: Rows, record: Record, score_within: float = SCORE_WITHIN, alike: float = ALIKE) -> None:
    """Same rows in the same order; rows whose scores are `alike` may change places among themselves."""
    assert len(found) == len(record.scores)
    assert np.allclose(found.scores, record.scores, rtol=0, atol=score_within)
    ends = np.flatnonzero(np.diff(record.scores) < -alike) + 1
    for first, end in zip([0, *ends], [*ends, len(found)], strict=True):
        ours = ordered(found.class_ids[first:end], found.boxes[first:end])
        theirs = ordered(record.class_ids[first:end], record.boxes[first:end])
        assert ours[0].tolist() == theirs[0].tolist()
        assert np.abs(ours[1] - theirs[1]).max(initial=0) <= BOX_WITHIN


def ordered(class_ids: Any, boxes: Any) -> tuple[Any, Any]:
    """Return rows in an order of their own: by class, then by where they are."""
    order = np.lexsort((*np.rint(boxes).T, class_ids))
    return class_ids[order], boxes[order]


@pytest.mark.parametrize("case", [*names(SEEN), *CRAFTED])
def test_rows_are_predicts_rows(outputs: Any, case: str) -> None:
    for record in records(outputs, case):
        assert_the_packages(rows_of(record), record)


@pytest.mark.parametrize("picture", SEEN, ids=names(SEEN))
def test_the_records_hold_tens_of_rows_and_more_than_the_package_keeps(outputs: Any, picture: Picture) -> None:
    """Else the test above would compare next to nothing."""
    counts = {record.threshold: len(record.scores) for record in records(outputs, picture.name)}
    assert counts[0.5] > 40
    assert counts[0.9] > 5
    assert counts[0.05] == TOP_K
    labels = outputs[f"{picture.name}/labels"]
    assert np.count_nonzero(labels > np.log(0.05 / 0.95)) > TOP_K


@pytest.mark.parametrize("case", ["equal_logits", "crowd"])
def test_of_equal_logits_the_lower_index_comes_first_as_with_predict(outputs: Any, case: str) -> None:
    for record in records(outputs, case):
        found = rows_of(record)
        assert found.class_ids.tolist() == record.class_ids.tolist()
        assert np.abs(found.boxes - record.boxes).max() <= BOX_WITHIN


def test_a_score_exactly_at_the_threshold_counts_here_and_does_not_with_predict(outputs: Any) -> None:
    """The one rule that is not the package's: it keeps what is above, we keep what is not below."""
    for record in records(outputs, "at_the_threshold"):
        found = rows_of(record)
        at_it = found.scores == np.float32(record.threshold)
        assert np.count_nonzero(at_it) == 1
        assert found.scores[~at_it] == pytest.approx(record.scores, abs=SCORE_WITHIN)
        assert np.all(record.scores > np.float32(record.threshold))


def test_the_packages_own_onnx_export_gives_predicts_rows(outputs: Any) -> None:
    """Scores as near as the export is to torch: a logit's distance is a quarter of that in a score, at most."""
    name = SEEN[0].name
    exported = load("onnx")
    apart = {output: np.abs(exported[output] - outputs[f"{name}/{output}"]).max() for output in ("dets", "labels")}
    assert apart == pytest.approx(facts()["onnx_from_torch"][name])
    assert apart["dets"] <= 1e-5
    assert apart["labels"] <= 1e-4
    within = float(apart["labels"]) / 4 + SCORE_WITHIN
    for record in records(outputs, name):
        found = postprocess(exported["dets"], exported["labels"], record.width, record.height, record.threshold)
        assert_the_packages(found, record, within, 2 * within)


def test_an_input_of_nano_is_as_large_as_the_contract_says(inputs: Any) -> None:
    assert [inputs[picture.name].shape for picture in SEEN] == [(3, NANO, NANO)] * len(SEEN)


def test_the_names_are_the_packages_own() -> None:
    recorded = json.loads((GOLDEN / "coco_classes.json").read_text())
    assert {str(number): name for number, name in coco.NAMES.items()} == recorded


def test_the_records_are_of_the_version_that_is_promised() -> None:
    assert facts()["versions"]["rfdetr"] == "1.11.2"

"""The demo detector finds the people of the synthetic porch, and nobody else, in scenes it never learnt from."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from appliance.capture.synthetic import Scene
from appliance.inference.demo import PORCH_DEMO
from appliance.inference.onnxruntime_cpu import OnnxRuntimeCpu
from training.contract import ALL_COLUMNS, COLUMNS, HELD_OUT, NOTHING, ROWS, SIDE
from training.measure import Eye, Figures, busy_moments, busy_scenes, empty_moments, empty_scenes, meet

TRAINING = Path(__file__).parents[2] / "training"


@pytest.fixture(scope="module")
def eye() -> Eye:
    return Eye(PORCH_DEMO)


@pytest.fixture(scope="module")
def figures(eye: Eye) -> Figures:
    made = Figures()
    busy_moments(eye, busy_scenes(16), 6, made)
    empty_moments(eye, empty_scenes(16), 20, made)
    return made


def test_nine_of_ten_people_who_can_be_seen_are_found(figures: Figures) -> None:
    assert figures.people >= 100
    assert figures.recall >= 0.9


def test_their_boxes_fit(figures: Figures) -> None:
    assert figures.overlap >= 0.6


def test_nobody_is_seen_where_nobody_is_by_day_at_dusk_at_night_and_in_the_rain(figures: Figures) -> None:
    assert figures.empty >= 300
    assert figures.false == 0


def test_twenty_visits_are_noticed_within_a_second_and_a_half_at_standby_pace(eye: Eye) -> None:
    scenes = [Scene(options) for options in busy_scenes(20, first=4 * HELD_OUT)]
    met = [meet(eye, scene, scene.visits(60.0)[0]) for scene in scenes]
    noticed = [one.first for one in met if one.first is not None]
    assert len(noticed) == 20
    assert max(noticed) <= 1.5
    assert all(one.alarm is not None for one in met)


def test_onnx_runtime_takes_it_and_unused_columns_are_silent() -> None:
    model = OnnxRuntimeCpu(PORCH_DEMO, 2)
    assert (model.info.side, model.info.queries, model.info.columns) == (SIDE, ROWS, ALL_COLUMNS)
    dets, labels = model.detect(np.zeros((1, 3, SIDE, SIDE), np.float32))
    assert dets.shape == (ROWS, 4)
    assert labels.shape == (ROWS, ALL_COLUMNS)
    unused = np.delete(labels, list(COLUMNS.values()), axis=1)
    assert np.all(unused == NOTHING)


def test_it_is_small() -> None:
    assert PORCH_DEMO.stat().st_size <= 3_000_000


def test_the_readme_names_this_very_file() -> None:
    assert hashlib.sha256(PORCH_DEMO.read_bytes()).hexdigest() in (TRAINING / "README.md").read_text()

"""Building an engine with a TensorRT that is none: what it is told, what it says, and what is left of it."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.inference.detector import AbsentError, BackendError
from appliance.inference.gpu import tensorrt_build
from appliance.inference.gpu.tensorrt_build import WORKSPACE_BYTES, Progress, built
from tests.inference.gpu.card import LOST, Card
from tests.inference.gpu.nvinfer import TensorRt
from tests.inference.onnx_maker import model, rows


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where it is built; in the end nothing may be left in it."""
    (tmp_path / "making").mkdir()
    return tmp_path / "making"


def nobody(_share: float) -> None:
    pass


def refusal(path: Path, folder: Path) -> BackendError:
    with pytest.raises(BackendError) as caught:
        built(path, folder, nobody)
    assert list(folder.iterdir()) == []
    return caught.value


def test_the_engine_is_of_the_model_in_float16_and_its_ends_stay_float32(
    tensorrt: TensorRt, path: Path, folder: Path
) -> None:
    """TensorRT takes the precision from the file."""
    plan = built(path, folder, nobody)
    assert plan.startswith(tensorrt.stamp)
    typed = onnx.load_from_string(plan.removeprefix(tensorrt.stamp))
    half, single = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    kinds = {one.name: one.data_type for one in typed.graph.initializer}
    assert half in kinds.values()
    assert {end.type.tensor_type.elem_type for end in (*typed.graph.input, *typed.graph.output)} == {single}
    assert {end.name for end in typed.graph.output} == {"dets", "labels"}
    assert list(folder.iterdir()) == [], "what lies there is kept with the engine"


def test_the_network_is_strongly_typed_and_the_workspace_is_limited(
    tensorrt: TensorRt, path: Path, folder: Path
) -> None:
    """The double refuses any other network. TensorRT would take the whole card, which may be somebody's screen."""
    built(path, folder, nobody)
    assert tensorrt.workspace == WORKSPACE_BYTES == 1 << 30
    assert tensorrt.built == 1


def test_its_progress_rises_from_nothing_to_the_whole(tensorrt: TensorRt, path: Path, folder: Path) -> None:
    told: list[float] = []
    built(path, folder, told.append)
    assert told == sorted(told)
    assert told[0] > 0
    assert told[-1] == 1.0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("Builder", "TensorRT cannot build an engine of model.onnx: pybind11::init(): factory function returned"),
        ("parse_from_file", "TensorRT 11.4.0.106 cannot read the model: In node 7 with name: and operator: Odd"),
        (
            "build_serialized_network",
            "TensorRT 11.4.0.106 cannot build the engine: [build_serialized_network] Error Code 1: Cuda Runtime (",
        ),
    ],
)
def test_whatever_fails_is_told_in_tensorrts_words(
    tensorrt: TensorRt, card: Card, path: Path, folder: Path, call: str, words: str
) -> None:
    built(path, folder, nobody)
    calls, card.fault = list(card.calls), LOST
    card.calls.clear()
    card.fails_at = calls.index(call)
    error = refusal(path, folder)
    assert str(error).startswith(words)
    assert "\n" not in str(error)
    assert not isinstance(error, AbsentError)


@pytest.mark.parametrize("number", range(3 + 6))
def test_whatever_call_fails_it_is_a_refusal_and_nothing_is_left(
    tensorrt: TensorRt, card: Card, path: Path, folder: Path, number: int
) -> None:
    """The card's three, to be opened; then TensorRT's: two, and one for each step."""
    card.fails_at = number
    refusal(path, folder)
    assert len(card.calls) > number
    assert tensorrt.built == 0


def test_a_parser_without_an_error_of_its_own_is_told_by_what_the_logger_heard(
    tensorrt: TensorRt, path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent:
        num_errors = 0

        def parse_from_file(self, model: str) -> bool:
            return not model

    monkeypatch.setattr(tensorrt, "OnnxParser", lambda *_: Silent())
    assert str(refusal(path, folder)) == "TensorRT 11.4.0.106 cannot read the model: it does not say why"


def test_without_a_card_tensorrt_is_asked_for_nothing(
    card: Card, path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    card.count = 0
    error = refusal(path, folder)
    assert isinstance(error, AbsentError)
    assert str(error) == "no CUDA device: the driver has none"


def test_without_tensorrt_it_is_absent(card: Card, path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Nowhere:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "tensorrt":
                raise ModuleNotFoundError("No module named 'tensorrt'", name="tensorrt")

    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Nowhere(), *sys.meta_path])
    assert isinstance(refusal(path, folder), AbsentError)


def test_a_model_that_cannot_be_converted_is_refused_before_tensorrt_sees_it(
    tensorrt: TensorRt, card: Card, path: Path, folder: Path
) -> None:
    path.write_bytes(b"no model")
    assert "model.onnx cannot be converted to float16" in str(refusal(path, folder))
    assert "Builder" not in card.calls


def test_a_conversion_that_ends_in_the_middle_leaves_nothing(
    tensorrt: TensorRt, path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_model: Path, to: Path) -> None:
        to.write_bytes(b"the first half")
        raise BackendError("model.onnx cannot be converted to float16: No space left on device")

    monkeypatch.setattr(tensorrt_build, "half", full)
    assert "No space left" in str(refusal(path, folder))


def test_a_model_whose_first_dimension_is_open_is_built_for_one_picture(
    tensorrt: TensorRt, path: Path, folder: Path
) -> None:
    path.write_bytes(model(rows([]), {"input": (1, ("batch", 3, 224, 224))}))
    typed = onnx.load_from_string(built(path, folder, nobody).removeprefix(tensorrt.stamp))
    assert typed.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1


def heard(*events: tuple[Any, ...]) -> list[float]:
    """Return what is told of these events: a name, and what it takes."""
    told: list[float] = []
    progress = Progress(told.append)
    for name, *rest in events:
        getattr(progress, name)(*rest)
    return told


def test_a_phase_within_a_phase_is_a_part_of_its_step() -> None:
    inner = [("start", "inner", "outer", 4), *(("step", "inner", step) for step in range(4)), ("finish", "inner")]
    told = heard(("start", "outer", None, 2), *inner, ("step", "outer", 0), *inner, ("step", "outer", 1))
    assert told == [share / 8 for share in range(1, 9)]


def test_it_never_falls_where_a_second_root_begins() -> None:
    first = [("start", "one", None, 2), ("step", "one", 0), ("finish", "one")]
    second = [("start", "two", None, 4), *(("step", "two", step) for step in range(4))]
    assert heard(*first, *second) == [0.5, 0.75, 1.0]


def test_only_twentieths_are_told() -> None:
    told = heard(("start", "long", None, 1000), *(("step", "long", step) for step in range(1000)))
    assert 18 <= len(told) <= 20
    assert all(later - earlier > 0.05 - 1e-9 for earlier, later in itertools.pairwise(told))


@pytest.mark.parametrize(
    "events",
    [
        [("finish", "never begun"), ("step", "never begun", 3)],
        [("start", "no steps", None, 0), ("step", "no steps", 0)],
        [("start", "orphan", "never begun", 2), ("step", "orphan", 9)],
        [("start", "itself", "itself", 2), ("step", "itself", 0)],
        [("start", "a", None, 2), ("start", "b", "a", 2), ("start", "a", "b", 2), ("step", "a", 0), ("step", "b", 0)],
    ],
)
def test_what_makes_no_sense_ends_no_build(events: list[tuple[Any, ...]]) -> None:
    """An error here would end inside of TensorRT."""
    assert all(0 < share <= 1 for share in heard(*events))


_NAMES = st.sampled_from("abc")
_EVENTS = st.one_of(
    st.tuples(st.just("start"), _NAMES, st.none() | _NAMES, st.integers(0, 4)),
    st.tuples(st.just("step"), _NAMES, st.integers(0, 5)),
    st.tuples(st.just("finish"), _NAMES),
)


@given(st.lists(_EVENTS, max_size=30))
def test_whatever_happens_it_rises_and_is_never_more_than_the_whole(events: list[tuple[Any, ...]]) -> None:
    told = heard(*events)
    assert all(earlier < later for earlier, later in itertools.pairwise(told))
    assert all(0 < share <= 1 for share in told)

"""What is a model that Porchlight can run, and what is told of one that is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from appliance.inference.backends.onnxruntime_cpu import OnnxRuntimeCpu
from appliance.inference.contract import CONTRACT
from appliance.inference.detector import ModelError, ModelInfo
from appliance.stage import StageRefusedError
from tests.inference.onnx_maker import FLOAT, FLOAT16, model, rows

if TYPE_CHECKING:
    from pathlib import Path

PERSON = rows([(7, (0.5, 0.5, 0.2, 0.4), 1, 2.0)])


def floats(*shape: int) -> Any:
    return np.zeros(shape, np.float32)


def refused(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        OnnxRuntimeCpu(path, 1)
    said = str(caught.value)
    assert str(path) in said
    assert CONTRACT in said
    return said


def test_a_model_that_keeps_the_contract_says_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "porch.onnx"
    path.write_bytes(model(PERSON))
    assert OnnxRuntimeCpu(path, 1).info == ModelInfo("porch.onnx", side=224, queries=300, columns=91)


def test_a_model_may_say_that_it_knows_one_kind_of_source_only(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(
        model(PERSON, metadata={"porchlight.only_for": "synthetic", "porchlight.notice": "Knows drawings only."})
    )
    info = OnnxRuntimeCpu(path, 1).info
    assert (info.only_for, info.notice) == ("synthetic", "Knows drawings only.")


def test_a_model_answers_with_its_dets_and_labels_by_name(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    swapped = {"labels": PERSON["labels"], "more": floats(1, 2), "dets": PERSON["dets"]}
    path.write_bytes(model(swapped))
    dets, labels = OnnxRuntimeCpu(path, 2).detect()
    assert np.array_equal(dets, PERSON["dets"][0])
    assert np.array_equal(labels, PERSON["labels"][0])


def test_a_model_sees_the_tensor_it_is_given(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(model(PERSON, brightness_to="labels"))
    detector = OnnxRuntimeCpu(path, 1)
    detector.tensor.fill(0.5)
    _, labels = detector.detect()
    assert np.allclose(labels, PERSON["labels"][0] + 0.5)


@pytest.mark.parametrize("side", [224, 384, 512, 576, 704, 1024])
def test_the_side_is_read_from_the_model(tmp_path: Path, side: int) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(model(rows([], queries=10, columns=5), side=side))
    first_five = {1: "person", 2: "bicycle", 3: "car", 4: "motorcycle"}
    assert OnnxRuntimeCpu(path, 1).info == ModelInfo("model.onnx", side, queries=10, columns=5, classes=first_five)


@pytest.mark.parametrize("batch", ["batch", "N"])
def test_a_batch_of_any_size_is_a_batch_of_one(tmp_path: Path, batch: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(model(PERSON, {"input": (FLOAT, (batch, 3, 224, 224))}))
    assert OnnxRuntimeCpu(path, 1).info.side == 224


@pytest.mark.parametrize(
    "content",
    [b"", b"This is no model.\n" * 100, model(PERSON)[:5000], b"\xff" * 1000],
    ids=["empty", "text", "truncated", "noise"],
)
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    assert "is not an ONNX model" in refused(tmp_path / "model.onnx", content)


def test_a_model_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.onnx"):
        OnnxRuntimeCpu(tmp_path / "none.onnx", 1)
    with pytest.raises(ModelError, match="is not an ONNX model"):
        OnnxRuntimeCpu(tmp_path, 1)


def test_a_refused_model_refuses_the_stage() -> None:
    assert issubclass(ModelError, StageRefusedError)


@pytest.mark.parametrize(
    ("inputs", "wrong", "has"),
    [
        (
            {"images": (FLOAT, (1, 3, 640, 640))},
            "it does not have one input, called 'input'",
            "images tensor(float) [1, 3, 640,",
        ),
        ({}, "it does not have one input, called 'input'", "it has dets"),
        (
            {"input": (FLOAT, (1, 3, 224, 224)), "orig_target_sizes": (FLOAT, (1, 2))},
            "it does not have one input, called 'input'",
            "orig_target_sizes tensor(float) [1, 2]",
        ),
        ({"input": (FLOAT16, (1, 3, 224, 224))}, "input is tensor(float16), not float32", "tensor(float16)"),
        ({"input": (FLOAT, (1, 3, 224, 256))}, "its input is not [1, 3, S, S]", "[1, 3, 224, 256]"),
        ({"input": (FLOAT, (1, 1, 224, 224))}, "its input is not [1, 3, S, S]", "[1, 1, 224, 224]"),
        ({"input": (FLOAT, (1, 224, 224, 3))}, "its input is not [1, 3, S, S]", "[1, 224, 224, 3]"),
        ({"input": (FLOAT, (2, 3, 224, 224))}, "its input is not [1, 3, S, S]", "[2, 3, 224, 224]"),
        ({"input": (FLOAT, (3, 224, 224))}, "its input is not [1, 3, S, S]", "[3, 224, 224]"),
        ({"input": (FLOAT, (1, 3, "side", "side"))}, "its input is not [1, 3, S, S]", "[1, 3, 'side', 'side']"),
        ({"input": (FLOAT, ())}, "its input is not [1, 3, S, S]", "input tensor(float) []"),
        ({"input": (FLOAT, (1, 3, 192, 192))}, "an input side of 192 pixels is out of range", "[1, 3, 192, 192]"),
        ({"input": (FLOAT, (1, 3, 250, 250))}, "an input side of 250 pixels is out of range", "[1, 3, 250, 250]"),
        ({"input": (FLOAT, (1, 3, 1056, 1056))}, "an input side of 1056 pixels is out of range", "1056"),
    ],
)
def test_another_input_is_refused_with_what_it_is_and_what_it_should_be(
    tmp_path: Path, inputs: Any, wrong: str, has: str
) -> None:
    said = refused(tmp_path / "model.onnx", model(PERSON, inputs))
    assert wrong in said
    assert has in said


@pytest.mark.parametrize(
    ("outputs", "wrong", "has"),
    [
        ({"boxes": floats(1, 9, 4), "scores": floats(1, 9, 3)}, "no output 'dets' and 'labels'", "boxes tensor(float)"),
        ({"dets": floats(1, 9, 4), "logits": floats(1, 9, 3)}, "it has no output 'labels'", "logits tensor(float)"),
        ({"dets": floats(1, 9, 5), "labels": floats(1, 9, 3)}, "its outputs have other shapes", "[1, 9, 5]"),
        ({"dets": floats(1, 9, 4), "labels": floats(1, 8, 3)}, "its outputs have other shapes", "[1, 8, 3]"),
        ({"dets": floats(9, 4), "labels": floats(9, 3)}, "its outputs have other shapes", "dets tensor(float) [9, 4]"),
        ({"dets": floats(1, 9, 4), "labels": floats(1, 9)}, "its outputs have other shapes", "labels tensor(float) [1"),
        ({"dets": floats(1, 9, 4), "labels": floats(1, 9, 3).astype(np.float16)}, "labels is tensor(float16)", "dets"),
        (
            {"dets": floats(1, 9, 4), "labels": np.zeros((1, 9, 3), np.int64)},
            "labels is tensor(int64), not float32",
            "labels tensor(int64) [1, 9, 3]",
        ),
    ],
)
def test_other_outputs_are_refused_with_what_they_are_and_what_they_should_be(
    tmp_path: Path, outputs: Any, wrong: str, has: str
) -> None:
    said = refused(tmp_path / "model.onnx", model(outputs))
    assert wrong in said
    assert has in said


NOTED = {"rfdetr_notes": '{"class_names": ["parcel", "person"]}'}


def a_model(folder: Path, metadata: dict[str, str]) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(model(rows([], queries=10, columns=3), metadata=metadata))
    return path


def test_class_names_come_with_the_model_where_it_brings_them(tmp_path: Path) -> None:
    """A fine-tuned model's column i is its i-th name (rfdetr's predict() does the same)."""
    assert OnnxRuntimeCpu(a_model(tmp_path, NOTED), 1).info.classes == {0: "parcel", 1: "person"}


def test_class_names_may_lie_beside_the_model(tmp_path: Path) -> None:
    (tmp_path / "model.class_names.txt").write_text("fox\nhedgehog\nperson\n")
    assert OnnxRuntimeCpu(a_model(tmp_path, {}), 1).info.classes == {0: "fox", 1: "hedgehog", 2: "person"}


def test_the_models_own_names_go_before_the_file_beside_it(tmp_path: Path) -> None:
    (tmp_path / "model.class_names.txt").write_text("fox\n")
    assert OnnxRuntimeCpu(a_model(tmp_path, NOTED), 1).info.classes[0] == "parcel"


@pytest.mark.parametrize("notes", ["made on a Sunday", '["fox"]', "{}"])
def test_notes_without_class_names_are_somebodys_own_words(tmp_path: Path, notes: str) -> None:
    assert OnnxRuntimeCpu(a_model(tmp_path, {"rfdetr_notes": notes}), 1).info.classes == {1: "person", 2: "bicycle"}


@pytest.mark.parametrize(
    ("names", "wrong"),
    [('"fox"', "no list of words"), ("[]", "no list of words"), ("[1]", "no list of words"), ('[" "]', "no list")],
)
def test_class_names_that_are_none_are_refused(tmp_path: Path, names: str, wrong: str) -> None:
    with pytest.raises(ModelError, match=wrong):
        OnnxRuntimeCpu(a_model(tmp_path, {"rfdetr_notes": f'{{"class_names": {names}}}'}), 1)


def test_more_class_names_than_columns_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.class_names.txt").write_text("a\nb\nc\nd\n")
    with pytest.raises(ModelError, match="4 class names for the 3 columns"):
        OnnxRuntimeCpu(a_model(tmp_path, {}), 1)


@pytest.mark.parametrize("content", [b"", b"fox\n\nperson\n", b"\xff\xfe"])
def test_a_file_of_names_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.class_names.txt").write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.class_names\.txt"):
        OnnxRuntimeCpu(a_model(tmp_path, {}), 1)

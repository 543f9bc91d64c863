"""TensorRT's backends on a card that is none: the calls and their order, what they answer, and what they refuse."""

from __future__ import annotations

import dataclasses
import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.inference.backends import open_backend
from appliance.inference.detector import AbsentError, BackendError, EngineError, ModelInfo
from appliance.inference.gpu.tensorrt_build import built
from appliance.inference.picture import PictureError
from appliance.messages import PixelFormat
from tests.inference.gpu.card import LOST, NO_MEMORY, Card
from tests.inference.gpu.frames import RAW, frame, noise
from tests.inference.gpu.nvinfer import TensorRt
from tests.inference.gpu.processor import OnProcessor
from tests.inference.onnx_maker import FLOAT, model, rows

NAMES = ["tensorrt", "tensorrt_int8"]
FORMATS = [*RAW, PixelFormat.JPEG]
OPENED = 6 + 2 + 1 + 4 + 3
"""Calls to open one: the card and its input; Runtime and engine; context; memory for two outputs; their addresses."""

pytestmark = pytest.mark.parametrize("name", NAMES)


@pytest.fixture
def engine(tensorrt: TensorRt, card: Card, path: Path, tmp_path: Path) -> Path:
    """The model's engine, as `engines.build` would keep it."""
    (tmp_path / "making").mkdir()
    plan = built(path, tmp_path / "making", lambda _share: None)
    (tmp_path / "model.engine").write_bytes(plan)
    card.calls.clear()
    return tmp_path / "model.engine"


def refusal(name: str, engine: Path, info: ModelInfo) -> BackendError:
    with pytest.raises(BackendError) as caught:
        open_backend(name, engine, info, 1)
    return caught.value


def test_it_answers_as_the_reference_does_within_what_float16_makes(
    name: str, path: Path, engine: Path, info: ModelInfo
) -> None:
    reference = open_backend("onnxruntime", path, None, 1)
    ours = open_backend(name, engine, info, 1)
    assert (ours.backend, ours.info) == (name, info)
    for number, kind in enumerate(FORMATS * 2):
        one = noise(kind, 320, 240, seed=number)
        answers: list[list[Any]] = []
        for detector in (reference, ours):
            detector.take(one)
            answers.append([array.copy() for array in detector.detect()])
        (dets, labels), (its_dets, its_labels) = answers
        assert np.array_equal(dets, its_dets), "0.5 is 0.5 in float16, too"
        assert np.allclose(labels, its_labels, rtol=2e-3, atol=2e-3)
    ours.close()


@pytest.mark.real
def test_it_answers_as_the_reference_does_with_the_kernel_itself(
    name: str, card: Card, kernel: OnProcessor, path: Path, engine: Path, info: ModelInfo
) -> None:
    card.kernel = kernel
    test_it_answers_as_the_reference_does_within_what_float16_makes(name, path, engine, info)


def test_the_calls_and_their_order(name: str, card: Card, engine: Path, info: ModelInfo) -> None:
    detector = open_backend(name, engine, info, 1)
    assert card.calls == [
        *["getDeviceCount", "use 0", "Stream", "RawKernel", "compile", "Memory"],
        *["Runtime", "deserialize_cuda_engine", "create_execution_context"],
        *["Memory", "Memory", "PinnedMemory", "PinnedMemory"],
        *["set_tensor_address"] * 3,
    ]
    assert len(card.calls) == OPENED
    for _ in range(2):
        detector.take(noise(PixelFormat.NV12, 320, 240))
        detector.detect()
    look = ["memcpyAsync", "launch", "execute_async_v3", "memcpyAsync", "memcpyAsync", "synchronize"]
    assert card.calls[OPENED:] == ["Memory", "PinnedMemory", *look, "synchronize", *look]
    detector.close()


def test_its_answers_lie_in_the_same_place_each_time(name: str, engine: Path, info: ModelInfo) -> None:
    detector = open_backend(name, engine, info, 1)
    places = []
    for _ in range(2):
        detector.take(noise(PixelFormat.NV12, 320, 240))
        answers = detector.detect()
        assert [array.shape for array in answers] == [(300, 4), (300, 91)]
        places.append([array.ctypes.data for array in answers])
    assert places[0] == places[1]
    detector.close()


def test_an_engine_of_another_version_has_to_be_built_anew(
    name: str, tensorrt: TensorRt, engine: Path, info: ModelInfo
) -> None:
    tensorrt.__version__ = "11.5.0"
    error = refusal(name, engine, info)
    assert isinstance(error, EngineError)
    assert str(error).startswith(f"TensorRT 11.5.0 cannot load {engine}: IRuntime::deserializeCudaEngine: Error Code 1")


def test_a_card_that_is_full_says_nothing_of_the_engine_which_took_minutes_to_build(
    name: str, card: Card, engine: Path, info: ModelInfo
) -> None:
    open_backend(name, engine, info, 1).close()
    card.fails_at, card.fault, card.for_good = card.calls.index("deserialize_cuda_engine"), NO_MEMORY, False
    card.calls.clear()
    error = refusal(name, engine, info)
    assert "out of memory" in str(error)
    assert not isinstance(error, EngineError)


def test_an_engine_that_ends_early_has_to_be_built_anew(name: str, engine: Path, info: ModelInfo) -> None:
    engine.write_bytes(engine.read_bytes()[:5])
    assert isinstance(refusal(name, engine, info), EngineError)


def test_an_engine_that_is_gone_has_to_be_built_anew(name: str, engine: Path, info: ModelInfo) -> None:
    engine.unlink()
    error = refusal(name, engine, info)
    assert isinstance(error, EngineError)
    assert str(error) == f"{engine}: No such file or directory"


def half(outputs: dict[str, Any], name: str) -> dict[str, Any]:
    return {**outputs, name: outputs[name].astype(np.float16)}


@pytest.mark.parametrize(
    "other",
    [
        model(rows([]), side=256),
        model(rows([], queries=100)),
        model(rows([], columns=3)),
        model({**rows([]), "dets": np.zeros((1, 300, 5), np.float32)}),
        model({**rows([]), "dets": np.zeros((1, 300), np.float32)}),
        model({**rows([]), "dets": np.zeros((1, 200, 4), np.float32)}),
        model({"labels": rows([])["labels"]}),
        model(half(rows([]), "labels")),
        model(rows([]), {"picture": (FLOAT, (1, 3, 224, 224))}),
        model(rows([]), {"input": (FLOAT, ("batch", 3, 224, 224))}),
    ],
    ids=["side", "queries", "columns", "box", "dims", "fewer boxes", "no dets", "float16", "input's name", "batch"],
)
def test_another_models_engine_is_refused_and_has_to_be_built_anew(
    name: str, tensorrt: TensorRt, card: Card, engine: Path, info: ModelInfo, other: bytes
) -> None:
    engine.write_bytes(tensorrt.stamp + other)
    error = refusal(name, engine, info)
    assert isinstance(error, EngineError)
    assert str(error).startswith("the engine is not this model's: it has {")
    assert "create_execution_context" not in card.calls


def test_a_model_whose_sizes_are_not_known_beforehand_takes_any(name: str, engine: Path, info: ModelInfo) -> None:
    detector = open_backend(name, engine, dataclasses.replace(info, queries=0, columns=0), 1)
    detector.take(noise(PixelFormat.NV12, 320, 240))
    assert detector.detect()[1].shape == (300, 91)
    detector.close()


def test_an_output_that_nobody_asks_for_has_its_place_too(
    name: str, tensorrt: TensorRt, engine: Path, info: ModelInfo
) -> None:
    """The contract allows it, as a segmentation model's masks; TensorRT does not run where one has no address."""
    more = {**rows([(3, (0.5, 0.5, 0.5, 0.5), 1, 2.0)]), "masks": np.zeros((1, 300, 28, 28), np.float32)}
    engine.write_bytes(tensorrt.stamp + model(more))
    detector = open_backend(name, engine, info, 1)
    detector.take(noise(PixelFormat.NV12, 320, 240))
    assert detector.detect()[1][3, 1] == 2.0
    detector.close()


@pytest.mark.parametrize(("fault", "for_good"), [(LOST, True), (NO_MEMORY, False)], ids=["lost", "no memory"])
@pytest.mark.parametrize("number", range(OPENED))
def test_whatever_fails_at_its_opening_is_a_refusal_and_the_memory_goes_back(
    name: str, card: Card, engine: Path, info: ModelInfo, number: int, fault: Callable[[], Exception], for_good: bool
) -> None:
    card.fails_at, card.fault, card.for_good = number, fault, for_good
    error = refusal(name, engine, info)
    assert not isinstance(error, AbsentError)
    assert str(fault()) in str(error)
    assert "\n" not in str(error)
    del error
    gc.collect()
    assert [card.device, card.pinned] == [{}, {}]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (4, "{name} has failed: [execute_async_v3] Error Code 1: Cuda Runtime (cudaErrorLaunchFailure"),
        (5, "{name} has failed: the graphics card has failed while copying an answer from it: cudaErrorLaunchFailure"),
        (7, "{name} has failed: the graphics card has failed while waiting for it: cudaErrorLaunchFailure"),
    ],
)
def test_what_fails_at_work_is_told(
    name: str, card: Card, engine: Path, info: ModelInfo, number: int, words: str
) -> None:
    detector = open_backend(name, engine, info, 1)
    card.fails_at = OPENED + number
    detector.take(noise(PixelFormat.NV12, 320, 240))
    with pytest.raises(BackendError) as caught:
        detector.detect()
    assert str(caught.value).startswith(words.format(name=name))
    detector.close()
    del caught  # its traceback holds on to what was being copied
    gc.collect()
    assert [card.device, card.pinned] == [{}, {}]


def test_a_broken_picture_is_no_fault_of_the_card(name: str, engine: Path, info: ModelInfo) -> None:
    detector = open_backend(name, engine, info, 1)
    with pytest.raises(PictureError):
        detector.take(frame(PixelFormat.JPEG, 64, 48, b"no JPEG"))
    detector.take(noise(PixelFormat.JPEG, 64, 48))
    detector.detect()
    detector.close()


@pytest.mark.parametrize("looks", [0, 1])
def test_when_it_is_closed_the_cards_memory_goes_back(
    name: str, card: Card, engine: Path, info: ModelInfo, looks: int
) -> None:
    """Also with a frame that was taken in and not looked at."""
    detector = open_backend(name, engine, info, 1)
    detector.take(noise(PixelFormat.JPEG, 640, 480))
    for _ in range(looks):
        detector.detect()
    detector.close()
    assert [card.device, card.pinned] == [{}, {}]


def test_without_a_card_tensorrt_is_not_even_loaded(
    name: str, card: Card, engine: Path, info: ModelInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    card.count = 0
    assert str(refusal(name, engine, info)) == "no CUDA device: the driver has none"

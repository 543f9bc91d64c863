"""ONNX Runtime on a card that is none: the calls and their order, what it answers, and what it refuses."""

from __future__ import annotations

import gc
import importlib.metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from appliance.inference import verdicts
from appliance.inference.backends import BACKENDS, open_backend
from appliance.inference.detector import AbsentError, BackendError, ModelInfo
from appliance.inference.picture import PictureError
from appliance.messages import PixelFormat
from tests.inference.gpu.card import STREAM, Card
from tests.inference.gpu.frames import RAW, frame, noise
from tests.inference.gpu.processor import OnProcessor
from tests.inference.gpu.runtime import CPU, CUDA, CudaRuntime

NAME = "onnxruntime_cuda"
FORMATS = [*RAW, PixelFormat.JPEG]


def refusal(path: Path, info: ModelInfo) -> BackendError:
    with pytest.raises(BackendError) as caught:
        open_backend(NAME, path, info, 1)
    return caught.value


def test_this_machines_own_runtime_is_refused_with_what_would_help(path: Path, info: ModelInfo) -> None:
    if CUDA in onnxruntime.get_available_providers():
        pytest.skip("this machine's ONNX Runtime was built with CUDA")
    error = refusal(path, info)
    assert isinstance(error, AbsentError)
    assert str(error) == (
        f"onnxruntime_cuda: the ONNX Runtime that is installed ({onnxruntime.__version__}) was built without CUDA: "
        "pip install --force-reinstall --no-deps onnxruntime-gpu "
        "(it and onnxruntime are one module; the one installed last is there)"
    )


def test_without_its_package_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def version(name: str) -> str:
        asked.append(name)
        if name == "onnxruntime-gpu":
            raise importlib.metadata.PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert NAME not in verdicts.installed()
    assert "onnxruntime-gpu" in asked
    assert NAME in BACKENDS


def test_it_answers_as_the_reference_does(runtime: CudaRuntime, path: Path, info: ModelInfo) -> None:
    reference = open_backend("onnxruntime", path, None, 1)
    ours = open_backend(NAME, path, info, 1)
    assert (ours.backend, ours.info) == (NAME, info)
    for number, kind in enumerate(FORMATS * 2):
        one = noise(kind, 320, 240, seed=number)
        answers: list[list[Any]] = []
        for detector in (reference, ours):
            detector.take(one)
            answers.append([array.copy() for array in detector.detect()])
        (dets, labels), (its_dets, its_labels) = answers
        assert np.array_equal(dets, its_dets)
        assert np.allclose(labels, its_labels, atol=1e-4)
    ours.close()


@pytest.mark.real
def test_it_answers_as_the_reference_does_with_the_kernel_itself(
    runtime: CudaRuntime, card: Card, kernel: OnProcessor, path: Path, info: ModelInfo
) -> None:
    card.kernel = kernel
    test_it_answers_as_the_reference_does(runtime, path, info)


def test_the_calls_and_their_order(runtime: CudaRuntime, card: Card, path: Path, info: ModelInfo) -> None:
    detector = open_backend(NAME, path, info, 1)
    opened = ["preload_dlls", "InferenceSession", "run", "io_binding", "bind_input", "bind_output", "bind_output"]
    assert runtime.calls == opened
    before = len(card.calls)
    for _ in range(2):
        detector.take(noise(PixelFormat.NV12, 320, 240))
        detector.detect()
    assert runtime.calls == [*opened, *["run_with_iobinding"] * 2]
    first, later = ["Memory", "PinnedMemory", "memcpyAsync", "launch"], ["synchronize", "memcpyAsync", "launch"]
    assert card.calls[before:] == [*first, *later]
    detector.close()


def test_the_model_runs_on_the_inputs_own_stream_in_float32(runtime: CudaRuntime, path: Path, info: ModelInfo) -> None:
    open_backend(NAME, path, info, 1).close()
    assert runtime.options["user_compute_stream"] == str(STREAM)
    assert runtime.options["use_tf32"] == "0"
    assert runtime.options["device_id"] == "0"


def test_a_runtime_that_keeps_to_a_stream_of_its_own_is_made_to_wait(
    runtime: CudaRuntime, card: Card, path: Path, info: ModelInfo
) -> None:
    """It would run on the picture before."""
    runtime.takes_streams = False
    test_it_answers_as_the_reference_does(runtime, path, info)
    assert card.calls[-1] == "synchronize"


def test_its_answers_lie_in_the_same_place_each_time(runtime: CudaRuntime, path: Path, info: ModelInfo) -> None:
    detector = open_backend(NAME, path, info, 1)
    answers = []
    for _ in range(2):
        detector.take(noise(PixelFormat.NV12, 320, 240))
        answers.append(detector.detect())
    assert all(a is b for a, b in zip(*answers, strict=True))
    assert [array.shape for array in answers[0]] == [(300, 4), (300, 91)]
    detector.close()


def test_a_runtime_that_falls_back_to_the_cpu_is_refused_with_what_is_missing(
    runtime: CudaRuntime, card: Card, path: Path, info: ModelInfo, capsys: pytest.CaptureFixture[str]
) -> None:
    runtime.usable = False
    runtime.missing = ["libcublasLt.so.13", "libcublas.so.13"]
    error = refusal(path, info)
    assert not isinstance(error, AbsentError), "there is a card, and its owner believes that it is used"
    assert str(error) == (
        "onnxruntime_cuda: ONNX Runtime cannot use CUDA (libcublasLt.so.13: cannot open shared object file: "
        "No such file or directory; 1.31.1 needs CUDA 13.0 and cuDNN 9: pip install 'onnxruntime-gpu[cuda,cudnn]')"
    )
    assert capsys.readouterr().out == "", "a trial's standard output is its result"
    assert "run" not in runtime.calls
    del error
    gc.collect()
    assert card.device == {}


def test_a_fallback_that_nothing_explains_is_refused_all_the_same(
    runtime: CudaRuntime, path: Path, info: ModelInfo
) -> None:
    runtime.usable = False
    assert "cannot use CUDA (it does not say why)" in str(refusal(path, info))


def test_a_library_that_is_missed_but_not_needed_refuses_nothing(
    runtime: CudaRuntime, path: Path, info: ModelInfo
) -> None:
    runtime.missing = ["libcurand.so.10"]
    open_backend(NAME, path, info, 1).close()


def test_a_runtime_without_cuda_is_absent_whatever_else_there_is(
    runtime: CudaRuntime, card: Card, path: Path, info: ModelInfo
) -> None:
    runtime.available = ["AzureExecutionProvider", CPU]
    assert isinstance(refusal(path, info), AbsentError)
    assert card.calls == []


def test_where_the_package_with_cuda_lies_beneath_the_one_without_that_is_told(
    runtime: CudaRuntime, path: Path, info: ModelInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime.available = [CPU]
    monkeypatch.setattr(importlib.metadata, "distributions", lambda name: [name])
    error = refusal(path, info)
    assert not isinstance(error, AbsentError)
    assert "--force-reinstall" in str(error)


@pytest.mark.parametrize("call", ["InferenceSession", "run", "bind_input", "bind_output"])
def test_a_model_the_card_cannot_run_is_refused_in_its_words(
    runtime: CudaRuntime, card: Card, path: Path, info: ModelInfo, call: str
) -> None:
    runtime.fails_at, runtime.fault = call, RuntimeError("CUDA failure 2: out of memory ; GPU=0\nand a trace")
    error = refusal(path, info)
    assert str(error) == "onnxruntime_cuda cannot run model.onnx: CUDA failure 2: out of memory ; GPU=0"
    assert not isinstance(error, AbsentError)
    runtime.fault = None
    del error
    gc.collect()
    assert card.device == {}


def test_a_model_that_fails_at_work_is_told(runtime: CudaRuntime, path: Path, info: ModelInfo) -> None:
    detector = open_backend(NAME, path, info, 1)
    runtime.fails_at, runtime.fault = "run_with_iobinding", RuntimeError("CUDA failure 700: illegal address")
    detector.take(noise(PixelFormat.NV12, 320, 240))
    with pytest.raises(BackendError, match="onnxruntime_cuda has failed: CUDA failure 700: illegal address"):
        detector.detect()
    detector.close()


def test_a_broken_picture_is_no_fault_of_the_card(runtime: CudaRuntime, path: Path, info: ModelInfo) -> None:
    detector = open_backend(NAME, path, info, 1)
    with pytest.raises(PictureError):
        detector.take(frame(PixelFormat.JPEG, 64, 48, b"no JPEG"))
    detector.take(noise(PixelFormat.JPEG, 64, 48))
    detector.detect()
    detector.close()


def test_when_it_is_closed_the_cards_memory_goes_back(
    runtime: CudaRuntime, card: Card, path: Path, info: ModelInfo
) -> None:
    detector = open_backend(NAME, path, info, 1)
    detector.take(noise(PixelFormat.JPEG, 640, 480))
    detector.close()
    assert [card.device, card.pinned] == [{}, {}]

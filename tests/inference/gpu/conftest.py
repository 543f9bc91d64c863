"""A card that is none, and the kernel on this machine's processor."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from appliance.inference.backends import onnxruntime_cuda, open_backend
from tests.inference.gpu.card import Card, by_opencv
from tests.inference.gpu.nvinfer import TensorRt
from tests.inference.gpu.processor import OnProcessor
from tests.inference.gpu.runtime import CudaRuntime
from tests.inference.onnx_maker import model, rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from appliance.inference.detector import ModelInfo


@pytest.fixture(scope="session")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> OnProcessor:
    """The kernel's own source, compiled by g++."""
    return OnProcessor(tmp_path_factory.mktemp("kernel"))


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Iterator[Card]:
    """A card that `import cupy` finds. In the end nothing may have been done in the wrong order."""
    one = Card(by_opencv)
    monkeypatch.setitem(sys.modules, "cupy", one.cupy)
    monkeypatch.setenv("CUPY_CACHE_IN_MEMORY", "1")
    yield one
    assert one.wrongs == []


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A model that says how bright its picture is."""
    (tmp_path / "model.onnx").write_bytes(
        model(rows([(3, (0.5, 0.5, 0.5, 0.5), 1, 2.0)]), brightness_to="labels", side=224)
    )
    return tmp_path / "model.onnx"


@pytest.fixture
def info(path: Path) -> ModelInfo:
    return open_backend("onnxruntime", path, None, 1).info


@pytest.fixture
def runtime(card: Card, monkeypatch: pytest.MonkeyPatch) -> CudaRuntime:
    one = CudaRuntime(card)
    monkeypatch.setattr(onnxruntime_cuda, "onnxruntime", one)
    return one


@pytest.fixture
def tensorrt(card: Card, monkeypatch: pytest.MonkeyPatch) -> TensorRt:
    """A TensorRT that `import tensorrt` finds."""
    one = TensorRt(card)
    monkeypatch.setitem(sys.modules, "tensorrt", one)
    return one

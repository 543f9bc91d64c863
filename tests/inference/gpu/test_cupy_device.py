"""What is said where there is no CuPy, no driver, no card; and what is asked of CuPy."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from appliance.inference.detector import AbsentError, BackendError
from appliance.inference.gpu.cupy_device import open_device
from tests.inference.gpu.card import HOST_TO_DEVICE, STREAM, Card, CUDARuntimeError

NO_DEVICE = partial(CUDARuntimeError, 100, "cudaErrorNoDevice: no CUDA-capable device is detected")
OLD_DRIVER = partial(
    CUDARuntimeError, 35, "cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime version"
)
BUSY = partial(CUDARuntimeError, 46, "cudaErrorDevicesUnavailable: CUDA-capable device(s) is/are busy or unavailable")


def refusal() -> BackendError:
    with pytest.raises(BackendError) as caught:
        open_device()
    return caught.value


def test_without_cupy_the_words_say_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nowhere:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "cupy":
                raise ModuleNotFoundError("No module named 'cupy'", name="cupy")

    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Nowhere(), *sys.meta_path])
    error = refusal()
    assert isinstance(error, AbsentError)
    assert str(error) == "CuPy is not installed: pip install 'cupy-cuda13x[ctk]>=14.2'"


@pytest.mark.parametrize(
    "fault",
    [
        ModuleNotFoundError("No module named 'cuda'", name="cuda"),
        ImportError("libcuda.so.1: cannot open shared object file"),
    ],
)
def test_a_cupy_that_cannot_be_loaded_is_quoted(monkeypatch: pytest.MonkeyPatch, fault: ImportError) -> None:
    class Broken:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "cupy":
                raise fault

    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    error = refusal()
    assert isinstance(error, AbsentError)
    assert f"CuPy cannot be loaded ({fault})" in str(error)


def test_the_compiled_kernel_is_not_written_to_the_home_folder(card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUPY_CACHE_IN_MEMORY")
    open_device()
    assert os.environ["CUPY_CACHE_IN_MEMORY"] == "1"


@pytest.mark.parametrize(
    ("fault", "driver", "kind", "words"),
    [
        (NO_DEVICE, 13000, AbsentError, r"^no CUDA device: cudaErrorNoDevice: no CUDA-capable device is detected$"),
        (OLD_DRIVER, 0, AbsentError, r"^no CUDA device: NVIDIA's driver is not installed"),
        (OLD_DRIVER, 11080, BackendError, r"driver is too old: it has CUDA 11\.8, and CuPy was built for 12\.9$"),
        (BUSY, 13000, BackendError, r"^the graphics card cannot be used: cudaErrorDevicesUnavailable"),
    ],
    ids=["no card", "no driver", "old driver", "busy"],
)
def test_a_card_that_cannot_be_had_is_told_in_words(
    card: Card, fault: Callable[[], Exception], driver: int, kind: type[BackendError], words: str
) -> None:
    card.fails_at, card.fault, card.driver = 0, fault, driver
    error = refusal()
    assert type(error) is kind
    with pytest.raises(kind, match=words):
        raise error


def test_a_driver_without_a_card_is_no_card(card: Card) -> None:
    card.count = 0
    assert str(refusal()) == "no CUDA device: the driver has none"
    assert isinstance(refusal(), AbsentError)


def test_the_streams_handle_is_for_others_too(card: Card) -> None:
    assert open_device().stream == STREAM


def test_pinned_memory_lives_as_long_as_somebody_looks_into_it(card: Card) -> None:
    device = open_device()
    pinned: Any = device.pin(100)
    pinned[:] = 7
    view = pinned[10:20]
    del pinned
    assert np.array_equal(view, np.full(10, 7))
    assert len(card.pinned) == 1
    del view
    assert card.pinned == {}


def test_the_cards_memory_goes_back_with_the_last_reference(card: Card) -> None:
    device = open_device()
    memory = device.allocate(100)
    assert list(card.device) == [memory.pointer]
    del memory
    assert card.device == {}


def test_an_error_without_words_is_told_by_its_name(card: Card) -> None:
    card.fails_at, card.fault = 3, SystemError
    device = open_device()
    with pytest.raises(BackendError, match="has failed while compiling its kernel: SystemError"):
        device.compile("void f() {}", "f")


def the_true_cupy() -> Any:
    """Return the package, where it is; it can be looked at without a card."""
    try:
        return importlib.import_module("cupy")
    except ImportError as error:
        pytest.skip(f"not here: CuPy ({error}; pip: cupy-cuda12x or cupy-cuda13x)")


@pytest.mark.real
def test_the_true_cupy_has_all_that_is_asked_of_it() -> None:
    cupy = the_true_cupy()
    runtime = cupy.cuda.runtime
    assert runtime.memcpyAsync.__doc__.startswith("memcpyAsync(intptr_t dst, intptr_t src, size_t size, int kind, ")
    assert runtime.memcpyHostToDevice == HOST_TO_DEVICE
    for name in ("getDeviceCount", "driverGetVersion", "runtimeGetVersion"):
        assert callable(getattr(runtime, name))
    assert issubclass(runtime.CUDARuntimeError, RuntimeError)
    for kind, names in (
        (cupy.cuda.Device, ["use"]),
        (cupy.cuda.Stream, ["synchronize", "__enter__", "__exit__"]),
        (cupy.cuda.Memory, ["ptr"]),
        (cupy.cuda.PinnedMemoryPointer, ["ptr"]),
        (cupy.RawKernel, ["compile", "__call__"]),
    ):
        assert all(hasattr(kind, name) for name in names), kind
    assert "non_blocking" in cupy.cuda.Stream.__doc__
    assert "size (int)" in cupy.cuda.PinnedMemory.__doc__


@pytest.mark.real
def test_the_true_cupy_without_a_card_is_refused_in_words() -> None:
    runtime = the_true_cupy().cuda.runtime
    with contextlib.suppress(runtime.CUDARuntimeError):
        if runtime.getDeviceCount():
            pytest.skip("there is a card here")
    with pytest.raises(runtime.CUDARuntimeError) as caught:
        runtime.getDeviceCount()
    assert caught.value.status in {35, 100}
    assert str(refusal()).startswith(("no CUDA device: ", "NVIDIA's driver is too old: "))

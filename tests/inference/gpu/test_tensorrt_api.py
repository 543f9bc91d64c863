"""What is said where TensorRT is not, or not whole, or too old; and what is asked of its bindings."""

from __future__ import annotations

import importlib
import inspect
from types import SimpleNamespace
from typing import Any

import pytest

from appliance.inference.detector import AbsentError, BackendError
from appliance.inference.gpu import tensorrt_api
from appliance.inference.gpu.tensorrt_api import INSTALL, Complaints, load
from tests.inference.gpu import nvinfer
from tests.inference.gpu.card import Card, by_opencv
from tests.inference.gpu.nvinfer import Severity, TensorRt

CLASSES: dict[type[Any], tuple[str, type[Any]]] = {
    tensorrt_api.Builder: ("Builder", nvinfer._Builder),
    tensorrt_api.BuilderConfig: ("IBuilderConfig", nvinfer._Config),
    tensorrt_api.Context: ("IExecutionContext", nvinfer._Context),
    tensorrt_api.Engine: ("ICudaEngine", nvinfer._Engine),
    tensorrt_api.Parser: ("OnnxParser", nvinfer._Parser),
    tensorrt_api.Runtime: ("Runtime", nvinfer._Runtime),
}
"""Our protocols: what NVIDIA calls them, and their doubles."""
MEMBERS = {
    "ILogger.Severity": ("ERROR", "INTERNAL_ERROR"),
    "IProgressMonitor": ("phase_start", "step_complete", "phase_finish"),
    "MemoryPoolType": ("WORKSPACE",),
    "NetworkDefinitionCreationFlag": ("STRONGLY_TYPED",),
    "TensorIOMode": ("INPUT", "OUTPUT"),
    "DataType": ("FLOAT",),
}
"""What Api's docstrings say of the names that are no protocols."""


def importing(monkeypatch: pytest.MonkeyPatch, found: Exception | Any) -> None:
    """Have `import tensorrt` raise this, or return it."""
    really = importlib.import_module

    def import_module(name: str) -> Any:
        if name != "tensorrt":
            return really(name)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(importlib, "import_module", import_module)


def refusal() -> BackendError:
    with pytest.raises(BackendError) as caught:
        load()
    return caught.value


def test_where_it_is_not_installed_the_words_say_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    importing(monkeypatch, ModuleNotFoundError("No module named 'tensorrt'", name="tensorrt"))
    error = refusal()
    assert isinstance(error, AbsentError)
    assert str(error) == f"TensorRT is not installed: {INSTALL}"
    assert INSTALL.startswith("pip install ")


@pytest.mark.parametrize("kind", [ImportError, OSError])
def test_bindings_without_the_library_say_which_is_missing(
    monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    """NVIDIA's package for the libraries loads them by ctypes, whose error is an OSError."""
    words = "libnvinfer.so.10: cannot open shared object file: No such file or directory"
    importing(monkeypatch, kind(words))
    error = refusal()
    assert not isinstance(error, AbsentError), "somebody has installed it, and believes that it is used"
    assert str(error) == f"libnvinfer not found: install TensorRT's libraries, of its bindings' version ({words})"


def test_a_package_without_its_inner_module_is_told_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    importing(monkeypatch, ModuleNotFoundError("No module named 'tensorrt_bindings'", name="tensorrt_bindings"))
    error = refusal()
    assert not isinstance(error, AbsentError)
    assert str(error) == f"TensorRT cannot be loaded (No module named 'tensorrt_bindings'): {INSTALL}"


@pytest.mark.parametrize("version", ["8.6.1", "10.0.1", "10.2.0.post1"])
def test_one_that_is_too_old_is_refused_with_both_versions(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    importing(monkeypatch, SimpleNamespace(__version__=version))
    assert str(refusal()) == f"TensorRT {version} is too old: it takes 10.3 or newer"


@pytest.mark.parametrize("version", ["10.3.0", "10.16.1.11", "11.4.0.106"])
def test_those_that_it_was_held_against_are_taken(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    module = SimpleNamespace(__version__=version)
    importing(monkeypatch, module)
    found: Any = load()
    assert found is module


def complaints() -> tuple[Complaints, Any]:
    double: Any = TensorRt(Card(by_opencv))
    one = Complaints(double)
    return one, one.logger


def test_the_first_error_is_told_by_its_first_line_and_then_forgotten() -> None:
    one, logger = complaints()
    logger.log(Severity.ERROR, "  [deserialize] out of memory\nin file.cpp at line 7\n")
    logger.log(Severity.INTERNAL_ERROR, "what follows from it")
    assert one.first() == "[deserialize] out of memory"
    assert one.first() == "it does not say why"
    logger.log(Severity.INTERNAL_ERROR, "another one")
    assert one.first() == "another one"


def test_warnings_are_no_errors_and_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    one, logger = complaints()
    for severity in (Severity.WARNING, Severity.INFO, Severity.VERBOSE):
        logger.log(severity, "what does not matter")
    assert one.first() == "it does not say why"
    assert capfd.readouterr().out == "", "a trial's standard output is its result"


@pytest.mark.parametrize("said", ["", " \n\t"])
def test_an_error_without_words_says_that_it_has_none(said: str) -> None:
    one, logger = complaints()
    logger.log(Severity.ERROR, said)
    assert one.first() == "it does not say why"


def test_an_endless_error_is_cut() -> None:
    one, logger = complaints()
    logger.log(Severity.ERROR, "x" * 10_000)
    assert len(one.first()) == 300


def names_of(protocol: type) -> list[str]:
    return [name for name in (*vars(protocol), *protocol.__annotations__) if not name.startswith("_")]


def parameters(function: Any) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name != "self"]


@pytest.mark.parametrize("protocol", CLASSES, ids=lambda one: one.__name__)
def test_the_double_has_what_the_protocol_has(protocol: type[Any]) -> None:
    name, double = CLASSES[protocol]
    for member in names_of(protocol):
        if callable(ours := vars(protocol).get(member)):
            its = parameters(getattr(double, member))
            assert its == parameters(ours), f"{name}.{member}"
        else:
            assert hasattr(double, member) or member in inspect.getsource(double), f"{name}.{member}"


def test_the_double_has_what_the_module_has() -> None:
    double = TensorRt(Card(by_opencv))
    for name in names_of(tensorrt_api.Api):
        there: Any = getattr(double, name)
        if inspect.isfunction(ours := vars(tensorrt_api.Api).get(name)):
            assert parameters(there) == parameters(ours)
        for member in MEMBERS.get(name, ()):
            assert hasattr(there, member) or name == "IProgressMonitor"  # that one is inherited from, and implemented
    assert all(hasattr(double.ILogger.Severity, member) for member in MEMBERS["ILogger.Severity"])
    assert double.__version__

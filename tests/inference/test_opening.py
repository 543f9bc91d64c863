"""The best backend is opened; what fails is replaced, and stays struck out until the appliance is started anew."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from appliance.config import Camera, Model, Settings
from appliance.inference import opening, verdicts
from appliance.inference.choice import Candidate, Verdict
from appliance.inference.detector import BackendError, ModelInfo
from appliance.inference.opening import Detectors
from appliance.ipc.heartbeat import HeartbeatFile
from appliance.stage import Pulse, StageContext, Stop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from appliance.ipc.run_folder import RunFolder

INFO = ModelInfo("model.onnx", 384, 300, 91)
ORT, OV, BF = Candidate("onnxruntime", 2), Candidate("openvino", 2), Candidate("openvino_bf16", 1)
ALL = {ORT: Verdict(100), OV: Verdict(60), BF: Verdict(30)}


class Opened:
    """A detector in name."""

    def __init__(self, backend: str) -> None:
        self.backend = backend
        self.info = INFO
        self.closed = False

    def close(self) -> None:
        self.closed = True


class Backends:
    """What can be opened: all but the broken."""

    def __init__(self) -> None:
        self.verdicts = dict(ALL)
        self.broken: set[str] = set()
        self.opened: list[tuple[str, int]] = []

    def open(self, name: str, _path: Path, info: ModelInfo | None, threads: int) -> Opened:
        assert info is INFO
        if name in self.broken:
            raise BackendError(f"{name} cannot be opened")
        self.opened.append((name, threads))
        return Opened(name)


@pytest.fixture
def backends(monkeypatch: pytest.MonkeyPatch) -> Backends:
    one = Backends()
    monkeypatch.setattr(opening, "open_backend", one.open)
    monkeypatch.setattr(verdicts.Trials, "run", lambda _self, _keep_going: (INFO, one.verdicts))
    return one


@pytest.fixture
def context(folder: RunFolder, tmp_path: Path) -> Iterator[StageContext]:
    stop = Stop()
    settings = Settings(
        cameras=(Camera(id="porch", source="file:none"),), model=Model(path=tmp_path / "m.onnx"), state_dir=tmp_path
    )
    yield StageContext(settings, folder, Pulse(HeartbeatFile(folder, "inference"), "inference"), stop)
    os.close(stop.fileno())
    os.close(stop._write)


def test_the_best_is_opened_with_its_threads(backends: Backends, context: StageContext) -> None:
    detectors = Detectors(context)
    assert detectors.current.backend == "openvino_bf16"
    assert backends.opened == [("openvino_bf16", 1)]
    assert detectors.problems == []


def test_what_was_refused_in_its_trial_is_a_problem(backends: Backends, context: StageContext) -> None:
    backends.verdicts[BF] = Verdict(30, "it misses a find of class 1")
    detectors = Detectors(context)
    assert detectors.current.backend == "openvino"
    assert detectors.problems == ["backend openvino_bf16 was refused: it misses a find of class 1"]


def test_one_that_cannot_be_opened_is_followed_by_the_next(backends: Backends, context: StageContext) -> None:
    backends.broken = {"openvino_bf16", "openvino"}
    detectors = Detectors(context)
    assert detectors.current.backend == "onnxruntime"
    assert detectors.problems == [
        "backend openvino_bf16 has failed: openvino_bf16 cannot be opened",
        "backend openvino has failed: openvino cannot be opened",
    ]


def test_one_that_fails_later_is_replaced_and_let_go_of(backends: Backends, context: StageContext) -> None:
    detectors = Detectors(context)
    first: Any = detectors.current
    detectors.replace(BackendError("out of memory"))
    assert first.closed
    assert detectors.current.backend == "openvino"
    assert detectors.problems == ["backend openvino_bf16 has failed: out of memory"]


def test_after_the_reference_there_is_nobody(backends: Backends, context: StageContext) -> None:
    detectors = Detectors(context)
    for _ in range(2):
        detectors.replace(BackendError("gone"))
    assert detectors.current.backend == "onnxruntime"
    with pytest.raises(BackendError, match="the last one"):
        detectors.replace(BackendError("the last one"))


def test_a_reference_that_cannot_be_opened_is_an_error(backends: Backends, context: StageContext) -> None:
    backends.broken = {one.backend for one in ALL}
    with pytest.raises(BackendError, match="onnxruntime cannot be opened"):
        Detectors(context)


def test_strikes_outlive_the_process_but_not_the_appliance(
    backends: Backends, context: StageContext, folder: RunFolder
) -> None:
    Detectors(context).replace(BackendError("out of memory"))
    again = Detectors(context)
    assert again.current.backend == "openvino"
    assert again.problems == ["backend openvino_bf16 has failed: out of memory"]
    (folder.path / opening.STRIKES).unlink()  # the run folder is made anew at every start
    assert Detectors(context).current.backend == "openvino_bf16"


@pytest.mark.parametrize("content", ["", "[]", '{"openvino": 3, "abacus": "?"}'])
def test_strikes_that_cannot_be_read_are_none(
    backends: Backends, context: StageContext, folder: RunFolder, content: str
) -> None:
    (folder.path / opening.STRIKES).write_text(content)
    assert Detectors(context).current.backend == "openvino_bf16"


TRACE = """Timeout (0:00:10)!
Thread 0x00007f (most recent call first):
  File "/usr/lib/python3/site-packages/openvino/_ov_api.py", line 190 in infer
  File "/usr/lib/python3/site-packages/appliance/inference/backends/{module}.py", line 88 in {function}
  File "/usr/lib/python3/site-packages/appliance/inference/service.py", line 190 in _look
"""


@pytest.mark.parametrize(
    ("module", "function", "taken"),
    [
        ("openvino_cpu", "detect", "onnxruntime"),
        ("openvino_cpu", "__init__", "onnxruntime"),
        ("openvino_cpu", "take", "openvino_bf16"),  # that is the picture's fault, or the machine's
        ("onnxruntime_cpu", "detect", "openvino_bf16"),  # there is nobody behind it
    ],
)
def test_a_predecessor_that_hung_in_a_backend_has_left_its_name(
    backends: Backends, context: StageContext, module: str, function: str, taken: str
) -> None:
    fed: list[float] = []
    words = TRACE.format(module=module, function=function)
    context.pulse.watchdog = SimpleNamespace(last_words=words, feed=fed.append)  # type: ignore[assignment]
    detectors = Detectors(context)
    assert detectors.current.backend == taken
    assert bool(detectors.problems) is (taken == "onnxruntime")
    assert fed == [opening.OPENING_S]


def test_a_form_that_hung_does_not_take_the_model_with_it(backends: Backends, context: StageContext) -> None:
    inner = '  File "/x/appliance/inference/backends/openvino_cpu.py", line 66 in detect'
    words = TRACE.format(module="openvino_int8", function="detect").replace('  File "/usr', f'{inner}\n  File "/usr', 1)
    context.pulse.watchdog = SimpleNamespace(last_words=words, feed=lambda _: None)  # type: ignore[assignment]
    detectors = Detectors(context)
    assert detectors.problems == ["backend openvino_int8 has failed: it hung or crashed"]
    assert detectors.current.backend == "openvino_bf16"

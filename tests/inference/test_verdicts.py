"""Each backend is tried once; what was found out is kept, and a file that is broken costs time only."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from appliance.config import Model
from appliance.inference import machine, verdict_file, verdicts
from appliance.inference.backends import Backend
from appliance.inference.choice import Candidate, Verdict
from appliance.inference.detector import AbsentError, BackendError, ModelError, ModelInfo
from appliance.inference.digest import sha256
from appliance.inference.selftest import Answer, Find
from appliance.inference.trial import Request, Result
from appliance.inference.verdict_file import FILE, VerdictFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

INFO = ModelInfo("model.onnx", 384, 300, 91, {1: "person"}, "synthetic", "knows drawings only")
SEEN = Answer((Find((1, 2, 300, 400), 0.9, 1),), (0.9, 0.1))
MISSED = Answer((), (0.9, 0.1))
ORT, OV = Candidate("onnxruntime", 1), Candidate("openvino", 1)
HERE = ["onnxruntime", "openvino", "openvino_bf16"]
"""Whose packages the tests have; of these models nobody has made an int8 form."""


class Attempts:
    """Stands for the child processes: what each backend says, and who was asked."""

    def __init__(self, **said: Answer | Exception) -> None:
        self.said = said
        self.asked: list[tuple[str, int]] = []

    def __call__(self, request: Request, _keep_going: Callable[[], bool]) -> Result:
        self.asked.append((request.backend, request.threads))
        assert (request.info is None) == (request.backend == "onnxruntime")
        said = self.said.get(request.backend, SEEN)
        if isinstance(said, Exception):
            raise said
        return Result(INFO, said, 100 / request.threads)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "model.onnx").write_bytes(b"a model")
    return tmp_path / "model.onnx"


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})


def run(path: Path, attempts: Attempts, **model: object) -> dict[Candidate, Verdict]:
    settings = Model.model_validate({"path": path, "threads": 1, **model})
    trials = verdicts.Trials(path, settings, path.parent / "state", attempt=attempts)
    info, found = trials.run(lambda: True)
    assert info in (INFO, None)
    return found


def test_every_installed_backend_is_tried_with_one_and_with_two_threads(path: Path) -> None:
    attempts = Attempts()
    found = run(path, attempts, threads="auto")
    assert attempts.asked == [(name, count) for name in HERE for count in (1, 2)]
    assert [verdict.latency_ms for verdict in found.values()] == [100, 50] * len(HERE)
    assert not any(verdict.refused for verdict in found.values())


def test_the_next_start_tries_nothing(path: Path) -> None:
    first = run(path, Attempts(openvino=MISSED))
    again = Attempts()
    assert run(path, again) == first
    assert again.asked == []


def test_where_there_is_nothing_to_choose_nothing_is_tried_or_written(path: Path) -> None:
    attempts = Attempts()
    assert list(run(path, attempts, backend="onnxruntime")) == [ORT]
    assert attempts.asked == []
    assert not (path.parent / "state").exists()


def test_a_backend_that_sees_something_else_is_refused_with_the_numbers(path: Path) -> None:
    assert run(path, Attempts(openvino=MISSED))[OV].refused == "it misses a find of class 1 with a score of 0.90"


def test_a_backend_that_crashes_is_refused(path: Path) -> None:
    found = run(path, Attempts(openvino=BackendError("openvino was killed by SIGSEGV")))
    assert (found[OV].refused, found[OV].absent) == ("openvino was killed by SIGSEGV", False)
    assert not found[ORT].refused


def test_what_the_machine_has_not_got_is_known_as_such(path: Path) -> None:
    assert run(path, Attempts(openvino=AbsentError("not here")))[OV].absent


def test_a_model_that_nobody_can_use_is_refused_at_once(path: Path) -> None:
    attempts = Attempts(onnxruntime=ModelError("no model"))
    with pytest.raises(ModelError):
        run(path, attempts)
    assert attempts.asked == [("onnxruntime", 1)]


def test_a_model_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="No such file"):
        run(tmp_path / "none.onnx", Attempts())


def test_another_model_is_tried_anew(path: Path) -> None:
    run(path, Attempts())
    path.write_bytes(b"another model")
    again = Attempts()
    run(path, again)
    assert len(again.asked) == len(HERE)


@pytest.mark.parametrize("change", ["version", "processor", "revision"])
def test_another_version_processor_or_self_test_is_tried_anew(
    path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    run(path, Attempts())
    if change == "version":
        monkeypatch.setattr(Backend, "version", property(lambda one: "99" if one.distributions[0] in HERE else None))
    elif change == "processor":
        monkeypatch.setattr(verdict_file, "processor", lambda: "x86_64 another x64")
    else:
        monkeypatch.setattr(verdict_file, "_REVISION", 99)
    again = Attempts()
    run(path, again)
    assert len(again.asked) == len(HERE)


def test_only_the_untried_is_tried_and_compared_with_a_reference_that_is_asked_again(path: Path) -> None:
    run(path, Attempts(), backend="openvino")
    again = Attempts(openvino_bf16=MISSED)
    found = run(path, again)
    assert again.asked == [("onnxruntime", 1), ("openvino_bf16", 1)]
    assert found[Candidate("openvino_bf16", 1)].refused


def test_a_refusal_is_forgotten_after_a_day(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(path, Attempts(openvino=BackendError("no memory")))
    file = path.parent / "state" / FILE
    entries = json.loads(file.read_text())
    for entry in entries.values():
        entry["at"] -= 25 * 3600
    file.write_text(json.dumps(entries))
    again = Attempts()
    assert not run(path, again)[OV].refused
    assert ("openvino_bf16", 1) not in again.asked


@pytest.mark.parametrize("content", ["", "[]", '{"a": 1}', "\0", "null"])
def test_a_file_that_is_broken_costs_the_trials_and_is_written_anew(path: Path, content: str) -> None:
    state = path.parent / "state"
    state.mkdir()
    (state / FILE).write_text(content)
    attempts = Attempts()
    run(path, attempts)
    assert len(attempts.asked) == len(HERE)
    assert VerdictFile(state, sha256(path)).info() == INFO


def test_an_entry_that_is_no_verdict_is_no_verdict(path: Path) -> None:
    run(path, Attempts())
    file = path.parent / "state" / FILE
    file.write_text(json.dumps({key: {"at": entry["at"]} for key, entry in json.loads(file.read_text()).items()}))
    again = Attempts()
    run(path, again)
    assert len(again.asked) == len(HERE)


def test_a_state_folder_that_cannot_be_written_is_told_and_nothing_else(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (path.parent / "state").write_text("a file, not a folder")
    assert run(path, Attempts())[OV].latency_ms == 100
    assert "the next start tries the backends again" in caplog.text


def test_a_stop_in_the_middle_loses_nothing_that_was_found_out(path: Path) -> None:
    trials = verdicts.Trials(
        path,
        Model(path=path, threads=1),
        path.parent / "state",
        attempt=Attempts(openvino_bf16=BackendError("the trial was broken off")),
    )
    with pytest.raises(BackendError, match="broken off"):
        trials.run(lambda: False)
    again = Attempts()
    run(path, again)
    assert again.asked == [("onnxruntime", 1), ("openvino_bf16", 1)]


def test_the_file_does_not_grow_for_ever(path: Path) -> None:
    for number in range(40):
        path.write_bytes(b"model %d" % number)
        run(path, Attempts())
    assert len(json.loads((path.parent / "state" / FILE).read_text())) <= 64


def test_the_processor_has_a_name() -> None:
    assert machine.processor().endswith("x2")


def test_what_a_card_lacked_is_looked_for_at_each_start_and_another_driver_is_another_card(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = tmp_path / "driver"
    (driver / "gpus" / "0000:01:00.0").mkdir(parents=True)
    (driver / "version").write_text("580.65")
    monkeypatch.setattr(machine, "_DRIVER", driver)
    gpu = Candidate("onnxruntime_cuda", 1)
    kept = VerdictFile(path.parent, sha256(path))
    kept.put(gpu, Verdict(refused="no CUDA device", absent=True))
    kept.put(OV, Verdict(refused="no bfloat16", absent=True))
    assert kept.get(gpu) is None
    assert kept.get(OV) is not None, "a processor does not change"
    kept.put(gpu, Verdict(3.0))
    assert kept.get(gpu) == Verdict(3.0)
    (driver / "gpus" / "0000:01:00.0" / "information").write_text("Model: another card\nIRQ: 1")
    assert kept.get(gpu) is None
    kept.put(gpu, Verdict(3.0))
    information = driver / "gpus" / "0000:01:00.0" / "information"
    information.write_text("Model: another card\nIRQ: 2\nGPU UUID: only known when it is used")
    assert kept.get(gpu) == Verdict(3.0), "the same card, used meanwhile"

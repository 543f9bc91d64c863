"""A trial in a process of its own: what a backend says, and what is said of one that crashes, hangs or lies."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.inference.detector import AbsentError, BackendError, ModelError
from appliance.inference.selftest import EXACT, ROUNDED, Tolerance, complaint
from appliance.inference.trial import Request, Result, attempt, golden_frame
from tests.inference.onnx_maker import model, rows
from tests.rig import MODEL, need

DOUBLES = Path(__file__).parent / "doubles"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A model that sees a person wherever it is brighter than grey, as all is in the golden picture."""
    made = tmp_path / "model.onnx"
    made.write_bytes(model(rows([(3, (0.5, 0.5, 0.5, 0.5), 1, 2.0)]), brightness_to="labels"))
    return made


def tried(request: Request) -> Result:
    return attempt(request, lambda: True)


def request(path: Path, backend: str = "openvino") -> Request:
    reference = Request("onnxruntime", str(path), 1)
    return reference if backend == "onnxruntime" else Request(backend, str(path), 1, tried(reference).info)


def test_the_golden_picture_is_one() -> None:
    info = golden_frame().info
    assert (info.width, info.height) == (640, 360)


def test_the_reference_tells_what_the_model_is_what_it_sees_and_how_long_it_takes(path: Path) -> None:
    result = tried(request(path, "onnxruntime"))
    assert (result.info.name, result.info.side, result.info.queries, result.info.columns) == (
        "model.onnx",
        224,
        300,
        91,
    )
    assert result.info.classes[1] == "person"
    assert result.answer.finds[0].class_id == 1
    assert result.latency_ms > 0


def test_openvino_sees_what_the_reference_sees(path: Path) -> None:
    reference = tried(request(path, "onnxruntime"))
    given = tried(request(path, "openvino"))
    assert complaint(reference.answer, given.answer, EXACT) == ""
    assert given.info == reference.info


@pytest.mark.real
@pytest.mark.parametrize(("backend", "tolerance"), [("openvino", EXACT), ("openvino_bf16", ROUNDED)])
def test_with_trained_weights_the_people_of_the_golden_picture_are_found_by_all(
    backend: str, tolerance: Tolerance
) -> None:
    need(MODEL)
    reference = tried(request(MODEL, "onnxruntime"))
    people = [find for find in reference.answer.finds if find.class_id == 1 and find.score > 0.5]
    assert people, "the golden picture has nothing to find for a trained model"
    try:
        given = tried(request(MODEL, backend))
    except AbsentError as error:
        pytest.skip(f"not here: {error}")
    assert complaint(reference.answer, given.answer, tolerance) == ""


def test_a_model_that_no_backend_can_use_says_so_in_the_trial_too(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_text("This is none.")
    with pytest.raises(ModelError, match="is not an ONNX model"):
        tried(Request("onnxruntime", str(tmp_path / "model.onnx"), 1))


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("PYTHONPATH", str(DOUBLES))
    return monkeypatch


def test_a_backend_that_crashes_takes_nobody_with_it(path: Path, double: pytest.MonkeyPatch) -> None:
    double.setenv("OPENVINO_DOUBLE", "abort@compile_model")
    with pytest.raises(BackendError, match="openvino was killed by SIGABRT in its trial"):
        tried(request(path))


def test_a_backend_that_hangs_is_ended(path: Path, double: pytest.MonkeyPatch) -> None:
    double.setenv("OPENVINO_DOUBLE", "hang@infer")
    with pytest.raises(BackendError, match="openvino did not answer within 0 s"):
        attempt(request(path), lambda: True, patience_s=0)


def test_a_backend_that_refuses_is_told_in_its_own_words(path: Path, double: pytest.MonkeyPatch) -> None:
    double.setenv("OPENVINO_DOUBLE", "raise@read_model")
    with pytest.raises(BackendError, match=r"cannot run model\.onnx: the double was told to fail at read_model"):
        tried(request(path))


def test_a_backend_that_lies_is_found_out(path: Path, double: pytest.MonkeyPatch) -> None:
    double.setenv("OPENVINO_DOUBLE", "wrong@infer")
    reference = tried(request(path, "onnxruntime"))
    assert complaint(
        reference.answer, tried(request(path)).answer, ROUNDED
    ) == "it misses a find of class 1 with a " + (f"score of {reference.answer.finds[0].score:.2f}")


def test_the_double_does_what_the_real_one_does(path: Path, double: pytest.MonkeyPatch) -> None:
    double.setenv("OPENVINO_DOUBLE", "")
    assert complaint(tried(request(path, "onnxruntime")).answer, tried(request(path)).answer, EXACT) == ""


def test_a_trial_ends_when_nobody_waits_for_it_any_more(path: Path, double: pytest.MonkeyPatch) -> None:
    double.setenv("OPENVINO_DOUBLE", "hang@infer")
    asked: list[bool] = []

    def twice() -> bool:
        asked.append(True)
        return len(asked) < 2

    with pytest.raises(BackendError, match="was broken off"):
        attempt(replace(request(path)), twice)
    assert len(asked) == 2


def test_its_process_goes_first_where_memory_is_short_and_ends_with_whoever_began_it() -> None:
    """What libraries print is no part of its result, either."""
    child = (
        "import os, time; from appliance.inference import trial; trial._be_the_child();"
        "print('the result', open('/proc/self/oom_score_adj').read().strip(), flush=True);"
        "os.write(1, b'a library speaks'); time.sleep(600)"
    )
    parent = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"the result 1000\n"
        process.kill()
        assert process.stdout.read() == b"", "who wrote there is gone, and has written nothing else"

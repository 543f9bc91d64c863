"""A model's int8 form is tried where it belongs to exactly this model, and stands by its own golden answer."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from appliance.config import Camera, Model, Settings
from appliance.inference import int8, verdicts
from appliance.inference.backends import open_backend
from appliance.inference.choice import Candidate, Verdict, problems
from appliance.inference.detector import BackendError, ModelInfo
from appliance.inference.digest import sha256
from appliance.inference.opening import Detectors
from appliance.inference.selftest import Answer, Find, answer
from appliance.inference.trial import Request, Result, golden_frame
from appliance.inference.verdict_file import VerdictFile
from appliance.ipc.heartbeat import HeartbeatFile
from appliance.stage import Pulse, StageContext, Stop
from tests.inference.quantize.house import NOBODY, OTHERS, PEOPLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from appliance.ipc.run_folder import RunFolder

INFO = ModelInfo("model.onnx", 224, 300, 91)
SEEN = Answer((Find((1, 2, 300, 400), 0.9, 1),), (0.9, 0.1))
ROUNDED = Answer((Find((1, 2, 300, 400), 0.7, 1),), (0.7, 0.1))
"""What eight bits made of it: further from the model than any tolerance allows, and what the form is to repeat."""
ORT, ORT8 = Candidate("onnxruntime", 1), Candidate("onnxruntime_int8", 1)
OV8 = Candidate("openvino_int8", 1)


class Attempts:
    """Stands for the child processes: a form answers as it was made to, the others as the model does."""

    def __init__(self, **said: Answer | Exception) -> None:
        self.said = {"openvino_int8": ROUNDED, "onnxruntime_int8": ROUNDED, **said}
        self.asked: list[tuple[str, str]] = []

    def __call__(self, request: Request, _keep_going: Callable[[], bool]) -> Result:
        self.asked.append((request.backend, request.model))
        said = self.said.get(request.backend, SEEN)
        if isinstance(said, Exception):
            raise said
        return Result(INFO, said, 10 if request.backend.endswith("_int8") else 100)

    @property
    def forms(self) -> list[str]:
        return [backend for backend, _ in self.asked if backend.endswith("_int8")]


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "model.onnx").write_bytes(b"a model")
    return tmp_path / "model.onnx"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def quantized(
    path: Path, state: Path, backend: str = "openvino_int8", *, file: bytes = b"a form", golden: Answer = ROUNDED
) -> Path:
    """Put a form of this model where `porchlight model quantize` does, and return its folder."""
    folder = int8.home(state, sha256(path)) / backend
    made_in = folder.with_name(".making-x")
    made_in.mkdir(parents=True)
    (made_in / "model.onnx").write_bytes(file)
    int8.place(made_in, folder, "model.onnx", int8.Made(1.0, 50, 0.5, "nncf 3.4.0", "2026-11-23T20:00:00Z", golden))
    return folder


def trials_of(path: Path, state: Path, attempts: Attempts, **model: object) -> verdicts.Trials:
    settings = Model.model_validate({"path": path, "threads": 1, **model})
    return verdicts.Trials(path, settings, state, attempt=attempts)


def run(path: Path, state: Path, attempts: Attempts, **model: object) -> dict[Candidate, Verdict]:
    return trials_of(path, state, attempts, **model).run(lambda: True)[1]


def test_a_form_is_tried_with_its_own_file_and_the_others_with_the_model(path: Path, state: Path) -> None:
    folder = quantized(path, state)
    attempts = Attempts()
    found = run(path, state, attempts)
    assert found[OV8] == Verdict(10)
    files = dict(attempts.asked)
    assert files.pop("openvino_int8") == str(folder / "model.onnx")
    assert set(files.values()) == {str(path)}
    assert ORT8 not in found


def test_both_forms_may_be_there(path: Path, state: Path) -> None:
    for backend in ("openvino_int8", "onnxruntime_int8"):
        quantized(path, state, backend)
    found = run(path, state, Attempts())
    assert (found[OV8], found[ORT8]) == (Verdict(10), Verdict(10))


def test_another_models_form_is_nobodys(path: Path, state: Path) -> None:
    quantized(path, state)
    path.write_bytes(b"a model, trained a little longer")
    attempts = Attempts()
    assert OV8 not in run(path, state, attempts)
    assert attempts.forms == []


def test_the_same_model_elsewhere_has_the_same_form(path: Path, state: Path) -> None:
    quantized(path, state)
    moved = path.rename(path.with_name("renamed.onnx"))
    assert not run(moved, state, Attempts())[OV8].refused


def test_a_form_that_is_damaged_is_not_tried_and_told(
    path: Path, state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (quantized(path, state) / "model.onnx").write_bytes(b"a f0rm")
    attempts = Attempts()
    assert OV8 not in run(path, state, attempts)
    assert attempts.forms == []
    assert "make it anew with `porchlight model quantize`" in caplog.text


def test_its_verdict_is_kept(path: Path, state: Path) -> None:
    quantized(path, state)
    first = run(path, state, Attempts())
    again = Attempts()
    assert run(path, state, again) == first
    assert again.asked == []


def test_a_new_form_is_tried_anew_and_nobody_else_but_the_reference(path: Path, state: Path) -> None:
    quantized(path, state)
    run(path, state, Attempts())
    quantized(path, state, file=b"a better form")
    again = Attempts()
    run(path, state, again)
    assert [backend for backend, _ in again.asked] == ["onnxruntime", "openvino_int8"]


def test_a_form_that_is_made_later_is_tried_and_one_that_is_gone_is_not(path: Path, state: Path) -> None:
    before = run(path, state, Attempts())
    folder = quantized(path, state)
    again = Attempts()
    assert not run(path, state, again)[OV8].refused
    assert again.forms == ["openvino_int8"]
    for file in folder.iterdir():
        file.unlink()
    assert run(path, state, Attempts()) == before


def test_verdicts_without_forms_are_found_as_they_were(path: Path, state: Path) -> None:
    """What older versions of Porchlight have kept counts."""
    kept = VerdictFile(state, sha256(path))
    kept.put(ORT, Verdict(123))
    kept.write()
    assert VerdictFile(state, sha256(path), {"openvino_int8": "a digest"}).get(ORT) == Verdict(123)
    assert VerdictFile(state, sha256(path), {"onnxruntime": "a digest"}).get(ORT) is None


def test_its_self_test_is_against_its_own_golden_answer(path: Path, state: Path) -> None:
    quantized(path, state)
    assert not run(path, state, Attempts())[OV8].refused
    quantized(path, state, golden=SEEN)
    assert run(path, state, Attempts())[OV8].refused.startswith("its best scores differ by up to 0.200")


def test_a_form_that_answers_otherwise_is_refused_and_told(path: Path, state: Path) -> None:
    """A processor whose kernels differ, say: also where it answers as the model does, it is not what was found good."""
    quantized(path, state)
    refused = run(path, state, Attempts(openvino_int8=SEEN))[OV8].refused
    assert "differ by up to 0.200" in refused
    assert problems({OV8: Verdict(10, refused)}, "auto") == [f"backend openvino_int8 was refused: {refused}"]


def test_a_form_that_kills_its_trial_is_refused(path: Path, state: Path) -> None:
    quantized(path, state)
    found = run(path, state, Attempts(openvino_int8=BackendError("openvino_int8 was killed by SIGILL")))
    assert (found[OV8].refused, found[OV8].absent) == ("openvino_int8 was killed by SIGILL", False)


@pytest.mark.parametrize("backend", ["openvino_int8", "onnxruntime_int8"])
def test_one_chosen_by_name_without_a_form_says_what_makes_one(path: Path, state: Path, backend: str) -> None:
    attempts = Attempts()
    found = run(path, state, attempts, backend=backend)
    assert attempts.forms == []
    told = problems(found, backend)
    assert told == [
        f"backend {backend} was refused: there is no int8 form of this model; `porchlight model quantize` makes one"
    ]


def test_and_is_tried_as_soon_as_it_was_made(path: Path, state: Path) -> None:
    run(path, state, Attempts(), backend="openvino_int8")
    quantized(path, state)
    assert not run(path, state, Attempts(), backend="openvino_int8")[OV8].refused


def test_a_report_tells_of_the_form_too(path: Path, state: Path) -> None:
    quantized(path, state)
    settings = Model.model_validate({"path": path, "threads": 1})
    said = list(verdicts.report(path, settings, state, attempt=Attempts()))
    assert "self-test  openvino_int8, threads 1: passed, 10.0 ms for a picture" in said
    assert not any("onnxruntime_int8" in line for line in said)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every file that Trials have hashed to look for forms."""
    found: list[Path] = []

    def note(path: Path) -> str:
        found.append(path)
        return sha256(path)

    monkeypatch.setattr(verdicts, "sha256", note)
    return found


def test_where_nobody_has_quantized_no_model_is_hashed_for_it(path: Path, state: Path, hashed: list[Path]) -> None:
    state.mkdir()
    assert trials_of(path, state, Attempts()).forms == {}
    assert hashed == []
    quantized(path, state)
    assert list(trials_of(path, state, Attempts()).forms) == ["openvino_int8"]
    assert hashed == [path]


def test_a_state_folder_that_cannot_be_looked_into_holds_no_forms(path: Path, tmp_path: Path) -> None:
    """The name is too long for any file system; another user's folder answers alike."""
    assert trials_of(path, tmp_path / ("n" * 300), Attempts()).forms == {}


def test_a_model_that_cannot_be_read_is_somebody_elses_to_tell(path: Path, state: Path) -> None:
    quantized(path, state)
    path.unlink()
    assert trials_of(path, state, Attempts()).forms == {}


# The whole way, with models that ONNX Runtime runs.


@pytest.fixture
def contexts(folder: RunFolder, tmp_path: Path) -> Iterator[Callable[..., StageContext]]:
    """Makes what the inference stage is given, for a model that sees one person."""
    (tmp_path / "people.onnx").write_bytes(PEOPLE)
    stop = Stop()

    def context(**model: object) -> StageContext:
        settings = Settings(
            cameras=(Camera(id="porch", source="file:none"),),
            model=Model.model_validate({"path": tmp_path / "people.onnx", "threads": 1, **model}),
            state_dir=tmp_path / "state",
        )
        return StageContext(settings, folder, Pulse(HeartbeatFile(folder, "inference"), "inference"), stop)

    yield context
    os.close(stop.fileno())
    os.close(stop._write)


def golden_of(path: Path) -> Answer:
    """Return what this file answers to the golden picture."""
    detector = open_backend("onnxruntime", path, None, 1)
    detector.take(golden_frame())
    return answer(*detector.detect())


def a_form(tmp_path: Path, state: Path, content: bytes) -> Answer:
    """Make these bytes onnxruntime_int8's form of the model, with what they answer as its golden answer."""
    (tmp_path / "form.onnx").write_bytes(content)
    golden = golden_of(tmp_path / "form.onnx")
    quantized(tmp_path / "people.onnx", state, "onnxruntime_int8", file=content, golden=golden)
    return golden


def test_a_form_watches_and_is_what_was_chosen(
    contexts: Callable[..., StageContext], tmp_path: Path, state: Path
) -> None:
    """The form is another file, that sees the person elsewhere: so it is known who has looked."""
    context = contexts(backend="onnxruntime_int8")
    golden = a_form(tmp_path, state, OTHERS)
    detectors = Detectors(context)
    assert detectors.problems == []
    assert detectors.current.backend == "onnxruntime_int8"
    assert detectors.current.info.name == "people.onnx"
    detectors.current.take(golden_frame())
    assert answer(*detectors.current.detect()) == golden != golden_of(tmp_path / "people.onnx")


def test_one_that_answers_otherwise_than_when_it_was_made_does_not_watch(
    contexts: Callable[..., StageContext], tmp_path: Path, state: Path
) -> None:
    context = contexts(backend="onnxruntime_int8")
    quantized(tmp_path / "people.onnx", state, "onnxruntime_int8", file=NOBODY, golden=golden_of_people(tmp_path))
    detectors = Detectors(context)
    assert detectors.current.backend == "onnxruntime"
    (told,) = detectors.problems
    assert told.startswith("backend onnxruntime_int8 was refused: its best scores differ")


def golden_of_people(tmp_path: Path) -> Answer:
    return golden_of(tmp_path / "people.onnx")


def test_without_a_form_the_reference_watches_and_the_command_is_told(
    contexts: Callable[..., StageContext],
) -> None:
    detectors = Detectors(contexts(backend="openvino_int8"))
    assert detectors.current.backend == "onnxruntime"
    (told,) = detectors.problems
    assert told.endswith("there is no int8 form of this model; `porchlight model quantize` makes one")


def test_a_form_that_fails_while_it_runs_is_followed_by_the_next(
    contexts: Callable[..., StageContext], tmp_path: Path, state: Path
) -> None:
    context = contexts(backend="onnxruntime_int8")
    a_form(tmp_path, state, OTHERS)
    detectors = Detectors(context)
    detectors.replace(BackendError("onnxruntime_int8 has failed: out of memory"))
    assert detectors.current.backend == "onnxruntime"
    assert detectors.problems == [
        "backend onnxruntime_int8 has failed: onnxruntime_int8 has failed: out of memory",
    ]
    detectors.current.take(golden_frame())
    assert answer(*detectors.current.detect()) == golden_of_people(tmp_path)
    assert Detectors(context).current.backend == "onnxruntime"  # also after the stage was replaced


@pytest.mark.parametrize("backend", ["onnxruntime_int8", "openvino_int8"])
@pytest.mark.parametrize("how", ["gone", "broken"])
def test_a_form_that_is_lost_between_its_trial_and_the_start_is_followed_by_the_next(
    contexts: Callable[..., StageContext],
    tmp_path: Path,
    state: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
    backend: str,
) -> None:
    context = contexts(backend=backend)
    folder = quantized(tmp_path / "people.onnx", state, backend)
    (folder / "model.onnx").unlink() if how == "gone" else (folder / "model.onnx").write_bytes(b"none")
    digest = int8.Form(folder / "model.onnx", "", "a digest", ROUNDED)
    info = golden_info(tmp_path)
    monkeypatch.setattr(verdicts.Trials, "_find", lambda trials: trials.forms.update({backend: digest}))
    monkeypatch.setattr(
        verdicts.Trials, "run", lambda *_: (info, {ORT: Verdict(100), Candidate(backend, 1): Verdict(10)})
    )
    detectors = Detectors(context)
    assert detectors.current.backend == "onnxruntime"
    (told,) = detectors.problems
    assert told.startswith(f"backend {backend} has failed: ")


def golden_info(tmp_path: Path) -> ModelInfo:
    return open_backend("onnxruntime", tmp_path / "people.onnx", None, 1).info


def test_a_form_with_another_models_input_is_refused(contexts: Callable[..., StageContext], tmp_path: Path) -> None:
    contexts()
    info = dataclasses.replace(golden_info(tmp_path), side=384)
    with pytest.raises(BackendError, match="has 224 pixels, and the model 384"):
        open_backend("onnxruntime_int8", tmp_path / "people.onnx", info, 1)


TRACE = """Timeout (0:00:10)!
Thread 0x00007f (most recent call first):
  File "/usr/lib/python3/site-packages/appliance/inference/backends/onnxruntime_cpu.py", line 61 in {function}
  File "/usr/lib/python3/site-packages/appliance/inference/backends/onnxruntime_int8.py", line 36 in {function}
  File "/usr/lib/python3/site-packages/appliance/inference/service.py", line 190 in _look
"""


@pytest.mark.parametrize("function", ["detect", "__init__"])
def test_a_form_that_hung_has_left_its_own_name_and_not_the_references(
    contexts: Callable[..., StageContext], tmp_path: Path, state: Path, function: str
) -> None:
    context = contexts(backend="onnxruntime_int8")
    a_form(tmp_path, state, OTHERS)
    words = TRACE.format(function=function)
    context.pulse.watchdog = SimpleNamespace(last_words=words, feed=lambda _: None)  # type: ignore[assignment]
    detectors = Detectors(context)
    assert detectors.current.backend == "onnxruntime"
    assert detectors.problems == ["backend onnxruntime_int8 has failed: it hung or crashed"]

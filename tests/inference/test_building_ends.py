"""What ends a build or an engine: a stop, a model that is gone, damage; and who is blamed for a crash meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from appliance.inference import engines, int8, opening, trial
from appliance.inference.backends import BACKENDS
from appliance.inference.detector import BackendError, EngineError, ModelError
from appliance.inference.digest import sha256
from appliance.inference.opening import Detectors
from appliance.inference.trial import Request
from tests.inference.test_building import PATIENCE_S, SEEN, House, followed, house, start

__all__ = ["house", "start"]  # its fixtures


def test_a_stop_in_the_middle_ends_the_build_and_keeps_nothing(
    house: House, start: Callable[..., Detectors], tmp_path: Path
) -> None:
    detectors = start()
    assert house.is_building.wait(PATIENCE_S)
    detectors.stop()
    detectors.stop()
    assert house.built == []
    assert not (tmp_path / "state" / engines.FOLDER).exists()
    house.may_go_on.set()
    followed(start())
    assert house.built == ["tensorrt"], "what was broken off was not refused"


def test_what_was_built_and_not_taken_yet_is_closed_by_a_stop(house: House, start: Callable[..., Detectors]) -> None:
    house.may_go_on.set()
    detectors = start()
    assert detectors._building is not None
    detectors._building._thread.join(PATIENCE_S)
    detectors.stop()
    assert [(one.backend, one.closed) for one in house.opened] == [("onnxruntime", True), ("tensorrt", True)]


def test_a_model_that_the_build_cannot_use_is_told(house: House, start: Callable[..., Detectors]) -> None:
    house.said["tensorrt"] = ModelError("model.onnx is not an ONNX model")
    house.may_go_on.set()
    detectors = start()
    followed(detectors)
    assert detectors.problems == ["backend tensorrt was refused: model.onnx is not an ONNX model"]


def test_an_engine_that_cannot_be_loaded_at_the_start_is_forgotten_and_the_next_watches(
    house: House, start: Callable[..., Detectors], tmp_path: Path
) -> None:
    house.may_go_on.set()
    followed(start())
    house.broken["tensorrt"] = EngineError("TensorRT 11.4 cannot load model.engine: Serialization")
    again = start()
    assert again.current.backend == "onnxruntime"
    assert again.problems == ["backend tensorrt has failed: TensorRT 11.4 cannot load model.engine: Serialization"]
    folder = engines.place_of(tmp_path / "state", "tensorrt", sha256(tmp_path / "model.onnx"))
    assert not folder.exists()
    house.broken.clear()
    assert again.building == "", "it has failed: it is built anew when the appliance is started again"
    (again._context.folder.path / opening.STRIKES).unlink()
    followed(start())
    assert house.built == ["tensorrt"] * 2


def test_a_damaged_engine_is_built_anew_while_the_next_watches(
    house: House, start: Callable[..., Detectors], caplog: pytest.LogCaptureFixture
) -> None:
    house.may_go_on.set()
    followed(start())
    house.opened[-1].path.write_bytes(b"damaged")
    again = start()
    assert again.current.backend == "onnxruntime"
    assert "the engine cannot be used (model.engine is not the file that was recorded); it is built anew" in caplog.text
    followed(again)
    assert again.current.backend == "tensorrt"
    assert again.problems == []


def test_one_that_has_failed_is_not_built_either(house: House, start: Callable[..., Detectors]) -> None:
    house.may_go_on.set()
    detectors = start()
    followed(detectors)
    detectors.replace(EngineError("tensorrt has failed: out of memory"))
    assert detectors.current.backend == "onnxruntime"
    house.opened[1].path.unlink()
    again = start()
    assert again.building == ""
    assert again.current.backend == "onnxruntime"


def quantized(tmp_path: Path) -> None:
    """Put tensorrt_int8's form of the model where `porchlight model quantize` does."""
    folder = int8.home(tmp_path / "state", sha256(tmp_path / "model.onnx")) / "tensorrt_int8"
    made_in = folder.with_name(".making-x")
    made_in.mkdir(parents=True)
    (made_in / "model.onnx").write_bytes(b"a form")
    int8.place(made_in, folder, "model.onnx", int8.Made(1.0, 50, 0.5, "nncf 3.4.0", "2026-11-23T20:00:00Z", SEEN))


def test_two_are_built_one_after_the_other_and_the_best_watches(
    house: House, start: Callable[..., Detectors], tmp_path: Path
) -> None:
    quantized(tmp_path)
    house.may_go_on.set()
    detectors = start()
    followed(detectors, 2)
    assert house.built == ["tensorrt", "tensorrt_int8"]
    assert detectors.current.backend == "tensorrt_int8"
    assert [one.closed for one in house.opened] == [True, True, False]
    assert len({one.path for one in house.opened}) == 3


def test_one_that_cannot_be_opened_after_its_trial_is_struck_and_the_other_stays(
    house: House, start: Callable[..., Detectors]
) -> None:
    house.broken["tensorrt"] = BackendError("the graphics card has failed: out of memory")
    house.may_go_on.set()
    detectors = start()
    followed(detectors)
    assert detectors.current.backend == "onnxruntime"
    told = ["backend tensorrt has failed: the graphics card has failed: out of memory"]
    assert detectors.problems == told
    assert start().problems == told, "also when this process is replaced"


def test_one_that_is_refused_keeps_nobody_else_from_being_built(
    house: House, start: Callable[..., Detectors], tmp_path: Path
) -> None:
    quantized(tmp_path)
    house.said["tensorrt"] = OSError(12, "Cannot allocate memory")  # no child can be made
    house.may_go_on.set()
    detectors = start()
    followed(detectors, 2)
    assert detectors.current.backend == "tensorrt_int8"
    (told,) = detectors.problems
    assert "Cannot allocate memory" in told


def test_whatever_a_library_raises_while_it_is_opened_is_told(
    house: House, start: Callable[..., Detectors], tmp_path: Path
) -> None:
    """Unheard, it would end the thread, and the next one would not be built."""
    quantized(tmp_path)
    house.broken["tensorrt"] = RuntimeError("CuPy was built for another NumPy\nand where")
    house.may_go_on.set()
    detectors = start()
    followed(detectors, 2)
    assert detectors.current.backend == "tensorrt_int8"
    assert detectors.problems == ["backend tensorrt has failed: CuPy was built for another NumPy"]


def test_a_build_that_took_the_detector_along_is_told_and_not_begun_again(
    house: House, start: Callable[..., Detectors]
) -> None:
    killed = start()
    assert house.is_building.wait(PATIENCE_S)
    again = start()  # the one before left its mark, as somebody killed does
    assert again.building == ""
    assert again.problems == [f"backend tensorrt has failed: {opening.KILLED}"]
    assert start().problems == again.problems, "the next one knows it, too"
    killed.stop()
    (again._context.folder.path / opening.STRIKES).unlink()  # another run of the appliance
    house.may_go_on.set()
    followed(start())
    assert house.built == ["tensorrt"]


def test_a_build_that_was_stopped_is_begun_again(house: House, start: Callable[..., Detectors]) -> None:
    one = start()
    assert house.is_building.wait(PATIENCE_S)
    one.stop()
    house.may_go_on.set()
    followed(start())
    assert house.built == ["tensorrt"]


@pytest.mark.parametrize("last", [b"", b"[]", b"{}", b"null", b'{"info": {}, "answer": 3, "latency_ms": 1}'])
def test_a_child_that_ends_well_without_an_answer_is_refused(last: bytes) -> None:
    """A library may end the process; its exit code is then 0."""
    with pytest.raises(BackendError, match="tensorrt ended its trial without an answer"):
        trial._judged(Request("tensorrt", "model.onnx", 1), 0, last, b"")


WATCHES = """Thread 0x00007f01 (most recent call first):
  File "/usr/lib/appliance/inference/backends/openvino_cpu.py", line 66 in detect
  File "/usr/lib/appliance/inference/service.py", line 190 in look
"""
BUILDS = """Thread 0x00007f02 (most recent call first):
  File "/usr/lib/appliance/inference/gpu/tensorrt_engine.py", line 70 in _prepare
  File "/usr/lib/appliance/inference/backends/tensorrt_half.py", line 34 in __init__
  File "/usr/lib/appliance/inference/building.py", line 90 in _built
"""


WAITS = """Thread 0x00007f02 (most recent call first):
  File "/usr/lib/appliance/inference/trial.py", line 120 in _listen
  File "/usr/lib/appliance/inference/building.py", line 90 in _built
"""


@pytest.mark.parametrize(
    ("words", "blamed"),
    [
        (f"Fatal Python error: Aborted\n\nCurrent t{BUILDS[1:]}\n{WATCHES}", "tensorrt_half"),
        (f"Fatal Python error: Aborted\n\n{BUILDS}\nCurrent t{WATCHES[1:]}", "openvino_cpu"),
        (f"Timeout (0:00:10)!\n{WAITS}\n{WATCHES}", "openvino_cpu"),
        (f"Timeout (0:00:10)!\n{BUILDS}\n{WATCHES}", "tensorrt_half"),
    ],
    ids=["the builder crashed", "the watcher crashed", "the watcher hung", "a library let nobody else run"],
)
def test_a_crash_is_blamed_on_the_thread_that_crashed_and_a_hang_on_the_one_that_watches_or_opens(
    house: House, start: Callable[..., Detectors], monkeypatch: pytest.MonkeyPatch, words: str, blamed: str
) -> None:
    """Python names the main thread last."""
    really = opening.Detectors._read_strikes

    def read(detectors: Detectors) -> dict[str, str]:
        watchdog = SimpleNamespace(last_words=words, feed=lambda _: None)
        detectors._context.pulse.watchdog = watchdog  # type: ignore[assignment]
        return really(detectors)

    monkeypatch.setattr(opening.Detectors, "_read_strikes", read)
    struck = {name for name, one in BACKENDS.items() if one.module == blamed}
    detectors = start()
    assert set(detectors._strikes) == struck
    assert detectors.problems == [
        f"backend {name} has failed: it hung or crashed" for name in BACKENDS if name in struck
    ]

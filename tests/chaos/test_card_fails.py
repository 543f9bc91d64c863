"""A graphics card that hangs, crashes or is lost, while an engine is built or at work: the cameras are watched on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from appliance.inference.demo import PORCH_DEMO
from appliance.inference.opening import OPENING_S
from tests.rig import ROOT, Appliance, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

DOUBLES = ROOT / "tests" / "inference" / "doubles" / "cards"
SILENCE_S = 6
START_S = 3
WHOLE_AGAIN_S = 3 * (SILENCE_S + START_S)
"""Three times the promise: noticed within the silence that is allowed, then a start."""
BUILT_S = 90
"""Nobody waits for it: the double takes seconds."""


pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Appliance]:
    """The painted porch, with the doubles of CuPy and TensorRT to run the demo's detector."""
    monkeypatch.setenv("PYTHONPATH", f"{DOUBLES}:{ROOT}")
    monkeypatch.delenv("CARD_DOUBLE", raising=False)
    one = Appliance(
        tmp_path,
        {
            "cameras": [{"id": "porch", "source": "synthetic://porch?size=640x360"}],
            "model": {"path": str(PORCH_DEMO), "backend": "tensorrt", "threads": 1},
            "mqtt": {"enabled": False},
            "supervisor": {"silence_seconds": SILENCE_S},
        },
    )
    yield one
    one.close()
    print(one.log_text())  # pytest shows it where the test failed


def inference(home: Appliance) -> dict[str, Any]:
    return next((stage for stage in home.status().get("stages", []) if stage["name"] == "inference"), {})


def reason(home: Appliance) -> str:
    return str(inference(home).get("reason", ""))


def start(home: Appliance) -> None:
    home.start()
    wait_for("the first looks", 45, lambda: home.state() != "unknown")


def looks(home: Appliance) -> float:
    """Return how often the model has run for the camera, since its process began."""
    text = home.get("/metrics")[1].decode()
    found = re.search(r'^porchlight_frames_inferred_total\{camera="porch"\} (\S+)$', text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def wait_for_looks(home: Appliance) -> None:
    """Until the camera is watched, by a model that runs."""
    wait_for("the camera to be known", WHOLE_AGAIN_S, lambda: home.state() != "unknown")
    before = looks(home)
    wait_for("another look", WHOLE_AGAIN_S, lambda: looks(home) > before)


def test_an_engine_is_built_while_the_camera_is_watched_and_takes_over(home: Appliance) -> None:
    start(home)
    assert "pixels, on onnxruntime" in home.log_text()
    seen = {home.state()}

    def has_taken_over() -> bool:
        seen.add(home.state())
        return "pixels, on tensorrt" in home.log_text()

    wait_for("the engine", BUILT_S, has_taken_over)
    wait_for_looks(home)
    assert "unknown" not in seen, "the camera was watched all the time"
    assert reason(home) == ""
    assert home.stop() == 0


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("hang@execute_async_v3:40", "backend tensorrt has failed: it hung or crashed"),
        ("abort@launch:40", "backend tensorrt has failed: it hung or crashed"),
        ("lost@memcpyAsync:40", "backend tensorrt has failed: tensorrt has failed: "),
    ],
)
def test_a_card_that_fails_at_work_is_followed_by_the_next_backend(
    home: Appliance, monkeypatch: pytest.MonkeyPatch, fault: str, told: str
) -> None:
    monkeypatch.setenv("CARD_DOUBLE", fault)
    start(home)
    wait_for("the engine", BUILT_S, lambda: "pixels, on tensorrt" in home.log_text())
    wait_for("the other backend", WHOLE_AGAIN_S + 20, lambda: told in reason(home))  # 40 looks take seconds
    wait_for_looks(home)
    assert home.log_text().rindex("pixels, on onnxruntime") > home.log_text().rindex("pixels, on tensorrt")
    assert home.stop() == 0


def test_a_build_that_crashes_is_told_and_disturbs_nobody(home: Appliance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARD_DOUBLE", "abort@build_serialized_network")
    home.settings["model"]["backend"] = "auto"
    start(home)
    told = "backend tensorrt was refused: tensorrt was killed by SIGABRT in its trial"
    wait_for("the refusal", BUILT_S, lambda: told in reason(home))
    wait_for_looks(home)
    assert "pixels, on tensorrt" not in home.log_text()
    assert home.stop() == 0
    home.start()
    wait_for("the refusal, at once", 45, lambda: told in reason(home))
    wait_for_looks(home)
    assert home.log_text().count("the engine for tensorrt is being built: 0%") == 1, "it is not built at every start"
    assert home.stop() == 0


def test_a_trial_that_hangs_with_its_engine_disturbs_nobody(home: Appliance, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the child that hangs: no camera waits for it, and a stop ends it."""
    monkeypatch.setenv("CARD_DOUBLE", "hang@deserialize_cuda_engine")
    start(home)
    wait_for("the build", BUILT_S, lambda: "the engine for tensorrt is being built: 100%" in home.log_text())
    for _ in range(3):
        wait_for_looks(home)
    assert reason(home) == ""
    (child,) = children()
    assert home.stop() == 0
    wait_for("the child to be gone", WHOLE_AGAIN_S, lambda: child not in children())


def children() -> list[int]:
    """Return the processes that try a backend with our doubles."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if b"appliance.inference.trial" in line and bytes(PORCH_DEMO) in line:
                found.append(int(entry.name))
    return found


def test_an_engine_that_hangs_while_it_is_loaded_at_a_start_is_followed_by_the_next_backend(
    home: Appliance, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(home)
    wait_for("the engine", BUILT_S, lambda: "pixels, on tensorrt" in home.log_text())
    assert home.stop() == 0
    monkeypatch.setenv("CARD_DOUBLE", "hang@deserialize_cuda_engine")
    home.start()
    told = "backend tensorrt has failed: it hung or crashed"
    wait_for("the other backend", 3 * (OPENING_S + START_S), lambda: told in reason(home))
    wait_for_looks(home)
    assert home.log_text().rindex("pixels, on onnxruntime") > home.log_text().rindex("pixels, on tensorrt")
    assert home.stop() == 0

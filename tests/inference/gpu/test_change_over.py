"""The stage while an engine is built, in a child process as it is at home: every frame is answered."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.config import Camera
from appliance.inference import choice, engines, opening, verdicts
from appliance.inference.backends import BACKENDS
from appliance.messages import PixelFormat
from tests.inference.gpu.card import Card
from tests.inference.gpu.frames import noise
from tests.inference.gpu.nvinfer import TensorRt
from tests.rig import ROOT

DOUBLES = ROOT / "tests" / "inference" / "doubles" / "cards"
MOST_FRAMES = 4000
"""More than are looked at while one is built; a test that hangs ends with words."""

pytestmark = pytest.mark.timeout(150)


@pytest.fixture
def children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tensorrt: TensorRt) -> None:
    """Trials and builds have the same doubles as this process, and TensorRT was chosen by name."""
    monkeypatch.setenv("PYTHONPATH", f"{DOUBLES}:{ROOT}")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.syspath_prepend(DOUBLES)  # where the installed version is looked up
    auto, really = choice.ranked, verdicts.Trials.__init__
    monkeypatch.setattr(opening, "ranked", lambda found, _wanted, struck=(): auto(found, "tensorrt", struck))
    monkeypatch.setattr(
        verdicts.Trials,
        "__init__",
        lambda self, path, model, state: really(self, path, model.model_copy(update={"backend": "tensorrt"}), state),
    )
    assert BACKENDS["tensorrt"].version == "11.4.0"


def start(inferring: Callable[..., Any], path: Path) -> Any:
    return inferring(path, *(Camera(id=place, source="file:none") for place in ("porch", "garden")))


def look(running: Any, number: int) -> None:
    """Show each camera a frame, and wait until it was looked at."""
    for street in running.streets:
        data = bytes(noise(PixelFormat.YUYV, 64, 48, number).data)
        info = street.show(number, data, (64, 48), PixelFormat.YUYV)
        found = street.found()
        assert found is not None, "a frame was lost"
        assert found.frame.frame_number == info.frame_number


def test_every_frame_is_answered_while_it_is_built_and_when_it_takes_over(
    children: None, card: Card, path: Path, tmp_path: Path, inferring: Callable[..., Any]
) -> None:
    running = start(inferring, path)
    assert running.pulse.facts["backend"] == "onnxruntime"
    told: set[str] = set()
    for number in range(1, MOST_FRAMES):
        look(running, number)
        told.add(running.pulse.facts.get("building", ""))
        if running.pulse.facts["backend"] == "tensorrt":
            break
    assert any("tensorrt" in words for words in told)
    before = card.calls.count("execute_async_v3")
    for again in range(3):
        look(running, number + 1 + again)
    assert card.calls.count("execute_async_v3") == before + 6, "two cameras, three times"
    assert running.pulse.reason == ""
    assert [file.name for file in tmp_path.rglob(engines.FILE)] == [engines.FILE]


def test_a_build_that_kills_its_process_disturbs_nobody(
    children: None, path: Path, tmp_path: Path, inferring: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARD_DOUBLE", "abort@build_serialized_network:2")
    running = start(inferring, path)
    for number in range(1, MOST_FRAMES):
        look(running, number)
        if running.pulse.reason:
            break
    assert running.pulse.reason.startswith("backend tensorrt was refused: tensorrt was killed by SIGABRT in its trial")
    look(running, number + 1)
    assert running.pulse.facts["backend"] == "onnxruntime"


def test_a_stop_ends_a_child_that_hangs(
    children: None, path: Path, inferring: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARD_DOUBLE", "hang@deserialize_cuda_engine")
    running = start(inferring, path)
    for number in range(1, MOST_FRAMES):
        look(running, number)
        if "100%" in running.pulse.facts.get("building", ""):
            break
    else:
        raise AssertionError("it was never built")
    running.stop.set()
    running._thread.join(20)
    assert not running._thread.is_alive()
    assert not [thread for thread in threading.enumerate() if thread.name == "building"]

"""A card that fails or hangs in any of its calls: the next backend takes over, and no camera is lost."""

from __future__ import annotations

import faulthandler
import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from appliance.config import Camera, Model, Settings
from appliance.inference import choice, opening, verdicts
from appliance.inference.backends import BACKENDS, open_backend
from appliance.inference.choice import Candidate, Verdict
from appliance.inference.detector import BackendError, ModelInfo
from appliance.inference.gpu.tensorrt_build import built
from appliance.inference.opening import Detectors
from appliance.ipc.heartbeat import HeartbeatFile
from appliance.ipc.run_folder import RunFolder
from appliance.messages import PixelFormat
from appliance.stage import Pulse, StageContext, Stop
from tests.inference.gpu.card import LOST, NO_MEMORY, Card
from tests.inference.gpu.frames import noise
from tests.inference.gpu.nvinfer import TensorRt

ORT = Candidate("onnxruntime", 1)


class Calls(NamedTuple):
    """How many a backend makes of the card and its libraries: to open, for the first frame, for each larger one."""

    opening: int
    first: int
    later: int

    @property
    def whole(self) -> int:
        """Until three ever larger frames were looked at."""
        return self.opening + self.first + 2 * self.later


CALLS = {"onnxruntime_cuda": Calls(6, 4, 5), "tensorrt": Calls(16, 8, 9)}
EVERY = [pytest.param(name, number, id=f"{name}-{number}") for name, n in CALLS.items() for number in range(n.whole)]


@pytest.fixture
def context(folder: RunFolder, tmp_path: Path, path: Path) -> Iterator[StageContext]:
    stop = Stop()
    settings = Settings(
        cameras=(Camera(id="porch", source="file:none"),), model=Model(path=path), state_dir=tmp_path / "state"
    )
    yield StageContext(settings, folder, Pulse(HeartbeatFile(folder, "inference"), "inference"), stop)
    os.close(stop.fileno())
    os.close(stop._write)


@pytest.fixture
def file(request: pytest.FixtureRequest, name: str, path: Path, tmp_path: Path, card: Card) -> Path:
    """What the backend loads; its library is there, and has made nothing of the card yet."""
    if name == "onnxruntime_cuda":
        request.getfixturevalue("runtime")
        return path
    library: TensorRt = request.getfixturevalue("tensorrt")
    (tmp_path / "making").mkdir()
    (tmp_path / "model.engine").write_bytes(built(path, tmp_path / "making", lambda _share: None))
    assert library.built == 1
    card.calls.clear()
    return tmp_path / "model.engine"


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch, info: ModelInfo, name: str, path: Path, file: Path) -> None:
    """Both have passed their trial, the card as the faster one."""
    found = {ORT: Verdict(50.0), Candidate(name, 1): Verdict(3.0)}
    monkeypatch.setattr(verdicts.Trials, "run", lambda _self, _keep_going: (info, found))
    monkeypatch.setattr(verdicts.Trials, "file", lambda _self, backend: file if backend == name else path)


def look(detectors: Detectors, number: int) -> list[Any] | None:
    """As the stage does it: take, detect, and another backend where this one has failed."""
    detectors.current.take(noise(PixelFormat.YUYV, 32 * number, 24, seed=number))
    try:
        return [array.copy() for array in detectors.current.detect()]
    except BackendError as error:
        detectors.replace(error)
    return None


@pytest.mark.parametrize("name", CALLS)
def test_three_looks_are_so_many_calls(name: str, card: Card, context: StageContext, tried: None) -> None:
    detectors = Detectors(context)
    for number in (1, 2, 3):
        assert look(detectors, number) is not None
    assert len(card.calls) == CALLS[name].whole
    detectors.current.close()


@pytest.mark.parametrize(("fault", "for_good"), [(LOST, True), (NO_MEMORY, False)], ids=["lost", "no memory"])
@pytest.mark.parametrize(("name", "number"), EVERY)
def test_whatever_call_fails_the_next_backend_takes_over_and_every_later_frame_is_answered(
    name: str,
    card: Card,
    context: StageContext,
    tried: None,
    number: int,
    fault: Callable[[], Exception],
    for_good: bool,
) -> None:
    card.fails_at, card.fault, card.for_good = number, fault, for_good
    detectors = Detectors(context)
    answers = [look(detectors, number) for number in (1, 2, 3)]
    assert detectors.current.backend == "onnxruntime"
    assert answers.count(None) == (0 if number < CALLS[name].opening else 1)
    (problem,) = detectors.problems
    assert problem.startswith(f"backend {name} has failed: ")
    assert str(fault()) in problem
    gc.collect()
    assert [card.device, card.pinned] == [{}, {}]
    reference = open_backend("onnxruntime", context.settings.model.path or Path(), None, 1)
    reference.take(noise(PixelFormat.YUYV, 128, 24, seed=4))
    wanted = [array.copy() for array in reference.detect()]
    found = look(detectors, 4)
    assert found is not None
    assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize(("name", "number"), EVERY)
def test_a_hang_in_any_call_of_the_card_leaves_the_backends_name(
    name: str, card: Card, tmp_path: Path, file: Path, info: ModelInfo, number: int
) -> None:
    """The watchdog's last words are such a trace."""
    words = tmp_path / "last_words"

    def hang() -> Exception:
        with words.open("w") as trace:
            faulthandler.dump_traceback(trace, all_threads=False)  # a long test run has more than it would tell of
        return LOST()

    card.fails_at, card.fault = number, hang
    with pytest.raises(BackendError):  # noqa: PT012 -- which of them fails is the test's parameter
        detector = open_backend(name, file, info, 1)
        for size in (1, 2, 3):
            detector.take(noise(PixelFormat.YUYV, 32 * size, 24))
            detector.detect()
    assert opening._culprit(words.read_text()) == BACKENDS[name].module


@pytest.mark.parametrize(
    ("name", "number"),
    [*(("onnxruntime_cuda", number) for number in range(8, 13)), *(("tensorrt", number) for number in range(18, 31))],
)
def test_the_stage_goes_on_for_every_camera(
    name: str,
    card: Card,
    tried: None,
    path: Path,
    number: int,
    inferring: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The card is lost in the middle of its work: of one camera a frame goes missing, and both are watched on."""
    auto = choice.ranked
    monkeypatch.setattr(opening, "ranked", lambda verdicts, _wanted, struck=(): auto(verdicts, "auto", struck))
    running = inferring(path, *(Camera(id=place, source="file:none") for place in ("porch", "garden")))
    card.fails_at = number
    shown = 0
    for _ in range(4):
        for street in running.streets:
            for _ in range(20):
                shown += 1
                street.show(shown, bytes(noise(PixelFormat.YUYV, 64, 48, shown).data), (64, 48), PixelFormat.YUYV)
                if street.found(1.0) is not None:
                    break
            else:
                raise AssertionError("a camera was lost")
    assert len(card.calls) > number
    told = running.heard.until(lambda beat: name in beat.reason)
    assert f"backend {name} has failed: {name} has failed: " in told.reason
    assert "cudaErrorLaunchFailure" in told.reason

"""A card that fails or hangs in any of its calls: the next backend takes over, and no camera is lost."""

from __future__ import annotations

import faulthandler
import gc
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.config import Camera, Model, Settings
from appliance.inference import choice, opening, verdicts
from appliance.inference.backends import open_backend
from appliance.inference.choice import Candidate, Verdict
from appliance.inference.detector import BackendError, ModelInfo
from appliance.inference.opening import Detectors
from appliance.ipc.heartbeat import HeartbeatFile
from appliance.ipc.run_folder import RunFolder
from appliance.messages import PixelFormat
from appliance.stage import Pulse, StageContext, Stop
from tests.inference.gpu.card import LOST, NO_MEMORY, Card
from tests.inference.gpu.frames import noise
from tests.inference.gpu.runtime import CudaRuntime

NAME = "onnxruntime_cuda"
ORT, GPU = Candidate("onnxruntime", 1), Candidate(NAME, 1)


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
def tried(monkeypatch: pytest.MonkeyPatch, info: ModelInfo) -> None:
    """Both have passed their trial, the card as the faster one."""
    monkeypatch.setattr(
        verdicts.Trials, "run", lambda _self, _keep_going: (info, {ORT: Verdict(50.0), GPU: Verdict(3.0)})
    )


def look(detectors: Detectors, number: int) -> list[Any] | None:
    """As the stage does it: take, detect, and another backend where this one has failed."""
    detectors.current.take(noise(PixelFormat.YUYV, 32 * number, 24, seed=number))
    try:
        return [array.copy() for array in detectors.current.detect()]
    except BackendError as error:
        detectors.replace(error)
    return None


WHOLE = 6 + 4 + 5 + 5
"""Calls until three ever larger frames were looked at: to open, for the first frame, and for each of the others."""


def test_three_looks_are_so_many_calls(runtime: CudaRuntime, card: Card, context: StageContext, tried: None) -> None:
    detectors = Detectors(context)
    for number in (1, 2, 3):
        assert look(detectors, number) is not None
    assert len(card.calls) == WHOLE
    detectors.current.close()


@pytest.mark.parametrize(("fault", "for_good"), [(LOST, True), (NO_MEMORY, False)], ids=["lost", "no memory"])
@pytest.mark.parametrize("number", range(WHOLE))
def test_whatever_call_fails_the_next_backend_takes_over_and_every_later_frame_is_answered(
    runtime: CudaRuntime,
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
    assert answers.count(None) == (0 if number < 6 else 1)
    (problem,) = detectors.problems
    assert problem.startswith("backend onnxruntime_cuda has failed: ")
    assert str(fault()) in problem
    gc.collect()
    assert [card.device, card.pinned] == [{}, {}]
    reference = open_backend("onnxruntime", context.settings.model.path or Path(), None, 1)
    reference.take(noise(PixelFormat.YUYV, 128, 24, seed=4))
    wanted = [array.copy() for array in reference.detect()]
    found = look(detectors, 4)
    assert found is not None
    assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("number", range(WHOLE))
def test_a_hang_in_any_call_of_the_card_leaves_the_backends_name(
    runtime: CudaRuntime, card: Card, tmp_path: Path, path: Path, info: ModelInfo, number: int
) -> None:
    """The watchdog's last words are such a trace: whoever hung in the card's calls is known by these two files."""
    words = tmp_path / "last_words"

    def hang() -> Exception:
        with words.open("w") as file:
            faulthandler.dump_traceback(file, all_threads=False)  # a long test run has more than it would tell of
        return LOST()

    card.fails_at, card.fault = number, hang
    with pytest.raises(BackendError):  # noqa: PT012 -- which of them fails is the test's parameter
        detector = open_backend(NAME, path, info, 1)
        for size in (1, 2, 3):
            detector.take(noise(PixelFormat.YUYV, 32 * size, 24))
            detector.detect()
    place = r'(?s)inference/gpu/cupy_device\.py", line \d+ in .*inference/backends/onnxruntime_cuda\.py", line \d+ in '
    assert re.search(place + ("__init__" if number < 6 else "take"), words.read_text())


@pytest.mark.parametrize("number", [8, 9, 10, 11, 12])
def test_the_stage_goes_on_for_every_camera(
    runtime: CudaRuntime,
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
    running = inferring(path, *(Camera(id=name, source="file:none") for name in ("porch", "garden")))
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
    told = running.heard.until(lambda beat: "onnxruntime_cuda" in beat.reason)
    assert "backend onnxruntime_cuda has failed: onnxruntime_cuda has failed: the graphics card" in told.reason

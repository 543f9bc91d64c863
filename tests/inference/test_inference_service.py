"""The inference stage with real channels and a tiny model: frames in, detections out, and nothing stops it."""

from __future__ import annotations

import os
import time
from itertools import pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import simplejpeg

from appliance.config import Camera, Model, Settings
from appliance.inference import opening, service
from appliance.inference.detector import ModelError, ModelInfo
from appliance.ipc.heartbeat import HeartbeatFile, read_heartbeats
from appliance.messages import CameraState, Detections, Health, PixelFormat, SentryState, TraceContext
from appliance.stage import Pulse, StageContext, Stop
from tests.inference.onnx_maker import model, rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from appliance.ipc.run_folder import RunFolder
    from tests.inference.conftest import Running, Street

    Start = Callable[..., Running]

PICTURE = bytes(simplejpeg.encode_jpeg(np.full((48, 64, 3), 90, np.uint8)))


@pytest.fixture
def somebody(tmp_path: Path) -> Path:
    """A model that sees a person and a dog in every picture, whatever it is."""
    path = tmp_path / "somebody.onnx"
    path.write_bytes(model(rows([(3, (0.5, 0.5, 0.5, 0.5), 1, 2.0), (9, (0.25, 0.75, 0.1, 0.2), 18, 1.0)])))
    return path


def seen(street: Street) -> Detections:
    found = street.found()
    assert found is not None, "no detections came"
    return found


def test_detections_carry_their_frame_with_its_times_and_its_trace(inferring: Start, somebody: Path) -> None:
    running = inferring(somebody)
    trace = TraceContext.of(bytes(range(16)), bytes(range(8)), 1)
    shown = running.street.show(4711, PICTURE, trace=trace)
    found = seen(running.street)
    assert found.frame == shown
    assert found.frame.trace == trace
    assert found.infer_ns > 0


def test_boxes_are_in_the_pixels_of_the_camera(inferring: Start, somebody: Path) -> None:
    running = inferring(somebody)
    running.street.show(1, bytes(640 * 480 * 3 // 2), (640, 480), PixelFormat.I420)
    found = seen(running.street)
    assert np.allclose(found.rows.boxes, [[160, 120, 480, 360], [128, 312, 192, 408]], atol=1e-3)
    assert found.rows.scores == pytest.approx([0.880797, 0.731059], abs=1e-5)
    assert found.rows.class_ids.tolist() == [1, 18]


def test_what_the_model_sees_is_the_picture_of_that_frame(inferring: Start, tmp_path: Path) -> None:
    path = tmp_path / "brightness.onnx"
    path.write_bytes(model(rows([(0, (0.5, 0.5, 0.5, 0.5), 1, 0.0)]), brightness_to="labels"))
    running = inferring(path, threshold=0.05)
    scores = []
    for number, level in enumerate((0, 128, 255), 1):
        running.street.show(number, bytes([level]) * (32 * 32 * 3), (32, 32), PixelFormat.RGB24)
        scores.append(float(seen(running.street).rows.scores[0]))
    brightness = [float(np.mean((level / 255 - np.array([0.485, 0.456, 0.406])) / 0.225)) for level in (0, 128, 255)]
    assert scores == pytest.approx([1 / (1 + np.exp(-mean)) for mean in brightness], abs=0.01)


def test_a_frame_without_anybody_is_answered_too(inferring: Start, somebody: Path) -> None:
    running = inferring(somebody, threshold=0.9)
    shown = running.street.show(1, PICTURE)
    found = seen(running.street)
    assert found.frame == shown
    assert found.rows.boxes.shape == (0, 4)


@pytest.mark.parametrize("broken", [b"", b"no JPEG at all", PICTURE[:-30]], ids=["empty", "text", "truncated"])
def test_a_broken_jpeg_is_counted_and_skipped_and_the_next_goes_through(
    inferring: Start, somebody: Path, broken: bytes
) -> None:
    running = inferring(somebody)
    running.street.show(1, broken)
    running.heard.until(lambda beat: beat.counters.get("frames_broken.porch") == 1)
    shown = running.street.show(2, PICTURE)
    assert seen(running.street).frame == shown
    assert running.street.found(0) is None


def test_a_frame_that_is_not_what_it_says_is_counted_and_skipped(inferring: Start, somebody: Path) -> None:
    running = inferring(somebody)
    running.street.show(1, bytes(10), (640, 480), PixelFormat.I420)  # too short: the mailbox refuses it
    running.heard.until(lambda beat: beat.counters.get("frames_broken.porch") == 1)
    running.street.show(2, bytes(13), (3, 3), PixelFormat.I420)  # there are no odd pictures: the decoder refuses it
    running.heard.until(lambda beat: beat.counters.get("frames_broken.porch") == 2)
    shown = running.street.show(3, PICTURE)
    assert seen(running.street).frame == shown


def test_one_cameras_broken_frames_do_not_keep_another_from_being_looked_at(inferring: Start, somebody: Path) -> None:
    cameras = [Camera(id=name, source="file:none") for name in ("broken", "well")]
    running = inferring(somebody, *cameras)
    broken, well = running.streets
    for number in range(1, 6):
        broken.show(number, b"no JPEG")
        shown = well.show(number, PICTURE)
        assert seen(well).frame == shown


def test_the_heartbeat_names_the_model_and_counts(inferring: Start, somebody: Path, folder: RunFolder) -> None:
    running = inferring(somebody)
    for number in range(1, 4):
        running.street.show(number, PICTURE)
        seen(running.street)
    beat = running.heard.until(lambda beat: beat.counters.get("frames_inferred.porch") == 3)
    assert {"model": "somebody.onnx", "backend": "onnxruntime", "side": "224"}.items() <= beat.facts.items()
    assert beat.health is Health.RUNNING
    assert beat.counters["frames_lost.porch"] == 0
    assert {"inference_ms.porch", "latency_ms.porch", "inferences_per_second"} <= set(beat.counters)
    assert read_heartbeats(folder)["inference"].facts == beat.facts


def test_what_people_must_be_told_of_a_model_is_in_the_heartbeat(inferring: Start, tmp_path: Path) -> None:
    told = {"porchlight.only_for": "file", "porchlight.notice": "knows this clip only"}
    (tmp_path / "model.onnx").write_bytes(model(rows([]), metadata=told))
    running = inferring(tmp_path / "model.onnx")
    assert running.heard.until(lambda beat: "notice" in beat.facts).facts["notice"] == "model.onnx knows this clip only"


@pytest.mark.parametrize(
    ("outputs", "metadata", "words"),
    [
        ({"boxes": np.zeros((1, 3), np.float32)}, {}, "no output 'dets' and 'labels'"),
        (rows([]), {"porchlight.only_for": "synthetic"}, "works with synthetic:// cameras only"),
    ],
    ids=["contract", "source"],
)
def test_a_model_that_cannot_be_used_refuses_the_stage(
    folder: RunFolder, tmp_path: Path, outputs: Any, metadata: Any, words: str
) -> None:
    (tmp_path / "model.onnx").write_bytes(model(outputs, metadata=metadata))
    stop = Stop()
    camera = Camera(id="porch", source="file:none")
    chosen = Model(path=tmp_path / "model.onnx", backend="onnxruntime", threads=1)
    settings = Settings(cameras=(camera,), model=chosen)
    context = StageContext(settings, folder, Pulse(HeartbeatFile(folder, "inference"), "inference"), stop)
    with pytest.raises(ModelError, match=words):
        service.run(context)
    assert not list(folder.path.glob("*/porch*")), "it sat down before it knew"
    os.close(stop.fileno())
    os.close(stop._write)


class Slow:
    """A model during whose every look something happens."""

    backend = "none"
    info = ModelInfo("slow", side=224, queries=1, columns=2)

    def __init__(self) -> None:
        self.meanwhile: Callable[[], None] = lambda: None
        self.taken: Callable[[int], None] = lambda _number: None

    def take(self, frame: Any) -> None:
        self.taken(frame.info.frame_number)

    def close(self) -> None:
        """Nothing to let go of."""

    def detect(self) -> tuple[Any, Any]:
        self.meanwhile()
        return np.full((1, 4), 0.5, np.float32), np.full((1, 2), 3.0, np.float32)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    one = Slow()
    monkeypatch.setattr(opening, "open_backend", lambda *_: one)
    return one


def test_the_loan_is_back_before_the_model_runs(inferring: Start, slow: Slow, somebody: Path) -> None:
    running = inferring(somebody)
    lent: list[Any] = []

    def look() -> None:
        running.street.frames.borrow()  # takes the returns
        lent.append(dict(running.street.frames._ledger._loans[0]))

    slow.meanwhile = look
    running.street.show(1, PICTURE)
    seen(running.street)
    assert lent == [{}]


def test_of_the_frames_that_came_during_a_look_the_newest_is_next(inferring: Start, slow: Slow, somebody: Path) -> None:
    running = inferring(somebody)

    def three_more() -> None:
        slow.meanwhile = lambda: None
        for number in (2, 3, 4):
            running.street.show(number, PICTURE)

    slow.meanwhile = three_more
    running.street.show(1, PICTURE)
    beat = running.heard.until(lambda beat: beat.counters.get("frames_inferred.porch") == 2)
    assert beat.counters["frames_lost.porch"] == 2
    assert seen(running.street).frame.frame_number == 4


def test_an_alarmed_camera_is_looked_at_more_often_and_an_idle_one_still(
    inferring: Start, slow: Slow, somebody: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 1000.0
    clock = SimpleNamespace(monotonic=lambda: now_s, monotonic_ns=time.monotonic_ns)  # it takes no time
    monkeypatch.setattr(service, "time", clock)
    idle, alarmed = (Camera(id=name, source="file:none", standby_fps=3.0) for name in ("idle", "alarmed"))
    running = inferring(somebody, idle, alarmed)
    at_idle, at_alarmed = running.streets
    at_alarmed.tell(CameraState(SentryState.TRACKING))
    rounds = iter(range(1, 111))

    def a_look_takes_its_time_and_both_wait_again() -> None:
        nonlocal now_s
        now_s += 0.2
        number = next(rounds, None)
        if number is not None:
            at_idle.show(number, PICTURE)
            at_alarmed.show(number, PICTURE)

    slow.meanwhile = a_look_takes_its_time_and_both_wait_again
    slow.meanwhile()
    inferred = ("frames_inferred.idle", "frames_inferred.alarmed")
    running.heard.until(lambda beat: sum(beat.counters.get(name, 0) for name in inferred) >= 110)
    looks = {street: 110 - street.frames.lost["inference"] for street in running.streets}
    assert 9 <= looks[at_idle] <= 12  # 3 fps and 30
    assert looks[at_alarmed] >= 98


@pytest.mark.parametrize(("look_s", "enough"), [(0.02, True), (0.06, True), (0.15, False), (0.4, False)])
def test_beside_a_tracking_camera_five_idle_ones_are_seen_within_twice_their_period_or_it_is_said(
    inferring: Start, slow: Slow, somebody: Path, monkeypatch: pytest.MonkeyPatch, look_s: float, enough: bool
) -> None:
    """Five cameras at 3 fps want 15 looks a second. What a look takes is all the time that passes here."""
    now_s, shown_s, period_s = 1000.0, 1000.0, 1 / 3
    looks: dict[int, list[float]] = {place: [] for place in range(1, 6)}
    clock = SimpleNamespace(monotonic=lambda: now_s, monotonic_ns=lambda: int(now_s * 1e9))
    monkeypatch.setattr(service, "time", clock)
    running = inferring(
        somebody, *(Camera(id=f"cam{place}", source="file:none", standby_fps=3.0) for place in range(6))
    )
    busy, *idle = running.streets
    busy.tell(CameraState(SentryState.TRACKING))

    def taken(number: int) -> None:
        if number >= 100:
            looks[number // 100].append(now_s)

    def time_passes_and_cameras_go_on() -> None:
        nonlocal now_s, shown_s
        now_s += look_s
        if now_s > 1030:
            return
        busy.show(1, PICTURE)
        while shown_s <= now_s:
            shown_s += period_s
            for place, street in enumerate(idle, 1):
                street.show(100 * place, PICTURE)

    slow.taken, slow.meanwhile = taken, time_passes_and_cameras_go_on
    time_passes_and_cameras_go_on()
    beat = running.heard.until(lambda _: now_s > 1030)
    gaps = [later - earlier for times in looks.values() for earlier, later in pairwise(times)]
    if enough:
        assert max(gaps) <= 2 * period_s
        assert beat.facts.get("shortage", "") == ""
    else:
        assert max(gaps) > 2 * period_s
        assert beat.facts["shortage"].startswith(
            f"the detector is too slow for 6 cameras: it takes {look_s * 1e3:.0f} ms for a picture, and cam"
        )

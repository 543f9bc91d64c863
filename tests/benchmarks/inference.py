"""Chapter: the inference stage with the real RF-DETR nano graph, beside the bare model, on each backend."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import subprocess
import sys
import time
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import simplejpeg

from appliance.capture.synthetic import Scene, SceneOptions
from appliance.config import Camera, Model, Settings
from appliance.inference import selftest
from appliance.inference.backends import BACKENDS, open_backend
from appliance.inference.detector import AbsentError
from appliance.inference.opening import Detectors
from appliance.inference.service import Watch
from appliance.inference.trial import golden_frame
from appliance.ipc.heartbeat import HeartbeatFile
from appliance.ipc.mailbox import publish_frames
from appliance.ipc.run_folder import RunFolder
from appliance.messages import FrameInfo, PixelFormat
from appliance.stage import Pulse, StageContext, Stop
from tests.benchmarks.report import Chapter, Ratio, Table
from tests.benchmarks.timing import alternate
from tests.rig import SHARED, need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from appliance.inference.detector import Detector
    from appliance.ipc.publisher import Publisher
    from appliance.ipc.slots import FrameWriter

GRAPH = SHARED / "models" / "rfdetr_nano_graph.onnx"
FEMTO = SHARED / "models" / "deimv2_femto_rfdetr_contract_384.onnx"
SIZE = (1280, 720)
STAGE_LIMIT = 1.10
MANY = 4
MANY_LIMIT = 0.95
RUN_MODELS = [name for name, backend in BACKENDS.items() if not (backend.form_of or backend.builds)]
"""The others run int8 forms, and nobody has quantized here."""


def run(folder: Path, quick: bool) -> Chapter:
    """Return the chapter; `quick` takes a tenth of the rounds."""
    need(FEMTO)
    rounds = 3 if quick else 25
    model, name = _model(folder)
    ratios: list[Ratio] = []
    rows: list[tuple[Any, ...]] = []
    reference_s = 0.0
    for backend in RUN_MODELS:
        try:
            ours_s, bare_s, ratio, many = _measure(folder, model, backend, rounds)
        except AbsentError as error:
            rows.append((f"{backend}: {error}", "", "", ""))
            continue
        reference_s = reference_s or bare_s
        ratios.append(
            Ratio(
                f"{name}, {backend}: the stage, from the frame to its detections : the bare model", ratio, STAGE_LIMIT
            )
        )
        ratios.append(
            Ratio(f"{name}, {backend}: looks a second at {MANY} cameras : at one", many, MANY_LIMIT, at_least=True)
        )
        rows.append((backend, ours_s * 1e3, bare_s * 1e3, bare_s / reference_s))
    threads = _threads()
    return Chapter(
        "Inference: the whole stage beside the bare model",
        f"{name}, {threads} thread{'s' * (threads > 1)}, frames of {SIZE[0]}x{SIZE[1]} JPEG. The stage: a frame that "
        "lies in its slot is received, decoded, resized and normalised, goes through the model, and its detections are "
        "published. The bare model: the same backend's run on a tensor that is there. In alternating rounds.",
        tuple(ratios),
        (
            Table(
                "Medians; the last column compares the backends' bare models",
                ("backend", "stage, ms", "bare model, ms", ": onnxruntime"),
                tuple(rows),
            ),
            Table(
                "How far answers to the golden picture are from ONNX Runtime's",
                ("model, backend", "best scores, at most", "verdict"),
                tuple(
                    _agreement(model, name) + (_agreement(FEMTO, "DEIMv2-Femto (trained)") if FEMTO.exists() else [])
                ),
                "RF-DETR nano has random weights here: its scores hug one value, and a rounding reorders its finds.",
            ),
        ),
    )


def _model(folder: Path) -> tuple[Path, str]:
    """Return RF-DETR nano's graph filled with seeded weights, or the stand-in where that cannot be made."""
    if GRAPH.exists() and importlib.util.find_spec("onnx") is not None:
        filled = folder / "rfdetr_nano.onnx"
        subprocess.run([sys.executable, str(GRAPH.parent / "fill_weights.py"), str(GRAPH), str(filled)], check=True)
        return filled, "RF-DETR nano (random weights)"
    print("inference: RF-DETR nano's graph needs ../shared/models and `pip install onnx`; the stand-in runs instead")
    return FEMTO, "DEIMv2-Femto"


def _threads() -> int:
    return min(2, len(os.sched_getaffinity(0)))


def _measure(folder: Path, model: Path, backend: str, rounds: int) -> tuple[float, float, float, float]:
    """Return the seconds of the stage and of the bare model, their ratio, and the ratio of many cameras to one."""
    info = open_backend("onnxruntime", model, None, 1).info
    bare = open_backend(backend, model, info, _threads())
    bare.take(golden_frame())
    with _stage(folder, model, backend, MANY) as looks:
        pair = alternate(_seconds(looks[0]), _seconds(bare.detect), rounds)
        many = []
        for _ in range(max(3, rounds // 3)):
            one = _seconds(lambda: [looks[0]() for _ in range(MANY)])()
            several = _seconds(lambda: [look() for look in looks])()
            many.append(one / several)
        return pair.ours, pair.reference, pair.ratio, median(many)


def _seconds(work: Callable[[], object]) -> Callable[[], float]:
    def run() -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    return run


@contextlib.contextmanager
def _stage(folder: Path, model: Path, backend: str, cameras: int) -> Iterator[list[Callable[[], None]]]:
    """The stage in this process; yields for each camera what shows it a frame and has it looked at."""
    settings = Settings(
        cameras=tuple(Camera(id=f"cam{place}", source="file:none") for place in range(cameras)),
        model=Model.model_validate({"path": model, "backend": backend, "threads": _threads()}),
        state_dir=folder / "state",
    )
    run_folder = RunFolder(f"bench_{secrets.token_hex(4)}")
    run_folder.create()
    jpeg = simplejpeg.encode_jpeg(Scene(SceneOptions(seed=3, width=SIZE[0], height=SIZE[1], hour=15)).render(5.0), 85)
    stop = Stop()
    context = StageContext(settings, run_folder, Pulse(HeartbeatFile(run_folder, "inference"), "inference"), stop)
    try:
        with contextlib.ExitStack() as closing:
            publishers = [
                closing.enter_context(contextlib.closing(publish_frames(run_folder, camera.id, len(jpeg))))
                for camera in settings.cameras
            ]
            watch = Watch(context, Detectors(context))
            closing.callback(watch.close)
            yield [_look(watch, place, publisher, jpeg) for place, publisher in enumerate(publishers)]
    finally:
        run_folder.remove()
        os.close(stop.fileno())
        os.close(stop._write)


def _look(watch: Watch, place: int, publisher: Publisher[FrameWriter], jpeg: bytes) -> Callable[[], None]:
    """A frame is published, which is capture's business and takes microseconds, and looked at."""
    lens = list(watch.lenses)[place]
    info = FrameInfo(1, 0, 0, *SIZE, PixelFormat.JPEG)

    def once() -> None:
        writer = publisher.borrow()
        writer.data[: len(jpeg)] = jpeg
        writer.write(info, len(jpeg))
        publisher.send(writer)
        watch.look(lens)

    return once


def _agreement(model: Path, name: str) -> list[tuple[Any, ...]]:
    reference = open_backend("onnxruntime", model, None, _threads())
    wanted = _answer(reference)
    rows: list[tuple[Any, ...]] = []
    for backend in RUN_MODELS[1:]:  # all but the reference
        try:
            given = _answer(open_backend(backend, model, reference.info, _threads()))
        except AbsentError as error:
            rows.append((f"{name}, {backend}", "", str(error)))
            continue
        furthest = float(np.abs(np.subtract(given.best, wanted.best)).max())
        tolerance = selftest.EXACT if BACKENDS[backend].exact else selftest.ROUNDED
        rows.append((f"{name}, {backend}", furthest, selftest.complaint(wanted, given, tolerance) or "agrees"))
    return rows


def _answer(detector: Detector) -> selftest.Answer:
    detector.take(golden_frame())
    return selftest.answer(*detector.detect())

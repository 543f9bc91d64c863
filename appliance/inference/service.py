"""One process serves all cameras: the most overdue one's newest frame goes through the model into the mailbox."""

from __future__ import annotations

import contextlib
import logging
import select
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cv2

from appliance.inference.detector import ModelError
from appliance.inference.onnxruntime_cpu import OnnxRuntimeCpu
from appliance.inference.picture import Decoder, PictureError
from appliance.inference.rfdetr import Preprocessor, postprocess
from appliance.inference.schedule import Turn, most_overdue
from appliance.ipc.errors import CorruptError
from appliance.ipc.mailbox import publish_detections, subscribe_frames, subscribe_state
from appliance.messages import CameraState, Clock, Detections, Health, SentryState
from appliance.roster import Roster
from appliance.telemetry import Rate, RepeatedFault

if TYPE_CHECKING:
    from appliance.config import Camera, Settings
    from appliance.inference.detector import Detector, ModelInfo
    from appliance.ipc.publisher import Publisher
    from appliance.ipc.slots import DetectionsWriter
    from appliance.ipc.subscriber import Loan, Subscriber
    from appliance.messages import Frame, FrameInfo
    from appliance.stage import StageContext

log = logging.getLogger(__name__)

_ALARMED_FPS = 30.0
"""What a camera without a limit of its own is assumed to give; only the ratio between cameras matters."""


def open_detector(settings: Settings) -> Detector:
    """Load the model. ModelError: it cannot be used, and why."""
    model = settings.model
    if model.path is None:
        raise ValueError("settings without a model are refused when they are loaded")
    return OnnxRuntimeCpu(model.path, None if model.threads == "auto" else model.threads)


def _refuse_strangers(info: ModelInfo, settings: Settings) -> None:
    """A model that knows only one kind of source would be blind at any other, and look well: ModelError."""
    for camera in settings.cameras:
        if not _is_known(info, camera):
            raise ModelError(
                f"{info.name} works with {info.only_for}:// cameras only (it {info.notice}), and camera {camera.id} is "
                f"{_scheme(camera)}://; set model.path to an RF-DETR model (README.md says where to get one)"
            )


def _is_known(info: ModelInfo, camera: Camera) -> bool:
    return not info.only_for or _scheme(camera) == info.only_for


def _scheme(camera: Camera) -> str:
    return camera.source.partition(":")[0].lower()


def run(context: StageContext) -> None:
    """Serve all cameras until told to stop. ModelError: the model cannot be used."""
    detector = open_detector(context.settings)
    info = detector.info
    _refuse_strangers(info, context.settings)
    log.info("model %s, %d pixels, on %s", info.name, info.side, detector.backend)
    if info.notice:
        log.warning("%s %s", info.name, info.notice)
    notice = f"{info.name} {info.notice}" if info.notice else ""
    context.pulse.facts.update(model=info.name, notice=notice, backend=detector.backend, side=str(info.side))
    watch = _Watch(context, detector)
    try:
        watch.warm_up()
        context.pulse.health = Health.RUNNING
        context.pulse.beat(now=True)
        watch.serve()
    finally:
        watch.close()


@dataclass(slots=True)
class _Lens:
    """One camera's ends of its channels."""

    camera: Camera
    frames: Subscriber[Frame]
    states: Subscriber[CameraState]
    detections: Publisher[DetectionsWriter]
    fault: RepeatedFault
    state: CameraState = field(default_factory=CameraState)
    last_s: float = 0.0
    broken: int = 0

    @property
    def period_s(self) -> float:
        """How often this camera wants to be looked at, by its sentry's state."""
        if self.state.state is SentryState.STANDBY:
            return 1 / self.camera.standby_fps
        return 1 / (self.camera.alarmed_fps or _ALARMED_FPS)


class _Watch:
    """The loop: wait for any camera's frame, look, publish."""

    def __init__(self, context: StageContext, detector: Detector) -> None:
        self._context = context
        self._detector = detector
        self._threshold = context.settings.model.threshold
        self._decoder = Decoder(detector.info.side)
        self._preprocessor = Preprocessor(detector.info.side)
        self._rate = Rate()
        self._inferred = 0
        self._took_s = 0.0  # nobody can be looked at more often than the model takes: else the alarmed starve the rest
        self._poller = select.poll()
        self._poller.register(context.stop.fileno(), select.POLLIN)
        self._lenses = Roster(self._open, self._close)
        self._lenses.follow(context.settings.cameras)

    def warm_up(self) -> None:
        """Run once on grey: the first run allocates, and no camera should wait for that."""
        self._preprocessor.tensor.fill(0)
        self._detector.detect(self._preprocessor.tensor)

    def serve(self) -> None:
        while not self._context.stop:
            ready = {fd for fd, _ in self._poller.poll(500)}  # half a second: the heartbeat must go on
            for lens in self._lenses:
                if lens.states.fileno() in ready:
                    self._listen(lens)
            waiting = [lens for lens in self._lenses if lens.frames.fileno() in ready]
            turn = most_overdue(
                (Turn(lens.camera.id, lens.last_s, max(lens.period_s, self._took_s)) for lens in waiting),
                time.monotonic(),
            )
            if turn is not None:
                self._look(next(lens for lens in waiting if lens.camera.id == turn.camera))
            self._follow_settings()
            self._context.pulse.beat()

    def close(self) -> None:
        self._lenses.close()

    def _follow_settings(self) -> None:
        edited = self._context.edited()
        if edited is None:
            self._lenses.retry()
            return
        try:
            _refuse_strangers(self._detector.info, edited)
        except ModelError as error:
            log.error("%s; until then that camera is not looked at", error)  # noqa: TRY400 -- its text says all
        self._lenses.follow([camera for camera in edited.cameras if _is_known(self._detector.info, camera)])

    def _open(self, camera: Camera) -> _Lens:
        folder = self._context.folder
        with contextlib.ExitStack() as undo:
            frames = undo.enter_context(contextlib.closing(subscribe_frames(folder, camera.id, "inference")))
            states = undo.enter_context(contextlib.closing(subscribe_state(folder, camera.id, "inference")))
            detections = publish_detections(folder, camera.id)
            undo.pop_all()
        for end in (frames, states):
            self._poller.register(end.fileno(), select.POLLIN)
        return _Lens(camera, frames, states, detections, RepeatedFault(log, f"camera {camera.id}"))

    def _close(self, lens: _Lens) -> None:
        for end in (lens.frames, lens.states):
            self._poller.unregister(end.fileno())
            end.close()
        lens.detections.close()
        for name in list(self._context.pulse.counters):
            if name.endswith(f".{lens.camera.id}"):
                del self._context.pulse.counters[name]

    def _listen(self, lens: _Lens) -> None:
        try:
            lens.state = lens.states.take() or lens.state
        except CorruptError as error:
            lens.fault.report(error)

    def _look(self, lens: _Lens) -> None:
        try:
            loan = lens.frames.receive()
            if loan is None:
                return
            lens.last_s = time.monotonic()
            began = time.perf_counter_ns()
            frame = self._prepare(loan)
        except (CorruptError, PictureError, cv2.error) as error:  # one camera's picture must not stop the others
            lens.broken += 1
            lens.fault.report(error)
            self._context.pulse.counters[f"frames_broken.{lens.camera.id}"] = lens.broken
            return
        dets, labels = self._detector.detect(self._preprocessor.tensor)
        rows = postprocess(dets, labels, frame.width, frame.height, self._threshold)
        took = time.perf_counter_ns() - began
        self._took_s = took / 1e9
        writer = lens.detections.borrow()
        writer.write(Detections(frame, rows, took))
        lens.detections.send(writer)
        lens.fault.heal()
        self._count(lens, frame, took)

    def _prepare(self, loan: Loan[Frame]) -> FrameInfo:
        """Fill the model's input; the slot goes back before the model runs."""
        try:
            frame = loan.value
            self._preprocessor.fill(self._decoder.decode(frame))
            return frame.info
        finally:
            loan.release()

    def _count(self, lens: _Lens, frame: FrameInfo, took_ns: int) -> None:
        self._inferred += 1
        self._rate.count()
        counters = self._context.pulse.counters
        counters["frames_inferred"] = self._inferred
        counters["inferences_per_second"] = self._rate.per_second
        counters[f"inference_ms.{lens.camera.id}"] = took_ns / 1e6
        counters[f"frames_lost.{lens.camera.id}"] = lens.frames.lost
        if frame.clock is Clock.MONOTONIC:
            counters[f"latency_ms.{lens.camera.id}"] = (time.monotonic_ns() - frame.captured_ns) / 1e6

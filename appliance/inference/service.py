"""One process serves all cameras: the most overdue one's newest frame goes through the model into the mailbox."""

from __future__ import annotations

import contextlib
import json
import logging
import select
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2

from appliance import coco
from appliance.inference.budget import Budget, Look
from appliance.inference.detector import BackendError, ModelError
from appliance.inference.fitness import demand_fit, knows
from appliance.inference.opening import Detectors
from appliance.inference.picture import PictureError
from appliance.inference.rfdetr import postprocess
from appliance.inference.schedule import Turn, most_overdue
from appliance.ipc.errors import CorruptError
from appliance.ipc.mailbox import publish_detections, subscribe_frames, subscribe_state
from appliance.messages import CameraState, Clock, Detections, Health, SentryState
from appliance.roster import Roster
from appliance.telemetry import Rate, RepeatedFault
from appliance.telemetry.tracing import to_utc

if TYPE_CHECKING:
    from appliance.config import Camera
    from appliance.ipc.publisher import Publisher
    from appliance.ipc.slots import DetectionsWriter
    from appliance.ipc.subscriber import Loan, Subscriber
    from appliance.messages import Frame, FrameInfo, TraceContext
    from appliance.stage import StageContext

log = logging.getLogger(__name__)

_ALARMED_FPS = 30.0
"""What a camera without a limit of its own is assumed to give; only the ratio between cameras matters."""


def run(context: StageContext) -> None:
    """Serve all cameras until told to stop. ModelError: the model cannot be used."""
    try:
        detectors = Detectors(context)
    except BackendError:
        if context.stop:  # that broke the trials off
            return
        raise
    info = detectors.current.info
    try:
        demand_fit(info, context.settings)
    except ModelError:
        detectors.stop()
        raise
    if info.notice:
        log.warning("%s %s", info.name, info.notice)
    notice = f"{info.name} {info.notice}" if info.notice else ""
    context.pulse.facts.update(model=info.name, notice=notice, side=str(info.side))
    if info.classes != coco.NAMES:
        context.pulse.facts["classes"] = json.dumps(info.classes)
    # A second thread gains nothing here, and OpenCV's pool goes on spinning just when the model wants the cores.
    cv2.setNumThreads(1)
    watch = Watch(context, detectors)
    try:
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
    state: CameraState
    last_s: float = 0.0
    took_s: float = 0.0
    waiting_since_s: float | None = None
    """When a frame was first seen to be there, while it was not yet this camera's turn."""

    @property
    def period_s(self) -> float:
        """How often this camera wants to be looked at, by its sentry's state."""
        if self.state.state is SentryState.STANDBY:
            return 1 / self.camera.standby_fps
        return 1 / (self.camera.alarmed_fps or _ALARMED_FPS)


class Watch:
    """The loop: wait for any camera's frame, look, publish."""

    def __init__(self, context: StageContext, detectors: Detectors) -> None:
        self._context = context
        self._detectors = detectors
        self._settings = context.settings
        self._rate = Rate()
        self._budget = Budget()
        self._report_at_s = 0.0
        self._took_s = 0.0  # nobody can be looked at more often than the model takes: else the alarmed starve the rest
        self._poller = select.poll()
        self._poller.register(context.stop.fileno(), select.POLLIN)
        self.lenses = Roster(self._open, self._close)
        self.lenses.follow(context.settings.cameras)
        self._tell_of_detectors()

    def serve(self) -> None:
        while not self._context.stop:
            ready = {fd for fd, _ in self._poller.poll(500)}  # half a second: the heartbeat must go on
            now_s = time.monotonic()
            waiting = []
            for lens in self.lenses:
                if lens.states.fileno() in ready:
                    self._listen(lens)
                if lens.frames.fileno() in ready:
                    lens.waiting_since_s = lens.waiting_since_s or now_s
                    waiting.append(lens)
            turn = most_overdue(
                (Turn(lens.camera.id, lens.last_s, max(lens.period_s, self._took_s)) for lens in waiting), now_s
            )
            if turn is not None:
                self.look(next(lens for lens in waiting if lens.camera.id == turn.camera))
            self._follow_settings()
            if self._detectors.follow():
                self._tell_of_detectors()
            self._report(now_s)
            self._context.pulse.beat()

    def close(self) -> None:
        self.lenses.close()
        self._detectors.stop()

    def _follow_settings(self) -> None:
        edited = self._context.edited()
        if edited is None:
            self.lenses.retry()
            return
        self._settings, info = edited, self._detectors.current.info
        try:
            demand_fit(info, edited)
        except ModelError as error:
            log.error("%s", error)  # noqa: TRY400 -- its text says all
        self.lenses.follow([camera for camera in edited.cameras if knows(info, camera)])

    def _open(self, camera: Camera) -> _Lens:
        folder = self._context.folder
        with contextlib.ExitStack() as undo:
            frames = undo.enter_context(contextlib.closing(subscribe_frames(folder, camera.id, "inference")))
            states = undo.enter_context(contextlib.closing(subscribe_state(folder, camera.id, "inference")))
            detections = publish_detections(folder, camera.id)
            undo.pop_all()
        for end in (frames, states):
            self._poller.register(end.fileno(), select.POLLIN)
        fault = RepeatedFault(log, f"camera {camera.id}", camera=camera.id)
        counters, tallies = ("frames_inferred", "frames_broken", "detections"), ("queue_seconds", "inference_seconds")
        self._context.pulse.begin([f"{one}.{camera.id}" for one in counters], [f"{one}.{camera.id}" for one in tallies])
        state = CameraState(threshold=self._settings.threshold_of(camera))  # until the controller says
        return _Lens(camera, frames, states, detections, fault, state)

    def _close(self, lens: _Lens) -> None:
        for end in (lens.frames, lens.states):
            self._poller.unregister(end.fileno())
            end.close()
        lens.detections.close()
        self._budget.forget(lens.camera.id)
        self._context.pulse.forget(lens.camera.id)

    def _listen(self, lens: _Lens) -> None:
        try:
            lens.state = lens.states.take() or lens.state
        except CorruptError as error:
            lens.fault.report(error)
        self._context.tracer.keep(change.trace for change in lens.state.transitions)

    def look(self, lens: _Lens) -> None:
        try:
            loan = lens.frames.receive()
            if loan is None:
                return
            if not lens.state.detecting:
                loan.release()
                return
            before_s, lens.last_s = lens.last_s, time.monotonic()
            began_ns = time.monotonic_ns()
            frame = self._take(loan)
        except (CorruptError, PictureError, cv2.error) as error:  # one camera's picture must not stop the others
            lens.waiting_since_s = None
            lens.fault.report(error)
            self._context.pulse.count(f"frames_broken.{lens.camera.id}")
            return
        taken_ns = time.monotonic_ns()
        try:
            dets, labels = self._detectors.current.detect()
        except BackendError as error:
            self._detectors.replace(error)
            self._tell_of_detectors()
            return
        detected_ns = time.monotonic_ns()
        rows = postprocess(dets, labels, frame.width, frame.height, lens.state.threshold)
        published_ns = time.monotonic_ns()
        took_ns = published_ns - began_ns
        self._took_s = took_ns / 1e9
        span = self._context.tracer.beneath(frame.trace)
        seen = frame if span is frame.trace else frame._replace(trace=span)
        writer = lens.detections.borrow()
        writer.write(Detections(seen, rows, took_ns, published_ns))
        lens.detections.send(writer)
        lens.fault.heal()
        if self._context.tracer.is_on:
            self._trace(frame, span, (began_ns, taken_ns, detected_ns, published_ns), len(rows))
        self._count(lens, frame, took_ns, before_s, len(rows))

    def _take(self, loan: Loan[Frame]) -> FrameInfo:
        """Fill the model's input; the slot goes back before the model runs."""
        try:
            frame = loan.value
            self._detectors.current.take(frame)
            return frame.info
        finally:
            loan.release()

    def _trace(self, frame: FrameInfo, span: TraceContext, moments: tuple[int, int, int, int], found: int) -> None:
        """Note where the time went: `moments` are when each part began, and the end (CLOCK_MONOTONIC, nanoseconds)."""
        tracer, detector, utc = self._context.tracer, self._detectors.current, to_utc(frame)
        began, taken, detected, published = (moment + utc for moment in moments)
        tracer.leaf("wait", frame.trace, frame.published_ns + utc, began, consumer="inference")
        tracer.span(
            "inference",
            span,
            frame.trace.span_id,
            began,
            published,
            frame_number=frame.frame_number,
            model=detector.info.name,
            backend=detector.backend,
            detections=found,
        )
        tracer.leaf("decode", span, began, taken, format=frame.format.name.lower())
        tracer.leaf("detect", span, taken, detected)
        tracer.leaf("postprocess", span, detected, published)

    def _count(self, lens: _Lens, frame: FrameInfo, took_ns: int, before_s: float, found: int) -> None:
        self._rate.count()
        pulse, camera = self._context.pulse, lens.camera
        counters = pulse.counters
        pulse.count(f"frames_inferred.{camera.id}")
        pulse.count(f"detections.{camera.id}", found)
        pulse.tally(f"inference_seconds.{camera.id}", took_ns / 1e9)
        pulse.tally(f"queue_seconds.{camera.id}", max(0.0, lens.last_s - frame.published_ns / 1e9))
        counters["inferences_per_second"] = self._rate.per_second
        counters[f"inference_ms.{camera.id}"] = took_ns / 1e6
        counters[f"frames_lost.{camera.id}"] = lens.frames.lost
        if frame.clock is Clock.MONOTONIC:
            counters[f"latency_ms.{camera.id}"] = (time.monotonic_ns() - frame.captured_ns) / 1e6
            if before_s:
                waited_s = lens.last_s - (lens.waiting_since_s or lens.last_s)
                queued_s = lens.last_s - frame.captured_ns / 1e9
                gap_s, kept_s = lens.last_s - before_s, lens.took_s + waited_s
                look = Look(lens.last_s, gap_s, kept_s, queued_s, 1 / camera.standby_fps, took_ns / 1e9)
                self._budget.note(camera.id, look)
        lens.took_s, lens.waiting_since_s = took_ns / 1e9, None

    def _report(self, now_s: float) -> None:
        """Once a second: the figures that take more than a moment to work out."""
        if now_s < self._report_at_s:
            return
        self._report_at_s = now_s + 1
        self._context.pulse.facts["building"] = self._detectors.building
        shortage = self._budget.shortage()
        if bool(shortage) != bool(self._context.pulse.facts.get("shortage")):
            log.warning("%s", shortage or "the detector has time for all cameras again")
            self._context.pulse.facts["shortage"] = shortage
        for lens in self.lenses:
            self._context.pulse.counters[f"queue_ms.{lens.camera.id}"] = self._budget.queued_ms(lens.camera.id)

    def _tell_of_detectors(self) -> None:
        detector = self._detectors.current
        log.info("model %s, %d pixels, on %s", detector.info.name, detector.info.side, detector.backend)
        self._context.pulse.facts["backend"] = detector.backend
        self._context.pulse.reason = "; ".join(self._detectors.problems)
        self._context.pulse.beat(now=True)

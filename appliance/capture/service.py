"""One camera's process: grab, wait for the frame's time, publish at the sentry's pace; reopen what breaks."""

from __future__ import annotations

import logging
import random
import select
import time
from collections import Counter
from typing import TYPE_CHECKING

from appliance.capture.opening import open_source
from appliance.capture.pacing import Pace
from appliance.capture.source import UNUSABLE, SourceError
from appliance.ipc.channels import FRAMES, SUBSCRIBERS
from appliance.ipc.errors import CorruptError
from appliance.ipc.mailbox import publish_frames, subscribe_state
from appliance.messages import Clock, FrameInfo, Health, Mode, PixelFormat
from appliance.telemetry import Rate, RepeatedFault
from appliance.telemetry.tracing import NO_PARENT, to_utc

if TYPE_CHECKING:
    from appliance.capture.source import Grabbed, Source
    from appliance.config import Camera
    from appliance.ipc.publisher import Publisher
    from appliance.ipc.slots import FrameWriter
    from appliance.stage import StageContext

log = logging.getLogger(__name__)

REOPEN_FIRST_S = 0.5
REOPEN_MOST_S = 30.0
CONNECT_S = 8.0
"""What a live camera gets on top for its first picture: to answer, log in, agree on a stream, adjust to the light."""
LOCKSTEP_PATIENCE_S = 5.0
LOCKSTEP_TRIES = 6
"""A frame that nobody can decode must not hold up a replay for ever."""
_FOREVER_NS = 1 << 62


def run(context: StageContext, camera: Camera) -> None:
    """Serve one camera until told to stop."""
    fault = RepeatedFault(log, f"camera {camera.id}", camera=camera.id)
    capture = _Capture(context, camera, fault)
    delay = REOPEN_FIRST_S
    context.pulse.health = Health.RUNNING
    try:
        while not context.stop:
            capture.say(Health.STARTING)
            began = time.monotonic()
            try:
                capture.play()
            except SourceError as error:
                fault.report(error)
                capture.say(Health.FAILED, str(error))
            else:
                return
            if time.monotonic() - began > REOPEN_MOST_S:
                delay = REOPEN_FIRST_S
            capture.idle_until(time.monotonic_ns() + round(delay * random.uniform(0.8, 1.2) * 1e9))
            delay = min(delay * 2, REOPEN_MOST_S)
    finally:
        capture.close()


class _Capture:
    """The camera's ends of its channels, and what it has counted."""

    def __init__(self, context: StageContext, camera: Camera, fault: RepeatedFault) -> None:
        self._context = context
        self._camera = camera
        self._fault = fault
        self._source: Source | None = None
        self._publisher: Publisher[FrameWriter] | None = None
        self._room = 0
        self._pace = Pace(camera.standby_fps, camera.alarmed_fps)
        self._observed = 0
        self._frame_number = 0
        self._published = 0
        self._unusable: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()
        """Of sources and channels that are closed."""
        self._rate = Rate()
        self._state = subscribe_state(context.folder, camera.id, "capture")
        self._poller = select.poll()
        self._poller.register(self._state.fileno(), select.POLLIN)
        self._poller.register(context.stop.fileno(), select.POLLIN)
        context.pulse.begin([f"unusable.{reason}" for reason in UNUSABLE], ["capture_seconds"])

    def say(self, health: Health, reason: str = "") -> None:
        self._context.pulse.source(self._camera.id, health, reason)

    def play(self) -> None:
        """Open the camera and publish its frames until it ends or a stop comes. SourceError: it broke."""
        self._source = source = open_source(self._camera)
        try:
            source.pace(self._pace.fps)
            if (fd := source.fileno()) is None:
                self._play_recording(source)
            else:
                self._follow(source, fd)
        finally:
            self._gather()
            self._unusable.update(source.counts())
            self._source = None
            source.close()

    def _play_recording(self, source: Source) -> None:
        """Each frame at its time, or when the one before was taken."""
        while not self._context.stop:
            grabbed = source.grab()
            if grabbed is None:
                self._end()
                return
            self._frame_number += 1
            if source.clock is Clock.MONOTONIC:
                self.idle_until(grabbed.captured_ns)
            wanted = self._pace.wants(grabbed.captured_ns) and not self._context.stop
            tries = LOCKSTEP_TRIES if source.clock is Clock.SCENE else 1
            while wanted and tries and self._publish(source, grabbed):
                if source.clock is not Clock.SCENE or self._wait_until_observed():
                    break
                tries -= 1  # whoever had it died, or nobody can decode it
            self._beat()

    def _follow(self, source: Source, fd: int) -> None:
        """Each frame of a live camera when it comes. What is not published is grabbed all the same: nothing in the
        driver or the network grows old, so the first frame after a change of pace is a fresh one.
        """
        self._poller.register(fd, select.POLLIN)
        quiet_since, patience_s = time.monotonic(), self._camera.stall_seconds + CONNECT_S
        try:
            while not self._context.stop:
                self._beat()
                ready = {each for each, _ in self._poller.poll(250)}  # a stall shows within this of its time
                if self._state.fileno() in ready:
                    self._listen()
                if fd in ready and (grabbed := source.grab()) is not None:
                    quiet_since, patience_s = time.monotonic(), self._camera.stall_seconds
                    self._frame_number += 1
                    if self._pace.wants(grabbed.captured_ns):
                        self._publish(source, grabbed)
                elif time.monotonic() - quiet_since > patience_s:
                    unusable = sum(source.counts().values())
                    why = f"; {unusable} came that could not be used" if unusable else ""
                    raise SourceError(f"no picture for {patience_s:g} s{why}")
        finally:
            self._poller.unregister(fd)

    def idle_until(self, moment_ns: int) -> None:
        """Wait, listening: a change of mode counts from the moment it arrives."""
        while not self._context.stop:
            self._beat()
            left_ms = (moment_ns - time.monotonic_ns()) / 1e6
            if self._poller.poll(max(0, min(left_ms, 500))):  # half a second: the heartbeat must go on
                self._listen()
            elif left_ms <= 0:  # asked only now: a source that is always late must hear too
                return

    def close(self) -> None:
        if self._publisher is not None:
            self._publisher.close()
        self._state.close()

    def _listen(self) -> None:
        try:
            state = self._state.take()
        except CorruptError as error:
            log.warning("%s", error)
            return
        if state is None:
            return
        self._observed = state.observed_frame
        self._context.tracer.keep(change.trace for change in state.transitions)
        if state.mode is not self._pace.mode:
            log.info("camera %s: %s pace", self._camera.id, state.mode.label, extra={"camera": self._camera.id})
            self._pace = self._pace.in_mode(state.mode)
            if self._source is not None:
                self._source.pace(self._pace.fps)
        self._context.pulse.facts["mode"] = state.mode.label

    def _publish(self, source: Source, grabbed: Grabbed) -> bool:
        """Return False where the picture has no room."""
        publisher = self._publisher_for(grabbed)
        if publisher is None:
            return False
        writer = publisher.borrow()
        length = source.retrieve(writer.data)
        info = FrameInfo(
            self._frame_number,
            grabbed.captured_ns,
            grabbed.wall_ns,
            grabbed.width,
            grabbed.height,
            grabbed.format,
            source.clock,
            self._context.tracer.begin(),
            time.monotonic_ns(),
        )
        writer.write(info, length)
        publisher.send(writer)
        self._note(info, length)
        self._pace = self._pace.published(grabbed.captured_ns)
        self._published += 1
        self._rate.count()
        self._fault.heal()
        self.say(Health.RUNNING)
        return True

    def _note(self, info: FrameInfo, length: int) -> None:
        """Measure the way of a frame from the camera to the mailbox."""
        began_ns = info.published_ns
        if info.clock is Clock.MONOTONIC:
            began_ns = info.captured_ns
            self._context.pulse.tally("capture_seconds", (info.published_ns - began_ns) / 1e9)
        if self._context.tracer.is_on:
            utc = to_utc(info)
            self._context.tracer.span(
                "capture",
                info.trace,
                NO_PARENT,
                began_ns + utc,
                info.published_ns + utc,
                camera=self._camera.id,
                frame_number=info.frame_number,
                format=info.format.name.lower(),
                width=info.width,
                height=info.height,
                size=length,
            )

    def _publisher_for(self, grabbed: Grabbed) -> Publisher[FrameWriter] | None:
        """Return a channel with room for this frame: a bigger picture gets a new one, an oversized JPEG none."""
        if grabbed.format is PixelFormat.JPEG:
            room = self._camera.max_jpeg_bytes
            if grabbed.size > room:
                self._unusable["oversized"] += 1
                self.say(Health.DEGRADED, f"a JPEG of {grabbed.size:,} bytes is over max_jpeg_bytes ({room:,})")
                return None
        else:
            room = grabbed.size
        if self._publisher is None or room > self._room:
            if self._publisher is not None:
                self._lost.update(self._publisher.lost)
                self._publisher.close()
            self._publisher = publish_frames(self._context.folder, self._camera.id, room)
            self._room = room
            size, name = (grabbed.width, grabbed.height), grabbed.format.name
            log.info("camera %s: %dx%d %s", self._camera.id, *size, name, extra={"camera": self._camera.id})
        return self._publisher

    def _wait_until_observed(self) -> bool:
        """Lockstep: nothing goes on until the sentry has taken this frame into account. False: it took too long."""
        deadline = time.monotonic() + LOCKSTEP_PATIENCE_S
        while not self._context.stop and self._observed != self._frame_number:
            self._beat()
            if time.monotonic() > deadline:
                return False
            if self._poller.poll(500):
                self._listen()
        return True

    def _end(self) -> None:
        """A clip is over: say so, and stay (a process that left would be started again, and with it the clip)."""
        text, extra = "camera %s: the clip has ended after %d frames", {"camera": self._camera.id}
        log.info(text, self._camera.id, self._frame_number, extra=extra)
        self._pace = self._pace.in_mode(Mode.STANDBY)
        self._gather()
        self.say(Health.ENDED, "the clip has ended")
        self.idle_until(_FOREVER_NS)

    def _beat(self) -> None:
        """Called at every frame and every wait; what takes more than a moment to gather is gathered once a second."""
        pulse = self._context.pulse
        pulse.counters["frames_captured"] = self._frame_number
        pulse.counters["frames_published"] = self._published
        if pulse.is_due:
            self._gather()
            pulse.beat()

    def _gather(self) -> None:
        counters = self._context.pulse.counters
        counters["fps"] = self._rate.per_second
        unusable = self._unusable + Counter(self._source.counts() if self._source is not None else ())
        counters.update({f"unusable.{reason}": many for reason, many in unusable.items()})
        lost = self._lost + Counter(self._publisher.lost if self._publisher is not None else ())
        counters.update({f"lost.{consumer}": lost[consumer] for consumer in SUBSCRIBERS[FRAMES]})

"""One camera's live picture: frames meet their detections, and every viewer gets the newest pair, never a queue."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from appliance.gateway.picture import NOTICE_SIZE, jpeg_of, notice
from appliance.gateway.wire import Packet
from appliance.ipc.errors import CorruptError
from appliance.ipc.mailbox import last_state, subscribe_detections, subscribe_frames, subscribe_state
from appliance.messages import FrameInfo, PixelFormat
from appliance.telemetry import RepeatedFault
from appliance.telemetry.tracing import OFF, to_utc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from appliance.config import Camera
    from appliance.ipc.run_folder import RunFolder
    from appliance.messages import CameraState, Detections
    from appliance.telemetry import Tracer

log = logging.getLogger(__name__)

PAIRING_S = 0.25
"""How long a frame waits for its own detections: boxes that lag behind a walking person look wrong."""
DETECTIONS_FADE_NS = 1_000_000_000
"""Boxes older than this are not drawn: they would stand where nobody is any more."""
STATE_STALE_S = 3.0
SWITCHED_OFF = "live view is off"
NOTICE_S = 0.5
"""No more often, however often the state is repeated. It is repeated: browsers show a part of an MJPEG stream when the
next one begins.
"""


class Viewer:
    """Whoever watches. Holds one packet: a newer one takes its place."""

    def __init__(self) -> None:
        self._newest: Packet | None = None
        self._event = asyncio.Event()
        self.missed = 0
        self.ended = False
        """The camera is no longer there, or another one: nothing more will come."""

    def offer(self, packet: Packet) -> None:
        self.missed += self._newest is not None
        self._newest = packet
        self._event.set()

    def end(self) -> None:
        self.ended = True
        self._event.set()

    async def next(self, timeout_s: float) -> Packet | None:
        """Return the newest packet as soon as there is one; None after `timeout_s` without, or at the end."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), timeout_s)
        packet, self._newest = self._newest, None
        self._event.clear()
        return packet


class Live:
    """The gateway's seats at one camera's channels. Belongs to the asyncio loop that `attach` was called in."""

    def __init__(self, folder: RunFolder, camera: Camera, tracer: Tracer = OFF) -> None:
        self.camera = camera
        self._tracer = tracer
        with contextlib.ExitStack() as undo:
            self._frames = undo.enter_context(contextlib.closing(subscribe_frames(folder, camera.id, "gateway")))
            self._detections = undo.enter_context(
                contextlib.closing(subscribe_detections(folder, camera.id, "gateway"))
            )
            self._states = subscribe_state(folder, camera.id, "gateway")
            undo.pop_all()
        self._viewers: set[Viewer] = set()
        self._pending: tuple[FrameInfo, bytes] | None = None
        self._pending_timer: asyncio.TimerHandle | None = None
        self._found: Detections | None = None
        # What the controller said last, to us or to our predecessor: a live view that is off stays off from the start.
        self._state: CameraState | None = last_state(folder, camera.id)
        self._state_heard_s = self._noticed_s = float("-inf")
        self._news = asyncio.Event()
        self._fault = RepeatedFault(log, f"camera {camera.id}", camera=camera.id)
        self.closed = False
        self.detections_heard_s = 0.0
        """When the newest detections arrived (monotonic), 0 before the first."""

    @classmethod
    def attached(cls, folder: RunFolder, camera: Camera, tracer: Tracer = OFF) -> Live:
        live = cls(folder, camera, tracer)
        live.attach()
        return live

    @property
    def state(self) -> CameraState | None:
        """The camera's state; None while the controller, which repeats it every second, is silent."""
        return self._state if time.monotonic() - self._state_heard_s < STATE_STALE_S else None

    @property
    def live_view(self) -> bool:
        """Whether pictures may leave: the owner's last word, also while the controller is silent; True before any."""
        return self._state is None or self._state.live_view

    @property
    def detecting(self) -> bool:
        """Whether there are boxes to wait for: the owner's last word; True before any."""
        return self._state is None or self._state.detecting

    @property
    def viewers(self) -> int:
        return len(self._viewers)

    def attach(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._frames.fileno(), self._guard, self._on_frame)
        loop.add_reader(self._detections.fileno(), self._guard, self._on_detections)
        loop.add_reader(self._states.fileno(), self._guard, self._on_state)

    def close(self) -> None:
        loop = asyncio.get_running_loop()
        if self._pending_timer is not None:
            self._pending_timer.cancel()
        for subscriber in (self._frames, self._detections, self._states):
            loop.remove_reader(subscriber.fileno())
            subscriber.close()
        for viewer in self._viewers:
            viewer.end()
        self.closed = True
        self._spread_news()

    async def news(self) -> None:
        """Wait until the controller says something, or the camera is no longer there."""
        if not self.closed:
            await self._news.wait()

    @contextlib.contextmanager
    def watched(self) -> Iterator[Viewer]:
        """A viewer for as long as the block lasts. Raw pictures are encoded only while there is one.

        While the live view is switched off it gets a notice instead of pictures, and then and again; it need do nothing
        to get pictures afterwards.
        """
        viewer = Viewer()
        self._viewers.add(viewer)
        if not self.live_view:
            viewer.offer(self._notice())
        try:
            yield viewer
        finally:
            self._viewers.discard(viewer)

    def _guard(self, handler: Callable[[], None]) -> None:
        try:
            handler()
        except (CorruptError, ValueError) as error:
            self._fault.report(error)
        else:
            self._fault.heal()

    def _on_frame(self) -> None:
        loan = self._frames.receive()
        if loan is None:
            return
        try:
            if not self._viewers or not self.live_view:
                return
            received_ns = time.monotonic_ns()
            pair = loan.value.info, jpeg_of(loan.value)
        finally:
            loan.release()
        if self._tracer.is_on:
            self._trace(*pair, received_ns)
        self._send_pending()  # its detections did not come in time
        self._pending = pair
        is_found = self._found is not None and self._found.frame.frame_number == pair[0].frame_number
        if is_found or not self.detecting:
            self._send_pending()
        else:
            self._pending_timer = asyncio.get_running_loop().call_later(PAIRING_S, self._send_pending)

    def _on_detections(self) -> None:
        found = self._detections.take()
        if found is None:
            return
        self._found = found if self.detecting else None
        self.detections_heard_s = time.monotonic()
        if self._pending is not None and self._pending[0].frame_number == found.frame.frame_number:
            self._send_pending()

    def _on_state(self) -> None:
        state = self._states.take()
        if state is None:
            return
        self._state = state
        self._state_heard_s = time.monotonic()
        self._tracer.keep(change.trace for change in state.transitions)
        if not state.detecting:
            self._found = None
        if state.live_view:
            self._noticed_s = float("-inf")
        else:
            self._drop_pending()
            self._send_notice()
        self._spread_news()

    def _spread_news(self) -> None:
        self._news.set()
        self._news.clear()  # whoever waits at this moment is awake

    def _send_notice(self) -> None:
        """In the place of a picture that has not been taken yet, too."""
        if self._state_heard_s - self._noticed_s < NOTICE_S:
            return
        self._noticed_s = self._state_heard_s
        packet = self._notice()
        for viewer in self._viewers:
            viewer.offer(packet)

    def _notice(self) -> Packet:
        now_ns = time.monotonic_ns()
        number = 0 if self._state is None else self._state.observed_frame
        frame = FrameInfo(number, now_ns, time.time_ns(), *NOTICE_SIZE, PixelFormat.JPEG)
        return Packet(self.camera.id, frame, notice(SWITCHED_OFF), None, self.state, now_ns, is_notice=True)

    def _trace(self, frame: FrameInfo, jpeg: bytes, received_ns: int) -> None:
        """Note how the picture was made for whoever watches; a camera's own JPEG is passed on as it is."""
        utc = to_utc(frame)
        self._tracer.leaf("wait", frame.trace, frame.published_ns + utc, received_ns + utc, consumer="gateway")
        self._tracer.leaf(
            "encode",
            frame.trace,
            received_ns + utc,
            time.monotonic_ns() + utc,
            camera=self.camera.id,
            frame_number=frame.frame_number,
            encoded=frame.format is not PixelFormat.JPEG,
            size=len(jpeg),
            viewers=len(self._viewers),
        )

    def _drop_pending(self) -> tuple[FrameInfo, bytes] | None:
        if self._pending_timer is not None:
            self._pending_timer.cancel()
            self._pending_timer = None
        pending, self._pending = self._pending, None
        return pending

    def _send_pending(self) -> None:
        pending = self._drop_pending()
        if pending is None:
            return
        frame, jpeg = pending
        found = self._found
        if found is not None and abs(frame.captured_ns - found.frame.captured_ns) > DETECTIONS_FADE_NS:
            found = None
        packet = Packet(self.camera.id, frame, jpeg, found, self.state)
        packet = replace(packet, sent_ns=time.monotonic_ns())
        for viewer in self._viewers:
            viewer.offer(packet)

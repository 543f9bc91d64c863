"""The picture of who came: the frame that made the sentry sure, kept by the broker until somebody else comes."""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import TYPE_CHECKING

from appliance.gateway.picture import reduced
from appliance.messages import SentryState
from appliance.telemetry import RepeatedFault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from appliance.config import Gateway
    from appliance.gateway.live import Live
    from appliance.gateway.wire import Packet
    from appliance.messages import CameraState, Transition

log = logging.getLogger(__name__)

PATIENCE_S = 1.0
NEWS_NS = 10_000_000_000
"""Who came longer ago than this is not shown: the picture would be of somebody else, or of nobody."""
KEPT = 8
"""Pictures of a validation: the deciding one is this far back at most, at 30 fps with a model of a quarter second."""


class LastPerson:
    """One camera's. Watches only from the sentry's first doubt until the picture is made; in between it costs nothing.

    While the live view is switched off there is no picture of who came, and none of them afterwards.
    """

    def __init__(self, live: Live, settings: Gateway, publish: Callable[[bytes], None]) -> None:
        """`publish` gets each picture, no wider than `picture_width` and no longer than `picture_max_bytes`."""
        self._live = live
        self._settings = settings
        self._publish = publish
        self._arrivals = Arrivals()
        what = f"camera {live.camera.id}: picture of the last person"
        self._fault = RepeatedFault(log, what, camera=live.camera.id)

    async def serve(self) -> None:
        """Until the camera is closed."""
        while not self._live.closed:
            await self._live.news()
            if self._is_near():
                await self._watch()

    async def _watch(self) -> None:
        recent: deque[Packet] = deque(maxlen=KEPT)
        with self._live.watched() as viewer:
            while self._is_near() and not viewer.ended:
                packet = await viewer.next(PATIENCE_S)
                if packet is None:
                    continue
                recent.append(packet)
                if self._is_near() and (due := self._arrivals.due) is not None:
                    self._show(due, recent)

    def _is_near(self) -> bool:
        """Whether a picture is due, or may be any moment."""
        state = self._live.state
        if state is None:
            return False
        self._arrivals.hear(state, time.time_ns())
        return self._live.live_view and (self._arrivals.due is not None or state.state is SentryState.VALIDATION)

    def _show(self, due: Transition, recent: Iterable[Packet]) -> None:
        packet = picture_of(due, recent)
        if packet is None:
            return
        self._arrivals.done()
        try:
            picture = reduced(packet.jpeg, self._settings.picture_width, self._settings.picture_max_bytes)
        except Exception as error:  # noqa: BLE001 -- this picture only: the task must outlive it
            self._fault.report(error)
            return
        self._fault.heal()
        self._publish(picture)


class Arrivals:
    """Which arrival is still to be shown. What was there before us is not: it was shown, or nobody looked."""

    def __init__(self) -> None:
        self.due: Transition | None = None
        self._newest: Transition | None = None
        self._heard = False

    def hear(self, state: CameraState, wall_ns: int) -> None:
        came = [change for change in state.transitions if change.state is SentryState.TRACKING]
        newest = came[-1] if came else self._newest
        if newest != self._newest and self._heard:
            self.due = newest
        self._newest, self._heard = newest, True
        if self.due is not None and (not state.live_view or wall_ns - self.due.wall_ns > NEWS_NS):
            self.due = None

    def done(self) -> None:
        self.due = None


def picture_of(arrival: Transition, recent: Iterable[Packet]) -> Packet | None:
    """Return the packet of the frame that decided; else the first one after it in which anything was found.

    A notice is neither.
    """
    for packet in recent:
        if (packet.frame.frame_number, packet.frame.captured_ns) == (arrival.frame_number, arrival.captured_ns):
            return packet
    for packet in recent:
        if packet.frame.captured_ns > arrival.captured_ns and packet.detections is not None and packet.detections.rows:
            return packet
    return None

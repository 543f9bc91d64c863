"""One camera as the controller knows it: the sentry's answers, and whether they can be believed.

Values in, values out: the service feeds it detections, heartbeats and the time, and publishes what comes back.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from appliance.controller.sentry import Look, Sentry, SentrySettings
from appliance.messages import CameraState, SentryState, Transition

if TYPE_CHECKING:
    from appliance.messages import Detections, FrameInfo

KEPT_TRANSITIONS = 16
STALE_S = 3.0
STALE_PERIODS = 3


@dataclass(frozen=True, slots=True)
class Eye:
    """`blind_because` is why the last known state must not be believed; empty while it may."""

    sentry: Sentry = field(default_factory=Sentry)
    blind_because: str = "nothing was seen yet"
    person_count: int = 0
    confidence: float = 0.0
    observed_frame: int = 0
    heard_s: float = 0.0
    """When the newest detections arrived (seconds of this process's monotonic clock)."""
    sighted_wall_ns: int = 0
    transitions: tuple[Transition, ...] = ()

    @property
    def known(self) -> bool:
        return not self.blind_because

    @property
    def state(self) -> CameraState:
        """Return what the state channel says."""
        return CameraState(
            state=self.sentry.state,
            mode=self.sentry.mode,
            known=self.known,
            person_count=self.person_count,
            observed_frame=self.observed_frame,
            last_sighting_ns=self.sentry.last_sighting_ns,
            misses=self.sentry.misses,
            transitions=self.transitions,
        )

    def see(
        self,
        detections: Detections,
        settings: SentrySettings,
        threshold: float,
        class_ids: frozenset[int],
        now_s: float,
    ) -> Eye:
        """Return the eye after one more frame, which came through the whole chain: it is not blind any more.

        What counts as a sighting is a row of one of the `class_ids` with a score of `threshold` or more.
        """
        frame, rows = detections.frame, detections.rows
        counts = np.isin(rows.class_ids, list(class_ids)) & (rows.scores >= threshold)
        scores = rows.scores[counts]
        count = len(scores)
        sentry = self.sentry.observe(Look(frame.captured_ns, count > 0), settings)
        # A miss decides nothing about how sure the last sighting was.
        confidence = float(scores.max()) if count else self.confidence
        return replace(
            self,
            sentry=sentry,
            blind_because="",
            person_count=count,
            confidence=confidence,
            observed_frame=frame.frame_number,
            heard_s=now_s,
            sighted_wall_ns=frame.wall_ns if count else self.sighted_wall_ns,
            transitions=self._noted(sentry, frame, confidence),
        )

    def check(self, now_s: float, standby_fps: float, broken_link: str) -> Eye:
        """Return the eye after a look at the clock and the stages: `broken_link` says which one is down, or is empty.

        Blind ends only with a frame (`see`): a chain that looks whole has still to prove it.
        """
        limit = max(STALE_S, STALE_PERIODS / standby_fps)
        reason = broken_link
        if not reason and self.heard_s and now_s - self.heard_s > limit:
            reason = f"no detections for {limit:.0f} s"
        if not reason or self.blind_because == reason:
            return self
        return replace(self, blind_because=reason)

    def end(self, wall_ns: int) -> Eye:
        """Return the eye after its clip has ended: whoever was there has left."""
        frame_ns = self.sentry.at_ns
        sentry = self.sentry.ended()
        transitions = self.transitions
        if self.sentry.state is not sentry.state:
            change = Transition(
                self.sentry.state, sentry.state, self.observed_frame, frame_ns, wall_ns, self.confidence
            )
            transitions = (*transitions, change)[-KEPT_TRANSITIONS:]
        return replace(self, sentry=sentry, person_count=0, transitions=transitions)

    def _noted(self, sentry: Sentry, frame: FrameInfo, confidence: float) -> tuple[Transition, ...]:
        if sentry.state is self.sentry.state:
            return self.transitions
        change = Transition(
            self.sentry.state, sentry.state, frame.frame_number, frame.captured_ns, frame.wall_ns, confidence
        )
        return (*self.transitions, change)[-KEPT_TRANSITIONS:]


def resumed(state: CameraState | None) -> Eye:
    """Return the eye of a controller that starts anew: as its predecessor left it, blind until the first frame.

    Only tracking is worth keeping; a validation starts again.
    """
    if state is None:
        return Eye()
    tracking = state.state is SentryState.TRACKING
    sentry = Sentry(
        SentryState.TRACKING if tracking else SentryState.STANDBY,
        at_ns=state.last_sighting_ns,
        last_sighting_ns=state.last_sighting_ns,
        misses=state.misses if tracking else 0,
    )
    return Eye(sentry=sentry, blind_because="the controller was restarted", transitions=state.transitions)

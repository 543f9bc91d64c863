"""One camera as the controller knows it: the sentries' answers, and whether they can be believed.

Values in, values out: the service feeds it detections, heartbeats and the time, and publishes what comes back.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from appliance.controller.sentry import Look, Sentry, SentrySettings
from appliance.messages import NO_TRACE, CameraState, SentryState, TraceContext, Transition

if TYPE_CHECKING:
    from appliance.controller.sightings import Seen, Sieve
    from appliance.messages import Detections, FrameInfo

KEPT_TRANSITIONS = 16
KEPT_SIGHTINGS = 30
"""As many as `confirm_observations` can ask for."""
STALE_S = 3.0
STALE_PERIODS = 3


class Observation(NamedTuple):
    """A frame in which somebody was seen, and the best of those who were."""

    frame_number: int
    captured_ns: int
    wall_ns: int
    seen: Seen


@dataclass(frozen=True, slots=True)
class Eye:
    """`blind_because` is why the last known state must not be believed; empty while it may."""

    sentry: Sentry = field(default_factory=Sentry)
    zones: tuple[Sentry, ...] = ()
    """One for each zone, in the order of the settings."""
    blind_because: str = "nothing was seen yet"
    person_count: int = 0
    zone_counts: tuple[int, ...] = ()
    confidence: float = 0.0
    observed_frame: int = 0
    heard_s: float = 0.0
    """When the newest detections arrived (seconds of this process's monotonic clock)."""
    sighted_wall_ns: int = 0
    transitions: tuple[Transition, ...] = ()
    sightings: tuple[Observation, ...] = ()
    """Those that may still decide something: of the confirming window, and the last one."""
    decided: tuple[Observation, ...] = ()
    """Those behind the newest transition into or out of tracking."""
    trace: TraceContext = NO_TRACE
    """Of the newest look."""

    @property
    def known(self) -> bool:
        return not self.blind_because

    @property
    def entered(self) -> Transition | None:
        """The newest entering, also after it is over; None: it is not remembered."""
        return next((one for one in reversed(self.transitions) if one.state is SentryState.TRACKING), None)

    @property
    def state(self) -> CameraState:
        """Return what the state channel says. The owner's choices are not this one's to say."""
        return CameraState(
            state=self.sentry.state,
            mode=self.sentry.mode,
            known=self.known,
            person_count=self.person_count,
            observed_frame=self.observed_frame,
            last_sighting_ns=self.sentry.last_sighting_ns,
            misses=self.sentry.misses,
            transitions=self.transitions,
            zones=sum(1 << place for place, zone in enumerate(self.zones) if zone.state is SentryState.TRACKING),
        )

    def see(self, detections: Detections, sieve: Sieve, settings: SentrySettings, now_s: float) -> Eye:
        """Return the eye after one more frame, which came through the whole chain: it is not blind any more."""
        frame = detections.frame
        found = sieve.sift(detections.rows, frame.width, frame.height)
        best = found.camera.best
        sightings = self.sightings
        if best is not None:
            seen = Observation(frame.frame_number, frame.captured_ns, frame.wall_ns, best)
            sightings = (*sightings, seen)[-KEPT_SIGHTINGS:]
        sentry = self.sentry.observe(Look(frame.captured_ns, found.camera.count > 0), settings)
        tallies = tuple(found.zones.values())
        before = self.zones if len(self.zones) == len(tallies) else tuple(Sentry() for _ in tallies)
        zones = tuple(
            zone.observe(Look(frame.captured_ns, tally.count > 0), settings)
            for zone, tally in zip(before, tallies, strict=True)
        )
        # A miss decides nothing about how sure the last sighting was.
        confidence = best.score if best is not None else self.confidence
        after = replace(
            self,
            sentry=sentry,
            zones=zones,
            blind_because="",
            person_count=found.camera.count,
            zone_counts=tuple(tally.count for tally in tallies),
            confidence=confidence,
            observed_frame=frame.frame_number,
            heard_s=now_s,
            sighted_wall_ns=frame.wall_ns if best is not None else self.sighted_wall_ns,
            transitions=self._noted(sentry, frame, confidence),
            sightings=sightings,
            trace=frame.trace,
        )
        return _judged(after, self.sentry.state, settings)

    def check(self, now_s: float, fps: float | None, broken_link: str) -> Eye:
        """Return the eye after a look at the clock and the stages: `broken_link` says which one is down, or is empty.

        `fps` is the pace at which the camera is looked at now; None: as fast as it gives.

        Blind ends only with a frame (`see`): a chain that looks whole has still to prove it.
        """
        limit = max(STALE_S, STALE_PERIODS / fps) if fps else STALE_S
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
                self.sentry.state, sentry.state, self.observed_frame, frame_ns, wall_ns, self.confidence, self.trace
            )
            transitions = (*transitions, change)[-KEPT_TRANSITIONS:]
        nobody = tuple(zone.ended() for zone in self.zones)
        return replace(
            self,
            sentry=sentry,
            zones=nobody,
            person_count=0,
            zone_counts=(0,) * len(nobody),
            transitions=transitions,
            decided=self.sightings[-1:],
        )

    def _noted(self, sentry: Sentry, frame: FrameInfo, confidence: float) -> tuple[Transition, ...]:
        if sentry.state is self.sentry.state:
            return self.transitions
        times = (frame.captured_ns, frame.wall_ns)
        change = Transition(self.sentry.state, sentry.state, frame.frame_number, *times, confidence, frame.trace)
        return (*self.transitions, change)[-KEPT_TRANSITIONS:]


def _judged(eye: Eye, before: SentryState, settings: SentrySettings) -> Eye:
    """Return the eye with the sightings that may still count, and those that decided."""
    window_opens = eye.sentry.at_ns - round(settings.confirm_seconds * 1e9)
    recent = tuple(one for one in eye.sightings if one.captured_ns >= window_opens)
    if SentryState.TRACKING in (before, eye.sentry.state) and eye.sentry.state is not before:
        decided = recent if eye.sentry.state is SentryState.TRACKING else eye.sightings[-1:]
        return replace(eye, sightings=eye.sightings[-1:], decided=decided)
    return replace(eye, sightings=recent or eye.sightings[-1:])


def resumed(state: CameraState | None, zones: int = 0) -> Eye:
    """Return the eye of a controller that starts anew: as its predecessor left it, blind until the first frame.

    Only tracking is worth keeping; a validation starts again. `zones` is how many the camera has.
    """
    if state is None:
        return Eye(zones=(Sentry(),) * zones, zone_counts=(0,) * zones)
    return Eye(
        sentry=_resumed(state, state.state is SentryState.TRACKING),
        zones=tuple(_resumed(state, bool(state.zones >> place & 1)) for place in range(zones)),
        zone_counts=(0,) * zones,
        blind_because="the controller was restarted",
        transitions=state.transitions,
    )


def _resumed(state: CameraState, tracking: bool) -> Sentry:
    return Sentry(
        SentryState.TRACKING if tracking else SentryState.STANDBY,
        at_ns=state.last_sighting_ns,
        last_sighting_ns=state.last_sighting_ns,
        misses=state.misses if tracking else 0,
    )

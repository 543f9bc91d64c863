"""The sentry: is somebody there? Values in, values out; time arrives with each look at the scene.

Standby -> Validation at the first sighting; Validation -> Tracking with `confirm_observations` sightings within
`confirm_seconds`, -> Standby when that window holds none any more; Tracking -> Standby after `clear_seconds` and
`clear_observations` looks in a row without a sighting. One missed look resets nothing. Occupancy is ON exactly in
Tracking. Counting seconds and looks both makes the sentry behave alike at 3 and at 30 frames per second.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from appliance.messages import Mode, SentryState

_ANOTHER_CLOCK_NS = 1_000_000_000
"""Frames may come a little out of order; further back than this, time itself has started anew."""


class SentrySettings(Protocol):
    """What the sentry takes from config.yaml."""

    @property
    def confirm_observations(self) -> int: ...
    @property
    def confirm_seconds(self) -> float: ...
    @property
    def clear_seconds(self) -> float: ...
    @property
    def clear_observations(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Look:
    """One frame's answer: was somebody in it? `at_ns` is the frame's captured_ns."""

    at_ns: int
    sighting: bool


@dataclass(frozen=True, slots=True)
class Sentry:
    """One camera's sentry at one moment."""

    state: SentryState = SentryState.STANDBY
    at_ns: int = 0
    """Of the newest look; small steps backwards do not count."""
    sightings: tuple[int, ...] = ()
    """Those within the window, while validating."""
    last_sighting_ns: int = 0
    misses: int = 0
    """Looks without a sighting since the last one, while tracking."""

    @property
    def mode(self) -> Mode:
        """How fast the camera should look: standby has time, anything else has not."""
        return Mode.STANDBY if self.state is SentryState.STANDBY else Mode.ALARMED

    def observe(self, look: Look, settings: SentrySettings) -> Sentry:
        """Return the sentry as it stands after one more look at the scene."""
        if look.at_ns < self.at_ns - _ANOTHER_CLOCK_NS:
            return self._on_another_clock(look.at_ns).observe(look, settings)
        now = max(look.at_ns, self.at_ns)
        if self.state is SentryState.TRACKING:
            return self._track(now, look, settings)
        return self._validate(now, look, settings)

    def _on_another_clock(self, now: int) -> Sentry:
        """A replay that began again: keep who is there, and how long ago they were seen."""
        unseen = self.at_ns - self.last_sighting_ns
        return replace(self, at_ns=now, sightings=(), last_sighting_ns=max(0, now - unseen))

    def ended(self) -> Sentry:
        """Return the sentry of a scene that is over (a file's end): nobody is there any more."""
        return Sentry(at_ns=self.at_ns)

    def _validate(self, now: int, look: Look, settings: SentrySettings) -> Sentry:
        window_opens = now - round(settings.confirm_seconds * 1e9)
        sightings = tuple(at for at in self.sightings if at >= window_opens)
        if look.sighting:
            sightings = (*sightings, now)
        if len(sightings) >= settings.confirm_observations:
            return Sentry(SentryState.TRACKING, now, last_sighting_ns=now)
        state = SentryState.VALIDATION if sightings else SentryState.STANDBY
        last = now if look.sighting else self.last_sighting_ns
        return Sentry(state, now, sightings, last_sighting_ns=last)

    def _track(self, now: int, look: Look, settings: SentrySettings) -> Sentry:
        if look.sighting:
            return replace(self, at_ns=now, last_sighting_ns=now, misses=0)
        misses = self.misses + 1
        clear_ns = round(settings.clear_seconds * 1e9)
        if misses >= settings.clear_observations and now - self.last_sighting_ns >= clear_ns:
            return Sentry(at_ns=now, last_sighting_ns=self.last_sighting_ns)
        return replace(self, at_ns=now, misses=misses)

"""Which of a camera's frames to publish. Values in, values out; time is the frames' own."""

from __future__ import annotations

from dataclasses import dataclass, replace

from appliance.messages import Mode


@dataclass(frozen=True, slots=True)
class Pace:
    """Publishes at most `fps` of the current mode; None is every frame the camera gives."""

    standby_fps: float
    alarmed_fps: float | None
    mode: Mode = Mode.STANDBY
    due_ns: int = 0
    """A frame captured from here on is published."""

    @property
    def fps(self) -> float | None:
        return self.standby_fps if self.mode is Mode.STANDBY else self.alarmed_fps

    def in_mode(self, mode: Mode) -> Pace:
        """Return the pace in `mode`. Faster starts at once: the very next frame is due."""
        if mode is self.mode:
            return self
        return replace(self, mode=mode, due_ns=0 if mode is Mode.ALARMED else self.due_ns)

    def wants(self, captured_ns: int) -> bool:
        """Say whether a frame is due. A camera whose clock jumped back is not blind until it has caught up."""
        if self.fps is None:
            return True
        return not self.due_ns - round(1e9 / self.fps) <= captured_ns < self.due_ns

    def published(self, captured_ns: int) -> Pace:
        """Return the pace after a frame went out. The grid is kept, so that rounding to frames does not slow it down:
        3 fps of a 10 fps camera are 3 frames a second, not 2.5. Time that was missed is not caught up with.
        """
        if self.fps is None:
            return replace(self, due_ns=captured_ns)
        period = round(1e9 / self.fps)
        due = self.due_ns + period
        late = captured_ns - due
        return replace(self, due_ns=due if -period <= late <= 0 else captured_ns + period)

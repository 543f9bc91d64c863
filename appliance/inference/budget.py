"""Can one detector look after all these cameras? Looks in, words out; time arrives with each look."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from statistics import median

WINDOW_S = 30.0
LATE_PERIODS = 2.0
"""A camera that is looked at less often than every second standby period is starved (DESIGN, section 4)."""
LATE_SHARE = 0.1
"""One look in ten: a single hiccup of the machine is no shortage."""
LEAST_LATE = 3


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a camera: when (seconds), and how long after the look before.

    `kept_s` is how much of that the detector kept the camera waiting: with its own last picture, and with others' while
    a frame of it was there. `queued_s` is how old the frame was when its turn came, `period_s` the camera's standby
    period, `took_s` what the look took.
    """

    at_s: float
    gap_s: float
    kept_s: float
    queued_s: float
    period_s: float
    took_s: float

    @property
    def late(self) -> bool:
        """A camera that gives no frames is not starved: most of the gap must have been the detector's."""
        return self.gap_s > LATE_PERIODS * self.period_s and self.kept_s > self.gap_s / 2


@dataclass(slots=True)
class Budget:
    """The last looks at every camera."""

    _looks: dict[str, deque[Look]] = field(default_factory=dict)

    def note(self, camera: str, look: Look) -> None:
        looks = self._looks.setdefault(camera, deque())
        looks.append(look)
        while looks[0].at_s < look.at_s - WINDOW_S:
            looks.popleft()

    def forget(self, camera: str) -> None:
        self._looks.pop(camera, None)

    def queued_ms(self, camera: str) -> float:
        """Return how old this camera's frames were when their turn came: the median of the last looks."""
        looks = self._looks.get(camera)
        return median(look.queued_s for look in looks) * 1e3 if looks else 0.0

    def shortage(self) -> str:
        """Return in words why the budget is too small; empty while it is not."""
        late = {camera: looks for camera, looks in self._looks.items() if _is_starved(looks)}
        if not late:
            return ""
        worst = max(late, key=lambda camera: max(look.gap_s for look in late[camera]))
        gap_s = max(look.gap_s for look in late[worst])
        took_s = max(looks[-1].took_s for looks in self._looks.values())
        return (
            f"the detector is too slow for {len(self._looks)} cameras: it takes {took_s * 1e3:.0f} ms for a picture, "
            f"and {worst} waited {gap_s:.1f} s instead of {late[worst][-1].period_s:.1f} s for a look; a smaller "
            "model, fewer cameras, or a lower standby_fps would do"
        )


def _is_starved(looks: deque[Look]) -> bool:
    late = sum(look.late for look in looks)
    return late >= LEAST_LATE and late > LATE_SHARE * len(looks)

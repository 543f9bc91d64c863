"""How often something happens."""

from __future__ import annotations

import time
from collections import deque


class Rate:
    """Events per second over the last few seconds, measured."""

    def __init__(self, window_s: float = 5.0) -> None:
        self._window_s = window_s
        self._times: deque[float] = deque()

    def count(self) -> None:
        self._times.append(time.monotonic())
        self._forget()

    @property
    def per_second(self) -> float:
        """Intervals over the time they took; 0 with fewer than two events in the window."""
        self._forget()
        if len(self._times) < 2:
            return 0.0
        return (len(self._times) - 1) / max(self._times[-1] - self._times[0], 1e-6)

    def _forget(self) -> None:
        while self._times and self._times[0] < time.monotonic() - self._window_s:
            self._times.popleft()

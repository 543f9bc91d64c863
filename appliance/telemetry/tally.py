"""A histogram while it is being counted."""

from __future__ import annotations

from bisect import bisect_left

from appliance.messages import Histogram

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""From a memory copy to an alarm that waited for its broker; the bounds of Prometheus' own clients, and one below."""


class Tally:
    """Counts values into buckets; a value on a bound is in the bucket below it."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: tuple[float, ...] = SECONDS) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    @property
    def histogram(self) -> Histogram:
        """Return it as it stands."""
        return Histogram(self._bounds, tuple(self._counts), self._sum)

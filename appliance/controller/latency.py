"""How long alarms took, from the frame that decided to the broker that had the event."""

from __future__ import annotations

import json
import math
from collections import deque

KEPT = 200
"""The newest; a year's alarms of a quiet camera, an evening's of a busy one."""


class Latencies:
    """Milliseconds, measured."""

    def __init__(self) -> None:
        self._newest: deque[float] = deque(maxlen=KEPT)

    def add(self, milliseconds: float) -> None:
        self._newest.append(milliseconds)

    @property
    def figures(self) -> dict[str, float | None]:
        """Return p50, p95 (nearest rank) and last in milliseconds; None where there was no alarm yet."""
        if not self._newest:
            return {"p50": None, "p95": None, "last": None}
        ordered = sorted(self._newest)

        def rank(share: float) -> float:
            return round(ordered[math.ceil(share * len(ordered)) - 1], 1)

        return {"p50": rank(0.5), "p95": rank(0.95), "last": round(self._newest[-1], 1)}

    @property
    def text(self) -> str:
        """The figures as JSON."""
        return json.dumps(self.figures)

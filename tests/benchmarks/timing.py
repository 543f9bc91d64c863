"""Times two things alternately, so that a noisy neighbour disturbs both alike."""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Pair:
    """Medians over all rounds, in seconds for one operation; `ratio` is the median of the rounds' own ratios."""

    ours: float
    reference: float
    ratio: float


def seconds_each(work: Callable[[], object], times: int) -> Callable[[], float]:
    """Return what runs `work` so many times and says how long one took."""

    def run() -> float:
        began = time.perf_counter()
        for _ in range(times):
            work()
        return (time.perf_counter() - began) / times

    return run


def alternate(ours: Callable[[], float], reference: Callable[[], float], rounds: int) -> Pair:
    """Run both in turn; each returns the seconds that one of its operations took."""
    ours(), reference()
    gc.collect()
    gc.disable()
    try:
        pairs = [(ours(), reference()) for _ in range(rounds)]
    finally:
        gc.enable()
    return Pair(
        median(one for one, _ in pairs),
        median(other for _, other in pairs),
        median(one / other for one, other in pairs),
    )


def percentiles(samples: list[float], *which: float) -> list[float]:
    """Return the values below which these shares (0..100) of the samples lie."""
    ordered = sorted(samples)
    return [ordered[min(len(ordered) - 1, round(share / 100 * (len(ordered) - 1)))] for share in which]

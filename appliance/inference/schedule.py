"""Whose turn is it? One detector, many cameras. Values in, values out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Turn:
    """A camera with a frame waiting: when it was last looked at, and how often it wants to be (seconds)."""

    camera: str
    last_s: float
    period_s: float


def most_overdue(waiting: Iterable[Turn], now_s: float) -> Turn | None:
    """Return the camera that has waited longest relative to its own period; None where nobody waits."""
    return max(waiting, key=lambda turn: (now_s - turn.last_s) / turn.period_s, default=None)

"""Waiting on a wall clock that may be set: a delay is never skipped by that, and never lengthened for ever.

Only the wall clock goes on while the appliance is off, so a wait that must survive a restart has to be kept in it. All
times are wall nanoseconds since 1970.
"""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_LOOK_NS = 2_000_000_000
"""Who waits looks at the clock several times a second. Whatever lies further between two looks than this, the clock was
set forward in between, or the machine stood still: neither counts as time that anybody had.
"""


def set_by_ns(before_ns: int, now_ns: int) -> int:
    """Return by how much the clock was set between two looks at it: below 0 backwards, 0 where it only ran."""
    passed = now_ns - before_ns
    return passed - min(max(passed, 0), LONGEST_LOOK_NS)


@dataclass(frozen=True, slots=True)
class Countdown:
    """A wait from `began_ns` to `ends_ns`."""

    began_ns: int
    ends_ns: int

    @classmethod
    def of(cls, now_ns: int, seconds: float) -> Countdown | None:
        """Return a wait that begins now; None where there is nothing to wait for."""
        length = round(seconds * 1e9)
        return cls(now_ns, now_ns + length) if length > 0 else None

    def over(self, now_ns: int) -> bool:
        return now_ns >= self.ends_ns

    def left_s(self, now_ns: int) -> float:
        """Return the seconds that are left, 0 when it is over."""
        return max(0, self.ends_ns - now_ns) / 1e9

    def shifted(self, by_ns: int) -> Countdown:
        """Return the same wait after the clock was set by so much: what is left stays what it was."""
        return Countdown(self.began_ns + by_ns, self.ends_ns + by_ns)

    def woken(self, now_ns: int) -> Countdown:
        """Return the wait after a restart. Time that passed meanwhile has passed; a clock that is behind the beginning
        was set back, or is a board's that has no battery: then the wait begins again.
        """
        return self.shifted(min(0, now_ns - self.began_ns))

    def again(self, now_ns: int) -> Countdown:
        """Return a wait of the same length that begins now."""
        return self.shifted(now_ns - self.began_ns)

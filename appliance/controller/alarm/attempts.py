"""Wrong codes: counted, and slowed down. Values in, values out.

Two are anybody's slip. The third in a row costs half a minute, each further one twice as long as the one before, up to
a quarter of an hour; a right code forgives all. Meanwhile no code is looked at, not even the right one: who tries all
10,000 of four digits needs more than a hundred days.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from appliance.controller.alarm.countdown import Countdown

FREE = 2
FIRST_WAIT_S = 30
LONGEST_WAIT_S = 900
_DOUBLINGS = 5
"""By then it is the longest wait; keeps a long count from becoming a huge number."""


@dataclass(frozen=True, slots=True)
class Attempts:
    """The wrong codes since the last right one, and the wait that they brought."""

    wrong: int = 0
    wait: Countdown | None = None

    def wait_s(self, now_ns: int) -> float:
        """Return for how long no code is looked at; 0 when one may be tried."""
        return self.wait.left_s(now_ns) if self.wait else 0.0

    def failed(self, now_ns: int) -> Attempts:
        """Return the attempts after one more wrong code."""
        wrong = self.wrong + 1
        if wrong <= FREE:
            return Attempts(wrong)
        wait_s = FIRST_WAIT_S * 2 ** min(wrong - FREE - 1, _DOUBLINGS)
        return Attempts(wrong, Countdown.of(now_ns, min(wait_s, LONGEST_WAIT_S)))

    def shifted(self, by_ns: int) -> Attempts:
        """Return the attempts after the clock was set by so much."""
        return replace(self, wait=self.wait.shifted(by_ns)) if self.wait else self

    def woken(self, now_ns: int) -> Attempts:
        """Return the attempts after a restart: the wait has gone on."""
        return replace(self, wait=self.wait.woken(now_ns)) if self.wait else self

"""What need not be decoded. Values in, values out; times are monotonic, in nanoseconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_LONGEST_GAP_NS = 500_000_000
"""However slow the pace: a source that gives nothing for seconds would be taken for one that has stalled."""
_WINDOW_NS = 1_000_000_000
_IDLE_SHARE = 0.05


def discard(codec: str, fps: float | None, since_picture_ns: int) -> Literal["DEFAULT", "NONREF"]:
    """Say what the decoder may leave out of the next packet (FFmpeg's AVDiscard): nothing, or a picture that no other
    refers to. Where only `fps` pictures a second are wanted, such a one is decoded if half that time has passed.

    Leaving out more is not sound: after a picture that others refer to was skipped, all are spoilt until the next key
    frame, seconds from now, and an alarm would begin with them. H.265 does not mark pictures that none refers to, only
    those that none of their own sub-layer does.
    """
    if codec != "h264" or fps is None or since_picture_ns >= min(0.5e9 / fps, _LONGEST_GAP_NS):
        return "DEFAULT"
    return "NONREF"


@dataclass(slots=True)
class Backlog:
    """Notices a reader that cannot keep up with its camera. Its packets then wait in the socket's buffer, megabytes of
    them, and what it calls new is many seconds old: better to drop them up to a key frame, and go on from there.
    """

    _since_ns: int
    _waited_ns: int = 0
    _behind: bool = False
    _skipping: bool = False

    def skips(self, asked_ns: int, got_ns: int, *, is_key: bool) -> bool:
        """Whether to drop the packet that was asked for and got at these times. A reader that keeps up waits for its
        packets; one that has waited for less than a twentieth of the last second is behind.
        """
        self._waited_ns += got_ns - asked_ns
        passed_ns = got_ns - self._since_ns
        if passed_ns >= _WINDOW_NS:
            self._behind = self._waited_ns < passed_ns * _IDLE_SHARE
            self._since_ns, self._waited_ns = got_ns, 0
        self._skipping = self._behind or (self._skipping and not is_key)
        return self._skipping

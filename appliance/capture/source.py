"""What a camera is to capture: something to grab frames from and to retrieve their pictures (OpenCV's words)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from appliance.messages import Clock, PixelFormat


MOST_PIXELS = 1 << 26
"""67 million, twice an 8K picture: whoever decodes needs room for what a header claims, before it proves false."""


class SourceError(Exception):
    """A camera cannot be opened or read; the text is for its owner to read."""


@dataclass(frozen=True, slots=True)
class Grabbed:
    """One frame that is there to be retrieved. `captured_ns` may lie ahead: a file's frame waits for its time."""

    captured_ns: int
    wall_ns: int
    width: int
    height: int
    format: PixelFormat
    size: int
    """Bytes that `retrieve` will write at most."""


UNUSABLE = ("broken", "stale", "oversized")
"""Why a frame could not be used, as `counts` names it."""


class Source(Protocol):
    """An open camera. Recorded ones (files, the synthetic scene) have a frame whenever they are asked; live ones (USB,
    network) say through `fileno` when they have.
    """

    clock: Clock
    """Whether its time is the real one, or a replay's that follows the appliance (lockstep)."""

    def fileno(self) -> int | None:
        """Return the descriptor that is readable while a live camera may have a frame; None for a recorded one."""

    def grab(self) -> Grabbed | None:
        """Go on to the next frame: a recorded one's next, None at the end; a live one's newest, or None for now.

        Never waits for a live camera. SourceError: it broke, and the text says how.
        """

    def retrieve(self, into: memoryview) -> int:
        """Write the picture of the frame that was grabbed last; return its bytes. SourceError as in `grab`."""

    def pace(self, fps: float | None) -> None:
        """Say how many frames a second will be retrieved from here on, None: all. A hint that saves work, no more."""

    def counts(self) -> dict[str, int]:
        """Return what went wrong with single frames since it was opened, by reason: broken, stale, oversized."""

    def close(self) -> None: ...

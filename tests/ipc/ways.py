"""Three ways to hand pictures over, for the storm: slots that are lent, the ancestor's one cell, a ring of seqlocks.

A picture is 1080p RGB and says in every eight bytes which one it is. A reader looks at the first and the last eight
bytes of every 4 KiB of it.
"""

from __future__ import annotations

import mmap
import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from appliance.ipc import slots, templates
from appliance.ipc.channels import Channel
from appliance.ipc.publisher import Publisher
from appliance.ipc.subscriber import Subscriber
from appliance.messages import FrameInfo, PixelFormat

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from appliance.ipc.run_folder import RunFolder

WIDTH, HEIGHT = 1920, 1080
SIZE = PixelFormat.RGB24.raw_size(WIDTH, HEIGHT)
READERS = ("steady", "slow", "mortal")
NAP_S = 0.0002
"""Between two looks of those who have nothing to wake them."""

_WORDS = SIZE // 8
_PAGE = 512  # words

Words: TypeAlias = NDArray[np.uint64]
Look: TypeAlias = "Callable[[Words, int], bool]"


class Sight(NamedTuple):
    """What came of one attempt to read: `was_read` is False where the reader noticed that it could not."""

    was_read: bool
    whole: bool = True
    lost: int = 0


class Way(Protocol):
    """A writer is called to publish one more picture (LookupError: no room for it), a reader to look at the newest;
    it returns None where there is no new one.
    """

    def writer(self, folder: RunFolder) -> Callable[[], None]: ...

    def reader(self, folder: RunFolder, name: str) -> Callable[[Look], Sight | None]: ...


def is_whole(words: Words, number: int) -> bool:
    """Whether all of a picture that is looked at is of this number."""
    return bool(
        words[-1] == number and (words[::_PAGE] == number).all() and (words[_PAGE - 1 :: _PAGE] == number).all()
    )


class ThreeReaders(Channel):
    """A channel of frames as wide as the appliance's widest one, which is the state's."""

    __slots__ = ()

    @property
    def subscribers(self) -> tuple[str, ...]:
        return READERS


CHANNEL = ThreeReaders("frames", "storm")


class Lent:
    """Porchlight's own."""

    def writer(self, folder: RunFolder) -> Callable[[], None]:
        publisher = Publisher(folder, CHANNEL, templates.frame_template(SIZE), slots.FrameWriter)

        def write() -> None:
            slot = publisher.borrow()
            np.frombuffer(slot.data[:SIZE], "<u8").fill(slot.sequence)
            slot.write(FrameInfo(slot.sequence, 0, 0, WIDTH, HEIGHT, PixelFormat.RGB24), SIZE)
            publisher.send(slot)

        return write

    def reader(self, folder: RunFolder, name: str) -> Callable[[Look], Sight | None]:
        subscriber = Subscriber(folder, CHANNEL, name, slots.FrameReader)

        def read(look: Look) -> Sight | None:
            lost = subscriber.lost
            loan = subscriber.wait(0.1)
            if loan is None:
                return None
            with loan as frame:
                whole = look(np.frombuffer(frame.data, "<u8"), loan.sequence)
                return Sight(was_read=True, whole=whole, lost=subscriber.lost - lost)

        return read


class OneCell:
    """As in the ancestor: a sequence and one picture, overwritten in place. Readers look at the sequence, then read.

    A picture's number is what it says itself at its beginning: one that is newer than the sequence is no torn one.
    """

    def writer(self, folder: RunFolder) -> Callable[[], None]:
        words = _mapped(folder.path / "frames" / "cell", 1 + _WORDS)

        def write() -> None:
            words[1:].fill(int(words[0]) + 1)
            words[0] += 1

        return write

    def reader(self, folder: RunFolder, name: str) -> Callable[[Look], Sight | None]:  # noqa: ARG002 -- all are alike
        words = _mapped(folder.path / "frames" / "cell", 1 + _WORDS)
        last = 0

        def read(look: Look) -> Sight | None:
            nonlocal last
            sequence = int(words[0])
            if sequence <= last:
                time.sleep(NAP_S)
                return None
            lost = sequence - last - 1 if last else 0
            last = sequence
            return Sight(was_read=True, whole=look(words[1:], int(words[1])), lost=lost)

        return read


class SeqlockRing:
    """Each slot has a lock word, odd while it is written; a reader looks at it before and after, and tries again.

    Without a barrier between the words this holds where stores are seen in their order: on x86.
    """

    def __init__(self, slots_: int) -> None:
        self._slots = slots_

    def writer(self, folder: RunFolder) -> Callable[[], None]:
        newest, locks, pictures = self._open(folder)

        def write() -> None:
            number = int(newest[0]) + 1
            slot = number % self._slots
            locks[slot] = 2 * number - 1
            pictures[slot].fill(number)
            locks[slot] = 2 * number
            newest[0] = number

        return write

    def reader(self, folder: RunFolder, name: str) -> Callable[[Look], Sight | None]:  # noqa: ARG002 -- all are alike
        newest, locks, pictures = self._open(folder)
        last = 0

        def read(look: Look) -> Sight | None:
            nonlocal last
            number = int(newest[0])
            if number <= last:
                time.sleep(NAP_S)
                return None
            slot = number % self._slots
            if locks[slot] != 2 * number:
                time.sleep(NAP_S)
                return Sight(was_read=False)
            whole = look(pictures[slot], number)
            if locks[slot] != 2 * number:
                return Sight(was_read=False)
            lost = number - last - 1 if last else 0
            last = number
            return Sight(was_read=True, whole=whole, lost=lost)

        return read

    def _open(self, folder: RunFolder) -> tuple[Words, Words, Words]:
        words = _mapped(folder.path / "frames" / "ring", 1 + self._slots * (1 + _WORDS))
        locks = words[1 : 1 + self._slots]
        return words[:1], locks, words[1 + self._slots :].reshape(self._slots, _WORDS)


WAYS: dict[str, Way] = {"lent": Lent(), "cell": OneCell(), "seqlock": SeqlockRing(1), "ring": SeqlockRing(5)}
"""`ring` has as many slots as are lent to three readers."""


def _mapped(path: Path, words: int) -> Words:
    """Map a file of so many words, made if it is not there: a restarted writer goes on where the last one was."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(fd).st_size < words * 8:
            os.posix_fallocate(fd, 0, words * 8)
        memory: Any = mmap.mmap(fd, words * 8)
    finally:
        os.close(fd)
    return np.frombuffer(memory, np.uint64)

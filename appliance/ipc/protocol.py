"""The mailbox's rules, apart from the system calls.

A publisher owns S = subscribers + 2 slots. Each publication is announced to every subscriber by a `Descriptor` in that
subscriber's queue of depth one; a subscriber that has read a slot sends a `Release` back. The `Ledger` is the
publisher's book of what is on loan, and the only thing that decides which slot may be written.

Why two slots more than subscribers are enough: a subscriber receives only with empty hands, so it holds at most one
slot; the publisher takes back every unread descriptor before it sends the next, so all unread descriptors speak of one
slot, the newest. That leaves one slot to write.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import NamedTuple

from appliance.ipc.errors import CorruptError

_DESCRIPTOR = struct.Struct("<QQQI4x")
_RELEASE = struct.Struct("<QQI4x")
DESCRIPTOR_BYTES = _DESCRIPTOR.size
RELEASE_BYTES = _RELEASE.size

# Between two looks of the publisher a subscriber may release three (one held, one that waited, the next), and a queue
# holds ten messages: with three subscribers a release always finds room; a fourth may have to keep one for a moment.
MAX_SUBSCRIBERS = 4
RELEASE_DEPTH = 10
SPARE_SLOTS = 2

NOBODY = 0
"""The epoch of a seat where nobody has sat yet."""


class Descriptor(NamedTuple):
    """Publisher to one subscriber: slot `slot` of the file with this generation holds publication `sequence`.

    It is meant for the process that sat down with `epoch`; any other drops it unread.
    """

    generation: int
    epoch: int
    sequence: int
    slot: int

    def pack(self) -> bytes:
        return _DESCRIPTOR.pack(*self)

    @classmethod
    def unpack(cls, message: bytes) -> Descriptor:
        if len(message) != DESCRIPTOR_BYTES:
            raise CorruptError(f"a descriptor has {DESCRIPTOR_BYTES} bytes, this one {len(message)}")
        return cls(*_DESCRIPTOR.unpack(message))


class Release(NamedTuple):
    """Subscriber `subscriber` (its index in the channel's list) to publisher: I have read `sequence`."""

    generation: int
    sequence: int
    subscriber: int

    def pack(self) -> bytes:
        return _RELEASE.pack(*self)

    @classmethod
    def unpack(cls, message: bytes) -> Release:
        if len(message) != RELEASE_BYTES:
            raise CorruptError(f"a release has {RELEASE_BYTES} bytes, this one {len(message)}")
        return cls(*_RELEASE.unpack(message))


@dataclass(slots=True)
class Ledger:
    """The publisher's book: which slots are lent to whom, who sits where, which publication is the newest."""

    generation: int
    subscribers: int
    sequence: int = 0
    epochs: list[int] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    """Per subscriber: publications that were announced to it and taken back unread."""
    _loans: list[dict[int, int]] = field(default_factory=list)  # per subscriber: sequence -> slot
    _written: list[int] = field(default_factory=list)  # per slot: the sequence it holds

    def __post_init__(self) -> None:
        if not 1 <= self.subscribers <= MAX_SUBSCRIBERS:
            raise ValueError(f"a channel has 1 to {MAX_SUBSCRIBERS} subscribers, not {self.subscribers}")
        self.epochs = [NOBODY] * self.subscribers
        self.lost = [0] * self.subscribers
        self._loans = [{} for _ in range(self.subscribers)]
        self._written = [0] * (self.subscribers + SPARE_SLOTS)

    def take_release(self, release: Release) -> None:
        """Step 1: a slot came back, and with it whatever that subscriber was lent earlier: it has one in hands at most.
        Releases of another file, of nobody or of a forgotten loan mean nothing.
        """
        if release.generation == self.generation and release.subscriber < self.subscribers:
            loans = self._loans[release.subscriber]
            for sequence in [each for each in loans if each <= release.sequence]:
                del loans[sequence]

    def read_seat(self, subscriber: int, epoch: int) -> None:
        """Step 2: who sits there now? A new epoch means that the one before is dead, and all it held is free."""
        if epoch != self.epochs[subscriber]:
            self.epochs[subscriber] = epoch
            self._loans[subscriber].clear()

    def choose_slot(self) -> int:
        """Step 3: return the slot to write: of those not on loan the oldest, so that the newest survives longest.

        The rules leave one free always; LookupError means that they were broken.
        """
        oldest, chosen = self.sequence + 1, -1
        for slot, written in enumerate(self._written):
            if written < oldest and not any(slot in loans.values() for loans in self._loans if loans):
                oldest, chosen = written, slot
        if chosen < 0:
            raise LookupError(f"no slot is free: loans {self._loans}")
        return chosen

    def next_sequence(self, slot: int) -> int:
        """Step 3, done: `slot` holds the next publication. Return its sequence."""
        self.sequence += 1
        self._written[slot] = self.sequence
        return self.sequence

    def take_back(self, subscriber: int, descriptor: Descriptor) -> None:
        """Step 4: this one was never read (it was still in the queue); its loan is cancelled, and one loss counted."""
        if descriptor.generation == self.generation and (
            self._loans[subscriber].pop(descriptor.sequence, None) is not None
        ):
            self.lost[subscriber] += 1

    def lend(self, subscriber: int, slot: int) -> Descriptor:
        """Step 4: note the loan of the newest publication; return what to send."""
        self._loans[subscriber][self.sequence] = slot
        return Descriptor(self.generation, self.epochs[subscriber], self.sequence, slot)

    def cancel(self, subscriber: int) -> None:
        """Forget the newest loan: its descriptor could not be sent."""
        self._loans[subscriber].pop(self.sequence, None)
        self.lost[subscriber] += 1

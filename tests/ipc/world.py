"""A model of one channel and of every process on it: the real `Ledger`, and queues, files and readers as plain values.

Publisher and readers are generators that do what publisher.py and subscriber.py do, in their order; each `yield` is a
place where any other process may run, and where any process may die. Torn and Blocked are what must never happen.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from appliance.ipc.protocol import NOBODY, SPARE_SLOTS, Descriptor, Ledger, Release

if TYPE_CHECKING:
    from collections.abc import Iterator

WRITING = -1
"""What a slot holds while it is being written."""


class HarmError(Exception):
    """What the protocol promises not to do."""


class TornError(HarmError):
    """A slot was written while somebody read it, or holds something else than what was announced."""


class BlockedError(HarmError):
    """The publisher has no slot to write, or no room for its descriptor."""


class MiscountedError(HarmError):
    """A reader saw its publications out of order, or gaps that are not the publisher's losses."""


class UnheardError(HarmError):
    """A publication passed by a reader that had sat down before it began."""


@dataclass(eq=False)
class File:
    """A channel file: per slot, the sequence that it holds."""

    generation: int
    slots: list[int]


class World:
    """One channel. The methods without underscore are what a search may do; the others are the rules it searches."""

    release_depth = 2
    """Shallower than the real queue, so that a search soon meets a full one."""

    def __init__(self, subscribers: int) -> None:
        self.subscribers = subscribers
        self.descriptors: list[Descriptor | None] = [None] * subscribers
        self.releases: deque[Release] = deque()
        self.seats = [NOBODY] * subscribers
        self.hands: list[tuple[File, int] | None] = [None] * subscribers
        self.heard: list[Descriptor | None] = [None] * subscribers
        """Per reader, the newest that it took out of its queue and that was meant for it."""
        self.reads = 0
        self.fresh = count(1)
        self.file = File(0, [])
        self.readers: list[Iterator[None] | None] = [None] * subscribers
        self.new_publisher()

    def new_publisher(self) -> None:
        """Whoever published before is dead, wherever it was."""
        self.file = self._new_file()
        self.ledger = self._new_ledger(self.file.generation)
        self.publisher = self._publishing(self.file, self.ledger)

    def publisher_runs(self) -> None:
        next(self.publisher)

    def reader_sits(self, i: int) -> None:
        if self.readers[i] is None:
            self.readers[i] = self._reading(i)

    def reader_runs(self, i: int) -> None:
        reader = self.readers[i]
        if reader is not None:
            next(reader)

    def reader_dies(self, i: int) -> None:
        self.readers[i] = self.hands[i] = None

    def _new_file(self) -> File:
        return File(next(self.fresh), [0] * (self.subscribers + SPARE_SLOTS))

    def _new_ledger(self, generation: int) -> Ledger:
        return Ledger(generation, self.subscribers)

    def _publishing(self, file: File, ledger: Ledger) -> Iterator[None]:
        for i in range(self.subscribers):
            self.descriptors[i] = None
            yield
        while True:
            sitting = [seat if reader else NOBODY for seat, reader in zip(self.seats, self.readers, strict=True)]
            while self.releases:
                ledger.take_release(self.releases.popleft())
                yield
            for i, epoch in enumerate(self.seats):
                ledger.read_seat(i, epoch)
                yield
            slot = self._choose(ledger)
            if (file, slot) in self.hands:
                raise TornError(f"slot {slot} is about to be written, and somebody reads it")
            file.slots[slot] = WRITING
            yield
            file.slots[slot] = ledger.next_sequence(slot)
            yield
            for i in range(self.subscribers):
                if ledger.epochs[i] == NOBODY:
                    continue
                descriptor = ledger.lend(i, slot)
                yield
                if self.descriptors[i] is not None:  # the queue is full
                    yield
                    yield from self._take_back(i, ledger)
                if self.descriptors[i] is not None:
                    raise BlockedError("there is no room for a descriptor")
                self.descriptors[i] = descriptor
                yield
            self._check_announced(sitting, ledger)

    def _take_back(self, i: int, ledger: Ledger) -> Iterator[None]:
        unread, self.descriptors[i] = self.descriptors[i], None
        yield
        if unread is not None:
            ledger.take_back(i, unread)

    def _check_announced(self, sitting: list[int], ledger: Ledger) -> None:
        """Whoever sat there when the publication began, and still does, can take it or has taken it."""
        for i, epoch in enumerate(sitting):
            if epoch != NOBODY and epoch == self.seats[i] and self.readers[i] is not None:
                latest = self.descriptors[i] or self.heard[i]
                if latest is None or latest[:3] != (ledger.generation, epoch, ledger.sequence):
                    raise UnheardError(f"reader {i} has sat through publication {ledger.sequence} and has {latest}")

    def _choose(self, ledger: Ledger) -> int:
        try:
            return ledger.choose_slot()
        except LookupError as error:
            raise BlockedError(str(error)) from None

    def _reading(self, i: int) -> Iterator[None]:
        epoch = self.seats[i] = next(self.fresh)
        yield
        mapped = File(0, [])
        seen = (mapped, 0, 0)  # of the latest one read: its file, its sequence, the publisher's losses by then
        while True:
            descriptor, self.descriptors[i] = self.descriptors[i], None
            lost = self.ledger.lost[i]
            if descriptor is None or not self._is_meant_for(epoch, descriptor):
                yield
                continue
            self.heard[i] = descriptor
            yield
            if mapped.generation != descriptor.generation and self.file.generation == descriptor.generation:
                mapped = self.file
            if mapped.generation == descriptor.generation:
                self._look(mapped, descriptor)
                self.hands[i] = (mapped, descriptor.slot)
                seen = self._count(seen, (mapped, descriptor.sequence, lost))
                yield
                yield from self._finish(i, mapped, descriptor)
            else:
                yield from self._give_back(i, descriptor)

    def _is_meant_for(self, epoch: int, descriptor: Descriptor) -> bool:
        return descriptor.epoch == epoch

    def _look(self, file: File, descriptor: Descriptor) -> None:
        if file.slots[descriptor.slot] != descriptor.sequence:
            raise TornError(f"slot {descriptor.slot} holds {file.slots[descriptor.slot]}, announced was {descriptor}")

    def _count(self, before: tuple[File, int, int], now: tuple[File, int, int]) -> tuple[File, int, int]:
        """Gaps can only be checked against a publisher that lives: a dead one's ledger is gone."""
        gap = now[1] - before[1] - 1
        lost = now[2] - before[2]
        if before[0] is now[0] and gap < 0:
            raise MiscountedError(f"{now[1]} came after {before[1]}")
        if before[0] is now[0] is self.file and gap != lost:
            raise MiscountedError(f"a gap of {gap}, while the publisher lost {lost}")
        self.reads += 1
        return now

    def _finish(self, i: int, file: File, descriptor: Descriptor) -> Iterator[None]:
        """The last look, and only then the release."""
        self._look(file, descriptor)
        self.hands[i] = None
        yield
        yield from self._give_back(i, descriptor)

    def _give_back(self, i: int, descriptor: Descriptor) -> Iterator[None]:
        """Retry while the queue is full; receive nothing before it is sent."""
        while len(self.releases) >= self.release_depth:
            yield
        self.releases.append(Release(descriptor.generation, descriptor.sequence, i))
        yield

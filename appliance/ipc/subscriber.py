"""One reader of a channel."""

from __future__ import annotations

import contextlib
import select
import sys
import traceback
from typing import TYPE_CHECKING, Generic, TypeVar

from appliance.ipc import channel_file
from appliance.ipc.errors import CorruptError, LoanError
from appliance.ipc.layout import UNFINISHED
from appliance.ipc.protocol import DESCRIPTOR_BYTES, RELEASE_BYTES, RELEASE_DEPTH, Descriptor, Release
from appliance.ipc.queues import Queue
from appliance.ipc.registration import Registration

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from appliance.ipc.channels import Channel
    from appliance.ipc.run_folder import RunFolder
    from appliance.ipc.slots import SlotReader

T = TypeVar("T")

PREDECESSOR_PATIENCE_S = 5.0
"""How long a restarted stage waits for its dying predecessor to leave the seat."""


class Loan(Generic[T]):
    """A publication in our hands. Until `release`, nobody writes its slot; after it, its value must not be used."""

    __slots__ = ("_subscriber", "_value", "sequence")

    def __init__(self, subscriber: Subscriber[T], value: T, sequence: int) -> None:
        self._subscriber: Subscriber[T] | None = subscriber
        self._value = value
        self.sequence = sequence

    @property
    def value(self) -> T:
        if self._subscriber is None:
            raise LoanError("this loan was given back")
        return self._value

    def release(self) -> None:
        """Give the slot back. LoanError: a view into it is still in use (an array made from `data`, say)."""
        if self._subscriber is not None:
            self._subscriber.give_back(self.sequence)
            self._subscriber = None

    def __enter__(self) -> T:
        return self.value

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class Subscriber(Generic[T]):
    """Sits on a channel's seat. `fileno` is for poll, epoll or asyncio; `receive` never waits.

    TakenError: another live process sits here. QueueError: as it says.
    """

    def __init__(
        self,
        folder: RunFolder,
        channel: Channel,
        name: str,
        reader: Callable[[memoryview, str], SlotReader[T]],
    ) -> None:
        self.channel = channel
        self._path = folder.channel_file(channel)
        self._index = channel.subscribers.index(name)
        self._make_reader = reader
        with contextlib.ExitStack() as undo:
            self._registration = Registration(folder.seat(channel, name), PREDECESSOR_PATIENCE_S)
            undo.callback(self._registration.close)
            self._queue = Queue(folder.descriptor_queue(channel, name), 1, DESCRIPTOR_BYTES)
            undo.callback(self._queue.close)
            self._releases = Queue(folder.release_queue(channel), RELEASE_DEPTH, RELEASE_BYTES)
            undo.callback(self._releases.close)
            self._undo = undo.pop_all()
        self._poller = select.poll()
        self._poller.register(self._queue.fileno(), select.POLLIN)
        self._file: channel_file.ChannelFile | None = None
        self._generation = -1  # of the file that is mapped; none yet
        self._readers: list[SlotReader[T]] = []
        self._held: SlotReader[T] | None = None
        self._owed: bytes | None = None
        self._last = (0, 0)  # generation, sequence
        self.lost = 0
        """Publications that this subscriber never saw: the gaps in the sequence."""

    def fileno(self) -> int:
        return self._queue.fileno()

    def wait(self, timeout_s: float) -> Loan[T] | None:
        """Wait up to `timeout_s` for the newest publication; None where none came."""
        if self._poller.poll(max(0, timeout_s) * 1000):
            return self.receive()
        return None

    def take(self) -> T | None:
        """Receive and give back at once: for values that are copies. None where nothing new is there."""
        loan = self.receive()
        if loan is None:
            return None
        with loan as value:
            return value

    def receive(self) -> Loan[T] | None:
        """Return the newest publication, or None. LoanError with something in hands.

        CorruptError: the slot or file does not hold what was announced; it has been given back, the next may be well.
        """
        if self._held is not None:
            raise LoanError(f"{self.channel}: receive only with empty hands")
        if self._owed is not None and not self._pay():
            return None
        message = self._queue.receive()
        if message is None:
            return None
        descriptor = Descriptor.unpack(message)
        generation, epoch, sequence, _ = descriptor
        if epoch != self._registration.epoch:
            return None
        value = None
        try:
            if generation == self._generation or self._open(generation):
                value = self._read(descriptor)
        finally:
            if value is None:  # a slot that is announced but not read goes back too, or the publisher runs out of them
                self._owe(generation, sequence)
        if value is None:
            return None
        self._count(generation, sequence)
        return Loan(self, value, sequence)

    def give_back(self, sequence: int) -> None:
        """Loan.release's other half."""
        if self._held is None:
            raise LoanError(f"{self.channel}: nothing is on loan")
        self._let_go(self._held)
        self._owe(self._generation, sequence)

    def close(self) -> None:
        """Leave the seat. What is in hands is let go; the publisher learns of it from the next epoch.

        LoanError: a view into it is still in use; the seat stays taken, so that nobody writes there.
        """
        if self._held is not None:
            self._let_go(self._held)
        self._readers = []
        if self._file is not None:
            self._file.close()
        self._undo.close()

    def _read(self, descriptor: Descriptor) -> T:
        """Take the slot in hands; not if it is corrupted."""
        if descriptor.sequence == UNFINISHED:
            raise CorruptError(f"{self._path}: publication 0 was announced, which there is never")
        if descriptor.slot >= len(self._readers):
            raise CorruptError(f"{self._path}: slot {descriptor.slot} was announced, there are {len(self._readers)}")
        reader = self._readers[descriptor.slot]
        value = reader.value(descriptor.sequence)
        self._held = reader
        return value

    def _let_go(self, held: SlotReader[T]) -> None:
        error = sys.exception()
        try:
            try:
                held.let_go()
            except BufferError:
                _forget_locals(error)
                held.let_go()
        except BufferError as view:
            raise LoanError(f"{self.channel}: a view into the slot outlives its loan ({view})") from None
        self._held = None

    def _owe(self, generation: int, sequence: int) -> None:
        self._owed = Release(generation, sequence, self._index).pack()
        self._pay()

    def _pay(self) -> bool:
        """Send the release that is owed; False while the queue has no room for it."""
        if self._owed is not None and self._releases.send(self._owed):
            self._owed = None
        return self._owed is None

    def _open(self, generation: int) -> bool:
        """Map the file with this generation; False where the file of that name is another one."""
        try:
            file = channel_file.open_for_reading(self._path)
        except FileNotFoundError:
            return False
        if file.header.generation != generation:
            file.close()
            return False
        readers = [self._make_reader(file.slot(i), file.source(i)) for i in range(file.header.slots)]
        if self._file is not None:
            self._readers = []
            self._file.close()
        self._file, self._readers, self._generation = file, readers, generation
        return True

    def _count(self, generation: int, sequence: int) -> None:
        last_generation, last_sequence = self._last
        if last_generation == generation:
            self.lost += sequence - last_sequence - 1
        self._last = (generation, sequence)


def _forget_locals(error: BaseException | None) -> None:
    """An error on its way out keeps alive what the functions that it left were looking at."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__

"""The one writer of a channel."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from appliance.ipc import channel_file
from appliance.ipc.errors import CorruptError, LoanError
from appliance.ipc.protocol import (
    DESCRIPTOR_BYTES,
    NOBODY,
    RELEASE_BYTES,
    RELEASE_DEPTH,
    SPARE_SLOTS,
    Descriptor,
    Ledger,
    Release,
)
from appliance.ipc.queues import Queue
from appliance.ipc.registration import SeatView
from appliance.ipc.run_folder import hold
from appliance.ipc.slots import SlotWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from appliance.ipc.channels import Channel
    from appliance.ipc.run_folder import RunFolder

W = TypeVar("W", bound=SlotWriter[Any])

PREDECESSOR_PATIENCE_S = 5.0
"""How long a new publisher waits for a dying one to let go of the channel."""


class Publisher(Generic[W]):
    """Publishes by `borrow`, fill, `send`; neither ever waits for a subscriber.

    TakenError: the channel has a live publisher. SharedMemoryFullError, QueueError: as they say.
    """

    def __init__(
        self,
        folder: RunFolder,
        channel: Channel,
        template: bytes,
        writer: Callable[[memoryview, str], W],
    ) -> None:
        self.channel = channel
        names = channel.subscribers
        with contextlib.ExitStack() as undo:
            undo.callback(os.close, hold(folder.publisher_lock(channel), PREDECESSOR_PATIENCE_S))
            self._seats: list[SeatView] = []
            for name in names:
                self._seats.append(SeatView(folder.seat(channel, name)))
                undo.callback(self._seats[-1].close)
            self._queues: list[Queue] = []
            for name in names:
                self._queues.append(Queue(folder.descriptor_queue(channel, name), 1, DESCRIPTOR_BYTES))
                undo.callback(self._queues[-1].close)
            self._releases = Queue(folder.release_queue(channel), RELEASE_DEPTH, RELEASE_BYTES)
            undo.callback(self._releases.close)
            file = channel_file.create(folder.channel_file(channel), len(names) + SPARE_SLOTS, template)
            undo.callback(file.close)
            self._writers = [writer(file.slot(i), file.source(i)) for i in range(file.header.slots)]
            for each in self._writers:
                undo.callback(each.let_go)
            file.rename(folder.channel_file(channel))
            for queue in self._queues:  # announcements of the file before this one
                while queue.receive() is not None:
                    pass
            self._ledger = Ledger(file.header.generation, len(names))
            self._undo = undo.pop_all()

    @property
    def lost(self) -> dict[str, int]:
        """Per subscriber, how many publications it was not there in time to read."""
        return dict(zip(self.channel.subscribers, self._ledger.lost, strict=True))

    @property
    def sequence(self) -> int:
        """The newest publication; 0 before the first."""
        return self._ledger.sequence

    def borrow(self) -> W:
        """Return a slot that nobody reads, to be filled and sent (or left: nothing was said yet)."""
        ledger = self._ledger
        while (message := self._releases.receive()) is not None:
            with contextlib.suppress(CorruptError):  # somebody else's words in our queue mean nothing
                ledger.take_release(Release.unpack(message))
        for i, seat in enumerate(self._seats):
            ledger.read_seat(i, seat.epoch())
        slot = ledger.choose_slot()
        writer = self._writers[slot]
        writer.slot = slot
        writer.sequence = ledger.sequence + 1
        return writer

    def send(self, writer: W) -> None:
        """Announce the slot as the newest publication to everyone who sits there.

        LoanError: it was not written since it was borrowed, or was sent already; nothing has been announced.
        """
        ledger = self._ledger
        if writer.sequence != ledger.sequence + 1 or not writer.is_written:
            raise LoanError(f"{self.channel}: send what was borrowed and written, once")
        ledger.next_sequence(writer.slot)
        for i, queue in enumerate(self._queues):
            if ledger.epochs[i] == NOBODY:
                continue
            message = ledger.lend(i, writer.slot).pack()
            if queue.send(message):
                continue
            if (unread := queue.receive()) is not None:
                with contextlib.suppress(CorruptError):
                    ledger.take_back(i, Descriptor.unpack(unread))
            if not queue.send(message):
                ledger.cancel(i)

    def close(self) -> None:
        """Stop publishing; what was sent can still be read. A second time does nothing.

        BufferError: an array made from a slot's `data` is still alive; the rest is closed all the same.
        """
        self._undo.close()

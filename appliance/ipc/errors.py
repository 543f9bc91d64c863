"""What can go wrong in the mailbox, named for what happened."""

from __future__ import annotations


class IpcError(Exception):
    """Something in the run folder or the queues is not as it must be; the text says what to change."""


class TakenError(IpcError):
    """Another live process has this already: a seat, a channel, or the whole instance."""


class SharedMemoryFullError(IpcError):
    """The run folder's file system has no room for a channel."""


class QueueError(IpcError):
    """The kernel refused a message queue; the text names the limit."""


class CorruptError(IpcError):
    """A file, slot or message does not hold what its header promises."""


class LoanError(IpcError):
    """A loan was used after its release, or a view outlived it: a programming error."""

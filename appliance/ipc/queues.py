"""POSIX message queues: how a publisher and its subscribers wake each other. Every call here returns at once."""

from __future__ import annotations

import errno

import posix_ipc

from appliance.ipc.errors import QueueError

_HINTS = {
    errno.EMFILE: "the user's bytes for queues (ulimit -q) or descriptors (ulimit -n) are used up; raise the limit",
    errno.ENOSPC: "the kernel's number of queues (fs.mqueue.queues_max, 256 by default) is used up: about 24 cameras "
    "fit one IPC namespace; raise it, or look for leftovers of killed instances",
    errno.EINVAL: "fs.mqueue.msg_max or msgsize_max is below what the mailbox needs (10 messages of 32 bytes)",
    errno.EACCES: "a queue of that name belongs to another user",
    errno.ENOMEM: "the kernel has no memory for it",
    errno.ENOSYS: "this kernel has no message queues (CONFIG_POSIX_MQUEUE); another kernel, or another sandbox, has",
    errno.ENAMETOOLONG: "shorten the instance's or the camera's name",
}

_LONGEST = 255
_TEXTS = {"maximum number of files open": errno.EMFILE, "Insufficient space": errno.ENOSPC}
"""What posix_ipc says instead of a number."""


class Queue:
    """One queue of fixed-size messages, non-blocking, 0600."""

    def __init__(self, name: str, depth: int, message_bytes: int) -> None:
        try:
            self._queue = posix_ipc.MessageQueue(
                name,
                flags=posix_ipc.O_CREAT,
                mode=0o600,
                max_messages=depth,
                max_message_size=message_bytes,
            )
        except (OSError, ValueError, posix_ipc.Error) as error:
            hint = _HINTS.get(errno.ENAMETOOLONG if len(name) > _LONGEST else _errno_of(error), "see mq_overview(7)")
            raise QueueError(f"cannot open the message queue {name}: {error}; {hint}") from error
        self._queue.block = False
        self.name = name
        found = (self._queue.max_messages, self._queue.max_message_size)
        if found != (depth, message_bytes):  # it was there already, made by somebody else
            self._queue.close()
            raise QueueError(
                f"the message queue {name} holds {found[0]} messages of {found[1]} bytes where {depth} of "
                f"{message_bytes} belong: another program or version has left it; `porchlight doctor` says how to "
                "remove it"
            )

    def fileno(self) -> int:
        """Return the descriptor: readable for poll, epoll and asyncio while a message waits."""
        fd: int = self._queue.mqd
        return fd

    def send(self, message: bytes) -> bool:
        """Put `message` in; False where the queue is full."""
        try:
            self._queue.send(message)
        except posix_ipc.BusyError:
            return False
        return True

    def receive(self) -> bytes | None:
        """Take the oldest message out, or None: also right after poll, since it may have been taken back."""
        try:
            message: bytes = self._queue.receive()[0]
        except posix_ipc.BusyError:
            return None
        return message

    def close(self) -> None:
        self._queue.close()


def _errno_of(error: Exception) -> int:
    """posix_ipc gives some kernel errors their own exception or text, without the number."""
    if isinstance(error, ValueError):
        return errno.EINVAL
    if isinstance(error, posix_ipc.PermissionsError):
        return errno.EACCES
    for text, number in _TEXTS.items():
        if text in str(error):
            return number
    return getattr(error, "errno", None) or 0

"""What can go wrong in the mailbox, named for what happened."""

from __future__ import annotations

import contextlib
import errno
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class IpcError(Exception):
    """Something in the run folder or the queues is not as it must be; the text says what to change."""


class TakenError(IpcError):
    """Another live process has this already: a seat, a channel, or the whole instance."""


class SharedMemoryFullError(IpcError):
    """The run folder's file system has no room for a channel."""


class RefusedError(IpcError):
    """The system refused a file of the run folder; the text says what to change."""


class QueueError(IpcError):
    """The kernel refused a message queue; the text names the limit."""


class CorruptError(IpcError):
    """A file, slot or message does not hold what its header promises."""


class LoanError(IpcError):
    """A loan was used after its release, or a view outlived it: a programming error."""


_HINTS = {
    errno.EMFILE: "this process has no descriptor left; raise the limit (ulimit -n)",
    errno.ENFILE: "the system has no descriptor left; raise fs.file-max",
    errno.EACCES: "it belongs to another user: run as that one, remove it, or set another instance",
    errno.EPERM: "it belongs to another user: run as that one, remove it, or set another instance",
    errno.EROFS: "shared memory is mounted read-only; a container needs a writable one",
    errno.EEXIST: "something else lies in its place; remove it, or set another instance",
    errno.ENOTDIR: "something else lies in its place; remove it, or set another instance",
    errno.ENOMEM: "there is no memory for it",
}


@contextlib.contextmanager
def in_words(path: Path) -> Iterator[None]:
    """Have what the system says of a file come as an IpcError that says what to change.

    FileNotFoundError passes: the folder may be on its way out, and callers know what that means.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise SharedMemoryFullError(
                f"cannot use {path}: {error.strerror}; give the container more shared memory (--shm-size)"
            ) from error
        hint = _HINTS.get(error.errno or 0, "`porchlight doctor` may say more")
        raise RefusedError(f"cannot use {path}: {error.strerror}; {hint}") from error

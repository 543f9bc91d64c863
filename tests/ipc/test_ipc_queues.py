"""A queue never blocks, and when the kernel refuses one the error says which limit to raise."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import secrets
from typing import TYPE_CHECKING

import posix_ipc
import pytest

from appliance.ipc.errors import QueueError
from appliance.ipc.queues import Queue

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def name() -> Iterator[str]:
    one = f"/porchlight-test_{os.getpid()}_{secrets.token_hex(4)}"
    yield one
    with contextlib.suppress(posix_ipc.ExistentialError):
        posix_ipc.unlink_message_queue(one)


@pytest.mark.parametrize("depth", [1, 10])
def test_a_full_queue_refuses_and_an_empty_one_has_nothing_but_neither_waits(name: str, depth: int) -> None:
    with contextlib.closing(Queue(name, depth, 4)) as queue:
        assert queue.receive() is None
        messages = [bytes([i]) * 4 for i in range(depth)]
        assert [queue.send(message) for message in messages] == [True] * depth
        assert not queue.send(b"more")
        assert [queue.receive() for _ in messages] == messages
        assert queue.receive() is None


def test_both_ends_see_one_queue_of_which_nobody_else_may_know(name: str) -> None:
    with contextlib.closing(Queue(name, 1, 4)) as one, contextlib.closing(Queue(name, 1, 4)) as other:
        one.send(b"word")
        assert other.receive() == b"word"
        assert os.fstat(one.fileno()).st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (OSError("This process already has the maximum number of files open"), "ulimit -q"),
        (OSError(errno.EMFILE, "Too many open files"), "ulimit -q"),
        (OSError("Insufficient space for a new queue"), "24 cameras"),
        (OSError(errno.ENOSPC, "No space left on device"), "24 cameras"),
        (ValueError("Invalid parameter(s)"), "msg_max"),
        (posix_ipc.PermissionsError("Permission denied"), "another user"),
        (posix_ipc.ExistentialError("?"), "mq_overview"),
        (OSError("?"), "mq_overview"),
    ],
    ids=str,
)
def test_a_refused_queue_is_named_with_what_was_said_and_what_to_do(
    name: str, monkeypatch: pytest.MonkeyPatch, error: Exception, hint: str
) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise error

    monkeypatch.setattr(posix_ipc, "MessageQueue", refuse)
    with pytest.raises(QueueError) as caught:
        Queue(name, 1, 32)
    assert name in str(caught.value)
    assert str(error) in str(caught.value)
    assert hint in str(caught.value)


def test_the_kernels_own_limit_of_bytes_is_named(name: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_MSGQUEUE)
    resource.setrlimit(resource.RLIMIT_MSGQUEUE, (0, hard))
    try:
        with pytest.raises(QueueError, match=f"{name}: .*ulimit -q"):
            Queue(name, 10, 32)
    finally:
        resource.setrlimit(resource.RLIMIT_MSGQUEUE, (soft, hard))


def test_the_kernels_own_limit_of_depth_is_named(name: str) -> None:
    with pytest.raises(QueueError, match=f"{name}: .*msg_max"):
        Queue(name, 1 << 20, 32)


@pytest.mark.parametrize(("depth", "size"), [(2, 32), (1, 24)])
def test_a_queue_of_another_shape_under_this_name_is_refused_naming_both(name: str, depth: int, size: int) -> None:
    with (
        contextlib.closing(Queue(name, depth, size)),
        pytest.raises(QueueError, match=f"{name} holds {depth} messages of {size} bytes where 1 of 32 belong"),
    ):
        Queue(name, 1, 32)

"""A real trial, for what no limit shows: one folder, one channel file and one queue, made, used and removed."""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import TYPE_CHECKING

import posix_ipc

from appliance.doctor.finding import Finding, ok, problem
from appliance.ipc import channel_file
from appliance.ipc.channels import STATE, Channel
from appliance.ipc.errors import IpcError
from appliance.ipc.protocol import DESCRIPTOR_BYTES, RELEASE_DEPTH
from appliance.ipc.queues import Queue
from appliance.ipc.run_folder import RunFolder, hold

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SUBJECT = "trial"
_CHANNEL = Channel(STATE, "trial")
_REMEDY = "let this user do so: see how the file system is mounted, and a container's security profile (seccomp)"


def examine(shared_memory: Path) -> list[Finding]:
    """Try each in turn, under a name of our own. Should we be killed here, the next doctor finds what is left."""
    folder = RunFolder(f"doctor_{secrets.token_hex(4)}", shared_memory)
    made = _attempt("a folder for this user alone", folder.path, lambda: _claim(folder))
    if made.remedy:
        return [made]
    try:
        return [
            made,
            _attempt("a channel file", folder.channel_file(_CHANNEL), lambda: _pass_through_file(folder)),
            _attempt("a message queue", folder.release_queue(_CHANNEL), lambda: _pass_through_queue(folder)),
        ]
    finally:
        with contextlib.suppress(OSError, posix_ipc.Error):
            folder.remove()


def _attempt(what: str, name: object, do: Callable[[], None]) -> Finding:
    try:
        do()
    except IpcError as error:
        words, _, hint = str(error).partition("; ")
        return problem(SUBJECT, f"{what} cannot be used: {words}", hint or _REMEDY)
    except OSError as error:
        return problem(SUBJECT, f"{what} cannot be used: {name}: {error.strerror or error}", _REMEDY)
    return ok(SUBJECT, f"{what} was made, used and removed")


def _claim(folder: RunFolder) -> None:
    folder.claim()
    os.close(hold(folder.publisher_lock(_CHANNEL)))  # by this file a sweep knows of the queue


def _pass_through_file(folder: RunFolder) -> None:
    path, words = folder.channel_file(_CHANNEL), os.urandom(64)
    made = channel_file.create(path, 3, words)
    made.rename(path)
    with contextlib.closing(made), contextlib.closing(channel_file.open_for_reading(path)) as read:
        if bytes(read.slot(2)) != words:
            raise OSError("what was written is not what is read")


def _pass_through_queue(folder: RunFolder) -> None:
    words = os.urandom(DESCRIPTOR_BYTES)
    with contextlib.closing(Queue(folder.release_queue(_CHANNEL), RELEASE_DEPTH, DESCRIPTOR_BYTES)) as queue:
        if not queue.send(words) or queue.receive() != words:
            raise OSError("what was sent is not what is received")

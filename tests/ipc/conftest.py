"""A run folder of one's own in real shared memory, and everything closed that was opened there."""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import TYPE_CHECKING

import pytest

from appliance.ipc.run_folder import RunFolder
from tests.ipc.mail import Mail

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def folder() -> Iterator[RunFolder]:
    """Gone after the test, with its queues."""
    one = RunFolder(f"test_{os.getpid()}_{secrets.token_hex(4)}")
    one.create()
    yield one
    one.remove()


@pytest.fixture
def ends(folder: RunFolder) -> Iterator[contextlib.ExitStack]:
    """Closes the ends of channels that a test opened, the last one first."""
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a predecessor to die."""
    monkeypatch.setattr("appliance.ipc.publisher.PREDECESSOR_PATIENCE_S", 0)
    monkeypatch.setattr("appliance.ipc.subscriber.PREDECESSOR_PATIENCE_S", 0)


@pytest.fixture
def mail(folder: RunFolder, ends: contextlib.ExitStack, impatient: None) -> Mail:
    return Mail(folder, ends)

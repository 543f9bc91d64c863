"""Fixtures of the MQTT tests: waits that are short, and no thread left behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from appliance.mqtt import clients, connection, diagnosis
from tests.rig import wait_for


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "RECONNECT_S", (0.05, 0.1))
    monkeypatch.setattr(clients, "RECONNECT_MOST_S", (0.1, 0.2))
    monkeypatch.setattr(connection, "DIAGNOSE_EVERY_S", 0.2)
    monkeypatch.setattr(diagnosis, "PATIENCE_S", 1.0)


@pytest.fixture(autouse=True)
def _leaves_no_thread() -> Iterator[None]:
    """Whatever a test starts has ended after it: paho's threads, those that leave, those that find out why."""
    before = set(threading.enumerate())

    def rest() -> list[str]:
        return [one.name for one in threading.enumerate() if one not in before]

    yield
    wait_for("all threads have ended", 15, lambda: not rest())

"""Instances that are killed, machines that are closed, and queues that are unlinked after the test."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import posix_ipc
import pytest

from appliance.ipc.run_folder import RunFolder
from tests.doctor.machine import Holder, Machine


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[str]:
    """A name of its own; what is left of it under `tmp_path` and of its queues goes after the test."""
    name = f"test_{os.getpid()}_{secrets.token_hex(4)}"
    yield name
    RunFolder(name, tmp_path).remove()


@pytest.fixture
def hold(tmp_path: Path, instance: str) -> Iterator[Callable[..., Holder]]:
    """Starts instances in other processes, under `tmp_path` in place of /dev/shm or on a machine."""
    holders = []

    def start(*what: str, machine: Machine | None = None) -> Holder:
        holders.append(Holder(instance, *what, machine=machine, shm="/dev/shm" if machine else tmp_path))
        return holders[-1]

    yield start
    for holder in holders:
        holder.kill()


@pytest.fixture
def machine() -> Iterator[Callable[[str], Machine]]:
    machines = []

    def make(shared_memory: str = "64m") -> Machine:
        machines.append(Machine(shared_memory))
        return machines[-1]

    yield make
    for one in machines:
        one.close()


@pytest.fixture
def queue(instance: str) -> Iterator[Callable[..., str]]:
    """Makes queues of the instance, in this process's namespace."""
    names = []

    def make(end: str = "frames.porch.gateway", depth: int = 1, message_bytes: int = 32) -> str:
        name = f"/porchlight-{instance}.{end}"
        posix_ipc.MessageQueue(name, posix_ipc.O_CREX, max_messages=depth, max_message_size=message_bytes).close()
        names.append(name)
        return name

    yield make
    for name in names:
        with contextlib.suppress(posix_ipc.ExistentialError):
            posix_ipc.unlink_message_queue(name)


@pytest.fixture
def settings(tmp_path: Path, instance: str) -> Path:
    """Settings of one painted camera."""
    path = tmp_path / "settings.yaml"
    path.write_text(
        f"instance: {instance}\ncameras: [{{id: porch, source: 'synthetic://porch'}}]\n"
        f"model: {{path: {MODEL}}}\nmqtt: {{enabled: false}}\ngateway: {{port: 0}}\n"
    )
    return path


MODEL = Path(__file__).parents[2] / "appliance" / "inference" / "demo" / "porch_demo.onnx"

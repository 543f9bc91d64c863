"""handover.cpp, line by line in Python: what the interpreter alone adds to a bare message.

python -m tests.benchmarks.native.handover send QUEUES COUNT PAUSE_US | receive QUEUE COUNT
"""

from __future__ import annotations

import contextlib
import select
import sys
import time

import posix_ipc

_BYTES = 32


def _open(name: str) -> posix_ipc.MessageQueue:
    queue = posix_ipc.MessageQueue(name, posix_ipc.O_CREAT, mode=0o600, max_messages=1, max_message_size=_BYTES)
    queue.block = False
    return queue


def _send(names: str, count: int, pause_us: int) -> None:
    queues = [_open(name) for name in names.split(",")]
    for _ in range(count):
        time.sleep(pause_us / 1e6)
        message = time.monotonic_ns().to_bytes(8, "little").ljust(_BYTES, b"\0")
        for queue in queues:
            with contextlib.suppress(posix_ipc.BusyError):  # as in C++: who is not there in time misses it
                queue.send(message)


def _receive(name: str, count: int) -> None:
    queue = _open(name)
    poller = select.poll()
    poller.register(queue.mqd, select.POLLIN)
    took: list[int] = []
    print("ready", flush=True)
    while len(took) < count and poller.poll(2000):
        message = queue.receive()[0]
        took.append(time.monotonic_ns() - int.from_bytes(message[:8], "little"))
    print("\n".join(map(str, took)))


if __name__ == "__main__":
    if sys.argv[1] == "send":
        _send(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        _receive(sys.argv[2], int(sys.argv[3]))

"""The processes of test_ipc_processes.py: `python -m tests.ipc.actors ROLE INSTANCE [NAME]`.

Each plays its role as fast as it can until its standard input ends (so none outlives the test), and says on standard
output how far it has come: one line each time that it has come STRIDE further, and TORN at once where it saw that.
"""

from __future__ import annotations

import contextlib
import itertools
import select
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from appliance.ipc.heartbeat import HeartbeatFile
from appliance.ipc.mailbox import publish_frames, publish_state, subscribe_frames
from appliance.ipc.run_folder import RunFolder
from appliance.messages import CameraState, FrameInfo, Health, Heartbeat, PixelFormat, SentryState, Transition

if TYPE_CHECKING:
    from collections.abc import Iterator

CAMERA = "porch"
PAGES = 64
SIZE = PAGES * 4096
STRIDE = 50


def until_told() -> Iterator[int]:
    """Count, telling how far it has come."""
    for number in itertools.count(1):
        if select.select([sys.stdin], [], [], 0)[0]:
            return
        yield number
        if number % STRIDE == 0:
            print(number, flush=True)


def stamps(data: memoryview) -> Any:
    """The first and the last eight bytes of every page."""
    return np.frombuffer(data[:SIZE], "<u8").reshape(PAGES, -1)[:, [0, -1]]


def is_whole(data: memoryview, sequence: int) -> bool:
    """Look twice, for whoever writes while we look."""
    return bool((stamps(data) == sequence).all() and (stamps(data) == sequence).all())


def write(folder: RunFolder, _name: str) -> None:
    with contextlib.closing(publish_frames(folder, CAMERA, SIZE)) as publisher:
        for _ in until_told():
            writer = publisher.borrow()
            np.frombuffer(writer.data[:SIZE], "<u8").reshape(PAGES, -1)[:, [0, -1]] = writer.sequence
            writer.write(FrameInfo(writer.sequence, 0, 0, 1, 1, PixelFormat.JPEG), SIZE)
            publisher.send(writer)


def read(folder: RunFolder, name: str) -> None:
    with contextlib.closing(subscribe_frames(folder, CAMERA, name)) as subscriber:
        for _ in until_told():
            while (loan := subscriber.wait(0.1)) is None:
                if select.select([sys.stdin], [], [], 0)[0]:
                    return
            with loan as frame:
                if frame.info.frame_number != loan.sequence or not is_whole(frame.data, loan.sequence):
                    print("TORN", flush=True)


def read_carelessly(folder: RunFolder, name: str) -> None:
    """Give back first, look then: what the protocol forbids, and what `is_whole` must be able to see."""
    with contextlib.closing(subscribe_frames(folder, CAMERA, name)) as subscriber:
        for _ in until_told():
            loan = subscriber.wait(0.1)
            if loan is not None:
                held: Any = subscriber._held
                data = held._buffer[held._layout.vector_at :]
                loan.release()
                torn = not is_whole(data, loan.sequence)
                del held, data
                if torn:
                    print("TORN", flush=True)
                    return


def a_state(number: int) -> CameraState:
    """A state whose every field says which one it is."""
    change = Transition(SentryState.STANDBY, SentryState.TRACKING, number, number, number, 0.5)
    return CameraState(
        state=SentryState(number % 3),
        known=bool(number % 2),
        person_count=number,
        observed_frame=number,
        last_sighting_ns=number,
        misses=number,
        transitions=(change,) * (number % 17),
    )


def state(folder: RunFolder, _name: str) -> None:
    with contextlib.closing(publish_state(folder, CAMERA)) as publisher:
        for number in until_told():
            writer = publisher.borrow()
            writer.write(a_state(number))
            publisher.send(writer)


def a_heartbeat(number: int) -> Heartbeat:
    """Of a length that changes, up to several pages."""
    counters = {f"counter{i}": float(number) for i in range(number % 300)}
    return Heartbeat("actor", Health.RUNNING, number, number, f"beat {number}", counters=counters)


def beat(folder: RunFolder, name: str) -> None:
    file = HeartbeatFile(folder, name)
    for number in until_told():
        file.write(a_heartbeat(number))


ROLES = {"write": write, "read": read, "read_carelessly": read_carelessly, "state": state, "beat": beat}

if __name__ == "__main__":
    ROLES[sys.argv[1]](RunFolder(sys.argv[2]), sys.argv[3])

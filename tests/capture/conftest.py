"""A run folder of the test's own, and whatever stands behind the camera's process: inference, controller, heartbeat."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from typing import TYPE_CHECKING

import pytest

from appliance.capture import service
from appliance.config import Camera, Settings
from appliance.ipc.heartbeat import HeartbeatFile
from appliance.ipc.mailbox import publish_state, subscribe_frames
from appliance.ipc.run_folder import RunFolder
from appliance.messages import CameraState, FrameInfo, Health, Heartbeat, Mode
from appliance.stage import Pulse, StageContext, Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


PATIENCE_S = 20.0
"""Nothing here takes a tenth of it; a test that hangs ends with words."""


class Heard(HeartbeatFile):
    """The heartbeat's file, and all that was ever written to it."""

    def __init__(self, folder: RunFolder, name: str) -> None:
        super().__init__(folder, name)
        self.beats: list[Heartbeat] = []
        self._news = threading.Condition()

    def write(self, beat: Heartbeat) -> None:
        super().write(beat)
        with self._news:
            self.beats.append(beat)
            self._news.notify_all()

    def until(self, *told: Health) -> None:
        """Wait until the camera was said to be these, in this order (and maybe others in between)."""

        def heard() -> bool:
            left = iter(self.healths)
            return all(health in left for health in told)

        with self._news:
            assert self._news.wait_for(heard, PATIENCE_S), f"never heard {told}, only {self.healths}"

    @property
    def healths(self) -> list[Health]:
        """How the camera was said to be, change by change."""
        told = [source.health for beat in self.beats for source in beat.sources]
        return [health for i, health in enumerate(told) if i == 0 or told[i - 1] is not health]

    @property
    def reasons(self) -> set[str]:
        return {source.reason for beat in self.beats for source in beat.sources}


class House:
    """Who reads the camera's frames and answers on its state channel: inference and controller in one."""

    def __init__(self, folder: RunFolder, camera: str) -> None:
        self._frames = subscribe_frames(folder, camera, "inference")
        self._states = publish_state(folder, camera)

    def next(self, seconds: float = PATIENCE_S) -> tuple[FrameInfo, bytes] | None:
        """Return the next frame and its picture; None where none came for so long."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            loan = self._frames.wait(left)
            if loan is not None:
                with loan as frame:
                    return frame.info, bytes(frame.data)
        return None

    def answer(self, observed: int = 0, mode: Mode = Mode.STANDBY) -> None:
        writer = self._states.borrow()
        writer.write(CameraState(mode=mode, observed_frame=observed))
        self._states.send(writer)

    def watch(self, mode_after: Callable[[int], Mode], frames: int) -> list[tuple[FrameInfo, bytes]]:
        """Take `frames` frames, each answered with the mode that is asked for after it."""
        taken: list[tuple[FrameInfo, bytes]] = []
        for _ in range(frames):
            found = self.next()
            assert found is not None, f"after {len(taken)} frames no other came"
            taken.append(found)
            self.answer(found[0].frame_number, mode_after(found[0].frame_number))
        return taken

    @property
    def lost(self) -> int:
        return self._frames.lost

    def close(self) -> None:
        self._frames.close()
        self._states.close()


class Running:
    """One camera's process as a thread, with its house."""

    def __init__(self, folder: RunFolder, camera: Camera) -> None:
        self.house = House(folder, camera.id)
        self.heard = Heard(folder, f"capture.{camera.id}")
        self.stop = Stop()
        self.pulse = Pulse(self.heard, f"capture.{camera.id}")
        context = StageContext(Settings(cameras=(camera,)), folder, self.pulse, self.stop)
        self._raised: BaseException | None = None
        self._ended = False
        self._thread = threading.Thread(target=self._run, args=(context, camera))
        self._thread.start()

    def _run(self, context: StageContext, camera: Camera) -> None:
        try:
            service.run(context, camera)
        except BaseException as error:  # noqa: BLE001 -- raised again in the test's thread
            self._raised = error

    def end(self) -> None:
        """Stop it as a signal does; whatever it died of is raised here."""
        if self._ended:
            return
        self._ended = True
        self.stop.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "the camera's process does not stop"
        self.house.close()
        os.close(self.stop.fileno())
        os.close(self.stop._write)
        if self._raised is not None:
            raise self._raised


@pytest.fixture
def folder() -> Iterator[RunFolder]:
    one = RunFolder(f"test_{secrets.token_hex(6)}")
    one.create()
    yield one
    one.remove()


@pytest.fixture
def capturing(folder: RunFolder) -> Iterator[Callable[[Camera], Running]]:
    """Start a camera's process; it is ended after the test."""
    with contextlib.ExitStack() as ends:

        def start(camera: Camera) -> Running:
            running = Running(folder, camera)
            ends.callback(running.end)
            return running

        yield start

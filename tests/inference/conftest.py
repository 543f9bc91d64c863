"""A run folder of the test's own, cameras and a controller for it, and the inference stage as a thread."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from typing import TYPE_CHECKING

import pytest

from appliance import stage
from appliance.config import Camera, Model, Settings
from appliance.inference import service
from appliance.ipc.heartbeat import HeartbeatFile
from appliance.ipc.mailbox import publish_frames, publish_state, subscribe_detections
from appliance.ipc.run_folder import RunFolder
from appliance.messages import NO_TRACE, CameraState, Detections, FrameInfo, Health, Heartbeat, PixelFormat
from appliance.stage import Pulse, StageContext, Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from appliance.messages import TraceContext


PATIENCE_S = 20.0
"""Nothing here takes a tenth of it; a test that hangs ends with words."""


class Heard(HeartbeatFile):
    """The heartbeat's file, and an ear for it."""

    def __init__(self, folder: RunFolder, name: str) -> None:
        super().__init__(folder, name)
        self._newest: Heartbeat | None = None
        self._news = threading.Condition()

    def write(self, beat: Heartbeat) -> None:
        super().write(beat)
        with self._news:
            self._newest = beat
            self._news.notify_all()

    def until(self, wanted: Callable[[Heartbeat], bool]) -> Heartbeat:
        """Return the first heartbeat from now on that is so."""
        with self._news:
            heard = self._news.wait_for(lambda: self._newest is not None and wanted(self._newest), PATIENCE_S)
            assert heard, f"never heard; the last was {self._newest}"
            assert self._newest is not None
            return self._newest


class Street:
    """What stands around the inference stage for one camera: its capture, and its controller."""

    def __init__(self, folder: RunFolder, camera: str) -> None:
        self.frames = publish_frames(folder, camera, 1_000_000)
        self.states = publish_state(folder, camera)
        self._detections = subscribe_detections(folder, camera, "controller")

    def show(
        self,
        number: int,
        data: bytes,
        size: tuple[int, int] = (64, 48),
        kind: PixelFormat = PixelFormat.JPEG,
        trace: TraceContext = NO_TRACE,
    ) -> FrameInfo:
        """Publish one frame."""
        now = time.monotonic_ns()
        info = FrameInfo(number, now, 10**18 + now, *size, kind, trace=trace)
        writer = self.frames.borrow()
        writer.data[: len(data)] = data
        writer.write(info, len(data))
        self.frames.send(writer)
        return info

    def tell(self, state: CameraState) -> None:
        writer = self.states.borrow()
        writer.write(state)
        self.states.send(writer)

    def found(self, seconds: float = PATIENCE_S) -> Detections | None:
        """Return the next detections; None where none came for so long."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            loan = self._detections.wait(left)
            if loan is not None:
                with loan as value:
                    return value
        return None

    def close(self) -> None:
        self.frames.close()
        self.states.close()
        self._detections.close()


class Running:
    """The inference stage as a thread, with a street for each of its cameras."""

    def __init__(self, folder: RunFolder, settings: Settings) -> None:
        self.streets = [Street(folder, camera.id) for camera in settings.cameras]
        self.heard = Heard(folder, "inference")
        self.pulse = Pulse(self.heard, "inference")
        self.stop = Stop()
        self._raised: BaseException | None = None
        context = StageContext(settings, folder, self.pulse, self.stop)
        self._thread = threading.Thread(target=self._run, args=(context,))
        self._thread.start()
        self.heard.until(lambda beat: beat.health is Health.RUNNING)

    @property
    def street(self) -> Street:
        return self.streets[0]

    def _run(self, context: StageContext) -> None:
        try:
            service.run(context)
        except BaseException as error:  # noqa: BLE001 -- raised again in the test's thread
            self._raised = error

    def end(self) -> None:
        """Stop it as a signal does; whatever it died of is raised here."""
        self.stop.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "the stage does not stop"
        for street in self.streets:
            street.close()
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


def _model(path: Path, threshold: float) -> Model:
    """Nothing is left to choose, so nothing is tried."""
    return Model(path=path, backend="onnxruntime", threads=1, threshold=threshold)


@pytest.fixture
def inferring(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Running]]:
    """Start the stage for these cameras with this model; it is ended after the test. Its heart beats at every look."""
    monkeypatch.setattr(stage, "BEAT_S", 0.0)
    with contextlib.ExitStack() as ends:

        def start(model: Path, *cameras: Camera, threshold: float = 0.5) -> Running:
            seen = cameras or (Camera(id="porch", source="file:none"),)
            running = Running(folder, Settings(cameras=seen, model=_model(model, threshold)))
            ends.callback(running.end)
            return running

        yield start

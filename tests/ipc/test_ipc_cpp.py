"""A C++ program that knows only the schemas reads live slots, and so does the official Python package: as we do."""

from __future__ import annotations

import contextlib
import json
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from appliance.ipc.errors import CorruptError
from appliance.ipc.generated.CameraState import CameraState as FbCameraState
from appliance.ipc.generated.Detections import Detections as FbDetections
from appliance.ipc.generated.Frame import Frame as FbFrame
from appliance.ipc.generated.Heartbeat import Heartbeat as FbHeartbeat
from appliance.ipc.heartbeat import HeartbeatFile, read_heartbeats
from appliance.ipc.run_folder import RunFolder
from appliance.messages import CameraState, Detections, FrameInfo, Heartbeat
from tests.ipc.live import KINDS, Live
from tests.ipc.portraits import official, ours
from tests.ipc.values import HEARTBEATS, detections, pictures, states
from tests.rig import need_program

pytestmark = pytest.mark.real

HERE = Path(__file__).resolve().parent
SCHEMAS = HERE.parents[1] / "schemas"
HEADERS = Path("/usr/include/flatbuffers/flatbuffers.h")
FRAMES, DETECTIONS, STATE = KINDS

FEW = settings(max_examples=20, phases=[Phase.generate])  # each is a process; of a failure the difference says enough
Program = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """Run read_slot.cpp on KIND, FILE and SLOT."""
    compiler = need_program("g++", "g++")
    flatc = need_program("flatc", "flatbuffers-compiler")
    if not HEADERS.exists():
        pytest.skip(f"not here: {HEADERS} (Debian: libflatbuffers-dev)")
    into = tmp_path_factory.mktemp("cpp")
    made = into / "read_slot"
    subprocess.run([flatc, "--cpp", "-o", into, *SCHEMAS.glob("*.fbs")], check=True)
    source = HERE / "read_slot.cpp"
    subprocess.run([compiler, "-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{into}", "-o", made, source], check=True)

    def run(kind: str, file: Path, slot: int = 0) -> subprocess.CompletedProcess[str]:
        return subprocess.run([made, kind, file, str(slot)], capture_output=True, text=True, check=False)

    return run


class Three:
    """Publishes a value, and has it read by all three while the loan is held."""

    def __init__(self, program: Program, live: Live, ends: contextlib.ExitStack) -> None:
        self._program = program
        self._live = live
        self._subscriber = ends.enter_context(live.subscribe())

    def agree_on(self, write: Callable[[Any], None], root: Any) -> Any:
        """Return the value that we have read; a picture is gone with its loan."""
        live = self._live
        writer = live.publisher.borrow()
        write(writer)
        live.publisher.send(writer)
        loan = self._subscriber.receive()
        assert loan is not None
        with loan as value:
            portrait = {"sequence": loan.sequence, **ours(value)}
            done = self._program(live.channel.kind, live.path, writer.slot)
            assert done.returncode == 0, done.stderr
            assert json.loads(done.stdout) == portrait
            slot = bytes(live.memory[live.start(writer.slot) : live.start(writer.slot) + live.header.size])
            assert official(root.GetRootAs(slot, 0), portrait) == portrait
        return value


def test_frames_are_read_alike_by_cpp_and_by_both_pythons(
    program: Program, folder: RunFolder, ends: contextlib.ExitStack
) -> None:
    three = Three(program, Live(folder, FRAMES, ends), ends)

    @FEW
    @given(pictures())
    def agree(picture: tuple[FrameInfo, bytes]) -> None:
        info, data = picture

        def write(writer: Any) -> None:
            writer.data[: len(data)] = data
            writer.write(info, len(data))

        assert three.agree_on(write, FbFrame).info == info

    agree()


@pytest.mark.parametrize("count", [0, 1, 20, 300])
def test_detections_are_read_alike_by_cpp_and_by_both_pythons(
    program: Program, folder: RunFolder, ends: contextlib.ExitStack, count: int
) -> None:
    three = Three(program, Live(folder, DETECTIONS, ends), ends)

    @FEW
    @given(detections(st.just(count)))
    def agree(value: Detections) -> None:
        assert three.agree_on(lambda writer: writer.write(value), FbDetections) == value

    agree()


@pytest.mark.parametrize("count", [0, 16])
def test_states_are_read_alike_by_cpp_and_by_both_pythons(
    program: Program, folder: RunFolder, ends: contextlib.ExitStack, count: int
) -> None:
    three = Three(program, Live(folder, STATE, ends), ends)

    @FEW
    @given(states(count, count))
    def agree(value: CameraState) -> None:
        assert three.agree_on(lambda writer: writer.write(value), FbCameraState) == value

    agree()


def test_heartbeats_are_read_alike_by_cpp_and_by_both_pythons(program: Program, folder: RunFolder) -> None:
    file = HeartbeatFile(folder, "capture")

    @FEW
    @given(HEARTBEATS)
    def agree(beat: Heartbeat) -> None:
        file.write(beat)
        assert read_heartbeats(folder) == {"capture": beat}
        portrait = ours(beat)
        path = folder.heartbeats / "capture"
        done = program("heartbeats", path)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == portrait
        assert official(FbHeartbeat.GetRootAs(path.read_bytes(), 0), portrait) == portrait

    agree()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("fault", ["too long", "another identifier"])
def test_what_we_refuse_cpp_does_not_verify(
    program: Program, folder: RunFolder, ends: contextlib.ExitStack, kind: Any, fault: str
) -> None:
    live = Live(folder, kind, ends)
    subscriber = ends.enter_context(live.subscribe())
    slot = live.publish()
    if fault == "too long":
        live.overwrite(live.start(slot) + live.vector_at - 4, struct.pack("<I", 2**31))
    else:
        live.overwrite(live.start(slot) + 4, b"PLX9")
    done = program(kind.name, live.path, slot)
    assert (done.returncode, done.stderr) == (1, "not verified\n")
    with pytest.raises(CorruptError):
        subscriber.receive()

"""One backend's trial: it answers the golden picture in a process of its own, for what it does there may kill it.

`python -m appliance.inference.trial REQUEST` (JSON) is that process; it prints its Result as one line of JSON, and
before that, while an engine is built, how much of it is done.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import simplejpeg

from appliance.inference import engines
from appliance.inference.backends import open_backend
from appliance.inference.detector import AbsentError, BackendError, EngineError, ModelError, ModelInfo
from appliance.inference.selftest import Answer, answer, answer_from
from appliance.messages import Frame, FrameInfo, PixelFormat

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_S = 180.0
"""A backend that has not answered by then hangs. A Raspberry Pi needs about 20 s for the largest model."""
BUILD_PATIENCE_S = 3600.0
"""The same for one that builds its engine first. No camera waits for it; it ends what would never end."""
BUILD_NICENESS = 10
"""Those who watch meanwhile need the processor more."""
RUNS = 9
LEAST_RUNS = 3
LONGEST_S = 3.0
"""A slow machine is not made to wait for all the runs."""
_MODEL_REFUSED = 3
_BACKEND_REFUSED = 4
_ABSENT = 5
_ENGINE_REFUSED = 6
_PR_SET_PDEATHSIG = 1
_BUILT = b"built "
_ENDING_S = 10.0
"""A process that has closed its output is about to end; some libraries take their time."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be tried. `info` is what the reference has read of the model; None: this is the reference.

    `model` is the file that the backend loads; with `build_in`, the one whose engine is built first, in that folder.
    """

    backend: str
    model: str
    threads: int
    info: ModelInfo | None = None
    build_in: str = ""
    niceness: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """What came out. `latency_ms` is the fastest of the model's runs: the others tell of the machine's neighbours."""

    info: ModelInfo
    answer: Answer
    latency_ms: float


def attempt(
    request: Request,
    keep_going: Callable[[], bool],
    patience_s: float = PATIENCE_S,
    tell: Callable[[float], None] = lambda _share: None,
) -> Result:
    """Try it in a child process. `keep_going` is called about ten times a second; False ends the trial.

    `tell` hears how much of the engine is built, 0..1, where one is.
    ModelError: no backend can use this model. BackendError: this one was refused, crashed or hung, and how.
    """
    command = [sys.executable, "-m", "appliance.inference.trial", json.dumps(dataclasses.asdict(request))]
    with tempfile.TemporaryFile() as err:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err)
        try:
            last = _listen(request, child, time.monotonic() + patience_s, keep_going, tell)
        except TimeoutError:
            raise BackendError(f"{request.backend} did not answer within {patience_s:.0f} s") from None
        finally:
            if child.poll() is None:
                child.kill()
            child.communicate()
        err.seek(0)
        return _judged(request, child.returncode, last, err.read())


def _listen(
    request: Request,
    child: subprocess.Popen[bytes],
    deadline_s: float,
    keep_going: Callable[[], bool],
    tell: Callable[[float], None],
) -> bytes:
    """Hear the child out. Return the last line it said. TimeoutError; BackendError: it was broken off."""
    if child.stdout is None:
        raise ValueError("the child's output is piped")
    said, last = b"", b""
    while True:
        if not keep_going():
            raise BackendError(f"the trial of {request.backend} was broken off")
        if time.monotonic() > deadline_s:
            raise TimeoutError
        if not select.select([child.stdout], [], [], 0.1)[0]:  # so often, for whoever waits must show that it lives
            continue
        new = os.read(child.stdout.fileno(), 65536)
        *lines, said = (said + new).split(b"\n")
        for line in lines:
            if line.startswith(_BUILT):
                tell(float(line.removeprefix(_BUILT)))
            else:
                last = line
        if not new:
            with contextlib.suppress(subprocess.TimeoutExpired):  # then it is killed, and that is told
                child.wait(_ENDING_S)
            return last


def _judged(request: Request, code: int, last: bytes, err: bytes) -> Result:
    said = err.decode(errors="replace").strip().rpartition("\n")[2][:500]
    if code == 0:
        try:
            return _result(json.loads(last))
        except (ValueError, KeyError, TypeError, AttributeError):  # whoever ended it there was not us
            raise BackendError(f"{request.backend} ended its trial without an answer") from None
    if code == _MODEL_REFUSED:
        raise ModelError(said)
    if code == _ABSENT:
        raise AbsentError(said)
    if code == _ENGINE_REFUSED:
        raise EngineError(said)
    if code == _BACKEND_REFUSED:
        raise BackendError(said)
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    raise BackendError(f"{request.backend} {how} in its trial{f': {said}' if said else ''}")


def _result(document: dict[str, Any]) -> Result:
    return Result(info_from(document["info"]), answer_from(document["answer"]), document["latency_ms"])


def info_from(document: dict[str, Any]) -> ModelInfo:
    """Return the ModelInfo that `dataclasses.asdict` and JSON made a dictionary of. Its keys became words."""
    classes = {int(column): name for column, name in document["classes"].items()}
    return ModelInfo(**{**document, "classes": classes})


def golden_frame() -> Frame:
    """Return the picture that every backend is shown: two people and a car on the painted porch."""
    data = resources.files("appliance.inference").joinpath("golden.jpg").read_bytes()
    height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    return Frame(FrameInfo(1, 0, 0, width, height, PixelFormat.JPEG), memoryview(data))


def perform(request: Request) -> Result:
    """Open the backend, show it the picture, time it: what the child process does."""
    os.nice(request.niceness)
    file = Path(request.model)
    if request.build_in:
        file = engines.build(file, Path(request.build_in), _tell)
    detector = open_backend(request.backend, file, request.info, request.threads)
    detector.take(golden_frame())
    seen = answer(*detector.detect())
    took: list[float] = []
    while len(took) < LEAST_RUNS or (len(took) < RUNS and sum(took) < LONGEST_S):
        began = time.perf_counter()
        detector.detect()
        took.append(time.perf_counter() - began)
    return Result(detector.info, seen, min(took) * 1e3)


def _tell(share: float) -> None:
    print(f"{_BUILT.decode()}{share:.3f}", flush=True)


def main(text: str) -> int:
    document = json.loads(text)
    info = document.pop("info")
    request = Request(**document, info=None if info is None else info_from(info))
    try:
        result = perform(request)
    except ModelError as error:
        print(" ".join(str(error).splitlines()), file=sys.stderr)
        return _MODEL_REFUSED
    except BackendError as error:
        print(" ".join(str(error).splitlines()), file=sys.stderr)
        kinds = {AbsentError: _ABSENT, EngineError: _ENGINE_REFUSED}
        return kinds.get(type(error), _BACKEND_REFUSED)
    print(json.dumps(dataclasses.asdict(result)))
    return 0


def _be_the_child() -> None:
    """End with whoever wanted to know; what libraries print is not the result; and where memory is short, go first."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    sys.stdout = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)


if __name__ == "__main__":
    _be_the_child()
    sys.exit(main(sys.argv[1]))

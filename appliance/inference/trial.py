"""One backend's trial: it answers the golden picture in a process of its own, for what it does there may kill it.

`python -m appliance.inference.trial REQUEST` (JSON) is that process; it prints its Result as one line of JSON.
"""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import simplejpeg

from appliance.inference.backends import open_backend
from appliance.inference.detector import AbsentError, BackendError, ModelError, ModelInfo
from appliance.inference.selftest import Answer, answer, answer_from
from appliance.messages import Frame, FrameInfo, PixelFormat

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_S = 180.0
"""A backend that has not answered by then hangs. A Raspberry Pi needs about 20 s for the largest model."""
RUNS = 9
LEAST_RUNS = 3
LONGEST_S = 3.0
"""A slow machine is not made to wait for all the runs."""
_MODEL_REFUSED = 3
_BACKEND_REFUSED = 4
_ABSENT = 5


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be tried. `info` is what the reference has read of the model; None: this is the reference."""

    backend: str
    model: str
    threads: int
    info: ModelInfo | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What came out. `latency_ms` is the fastest of the model's runs: the others tell of the machine's neighbours."""

    info: ModelInfo
    answer: Answer
    latency_ms: float


def attempt(request: Request, keep_going: Callable[[], bool], patience_s: float = PATIENCE_S) -> Result:
    """Try it in a child process. `keep_going` is called about ten times a second; False ends the trial.

    ModelError: no backend can use this model. BackendError: this one was refused, crashed or hung, and how.
    """
    command = [sys.executable, "-m", "appliance.inference.trial", json.dumps(dataclasses.asdict(request))]
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + patience_s
    try:
        while True:
            try:
                out, err = child.communicate(timeout=0.1)  # so often, for whoever waits must show that it lives
                break
            except subprocess.TimeoutExpired:
                if not keep_going():
                    raise BackendError(f"the trial of {request.backend} was broken off") from None
                if time.monotonic() > deadline:
                    raise BackendError(f"{request.backend} did not answer within {patience_s:.0f} s") from None
    finally:
        if child.poll() is None:
            child.kill()
            child.communicate()
    return _judged(request, child.returncode, out, err)


def _judged(request: Request, code: int, out: bytes, err: bytes) -> Result:
    said = err.decode(errors="replace").strip().rpartition("\n")[2][:500]
    if code == 0:
        return _result(json.loads(out))
    if code == _MODEL_REFUSED:
        raise ModelError(said)
    if code == _ABSENT:
        raise AbsentError(said)
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
    detector = open_backend(request.backend, Path(request.model), request.info, request.threads)
    detector.take(golden_frame())
    seen = answer(*detector.detect())
    took: list[float] = []
    while len(took) < LEAST_RUNS or (len(took) < RUNS and sum(took) < LONGEST_S):
        began = time.perf_counter()
        detector.detect()
        took.append(time.perf_counter() - began)
    return Result(detector.info, seen, min(took) * 1e3)


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
        return _ABSENT if isinstance(error, AbsentError) else _BACKEND_REFUSED
    print(json.dumps(dataclasses.asdict(result)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

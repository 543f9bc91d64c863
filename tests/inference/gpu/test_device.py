"""On a true card: what the doubles can only claim. One command: `pytest tests/inference/gpu -m real -k device`.

None of these tests has been run yet: no card could be had when they were written. They skip where there is none.
"""

from __future__ import annotations

import importlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.inference import engines, selftest
from appliance.inference.backends import BACKENDS, open_backend
from appliance.inference.cpu_input import CpuInput
from appliance.inference.detector import AbsentError, BackendError
from appliance.inference.gpu.cuda_input import CudaInput
from appliance.inference.gpu.cupy_device import open_device
from appliance.inference.gpu.device import Device
from appliance.inference.picture import Decoder
from appliance.inference.rfdetr import WIDE_PIXELS
from appliance.inference.trial import golden_frame
from appliance.messages import Frame, PixelFormat
from tests.inference.gpu.frames import GRAIN, RAW, apart, expected, extreme, noise
from tests.inference.graphs import random_rfdetr
from tests.inference.reference import expected_tensor
from tests.rig import MODEL, ROOT, need, need_program

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

SIDE = 384
SIZES = [(1, 1), (2, 2), (3, 3), (5, 7), (61, 97), (97, 61), (640, 360), (641, 361), (1280, 720), (1920, 1080)]
ROUNDS = 200


@pytest.fixture
def device() -> Device:
    try:
        return open_device()
    except AbsentError as error:
        pytest.skip(f"no CUDA device here ({error})")


@pytest.fixture
def taking(device: Device) -> Iterator[CudaInput]:
    one = CudaInput(device, SIDE)
    yield one
    one.close()


def cupy() -> Any:
    """Return the module, which no type checker here has ever seen."""
    return importlib.import_module("cupy")


def seen(device: Device, taking: CudaInput, one: Frame) -> Any:
    """Return the card's tensor, copied to this memory."""
    taking.take(one)
    device.synchronise()
    tensor = np.empty((1, 3, SIDE, SIDE), np.float32)
    runtime = cupy().cuda.runtime
    runtime.memcpy(
        tensor.ctypes.data, taking.pointer, tensor.nbytes, runtime.memcpyDeviceToHost
    )  # cupy.cuda.runtime.memcpy(dst, src, size, kind), v14.2
    return tensor


@pytest.mark.parametrize("kind", RAW, ids=lambda kind: kind.name)
@pytest.mark.parametrize("paint", [noise, extreme])
def test_on_a_device_the_tensor_is_the_cpu_paths_within_one_grey_step(
    device: Device,
    taking: CudaInput,
    figure: Callable[[str, str], None],
    kind: PixelFormat,
    paint: Callable[..., Frame],
) -> None:
    worst = [0.0, 0.0, 0.0]
    for width, height in SIZES:
        if width % GRAIN[kind][0] or height % GRAIN[kind][1]:
            continue
        one = paint(kind, width, height)
        tensor = seen(device, taking, one)
        off = apart(tensor, expected(one, SIDE))
        large = width * height > WIDE_PIXELS
        assert off <= (1.0 if large else 0.02), f"{width}x{height}"
        worst[large] = max(worst[large], off)
        worst[2] = max(worst[2], apart(tensor, expected_tensor(Decoder(SIDE).decode(one), SIDE)))
    assert worst[2] <= 0.001
    figure(
        f"CUDA device, {kind.name}, {paint.__name__}: furthest from the CPU path (16 bits, bytes), the definition",
        f"{worst[0]:.4f}/255, {worst[1]:.4f}/255, {worst[2]:.6f}/255",
    )


@pytest.mark.parametrize(("width", "height"), [(64, 48), (641, 361), (1920, 1080)])
def test_on_a_device_a_jpeg_is_the_cpu_paths_too(device: Device, taking: CudaInput, width: int, height: int) -> None:
    one = noise(PixelFormat.JPEG, width, height)
    assert apart(seen(device, taking, one), expected(one, SIDE)) <= 1.0


def test_on_a_device_frames_that_take_turns_do_not_mix(device: Device, taking: CudaInput) -> None:
    """No wait but take()'s own lies between them: pinned memory that was written too early would show."""
    frames = [noise(kind, 1920, 1080, seed) for seed, kind in enumerate(RAW * 5)]
    for one in frames[:-1]:
        taking.take(one)
    assert apart(seen(device, taking, frames[-1]), expected(frames[-1], SIDE)) <= 1.0


@pytest.mark.parametrize("kind", RAW, ids=lambda kind: kind.name)
@pytest.mark.parametrize(("width", "height"), [(640, 360), (1920, 1080)])
def test_on_a_device_times_beside_a_plain_copy_of_the_same_bytes(
    device: Device, figure: Callable[[str, str], None], kind: PixelFormat, width: int, height: int
) -> None:
    """CUDA events around the upload and around the kernel, medians of ROUNDS after 20 that do not count; the plain copy
    is the same upload of the same pinned bytes with nothing behind it. The whole path is take() and the wait for it, by
    this machine's clock and without events; the CPU's is CpuInput.take().
    """
    one = noise(kind, width, height)
    uploads, launches, plainly = (Timed(device, call) for call in (device.upload, device.launch, device.upload))
    parts = CudaInput(_Measured(device, uploads, launches), SIDE)
    for _ in range(20 + ROUNDS):
        parts.take(one)
        plainly(parts._reserve(one.data.nbytes), parts._pinned)
    parts.close()
    taking, cpu = CudaInput(device, SIDE), CpuInput(SIDE)
    whole: list[float] = []
    alone: list[float] = []
    for _ in range(20 + ROUNDS):
        began = time.perf_counter()
        taking.take(one)
        device.synchronise()
        whole.append(time.perf_counter() - began)
        began = time.perf_counter()
        cpu.take(one)
        alone.append(time.perf_counter() - began)
    taking.close()

    def middle(times: list[float]) -> float:
        return statistics.median(times[20:]) * 1e6

    figure(
        f"CUDA device, {kind.name} {width}x{height} to {SIDE}: kernel, upload, plain copy; whole path, CPU path",
        f"{middle(launches.took):.1f}, {middle(uploads.took):.1f}, {middle(plainly.took):.1f}; "
        f"{middle(whole):.0f}, {middle(alone):.0f} us",
    )
    assert len(launches.took) == 20 + ROUNDS


class Timed:
    """A call between two CUDA events; it is waited for, and what it took is noted in seconds."""

    def __init__(self, device: Device, call: Callable[..., None]) -> None:
        self._stream, self._call = cupy().cuda.ExternalStream(device.stream), call
        self.took: list[float] = []

    def __call__(self, *words: Any) -> None:
        cuda = cupy().cuda
        before, after = cuda.Event(), cuda.Event()  # cupy.cuda.Event, v14.2
        before.record(self._stream)
        self._call(*words)
        after.record(self._stream)
        after.synchronize()
        self.took.append(cuda.get_elapsed_time(before, after) / 1e3)  # cupy.cuda.get_elapsed_time, v14.2: in ms


class _Measured:
    """The device, with two of its calls timed."""

    def __init__(self, device: Device, upload: Timed, launch: Timed) -> None:
        self._device = device
        self.stream = device.stream
        self.compile, self.allocate, self.pin = device.compile, device.allocate, device.pin
        self.synchronise, self.download = device.synchronise, device.download
        self._upload, self._launch = upload, launch

    def upload(self, *words: Any) -> None:
        self._upload(*words)

    def launch(self, *words: Any) -> None:
        self._launch(*words)


def test_on_a_device_a_card_without_memory_is_told_in_words_and_can_be_used_on(device: Device) -> None:
    with pytest.raises(BackendError, match=r"the graphics card has failed while asking for .* out of memory"):
        device.allocate(1 << 50)
    assert device.allocate(1 << 20).pointer
    device.synchronise()


def test_on_a_device_the_sanitizer_finds_nothing(device: Device) -> None:
    """compute-sanitizer's memcheck over this file's comparisons, in a process of its own."""
    program = need_program("compute-sanitizer", "nvidia-cuda-toolkit")
    again = ["-m", "pytest", "-q", "-m", "real", "-k", "device and (cpu_paths or take_turns)", "tests/inference/gpu"]
    done = subprocess.run(
        [program, "--tool", "memcheck", "--error-exitcode", "99", sys.executable, *again],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert "ERROR SUMMARY: 0 errors" in done.stdout + done.stderr


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("graph", ["stand-in", "nano", "small"])
@pytest.mark.parametrize("backend", ["onnxruntime_cuda", "tensorrt"])
def test_on_a_device_a_backend_answers_as_the_processor_does(
    device: Device, figure: Callable[[str, str], None], tmp_path: Path, graph: str, backend: str
) -> None:
    """RF-DETR's stand-in from ../shared, and RF-DETR's own graphs with random weights; on the golden picture."""
    need(MODEL)
    model = MODEL if graph == "stand-in" else random_rfdetr(graph, tmp_path)
    reference = open_backend("onnxruntime", model, None, 2)
    began = time.perf_counter()
    try:
        file = engines.build(model, tmp_path, lambda _: None) if BACKENDS[backend].builds else model
        ours = open_backend(backend, file, reference.info, 1)
    except AbsentError as error:
        pytest.skip(str(error))
    opened_s = time.perf_counter() - began
    answers = []
    for detector in (reference, ours):
        detector.take(golden_frame())
        answers.append(selftest.answer(*detector.detect()))
    tolerance = selftest.EXACT if BACKENDS[backend].exact else selftest.ROUNDED
    assert selftest.complaint(answers[0], answers[1], tolerance) == ""
    times: list[list[float]] = []
    for detector in (reference, ours):
        took = []
        for _ in range(50):
            began = time.perf_counter()
            detector.take(golden_frame())
            detector.detect()
            took.append((time.perf_counter() - began) * 1e3)
        times.append(took)
    figure(
        f"{model.name}, {backend}: opened and built; a frame from JPEG to boxes, median of 50, processor and card",
        f"{opened_s:.0f} s; " + ", ".join(f"{statistics.median(took[10:]):.2f} ms" for took in times),
    )
    if backend == "onnxruntime_cuda":
        assert ours._one_stream, "ONNX Runtime does not tell that it took our stream"  # type: ignore[attr-defined]
    ours.close()

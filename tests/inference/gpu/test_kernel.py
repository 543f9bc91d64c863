"""The CUDA kernel, compiled for the processor, against the CPU path: every format, all kinds of sizes."""

from __future__ import annotations

import ctypes
import ctypes.util
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.inference.gpu.cuda_input import _OFFSETS, _SCALES, BLOCK, source
from appliance.inference.picture import Decoder
from appliance.inference.rfdetr import WIDE_PIXELS
from appliance.messages import Frame, PixelFormat
from tests.inference.gpu.frames import GRAIN, RAW, apart, expected, extreme, frame, noise
from tests.inference.gpu.processor import OnProcessor, build
from tests.inference.reference import expected_tensor

pytestmark = pytest.mark.real

ONE_STEP = 1.0
"""1/255 of the value range."""
SIXTEEN_BITS = 0.02
"""Of a grey step: how far the CPU path may be off where it resizes in 16 bits; in bytes it is up to 0.8."""
EXACT = 0.001
"""Likewise: what 32-bit floats may cost the kernel."""
SIZES = [
    *[(1, 1), (2, 2), (2, 1), (1, 2), (1, 640), (640, 1), (3, 3), (5, 7), (61, 97), (97, 61)],
    *[(384, 384), (768, 768), (640, 480), (641, 481), (1280, 720), (720, 1280), (1920, 1080), (1919, 1079)],
]
SIDE = 384


def filled(kernel: OnProcessor, one: Frame, side: int) -> Any:
    """Return the tensor that the kernel makes of a raw frame."""
    data = np.frombuffer(one.data, np.uint8)
    tensor = np.full((1, 3, side, side), np.nan, np.float32)
    info = one.info
    kernel(
        (-(-side // BLOCK[0]), -(-side // BLOCK[1])),
        BLOCK,
        [
            np.uint64(data.ctypes.data),
            *map(np.int32, (info.format, info.width, info.height)),
            np.uint64(tensor.ctypes.data),
            np.int32(side),
            *_SCALES,
            *_OFFSETS,
        ],
    )
    return tensor


def fits(kind: PixelFormat, width: int, height: int) -> bool:
    across, down = GRAIN[kind]
    return width % across == 0 and height % down == 0


@pytest.mark.parametrize("kind", RAW, ids=lambda kind: kind.name)
@pytest.mark.parametrize("paint", [noise, extreme])
def test_it_makes_what_the_cpu_path_makes_within_one_grey_step(
    kernel: OnProcessor, figure: Callable[[str, str], None], kind: PixelFormat, paint: Callable[..., Frame]
) -> None:
    worst = [0.0, 0.0]
    for width, height in SIZES:
        if fits(kind, width, height):
            one = paint(kind, width, height)
            off = apart(filled(kernel, one, SIDE), expected(one, SIDE))
            in_bytes = width * height > WIDE_PIXELS
            assert off <= (ONE_STEP if in_bytes else SIXTEEN_BITS), f"{width}x{height}"
            worst[in_bytes] = max(worst[in_bytes], off)
    figure(
        f"CUDA kernel on the processor, {kind.name}, {paint.__name__}: furthest from the CPU path (16 bits, bytes)",
        ", ".join(f"{off:.4f}/255" for off in worst),
    )


@pytest.mark.parametrize("kind", RAW, ids=lambda kind: kind.name)
def test_it_is_the_definition_on_opencvs_colours(
    kernel: OnProcessor, figure: Callable[[str, str], None], kind: PixelFormat
) -> None:
    worst = 0.0
    for width, height in SIZES:
        if fits(kind, width, height):
            one = noise(kind, width, height, seed=width)
            definition = expected_tensor(Decoder(SIDE).decode(one), SIDE)
            off = apart(filled(kernel, one, SIDE), definition)
            assert off <= EXACT, f"{width}x{height}"
            worst = max(worst, off)
    figure(f"CUDA kernel on the processor, {kind.name}: furthest from the definition in float64", f"{worst:.6f}/255")


@settings(max_examples=300)
@given(
    kind=st.sampled_from(RAW),
    columns=st.integers(1, 90),
    rows=st.integers(1, 90),
    side=st.integers(1, 80),
    seed=st.integers(0, 99),
)
def test_any_size_is_squeezed_alike(
    kernel: OnProcessor, kind: PixelFormat, columns: int, rows: int, side: int, seed: int
) -> None:
    across, down = GRAIN[kind]
    one = noise(kind, columns * across, rows * down, seed)
    tensor = filled(kernel, one, side)
    assert apart(tensor, expected(one, side)) <= SIXTEEN_BITS
    assert apart(tensor, expected_tensor(Decoder(side).decode(one), side)) <= EXACT


def test_every_colour_that_bytes_can_say_is_opencvs(kernel: OnProcessor) -> None:
    """All 2^24 of Y, U and V, each over two by two pixels, resized to themselves: the arithmetic and nothing else."""
    side = 512
    v, u = (plane.astype(np.uint8) for plane in np.mgrid[:256, :256])
    colours = np.stack((u, v), axis=2).reshape(256, 512)
    for luma in range(256):
        data = np.concatenate((np.full((side, side), luma, np.uint8), colours))
        tensor = filled(kernel, frame(PixelFormat.NV12, side, side, data.tobytes()), side)
        grey = tensor[0] * 255 * np.array([0.229, 0.224, 0.225], np.float32)[:, None, None]
        grey += 255 * np.array([0.485, 0.456, 0.406], np.float32)[:, None, None]
        wanted = cv2.cvtColor(data, cv2.COLOR_YUV2RGB_NV12).transpose(2, 0, 1)
        assert np.array_equal(np.rint(grey), wanted), f"Y = {luma}"


def test_it_writes_every_pixel_and_none_beyond(kernel: OnProcessor) -> None:
    """The grid is larger than the tensor wherever the side is no multiple of the block's."""
    for side in (1, 31, 32, 33, 70):
        around = np.full(3 * side * side + 64, 7, np.float32)
        one = noise(PixelFormat.RGB24, 50, 40)
        data = np.frombuffer(one.data, np.uint8)
        inside = around[32:-32]
        inside[:] = np.nan
        kernel(
            (-(-side // BLOCK[0]), -(-side // BLOCK[1])),
            BLOCK,
            [
                np.uint64(data.ctypes.data),
                *map(np.int32, (PixelFormat.RGB24, 50, 40)),
                np.uint64(inside.ctypes.data),
                np.int32(side),
                *_SCALES,
                *_OFFSETS,
            ],
        )
        assert np.all(np.isfinite(inside))
        assert np.all(around[:32] == 7)
        assert np.all(around[-32:] == 7)


def test_it_reads_no_byte_that_is_not_the_frames(tmp_path: Path) -> None:
    """With the sanitizers, in a process of its own; that they would say so is seen on frames that end too early."""
    program = tmp_path / "sanitized"
    build(program, "-DWITH_MAIN", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 500
    short = subprocess.run([program, "1"], capture_output=True, text=True, check=False)
    assert short.returncode != 0
    assert "heap-buffer-overflow" in short.stderr


def nvrtc() -> Any:
    """NVIDIA's run-time compiler, which needs no card; skips where there is none."""
    package = Path(np.__file__).resolve().parents[1]
    found = [ctypes.util.find_library("nvrtc"), *map(str, package.glob("nvidia/*/lib/libnvrtc.so.*"))]
    for name in filter(None, found):
        if "builtins" not in name:
            return ctypes.CDLL(name)
    pytest.skip("not here: libnvrtc (Debian: nvidia-cuda-toolkit; pip: nvidia-cuda-nvrtc)")


def test_nvidias_own_compiler_takes_it() -> None:
    """As CuPy has it compiled: no headers, no options but the card's generation (Turing, Orin, Ada, Hopper)."""
    compiler = nvrtc()
    for generation in ("75", "87", "89", "90"):
        program = ctypes.c_void_p()
        assert not compiler.nvrtcCreateProgram(
            ctypes.byref(program), source().encode(), b"preprocess.cu", 0, None, None
        )
        options = (ctypes.c_char_p * 1)(f"-arch=sm_{generation}".encode())
        failed = compiler.nvrtcCompileProgram(program, 1, options)
        size = ctypes.c_size_t()
        compiler.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        compiler.nvrtcGetProgramLog(program, log)
        compiler.nvrtcDestroyProgram(ctypes.byref(program))
        assert not failed, log.value.decode()

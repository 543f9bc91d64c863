"""The kernel's own source, compiled for this machine's processor."""

from __future__ import annotations

import ctypes
import subprocess
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.rig import need_program

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).resolve().parent
ARGUMENTS: list[type[np.generic]] = [np.uint64, *[np.int32] * 3, np.uint64, np.int32, *[np.float32] * 6]
"""What the kernel takes. CuPy passes NumPy's scalars on in their sizes, and does not know what the kernel wants."""
_C: dict[type[np.generic], Any] = {np.uint64: ctypes.c_void_p, np.int32: ctypes.c_int, np.float32: ctypes.c_float}


def build(into: Path, *flags: str) -> None:
    """Compile on_processor.cpp; skips the test where there is no compiler."""
    kernel = Path(str(resources.files("appliance.inference.gpu")))
    subprocess.run(
        [
            need_program("g++", "g++"),
            *("-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", f"-I{kernel}", *flags),
            *("-o", into, HERE / "on_processor.cpp"),
        ],
        check=True,
    )


class OnProcessor:
    """Runs the kernel as CuPy's function would, on pointers into this machine's memory."""

    def __init__(self, folder: Path) -> None:
        library = folder / "preprocess.so"
        build(library, "-shared", "-fPIC")
        self._run = ctypes.CDLL(str(library)).run
        self._run.argtypes = [*[ctypes.c_int] * 4, *[_C[kind] for kind in ARGUMENTS]]
        self._run.restype = None

    def __call__(self, grid: tuple[int, int], block: tuple[int, int], arguments: Sequence[np.generic]) -> None:
        assert [type(argument) for argument in arguments] == ARGUMENTS
        self._run(*grid, *block, *(argument.item() for argument in arguments))

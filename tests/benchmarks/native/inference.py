"""inference.cpp, with numpy arrays in and out, as two settings of the compiler make it."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import numpy as np

from appliance.messages import ROW_BYTES, Rows
from tests.benchmarks import native

if TYPE_CHECKING:
    from pathlib import Path

    from appliance.messages import Floats

PLAIN, TUNED = "-O2", "-O3 -march=native"


def build(into: Path) -> dict[str, Inference]:
    """Return the references by their compiler flags. NoCompilerError: what is missing."""
    tuned = native._build("inference", into / "inference_tuned.so", into, ["-shared", "-fPIC", *TUNED.split()])
    return {PLAIN: Inference(native.library("inference", into)), TUNED: Inference(ctypes.CDLL(str(tuned)))}


class Inference:
    """The reference as it was built."""

    def __init__(self, library: Any) -> None:
        self._prepare, self._postprocess = library.prepare_fused, library.postprocess_rows
        self._prepare.restype = self._postprocess.restype = None
        self._rows = np.zeros(300 * ROW_BYTES, np.uint8)
        self._count = ctypes.c_int(0)

    @property
    def rows(self) -> Rows:
        """What the last `postprocess` found."""
        return Rows(self._rows[: self._count.value * ROW_BYTES].tobytes())

    def prepare(self, rgb: Any, tensor: Floats) -> None:
        """Fill `tensor` [1, 3, side, side] from `rgb` [height, width, 3]: resize, scale and part in one loop."""
        height, width, _ = rgb.shape
        self._prepare(_at(rgb), width, height, _at(tensor), tensor.shape[-1])

    def postprocess(
        self, dets: Floats, labels: Floats, size: tuple[int, int], threshold: float, *, by_query: bool, times: int
    ) -> None:
        """Find the rows in a picture of `size` (width, height), so many times.

        `by_query`: in a loop that is kind to the compiler.
        """
        width, height, least = (ctypes.c_float(number) for number in (*size, threshold))
        self._postprocess(
            _at(dets), _at(labels), *labels.shape, width, height, least, int(by_query),
            _at(self._rows), ctypes.byref(self._count), times,
        )  # fmt: skip


def _at(array: Any) -> Any:
    assert array.flags.c_contiguous
    return array.ctypes.data_as(ctypes.c_void_p)

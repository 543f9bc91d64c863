"""Which forms are to be made, and by what."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from appliance.inference.backends import BACKENDS
from appliance.inference.detector import BackendError
from appliance.inference.gpu.cupy_device import open_device
from appliance.inference.quantize import calibration_cache, nncf_int8
from appliance.inference.quantize.work import Maker
from appliance.inference.store.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_OF_CACHE = "tensorrt_int8"


def makers(backends: Sequence[str] | None, cache: Path | None) -> dict[str, Maker]:
    """Return what makes each of the forms that are wanted: of all installed backends, or of those named.

    RefusedError: a package is missing, or the calibration cache is none, or for none of the backends.
    """
    if cache is not None:
        if backends not in (None, [_OF_CACHE]):
            raise RefusedError(f"--calibration-cache is for --backend {_OF_CACHE} alone")
        scales = calibration_cache.read(cache)
        return {_OF_CACHE: Maker(f"calibration cache {cache.name}", partial(_of_cache, scales))}
    called = f"nncf {nncf_int8.version()}"
    wanted = backends or [name for name in nncf_int8.MAKERS if BACKENDS[name].version is not None]
    if any(BACKENDS[name].builds for name in wanted):
        try:
            open_device()  # before a quarter of an hour is spent on pictures
        except BackendError as error:
            if backends is not None:
                raise RefusedError(str(error)) from None
            wanted = [name for name in wanted if not BACKENDS[name].builds]
    return {name: Maker(called, nncf_int8.MAKERS[name]) for name in wanted}


def _of_cache(scales: Mapping[str, float], model: Path, _calibration: nncf_int8.Calibration, folder: Path) -> str:
    return calibration_cache.apply(model, scales, folder)

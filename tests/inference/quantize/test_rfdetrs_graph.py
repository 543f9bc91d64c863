"""RF-DETR's own graph goes through the makers: its decoder keeps weights behind other names, which NNCF does not find.

Its weights are random here, which says nothing of how exact a form is: `porchlight model quantize` measures that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from appliance.inference.backends import open_backend
from appliance.inference.gpu.half import half
from appliance.inference.quantize import nncf_int8
from appliance.inference.store.errors import RefusedError
from appliance.inference.trial import golden_frame
from tests.inference.graphs import random_rfdetr

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


@pytest.mark.parametrize("backend", ["onnxruntime_int8", "tensorrt_int8"])  # OpenVINO reads the graph by itself
def test_a_form_of_it_is_made_and_gives_numbers(tmp_path: Path, backend: str) -> None:
    try:
        nncf_int8.version()
    except RefusedError as error:
        pytest.skip(str(error))
    path = random_rfdetr("nano", tmp_path)
    reference = open_backend("onnxruntime", path, None, 2)
    reference.take(golden_frame())
    grey = np.zeros((1, 3, reference.info.side, reference.info.side), np.float32)
    wanted = nncf_int8.Calibration([b""], lambda _: grey)
    file = tmp_path / nncf_int8.MAKERS[backend](path, wanted, tmp_path)
    if backend == "tensorrt_int8":  # as its engine would be built of it; ONNX Runtime runs that, too
        half(file, tmp_path / "half.onnx")
        backend, file = "onnxruntime_int8", tmp_path / "half.onnx"
    form = open_backend(backend, file, reference.info, 2)
    form.take(golden_frame())
    for array, like in zip(form.detect(), reference.detect(), strict=True):
        assert array.shape == like.shape
        assert np.isfinite(array).all()

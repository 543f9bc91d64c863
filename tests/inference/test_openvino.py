"""OpenVINO, as this home needs it: silent towards the world, and with its tensors where ours are."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from appliance.inference.backends import open_backend
from appliance.inference.detector import AbsentError, BackendError
from tests.inference.onnx_maker import model, rows

if TYPE_CHECKING:
    from pathlib import Path

    from appliance.inference.backends.openvino_cpu import OpenVinoCpu


def reporter(first: str) -> str:
    """Import openvino in a fresh process after `first`; return the module through which it would report its use."""
    program = f"{first}\nimport openvino\nprint(openvino.tools.ovc.telemetry_utils.tm.__name__)"
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=50
    ).stdout.strip()


def test_importing_it_tells_nobody() -> None:
    """By itself it reports to Google Analytics; the stub is its own, for those who have not got the other package."""
    assert reporter("import appliance.inference.backends.openvino_cpu") == "openvino.tools.ovc.telemetry_stub"


@pytest.fixture
def both(tmp_path: Path) -> list[OpenVinoCpu]:
    path = tmp_path / "model.onnx"
    path.write_bytes(model(rows([(3, (0.5, 0.5, 0.5, 0.5), 1, 2.0)]), brightness_to="labels"))
    reference = open_backend("onnxruntime", path, None, 1)
    other = open_backend("openvino", path, reference.info, 1)
    return [reference, other]  # type: ignore[list-item]


def test_it_sees_the_tensor_it_is_given_each_time_anew(both: list[OpenVinoCpu]) -> None:
    for level in (0.0, 0.5, -1.0):
        answers = []
        for detector in both:
            detector.tensor.fill(level)
            answers.append([array.copy() for array in detector.detect()])
        (dets, labels), (its_dets, its_labels) = answers
        assert its_dets.shape == (300, 4)
        assert its_labels.shape == (300, 91)
        assert np.allclose(dets, its_dets)
        assert np.allclose(labels, its_labels, atol=1e-5)


def test_its_answers_lie_in_the_same_place_each_time(both: list[OpenVinoCpu]) -> None:
    for detector in both:
        first, second = detector.detect(), detector.detect()
        assert all(a is b for a, b in zip(first, second, strict=True))


def test_where_it_is_not_installed_the_words_say_how(monkeypatch: pytest.MonkeyPatch, both: list[OpenVinoCpu]) -> None:
    monkeypatch.delitem(sys.modules, "appliance.inference.backends.openvino_cpu")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(AbsentError, match=r"pip install 'openvino>=2026.1'"):
        open_backend("openvino", both[0].info.name, both[0].info, 1)  # type: ignore[arg-type]


def test_a_model_it_cannot_read_is_refused_in_its_words(tmp_path: Path, both: list[OpenVinoCpu]) -> None:
    (tmp_path / "none.onnx").write_text("This is none.")
    with pytest.raises(BackendError, match=r"openvino cannot run model\.onnx"):
        open_backend("openvino", tmp_path / "none.onnx", both[0].info, 1)

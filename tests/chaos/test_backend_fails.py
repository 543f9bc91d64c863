"""A backend that hangs, crashes or refuses in the middle of its work is replaced, and its cameras are watched again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from appliance.inference.demo import PORCH_DEMO
from tests.rig import ROOT, Appliance, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

SILENCE_S = 6
WHOLE_AGAIN_S = 3 * (SILENCE_S + 3)
"""Three times the promise: noticed within the silence that is allowed, then a start."""


pytestmark = pytest.mark.timeout(150)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Appliance]:
    """The painted porch, with OpenVINO's double to run the demo's detector."""
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'tests' / 'inference' / 'doubles'}")
    one = Appliance(
        tmp_path,
        {
            "cameras": [{"id": "porch", "source": "synthetic://porch?size=640x360"}],
            "model": {"path": str(PORCH_DEMO), "backend": "openvino", "threads": 1},
            "mqtt": {"enabled": False},
            "supervisor": {"silence_seconds": SILENCE_S},
        },
    )
    yield one
    one.close()


def inference(home: Appliance) -> dict[str, Any]:
    return next((stage for stage in home.status().get("stages", []) if stage["name"] == "inference"), {})


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("hang@infer:40", "backend openvino has failed: it hung or crashed"),
        ("abort@infer:40", "backend openvino has failed: it hung or crashed"),
        ("raise@infer:40", "backend openvino has failed: openvino has failed: the double was told to fail at infer"),
    ],
)
def test_a_backend_that_fails_at_work_is_replaced(
    home: Appliance, monkeypatch: pytest.MonkeyPatch, fault: str, told: str
) -> None:
    monkeypatch.setenv("OPENVINO_DOUBLE", fault)
    home.start()
    wait_for("the first looks", 45, lambda: home.state() != "unknown")
    assert "pixels, on openvino" in home.log_text()
    wait_for("the other backend", WHOLE_AGAIN_S + 20, lambda: told in inference(home).get("reason", ""))
    wait_for("the camera's picture to be looked at again", WHOLE_AGAIN_S, lambda: home.state() != "unknown")
    assert "pixels, on onnxruntime" in home.log_text()
    assert home.stop() == 0


def test_a_backend_that_is_wrong_never_gets_to_see_a_camera(home: Appliance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENVINO_DOUBLE", "wrong@infer")
    home.start()
    wait_for("the first looks", 45, lambda: home.state() != "unknown")
    assert inference(home)["reason"].startswith("backend openvino was refused: it")
    assert "pixels, on openvino" not in home.log_text()
    assert home.stop() == 0

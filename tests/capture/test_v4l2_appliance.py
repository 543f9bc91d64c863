"""The whole appliance on the kernel's own camera drivers, in an emulated machine: to detections, unplugged and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.capture.guest import in_guest
from tests.rig import SHARED, need

pytestmark = [pytest.mark.real, pytest.mark.timeout(700)]

MODEL = SHARED / "models" / "deimv2_atto_rfdetr_contract_320.onnx"
NOTICED_S = 3 * 3
"""Three times the promise: the machine is emulated, and some forty times slower than a real one."""

Facts = dict[str, Any]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    need(MODEL)
    out = tmp_path_factory.mktemp("appliance")
    return in_guest("tests.capture.v4l2_appliance_guest", str(MODEL), out=out, limit_s=600, share=(MODEL.parent,))


def test_raw_and_mjpg_cameras_run_through_to_detections(told: Facts) -> None:
    assert told["snapshot"] == [200, "ffd8"]


def test_an_unplugged_camera_is_off_within_the_promise_and_on_again_when_it_is_back(
    told: Facts, figure: Callable[[str, str], None]
) -> None:
    figure(
        "V4L2 camera unplugged (emulated machine)",
        f"connectivity off after {told['off_after_s']:.1f} s, unavailable after {told['unavailable_after_s']:.1f} s, "
        f"on again after {told['on_after_s']:.1f} s",
    )
    assert told["off_after_s"] < NOTICED_S
    assert told["unavailable_after_s"] < NOTICED_S
    assert told["other"] == "ON"
    assert told["on_after_s"] > told["off_after_s"]
    assert told["exit"] == 0
    assert "/dev/video0 was unplugged" in told["log"]

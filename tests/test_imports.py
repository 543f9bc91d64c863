"""Each process loads only its own stage's libraries: memory and start-up are what a small computer has least of."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"onnxruntime", "av", "cv2", "simplejpeg", "aiohttp", "paho"}


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("appliance.cli", set()),
        ("appliance.doctor.command", set()),
        ("appliance.controller.service", {"paho"}),
        ("appliance.capture.service", set()),
        ("appliance.capture.v4l2.source", {"simplejpeg"}),
        ("appliance.capture.rtsp.source", {"av", "simplejpeg"}),
        ("appliance.capture.http_mjpeg.source", {"aiohttp", "simplejpeg"}),
        ("appliance.capture.file", {"av", "simplejpeg"}),
        ("appliance.capture.synthetic.source", {"cv2", "simplejpeg"}),
        ("appliance.inference.service", {"cv2", "simplejpeg"}),
        ("appliance.inference.store.command", set()),
        ("appliance.gateway.service", {"aiohttp", "paho", "cv2", "simplejpeg"}),
    ],
)
def test_a_stage_loads_only_what_it_uses(module: str, allowed: set[str]) -> None:
    code = f"import {module}, sys; print(*sorted(m for m in sys.modules if '.' not in m))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert set(loaded) & HEAVY == allowed


def test_ha_discovery_loads_nothing_but_the_standard_library() -> None:
    code = (
        "import sys; before = set(sys.modules); import ha_discovery; "
        "print(*{m.partition('.')[0] for m in set(sys.modules) - before} - set(sys.stdlib_module_names))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert loaded == ["ha_discovery"]

"""ONNX Runtime reports to its maker unless told not to: a file in the temporary folder is what it leaves of that."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rig import ROOT

RUN = "import onnxruntime; onnxruntime.InferenceSession({model!r}, providers=['CPUExecutionProvider'])"
MODEL = str(ROOT / "appliance" / "inference" / "demo" / "porch_demo.onnx")


def left_by(code: str, folder: Path) -> list[str]:
    """Return what a process leaves in its temporary folder; like any other in which nobody set the variable."""
    folder.mkdir()
    environ = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    code = code.format(model=MODEL)
    command = [sys.executable, "-c", code]
    subprocess.run(command, check=True, cwd=ROOT, env={**environ, "TMPDIR": str(folder)}, timeout=60)
    return [path.name for path in folder.iterdir()]


@pytest.mark.parametrize(
    "first",
    ["import appliance", "from appliance.inference.demo import PORCH_DEMO", "from appliance.inference import trial"],
)
def test_whatever_of_porchlight_loads_it_has_told_it_not_to(first: str, tmp_path: Path) -> None:
    assert left_by(f"{first}; {RUN}", tmp_path / "with") == []


def test_a_process_that_was_not_told_leaves_something(tmp_path: Path) -> None:
    """Else the other test proves nothing; skipped where the wheel reports nothing at all."""
    if not left_by(RUN, tmp_path / "without"):
        pytest.skip("this ONNX Runtime reports nothing")

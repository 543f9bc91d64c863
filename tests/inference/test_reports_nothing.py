"""Libraries report to their makers unless told not to.

ONNX Runtime leaves a file of that in the temporary folder; OpenVINO and NNCF leave a client id in the home folder, and
ask for Google Analytics' address.
"""

from __future__ import annotations

import importlib.util
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


WATCHED = """
import os, sys
def watch(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.connect", "socket.sendto"):
        with open({noted!r}, "a") as file:
            file.write(f"{{event}} {{arguments[:2]}}\\n")
        raise OSError("the world is not here")
sys.addaudithook(watch)
"""
"""The network, as whoever loads a library sees it here: every way out is noted, and none leads anywhere."""

CALIBRATION = "nncf_int8.Calibration([b''], lambda _: numpy.zeros((1, 3, 256, 256), numpy.float32))"
OURS = f"""
import contextlib, numpy, pathlib
from appliance.inference.quantize import nncf_int8
print("nncf", nncf_int8.version())
for maker in nncf_int8.MAKERS.values():
    with contextlib.suppress(nncf_int8.StoreError):  # of the demo's detector; that it was asked is enough
        maker(pathlib.Path({{model!r}}), {CALIBRATION}, pathlib.Path({{folder!r}}))
print(*(name for name, module in sys.modules.items() if "telemetry" in name.lower() and module is None))
from nncf.telemetry.wrapper import NNCFTelemetry, telemetry
print("its own telemetry:", isinstance(telemetry, NNCFTelemetry))
"""
THEIRS = """
import nncf, numpy, openvino
with open(os.devnull, "w") as sys.stdout:
    model = openvino.Core().read_model({model!r})
    nncf.quantize(model, nncf.Dataset([numpy.zeros((1, 3, 256, 256), numpy.float32)]), subset_size=1)
"""


def reported_by(code: str, folder: Path) -> tuple[list[str], list[str]]:
    """Return what a process says, and what it leaves in its home folder or asks the world for."""
    home, noted, made = folder / "home", folder / "noted", folder / "made"
    for one in (home, made):
        one.mkdir(parents=True)
    program = (WATCHED + code).format(model=MODEL, folder=str(made), noted=str(noted))
    # Where these are set, OpenVINO's package reports nothing; what we find out must hold on anybody's machine.
    environ = {name: value for name, value in os.environ.items() if name not in {"CI", "TF_BUILD", "JENKINS_URL"}}
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, cwd=ROOT, env={**environ, "HOME": str(home)}, capture_output=True, text=True, timeout=60, check=False
    )
    left = [str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()]
    asked = noted.read_text().splitlines() if noted.exists() else []
    return [*done.stdout.splitlines(), *done.stderr.splitlines()], [*left, *asked]


with_nncf = pytest.mark.skipif(
    importlib.util.find_spec("nncf") is None,
    reason="not here: nncf (on Pythons from 3.12 on, the locked NumPy is too new for it)",
)
"""Looked for and not imported: this process would report, too."""


@with_nncf
def test_quantizing_as_we_do_it_reports_nothing(tmp_path: Path) -> None:
    """In a process without pytest, in whose presence NNCF reports nothing anyway."""
    said, reported = reported_by(OURS, tmp_path / "ours")
    assert said[0].startswith("nncf ")
    assert said[1:] == ["openvino_telemetry", "its own telemetry: False"]
    assert reported == []


@with_nncf
def test_quantizing_as_its_makers_have_it_reports_something(tmp_path: Path) -> None:
    """Else the other test proves nothing; skipped where these wheels report nothing at all."""
    said, reported = reported_by(THEIRS, tmp_path / "theirs")
    if not reported:
        pytest.skip(f"this NNCF and this OpenVINO report nothing ({said[-1:]})")

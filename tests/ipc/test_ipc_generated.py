"""The checked-in accessors are what flatc makes of schemas/*.fbs today."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GENERATED = ROOT / "appliance" / "ipc" / "generated"
FLATC = "flatc version 2.0.8"
"""Debian's; another version's output differs in ways that mean nothing."""


def test_the_generated_accessors_are_current(tmp_path: Path) -> None:
    flatc = shutil.which("flatc")
    found = flatc and subprocess.run([flatc, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if found != FLATC:
        pytest.skip(f"needs {FLATC} (Debian: flatbuffers-compiler), found {found or 'none'}")
    subprocess.run([ROOT / "script" / "generate", tmp_path], check=True)
    made = {path.name: path.read_text() for path in tmp_path.glob("*.py")}
    assert made == {path.name: path.read_text() for path in GENERATED.glob("*.py")}, "run ./script/generate"

"""What a newcomer runs first: the demo, whole, as a command."""

from __future__ import annotations

import re
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.inference.demo import PORCH_DEMO
from tests.rig import ROOT, free_port

pytestmark = pytest.mark.timeout(150)


def demo(*arguments: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "appliance.cli", "demo", "--port", str(free_port()), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False)


def test_a_minute_of_the_demo_tells_a_whole_visit_and_leaves_nothing_behind() -> None:
    done = demo("--exit-after", "60")
    assert done.returncode == 0, done.stdout + done.stderr
    told = re.findall(r"(\w+) → (\w+)", done.stdout)
    chain = [told[0][0], *(after for _, after in told)]
    assert " ".join(chain).startswith("standby validation"), done.stdout
    assert "standby validation tracking standby" in " ".join(chain), done.stdout
    assert "MQTT event person_entered on porchlight/demo/porch/event" in done.stdout
    assert "MQTT event person_left on porchlight/demo/porch/event" in done.stdout
    assert "knows only the demo scene" in done.stdout
    assert not (Path("/dev/shm") / "porchlight-demo").exists()


def test_the_demo_detector_refuses_footage() -> None:
    done = demo("--clip", "somebody.mp4", seconds=30)
    assert done.returncode == 2
    assert "name an RF-DETR model with --model" in done.stderr


def test_run_refuses_the_demo_detector_at_a_recording(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"any file: it is never opened")
    settings = tmp_path / "settings.yaml"
    settings.write_text(
        f"instance: test_{secrets.token_hex(4)}\n"
        f"cameras: [{{id: door, source: 'file://{clip}'}}]\nmodel: {{path: {PORCH_DEMO}}}\n"
        f"gateway: {{port: {free_port()}}}\nmqtt: {{enabled: false}}\n"
    )
    command = [sys.executable, "-m", "appliance.cli", "run", "--config", str(settings)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "synthetic:// cameras only" in done.stderr
    assert "set model.path to an RF-DETR model" in done.stderr

"""What HEALTHCHECK and probes are told."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

import pytest

from appliance import cli, health
from appliance.ipc.heartbeat import HeartbeatFile
from appliance.ipc.run_folder import RunFolder
from appliance.messages import Health, Heartbeat, SourceHealth

Beats = dict[str, Heartbeat]


def beat(stage: str, state: Health = Health.RUNNING, *sources: SourceHealth) -> Heartbeat:
    return Heartbeat(stage, state, time.monotonic_ns(), 1, sources=sources)


def house(given: Health = Health.RUNNING, seen: Health = Health.RUNNING) -> Beats:
    """One camera: what capture says of it, and what the controller does."""
    beats = {name: beat(name) for name in health.STAGES}
    beats["capture.porch"] = beat("capture.porch", Health.RUNNING, SourceHealth("porch", given))
    reason = "" if seen is Health.RUNNING else "no detections for 3 s"
    beats["controller"] = beat("controller", Health.RUNNING, SourceHealth("porch", seen, reason))
    return beats


def test_a_house_that_looks_at_its_pictures_is_well() -> None:
    assert health.troubles(house()) == []


@pytest.mark.parametrize("stage", health.STAGES)
@pytest.mark.parametrize("is_there", [False, True])
def test_a_stage_that_is_not_there_or_not_ready_is_named(stage: str, is_there: bool) -> None:
    beats = house()
    del beats[stage]
    if is_there:
        beats[stage] = beat(stage, Health.STARTING)
    assert health.troubles(beats) == [f"{stage} is not running"]
    assert health.troubles(beats, stage) == [f"{stage} is not running"]
    others = [name for name in health.STAGES if name != stage]
    assert all(health.troubles(beats, name) == [] for name in others)


def test_pictures_that_nobody_looks_at_are_a_fault_of_the_appliance() -> None:
    wrong = health.troubles(house(seen=Health.DEGRADED))
    assert wrong == ["porch: its pictures are not looked at: no detections for 3 s"]
    beats = house()
    beats["controller"] = beat("controller")
    assert health.troubles(beats) == ["porch: its pictures are not looked at: nobody knows it"]


@pytest.mark.parametrize("given", [Health.STARTING, Health.DEGRADED, Health.ENDED, Health.FAILED])
def test_a_camera_that_gives_none_is_not(given: Health) -> None:
    assert health.troubles(house(given, Health.DEGRADED)) == []


def test_the_only_instance_is_found_and_one_of_several_must_be_named(tmp_path: Path) -> None:
    assert health.find(None, tmp_path) is None
    (tmp_path / "porchlight-home").mkdir()
    (tmp_path / "porchlight-a.file").touch()
    found = health.find(None, tmp_path)
    assert found is not None
    assert found.path.name == "porchlight-home"
    (tmp_path / "porchlight-barn").mkdir()
    assert health.find(None, tmp_path) is None
    named = health.find("barn", tmp_path)
    assert named is not None
    assert named.path.name == "porchlight-barn"
    assert health.find("nobody", tmp_path) is None


def test_the_command_says_what_is_wrong_and_costs_no_heavy_import() -> None:
    instance = f"test_{os.getpid()}_{secrets.token_hex(4)}"
    folder = RunFolder(instance)
    folder.create()
    try:
        for name, each in house(seen=Health.DEGRADED).items():
            HeartbeatFile(folder, name).write(each)
        code = (
            "import sys; from appliance.health import main; code = main(); "
            "heavy = {'pydantic', 'aiohttp', 'cv2', 'paho', 'opentelemetry', 'grpc', 'yaml'} & set(sys.modules); "
            "sys.exit(code if not heavy else f'imports {heavy}')"
        )
        ran = subprocess.run(
            [sys.executable, "-c", code, "--instance", instance],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert (ran.returncode, ran.stdout) == (1, "porch: its pictures are not looked at: no detections for 3 s\n")
        assert ran.stderr == ""
    finally:
        folder.remove()


@pytest.mark.parametrize(
    "words", [["--instance", "nobody"], ["gateway", "--instance", "nobody"], ["--instance=nobody"]]
)
def test_porchlight_health_is_the_same_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["health", *words]) == 1
    assert capsys.readouterr().out == "nothing runs here\n"

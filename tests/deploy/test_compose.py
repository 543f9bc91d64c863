"""deploy/compose.yaml: it parses, fits the settings, and lets nobody in who should not be."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from appliance import __version__, needs
from appliance.config import Camera, ConfigError, load
from appliance.inference.demo import PORCH_DEMO
from tests.rig import ROOT

FOLDER = ROOT / "deploy"
COMPOSE = FOLDER / "compose.yaml"
TOKEN = "a-token-of-the-tests-own"
UNITS = {"b": 1, "k": 2**10, "m": 2**20, "g": 2**30}
PROFILES = {"mosquitto": ["mosquitto", "home-assistant"], "home-assistant": ["home-assistant"]}


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    return found


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose()["services"]
    return found


def byte_count(size: str) -> int:
    """Return what Compose takes a size for: a whole number, and a unit of 1024s."""
    found = re.fullmatch(r"(\d+)([bkmg])b?", size)
    assert found is not None, size
    return int(found[1]) * UNITS[found[2]]


def environment(token: str | None = TOKEN) -> dict[str, str]:
    """Return what Compose gives the appliance, with a token in .env or without."""
    found = dict(services()["porchlight"]["environment"])
    asked = found.pop("PORCHLIGHT_GATEWAY__TOKEN")
    assert re.fullmatch(r"\$\{PORCHLIGHT_GATEWAY__TOKEN:\?.+\}", asked), "Compose must stop where there is none"
    return found if token is None else {**found, "PORCHLIGHT_GATEWAY__TOKEN": token}


def test_every_mount_and_every_secret_is_there() -> None:
    named = compose()["volumes"].keys()
    used = set()
    for service in services().values():
        for volume in service["volumes"]:
            source, target, *how = volume.split(":")
            assert target.startswith("/")
            if source.startswith("."):
                assert (FOLDER / source).is_file(), volume
                assert how == ["ro"]
            else:
                used.add(source)
        assert set(service.get("secrets", ())) <= compose()["secrets"].keys()
    assert used == named


def test_secrets_are_the_owners_and_never_committed() -> None:
    ignored = (FOLDER / ".gitignore").read_text(encoding="utf-8").split()
    for secret in compose()["secrets"].values():
        assert Path(secret["file"]).parts[0] in ignored
    assert ".env" in ignored


def test_what_the_first_lines_say_makes_what_the_services_want() -> None:
    text = COMPOSE.read_text(encoding="utf-8").partition("\nname:")[0]
    for secret in compose()["secrets"].values():
        assert f"> {secret['file'].removeprefix('./')}" in text
    assert "PORCHLIGHT_GATEWAY__TOKEN=" in text
    model = Path(environment()["PORCHLIGHT_MODEL__PATH"])
    assert f"porchlight model get --store {model.parent} --name {model.stem}\n" in text


def test_nothing_listens_beyond_this_machine() -> None:
    for name, service in services().items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name


def test_what_is_ours_and_the_broker_are_confined() -> None:
    for name in ("porchlight", "mosquitto"):
        service = services()[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["stop_grace_period"] == "10s"
        user, group = service["user"].split(":")
        assert user == group
        assert int(user) > 0
    for service in services().values():
        assert not {"privileged", "ipc", "pid", "network_mode", "cap_add"} & service.keys()


def test_the_image_is_this_version_and_others_come_only_when_asked_for() -> None:
    assert services()["porchlight"]["image"] == f"ghcr.io/porchlight-ha/porchlight:{__version__}"
    assert {name: one["profiles"] for name, one in services().items() if "profiles" in one} == PROFILES
    assert "profiles" not in services()["porchlight"]


def test_the_image_says_itself_whether_it_is_well() -> None:
    assert "healthcheck" not in services()["porchlight"]
    assert re.search(r"^HEALTHCHECK .*porchlight-health", (FOLDER / "Dockerfile").read_text(), re.MULTILINE)


def test_the_example_settings_are_taken_and_fit_the_ports_and_mounts() -> None:
    service = services()["porchlight"]
    settings = load(FOLDER / "settings.yaml", environment(), require_model=False)
    assert [port.split(":")[-1] for port in service["ports"]] == [str(settings.gateway.port)]
    assert settings.mqtt.password_file == Path("/run/secrets") / service["secrets"][0]
    [state] = [volume.split(":")[1] for volume in service["volumes"] if volume.startswith("state:")]
    assert settings.model.path is not None
    assert settings.model.path.parent == Path(state) / "models"
    image = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
    [config] = [volume.split(":")[1] for volume in service["volumes"] if "settings.yaml" in volume]
    assert re.search(rf'^CMD \["run", "--config", "{config}"\]', image, re.MULTILINE)


def test_without_a_token_the_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="no token guards it"):
        load(FOLDER / "settings.yaml", environment(token=None), require_model=False)


def test_the_command_accepts_the_example_settings() -> None:
    given = {**os.environ, **environment(), "PORCHLIGHT_MODEL__PATH": str(PORCH_DEMO)}
    said = subprocess.run(
        [sys.executable, "-m", "appliance.cli", "check", "--config", str(FOLDER / "settings.yaml")],
        env=given,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    assert "all settings are well; cameras: front_door" in said.stdout


def test_the_shared_memory_is_enough_for_as_many_cameras_as_it_says() -> None:
    size = byte_count(services()["porchlight"]["shm_size"])
    settings = load(FOLDER / "settings.yaml", environment(), require_model=False)
    assert needs.shared_memory(settings.cameras).comfortable <= size

    def enough_for(most: int, source: str) -> int:
        cameras = [Camera(id=f"camera{number}", source=source) for number in range(24)]
        return max(n for n in range(1, 25) if needs.shared_memory(cameras[:n]).comfortable <= most)

    text = " ".join(COMPOSE.read_text(encoding="utf-8").replace("#", " ").split())
    said = re.search(r"enough for (\d+), as .* Docker's own 64m is enough for (\d+) by RTSP, or (\d+) by USB", text)
    assert said is not None
    ours, rtsp, usb = (int(number) for number in said.groups())
    assert enough_for(size, "v4l2:///dev/video0") >= ours
    found = [enough_for(64 * 2**20, source) for source in ("rtsp://192.0.2.10/", "v4l2:///dev/video0")]
    assert found == [rtsp, usb]

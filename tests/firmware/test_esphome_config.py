"""The ESP32-CAM's configuration: complete, as its README says, and taken by the real ESPHome without a warning."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from appliance.config import HttpSettings, parse_source
from tests.rig import ROOT

FOLDER = ROOT / "firmware_notes" / "esp32-cam"
CONFIGURATION = FOLDER / "esp32-cam-porch.yaml"
EXAMPLE = FOLDER / "secrets.yaml.example"
README = FOLDER / "README.md"


class Secret(str):
    """The name of a value that stands in secrets.yaml."""

    __slots__ = ()


class Loader(yaml.SafeLoader):
    """YAML as ESPHome writes it, as far as it is used here."""


def secret(loader: yaml.SafeLoader, node: yaml.Node) -> Secret:
    assert isinstance(node, yaml.ScalarNode)
    return Secret(loader.construct_scalar(node))


Loader.add_constructor("!secret", secret)


def loaded(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.load(text, Loader)  # noqa: S506 -- a SafeLoader
    return found


def secrets_in(value: object) -> set[str]:
    """Return the names of all secrets within a loaded configuration."""
    if isinstance(value, Secret):
        return {str(value)}
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return {name for one in inner for name in secrets_in(one)}


def port_of(configuration: dict[str, Any], mode: str) -> int:
    [port] = [int(server["port"]) for server in configuration["esp32_camera_web_server"] if server["mode"] == mode]
    return port


@pytest.fixture(scope="module")
def configuration() -> dict[str, Any]:
    return loaded(CONFIGURATION.read_text(encoding="utf-8"))


def test_the_example_has_every_secret_that_is_used_and_no_other(configuration: dict[str, Any]) -> None:
    assert secrets_in(configuration) == set(loaded(EXAMPLE.read_text(encoding="utf-8")))


def test_every_password_and_key_is_a_secret(configuration: dict[str, Any]) -> None:
    def open_ones(value: object) -> list[str]:
        if isinstance(value, list):
            return [found for one in value for found in open_ones(one)]
        if not isinstance(value, dict):
            return []
        told = [name for name in ("password", "key", "ssid") if isinstance(value.get(name), str)]
        here = [f"{name}: {value[name]}" for name in told if not isinstance(value[name], Secret)]
        return here + [found for one in value.values() for found in open_ones(one)]

    assert open_ones(configuration) == ["ssid: ${friendly_name} fallback"]


def test_the_readme_names_the_address_of_the_stream_and_of_the_snapshot(configuration: dict[str, Any]) -> None:
    host = f"{configuration['substitutions']['name']}.local"
    told = set(re.findall(r"http://[\w.-]+:\d+/", README.read_text(encoding="utf-8")))
    assert told == {f"http://{host}:{port_of(configuration, mode)}/" for mode in ("stream", "snapshot")}


def test_porchlight_takes_the_source_that_the_readme_names(configuration: dict[str, Any]) -> None:
    sources = re.findall(r"source: (\S+)", README.read_text(encoding="utf-8"))
    [settings] = {parse_source(source) for source in sources}
    assert isinstance(settings, HttpSettings)
    assert settings.url == f"http://{configuration['substitutions']['name']}.local:{port_of(configuration, 'stream')}/"


@pytest.fixture
def esphome() -> str:
    """Return the ESPHome to try, from $ESPHOME or the path."""
    found = os.environ.get("ESPHOME") or shutil.which("esphome")
    if not found:
        pytest.skip("not here: esphome (pip install esphome, Python 3.12 or newer; or ESPHOME=/path/to/it)")
    return found


@pytest.mark.real
@pytest.mark.timeout(180)
def test_the_real_esphome_takes_it_without_a_warning(
    esphome: str, tmp_path: Path, configuration: dict[str, Any]
) -> None:
    shutil.copy(CONFIGURATION, tmp_path)
    shutil.copy(EXAMPLE, tmp_path / "secrets.yaml")
    command = [esphome, "config", CONFIGURATION.name]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    needed = str(configuration["esphome"]["min_version"])
    if done.returncode and f"at least {needed}" in done.stdout + done.stderr:
        pytest.skip(f"not here: ESPHome {needed} or newer ({esphome} is older)")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Configuration is valid!" in done.stderr
    assert "WARNING" not in done.stderr, done.stderr
    whole = loaded(done.stdout)
    for mode in ("stream", "snapshot"):
        assert port_of(whole, mode.upper()) == port_of(configuration, mode)

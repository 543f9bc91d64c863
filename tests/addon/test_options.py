"""The add-on's options become settings; what addon/config.yaml asks for is what is understood."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from appliance import __version__
from appliance.addon.options import INGRESS, environment, mqtt_of, settings_of
from appliance.config import load
from appliance.controller.alarm.pin import hash_pin, verify
from tests.rig import ROOT

ADDON: dict[str, Any] = yaml.safe_load((ROOT / "addon" / "config.yaml").read_text())
CAMERA = {"id": "porch", "source": "synthetic://porch"}
EVERYTHING: dict[str, Any] = {
    "cameras": [{**CAMERA, "name": "Porch", "area": "Outside"}],
    "model": "/config/model.onnx",
    "threshold": 0.4,
    "clear_seconds": 5.0,
    "pin": "4711",
    "exit_delay_seconds": 20.0,
    "entry_delay_seconds": 15.0,
    "access_token": "a token of sixteen",
    "mqtt_host": "broker.lan",
    "mqtt_port": 8883,
    "mqtt_username": "porch",
    "mqtt_password": "secret",
    "mqtt_tls": True,
    "otlp_endpoint": "http://collector:4317",
    "log_level": "debug",
    "settings_file": "",
}


def loaded(folder: Path, options: dict[str, Any], **environ: str) -> Any:
    path = folder / "settings.yaml"
    path.write_text(yaml.safe_dump(settings_of(options, hash_pin)))
    return load(path, environ, require_model=False)


def test_every_option_of_the_schema_is_tried_here_and_has_a_translation() -> None:
    assert ADDON["schema"].keys() == EVERYTHING.keys()
    words = yaml.safe_load((ROOT / "addon" / "translations" / "en.yaml").read_text())
    assert words["configuration"].keys() == ADDON["schema"].keys()
    assert all(set(one) == {"name", "description"} for one in words["configuration"].values())
    assert words["network"].keys() == ADDON["ports"].keys()
    assert ADDON["version"] == __version__


def test_every_option_arrives_where_it_belongs(tmp_path: Path) -> None:
    settings = loaded(tmp_path, EVERYTHING)
    camera = settings.cameras[0]
    assert (camera.id, camera.name, camera.area) == ("porch", "Porch", "Outside")
    assert (settings.model.threshold, settings.sentry.clear_seconds) == (0.4, 5.0)
    assert verify(settings.alarm.pin.get_secret_value(), "4711")
    modes = (settings.alarm.home, settings.alarm.away, settings.alarm.night)
    assert all((mode.exit_delay_seconds, mode.entry_delay_seconds) == (20.0, 15.0) for mode in modes)
    assert settings.gateway.token.get_secret_value() == "a token of sixteen"
    mqtt = settings.mqtt
    assert (mqtt.host, mqtt.port, mqtt.username, mqtt.tls.enabled) == ("broker.lan", 8883, "porch", True)
    assert mqtt.password.get_secret_value() == "secret"
    assert settings.telemetry.otlp_endpoint == "http://collector:4317"
    assert settings.telemetry.log_level == "debug"


def test_what_is_left_empty_leaves_porchlights_own_default(tmp_path: Path) -> None:
    empty = {name: None if name != "cameras" else [{**CAMERA, "name": "", "area": None}] for name in EVERYTHING}
    settings = loaded(tmp_path, empty)
    assert settings == loaded(tmp_path, {"cameras": [CAMERA]})
    assert settings.alarm.pin is None


@pytest.mark.parametrize(
    ("service", "mqtt"),
    [
        (
            {"host": "core-mosquitto", "port": 1883, "ssl": False, "username": "addons", "password": "x"},
            {"host": "core-mosquitto", "port": 1883, "username": "addons", "password": "x"},
        ),
        ({"host": "b", "port": "8883", "ssl": True}, {"host": "b", "port": 8883, "tls": {"enabled": True}}),
    ],
)
def test_the_supervisors_service_is_the_broker(tmp_path: Path, service: dict[str, Any], mqtt: dict[str, Any]) -> None:
    assert mqtt_of(service) == mqtt
    path = tmp_path / "settings.yaml"
    path.write_text(yaml.safe_dump({"mqtt": mqtt}))
    assert load(path, {}).mqtt.host == service["host"]


def test_in_every_add_on_state_lies_in_data_and_only_ingress_looks_without_a_token(tmp_path: Path) -> None:
    settings = loaded(tmp_path, {"cameras": [CAMERA]}, **environment("/data"))
    assert settings.state_path == Path("/data/state")
    assert (settings.gateway.host, settings.gateway.port) == ("0.0.0.0", 8099)
    assert settings.gateway.trusted_proxies == (INGRESS,)
    assert ADDON.get("ingress_port", 8099) == settings.gateway.port

"""The add-on's options as settings. Values in, values out; which options there are is in addon/config.yaml."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

INGRESS = "172.30.32.2"
"""The Supervisor's proxy, by Home Assistant's documentation: it lets in only who is logged in."""
PORT = 8099

_PLACES = {
    "threshold": ("model", "threshold"),
    "clear_seconds": ("sentry", "clear_seconds"),
    "mqtt_host": ("mqtt", "host"),
    "mqtt_port": ("mqtt", "port"),
    "mqtt_username": ("mqtt", "username"),
    "mqtt_password": ("mqtt", "password"),
    "access_token": ("gateway", "token"),
    "log_level": ("telemetry", "log_level"),
    "otlp_endpoint": ("telemetry", "otlp_endpoint"),
}
_MODES = ("home", "away", "night")


def settings_of(options: Mapping[str, Any], hash_pin: Callable[[str], str]) -> dict[str, Any]:
    """Return the content of a settings file. An option that is left empty is left out: Porchlight's default holds.

    `hash_pin` makes a PIN's hash; what it raises goes through.
    """
    given = {name: value for name, value in options.items() if value not in (None, "")}
    settings: dict[str, Any] = {
        "cameras": [
            {name: value for name, value in camera.items() if value not in (None, "")}
            for camera in given.get("cameras", ())
        ]
    }
    for option, (section, name) in _PLACES.items():
        if option in given:
            settings.setdefault(section, {})[name] = given[option]
    if "mqtt_tls" in given:
        settings.setdefault("mqtt", {})["tls"] = {"enabled": given["mqtt_tls"]}
    alarm: dict[str, Any] = {"pin": hash_pin(str(given["pin"]))} if "pin" in given else {}
    for option in ("exit_delay_seconds", "entry_delay_seconds"):
        if option in given:
            for mode in _MODES:
                alarm.setdefault(mode, {})[option] = given[option]
    if alarm:
        settings["alarm"] = alarm
    return settings


def mqtt_of(service: Mapping[str, Any]) -> dict[str, Any]:
    """Return the section `mqtt` for what the Supervisor says of its MQTT service."""
    mqtt: dict[str, Any] = {"host": service["host"], "port": int(service["port"])}
    if service.get("username"):
        mqtt |= {"username": str(service["username"]), "password": str(service.get("password") or "")}
    if service.get("ssl"):
        mqtt["tls"] = {"enabled": True}
    return mqtt


def environment(data: str) -> dict[str, str]:
    """Return what holds for every add-on, over any settings file: where state lies, and who may look."""
    return {
        "PORCHLIGHT_STATE_DIR": f"{data}/state",
        "PORCHLIGHT_GATEWAY__HOST": "0.0.0.0",  # noqa: S104 -- the container's; who may look is checked
        "PORCHLIGHT_GATEWAY__PORT": str(PORT),
        "PORCHLIGHT_GATEWAY__TRUSTED_PROXIES": INGRESS,
    }

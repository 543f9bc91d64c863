"""What an add-on does before it runs like any other Porchlight."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from appliance.addon.options import environment, mqtt_of, settings_of
from appliance.controller.alarm.pin import BadPinError, hash_pin
from appliance.stage import StageRefusedError

if TYPE_CHECKING:
    from collections.abc import MutableMapping

DATA = Path("/data")
SUPERVISOR = "http://supervisor"
ANSWER_S = 10.0
SERVICE_PATIENCE_S = 60.0
"""How long a broker's add-on may take to announce itself when the machine starts."""
ASK_EVERY_S = 5.0
_NO_BROKER = (
    'there is no MQTT broker: install the add-on "Mosquitto broker" (Settings > Add-ons) and start it, or write '
    "mqtt_host, mqtt_username and mqtt_password into this add-on's configuration"
)
_NO_MODEL = (
    "there is no model, and none could be downloaded (see above): put an RF-DETR .onnx file into this add-on's folder "
    '(addon_configs), and name it under "model", such as /config/rf-detr-small.onnx'
)


class AddonError(StageRefusedError):
    """It cannot run with this configuration; the text says what to change, in the add-on's words."""


def is_here(environ: MutableMapping[str, str]) -> bool:
    """Return whether this is an add-on's container."""
    return "SUPERVISOR_TOKEN" in environ and (DATA / "options.json").is_file()


def prepare(environ: MutableMapping[str, str]) -> Path:
    """Make the settings of the options and of the Supervisor's MQTT service; return their file.

    What holds for every add-on goes into `environ`. AddonError: as it says.
    """
    options = _options()
    own = str(options.get("settings_file") or "")
    written = _read(Path(own)) if own else settings_of(options, _hash)
    if "cameras" not in written or not written["cameras"]:
        raise AddonError('there is no camera yet: add one under "cameras", with an id and a source')
    mqtt, model = written.get("mqtt") or {}, written.get("model") or {}
    if isinstance(mqtt, dict) and not mqtt.get("host") and mqtt.get("enabled", True):
        written["mqtt"] = {**mqtt, **mqtt_of(_service(environ["SUPERVISOR_TOKEN"]))}
    if isinstance(model, dict) and not model.get("path"):  # what is none is refused where it is loaded
        written["model"] = {**model, "path": _model(str(options.get("model") or ""))}
    environ.update(environment(str(DATA)))
    path = DATA / "settings.yaml"
    path.touch()
    path.chmod(0o600)
    path.write_text(yaml.safe_dump(written, sort_keys=False, allow_unicode=True))
    return path


def _options() -> dict[str, Any]:
    path = DATA / "options.json"
    try:
        options = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise AddonError(f"{path} cannot be read: {error}") from None
    if not isinstance(options, dict):
        raise AddonError(f"{path} holds no options")
    return options


def _read(path: Path) -> dict[str, Any]:
    try:
        written = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise AddonError(f"settings_file: {path} cannot be read: {error}") from None
    if not isinstance(written, dict):
        raise AddonError(f"settings_file: {path} holds no settings")
    return written


def _hash(pin: str) -> str:
    try:
        return hash_pin(pin)
    except BadPinError as error:
        raise AddonError(f"pin: {error}") from None


def _service(token: str) -> dict[str, Any]:
    """Return what the Supervisor says of its MQTT service, when there is one."""
    deadline = time.monotonic() + SERVICE_PATIENCE_S
    told = False
    while True:
        try:
            return _ask("/services/mqtt", token)
        except urllib.error.HTTPError as error:
            if error.code in (401, 403):
                raise AddonError("the Supervisor does not let this add-on ask for MQTT: restart the add-on") from None
            why = f"the Supervisor has none to offer ({error.code})"
        except (OSError, ValueError, KeyError) as error:
            why = f"the Supervisor does not answer ({error})"
        if time.monotonic() > deadline:
            raise AddonError(f"{_NO_BROKER} ({why})")
        if not told:
            print(f"waiting for an MQTT broker: {why}", file=sys.stderr, flush=True)
            told = True
        time.sleep(ASK_EVERY_S)


def _ask(path: str, token: str) -> dict[str, Any]:
    request = urllib.request.Request(SUPERVISOR + path, headers={"Authorization": f"Bearer {token}"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:  # noqa: S310 -- the Supervisor's own address
        data: Any = json.load(answer)["data"]
    if not isinstance(data, dict) or not data.get("host"):
        raise ValueError("its answer names no broker")
    return dict(data)


def _model(wanted: str) -> str:
    """Return the model's path; one that is not here yet is got, with its progress in the log.

    Nothing wanted: what the store gets by itself, detr-mmap's published RF-DETR small.
    """
    if wanted.startswith("/"):
        return wanted
    store = DATA / "models"
    name = f"m{hashlib.sha256(wanted.encode()).hexdigest()[:12]}" if wanted else "default"
    path = store / f"{name}.onnx"
    if not path.exists():
        words = ["model", "get", "--store", str(store), "--name", name, *([wanted] if wanted else [])]
        if subprocess.run([sys.executable, "-m", "appliance.cli", *words], check=False).returncode != 0:
            raise AddonError(_NO_MODEL)
    return str(path)

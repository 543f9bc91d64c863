"""What an add-on does before it runs: options, broker, model; and what it says where one of them is missing."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from appliance.addon import AddonError, is_here, prepare, start
from appliance.config import ConfigError, load
from tests.addon.stand_in import TOKEN, Supervisor, supervisor

CAMERA = {"id": "porch", "source": "synthetic://porch"}
SERVICE = {"host": "core-mosquitto", "port": 1883, "ssl": False, "username": "addons", "password": "its-password"}
FILE = {"cameras": [CAMERA], "model": {"path": "/config/own.onnx"}, "sentry": {"clear_seconds": 9}}


@pytest.fixture
def offering(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    with supervisor() as stand_in:
        monkeypatch.setattr(start, "DATA", tmp_path)
        monkeypatch.setattr(start, "SUPERVISOR", stand_in.url)
        monkeypatch.setattr(start, "SERVICE_PATIENCE_S", 0.0)
        monkeypatch.setattr(start, "ASK_EVERY_S", 0.0)
        stand_in.service = SERVICE
        yield stand_in


@pytest.fixture
def environ() -> dict[str, str]:
    return {"SUPERVISOR_TOKEN": TOKEN}


def options(folder: Path, **given: Any) -> None:
    (folder / "options.json").write_text(json.dumps({"cameras": [CAMERA], "model": "/config/m.onnx", **given}))


def written(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text()))


def test_it_knows_that_it_is_an_add_on(offering: Supervisor, tmp_path: Path, environ: dict[str, str]) -> None:
    assert not is_here(environ)
    options(tmp_path)
    assert is_here(environ)
    assert not is_here({})


def test_the_broker_is_the_supervisors_and_the_file_is_for_nobody_else(
    offering: Supervisor, tmp_path: Path, environ: dict[str, str]
) -> None:
    options(tmp_path)
    path = prepare(environ)
    assert written(path)["mqtt"] == {k: v for k, v in SERVICE.items() if k != "ssl"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert written(path)["model"] == {"path": "/config/m.onnx"}


def test_a_broker_among_the_options_goes_before_the_supervisors(
    offering: Supervisor, tmp_path: Path, environ: dict[str, str]
) -> None:
    options(tmp_path, mqtt_host="mine.lan")
    assert written(prepare(environ))["mqtt"] == {"host": "mine.lan"}
    assert offering.asked == []


def test_a_broker_that_starts_later_is_waited_for(
    offering: Supervisor,
    tmp_path: Path,
    environ: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options(tmp_path)
    offering.service = None
    monkeypatch.setattr(start, "SERVICE_PATIENCE_S", 60.0)

    def the_broker_comes(_seconds: float) -> None:
        if len(offering.asked) == 3:
            offering.service = SERVICE

    monkeypatch.setattr("time.sleep", the_broker_comes)
    assert written(prepare(environ))["mqtt"]["host"] == "core-mosquitto"
    assert len(offering.asked) == 4
    assert capsys.readouterr().err.count("waiting for an MQTT broker") == 1


def test_without_any_broker_it_says_what_to_install(
    offering: Supervisor, tmp_path: Path, environ: dict[str, str]
) -> None:
    options(tmp_path)
    offering.service = None
    with pytest.raises(AddonError, match=r'there is no MQTT broker: install the add-on "Mosquitto broker"'):
        prepare(environ)


def test_a_supervisor_that_is_away_or_refuses_is_named(
    offering: Supervisor, tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options(tmp_path)
    with pytest.raises(AddonError, match="restart the add-on"):
        prepare({"SUPERVISOR_TOKEN": "an-old-one"})
    monkeypatch.setattr(start, "SUPERVISOR", "http://127.0.0.1:9")
    with pytest.raises(AddonError, match="the Supervisor does not answer"):
        prepare(environ)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"cameras": []}, 'add one under "cameras"'),
        ({"pin": "x" * 500}, "^pin: "),
        ({"settings_file": "/nowhere.yaml"}, "settings_file: /nowhere.yaml cannot be read"),
    ],
)
def test_options_that_cannot_be_used_are_named(
    offering: Supervisor, tmp_path: Path, environ: dict[str, str], given: dict[str, Any], words: str
) -> None:
    options(tmp_path, **given)
    with pytest.raises(AddonError, match=words):
        prepare(environ)


def test_a_settings_file_takes_the_options_place_and_still_has_the_supervisors_broker(
    offering: Supervisor, tmp_path: Path, environ: dict[str, str]
) -> None:
    own = tmp_path / "porchlight.yaml"
    own.write_text(yaml.safe_dump(FILE))
    options(tmp_path, cameras=[], settings_file=str(own), threshold=0.9)
    made = written(prepare(environ))
    assert made.pop("mqtt")["host"] == "core-mosquitto"
    assert made == FILE


def test_a_model_is_got_once_and_a_failed_download_says_what_else_can_be_done(
    offering: Supervisor, tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options(tmp_path, model="")
    commands: list[list[str]] = []

    class Done:
        returncode = 1

    def run(command: list[str], **_: Any) -> Done:
        commands.append(command[3:])
        return Done()

    monkeypatch.setattr("subprocess.run", run)
    with pytest.raises(AddonError, match=r"put an RF-DETR \.onnx file into this add-on's folder"):
        prepare(environ)
    store = tmp_path / "models"
    assert commands == [["model", "get", "--store", str(store), "--name", "default"]]
    store.mkdir()
    (store / "default.onnx").touch()
    assert written(prepare(environ))["model"] == {"path": str(store / "default.onnx")}
    options(tmp_path, model="https://example.com/other.onnx")
    with pytest.raises(AddonError):
        prepare(environ)
    assert commands[-1][-1] == "https://example.com/other.onnx"
    assert len(commands) == 2


@pytest.mark.parametrize("mqtt", [None, {}, {"keepalive": 20}])
def test_a_section_of_the_settings_file_that_names_no_broker_has_the_supervisors(
    offering: Supervisor, tmp_path: Path, environ: dict[str, str], mqtt: Any
) -> None:
    own = tmp_path / "porchlight.yaml"
    own.write_text(yaml.safe_dump({**FILE, "mqtt": mqtt}))
    options(tmp_path, settings_file=str(own))
    assert written(prepare(environ))["mqtt"]["host"] == "core-mosquitto"


def test_a_section_that_is_none_is_left_for_who_names_its_line(
    offering: Supervisor, tmp_path: Path, environ: dict[str, str]
) -> None:
    own = tmp_path / "porchlight.yaml"
    own.write_text(yaml.safe_dump({**FILE, "mqtt": ["broker.lan"], "model": "small"}))
    options(tmp_path, settings_file=str(own))
    path = prepare(environ)
    assert (written(path)["mqtt"], written(path)["model"]) == (["broker.lan"], "small")
    with pytest.raises(ConfigError, match="mqtt"):
        load(path, {})

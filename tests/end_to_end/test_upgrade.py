"""An appliance on the state folder of the version before, and on that of a newer one."""

from __future__ import annotations

import fnmatch
import json
import re
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from appliance.inference.demo import PORCH_DEMO
from tests.rig import Appliance, Broker, Ear, wait_for
from tests.upgrade.home import JSON_FILES, Home
from tests.upgrade.recording import INSTALL_ID, KNOWN, RECORDED, events

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

START_S = 90.0
PATIENCE_S = 30.0
NOBODY = "synthetic://porch?size=640x360&fps=5&seed=11&hour=14&people_per_minute=0"
NEWER = (*JSON_FILES, "outbox.sqlite3")

Start = Callable[[dict[str, Any]], Appliance]


@pytest.fixture
def instance() -> str:
    return f"test_{secrets.token_hex(4)}"


@pytest.fixture
def home(tmp_path: Path, instance: str) -> Home:
    return Home(tmp_path, RECORDED[-1], instance)


@pytest.fixture
def settings(broker: Broker, home: Home, instance: str) -> dict[str, Any]:
    return {
        "instance": instance,
        "state_dir": str(home.state),
        "cameras": [{"id": camera, "source": NOBODY} for camera in ("porch", "garden")],
        "model": {"path": str(PORCH_DEMO)},  # its backends are tried, which leaves a file too
        "mqtt": {"host": "127.0.0.1", "port": broker.port},
    }


@pytest.fixture
def send(broker: Broker, instance: str) -> Iterator[Callable[[str, str], None]]:
    client = Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()

    def publish(topic: str, words: str) -> None:
        client.publish(f"porchlight/{instance}/{topic}", words, qos=1)

    yield publish
    client.disconnect()
    client.loop_stop()


def strangers(state: Path) -> list[str]:
    """Return what lies there and `tests/upgrade/test_state.py` does not know."""
    names = [path.name for path in state.iterdir() if not path.name.endswith(".new")]
    return [name for name in names if not any(fnmatch.fnmatch(name, known) for known in KNOWN)]


def health(ear: Ear, instance: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ear.last(f"porchlight/{instance}/health") or "{}")
    return found


def test_an_appliance_goes_on_where_the_version_before_stopped(
    broker: Broker, ear: Ear, appliance: Start, home: Home, settings: dict[str, Any], instance: str
) -> None:
    porch = appliance(settings)
    story = events()
    wait_for("what waits is told", START_S, lambda: len(ear.all("/alarm/event")) >= len(story))
    told = [heard.json() for heard in ear.all("/alarm/event")][: len(story)]
    assert [(one["event_id"], one["event_type"]) for one in told] == [
        (event.number, event.payload["event_type"]) for event in story
    ]
    assert all(one["replayed"] is True for one in told)

    wait_for("the detector works", START_S, lambda: porch.state() == "standby")
    assert {heard.payload for heard in ear.all("/alarm/state")} == {b"armed_night"}
    assert ear.last("/porch/cfg/threshold") == "65"
    assert ear.last("/porch/cfg/clear_seconds") == "12.5"
    assert (ear.last("/garden/cfg/detection"), ear.last("/garden/cfg/live_view")) == ("OFF", "OFF")

    assert f" as porchlight-{instance}-{INSTALL_ID}-controller " in broker._log.read_text()
    known = json.loads((RECORDED[-1] / "unique_ids.json").read_text().replace("recorded", instance))
    for topic, entities in known.items():
        last = ear.last(topic)
        if "cellar" in topic:
            assert last == ""
            continue
        components = json.loads(last or "{}")["components"]
        same = entities.keys() & components.keys()
        assert same
        assert {key: components[key]["unique_id"] for key in same} == {key: entities[key] for key in same}

    assert (home.state / "backends.json").read_text().count("latency_ms") > 2
    assert not strangers(home.state)
    assert porch.stop() == 0
    assert not strangers(home.state)
    assert not list(home.state.glob("*.broken*"))
    assert "newer Porchlight" not in porch.log_text()


def test_an_appliance_on_a_newer_state_says_so_and_works(
    ear: Ear,
    appliance: Start,
    home: Home,
    settings: dict[str, Any],
    instance: str,
    send: Callable[[str, str], None],
    figure: Callable[[str, str], None],
) -> None:
    newer = {name: home.make_newer(name) for name in NEWER}
    began = time.monotonic()
    porch = appliance(settings)
    wait_for("the alarm panel is told", START_S, lambda: ear.last("/alarm/state"))
    wait_for("the problem is told", START_S, lambda: "set it again" in str(health(ear, instance)))
    figure("a start on a newer version's state: seconds until health says so", f"{time.monotonic() - began:.1f}")
    assert ear.last("/alarm/state") == "disarmed"
    reasons = health(ear, instance)["reasons"]
    for name, what in (("alarm.json", "the alarm state"), ("choices.json", "the settings")):
        (reason,) = [one for one in reasons if str(home.aside(name)) in one]
        assert re.search(
            rf"{what} w\w+ kept by a newer Porchlight \(version \d+, this one reads \d+\): install that one again",
            reason,
        )
    for name, content in newer.items():
        assert home.aside(name).read_bytes() == content
        (line,) = [line for line in porch.log_text().splitlines() if f"set aside as {home.aside(name)}" in line]
        assert "newer Porchlight" in line

    send("alarm/set", "ARM_HOME")
    wait_for("it is armed", PATIENCE_S, lambda: ear.last("/alarm/state") == "armed_home")
    wait_for("there is no doubt", PATIENCE_S, lambda: "set it again" not in str(health(ear, instance)))
    assert porch.stop() == 0

    # As the message says: the newer one finds its files under their names again. Here it is played by this one.
    for name in NEWER:
        home.aside(name).replace(home.state / name)
        home.make_ours(name)
    porch.start()
    wait_for("what waits is told", START_S, lambda: {event.number for event in events()} <= _ids(ear))
    wait_for("it is armed as it was", PATIENCE_S, lambda: ear.last("/alarm/state") == "armed_night")
    wait_for("what was chosen holds", PATIENCE_S, lambda: ear.last("/porch/cfg/threshold") == "65")


def _ids(ear: Ear) -> set[int]:
    return {heard.json()["event_id"] for heard in ear.all("/alarm/event")}

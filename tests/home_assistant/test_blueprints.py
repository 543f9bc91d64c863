"""The blueprints as a household has them: imported into a real Home Assistant, filled in, and fired over MQTT."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from appliance.config import Camera, Settings
from appliance.controller.discovery.household import household
from appliance.controller.topics import Topics
from appliance.controller.visits import iso
from tests.home_assistant.hass import PYTHON, TOOLS, Hass
from tests.rig import ROOT, Broker, Ear, wait_for

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

FOLDER = ROOT / "blueprints" / "automation" / "porchlight"
NAMES = ("light_on_person", "notify_blind", "notify_person", "siren_on_alarm")
SETTINGS = Settings(
    instance="home",
    cameras=(Camera(id="front_door", source="file:///a.mp4"), Camera(id="garden", source="file:///b.mp4")),
)
TOPICS = Topics("home")
OLD_S = 120.0
PICTURE = b"\xff\xd8 somebody \xff\xd9"
OURS = re.compile(r" (WARNING|ERROR|CRITICAL) .*(automation|blueprint|script|template|mqtt|notify|mobile_app|siren)")
"""What in Home Assistant's log would be our fault: more than the harness looks for."""

LEAST = {
    "light_on_person": {"cameras": ["event.x"], "persons": ["binary_sensor.x"], "lights": ["light.x"]},
    "notify_blind": {"problem": "binary_sensor.x", "alarm": "event.x"},
    "notify_person": {"cameras": ["event.x"]},
    "siren_on_alarm": {"alarm": "event.x", "panel": "alarm_control_panel.x", "sirens": ["siren.x"]},
}
"""The inputs that must be given: all others have a default."""

VALIDATE = """
import asyncio, json, sys
from homeassistant.components.automation.config import AUTOMATION_BLUEPRINT_SCHEMA, PLATFORM_SCHEMA
from homeassistant.components.blueprint.models import Blueprint, BlueprintInputs
from homeassistant.core import HomeAssistant
from homeassistant.helpers import frame
from homeassistant.helpers.selector import selector
from homeassistant.util import yaml

async def validate(path, inputs):
    frame.async_setup(hass := HomeAssistant("/nowhere"))
    read = yaml.load_yaml_dict(path)
    blueprint = Blueprint(read, path=path, expected_domain="automation", schema=AUTOMATION_BLUEPRINT_SCHEMA)
    assert blueprint.validate() is None, blueprint.validate()
    used = yaml.extract_inputs({key: value for key, value in read.items() if key != "blueprint"})
    assert set(blueprint.inputs) == used, set(blueprint.inputs) ^ used
    for one in blueprint.inputs.values():
        if one.get("default", []) != []:
            selector(one["selector"])(one["default"])
    filled = BlueprintInputs(blueprint, {"use_blueprint": {"path": path, "input": inputs}})
    filled.validate()
    PLATFORM_SCHEMA({"id": "x", "alias": "x", **filled.async_substitute()})
    return {"url": blueprint.metadata["source_url"], "least": blueprint.metadata["homeassistant"]["min_version"]}

print(json.dumps([asyncio.run(validate(path, inputs)) for path, inputs in json.loads(sys.argv[1])]))
"""

UP = """
import json, pathlib, sys
sys.path.insert(0, sys.argv[1])
import hass_run
hass = hass_run.up(pathlib.Path(sys.argv[2]), broker=sys.argv[3], extra_yaml="mobile_app:")
for path in map(pathlib.Path, sys.argv[4:]):
    hass.ws("blueprint/save", domain="automation", path=f"porchlight/{path.stem}", yaml=path.read_text(),
            source_url="https://example.org/" + path.name)
print(json.dumps({"url": hass.url, "token": hass.token, "version": hass.version}))
"""
"""Home Assistant as the harness starts it, with the phones' integration; the blueprints saved as its import does."""


def drive(code: str, *words: str) -> Any:
    """Run a few lines with Home Assistant's Python; return the JSON that they print."""
    if not PYTHON.exists() or not TOOLS.exists():
        pytest.skip(f"not here: Home Assistant ({PYTHON}; ../shared/tools/ha/setup.sh makes it)")
    done = subprocess.run([str(PYTHON), "-c", code, *words], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return json.loads(done.stdout)


class Home(Hass):
    """A Home Assistant that has our blueprints, and phones."""

    def __init__(self, folder: Path, broker_port: int) -> None:
        self._folder = folder
        told = drive(UP, str(TOOLS), str(folder), f"127.0.0.1:{broker_port}", *map(str, sorted(FOLDER.glob("*.yaml"))))
        self._url, self._token, self.version = told["url"], told["token"], told["version"]

    def automate(self, key: str, blueprint: str, inputs: dict[str, Any]) -> None:
        """Make an automation of a blueprint, as the editor does."""
        use = {"path": f"porchlight/{blueprint}.yaml", "input": inputs}
        self.http("POST", f"/api/config/automation/config/{key}", {"alias": key, "use_blueprint": use})
        wait_for(f"{key} is on", 10, lambda: self._on(key))

    def forget(self, key: str) -> None:
        self.http("DELETE", f"/api/config/automation/config/{key}")
        wait_for(f"{key} is gone", 10, lambda: not self._on(key))

    def runs(self, key: str) -> int:
        """Return how many runs of an automation are not over."""
        return int(self.attributes(f"automation.{key}")["current"])

    def never_ran(self, key: str) -> bool:
        return self.attributes(f"automation.{key}")["last_triggered"] is None

    def render(self, template: str) -> str:
        return self.http("POST", "/api/template", {"template": template}).decode()

    def complaints(self) -> list[str]:
        return [line for line in (self._folder / "hass.log").read_text().splitlines() if OURS.search(line)]

    def _on(self, key: str) -> bool:
        states = json.loads(self.http("GET", "/api/states"))
        return any(one["attributes"].get("id") == key and one["state"] == "on" for one in states)


class Phone:
    """Where the phone's push service would be: takes what Home Assistant sends to the app."""

    def __init__(self) -> None:
        self.pushes: list[dict[str, Any]] = []
        pushes = self.pushes

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                pushes.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                limits = {"successful": 1, "errors": 0, "maximum": 500, "resetsAt": "2030-01-01T00:00:00.000Z"}
                body = json.dumps({"rateLimits": limits}).encode()
                self.send_response(201)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_words: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def join(self, home: Home, name: str) -> str:
        """Register the app as a phone does; return its device id."""
        url = f"http://127.0.0.1:{self._server.server_port}/push"
        words = {"app_id": "x", "app_name": "x", "app_version": "1", "device_name": name, "device_id": "x",
                 "manufacturer": "x", "model": "x", "os_name": "x", "os_version": "1", "supports_encryption": False,
                 "app_data": {"push_token": "x", "push_url": url}}  # fmt: skip
        home.http("POST", "/api/mobile_app/registrations", words)
        return wait_for("the phone is known", 10, lambda: home.render(f"{{{{ device_id({json.dumps(name)}) or '' }}}}"))

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Porch:
    """What the appliance would publish, and the household's own lamps, siren and light sensor."""

    def __init__(self, port: int) -> None:
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def announce(self) -> None:
        for payload in household(SETTINGS):
            self.say(payload.topic(), payload.json())
        for kind, key, more in (
            ("light", "lamp", {"state_topic": "own/lamp", "command_topic": "own/lamp", "retain": True}),
            ("light", "lantern", {"state_topic": "own/lantern", "command_topic": "own/lantern", "retain": True}),
            ("siren", "siren", {"state_topic": "own/siren", "command_topic": "own/siren", "retain": True}),
            ("sensor", "lux", {"state_topic": "own/lux", "device_class": "illuminance", "unit_of_measurement": "lx"}),
        ):
            self.say(f"homeassistant/{kind}/{key}/config", json.dumps({"name": key, "unique_id": key, **more}))
        for stage in ("capture", "inference", "controller", "gateway"):
            self.say(TOPICS.stage(stage), "online")
        self.say(TOPICS.picture_status, "online")

    def quiet(self) -> None:
        """All is well and nobody is there; lamps and siren are off."""
        self.health()
        self.say(TOPICS.alarm_state, "armed_away")
        self.say(TOPICS.status, "online")
        for camera in SETTINGS.cameras:
            self.sees(camera.id, True)
            self.person("OFF", camera.id)
        for own in ("lamp", "lantern", "siren"):
            self.say(f"own/{own}", "OFF")

    def say(self, topic: str, payload: str | bytes, *, retain: bool = True) -> float:
        """Publish, and wait for the broker's word; return when that was."""
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(10)
        return time.time()

    def health(self, *reasons: str) -> None:
        facts = {"problem": bool(reasons), "reasons": reasons, "shortage": ""}
        self.say(TOPICS.health, json.dumps(facts | {"started": iso(0), "backend": "onnxruntime"}))

    def sees(self, camera: str, known: bool) -> None:
        self.say(TOPICS.camera(camera, "status"), "online" if known else "offline")

    def person(self, state: str, camera: str = "front_door") -> float:
        return self.say(TOPICS.camera(camera, "person"), state)

    def visit(self, kind: str, incident: str, *, age_s: float | None = 0.0, camera: str = "front_door") -> None:
        """Tell of a person; `age_s` None leaves the time out."""
        facts = {"event_type": kind, "incident": incident, "confidence": 0.9, "person_count": 1, "zones": []}
        self.say(TOPICS.camera(camera, "event"), json.dumps(facts | _aged(age_s)), retain=False)

    def alarm(self, kind: str, *, age_s: float | None = 0.0, **more: Any) -> None:
        facts = {"event_type": kind, "state": "x", "previous_state": "y", **more}
        self.say(TOPICS.alarm_event, json.dumps(facts | _aged(age_s)), retain=False)


def _aged(age_s: float | None) -> dict[str, str]:
    return {} if age_s is None else {"timestamp": iso(time.time_ns() - int(age_s * 1e9))}


@dataclasses.dataclass(slots=True)
class House:
    home: Home
    porch: Porch
    ear: Ear
    phone: Phone
    phone_id: str
    entity: dict[str, str]
    """Entity ids, by the end of our unique ids: `front_door_event`; the household's own by theirs."""
    began: float = 0.0
    """What was heard before belongs to another test."""

    def heard(self, topic: str) -> list[str]:
        return [one.payload.decode() for one in self.ear.all(topic, since=self.began)]

    def told(self, key: str) -> list[dict[str, Any]]:
        """Return what the automation's extra action has said."""
        return [json.loads(text) for text in self.heard(f"told/{key}")]


def tell(key: str) -> list[dict[str, Any]]:
    """Return an extra action, of the household's own making, that shows what a blueprint gives it."""
    facts = """{{ {
        'title': title, 'message': message, 'well': well | default(none),
        'incident': trigger.to_state.attributes.incident | default('') if trigger.to_state is defined else '',
        'from': trigger.from_state.state if trigger.from_state is defined else '',
    } | to_json }}"""
    return [{"action": "mqtt.publish", "data": {"topic": f"told/{key}", "payload": facts, "qos": 1}}]


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    broker = Broker(folder)
    broker.start()
    ear, porch, phone = Ear(broker.port), Porch(broker.port), Phone()
    home = None
    try:
        home = Home(folder / "hass", broker.port)
        porch.announce()
        porch.quiet()
        entity = wait_for("all entities are there", 30, lambda: _entities(home))
        wait_for("Home Assistant hears", 20, lambda: home.state(entity["garden_person"]) == "off")
        wait_for("it hears of the panel", 20, lambda: home.state(entity["alarm"]) == "armed_away")
        yield House(home, porch, ear, phone, phone.join(home, "Ann's phone"), entity)
    finally:
        if home is not None:
            home.down()
        phone.close()
        porch.close()
        ear.close()
        broker.stop()


def _entities(home: Home) -> dict[str, str]:
    """Return them once they are all there."""
    announced = [one for payload in household(SETTINGS) for one in payload.payload()["components"].values()]
    wanted = {one["unique_id"] for one in announced if "unique_id" in one} | {"lamp", "lantern", "siren", "lux"}
    found = home.entities()
    if not wanted <= set(found):
        return {}
    return {key.removeprefix("porchlight_home_"): one["entity_id"] for key, one in found.items()}


@pytest.fixture
def house(furnished: House) -> Iterator[House]:
    """The house at rest. Home Assistant must have had nothing to say against us in the end."""
    furnished.porch.quiet()
    for key, state in (("front_door_person", "off"), ("alarm", "armed_away"), ("problem", "off"), ("siren", "off")):
        _becomes(furnished, key, state)
    furnished.began = time.time()
    furnished.home.run("mark")
    before = len(furnished.home.complaints())
    yield furnished
    furnished.home.run("check", "--since-mark")
    assert furnished.home.complaints()[before:] == []


@pytest.fixture
def automate(house: House) -> Iterator[Callable[..., None]]:
    made: list[str] = []

    def make(key: str, blueprint: str, **inputs: Any) -> None:
        house.home.automate(key, blueprint, inputs)
        made.append(key)

    yield make
    for key in made:
        house.home.forget(key)


def _becomes(house: House, key: str, state: str) -> None:
    wait_for(f"{key} is {state}", 15, lambda: house.home.state(house.entity[key]) == state)


def _hears(house: House, key: str, incident: str) -> None:
    """Wait until Home Assistant has taken an event in: an automation that it fires is running then."""
    entity = house.entity[key]
    wait_for(f"it heard of {incident}", 10, lambda: house.home.attributes(entity).get("incident") == incident)


def _remembers(house: House, event: str) -> None:
    """Wait until an event entity shows again when its last event was."""
    wait_for(f"{event} is back", 20, lambda: house.home.state(event).startswith("20"))


def test_home_assistants_own_schema_takes_every_blueprint_and_what_its_defaults_make() -> None:
    paths = sorted(FOLDER.glob("*.yaml"))
    assert tuple(path.stem for path in paths) == NAMES
    facts = drive(VALIDATE, json.dumps([(str(path), LEAST[path.stem]) for path in paths]))
    for path, fact in zip(paths, facts, strict=True):
        assert fact["url"].endswith(f"/blob/main/{path.relative_to(ROOT)}")
        assert fact["least"] == "2025.4.0"


def test_somebody_at_the_door_is_on_the_phone_with_their_picture(house: House, automate: Callable[..., None]) -> None:
    events = [house.entity["front_door_event"], house.entity["garden_event"]]
    automate("door", "notify_person", cameras=events, phones=[house.phone_id], picture="image", urgency="critical",
             extra_actions=tell("door"))  # fmt: skip
    house.porch.say(TOPICS.camera("front_door", "last_person"), PICTURE)
    image = house.entity["front_door_last_person"]
    wait_for("it has the picture", 10, lambda: house.home.state(image) != "unknown")

    house.porch.visit("person_entered", "first")  # the first ever: its event has no state before
    wait_for("the phone has it", 15, lambda: house.phone.pushes)
    push = house.phone.pushes[0]
    assert (push["title"], push["message"]) == ("Front door", "Somebody is there.")
    assert push["data"]["image"] == f"/api/image_proxy/{image}"
    assert push["data"]["push"]["interruption-level"] == "critical"
    assert house.home.http("GET", push["data"]["image"]) == PICTURE

    # The garden has no picture of a person yet, and no live one: the words come without.
    house.porch.visit("person_entered", "second", camera="garden")
    wait_for("the phone has that too", 15, lambda: len(house.phone.pushes) == 2)
    assert house.phone.pushes[1]["title"] == "Garden"
    assert "image" not in house.phone.pushes[1]["data"]
    wait_for("so has the extra action", 10, lambda: len(house.told("door")) == 2)
    assert [one["from"] for one in house.told("door")] == ["unknown", "unknown"]


def test_run_by_hand_they_show_what_they_would_do(house: House, automate: Callable[..., None]) -> None:
    event, problem = house.entity["front_door_event"], house.entity["problem"]
    automate("door", "notify_person", cameras=[event], extra_actions=tell("door"))
    automate("blind", "notify_blind", problem=problem, alarm=house.entity["alarm_event"], extra_actions=tell("blind"))
    for key in ("door", "blind"):
        house.home.http("POST", "/api/services/automation/trigger", {"entity_id": f"automation.{key}"})
    wait_for("both are told", 10, lambda: house.told("door") and house.told("blind"))
    assert house.told("door")[0]["title"] == "Front door"
    assert house.told("blind")[0]["message"] == "It says no reason."


def test_what_is_old_is_not_told_and_what_has_no_time_is(house: House, automate: Callable[..., None]) -> None:
    automate("door", "notify_person", cameras=[house.entity["front_door_event"]], extra_actions=tell("door"))
    house.porch.visit("person_entered", "two minutes ago", age_s=OLD_S)
    house.porch.visit("person_left", "gone")
    house.porch.visit("person_entered", "timeless", age_s=None)
    house.porch.visit("person_entered", "half a minute ago", age_s=30)
    wait_for("the last is told", 10, lambda: len(house.told("door")) >= 2)
    assert [one["incident"] for one in house.told("door")] == ["timeless", "half a minute ago"]


def test_two_events_of_one_millisecond_are_both_told_and_a_new_name_is_no_event(
    house: House, automate: Callable[..., None]
) -> None:
    event = house.entity["front_door_event"]
    kinds = ["person_entered", "alarm_triggered"]
    automate("door", "notify_person", cameras=[event], kinds=kinds, extra_actions=tell("door"))
    state = stamp = iso(time.time_ns())
    for kind, name in (("person_entered", "Visit"), ("alarm_triggered", "Visit"), ("alarm_triggered", "Caller")):
        facts = {"event_type": kind, "timestamp": stamp, "incident": kind, "friendly_name": name}
        house.home.http("POST", f"/api/states/{event}", {"state": state, "attributes": facts})
    house.porch.visit("person_entered", "later")
    wait_for("the last is told", 10, lambda: len(house.told("door")) >= 3)
    assert [one["incident"] for one in house.told("door")] == [*kinds, "later"]


def test_an_event_that_came_while_its_entity_was_unavailable_is_told_once_it_is_back(
    house: House, automate: Callable[..., None]
) -> None:
    event = house.entity["front_door_event"]
    automate("door", "notify_person", cameras=[event], extra_actions=tell("door"))
    house.porch.visit("person_entered", "before")
    wait_for("it is told", 10, lambda: house.told("door"))
    for incident in ("", "meanwhile", ""):  # away and back twice with nothing new
        house.porch.sees("front_door", False)
        _becomes(house, "front_door_event", "unavailable")
        if incident:
            house.porch.visit("person_entered", incident)
        house.porch.sees("front_door", True)
        wait_for("it is back", 10, lambda: house.home.state(event) != "unavailable")
    house.porch.visit("person_entered", "after")
    wait_for("the last is told", 10, lambda: house.told("door")[-1]["incident"] == "after")
    assert [one["incident"] for one in house.told("door")] == ["before", "meanwhile", "after"]


def test_the_lamp_burns_while_somebody_is_there_and_what_was_on_stays_on(
    house: House, automate: Callable[..., None]
) -> None:
    lights = [house.entity["lamp"], house.entity["lantern"]]
    automate("lamp", "light_on_person", cameras=[house.entity["front_door_event"]],
             persons=[house.entity["front_door_person"]], lights=lights, linger=1, only_dark=False)  # fmt: skip
    house.porch.say("own/lantern", "ON")
    _becomes(house, "lantern", "on")

    house.porch.visit("person_entered", "old", age_s=OLD_S)
    _hears(house, "front_door_event", "old")
    assert house.home.never_ran("lamp")
    house.porch.visit("person_entered", "new")
    house.porch.person("ON")
    _becomes(house, "lamp", "on")

    # Unavailable is not "nobody".
    house.porch.sees("front_door", False)
    _becomes(house, "front_door_person", "unavailable")
    assert house.home.runs("lamp") == 1
    house.porch.sees("front_door", True)
    _becomes(house, "front_door_person", "on")
    # Whoever comes back within the second keeps it on.
    house.porch.person("OFF")
    house.porch.person("ON")
    house.porch.visit("person_entered", "again")
    left_at = house.porch.person("OFF")
    _becomes(house, "lamp", "off")
    assert house.heard("own/lamp")[-2:] == ["ON", "OFF"]
    assert house.ear.all("own/lamp")[-1].at - left_at > 0.9
    assert house.heard("own/lantern") == ["ON"], "by us, not by the automation"


def test_by_day_no_lamp_is_turned_on(house: House, automate: Callable[..., None]) -> None:
    automate("dusk", "light_on_person", cameras=[house.entity["front_door_event"]],
             persons=[house.entity["front_door_person"]], lights=[house.entity["lamp"]], linger=0,
             illuminance=house.entity["lux"], dark_below=20)  # fmt: skip
    house.porch.say("own/lux", "500")
    _becomes(house, "lux", "500")
    house.porch.visit("person_entered", "by day")
    _hears(house, "front_door_event", "by day")
    assert house.home.never_ran("dusk")
    house.porch.say("own/lux", "5")
    _becomes(house, "lux", "5")
    house.porch.visit("person_entered", "at dusk")
    _becomes(house, "lamp", "on")
    house.porch.person("ON")
    _becomes(house, "front_door_person", "on")
    house.porch.person("OFF")
    _becomes(house, "lamp", "off")


def test_the_siren_sounds_at_an_alarm_until_the_panel_is_disarmed(house: House, automate: Callable[..., None]) -> None:
    automate("siren", "siren_on_alarm", alarm=house.entity["alarm_event"], panel=house.entity["alarm"],
             sirens=[house.entity["siren"]], longest=60)  # fmt: skip
    house.porch.alarm("triggered", age_s=OLD_S, incident="old")
    _hears(house, "alarm_event", "old")
    house.porch.alarm("pending", incident="not yet")
    _hears(house, "alarm_event", "not yet")
    assert house.home.never_ran("siren")

    house.porch.alarm("triggered")
    house.porch.say(TOPICS.alarm_state, "triggered")
    _becomes(house, "siren", "on")
    assert json.loads(house.heard("own/siren")[-1]) == {"state": "ON", "duration": 60}
    house.porch.say(TOPICS.alarm_state, "disarmed")
    _becomes(house, "siren", "off")

    # Disarmed while nothing could be heard of it.
    house.porch.alarm("triggered")
    house.porch.say(TOPICS.alarm_state, "triggered")
    _becomes(house, "siren", "on")
    house.porch.say(TOPICS.status, "offline")
    _becomes(house, "alarm", "unavailable")
    assert house.home.runs("siren") == 1
    house.porch.say(TOPICS.alarm_state, "disarmed")
    house.porch.say(TOPICS.status, "online")
    _becomes(house, "siren", "off")
    _becomes(house, "alarm", "disarmed")
    _remembers(house, house.entity["alarm_event"])
    assert house.home.runs("siren") == 0
    assert len(house.heard("own/siren")) == 4, "on and off, twice: what is remembered sounds nothing"


def test_the_siren_ends_after_the_longest_time(house: House, automate: Callable[..., None]) -> None:
    automate("brief", "siren_on_alarm", alarm=house.entity["alarm_event"], panel=house.entity["alarm"],
             sirens=[house.entity["siren"]], longest=1)  # fmt: skip
    house.porch.alarm("triggered")
    house.porch.say(TOPICS.alarm_state, "triggered")
    _becomes(house, "siren", "on")
    _becomes(house, "siren", "off")
    assert house.home.state(house.entity["alarm"]) == "triggered"


def test_a_blind_camera_and_a_lasting_problem_are_told_with_their_reasons_and_so_is_their_end(
    house: House, automate: Callable[..., None]
) -> None:
    automate("blind", "notify_blind", problem=house.entity["problem"], alarm=house.entity["alarm_event"],
             phones=[house.phone_id], patience={"seconds": 1}, extra_actions=tell("blind"))  # fmt: skip
    pushed = len(house.phone.pushes)

    def told(count: int) -> dict[str, Any]:
        wait_for(f"message {count} is told", 15, lambda: len(house.told("blind")) >= count)
        return house.told("blind")[count - 1]

    house.porch.health("Camera garden: no frame for 4 s.", "Inference is not running.")
    assert told(1)["title"] == "Porchlight home has a problem"
    assert told(1)["message"] == "Camera garden: no frame for 4 s.\nInference is not running."
    house.porch.health()
    assert (told(2)["title"], told(2)["well"]) == ("Porchlight home is well again", True)

    house.porch.alarm("blind", age_s=OLD_S, camera="garden", reason="long ago", incident="old")
    _hears(house, "alarm_event", "old")
    house.porch.alarm("blind", camera="front_door", reason="no frame for 4 s")
    assert told(3)["message"] == "Front door is blind while the alarm is armed: no frame for 4 s"
    house.porch.health("Camera front_door: no frame for 4 s.")
    assert told(4)["title"] == "Porchlight home has a problem"
    house.porch.health()
    assert told(5)["well"]

    house.porch.say(TOPICS.status, "offline")
    assert told(6)["title"] == "Porchlight home cannot be reached"
    house.porch.say(TOPICS.status, "online")
    assert told(7)["well"]
    wait_for("the phone has them all", 10, lambda: len(house.phone.pushes) == pushed + 7)
    assert [one["title"] for one in house.phone.pushes[pushed:]] == [one["title"] for one in house.told("blind")]


def test_what_was_before_fires_nothing_when_home_assistant_or_the_appliance_comes_back(
    house: House, automate: Callable[..., None]
) -> None:
    door, alarm = house.entity["front_door_event"], house.entity["alarm_event"]
    persons, problem = [house.entity["front_door_person"]], house.entity["problem"]
    automate("door", "notify_person", cameras=[door], extra_actions=tell("door"))
    automate("lamp", "light_on_person", cameras=[door], persons=persons, lights=[house.entity["lamp"]], only_dark=False)
    automate("blind", "notify_blind", problem=problem, alarm=alarm, extra_actions=tell("blind"))
    house.porch.visit("person_entered", "before")
    house.porch.alarm("blind", incident="before", reason="before")
    _becomes(house, "lamp", "on")
    wait_for("both are told", 10, lambda: house.told("door") and house.told("blind"))
    house.porch.say("own/lamp", "OFF")
    _becomes(house, "lamp", "off")

    house.home.run("restart")
    for again in (False, True):
        if again:
            house.porch.say(TOPICS.status, "offline")
            _becomes(house, "front_door_event", "unavailable")
            house.porch.say(TOPICS.status, "online")
        for event in (door, alarm):
            _remembers(house, event)
            assert house.home.attributes(event)["incident"] == "before"
        # At a start, one looks for a moment whether anything is heard of the appliance at all.
        wait_for("nothing runs", 10, lambda: not any(house.home.runs(key) for key in ("door", "lamp", "blind")))
        assert house.home.state(house.entity["lamp"]) == "off"

    house.porch.visit("person_entered", "after")
    house.porch.alarm("blind", incident="after", reason="after")
    _becomes(house, "lamp", "on")
    wait_for("both are told", 10, lambda: len(house.told("door")) >= 2 and len(house.told("blind")) >= 2)
    for key in ("door", "blind"):
        assert [one["incident"] for one in house.told(key)] == ["before", "after"]


def test_an_appliance_that_is_silent_when_home_assistant_starts_is_told(
    house: House, automate: Callable[..., None]
) -> None:
    automate("blind", "notify_blind", problem=house.entity["problem"], alarm=house.entity["alarm_event"],
             patience={"seconds": 1}, tell_well=False, extra_actions=tell("blind"))  # fmt: skip
    house.porch.say(TOPICS.status, "offline")
    wait_for("it is told while it runs", 15, lambda: house.told("blind"))
    house.home.run("restart")
    wait_for("it is told after the start", 20, lambda: len(house.told("blind")) == 2)
    assert {one["title"] for one in house.told("blind")} == {"Porchlight home cannot be reached"}
    assert house.home.runs("blind") == 0, "nothing waits for all to be well"

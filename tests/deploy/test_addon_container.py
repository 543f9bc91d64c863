"""The add-on as a household has it: its container as the Supervisor runs it, real mosquitto, real Home Assistant.

The Supervisor is a stand-in, and so is the proxy of the sidebar, at the addresses that theirs have; nothing in the
container is told that it is a test. What the tests cannot show: AppArmor, which podman here has not, and devices.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from appliance.addon.options import INGRESS, PORT
from tests.addon.ingress import apart, ingress, looping, picture, status
from tests.addon.stand_in import TOKEN, Supervisor
from tests.deploy.container import USER, Box, Engine
from tests.deploy.hassio import ADDON, BROKER, MQTT_PORT, SUPERVISOR, Addon, Network, network, supervising
from tests.deploy.in_image import PROCESSES
from tests.end_to_end.chromium import REPORTS
from tests.home_assistant.hass import Hass
from tests.rig import Broker, wait_for

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

NAME, PASSWORD = "addons", "of the house"
URL = f"http://{ADDON}:{PORT}"
SOME = re.compile("[1-9]")
"""How many boxes: with so many people it is seldom one."""
START_S = 90.0
SOON_S = 20.0
STOP_PROMISE_S = 5.0
REFUSED_S = 120.0
"""A broker's add-on gets a minute to announce itself."""
HUB, CAMERA = "porchlight_porchlight", "porchlight_porchlight_porch"
MEMORY = """
import os, re
print(sum(int(re.search(r'^Pss: +([0-9]+)', open(f'/proc/{pid}/smaps_rollup').read(), re.M)[1])
          for pid in filter(str.isdigit, os.listdir('/proc')) if int(pid) != os.getpid()))
"""
"""kB, each shared page once."""
QUEUES = "import os; print(os.listdir('/dev/mqueue'))"

Figure = Callable[[str, str], None]
Listening = Callable[[int, str, str], Callable[[str], list[bytes]]]


class Member(Hass):
    """A Home Assistant that knows the broker's password."""

    def run(self, *words: str, fine: bool = True) -> str:
        known = ["--user", NAME, "--password", PASSWORD] if words[0] == "up" else []
        return super().run(*words, *known, fine=fine)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("addon")


@pytest.fixture(scope="module")
def cables(image: Engine, folder: Path) -> Iterator[Network]:
    with network(image, folder) as one:
        yield one


@pytest.fixture(scope="module")
def mosquitto(folder: Path, cables: Network) -> Iterator[Broker]:
    one = Broker(folder, user=NAME, password=PASSWORD)
    one.start()
    with looping() as do:
        relay = do(cables.relay(one.port))
        yield one
        relay.close()
    one.stop()


@pytest.fixture(scope="module")
def hass(folder: Path, mosquitto: Broker) -> Iterator[Hass]:
    one = Member(folder / "hass", mosquitto.port)
    yield one
    one.down()


@pytest.fixture
def stand_in(cables: Network, mosquitto: Broker) -> Iterator[Supervisor]:
    with supervising(cables) as one:
        one.service = {
            "host": "core-mosquitto", "port": MQTT_PORT, "ssl": False, "protocol": "3.1.1",
            "username": NAME, "password": PASSWORD,
        }  # fmt: skip
        yield one


@pytest.fixture
def addon(image: Engine, cables: Network, tmp_path: Path, stand_in: Supervisor) -> Iterator[Addon]:
    one = Addon(image, cables, tmp_path)
    yield one
    if one.box is not None and one.box.is_there:
        one.stop()  # or the next test finds what is retained as it was


@pytest.fixture
def sidebar(cables: Network) -> Iterator[str]:
    assert INGRESS == SUPERVISOR
    with ingress(URL, INGRESS, cables.socket) as url:
        yield url


@pytest.fixture(scope="module", autouse=True)
def without_a_broker(image: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """One in another house, where there is no broker. It waits for a minute, so it begins before all others."""
    folder = tmp_path_factory.mktemp("no_broker")
    with network(image, folder) as cables, supervising(cables):
        box = Addon(image, cables, folder).start()
        yield box
        box.remove()


def entity(hass: Hass, unique: str) -> str:
    return str(hass.entities()[unique]["entity_id"])


def announced(payloads: list[bytes]) -> set[str]:
    """Return the unique ids of the entities that stand in the announcements."""
    components = [one for payload in payloads for one in json.loads(payload)["components"].values()]
    return {one["unique_id"] for one in components if one["platform"] != "device_automation"}


@contextlib.contextmanager
def shared_memory(process: Path) -> Iterator[Path]:
    """Keep hold of a container's /dev/shm, to look into it when the container has ended."""
    kept = os.open(process / "root" / "dev" / "shm", os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield Path(f"/proc/self/fd/{kept}")
    finally:
        os.close(kept)


def test_with_nothing_set_but_a_camera_there_are_hub_camera_and_a_page_in_the_sidebar(
    addon: Addon,
    stand_in: Supervisor,
    cables: Network,
    mosquitto: Broker,
    hass: Hass,
    sidebar: str,
    browser: Browser,
    listening: Listening,
    figure: Figure,
) -> None:
    ear = listening(mosquitto.port, NAME, PASSWORD)
    hass.run("mark")
    began = time.monotonic()
    box = addon.start("people_per_minute=20")
    wait_for("announced", START_S, lambda: len(ear("homeassistant/device/")) >= 2)
    figure("add-on's container: from start to discovery", f"{time.monotonic() - began:.1f} s")
    wait_for("watched", START_S, lambda: ear("porchlight/porchlight/porch/status")[-1:] == [b"online"])
    figure("add-on's container: from start to a camera that is available", f"{time.monotonic() - began:.1f} s")
    assert stand_in.asked == [f"Bearer {TOKEN}"]

    ours = announced(ear("homeassistant/device/"))
    wait_for("Home Assistant has it all", SOON_S, lambda: set(hass.entities()) == ours)
    assert hass.devices() == {HUB: "Porchlight", CAMERA: "Front porch"}
    names = {
        key: hass.attributes(entity(hass, key))["friendly_name"]
        for key in (f"{HUB}_alarm", f"{CAMERA}_camera", f"{CAMERA}_person")
    }
    assert list(names.values()) == ["Porchlight", "Front porch", "Front porch Person"]
    person = entity(hass, f"{CAMERA}_person")
    wait_for("somebody is there", START_S, lambda: hass.state(person) == "on")

    page = browser.new_page()
    page.goto(sidebar)
    expect(page.get_by_role("heading", name="Front porch")).to_be_visible(timeout=START_S * 1000)
    expect(page.get_by_test_id("picture-porch")).to_have_attribute("data-boxes", SOME, timeout=START_S * 1000)
    REPORTS.mkdir(exist_ok=True)
    page.screenshot(path=REPORTS / "addon-container.png")
    page.close()
    assert apart(picture(f"{sidebar}ws"))[:2] == b"\xff\xd8"
    assert apart(status(f"{URL}/api/status", INGRESS, cables.socket)) == 200
    assert apart(status(f"{URL}/api/status", BROKER, cables.socket)) == 403, "another add-on is not the proxy"

    for words, uids, effective, *_ in json.loads(box.python(PROCESSES)):
        assert (set(uids), int(effective, 16)) == ({str(USER)}, 0), words
    assert box.python("import os; print(os.access('/config', os.W_OK), os.stat('/data').st_uid)") == f"False {USER}\n"
    figure("add-on's container: memory of all its processes", f"{int(box.python(MEMORY)) / 1e3:.0f} MB")
    hass.run("check", "--since-mark")


def test_other_options_hold_after_a_restart_and_what_was_armed_is_armed(
    addon: Addon, cables: Network, image: Engine, mosquitto: Broker, hass: Hass, listening: Listening, figure: Figure
) -> None:
    hass.run("mark")
    ear = listening(mosquitto.port, NAME, PASSWORD)
    box = addon.start(exit_delay_seconds=0)
    wait_for("watched", START_S, lambda: ear("porchlight/porchlight/porch/status")[-1:] == [b"online"])
    wait_for("Home Assistant has the alarm panel", START_S, lambda: f"{HUB}_alarm" in hass.entities())
    panel, camera = entity(hass, f"{HUB}_alarm"), entity(hass, f"{CAMERA}_camera")
    wait_for("at rest", START_S, lambda: (hass.state(panel), hass.state(camera)) == ("disarmed", "idle"))
    assert hass.attributes(camera)["friendly_name"] == "Front porch"
    assert " DEBUG " not in box.log()
    hass.call("alarm_control_panel.alarm_arm_away", panel)
    wait_for("armed", SOON_S, lambda: hass.state(panel) == "armed_away")
    ids = {key: one["entity_id"] for key, one in hass.entities().items()}

    with shared_memory(image.process(box)) as left:
        assert list(left.iterdir())
        assert cables.sandbox.python(QUEUES) != "[]\n"
        code, took = addon.stop()
        assert list(left.iterdir()) == []
    assert cables.sandbox.python(QUEUES) == "[]\n"
    assert code == 0
    assert took < 3 * STOP_PROMISE_S
    figure("add-on's container: from SIGTERM to its end", f"{took:.1f} s")
    ear = listening(mosquitto.port, NAME, PASSWORD)
    told = {"alarm/state": [b"armed_away"], "status": [b"offline"], "porch/status": [b"offline"]}
    wait_for("what is retained", SOON_S, lambda: all(ear(f"porchlight/porchlight/{topic}") for topic in told))
    assert {topic: ear(f"porchlight/porchlight/{topic}") for topic in told} == told
    wait_for("unavailable", SOON_S, lambda: {hass.state(panel), hass.state(camera)} == {"unavailable"})

    box = addon.start(name="Back porch", exit_delay_seconds=0, log_level="debug")
    wait_for("renamed", START_S, lambda: hass.devices() == {HUB: "Porchlight", CAMERA: "Back porch"})
    wait_for("available", START_S, lambda: (hass.state(panel), hass.state(camera)) == ("armed_away", "idle"))
    assert set(ear("porchlight/porchlight/alarm/state")) == {b"armed_away"}, "never anything else in between"
    assert hass.attributes(camera)["friendly_name"] == "Back porch"
    assert {key: one["entity_id"] for key, one in hass.entities().items()} == ids
    assert " DEBUG " in box.log()
    assert PASSWORD not in box.log()
    hass.run("check", "--since-mark")


def test_without_a_broker_it_says_once_which_add_on_to_install_and_ends(without_a_broker: Box) -> None:
    box = without_a_broker
    assert box.container.wait(timeout=REFUSED_S)["StatusCode"] == 2
    log = box.log()
    assert log.count('install the add-on "Mosquitto broker"') == 1
    assert log.count("waiting for an MQTT broker") == 1
    assert "Traceback" not in log
    box.container.reload()
    assert (box.container.status, box.container.attrs["RestartCount"]) == ("exited", 0)

"""Records what this version keeps between runs: `python -m tests.upgrade.recording tests/upgrade/written_by_0_2_0`.

The real code writes it, with times and chances that are fixed. A folder that was recorded is never recorded again: it
is what households have on their disks. A format that changes gets a new version, and a new folder beside the old.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

from appliance.config import Camera, Settings, Zone
from appliance.controller import kept
from appliance.controller.alarm import panel_file, telling
from appliance.controller.alarm.words import ArmMode, Code, Command
from appliance.controller.discovery.announced import announced
from appliance.controller.discovery.household import household
from appliance.controller.outbox import Event
from appliance.controller.outbox.store import Store
from appliance.controller.overlay import CameraChoices, Overlay, Setting, written_in
from appliance.controller.topics import Topics
from appliance.inference import verdict_file
from appliance.inference.backends import Backend
from appliance.inference.choice import Candidate, Verdict
from appliance.inference.detector import ModelInfo
from appliance.inference.digest import sha256
from appliance.inference.store import record
from appliance.inference.verdict_file import VerdictFile
from appliance.mqtt import install_id
from tests.controller.alarm.house import SECOND, House

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parent
RECORDED = sorted(HERE.glob("written_by_*"), key=lambda folder: [int(one) for one in folder.name.split("_")[2:]])
"""The oldest first."""
KNOWN = (
    "alarm.json",
    "choices.json",
    "announced.json",
    "outbox.sqlite3*",
    "install-id",
    "backends.json",
    "int8",
    "models",
    "rfdetr-env",
)
"""What the state folder may have, as globs; `test_state` says of each what becomes of it."""

INSTANCE = "recorded"
TOPICS = Topics(INSTANCE)
INSTALL_ID = "0a1b2c3d"
AT_NS = 1_760_000_000 * SECOND
MODEL = b"a model"
MODEL_RECORD = record.Record(
    name="porch.onnx",
    source="https://example.org/porch.onnx",
    sha256=hashlib.sha256(MODEL).hexdigest(),
    bytes=len(MODEL),
    at="2025-10-09T08:53:20+00:00",
    licence="Apache-2.0",
    etag='"5f3b"',
    modified="Thu, 09 Oct 2025 08:53:20 GMT",
)
MODEL_INFO = ModelInfo("porch.onnx", 384, 300, 91, {1: "person"}, "synthetic", "knows drawings only")
VERDICTS = {
    Candidate("onnxruntime", 2): Verdict(41.5),
    Candidate("openvino", 1): Verdict(12.25, "it misses a find of class 1 with a score of 0.90"),
}
CHOSEN = {
    "porch": CameraChoices(threshold=0.65, clear_seconds=12.5),
    "garden": CameraChoices(threshold=0.5, clear_seconds=3.0, detection=False, live_view=False),
}


def settings_of(state: Path, *, before: bool = False, instance: str = INSTANCE) -> Settings:
    """Return the household's settings: as they are now, or as they were with a cellar and a lawn."""
    lawn = Zone(id="lawn", polygon=((0.0, 0.5), (1.0, 0.5), (1.0, 1.0)))
    garden = Camera(id="garden", source="synthetic://porch", zones=(lawn,) if before else ())
    cellar = Camera(id="cellar", source="synthetic://porch")
    cameras = (Camera(id="porch", source="synthetic://porch"), garden, *((cellar,) if before else ()))
    return Settings(instance=instance, state_dir=state, cameras=cameras)


def armed_night() -> House:
    """Return a house that was armed for the night: the garden is blind, and three wrong codes were tried."""
    house = _armed(ArmMode.NIGHT)
    house.blind = {"garden": "no picture for 10 s"}
    house.wait(11)
    for _ in range(3):
        house.say(Command.DISARM, Code.WRONG)
    return house


def panels() -> dict[str, str]:
    """Return the texts of panels in all other states, by what they are."""
    arming = House(now_ns=AT_NS)
    arming.say(Command.ARM_AWAY, Code.NO_PIN)
    changing = _armed(ArmMode.HOME)
    changing.say(Command.ARM_AWAY, Code.NO_PIN)
    pending, triggered = _armed(ArmMode.AWAY), _armed(ArmMode.AWAY)
    for house, seconds in ((pending, 1), (triggered, 31)):
        house.there = ["porch"]
        house.wait(seconds)
    houses = {"arming": arming, "changing": changing, "pending": pending, "triggered": triggered}
    return {name: panel_file.to_json(house.panel) for name, house in houses.items()}


def events() -> list[Event]:
    """Return what the broker has not got yet: the story of that night."""
    return [
        Event(
            event.at_ns // 1000 + place,
            TOPICS.alarm_event,
            telling.event_payload(event, INSTANCE, None),
            event.at_ns,
            late=True,
        )
        for place, event in enumerate(armed_night().said)
    ]


def record_all(folder: Path) -> None:
    """Write everything into this folder: `state` is as an appliance leaves it, but for a database, which is text."""
    state = folder / "state"
    before = settings_of(state, before=True)
    kept.write(state / "alarm.json", panel_file.to_json(armed_night().panel))
    for name, text in panels().items():
        kept.write(folder / "panels" / f"{name}.json", text)
    kept.write(state / "choices.json", _choices(before).to_json())
    kept.write(state / "announced.json", announced(before, household(before)).model_dump_json(indent=1))
    kept.write(folder / "unique_ids.json", json.dumps(unique_ids(before), indent=1) + "\n")
    kept.write(folder / "outbox.sql", _outbox())
    with mock.patch("secrets.token_hex", return_value=INSTALL_ID):
        install_id(state)
    (state / "models").mkdir()
    (state / "models" / "porch.onnx.json").write_text(record.text(MODEL_RECORD))
    with tempfile.TemporaryDirectory() as scratch, same_machine():
        verdicts = verdicts_of(state, Path(scratch))
        for candidate, verdict in VERDICTS.items():
            verdicts.put(candidate, verdict)
        verdicts.put_info(MODEL_INFO)
        verdicts.write()


def lay_out(recorded: Path, state: Path, instance: str = INSTANCE) -> None:
    """Make the state folder of a recording anew, for an instance of this name."""
    shutil.copytree(recorded / "state", state)
    record_file = state / "announced.json"
    record_file.write_text(record_file.read_text().replace(INSTANCE, instance))
    connection = sqlite3.connect(state / "outbox.sqlite3")
    connection.executescript((recorded / "outbox.sql").read_text().replace(INSTANCE, instance))
    connection.close()


def unique_ids(settings: Settings) -> dict[str, dict[str, str]]:
    """Return by what Home Assistant knows each entity again, by its device's topic and its key there."""
    return {
        payload.topic(settings.mqtt.discovery_prefix): {
            key: component["unique_id"]
            for key, component in json.loads(payload.json())["components"].items()
            if "unique_id" in component  # a trigger for automations has none
        }
        for payload in household(settings)
    }


def verdicts_of(state: Path, scratch: Path) -> VerdictFile:
    """Return what is known of the model that was recorded; `scratch` is where it may lie."""
    (scratch / "porch.onnx").write_bytes(MODEL)
    return VerdictFile(state, sha256(scratch / "porch.onnx"))


@contextlib.contextmanager
def same_machine() -> Iterator[None]:
    """Be on the machine of the recording, on its day."""
    with (
        mock.patch.object(verdict_file, "processor", return_value="x86_64 Some Processor x4"),
        mock.patch.object(Backend, "version", property(lambda _: "1.0")),
        mock.patch("time.time", return_value=AT_NS / SECOND),
    ):
        yield


def _armed(mode: ArmMode) -> House:
    house = House(now_ns=AT_NS)
    house.say(Command[f"ARM_{mode.name}"], Code.NO_PIN)
    while not house.state.armed:
        house.wait(1)
    return house


def _choices(settings: Settings) -> Overlay:
    choices = Overlay(written_in(settings))
    for camera, chosen in CHOSEN.items():
        for setting in Setting:
            choices = choices.choose(camera, setting, chosen.value(setting))
    return choices


def _outbox() -> str:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "outbox.sqlite3"
        store = Store(path)
        story = events()
        store.change(story, [], story[-1].number + 7)
        store.close()
        connection = sqlite3.connect(path)
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        lines = [f"PRAGMA user_version = {version};", *connection.iterdump()]
        connection.close()
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    record_all(Path(sys.argv[1]))

"""What a version before has kept is read, what a newer one has kept is refused aloud, and neither costs the household.

`written_by_*` hold what each version left on disk; how that was made is in `recording.py`. What becomes of each file in
the state folder (`state_dir`), where a newer version wrote it, or where it cannot be read:

| file             | what it is                  | then                                                                |
|------------------|-----------------------------|---------------------------------------------------------------------|
| `alarm.json`     | the alarm panel             | set aside, told in log and health; disarmed, and health says that   |
|                  |                             | nobody knows whether it was armed, until somebody arms or disarms   |
| `choices.json`   | what was set over MQTT      | set aside, told in log and health until something is set; what      |
|                  |                             | config.yaml says holds: a camera that was switched off watches      |
| `announced.json` | what Home Assistant has     | set aside, told in the log; what is gone since is not taken back    |
| `outbox.sqlite3` | events not delivered yet    | set aside, told in the log; new events are kept in a new one        |
| `install-id`     | this installation's name    | set aside, told in the log; a new one: no entity depends on it      |
| `backends.json`  | how fast each backend is    | not set aside: entries of others stay; tried again                  |
| `int8`           | int8 forms of models        | not used, told in the log; the model itself watches                 |
| `models`         | models, and what they are   | a record that is not understood is "no record"; the model is used   |
|                  |                             | all the same; a download that was broken off begins anew            |
| `rfdetr-env`     | what exports models         | its own version is asked for, and told where it is another          |

Set aside is `NAME.broken` (`broken2`, ... where there is one; `install-id.broken-ID`), byte for byte. No file takes
another one with it, and none keeps the controller from its work.

Not in the state folder, and of no age: the run folder is emptied at each start, the add-on's `settings.yaml` is made
anew of its options, the demo's folder goes with it. Processes of two versions meet in one run folder only where
somebody replaces the code under a running appliance; then a channel's file is refused with both versions, and a
heartbeat that cannot be read counts as none.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import re
from pathlib import Path
from unittest import mock

import pytest

from appliance.controller import overlay
from appliance.controller.alarm import guard as guard_module
from appliance.controller.alarm import panel_file
from appliance.controller.alarm.words import AlarmState, ArmMode, Command
from appliance.controller.discovery import announced
from appliance.controller.discovery.announced import GONE
from appliance.controller.outbox import store
from appliance.inference.store import record
from appliance.mqtt import install_id
from tests.controller.alarm import test_guard
from tests.controller.alarm.house import SECOND
from tests.controller.alarm.test_guard import RIGHT, WITH_PIN, Clock
from tests.rig import ROOT
from tests.upgrade.home import Home, Started
from tests.upgrade.recording import (
    AT_NS,
    CHOSEN,
    INSTALL_ID,
    KNOWN,
    MODEL_INFO,
    MODEL_RECORD,
    RECORDED,
    TOPICS,
    VERDICTS,
    events,
    panels,
    record_all,
    same_machine,
    settings_of,
    unique_ids,
    verdicts_of,
)

VERSIONS = {
    "state/alarm.json": panel_file.VERSION,
    "state/choices.json": overlay.VERSION,
    "state/announced.json": announced.VERSION,
    "outbox.sql": store.VERSION,
}
"""What has a version, by its place in a recording."""
LAST_NIGHT_NS = AT_NS + 42 * SECOND
"""A second after the third wrong code."""

every_version = pytest.mark.parametrize("recorded", RECORDED, ids=lambda folder: folder.name)


@every_version
def test_the_panel_is_armed_in_its_mode_and_still_locks_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recorded: Path
) -> None:
    monkeypatch.setattr(guard_module, "time", clock := Clock(LAST_NIGHT_NS))
    folder = Home(tmp_path, recorded).state
    panel = panel_file.from_json((folder / "alarm.json").read_text())
    assert (panel.mode, panel.blind, panel.attempts.wrong) == (ArmMode.NIGHT, ("garden",), 3)

    async def script(work: test_guard.Work) -> None:
        await work.ask(Command.DISARM, RIGHT)
        assert work.is_in(AlarmState.ARMED_NIGHT)
        assert work.said.events()[-1]["reason"] == "locked_out"
        work.wait(30)
        await work.ask(Command.DISARM, RIGHT)
        assert work.is_in(AlarmState.DISARMED)

    test_guard.House(folder, clock, WITH_PIN).run(script)


@every_version
@pytest.mark.parametrize("name", list(panels()))
def test_a_panel_on_its_way_is_where_it_was(recorded: Path, name: str) -> None:
    panel = panel_file.from_json((recorded / "panels" / f"{name}.json").read_text())
    assert panel == panel_file.from_json(panels()[name])
    assert panel.countdown is not None


@every_version
def test_what_was_chosen_holds(tmp_path: Path, recorded: Path) -> None:
    started = Home(tmp_path, recorded).start()
    assert {camera: started.choices.of(camera) for camera in CHOSEN} == CHOSEN


@every_version
def test_events_that_wait_are_told_with_their_numbers_in_their_order(tmp_path: Path, recorded: Path) -> None:
    home = Home(tmp_path, recorded)
    story = events()

    async def script(started: Started) -> None:
        assert [dataclasses.replace(event, acknowledged=None) for event in started.outbox.events.values()] == story
        words = [json.loads(event.text(LAST_NIGHT_NS)) for event in started.outbox.events.values()]
        assert [one["event_id"] for one in words] == sorted(event.number for event in story)
        assert all(one["replayed"] and one["age_s"] >= 1 for one in words)
        with mock.patch("time.time_ns", return_value=AT_NS):  # a board without a battery
            started.outbox.put(TOPICS.alarm_event, {}, None, late=True)
        assert max(started.numbers) == story[-1].number + 8

    home.start(script)


@every_version
def test_what_was_announced_and_is_gone_is_taken_back(tmp_path: Path, recorded: Path) -> None:
    farewell = Home(tmp_path, recorded).start().said.farewells[0]
    garden, cellar = (f"homeassistant/device/porchlight_recorded_{camera}/config" for camera in ("garden", "cellar"))
    assert farewell[cellar] == GONE
    assert farewell[TOPICS.zone("garden", "lawn")] == GONE
    assert json.loads(farewell[garden])["components"]["zone_lawn"] == {"platform": "binary_sensor"}
    assert TOPICS.camera("garden", "person") not in farewell


@every_version
def test_home_assistant_knows_every_entity_again(tmp_path: Path, recorded: Path) -> None:
    before, now = json.loads((recorded / "unique_ids.json").read_text()), unique_ids(settings_of(tmp_path, before=True))
    assert before.keys() == now.keys()
    for topic, known in before.items():
        still = known.keys() & now[topic].keys()
        assert still
        assert {key: known[key] for key in still} == {key: now[topic][key] for key in still}


@every_version
def test_the_installation_keeps_its_name(tmp_path: Path, recorded: Path) -> None:
    assert install_id(Home(tmp_path, recorded).state) == INSTALL_ID


@every_version
def test_backends_that_were_tried_are_not_tried_again(tmp_path: Path, recorded: Path) -> None:
    home = Home(tmp_path, recorded)
    with same_machine():
        verdicts = verdicts_of(home.state, home.run)
        assert {candidate: verdicts.get(candidate) for candidate in VERDICTS} == VERDICTS
        assert verdicts.info() == MODEL_INFO


@every_version
def test_a_model_keeps_its_record(tmp_path: Path, recorded: Path) -> None:
    assert record.read(Home(tmp_path, recorded).state / "models" / "porch.onnx.json") == MODEL_RECORD


def test_all_of_it_comes_back_and_nothing_is_wrong(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    before = {path.name for path in home.state.iterdir()}
    started = home.start()
    assert started.is_whole_but("nothing")
    assert started.reasons == []
    assert [entry for entry in caplog.records if entry.levelno >= logging.WARNING] == []
    assert {path.name for path in home.state.iterdir()} == before


# A format that changes


def _version_of(file: Path) -> int:
    text = file.read_text()
    found = re.search(r"PRAGMA user_version = (\d+)", text)
    return int(found[1]) if found else int(json.loads(text)["version"])


@pytest.mark.parametrize("place", list(VERSIONS))
def test_whoever_raises_a_version_records_what_it_writes_and_keeps_what_the_one_before_wrote(place: str) -> None:
    recorded = {_version_of(folder / place) for folder in RECORDED if (folder / place).exists()}
    assert recorded == set(range(1, VERSIONS[place] + 1)), (
        f"{place}: keep what is recorded, and record this version: python -m tests.upgrade.recording "
        "tests/upgrade/written_by_<version>"
    )


def _shape(place: str, text: str) -> object:
    """Return what of a file is its format: all of a text that is always the same, of others the part that is."""
    if place == "outbox.sql":
        return [line for line in text.splitlines() if not line.startswith("INSERT")]
    document = json.loads(text)
    if place == "state/announced.json":
        devices = [{key: type(value) for key, value in device.items()} for device in document["devices"].values()]
        return [sorted(document), *devices]
    return document


@pytest.mark.parametrize("place", [*VERSIONS, *(f"panels/{name}.json" for name in panels())])
def test_whoever_changes_a_format_raises_its_version(tmp_path: Path, place: str) -> None:
    """Else the version before would call broken what it should call newer."""
    record_all(tmp_path / "now")
    now, was = ((folder / place).read_text() for folder in (tmp_path / "now", RECORDED[-1]))
    assert _shape(place, now) == _shape(place, was)


def test_nobody_keeps_anything_that_this_page_does_not_know() -> None:
    """A new user of the state folder comes into the table above, into KNOWN, and into a recording."""
    users = {
        str(path.relative_to(ROOT / "appliance")): re.findall(r'state_path / "([^"]+)"', path.read_text())
        for path in (ROOT / "appliance").rglob("*.py")
        if ".state_path" in path.read_text()
    }
    assert users == {
        "controller/alarm/guard.py": ["alarm.json"],
        "controller/chosen.py": ["choices.json"],
        "controller/discovery/herald.py": ["announced.json"],
        "controller/service.py": [],  # the outbox, and the installation's name
        "gateway/bridge.py": [],  # the installation's name
        "inference/opening.py": [],  # the verdicts
        "inference/store/command.py": ["models", "rfdetr-env"],
    }
    assert all(f"`{name.rstrip('*')}`" in (__doc__ or "") for name in KNOWN)

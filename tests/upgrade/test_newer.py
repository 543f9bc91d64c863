"""Going back: what a newer version has kept is refused with what to do, and waits whole until that one returns."""

from __future__ import annotations

import dataclasses
import json
import logging
import re
import shutil
import sqlite3
from pathlib import Path

import pytest

from appliance.controller.alarm.words import AlarmState, Command
from appliance.controller.commands import AlarmCommand
from appliance.controller.outbox import store
from appliance.inference.store import record
from appliance.ipc import channel_file, heartbeat
from appliance.ipc.channels import frames_channel
from appliance.ipc.errors import CorruptError
from appliance.ipc.heartbeat import HeartbeatFile, read_heartbeats
from appliance.ipc.run_folder import RunFolder
from appliance.messages import Health, Heartbeat
from appliance.mqtt import install_id
from tests.controller.alarm import test_guard
from tests.upgrade.home import JSON_FILES, Home, Started
from tests.upgrade.recording import (
    CHOSEN,
    MODEL_INFO,
    MODEL_RECORD,
    VERDICTS,
    events,
    same_machine,
    verdicts_of,
)

ADVICE = "install that one again and give the file its name back"


@pytest.mark.parametrize("name", [*JSON_FILES, "outbox.sqlite3"])
def test_a_newer_file_is_set_aside_whole_and_told_with_what_to_do(
    home: Home, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    newer = home.make_newer(name)
    started = home.start()
    assert started.is_whole_but(name)
    assert home.aside(name).read_bytes() == newer
    (told,) = [entry.getMessage() for entry in caplog.records if entry.levelno >= logging.WARNING]
    found = re.search(r"version (?:is )?(\d+), this \w+ reads (\d+)", told)
    assert found
    assert int(found[1]) == int(found[2]) + 1
    for words in ("newer Porchlight", ADVICE, f"set aside as {home.aside(name)}"):
        assert words in told


@pytest.mark.parametrize("name", [*JSON_FILES, "outbox.sqlite3"])
def test_the_newer_version_finds_its_file_again_under_its_name(home: Home, name: str) -> None:
    home.make_newer(name)
    home.start()
    home.aside(name).replace(home.state / name)
    home.make_ours(name)
    assert home.start().is_whole_but("nothing")


def test_a_panel_that_comes_up_disarmed_says_so_until_somebody_sets_it(home: Home) -> None:
    home.make_newer("alarm.json")
    started = home.start()
    assert started.guard.state is AlarmState.DISARMED
    (doubt,) = started.reasons
    assert doubt.startswith("the alarm panel's state could not be read: the alarm state was kept by a newer Porchlight")
    assert doubt.endswith("whether it was armed is not known: set it again")

    async def script(again: Started) -> None:
        assert again.reasons == [doubt]
        again.guard.command(AlarmCommand(Command.ARM_NIGHT, None))
        await test_guard.until(lambda: again.guard.state is AlarmState.ARMING)
        assert again.guard.reasons == []

    home.start(script)
    assert home.start().guard.state in {AlarmState.ARMING, AlarmState.ARMED_NIGHT}


def test_choices_of_a_newer_version_are_told_and_every_camera_watches(home: Home) -> None:
    home.make_newer("choices.json")
    started = home.start()
    assert all(started.choices.of(camera).detection for camera in CHOSEN)
    (told,) = started.reasons
    assert told.startswith("what was set in Home Assistant could not be read: the settings were kept by a newer")


def test_a_newer_outbox_whose_power_was_cut_keeps_what_was_not_in_its_file_yet(home: Home, tmp_path: Path) -> None:
    """Its last events lie in the file beside it, which goes."""
    connection = sqlite3.connect(home.state / "outbox.sqlite3", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("INSERT INTO event SELECT number + 100, topic, wall_ns, payload FROM event")
    connection.execute(f"PRAGMA user_version = {store.VERSION + 1}")
    shutil.copytree(home.state, tmp_path / "cut")
    connection.close()
    assert (tmp_path / "cut" / "outbox.sqlite3-wal").stat().st_size > 0
    home.state = tmp_path / "cut"
    assert home.start().numbers == []
    connection = sqlite3.connect(home.aside("outbox.sqlite3"))
    assert connection.execute("SELECT count(*) FROM event").fetchone() == (2 * len(events()),)
    connection.close()


def test_an_outbox_of_another_kind_stays_of_that_kind(home: Home) -> None:
    path = home.state / "outbox.sqlite3"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute(f"PRAGMA user_version = {store.VERSION + 1}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(store.NewerStoreError):
        store.Store(path)
    assert path.read_bytes() == before


def test_a_newer_installations_name_is_set_aside(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    (home.state / "install-id").write_text("0a1b2c3d4e5f6071\n")
    name = install_id(home.state)
    aside = home.state / f"install-id.broken-{name}"
    assert aside.read_text() == "0a1b2c3d4e5f6071\n"
    assert f"set aside as {aside}" in caplog.text
    assert install_id(home.state) == name


def test_verdicts_of_a_newer_self_test_stay_and_are_not_believed(home: Home) -> None:
    path = home.state / "backends.json"
    newer = {re.sub("^1 ", "2 ", key): entry for key, entry in json.loads(path.read_text()).items()}
    path.write_text(json.dumps(newer))
    with same_machine():
        verdicts = verdicts_of(home.state, home.run)
        assert verdicts.info() is None
        assert all(verdicts.get(candidate) is None for candidate in VERDICTS)
        verdicts.put_info(MODEL_INFO)
        verdicts.write()
    assert newer.items() <= json.loads(path.read_text()).items()


def test_a_newer_models_record_is_read_as_far_as_it_is_known(home: Home) -> None:
    path = home.state / "models" / "porch.onnx.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "news": "something"}))
    assert record.read(path) == MODEL_RECORD


@pytest.fixture
def run_folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder("recorded", tmp_path)
    folder.create()
    return folder


def test_a_newer_channel_is_refused_with_both_versions(run_folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    path = run_folder.channel_file(frames_channel("porch"))
    with monkeypatch.context() as patch:
        patch.setattr(channel_file, "_VERSION", channel_file._VERSION + 1)
        file = channel_file.create(path, 1, b"a slot")
        file.rename(path)
        file.close()
    ours = channel_file._VERSION
    with pytest.raises(CorruptError, match=re.escape(f"{path}: is of version {ours + 1}, this one reads {ours}")):
        channel_file.open_for_reading(path)


def test_a_newer_heartbeat_counts_as_none(run_folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    beat = Heartbeat(stage="inference", health=Health.RUNNING, beat_ns=1, started_wall_ns=1)
    HeartbeatFile(run_folder, "controller").write(dataclasses.replace(beat, stage="controller"))
    monkeypatch.setattr(heartbeat, "_IDENTIFIER", b"PLH9")
    newer = heartbeat.encode(beat)
    monkeypatch.undo()
    (run_folder.heartbeats / "inference").write_bytes(newer)
    assert list(read_heartbeats(run_folder)) == ["controller"]
    with pytest.raises(CorruptError, match="holds b'PLH9', this version reads"):
        heartbeat.decode(newer, "inference")

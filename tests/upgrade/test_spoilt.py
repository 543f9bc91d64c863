"""What nobody has kept: empty, cut, rubbish. It costs what it held and nothing else, and is never overwritten."""

from __future__ import annotations

import json
from typing import Any

import pytest

from appliance.inference.store import record
from appliance.inference.store.partial import Partial
from tests.upgrade.home import JSON_FILES, Home
from tests.upgrade.recording import (
    MODEL_INFO,
    VERDICTS,
    same_machine,
    verdicts_of,
)

SPOILT = {
    "empty": b"",
    "cut": b'{"version": 1, "sta',
    "of zeros": bytes(4096),
    "no text": b"\xff\xfe\x00{",
    "another JSON": b"[]",
    "null": b"null",
    "deep": b"[" * 50_000,
    "long": b" " * 2_000_000,
    "version 0": b'{"version": 0}',
    "version in words": b'{"version": "one"}',
}
FOR_A_DATABASE = {"empty"}
"""An empty file is how sqlite begins one."""


@pytest.mark.parametrize("how", list(SPOILT))
@pytest.mark.parametrize("name", [*JSON_FILES, "outbox.sqlite3"])
def test_a_file_that_is_spoilt_is_set_aside_and_takes_no_other_with_it(
    home: Home, name: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    (home.state / name).write_bytes(SPOILT[how])
    started = home.start()
    assert started.is_whole_but(name)
    if name == "outbox.sqlite3" and how in FOR_A_DATABASE:
        return
    assert home.aside(name).read_bytes() == SPOILT[how]
    assert f"set aside as {home.aside(name)}" in caplog.text
    assert ("whether it was armed is not known" in " ".join(started.reasons)) is (name == "alarm.json")


@pytest.mark.parametrize("name", ["alarm.json", "choices.json"])
def test_a_file_without_its_version_is_not_guessed_at(home: Home, name: str) -> None:
    document = json.loads((home.state / name).read_text())
    del document["version"]
    (home.state / name).write_text(json.dumps(document))
    (told,) = home.start().reasons
    assert "has no version" in told or "have no version" in told


@pytest.mark.parametrize(
    "spoilt",
    [
        *SPOILT.values(),
        b'{"x": {"at": "yesterday"}}',
        b'{"x": {"at": null}, "y": []}',
        b'{"x": {"at": 1' + b"0" * 400 + b"}}",
        b'{"x": {"at": NaN}}',
    ],
    ids=lambda content: str(content[:20]),
)
def test_verdicts_that_are_spoilt_cost_a_trial_and_nothing_else(home: Home, spoilt: bytes) -> None:
    """They stopped the detector for good once: whoever falls over a file falls over it again."""
    (home.state / "backends.json").write_bytes(spoilt)
    with same_machine():
        for candidate, verdict in VERDICTS.items():
            verdicts = verdicts_of(home.state, home.run)
            assert verdicts.get(candidate) is None
            verdicts.put(candidate, verdict)
            verdicts.put_info(MODEL_INFO)
            verdicts.write()
        again = verdicts_of(home.state, home.run)
        assert {candidate: again.get(candidate) for candidate in VERDICTS} == VERDICTS


@pytest.mark.parametrize(
    "entry", [{"info": {"classes": []}}, {"info": []}, {"info": {"news": 1}}, {"info": None}, {}], ids=str
)
def test_what_a_model_said_in_other_words_is_asked_again(home: Home, entry: dict[str, Any]) -> None:
    path = home.state / "backends.json"
    entries = {key: {"at": 1.0, **entry} for key in json.loads(path.read_text())}
    path.write_text(json.dumps(entries))
    with same_machine():
        verdicts = verdicts_of(home.state, home.run)
        assert verdicts.info() is None
        assert all(verdicts.get(candidate) is None for candidate in VERDICTS)


@pytest.mark.parametrize("spoilt", SPOILT.values(), ids=list(SPOILT))
def test_a_models_record_that_is_spoilt_is_none(home: Home, spoilt: bytes) -> None:
    path = home.state / "models" / "porch.onnx.json"
    path.write_bytes(spoilt)
    assert record.read(path) is None


@pytest.mark.parametrize("spoilt", SPOILT.values(), ids=list(SPOILT))
def test_a_download_whose_note_is_spoilt_begins_anew(home: Home, spoilt: bytes) -> None:
    path = home.state / "models" / "porch.onnx.part"
    path.write_bytes(b"half of")
    path.with_name("porch.onnx.part.json").write_bytes(spoilt)
    with Partial(path, "https://example.org/porch.onnx") as partial:
        assert partial.resume() == 0
    assert not path.exists()

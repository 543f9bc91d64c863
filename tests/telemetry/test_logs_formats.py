"""A line of the log: for people, or one JSON object; what it is about; and a fault that lasts fills no log."""

from __future__ import annotations

import datetime as dt
import json
import logging
import queue
import re
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.telemetry import RepeatedFault, Sparing, logs
from appliance.telemetry.logs import SUBJECTS, JsonFormatter, TextFormatter, _NeverWaits

WHEN = dt.datetime(2026, 11, 23, 16, 5, 9, 250_000, tzinfo=dt.UTC)
ABOUT = {"camera": "porch", "incident": "porch-1", "trace_id": "ab" * 16}


def a_record(
    text: str = "somebody came", *values: object, level: int = logging.INFO, **about: Any
) -> logging.LogRecord:
    record = logging.LogRecord("appliance.test", level, __file__, 1, text, values, None)
    record.created, record.msecs = WHEN.timestamp(), 250.0
    record.__dict__.update(about)
    return record


def through_the_queue(record: logging.LogRecord) -> logging.LogRecord:
    """Return the record as the thread that writes it has it."""
    lines: queue.Queue[logging.LogRecord] = queue.Queue()
    _NeverWaits(lines).handle(record)
    return lines.get_nowait()


def as_json(record: logging.LogRecord, process: str = "controller") -> Any:
    line = JsonFormatter(process).format(through_the_queue(record))
    assert "\n" not in line
    return json.loads(line)


def as_text(record: logging.LogRecord, process: str = "controller") -> str:
    return TextFormatter(process).format(through_the_queue(record))


def a_failure() -> logging.LogRecord:
    record = a_record("it failed", level=logging.ERROR, **ABOUT)
    error = ValueError("no\nroom")
    record.exc_info = (ValueError, error, None)
    return record


# For people


def test_a_line_of_text_has_time_level_process_and_words() -> None:
    line = as_text(a_record("camera %s: %d frames", "porch", 7, level=logging.WARNING), "capture.porch")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.250 WARNING capture\.porch: camera porch: 7 frames", line)


@pytest.mark.parametrize(
    ("about", "end"),
    [
        ({}, "somebody came"),
        ({"camera": "porch"}, "somebody came"),
        ({"incident": None, "trace_id": None}, "somebody came"),
        ({"incident": "porch-1"}, "somebody came [incident porch-1]"),
        ({"trace_id": "abcd"}, "somebody came [trace abcd]"),
        (
            {"incident": "porch-1", "trace_id": "abcd", "camera": "porch"},
            "somebody came [incident porch-1, trace abcd]",
        ),
    ],
)
def test_the_incident_and_the_trace_follow_the_words(about: dict[str, Any], end: str) -> None:
    assert as_text(a_record(**about)).endswith(f": {end}")


def test_words_with_percent_signs_are_told_as_they_are() -> None:
    assert as_text(a_record("50 %s of it")).endswith("controller: 50 %s of it")


# For programs


def test_a_json_line_is_one_object_with_what_it_is_about() -> None:
    assert as_json(a_record("%d came", 2, level=logging.WARNING, **ABOUT)) == {
        "timestamp": "2026-11-23T16:05:09.250+00:00",
        "level": "warning",
        "stage": "controller",
        "message": "2 came",
        **ABOUT,
    }


@pytest.mark.parametrize("about", [{}, dict.fromkeys(SUBJECTS), dict.fromkeys(SUBJECTS, "")])
def test_what_a_line_is_not_about_is_not_in_it(about: dict[str, Any]) -> None:
    assert as_json(a_record(**about)).keys() == {"timestamp", "level", "stage", "message"}


def test_a_cameras_own_process_is_about_its_camera_unless_a_line_says_otherwise() -> None:
    about = as_json(a_record(), "capture.porch")
    assert (about["stage"], about["camera"]) == ("capture", "porch")
    assert as_json(a_record(camera="yard"), "capture.porch")["camera"] == "yard"


def test_a_traceback_stays_one_json_line() -> None:
    line = as_json(a_failure())
    assert line["message"].startswith("it failed\n")
    assert line["message"].endswith("ValueError: no\nroom")
    assert (line["level"], line["incident"]) == ("error", "porch-1")


def test_a_line_of_text_ends_with_its_traceback() -> None:
    text = as_text(a_failure())
    assert "controller: it failed\n" in text
    assert "ValueError: no\nroom" in text


@given(st.text(), st.text(min_size=1))
def test_whatever_is_said_is_one_json_line_that_says_the_same(text: str, camera: str) -> None:
    line = as_json(a_record("%s", text, camera=camera))
    assert line["camera"] == camera
    assert line.get("message", "") == text


def said_by_a_process(form: str, encoding: str = "utf-8") -> list[str]:
    """Return the lines of a process that logs a warning and a traceback and ends."""
    code = f"""
import logging
from appliance.telemetry import set_up_logs
set_up_logs("capture.porch", "info", {form!r})
log = logging.getLogger("appliance.test")
log.debug("unheard")
log.info("Tür \\U0001f6aa", extra={{"incident": "porch-1"}})
try:
    1 / 0
except ZeroDivisionError:
    log.exception("it failed")
"""
    given = {"PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=given)
    assert done.stdout == b""
    return done.stderr.decode().splitlines()


def test_a_processes_json_lines_are_on_stderr_one_for_each_fact() -> None:
    door, failure = map(json.loads, said_by_a_process("json"))
    assert (door["message"], door["incident"], door["camera"]) == ("Tür \U0001f6aa", "porch-1", "porch")
    assert "ZeroDivisionError" in failure["message"]


def test_a_json_line_is_json_whatever_letters_stderr_has() -> None:
    assert [json.loads(line)["stage"] for line in said_by_a_process("json", "ascii")] == ["capture", "capture"]


def test_a_processes_text_is_on_stderr_with_its_traceback() -> None:
    door, failure, *traceback = said_by_a_process("text")
    assert door.endswith("INFO    capture.porch: Tür \U0001f6aa [incident porch-1]")
    assert failure.endswith("ERROR   capture.porch: it failed")
    assert traceback[-1] == "ZeroDivisionError: division by zero"


# What nobody reads


def test_lines_that_nobody_reads_are_dropped_and_counted() -> None:
    lines: queue.Queue[logging.LogRecord] = queue.Queue(2)
    handler = _NeverWaits(lines)
    for _ in range(5):
        handler.handle(a_record())
    assert (lines.qsize(), handler.dropped) == (2, 3)


def test_how_many_were_dropped_is_told_once_when_there_is_room_again(caplog: pytest.LogCaptureFixture) -> None:
    lines: queue.Queue[logging.LogRecord] = queue.Queue(1)
    handler = _NeverWaits(lines)
    for _ in range(4):
        handler.handle(a_record())
    for _ in range(2):
        lines.get_nowait()
        handler.handle(a_record())
    assert [record.getMessage() for record in caplog.records] == ["3 log lines were dropped: nobody read them"]


# A fault that lasts


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    one = SimpleNamespace(now=1000.0)
    one.monotonic = lambda: one.now
    monkeypatch.setattr(logs, "time", one)
    return one


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    lines = [(record.levelname, record.getMessage()) for record in caplog.records]
    caplog.clear()
    return lines


def test_a_fault_is_a_warning_once_then_at_debug_then_once_when_it_heals(
    clock: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    fault = RepeatedFault(logging.getLogger("tests.fault"), "the disk")
    fault.heal()
    for reason in ("full", "full", "gone", "full"):
        fault.report(reason)
    clock.now += 90
    fault.heal()
    fault.heal()
    assert told(caplog) == [
        ("WARNING", "the disk: full"),
        ("DEBUG", "the disk: full"),
        ("WARNING", "the disk: gone"),
        ("DEBUG", "the disk: full"),
        ("INFO", "the disk: well again after 90 s"),
    ]
    fault.report("full")
    assert told(caplog) == [("WARNING", "the disk: full")]


def test_a_fault_that_always_has_another_reason_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    fault = RepeatedFault(logging.getLogger("tests.fault"), "the disk")
    for number in range(1000):
        fault.report(number)
    assert len(told(caplog)) == RepeatedFault.REASONS_MOST


def test_a_faults_lines_say_what_they_are_about(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    fault = RepeatedFault(logging.getLogger("tests.fault"), "camera porch", **ABOUT)
    fault.report("no picture")
    fault.report("no picture")
    fault.heal()
    lines = [as_json(record) for record in caplog.records]
    assert [line["level"] for line in lines] == ["warning", "debug", "info"]
    for line in lines:
        assert {name: line[name] for name in SUBJECTS} == ABOUT


def test_a_spared_line_says_what_it_is_about_and_its_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    sparing = Sparing(logging.getLogger("tests.fault"))
    sparing.warning("%s refused", "DISARM", camera="porch")
    sparing.info("%s obeyed", "DISARM", incident="porch-1")
    refused, obeyed = (as_json(record) for record in caplog.records)
    assert (refused["level"], refused["message"], refused["camera"]) == ("warning", "DISARM refused", "porch")
    assert (obeyed["level"], obeyed["message"], obeyed["incident"]) == ("info", "DISARM obeyed", "porch-1")

"""The bench runs, compares with native code, and writes what it found. Its figures are not judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.messages import PixelFormat
from tests.rig import CLIP, MODEL, ROOT, need, need_program

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


def test_a_quick_run_gives_a_report_with_machine_ratios_tables_and_plots(tmp_path: Path) -> None:
    need_program("g++", "g++")
    need_program("flatc", "flatbuffers-compiler")
    if not Path("/usr/include/flatbuffers/flatbuffers.h").exists():
        pytest.skip("not here: FlatBuffers' C++ headers (Debian: libflatbuffers-dev)")
    command = [sys.executable, "-m", "tests.benchmarks", "--quick", "--out", str(tmp_path), "mailbox", "handover"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads((tmp_path / "bench.json").read_text())
    assert {"commit", "processor", "python"} <= set(report["machine"])
    mailbox, handover = report["chapters"]
    copying = mailbox["ratios"][0]
    assert copying["limit"] == 1.15
    assert copying["value"] > 0.5
    assert [row[0] for row in mailbox["tables"][2]["rows"]] == [0, 1, 5, 20, 100, 300]
    assert len(handover["ratios"]) == 8
    page = (tmp_path / "bench.html").read_text()
    assert page.count("<svg") == len(mailbox["plots"]) + len(handover["plots"])
    assert "MISSED" in done.stdout or "met" in done.stdout


def test_the_arithmetic_is_held_against_native_code_that_has_the_same_results(tmp_path: Path) -> None:
    need_program("g++", "g++")
    need_program("flatc", "flatbuffers-compiler")
    command = [sys.executable, "-m", "tests.benchmarks", "--quick", "--out", str(tmp_path), "arithmetic"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]  # other results than native code's end the chapter
    (chapter,) = json.loads((tmp_path / "bench.json").read_text())["chapters"]
    assert [ratio["limit"] for ratio in chapter["ratios"]] == [0.7] * 3 + [2.0] * 4
    assert all(ratio["value"] > 0 for ratio in chapter["ratios"])
    filling, decoding, rows = (table["rows"] for table in chapter["tables"])
    assert [len(filling), len(decoding)] == [3, len(PixelFormat)]
    assert [row[0] for row in rows] == [0, 1, 10, 100]


def test_the_alarm_is_split_into_parts_that_add_up(tmp_path: Path) -> None:
    need(CLIP, MODEL)
    need_program("mosquitto", "mosquitto")
    command = [sys.executable, "-m", "tests.benchmarks", "--quick", "--out", str(tmp_path), "alarm"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    (chapter,) = json.loads((tmp_path / "bench.json").read_text())["chapters"]
    assert [ratio["limit"] for ratio in chapter["ratios"]] == [10.0, None, None] * 2 + [None] * 2
    assert all(ratio["value"] > 0 for ratio in chapter["ratios"])
    for table in chapter["tables"][:2]:
        least = {name: values[0] for name, *values in table["rows"]}
        most = {name: values[-1] for name, *values in table["rows"]}
        parts = [name for name in least if not name.startswith("whole")]
        assert parts == ["capture", "wait", "inference", "decision", "publish"]
        assert sum(least[name] for name in parts) <= least["whole"] + 1e-6
        assert most["whole"] <= sum(most[name] for name in parts) + 1e-6
        assert most["whole without inference"] < most["whole"]


def test_an_unknown_chapter_is_refused_with_the_known_ones() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "nonsense"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "there are mailbox, handover" in done.stderr

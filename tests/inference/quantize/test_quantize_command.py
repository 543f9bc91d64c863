"""`porchlight model quantize` as somebody types it. NNCF is stood for; what it makes has tests of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from appliance import cli
from appliance.inference import backends, int8
from appliance.inference.digest import sha256
from appliance.inference.kept import RECORD
from appliance.inference.quantize import nncf_int8, pictures, work
from appliance.inference.quantize.nncf_int8 import version as really_its_version
from appliance.inference.store.errors import StoreError
from tests.inference.quantize.house import NOBODY, OTHERS, PEOPLE, TOKEN, Gateway, fill, makers, picture
from tests.inference.store.small_disk import run_on

Words = pytest.CaptureFixture[str]
ALIKE = (
    "100.0% of 40 finds in common, median overlap of their boxes 1.00, "
    "somebody or nobody there alike in 20 of 20 pictures"
)
NEXT = "Porchlight tries what was kept at its next start, and uses it where it is the fastest."


def run(*words: str | Path) -> int:
    return cli.main(["model", "quantize", *map(str, words)])


@pytest.fixture(autouse=True)
def _household(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model in the current folder, and an NNCF that gives it back as it is, in two thirds of the time."""
    (home / "people.onnx").write_bytes(PEOPLE)
    monkeypatch.setattr(nncf_int8, "version", lambda: "3.4.0")
    monkeypatch.setattr(nncf_int8, "MAKERS", makers(onnxruntime_int8=PEOPLE))
    monkeypatch.setattr(work, "_time_ratio", lambda *_: 0.66)


@pytest.fixture
def state(home: Path) -> Path:
    """Where Porchlight keeps what must survive, without any settings."""
    return home / "state" / "porchlight" / "porchlight"


@pytest.fixture
def folder(home: Path) -> Path:
    return fill(home / "pictures", 60)


def forms_in(state: Path) -> list[str]:
    """Return every file under the state folder, and every folder that the forms have."""
    return sorted(
        str(path.relative_to(state)) for path in state.rglob("*") if path.is_file() or int8.FOLDER in path.parts
    )


def write_settings(gateway: Gateway, cameras: int = 2, **more: Any) -> None:
    settings = {
        "cameras": [{"id": f"camera{number}", "source": "synthetic://porch"} for number in range(cameras)],
        "gateway": {"port": gateway.port, **more},
    }
    Path("config.yaml").write_text(yaml.safe_dump(settings))


def test_of_a_folder_a_form_is_made_kept_and_told(folder: Path, home: Path, state: Path, capsys: Words) -> None:
    assert run("people.onnx", "--pictures", folder) == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        f"onnxruntime_int8: {ALIKE}; 0.66 x the time of onnxruntime: kept",
        f"Kept in {int8.home(state, sha256(home / 'people.onnx'))}",
        NEXT,
    ]
    assert said.err.splitlines() == [
        "40 pictures to calibrate with, 20 held back for the comparison",
        "onnxruntime_int8: calibrating; this takes minutes on a small machine",
    ]
    kept = int8.read(int8.home(state, sha256(home / "people.onnx")) / "onnxruntime_int8")
    assert kept is not None
    assert kept.file.read_bytes() == PEOPLE
    told = json.loads((kept.file.parent / RECORD).read_text())
    assert (told["agreement"], told["held_back"], told["time_ratio"], told["made_with"]) == (
        1.0,
        20,
        0.66,
        "nncf 3.4.0",
    )
    assert list((home / "temporary").iterdir()) == []


def test_of_the_cameras_that_are_in_the_settings(gateways: Callable[..., Gateway], state: Path, capsys: Words) -> None:
    gateway = gateways(token=TOKEN)
    write_settings(gateway, token=TOKEN)
    assert run("people.onnx", "--count", "30", "--seconds", "0.01") == 0
    assert gateway.asked == ["camera0", "camera1"] * 15
    said = capsys.readouterr()
    assert "taking 30 pictures in 0 seconds" in said.err
    assert NEXT in said.out
    assert not any(picture(number) in path.read_bytes() for path in state.rglob("*.*") for number in range(30))


def test_the_model_of_the_settings_is_meant_where_none_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    assert run("--pictures", folder) == 2
    monkeypatch.setenv("PORCHLIGHT_MODEL__PATH", str(home / "people.onnx"))
    assert run("--pictures", folder) == 0


def test_settings_say_where_the_state_is(folder: Path, tmp_path: Path) -> None:
    Path("mine.yaml").write_text(f"state_dir: {tmp_path}/mine\n")
    assert run("people.onnx", "--pictures", folder, "--config", "mine.yaml") == 0
    assert (tmp_path / "mine" / int8.FOLDER).is_dir()


@pytest.mark.parametrize("missing", ["nncf", "onnx", "openvino"])
def test_what_is_not_installed_is_told_before_any_picture_is_taken(
    gateways: Callable[..., Gateway], state: Path, capsys: Words, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    gateway = gateways()
    write_settings(gateway)
    monkeypatch.setattr(nncf_int8, "version", really_its_version)
    monkeypatch.setitem(sys.modules, "nncf", None if missing == "nncf" else ModuleType("nncf"))
    monkeypatch.setitem(sys.modules, missing, None)
    if missing == "openvino":
        monkeypatch.delitem(sys.modules, "appliance.inference.backends.openvino_cpu", raising=False)
        monkeypatch.delattr(backends, "openvino_cpu", raising=False)
    assert run("people.onnx", "--seconds", "1") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("quantizing takes more packages than watching (")
    assert missing in line
    assert line.endswith("pip install 'nncf>=3.1' 'onnx>=1.18' 'openvino>=2026.1'")
    assert gateway.asked == []
    assert forms_in(state) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--count", "29"), "--count takes 30 or more"),
        (("--count", "0"), "--count takes 30 or more"),
        (("--count", "-150"), "--count takes 30 or more"),
        (("--seconds", "0"), "--seconds more than 0"),
        (("--seconds", "-1"), "--seconds more than 0"),
        (("--seconds", "nan"), "--seconds more than 0"),
        (("--seconds", "inf"), "at most a week"),
        (("--seconds", "604801"), "at most a week"),
        ((), "there are no cameras in the settings; give a folder with --pictures instead"),
        (("--pictures", "none"), "none: there is no such folder"),
        (("--pictures", "state"), "has 0 different pictures, and it takes 30"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(
    words: tuple[str, ...], said: str, state: Path, capsys: Words
) -> None:
    assert run("people.onnx", *words) == 2
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert said in line
    assert captured.out == ""
    assert forms_in(state) == []


@pytest.mark.parametrize("bound", [("--count", "30", "--seconds", "604800"), ("--count", "30", "--seconds", "1e-9")])
def test_the_bounds_themselves_may_be_asked_for(bound: tuple[str, ...], folder: Path) -> None:
    assert run("people.onnx", "--pictures", folder, *bound) == 0


def test_words_that_are_no_numbers_or_no_backends_end_with_the_usage(capsys: Words) -> None:
    for words in (("--count", "many"), ("--seconds", "long"), ("--backend", "openvino")):
        with pytest.raises(SystemExit) as ended:
            run("people.onnx", *words)
        assert ended.value.code == 2
    assert "choose from 'openvino_int8', 'onnxruntime_int8'" in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize("content", [b"no model", b""])
def test_a_file_that_is_no_model_is_refused_before_any_picture_is_taken(
    gateways: Callable[..., Gateway], home: Path, capsys: Words, content: bytes
) -> None:
    gateway = gateways()
    write_settings(gateway)
    (home / "mine.onnx").write_bytes(content)
    assert run("mine.onnx", "--seconds", "0.01") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "mine.onnx is not an ONNX model" in line
    assert gateway.asked == []


def test_a_model_that_is_not_there_is_refused(capsys: Words) -> None:
    assert run("none.onnx") == 2
    assert "none.onnx: there is no such file" in capsys.readouterr().err


def test_where_no_porchlight_runs_it_may_work_another_time(
    gateways: Callable[..., Gateway], state: Path, capsys: Words
) -> None:
    gateway = gateways()
    write_settings(gateway)
    gateway.close()
    assert run("people.onnx", "--seconds", "0.01") == 1
    assert "start it, or give a folder with --pictures" in capsys.readouterr().err
    assert forms_in(state) == []


def test_a_form_that_sees_something_else_is_refused_and_nothing_is_left(
    folder: Path, home: Path, state: Path, capsys: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nncf_int8, "MAKERS", makers(onnxruntime_int8=OTHERS))
    assert run("people.onnx", "--pictures", folder) == 2
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith("kept") is False
    assert "refused, it agrees in 0.0% of 40 finds, and 95% are asked" in line
    assert forms_in(state) == []
    assert not (state / int8.FOLDER).exists()  # else every start would hash the model
    assert list((home / "temporary").iterdir()) == []


def test_a_form_that_saves_no_time_is_refused_and_nothing_is_left(
    folder: Path, state: Path, capsys: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "_time_ratio", lambda *_: 1.0)
    assert run("people.onnx", "--pictures", folder) == 2
    assert "1.00 x the time of onnxruntime: refused, it saves no time here" in capsys.readouterr().out
    assert not (state / int8.FOLDER).exists()


def test_pictures_without_people_say_nothing_and_nothing_is_calibrated(
    folder: Path, home: Path, state: Path, capsys: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nncf_int8, "MAKERS", makers(onnxruntime_int8=AssertionError("not to be made")))
    (home / "nobody.onnx").write_bytes(NOBODY)
    assert run("nobody.onnx", "--pictures", folder) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "give more pictures with people in them" in line
    assert not (state / int8.FOLDER).exists()


def test_one_that_is_kept_is_enough(
    folder: Path, home: Path, state: Path, capsys: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    both: Mapping[str, bytes] = {"openvino_int8": OTHERS, "onnxruntime_int8": PEOPLE}
    monkeypatch.setattr(nncf_int8, "MAKERS", makers(**both))
    assert run("people.onnx", "--pictures", folder) == 0
    refused, kept, _where, then = capsys.readouterr().out.splitlines()
    assert refused.startswith("openvino_int8: ")
    assert " refused, " in refused
    assert kept.startswith("onnxruntime_int8: ")
    assert then == NEXT
    assert [path.name for path in int8.home(state, sha256(home / "people.onnx")).iterdir()] == ["onnxruntime_int8"]


def test_only_those_that_were_named_are_made(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Words) -> None:
    both: Mapping[str, bytes | BaseException] = {
        "openvino_int8": AssertionError("not asked for"),
        "onnxruntime_int8": PEOPLE,
    }
    monkeypatch.setattr(nncf_int8, "MAKERS", makers(**both))
    assert run("people.onnx", "--pictures", folder, "--backend", "onnxruntime_int8") == 0
    assert "openvino" not in capsys.readouterr().out


FAILURES: dict[str, tuple[bytes | BaseException, str]] = {
    "nncf": (
        StoreError("onnxruntime_int8: NNCF cannot quantize this model: why"),
        "NNCF cannot quantize this model: why",
    ),
    "the disk": (OSError(28, "No space left on device", "model.onnx"), "model.onnx: No space left on device"),
    "ctrl-c": (KeyboardInterrupt(), "stopped; a form that was said to be kept is kept, and nothing else is left"),
    "a form that is none": (b"no model", "onnxruntime_int8: its form cannot be used here"),
}


@pytest.mark.parametrize("which", FAILURES)
def test_what_fails_in_the_middle_is_told_and_leaves_nothing(
    folder: Path, home: Path, state: Path, capsys: Words, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    happens, words = FAILURES[which]
    monkeypatch.setattr(nncf_int8, "MAKERS", makers(onnxruntime_int8=happens))
    assert run("people.onnx", "--pictures", folder) == 1
    captured = capsys.readouterr()
    assert words in captured.err.splitlines()[-1]
    assert captured.out == ""
    assert not (state / int8.FOLDER).exists()
    assert list((home / "temporary").iterdir()) == []


@pytest.mark.parametrize("which", FAILURES)
def test_and_the_form_that_was_there_stays(
    folder: Path, home: Path, state: Path, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    assert run("people.onnx", "--pictures", folder) == 0
    before = {path: path.read_bytes() for path in state.rglob("*") if path.is_file()}
    monkeypatch.setattr(nncf_int8, "MAKERS", makers(onnxruntime_int8=FAILURES[which][0]))
    assert run("people.onnx", "--pictures", folder) == 1
    assert {path: path.read_bytes() for path in state.rglob("*") if path.is_file()} == before
    assert [path.name for path in int8.home(state, sha256(home / "people.onnx")).iterdir()] == ["onnxruntime_int8"]


def test_stopped_while_pictures_are_taken_nothing_is_left(
    gateways: Callable[..., Gateway], state: Path, capsys: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_settings(gateways())

    def stop(*_: object) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(pictures, "_snapshot", stop)
    assert run("people.onnx", "--seconds", "0.01") == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("stopped; ")
    assert forms_in(state) == []


def test_a_state_folder_that_cannot_be_written_is_named(folder: Path, state: Path, capsys: Words) -> None:
    state.parent.mkdir(parents=True)
    state.write_text("a file, not a folder")
    assert run("people.onnx", "--pictures", folder, "--store", "models") == 1
    assert f"{state}" in capsys.readouterr().err.splitlines()[-1]


ON_A_SMALL_DISK = """
import os, sys
from appliance import cli
from appliance.inference.kept import RECORD
from appliance.inference.quantize import nncf_int8, work
from tests.inference.quantize.house import PEOPLE, makers
nncf_int8.version = lambda: "3.4.0"
nncf_int8.MAKERS = makers(onnxruntime_int8=PEOPLE)
work._time_ratio = lambda *_: 0.66
disk, *words = sys.argv[1:]
os.environ["XDG_STATE_HOME"] = disk
code = cli.main(["model", "--store", "models", "quantize", *words])
print(*(os.path.join(at, name) for at, _, names in os.walk(disk) for name in names), sep="\\n")
sys.exit(code)
"""


@pytest.mark.parametrize(("size", "code"), [("64k", 1), ("1m", 0)])
def test_on_a_disk_that_is_too_small_it_says_so_and_leaves_the_room_that_was_there(
    folder: Path, home: Path, tmp_path: Path, size: str, code: int
) -> None:
    assert len(PEOPLE) > 64 << 10
    disk = tmp_path / "disk"
    words = (str(disk), str(home / "people.onnx"), "--pictures", str(folder))
    done = run_on(disk, size, sys.executable, "-c", ON_A_SMALL_DISK, *words)
    assert done.returncode == code, done.stderr
    if code:
        assert "No space left on device" in done.stderr
        assert done.stdout.strip() == ""
    else:
        assert NEXT in done.stdout
        assert sum(line.endswith(("model.onnx", "numbers", RECORD)) for line in done.stdout.splitlines()) == 3


def test_its_help_names_all_that_can_be_said() -> None:
    command = [sys.executable, "-m", "appliance.cli", "model", "quantize", "--help"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for word in ("--pictures DIR", "--count N", "--seconds S", "--backend", "FILE|NAME"):
        assert word in said

"""`porchlight model build` as somebody types it. TensorRT and its card are stood for, in the children too."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from appliance import cli
from appliance.inference import engines
from appliance.inference.backends import Backend
from appliance.inference.gpu.tensorrt_api import INSTALL
from tests.inference.onnx_maker import model, rows
from tests.rig import ROOT

Words = pytest.CaptureFixture[str]
DOUBLES = ROOT / "tests" / "inference" / "doubles" / "cards"
THERE = "tensorrt: its engine is there, and passed its self-test"

pytestmark = pytest.mark.timeout(150)


def run(*words: str | Path) -> int:
    return cli.main(["model", "build", *map(str, words)])


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a model and settings that try few threads; a state folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("PORCHLIGHT_MODEL__THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", f"{DOUBLES}:{ROOT}")
    monkeypatch.delenv("CARD_DOUBLE", raising=False)
    (tmp_path / "porch.onnx").write_bytes(model(rows([(3, (0.5, 0.5, 0.5, 0.5), 1, 2.0)]), brightness_to="labels"))
    return tmp_path


@pytest.fixture
def tensorrt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its package is installed, in this process as in the children; OpenVINO is not, which would take time."""
    monkeypatch.syspath_prepend(DOUBLES)
    really = Backend.version
    monkeypatch.setattr(
        Backend,
        "version",
        property(lambda one: None if one.distributions == ("openvino",) else really.fget(one)),  # type: ignore[attr-defined]
    )


@pytest.fixture
def state(home: Path) -> Path:
    """Where Porchlight keeps what must survive, without any settings."""
    return home / "state" / "porchlight" / "porchlight"


def engines_in(state: Path) -> list[str]:
    return sorted(path.parent.name for path in state.rglob(engines.FILE))


def left_of_engines(state: Path) -> list[str]:
    return [str(path.relative_to(state)) for path in state.rglob("*") if engines.FOLDER in path.parts]


def test_an_engine_is_built_and_told_and_a_second_call_builds_nothing(
    tensorrt: None, home: Path, state: Path, capsys: Words
) -> None:
    assert run("porch.onnx") == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == [THERE]
    first, *progress = [line for line in said.err.splitlines() if line.startswith("tensorrt: ")]
    assert first == "tensorrt: building its engine of porch.onnx; this takes minutes"
    shares = [int(share) for share in re.findall(r"^tensorrt: (\d+)%$", "\n".join(progress), re.MULTILINE)]
    assert shares == sorted(shares)
    assert shares[-1] == 100
    assert engines_in(state) == ["tensorrt"]
    before = {path: path.read_bytes() for path in state.rglob("*") if path.is_file() and engines.FOLDER in path.parts}
    assert run("porch.onnx") == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == [THERE]
    assert "building" not in said.err
    assert {path: path.read_bytes() for path in before} == before


def test_the_model_of_the_settings_is_meant_where_none_is_named(
    tensorrt: None, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Words
) -> None:
    assert run() == 2
    assert "model.path is not set" in capsys.readouterr().err
    monkeypatch.setenv("PORCHLIGHT_MODEL__PATH", str(home / "porch.onnx"))
    assert run() == 0


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("lost@build_serialized_network", "TensorRT 11.4.0.106 cannot build the engine: [build_serialized_network]"),
        ("abort@build_serialized_network", "tensorrt was killed by SIGABRT in its trial"),
        ("lost@parse_from_file", "TensorRT 11.4.0.106 cannot read the model: In node 7"),
        ("lost@Builder", "TensorRT cannot build an engine of porch.onnx: pybind11::init()"),
    ],
)
def test_a_refusal_is_told_and_nothing_is_kept(
    tensorrt: None, state: Path, capsys: Words, monkeypatch: pytest.MonkeyPatch, fault: str, words: str
) -> None:
    monkeypatch.setenv("CARD_DOUBLE", fault)
    assert run("porch.onnx") == 1
    said = capsys.readouterr()
    assert said.out.startswith(f"tensorrt: no engine: {words}")
    assert len(said.out.splitlines()) == 1
    assert engines_in(state) == []
    if not fault.startswith("abort"):  # nobody tidies up after one that was killed; that is swept after a day
        assert left_of_engines(state) == []


def test_whoever_asks_again_after_a_refusal_has_it_built_again(
    tensorrt: None, state: Path, capsys: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start does not try again for a day, nor an init container. Who names the backend has mended what was wrong."""
    monkeypatch.setenv("CARD_DOUBLE", "lost@build_serialized_network")
    assert run("porch.onnx") == 1
    monkeypatch.setenv("CARD_DOUBLE", "")
    assert run("porch.onnx") == 1
    assert "building" not in capsys.readouterr().err.splitlines()[-1]
    assert run("porch.onnx", "--backend", "tensorrt") == 0
    assert capsys.readouterr().out.splitlines()[-1] == THERE


@pytest.mark.parametrize(
    ("there", "line"),
    [((), "CuPy is not installed: pip install '"), (("cupy", "faults.py"), f"TensorRT is not installed: {INSTALL}")],
    ids=["nothing", "CuPy"],
)
def test_what_is_not_installed_is_told_with_the_line_that_installs_it(
    home: Path, state: Path, capsys: Words, monkeypatch: pytest.MonkeyPatch, there: tuple[str, ...], line: str
) -> None:
    (home / "packages").mkdir()
    for name in there:
        (home / "packages" / name).symlink_to(DOUBLES / name)
    monkeypatch.setenv("PYTHONPATH", f"{home / 'packages'}:{ROOT}")
    assert run("porch.onnx", "--backend", "tensorrt") == 1
    assert capsys.readouterr().out.startswith(f"tensorrt: no engine: {line}")
    assert engines_in(state) == []


def test_where_nothing_that_builds_is_installed_that_is_told(capsys: Words) -> None:
    assert run("porch.onnx") == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"TensorRT is not installed: {INSTALL}\n"


def test_one_backend_is_built_where_one_is_named(tensorrt: None, state: Path, capsys: Words) -> None:
    assert run("porch.onnx", "--backend", "tensorrt_int8") == 1
    assert capsys.readouterr().out == (
        "tensorrt_int8: no engine: there is no int8 form of this model; `porchlight model quantize` makes one\n"
    )
    assert engines_in(state) == []
    assert run("porch.onnx", "--backend", "tensorrt") == 0
    assert capsys.readouterr().out.splitlines() == [THERE]


def test_a_backend_that_builds_nothing_is_none_of_its_words(capsys: Words) -> None:
    with pytest.raises(SystemExit) as caught:
        run("porch.onnx", "--backend", "openvino")
    assert caught.value.code == 2
    assert "invalid choice: 'openvino'" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"no model", model({"dets": rows([])["dets"]})], ids=["no model", "no labels"])
def test_a_model_that_porchlight_cannot_run_is_refused(
    tensorrt: None, home: Path, state: Path, capsys: Words, content: bytes
) -> None:
    (home / "porch.onnx").write_bytes(content)
    assert run("porch.onnx") == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "porch.onnx" in said.err
    assert engines_in(state) == []


def test_a_file_that_is_not_there_is_refused(capsys: Words) -> None:
    assert run("nowhere.onnx") == 2
    assert "there is no such file" in capsys.readouterr().err


def test_its_record_says_of_what_it_was_built(tensorrt: None, state: Path) -> None:
    assert run("porch.onnx") == 0
    (record,) = state.rglob("tensorrt/record.json")
    told = json.loads(record.read_text())
    assert told["of"] == "porch.onnx"
    assert told["for"][:2] == ["tensorrt", "11.4.0"]

"""A model is made by rfdetr in an environment of its own, and goes into the store as a downloaded one does.

The environment, pip and the processes are real; the package rfdetr is a stand-in (`fake_rfdetr.py`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.inference.store.shelf import Shelf, State
from tests.inference.store.customer import MODEL
from tests.inference.store.fake_rfdetr import NAMED, NAMES, wheel
from tests.inference.store.small_disk import model, run_on
from tests.rig import ROOT


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages, instead of any index on the network."""
    folder = tmp_path_factory.mktemp("index")
    wheel(folder)
    return folder


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.delenv("PYTHONPATH", raising=False)


def export(store: Path, *words: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        model("export", *words, "--store", store),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environ},
    )


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, index: Path) -> Path:
    """The environment that the command made for itself, with its first model."""
    state = tmp_path_factory.mktemp("state")
    found = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index), "XDG_STATE_HOME": str(state)}
    done = export(state / "models", "nano", **found)
    assert done.returncode == 0, done.stderr
    assert "making an environment for rfdetr" in done.stderr
    assert (state / "models" / "rfdetr-nano.onnx").read_bytes() == MODEL
    return state / "porchlight" / "porchlight" / "rfdetr-env"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    """A store in which an export, whatever becomes of it, leaves nothing half done."""
    folder = tmp_path / "models"
    yield folder
    left = {path.name for path in folder.glob("*") if not path.name.endswith((".lock", ".onnx", ".onnx.json"))}
    assert not left


def weights(tmp_path: Path, **said: object) -> Path:
    path = tmp_path / "Front Door (2).pth"
    path.write_text(json.dumps(said))
    return path


def test_published_weights_become_a_model_with_a_record(store: Path, environment: Path) -> None:
    done = export(store, "nano", "--environment", environment)
    assert done.returncode == 0, done.stderr
    assert f"model:\n  path: {store}/rfdetr-nano.onnx\n" in done.stdout
    item = Shelf(store).look("rfdetr-nano.onnx")
    assert item.record is not None
    assert (item.state, item.path.read_bytes()) == (State.INTACT, MODEL)
    assert item.record.source == "rfdetr 1.11.2 RFDETRNano, the published weights"
    assert item.record.licence == "RF-DETR nano by Roboflow, Apache-2.0"


def test_an_environment_that_is_there_is_not_made_again(store: Path, environment: Path) -> None:
    done = export(store, "nano", XDG_STATE_HOME=str(environment.parents[2]))
    assert done.returncode == 0, done.stderr
    assert "making an environment" not in done.stderr


def test_ones_own_weights_bring_their_class_names(store: Path, environment: Path, tmp_path: Path) -> None:
    mine = weights(tmp_path, **{"class": "RFDETRNano"}, names=NAMES, classes=2)
    done = export(store, "nano", "--weights", mine, "--environment", environment)
    assert done.returncode == 0, done.stderr
    item = Shelf(store).look("rfdetr-nano-front-door-2-.onnx")
    assert item.path.read_bytes() == NAMED
    assert item.record is not None
    assert "Front Door (2).pth (sha256 " in item.record.source
    assert item.record.licence.endswith("; the weights are your own")
    assert "class names" not in done.stderr


@pytest.mark.parametrize("names", [None, ["one"]])
def test_weights_without_a_name_for_each_class_say_so(
    store: Path, environment: Path, tmp_path: Path, names: object
) -> None:
    mine = weights(tmp_path, names=names, classes=2)  # nor do they say what they are: the command's word counts
    done = export(store, "nano", "--weights", mine, "--environment", environment)
    assert done.returncode == 0, done.stderr
    assert "no class names came with these weights, so its 3 columns are taken for COCO's first" in done.stderr


def test_weights_of_another_variant_are_refused(store: Path, environment: Path, tmp_path: Path) -> None:
    mine = weights(tmp_path, **{"class": "RFDETRSmall"})
    done = export(store, "nano", "--weights", mine, "--environment", environment)
    assert (done.returncode, done.stdout) == (2, "")
    assert "these weights are of RFDETRSmall, not of RFDETRNano" in done.stderr


def test_what_is_there_is_replaced_only_on_request(store: Path, environment: Path) -> None:
    assert export(store, "nano", "--environment", environment).returncode == 0
    done = export(store, "nano", "--environment", environment)
    assert done.returncode == 2
    assert "--replace puts the new one in its place" in done.stderr
    assert export(store, "nano", "--environment", environment, "--replace").returncode == 0


def test_what_keeps_no_contract_gets_no_name(store: Path, environment: Path) -> None:
    done = export(store, "small", "--environment", environment)
    assert done.returncode == 2
    assert "what rfdetr 1.11.2 exported is not an ONNX model" in done.stderr
    assert not list(store.glob("*.onnx"))


def test_an_export_that_fails_shows_the_end_of_its_words(store: Path, environment: Path) -> None:
    done = export(store, "medium", "--environment", environment)
    assert done.returncode == 1
    assert "rfdetr could not export it (AttributeError: " in done.stderr
    assert "    a word from rfdetr" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_export_that_dies_is_told(store: Path, environment: Path, tmp_path: Path) -> None:
    mine = weights(tmp_path, **{"class": "RFDETRNano"}, crash=True)
    done = export(store, "nano", "--weights", mine, "--environment", environment)
    assert done.returncode == 1
    assert "the export ended without a word" in done.stderr


def test_weights_that_cannot_be_reached_can_be_brought(store: Path, environment: Path) -> None:
    (package,) = environment.glob("lib/python3*/site-packages/rfdetr")
    (package / "unreachable").touch()
    try:
        done = export(store, "nano", "--environment", environment)
    finally:
        (package / "unreachable").unlink()
    assert done.returncode == 1
    assert "no way to them from here. Take their file from a machine that reaches them" in done.stderr


def test_an_environment_that_lacks_something_says_what(store: Path, environment: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", empty], check=True)
    done = export(store, "nano", "--environment", empty)
    assert done.returncode == 2
    assert f"{empty} has no rfdetr" in done.stderr
    (onnx,) = environment.glob("lib/python3*/site-packages/onnx.py")
    onnx.rename(onnx.with_suffix(".away"))
    try:
        done = export(store, "nano", "--environment", environment)
    finally:
        onnx.with_suffix(".away").rename(onnx)
    assert done.returncode == 2
    assert "this environment lacks onnx; it needs: pip install 'rfdetr[onnx]'" in done.stderr


def test_without_a_package_index_it_says_so_with_pips_words(store: Path, tmp_path: Path) -> None:
    done = export(store, "nano", XDG_STATE_HOME=str(tmp_path))
    assert done.returncode == 1
    assert "pip reaches no package index from here" in done.stderr
    assert "    ERROR: No matching distribution found for rfdetr" in done.stderr


@pytest.mark.parametrize(
    ("size", "said"),
    [("60m", "not enough room for rfdetr and torch: "), ("4m", "no environment could be made (0.")],  # ... MB are free
)
def test_a_disk_that_is_too_small_for_the_environment_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: str, said: str
) -> None:
    large = tmp_path / "index"
    large.mkdir()
    wheel(large, ballast=100_000_000)
    disk = tmp_path / "disk"
    monkeypatch.setenv("PIP_FIND_LINKS", str(large))
    monkeypatch.setenv("XDG_STATE_HOME", str(disk))
    done = run_on(disk, size, *model("export", "nano", "--store", disk / "models"))
    assert done.returncode == 1
    assert said in done.stderr
    assert "are free" in done.stderr
    assert [name for name in done.stdout.split() if not name.endswith(".lock")] == []


def test_the_program_for_the_other_side_imports_nothing_of_the_appliance() -> None:
    folder = ROOT / "appliance" / "inference" / "store" / "outside"
    assert {path.name for path in folder.glob("*.py")} == {"__init__.py", "rfdetr_to_onnx.py"}
    assert "import appliance" not in (folder / "rfdetr_to_onnx.py").read_text()
    assert "from appliance" not in (folder / "rfdetr_to_onnx.py").read_text()

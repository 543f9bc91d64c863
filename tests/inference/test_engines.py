"""Engines in the state folder: built where there is none for this model, this TensorRT and this card, else found."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from appliance.inference import engines, kept, machine
from appliance.inference.backends import Backend
from appliance.inference.detector import BackendError
from appliance.inference.digest import sha256
from appliance.inference.gpu import tensorrt_build

NAME = "tensorrt"
INFORMATION = "Model: \t\t NVIDIA {model}\nIRQ:   \t\t 137\nGPU UUID: \t GPU-{uuid}\n"


class Builds:
    """Stands for the minutes that TensorRT takes. `refusal` is raised instead."""

    def __init__(self) -> None:
        self.sources: list[Path] = []
        self.refusal: Exception | None = None

    def __call__(self, source: Path, folder: Path, tell: Any) -> bytes:
        assert list(folder.iterdir()) == []
        self.sources.append(source)
        tell(0.5)
        if self.refusal is not None:
            raise self.refusal
        return b"engine %d of %b" % (len(self.sources), source.read_bytes())


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> Builds:
    one = Builds()
    monkeypatch.setattr(tensorrt_build, "built", one)
    return one


@pytest.fixture(autouse=True)
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A driver with one card, and TensorRT 11.4; returns the driver's folder."""
    driver = tmp_path / "driver"
    (driver / "gpus" / "0000:01:00.0").mkdir(parents=True)
    (driver / "version").write_text("NVRM version: 580.65")
    (driver / "gpus" / "0000:01:00.0" / "information").write_text(INFORMATION.format(model="RTX 2000", uuid="1"))
    monkeypatch.setattr(machine, "_DRIVER", driver)
    monkeypatch.setattr(Backend, "version", property(lambda _: "11.4.0"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return driver


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "model.onnx").write_bytes(b"a model")
    return tmp_path / "model.onnx"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def ready(state: Path, model: Path, backend: str = NAME) -> Path:
    """Find the engine, or have it built, as Trials does."""
    folder = folder_of(state, model, backend)
    if (found := engines.find(folder, backend)) is None:
        built(folder, model, backend)
        found = engines.find(folder, backend)
    assert found is not None
    assert found.digest == sha256(found.file)
    return found.file


def built(folder: Path, model: Path, backend: str = NAME) -> None:
    with kept.workplace(folder.parent) as making:
        engines.build(model, making, lambda _share: None)
        engines.place(making, folder, backend, model)


def folder_of(state: Path, model: Path, backend: str = NAME) -> Path:
    return engines.place_of(state, backend, sha256(model))


def left_in(folder: Path) -> list[str]:
    """Return the names of all files beneath it."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_it_is_built_once_and_found_from_then_on(builds: Builds, state: Path, model: Path) -> None:
    assert engines.find(folder_of(state, model), NAME) is None
    first = ready(state, model)
    assert first.read_bytes() == b"engine 1 of a model"
    assert ready(state, model) == first
    assert builds.sources == [model]


def test_its_record_says_of_what_and_for_what_it_was_built(builds: Builds, state: Path, model: Path) -> None:
    record = json.loads((ready(state, model).parent / kept.RECORD).read_text())
    assert record["of"] == "model.onnx"
    assert record["for"] == [NAME, "11.4.0", machine.card_model()]
    assert record["at"].startswith("20")


def test_progress_is_passed_on(builds: Builds, tmp_path: Path, model: Path) -> None:
    told: list[float] = []
    (tmp_path / "making").mkdir()
    engines.build(model, tmp_path / "making", told.append)
    assert told == [0.5]


def test_each_backend_has_its_own_and_so_has_each_model(
    builds: Builds, state: Path, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "other.onnx").write_bytes(b"another")
    places = {ready(state, one, name) for one in (model, tmp_path / "other.onnx") for name in (NAME, "tensorrt_int8")}
    assert len(places) == len(builds.sources) == 4
    (tmp_path / "same.onnx").write_bytes(b"a model")
    assert ready(state, tmp_path / "same.onnx") in places


def another_card(card: Path, _: pytest.MonkeyPatch) -> None:
    (card / "gpus" / "0000:01:00.0" / "information").write_text(INFORMATION.format(model="RTX 4000", uuid="1"))


def another_version(_: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Backend, "version", property(lambda _: "11.5.0"))


def another_is_meant(_: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")


def another_driver(card: Path, _: pytest.MonkeyPatch) -> None:
    (card / "version").write_text("NVRM version: 590.11")
    (card / "gpus" / "0000:01:00.0" / "information").write_text(INFORMATION.format(model="RTX 2000", uuid="2"))


@pytest.mark.parametrize("change", [another_card, another_version, another_is_meant])
def test_for_another_card_or_another_tensorrt_it_is_built_anew(
    builds: Builds, state: Path, model: Path, card: Path, monkeypatch: pytest.MonkeyPatch, change: Any
) -> None:
    ready(state, model)
    change(card, monkeypatch)
    assert engines.find(folder_of(state, model), NAME) is None
    assert ready(state, model).read_bytes() == b"engine 2 of a model"


def test_another_driver_or_another_card_of_this_model_takes_it_as_it_is(
    builds: Builds, state: Path, model: Path, card: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready(state, model)
    another_driver(card, monkeypatch)
    ready(state, model)
    assert len(builds.sources) == 1


@pytest.mark.parametrize("damage", ["engine", "gone", "record", "newer"])
def test_a_damaged_one_is_told_and_built_anew(
    builds: Builds, state: Path, model: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    file = ready(state, model)
    record = file.parent / kept.RECORD
    if damage == "engine":
        file.write_bytes(file.read_bytes()[:-1])
    elif damage == "gone":
        file.unlink()
    elif damage == "record":
        record.write_bytes(record.read_bytes()[:-20])
    else:
        record.write_text(json.dumps({**json.loads(record.read_text()), "version": engines.VERSION + 1}))
    assert ready(state, model).read_bytes() == b"engine 2 of a model"
    (told,) = caplog.messages
    assert told.startswith(f"{file.parent}: the engine cannot be used (")
    assert told.endswith("; it is built anew")


def test_a_refusal_is_passed_on_and_leaves_nothing(builds: Builds, state: Path, model: Path) -> None:
    builds.refusal = BackendError("TensorRT cannot build the engine: out of memory")
    with pytest.raises(BackendError, match="out of memory"):
        ready(state, model)
    assert left_in(state) == []
    assert not (state / engines.FOLDER).exists()


def test_a_refusal_leaves_the_one_that_was_there(builds: Builds, state: Path, model: Path) -> None:
    file = ready(state, model)
    builds.refusal = BackendError("out of memory")
    with pytest.raises(BackendError):
        built(file.parent, model)
    assert ready(state, model) == file


@pytest.mark.parametrize("step", ["write_bytes", "write_text", "rename", "mkdir"])
def test_a_disk_that_is_full_is_told_and_nothing_is_left(
    builds: Builds, state: Path, model: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as during:
        during.setattr(Path, step, full)
        with pytest.raises((BackendError, OSError), match=r"No space left on device$"):
            ready(state, model)
    assert left_in(state) == []
    assert ready(state, model).is_file()


def test_one_that_is_discarded_is_built_anew(builds: Builds, state: Path, model: Path) -> None:
    file = ready(state, model)
    engines.discard(file.parent)
    assert engines.find(file.parent, NAME) is None
    engines.discard(file.parent)


def test_the_models_that_were_used_longest_ago_are_removed(builds: Builds, state: Path, tmp_path: Path) -> None:
    """Not those that were built longest ago: the one in daily use may be the oldest."""
    models = [tmp_path / f"{number}.onnx" for number in range(engines.MOST + 1)]
    for number, one in enumerate(models):
        one.write_bytes(b"model %d" % number)
        home = ready(state, one).parent.parent
        os.utime(home, (1_000_000 + number, 1_000_000 + number))
    assert engines.find(folder_of(state, models[0]), NAME) is not None
    engines.tidy(state)
    assert [engines.find(folder_of(state, one), NAME) is not None for one in models] == [True, False, True, True, True]

"""Engines are built while another backend watches; whoever is the best then watches, and nobody has waited."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.config import Camera, Model, Settings
from appliance.inference import building, engines, opening, verdicts
from appliance.inference.backends import BACKENDS, Backend
from appliance.inference.detector import AbsentError, BackendError, ModelInfo
from appliance.inference.gpu import tensorrt_build
from appliance.inference.opening import Detectors
from appliance.inference.selftest import Answer, Find
from appliance.inference.trial import Request, Result
from appliance.ipc.heartbeat import HeartbeatFile
from appliance.ipc.run_folder import RunFolder
from appliance.stage import Pulse, StageContext, Stop

INFO = ModelInfo("model.onnx", 384, 300, 91)
SEEN = Answer((Find((1, 2, 300, 400), 0.9, 1),), (0.9, 0.1))
PATIENCE_S = 20.0
HERE = {"onnxruntime": "1.31", "tensorrt": "11.4", "tensorrt_int8": "11.4"}


class Opened:
    """A detector in name."""

    info = INFO

    def __init__(self, backend: str, path: Path) -> None:
        self.backend, self.path, self.closed = backend, path, False

    def close(self) -> None:
        self.closed = True


class House:
    """What can be tried, built and opened, and what was. A build waits until it `may_go_on`."""

    def __init__(self) -> None:
        self.said: dict[str, Exception | Answer] = {}
        self.took_ms = {"onnxruntime": 100.0, "tensorrt": 5.0, "tensorrt_int8": 3.0}
        self.broken: dict[str, Exception] = {}
        self.tried: list[str] = []
        self.built: list[str] = []
        self.opened: list[Opened] = []
        self.may_go_on = threading.Event()
        self.is_building = threading.Event()

    def attempt(
        self, request: Request, keep_going: Callable[[], bool], _patience_s: float = 0, tell: Any = None
    ) -> Result:
        self.tried.append(request.backend)
        said = self.said.get(request.backend, SEEN)
        if request.build_in:
            self._build(request, keep_going, tell)
        if isinstance(said, Exception):
            raise said
        return Result(INFO, said, self.took_ms[request.backend])

    def _build(self, request: Request, keep_going: Callable[[], bool], tell: Callable[[float], None]) -> None:
        self.is_building.set()
        while not self.may_go_on.wait(0.01):
            if not keep_going():
                raise BackendError(f"the trial of {request.backend} was broken off")
        if not isinstance(self.said.get(request.backend), Exception):
            engines.build(Path(request.model), Path(request.build_in), tell)
        self.built.append(request.backend)

    def open(self, name: str, path: Path, info: ModelInfo | None, _threads: int) -> Opened:
        assert info == INFO
        if name in self.broken:
            raise self.broken[name]
        assert path.is_file()
        self.opened.append(Opened(name, path))
        return self.opened[-1]


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> House:
    one = House()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    monkeypatch.setattr(Backend, "version", property(lambda it: HERE.get(_name(it))))
    monkeypatch.setattr(tensorrt_build, "built", lambda *_: b"an engine")
    monkeypatch.setattr(opening, "open_backend", one.open)
    monkeypatch.setattr(building, "open_backend", one.open)
    really = verdicts.Trials.__init__
    monkeypatch.setattr(
        verdicts.Trials, "__init__", lambda self, *words, **_: really(self, *words, attempt=one.attempt)
    )
    return one


def _name(backend: Backend) -> str:
    return next(name for name, one in BACKENDS.items() if one is backend)


@pytest.fixture
def start(folder: RunFolder, tmp_path: Path, house: House) -> Iterator[Callable[..., Detectors]]:
    """Starts the stage's detectors; all that were started are stopped in the end."""
    (tmp_path / "model.onnx").write_bytes(b"a model")
    stop = Stop()
    started: list[Detectors] = []

    def begin(**model: object) -> Detectors:
        settings = Settings(
            cameras=(Camera(id="porch", source="file:none"),),
            model=Model.model_validate({"path": tmp_path / "model.onnx", "threads": 1, **model}),
            state_dir=tmp_path / "state",
        )
        context = StageContext(settings, folder, Pulse(HeartbeatFile(folder, "inference"), "inference"), stop)
        started.append(Detectors(context))
        return started[-1]

    yield begin
    for one in started:
        one.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "building"]
    assert all(one.closed for one in house.opened)
    os.close(stop.fileno())
    os.close(stop._write)


def followed(detectors: Detectors, times: int = 1) -> None:
    """Look, as the stage does after every frame, until so many were built."""
    deadline = threading.Event()
    for _ in range(int(PATIENCE_S / 0.01)):
        times -= detectors.follow()
        if not times:
            return
        deadline.wait(0.01)
    raise AssertionError("nothing was built")


def test_the_slower_one_watches_until_the_engine_is_there(house: House, start: Callable[..., Detectors]) -> None:
    detectors = start()
    watcher = detectors.current
    assert watcher.backend == "onnxruntime"
    assert house.is_building.wait(PATIENCE_S)
    assert not detectors.follow()
    assert detectors.current is watcher
    assert detectors.building.startswith("the engine for tensorrt is being built: 0%")
    house.may_go_on.set()
    followed(detectors)
    assert detectors.current.backend == "tensorrt"
    assert [one.closed for one in house.opened] == [True, False]
    assert house.opened[-1].path.name == engines.FILE
    assert detectors.problems == []
    assert not detectors.follow()


def test_when_all_is_built_nothing_is_said_of_it_any_more(house: House, start: Callable[..., Detectors]) -> None:
    house.may_go_on.set()
    detectors = start()
    followed(detectors)
    assert detectors._building is not None
    detectors._building._thread.join(PATIENCE_S)
    assert detectors.building == ""


def test_at_the_next_start_it_watches_at_once(house: House, start: Callable[..., Detectors]) -> None:
    house.may_go_on.set()
    followed(start())
    tried = list(house.tried)
    again = start()
    assert again.current.backend == "tensorrt"
    assert again.building == ""
    assert house.tried == tried
    assert house.built == ["tensorrt"]


def test_an_engine_that_is_not_the_best_is_closed_and_not_used(house: House, start: Callable[..., Detectors]) -> None:
    house.took_ms["tensorrt"] = 200.0
    house.may_go_on.set()
    detectors = start()
    watcher = detectors.current
    followed(detectors)
    assert detectors.current is watcher
    assert [one.closed for one in house.opened] == [False, True]


def test_one_that_was_chosen_by_name_is_used_however_slow(house: House, start: Callable[..., Detectors]) -> None:
    house.took_ms["tensorrt"] = 200.0
    house.may_go_on.set()
    detectors = start(backend="tensorrt")
    followed(detectors)
    assert detectors.current.backend == "tensorrt"


def test_a_refusal_is_told_and_not_asked_for_again_for_a_day(house: House, start: Callable[..., Detectors]) -> None:
    house.said["tensorrt"] = BackendError("TensorRT 11.4 cannot build the engine: out of memory")
    house.may_go_on.set()
    detectors = start()
    followed(detectors)
    told = ["backend tensorrt was refused: TensorRT 11.4 cannot build the engine: out of memory"]
    assert detectors.problems == told
    assert detectors.current.backend == "onnxruntime"
    again = start()
    assert again.problems == told
    assert again.building == ""
    assert house.built == ["tensorrt"]


def test_without_a_card_nothing_is_told_and_the_next_start_looks_again(
    house: House, start: Callable[..., Detectors]
) -> None:
    house.said["tensorrt"] = AbsentError("no CUDA device: the driver has none")
    house.may_go_on.set()
    for count in (1, 2):
        detectors = start()
        followed(detectors)
        assert detectors.problems == []
        assert house.built == ["tensorrt"] * count


def test_without_a_card_it_is_told_where_it_was_chosen_by_name(house: House, start: Callable[..., Detectors]) -> None:
    house.said["tensorrt"] = AbsentError("no CUDA device: the driver has none")
    house.may_go_on.set()
    detectors = start(backend="tensorrt")
    followed(detectors)
    assert detectors.problems == ["backend tensorrt was refused: no CUDA device: the driver has none"]


def test_an_engine_that_answers_otherwise_never_watches(house: House, start: Callable[..., Detectors]) -> None:
    house.said["tensorrt"] = Answer((), (0.9, 0.1))
    house.may_go_on.set()
    detectors = start()
    followed(detectors)
    assert detectors.problems == ["backend tensorrt was refused: it misses a find of class 1 with a score of 0.90"]
    assert [one.backend for one in house.opened] == ["onnxruntime"]

"""The gateway's process: it listens where it is told to, or refuses with words; and it leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from appliance import stage
from appliance.config import Camera, Gateway, Mqtt, Settings
from appliance.gateway import service
from appliance.ipc.heartbeat import HeartbeatFile
from appliance.ipc.mailbox import subscribe_detections, subscribe_frames, subscribe_state
from appliance.messages import Health, Heartbeat
from appliance.stage import Pulse, StageContext, StageRefusedError, Stop
from tests.gateway.loops import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from appliance.ipc.run_folder import RunFolder

CAMERA = Camera(id="porch", source="file:none")


class Running:
    """The stage as a thread."""

    def __init__(self, context: StageContext) -> None:
        self._raised: BaseException | None = None
        self._context = context
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            service.run(self._context)
        except BaseException as error:  # noqa: BLE001 -- raised again in the test's thread
            self._raised = error

    def end(self) -> None:
        """Stop it as a signal does; whatever it died of is raised here."""
        self._context.stop.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "the gateway does not stop"
        raised, self._raised = self._raised, None
        if raised is not None:
            raise raised


class Heard(HeartbeatFile):
    """The heartbeat's file, and an ear for it."""

    def __init__(self, folder: RunFolder) -> None:
        super().__init__(folder, "gateway")
        self._newest: Heartbeat | None = None
        self._news = threading.Condition()

    def write(self, beat: Heartbeat) -> None:
        super().write(beat)
        with self._news:
            self._newest = beat
            self._news.notify_all()

    def running(self) -> Heartbeat:
        with self._news:
            heard = self._news.wait_for(lambda: self._newest and self._newest.health is Health.RUNNING, PATIENCE_S)
            assert heard, f"never running; the last was {self._newest}"
            assert self._newest is not None
            return self._newest


@pytest.fixture
def context(folder: RunFolder) -> Iterator[Callable[..., StageContext]]:
    """Make the stage's context; mqtt is off unless it is given."""
    with contextlib.ExitStack() as ends:

        def make(mqtt: Any = None, **gateway: Any) -> StageContext:
            settings = Settings(
                cameras=(CAMERA,), gateway=Gateway(**gateway), mqtt=Mqtt(enabled=False) if mqtt is None else mqtt
            )
            stop = Stop()
            ends.callback(os.close, stop.fileno())
            ends.callback(os.close, stop._write)
            return StageContext(settings, folder, Pulse(Heard(folder), "gateway"), stop)

        yield make


@pytest.fixture
def listening() -> Iterator[Callable[[StageContext], Running]]:
    """Start the stage; it is ended after the test."""
    with contextlib.ExitStack() as ends:

        def start(context: StageContext) -> Running:
            running = Running(context)
            ends.callback(running.end)
            return running

        yield start


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        yield port


def assert_seats_are_free(folder: RunFolder) -> None:
    for subscribe in (subscribe_frames, subscribe_detections, subscribe_state):
        subscribe(folder, "porch", "gateway").close()  # TakenError otherwise


@pytest.mark.parametrize("mqtt", [None, Mqtt(host="127.0.0.1", port=1)], ids=["alone", "with a bridge"])
def test_a_port_that_is_taken_refuses_the_stage_and_names_it_and_what_to_change(
    context: Callable[..., StageContext], folder: RunFolder, taken: int, mqtt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "PREDECESSOR_S", 0.0)
    with pytest.raises(StageRefusedError) as caught:
        service.run(context(mqtt, port=taken))
    assert f"127.0.0.1:{taken}" in str(caught.value)
    assert "address already in use" in str(caught.value)
    assert "set gateway.port" in str(caught.value)
    assert_seats_are_free(folder)


def test_an_address_that_is_not_ours_refuses_the_stage_and_says_which_setting_it_is(
    context: Callable[..., StageContext], folder: RunFolder
) -> None:
    with pytest.raises(StageRefusedError) as caught:
        service.run(context(host="203.0.113.1", port=8099, token="a-token-of-sixteen-or-more"))
    assert "203.0.113.1:8099" in str(caught.value)
    assert "set gateway.host" in str(caught.value)
    assert_seats_are_free(folder)


def test_a_port_that_is_let_go_soon_is_waited_for(
    context: Callable[..., StageContext],
    listening: Callable[[StageContext], Running],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried = threading.Semaphore(0)

    class Site(web.TCPSite):
        async def start(self) -> None:
            tried.release()
            await super().start()

    monkeypatch.setattr(service, "PREDECESSOR_S", PATIENCE_S)
    monkeypatch.setattr(web, "TCPSite", Site)
    with socket.create_server(("127.0.0.1", 0)) as predecessor:
        given = context(port=predecessor.getsockname()[1])
        listening(given)
        for _ in range(2):
            assert tried.acquire(timeout=PATIENCE_S)
    assert isinstance(given.pulse.file, Heard)
    assert given.pulse.file.running().facts["address"] == f"http://127.0.0.1:{given.settings.gateway.port}/"


def test_a_running_gateway_says_where_it_listens_answers_there_and_leaves_nothing_behind(
    context: Callable[..., StageContext],
    listening: Callable[[StageContext], Running],
    folder: RunFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stage, "BEAT_S", 0.0)
    given = context(port=0)
    running = listening(given)
    heard = given.pulse.file
    assert isinstance(heard, Heard)
    beat = heard.running()
    assert beat.counters["viewers.porch"] == 0
    with urllib.request.urlopen(beat.facts["address"] + "readyz", timeout=PATIENCE_S) as answer:
        assert json.load(answer) == {"ready": True}
    with socket.create_connection(("127.0.0.1", int(beat.facts["address"].rsplit(":")[-1].strip("/")))):
        running.end()  # though somebody hangs on
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(beat.facts["address"], timeout=PATIENCE_S)
    assert_seats_are_free(folder)

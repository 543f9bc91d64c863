"""The web server over real channels: page, pictures, status, probes; and nobody who watches can hurt anybody."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.resources
import json
import re
import time
from typing import TYPE_CHECKING, Any

import pytest
import simplejpeg
from aiohttp import WSMsgType
from aiohttp.test_utils import TestClient, TestServer
from pydantic import SecretStr

from appliance import __version__
from appliance.config import Camera, Gateway, Settings, Zone
from appliance.gateway import web
from appliance.gateway.live import SWITCHED_OFF, Live
from appliance.gateway.picture import notice
from appliance.gateway.web import Web
from appliance.gateway.wire import unpack
from appliance.ipc.heartbeat import HeartbeatFile
from appliance.messages import (
    CameraState,
    Health,
    Heartbeat,
    Mode,
    PixelFormat,
    SentryState,
    SourceHealth,
    Transition,
)
from tests.gateway.conftest import MS, a_frame, a_jpeg, found_in, noise
from tests.gateway.loops import asynchronous, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from aiohttp import ClientResponse

    from appliance.ipc.run_folder import RunFolder
    from tests.gateway.conftest import Stages

CORNERS = ((0, 0), (1, 0), (1, 1))
ZONES = (
    Zone(id="driveway", polygon=CORNERS),
    Zone(id="path", polygon=CORNERS),
    Zone(id="step", name="Bottom step", polygon=CORNERS),
)
CAMERAS = (Camera(id="porch", source="file:a", name="Front porch", zones=ZONES), Camera(id="yard", source="file:b"))
NOTICE = notice(SWITCHED_OFF)
PAGE = {
    file.name: file.read_bytes()
    for file in importlib.resources.files("appliance.gateway").joinpath("page").iterdir()
    if file.is_file()
}
TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
TOKEN = "a-token-of-sixteen-or-more"


class Served:
    """The gateway's web server, its cameras, and a browser."""

    def __init__(self, client: Any, lives: dict[str, Live]) -> None:
        self.client = client
        self.lives = lives

    async def get(self, path: str, **more: Any) -> tuple[int, Any, bytes]:
        """Return status, headers and body."""
        async with self.client.get(path, **more) as response:
            return response.status, response.headers, await response.read()

    async def status_of(self, camera: str) -> Any:
        _, _, body = await self.get("/api/status")
        return next(one for one in json.loads(body)["cameras"] if one["id"] == camera)

    async def watched(self, camera: str = "porch", viewers: int = 1) -> None:
        """Wait until so many watch."""
        await until(f"{viewers} watch {camera}", lambda: self.lives[camera].viewers == viewers)


class LikeTheStage(TestServer):
    """A handler is not cancelled when its client leaves: so it is in the stage, and not in aiohttp's test server."""

    async def _make_runner(self, **given: Any) -> Any:
        return await super()._make_runner(**{**given, "handler_cancellation": False})


@contextlib.asynccontextmanager
async def serving(folder: RunFolder, **gateway: Any) -> AsyncIterator[Served]:
    settings = Settings(instance="home", cameras=CAMERAS, gateway=Gateway(**gateway))
    lives = {camera.id: Live(folder, camera) for camera in settings.cameras}
    for live in lives.values():
        live.attach()
    try:
        async with TestClient(LikeTheStage(Web(settings, folder, lives).application())) as client:
            yield Served(client, lives)
    finally:
        for live in lives.values():
            live.close()


@pytest.fixture
def porch(stages: Callable[[str], Stages]) -> Stages:
    return stages("porch")


@pytest.fixture
def yard(stages: Callable[[str], Stages]) -> Stages:
    return stages("yard")


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "PATIENCE_S", 0.05)


def beat(folder: RunFolder, name: str, **more: Any) -> None:
    given = {"stage": name, "health": Health.RUNNING, "beat_ns": time.monotonic_ns(), "started_wall_ns": 1, **more}
    HeartbeatFile(folder, name).write(Heartbeat(**given))


def all_beat(folder: RunFolder) -> None:
    for name in ("capture", "capture.porch", "capture.yard", "inference", "controller", "gateway"):
        beat(folder, name)


def find(stages: Stages, number: int) -> None:
    """Publish a frame and what was found in it."""
    stages.find(found_in(stages.show(a_frame(number, time.monotonic_ns()))))


# The page


@asynchronous
async def test_the_page_is_served_and_may_load_nothing_from_elsewhere(folder: RunFolder) -> None:
    async with serving(folder) as served:
        status, headers, body = await served.get("/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert body == PAGE["index.html"]
    policy = {rule.split()[0]: rule.split()[1:] for rule in headers["Content-Security-Policy"].split(";")}
    assert policy["default-src"] == ["'self'"]
    assert policy["object-src"] == policy["base-uri"] == ["'none'"]
    assert not [source for sources in policy.values() for source in sources if source in {"*", "'unsafe-inline'"}]
    assert headers["X-Content-Type-Options"] == "nosniff"


@asynchronous
async def test_every_file_of_the_page_is_served_for_what_it_is(folder: RunFolder) -> None:
    async with serving(folder) as served:
        for name, content in PAGE.items():
            status, headers, body = await served.get(f"/{name}")
            assert (status, body) == (200, content)
            assert headers["Content-Type"] == f"{TYPES[name.rpartition('.')[2]]}; charset=utf-8"
            assert "default-src 'self'" in headers["Content-Security-Policy"]


def test_whatever_the_page_refers_to_is_among_its_files() -> None:
    text = b"\n".join(PAGE.values()).decode()
    named = re.findall(r"""(?:from|import) '\./([^']+)'""", text)
    named += re.findall(r"""(?:href|src)="([^"#:]+)\"""", PAGE["index.html"].decode())
    assert {"page.js", "page.css", "cameraCard.js"} <= set(named) <= set(PAGE)


@asynchronous
async def test_there_is_nothing_else_to_be_had(folder: RunFolder) -> None:
    async with serving(folder) as served:
        for path in ("/none.js", "/__init__.py", "/page/", "/%2e%2e/web.py", "/..%2fweb.py", "/api"):
            assert (await served.get(path))[0] == 404


# Live pictures


@pytest.mark.parametrize("path", ["/ws", "/cameras/porch/ws"])
@asynchronous
async def test_a_websocket_gives_the_pictures_of_its_camera(
    folder: RunFolder, porch: Stages, yard: Stages, path: str
) -> None:
    async with serving(folder) as served, served.client.ws_connect(path) as socket:
        await served.watched("porch")
        for number in (1, 2, 3):
            find(yard, 100 + number)
            find(porch, number)
            metadata, jpeg = unpack(await socket.receive_bytes())
            assert (metadata["camera"], metadata["frame_number"], metadata["status"]) == ("porch", number, "complete")
            assert (metadata["width"], metadata["height"]) == (64, 48)
            assert [row["class_id"] for row in metadata["detections"]] == [0]
            assert jpeg == a_jpeg()


@asynchronous
async def test_a_raw_camera_is_shown_as_jpegs(folder: RunFolder, porch: Stages) -> None:
    async with serving(folder) as served, served.client.ws_connect("/ws") as socket:
        await served.watched()
        porch.show(a_frame(1, 0, PixelFormat.I420), bytes(64 * 48 * 3 // 2))
        _, jpeg = unpack(await socket.receive_bytes())
    assert simplejpeg.decode_jpeg(jpeg).shape == (48, 64, 3)


@asynchronous
async def test_viewers_come_and_go_and_are_counted(folder: RunFolder, porch: Stages) -> None:
    async with serving(folder) as served:
        async with served.client.ws_connect("/ws"), served.client.ws_connect("/cameras/porch/ws"):
            await served.watched(viewers=2)
            assert (await served.status_of("porch"))["viewers"] == 2
        await served.watched(viewers=0)


@asynchronous
async def test_a_viewer_that_does_not_read_misses_pictures_and_then_gets_the_newest(
    folder: RunFolder, porch: Stages
) -> None:
    picture = bytes(simplejpeg.encode_jpeg(noise(400, 300), 95))
    async with serving(folder) as served, served.client.ws_connect("/ws") as socket:
        await served.watched()
        live = served.lives["porch"]
        (viewer,) = live._viewers
        number = 0

        def taken() -> bool:
            return live._found is not None and live._found.frame.frame_number == number and live._pending is None

        while viewer.missed < 20:
            number += 1
            porch.find(found_in(porch.show(a_frame(number, 0), picture)))
            await until("the gateway has the picture", taken)
        received = [unpack(await socket.receive_bytes())[0]["frame_number"]]
        while received[-1] != number:
            received.append(unpack(await socket.receive_bytes())[0]["frame_number"])
    assert received == sorted(set(received))
    assert len(received) < number


@asynchronous
async def test_what_a_viewer_says_is_not_listened_to(folder: RunFolder, porch: Stages) -> None:
    async with serving(folder) as served, served.client.ws_connect("/ws") as socket:
        await served.watched()
        await socket.send_str("hello")
        await socket.send_bytes(b"\0" * 1000)
        find(porch, 1)
        assert unpack(await socket.receive_bytes())[0]["frame_number"] == 1


@asynchronous
async def test_a_gateway_that_stops_says_so_to_its_viewers(folder: RunFolder) -> None:
    async with serving(folder) as served:
        socket = await served.client.ws_connect("/ws")
        await served.watched()
        closing = asyncio.create_task(served.client.server.close())
        message = await socket.receive()
        await closing
    assert (message.type, message.data) == (WSMsgType.CLOSE, 1001)


@asynchronous
async def test_a_camera_that_is_taken_out_of_the_settings_says_so_to_its_viewers(folder: RunFolder) -> None:
    async with serving(folder) as served:
        socket = await served.client.ws_connect("/cameras/porch/ws")
        async with served.client.get("/cameras/porch/stream.mjpeg") as stream:
            await served.watched(viewers=2)
            served.lives.pop("porch").close()
            message = await socket.receive()
            assert (message.type, message.data) == (WSMsgType.CLOSE, 1012)
            assert await stream.read() == b""
        assert (await served.get("/cameras/porch/ws"))[0] == 404
        assert [camera["id"] for camera in json.loads((await served.get("/api/status"))[2])["cameras"]] == ["yard"]


@pytest.mark.parametrize("what", ["ws", "stream.mjpeg", "snapshot.jpg"])
@asynchronous
async def test_an_unknown_camera_is_not_found_and_the_known_ones_are_named(folder: RunFolder, what: str) -> None:
    async with serving(folder) as served:
        status, _, body = await served.get(f"/cameras/cellar/{what}")
    assert status == 404
    assert body.decode() == "there is no camera 'cellar'; there are: porch, yard\n"


async def a_part(response: ClientResponse) -> tuple[dict[str, str], bytes]:
    """Read one part of a multipart stream as any MJPEG client does."""
    assert await response.content.readline() == b"--porchlightframe\r\n"
    headers = {}
    while line := (await response.content.readline()).strip():
        name, _, value = line.decode().partition(": ")
        headers[name] = value
    body = await response.content.readexactly(int(headers["Content-Length"]))
    assert await response.content.readline() == b"\r\n"
    return headers, body


@pytest.mark.usefixtures("_impatient")
@asynchronous
async def test_an_mjpeg_stream_is_parts_with_a_jpeg_each(folder: RunFolder, porch: Stages) -> None:
    async with serving(folder) as served, served.client.get("/cameras/porch/stream.mjpeg") as response:
        assert response.headers["Content-Type"] == "multipart/x-mixed-replace; boundary=porchlightframe"
        assert response.headers["Cache-Control"] == "no-store"
        await served.watched()
        for number in (1, 2, 3):
            find(porch, number)
            headers, jpeg = await a_part(response)
            assert headers["Content-Type"] == "image/jpeg"
            assert jpeg == a_jpeg()


@asynchronous
async def test_who_asks_for_a_streams_head_gets_no_more(folder: RunFolder) -> None:
    async with serving(folder) as served:
        async with served.client.head("/cameras/porch/stream.mjpeg") as response:
            assert response.headers["Content-Type"].startswith("multipart/x-mixed-replace")
        await served.watched(viewers=0)


@pytest.mark.usefixtures("_impatient")
@asynchronous
async def test_whoever_leaves_the_stream_of_a_silent_camera_is_forgotten(folder: RunFolder) -> None:
    async with serving(folder) as served:
        async with served.client.get("/cameras/porch/stream.mjpeg"):
            await served.watched(viewers=1)
        await served.watched(viewers=0)


@pytest.mark.usefixtures("_impatient")
@asynchronous
async def test_a_stream_goes_on_when_a_silent_camera_speaks_again(folder: RunFolder, porch: Stages) -> None:
    async with serving(folder) as served, served.client.get("/cameras/porch/stream.mjpeg") as response:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(response.content.readline(), 0.2)  # several times its patience
        find(porch, 1)
        assert (await a_part(response))[1] == a_jpeg()


@asynchronous
async def test_a_snapshot_is_the_next_picture(folder: RunFolder, porch: Stages) -> None:
    async with serving(folder) as served:
        asked = asyncio.create_task(served.get("/cameras/porch/snapshot.jpg"))
        await served.watched()
        find(porch, 1)
        status, headers, body = await asked
        await served.watched(viewers=0)
    assert (status, headers["Content-Type"], headers["Cache-Control"]) == (200, "image/jpeg", "no-store")
    assert body == a_jpeg()


@pytest.mark.usefixtures("_impatient")
@asynchronous
async def test_a_snapshot_of_a_camera_that_gives_none_says_so(folder: RunFolder) -> None:
    async with serving(folder) as served:
        status, headers, body = await served.get("/cameras/porch/snapshot.jpg")
    assert (status, headers["Content-Type"]) == (503, "text/plain; charset=utf-8")
    assert body == b"the camera gives no picture at present\n"


# While the live view is switched off


async def switched(served: Served, stages: Stages, camera: str = "porch", live_view: bool = False) -> None:
    stages.tell(CameraState(known=True, live_view=live_view))
    await until("the switch is heard", lambda: served.lives[camera].live_view is live_view)


@pytest.mark.parametrize("path", ["/ws", "/cameras/porch/ws"])
@asynchronous
async def test_a_websocket_stays_open_says_that_the_live_view_is_off_and_goes_on_when_it_is_on_again(
    folder: RunFolder, porch: Stages, path: str
) -> None:
    async with serving(folder) as served, served.client.ws_connect(path) as socket:
        await served.watched()
        find(porch, 1)
        assert unpack(await socket.receive_bytes())[0]["live_view"] is True
        await switched(served, porch)
        metadata, notice = unpack(await socket.receive_bytes())
        assert (metadata["live_view"], metadata["known"], metadata["detections"]) == (False, True, None)
        assert notice == NOTICE
        find(porch, 2)
        await switched(served, porch, live_view=True)
        find(porch, 3)
        metadata, jpeg = unpack(await socket.receive_bytes())
        assert (metadata["live_view"], metadata["frame_number"], jpeg) == (True, 3, a_jpeg())


@asynchronous
async def test_a_websocket_that_is_opened_meanwhile_is_told_at_once(folder: RunFolder, porch: Stages) -> None:
    async with serving(folder) as served:
        await switched(served, porch)
        async with served.client.ws_connect("/ws") as socket:
            metadata, notice = unpack(await socket.receive_bytes())
    assert (metadata["live_view"], notice) == (False, NOTICE)


@asynchronous
async def test_a_stream_shows_the_notice_in_the_place_of_the_last_picture_and_goes_on_afterwards(
    folder: RunFolder, porch: Stages
) -> None:
    async with serving(folder) as served, served.client.get("/cameras/porch/stream.mjpeg") as response:
        await served.watched()
        find(porch, 1)
        assert (await a_part(response))[1] == a_jpeg()
        await switched(served, porch)
        assert (await a_part(response))[1] == NOTICE
        find(porch, 2)
        async with served.client.get("/cameras/porch/stream.mjpeg") as another:
            assert (await a_part(another))[1] == NOTICE
        await switched(served, porch, live_view=True)
        find(porch, 3)
        assert (await a_part(response))[1] == a_jpeg()


@pytest.mark.parametrize("asked_before", [True, False], ids=["asked before", "asked after"])
@asynchronous
async def test_there_is_no_snapshot_and_the_answer_says_why(
    folder: RunFolder, porch: Stages, asked_before: bool
) -> None:
    async with serving(folder) as served:
        asked = asyncio.create_task(served.get("/cameras/porch/snapshot.jpg")) if asked_before else None
        if asked is not None:
            await served.watched()
        await switched(served, porch)
        status, headers, body = await (asked or served.get("/cameras/porch/snapshot.jpg"))
    assert (status, headers["Content-Type"]) == (409, "text/plain; charset=utf-8")
    assert body == b"the live view of porch is switched off\n"


@asynchronous
async def test_one_cameras_switch_is_not_anothers(folder: RunFolder, porch: Stages, yard: Stages) -> None:
    async with serving(folder) as served, served.client.ws_connect("/cameras/yard/ws") as socket:
        await served.watched("yard")
        await switched(served, porch)
        find(yard, 1)
        assert unpack(await socket.receive_bytes())[1] == a_jpeg()
        assert [(await served.status_of(camera))["live_view"] for camera in ("porch", "yard")] == [False, True]


# Probes and status


@asynchronous
async def test_where_nothing_runs_health_says_what_is_missing(folder: RunFolder) -> None:
    async with serving(folder) as served:
        status, _, body = await served.get("/healthz")
        ready, _, _ = await served.get("/readyz")
    assert status == 503
    assert json.loads(body) == {
        "healthy": False,
        "reasons": [
            "capture is not running",
            "inference is not running",
            "controller is not running",
            "porch: the controller is not running",
            "yard: the controller is not running",
        ],
    }
    assert ready == 200


@asynchronous
async def test_where_every_camera_is_looked_at_all_is_well(folder: RunFolder, porch: Stages, yard: Stages) -> None:
    async with serving(folder) as served:
        all_beat(folder)
        for camera in (porch, yard):
            camera.tell(CameraState(known=True))
        await until("the states are heard", lambda: all(live.state for live in served.lives.values()))
        status, _, body = await served.get("/healthz")
    assert (status, json.loads(body)) == (200, {"healthy": True, "reasons": []})


@asynchronous
async def test_a_camera_that_is_not_looked_at_is_trouble_with_its_reason_and_a_clip_that_ended_is_none(
    folder: RunFolder, porch: Stages, yard: Stages
) -> None:
    blind = SourceHealth("porch", Health.DEGRADED, "no detections for 4 s")
    ended = SourceHealth("yard", Health.ENDED, "the clip has ended")
    async with serving(folder) as served:
        all_beat(folder)
        beat(folder, "controller", sources=(blind,))
        beat(folder, "capture.yard", sources=(ended,))
        for camera in (porch, yard):
            camera.tell(CameraState(known=False))
        await until("the states are heard", lambda: all(live.state for live in served.lives.values()))
        status, _, body = await served.get("/healthz")
    assert (status, json.loads(body)["reasons"]) == (503, ["porch: no detections for 4 s"])


@asynchronous
async def test_a_camera_whose_detection_is_switched_off_is_no_trouble_and_says_so(
    folder: RunFolder, porch: Stages, yard: Stages
) -> None:
    reason = "detection is switched off"
    async with serving(folder) as served:
        all_beat(folder)
        beat(folder, "controller", sources=(SourceHealth("porch", Health.DEGRADED, reason),))
        porch.tell(CameraState(known=False, detecting=False))
        yard.tell(CameraState(known=True))
        await until("the states are heard", lambda: all(live.state for live in served.lives.values()))
        status, _, body = await served.get("/healthz")
        said = await served.status_of("porch")
    assert (status, json.loads(body)) == (200, {"healthy": True, "reasons": []})
    assert (said["detecting"], said["known"], said["reason"]) == (False, False, reason)


@asynchronous
async def test_a_heartbeat_that_stopped_is_not_believed(folder: RunFolder) -> None:
    async with serving(folder) as served:
        all_beat(folder)
        beat(folder, "inference", beat_ns=time.monotonic_ns() - 60_000 * MS)
        (folder.heartbeats / "controller").write_bytes(b"no heartbeat at all")
        _, _, body = await served.get("/healthz")
    reasons = json.loads(body)["reasons"]
    assert "inference is not running" in reasons
    assert "controller is not running" in reasons
    assert "capture is not running" not in reasons


CAMERA_FIELDS: dict[str, Any] = {
    "id": str,
    "name": str,
    "known": bool,
    "reason": str,
    "state": str,
    "mode": str,
    "detecting": bool,
    "live_view": bool,
    "person_count": int,
    "zones": list,
    "fps": (float, type(None)),
    "latency_ms": (float, type(None)),
    "queue_ms": (float, type(None)),
    "viewers": int,
    "transitions": list,
}
"""What page.js and cameraCard.js read."""


@asynchronous
async def test_status_has_what_the_page_reads_even_where_nothing_runs(folder: RunFolder) -> None:
    async with serving(folder) as served:
        status, headers, body = await served.get("/api/status")
    assert (status, headers["Cache-Control"]) == (200, "no-store")
    said = json.loads(body)
    assert (said["instance"], said["version"], said["mqtt"]) == ("home", __version__, "unknown")
    assert said["model"] == {"name": "", "notice": ""}
    assert (said["shortage"], said["building"]) == ("", "")
    assert [stage["name"] for stage in said["stages"]] == ["capture", "inference", "controller", "gateway"]
    assert {(stage["health"], stage["reason"]) for stage in said["stages"]} == {("failed", "not running")}
    assert [(camera["id"], camera["name"]) for camera in said["cameras"]] == [
        ("porch", "Front porch"),
        ("yard", "Yard"),
    ]
    for camera in said["cameras"]:
        assert set(camera) == set(CAMERA_FIELDS)
        assert all(isinstance(camera[field], kind) for field, kind in CAMERA_FIELDS.items())
        assert (camera["known"], camera["reason"]) == (False, "the controller is not running")


@asynchronous
async def test_status_tells_what_the_stages_say(folder: RunFolder, porch: Stages) -> None:
    came = Transition(SentryState.VALIDATION, SentryState.TRACKING, 812, 5, 1_700_000_000_123_456_789, 0.87654)
    state = CameraState(SentryState.TRACKING, Mode.ALARMED, True, 2, transitions=(came,), zones=0b101)
    refused = "backend openvino was refused: it finds other people"
    async with serving(folder) as served:
        all_beat(folder)
        beat(folder, "capture", health=Health.DEGRADED, reason="yard is restarted")
        beat(folder, "capture.porch", counters={"fps": 9.96})
        counters = {"latency_ms.porch": 41.26, "queue_ms.porch": 3.14}
        facts = {"model": "nano.onnx", "shortage": "the detector is too slow", "building": "an engine: 42%"}
        beat(folder, "inference", facts=facts, counters=counters, reason=refused)
        beat(folder, "controller", facts={"mqtt": "connected"})
        porch.tell(state)
        await until("the state is heard", lambda: served.lives["porch"].state)
        said = json.loads((await served.get("/api/status"))[2])
    assert said["model"]["name"] == "nano.onnx"
    assert said["mqtt"] == "connected"
    assert said["stages"][0] == {"name": "capture", "health": "degraded", "reason": "yard is restarted"}
    assert said["stages"][1] == {"name": "inference", "health": "running", "reason": refused}
    assert (said["shortage"], said["building"]) == ("the detector is too slow", "an engine: 42%")
    assert said["cameras"][0] == {
        "id": "porch",
        "name": "Front porch",
        "known": True,
        "reason": "",
        "state": "tracking",
        "mode": "alarmed",
        "detecting": True,
        "live_view": True,
        "person_count": 2,
        "zones": ["Driveway", "Bottom step"],
        "fps": 10.0,
        "latency_ms": 41.3,
        "queue_ms": 3.1,
        "viewers": 0,
        "transitions": [
            {
                "state": "tracking",
                "previous_state": "validation",
                "wall_ms": 1_700_000_000_123,
                "frame_number": 812,
                "confidence": 0.877,
                "trace_id": None,
            }
        ],
    }


# Behind a token


@asynchronous
async def test_with_a_token_the_empty_page_is_open_and_all_that_it_shows_is_not(folder: RunFolder) -> None:
    async with serving(folder, token=SecretStr(TOKEN)) as served:
        for path in ("/", *(f"/{name}" for name in PAGE), "/healthz", "/readyz"):
            assert (await served.get(path))[0] in {200, 503}
        for path in ("/api/status", "/ws", "/cameras/porch/ws", "/cameras/none/ws", "/cameras/porch/snapshot.jpg"):
            assert (await served.get(path))[0] == 401
        assert (await served.get("/api/status", headers={"Authorization": f"Bearer {TOKEN}"}))[0] == 200
        async with served.client.ws_connect(f"/cameras/yard/ws?token={TOKEN}"):
            await served.watched("yard")


@asynchronous
async def test_without_a_token_another_sites_page_gets_no_websocket(folder: RunFolder) -> None:
    async with serving(folder) as served:
        status, _, _ = await served.get("/ws", headers={"Origin": "https://evil.example", "Upgrade": "websocket"})
    assert status == 403


@pytest.fixture(autouse=True)
def _no_errors_in_the_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert not [record.getMessage() for record in caplog.records if record.levelname in {"ERROR", "CRITICAL"}]

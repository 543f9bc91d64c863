"""The picture in Home Assistant: seldom while nobody is there, more often while somebody is, always small."""

from __future__ import annotations

import asyncio
import contextlib
import re
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import simplejpeg

from appliance.config import Camera, Gateway, Mqtt, Settings
from appliance.gateway import bridge
from appliance.gateway.bridge import PATIENCE_S, POLL_S, Bridge
from appliance.gateway.live import Viewer
from appliance.gateway.wire import Packet
from appliance.messages import CameraState, Mode
from tests.gateway.conftest import a_frame, a_jpeg, noise
from tests.gateway.loops import in_scene_time

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

IDLE = CameraState(mode=Mode.STANDBY, known=True)
ALARMED = CameraState(mode=Mode.ALARMED, known=True)
STATUS = "porchlight/home/picture/status"
TOPIC = "porchlight/home/porch/camera"


@dataclass(slots=True)
class Sent:
    at: float
    topic: str
    payload: Any
    qos: int
    retain: bool


class Broker:
    """Stands where the connection to the broker stands."""

    def __init__(self, _settings: Mqtt, client_id: str, status_topic: str, on_up: Callable[[], None]) -> None:
        self.client_id, self.status_topic = client_id, status_topic
        self.connected = False
        self.life: list[str] = []
        self.sent: list[Sent] = []
        self._on_up = on_up

    def start(self) -> None:
        self.life.append("started")

    async def stop(self) -> None:
        self.life.append("stopped")

    def publish(
        self, topic: str, payload: Any, *, qos: int = 1, retain: bool = False, expiry_s: int | None = None
    ) -> None:
        assert (expiry_s is None) is (qos == 1), "a live picture is worth nothing later, all else is"
        self.sent.append(Sent(asyncio.get_running_loop().time(), topic, payload, qos, retain))

    backlogged = False

    def connect(self) -> None:
        self.connected = True
        self._on_up()

    @property
    def pictures(self) -> list[Sent]:
        return [sent for sent in self.sent if sent.topic != self.status_topic]


@dataclass(slots=True)
class Window:
    """A camera's live picture: who looks gets `jpeg` at once, or nothing while there is none."""

    camera: Camera = field(default_factory=lambda: Camera(id="porch", source="file:none"))
    state: CameraState | None = IDLE
    jpeg: bytes | None = a_jpeg()
    closed: bool = False
    live_view: bool = True
    watches: int = 0
    looking: Viewer | None = None

    @contextlib.contextmanager
    def watched(self) -> Iterator[Viewer]:
        self.watches += 1
        self.looking = viewer = Viewer()
        if self.jpeg is not None:
            viewer.offer(self.packet(self.jpeg))
        yield viewer
        self.looking = None

    async def news(self) -> None:
        """There is none: this is about the live picture."""
        await asyncio.get_running_loop().create_future()

    def packet(self, jpeg: bytes) -> Packet:
        return Packet(self.camera.id, a_frame(1), jpeg, None, self.state)


@contextlib.asynccontextmanager
async def bridging(*windows: Any, connected: bool = True, **gateway: Any) -> AsyncIterator[Broker]:
    one = Bridge(Settings(instance="home", gateway=Gateway(**gateway)))
    broker: Any = one._connection
    assert isinstance(broker, Broker)
    one.start()
    one.follow(windows)
    if connected:
        broker.connect()
    try:
        yield broker
    finally:
        await one.stop()
        assert broker.life == ["started", "stopped"]


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge, "Connection", Broker)


def gaps(sent: list[Sent]) -> list[float]:
    return [later.at - earlier.at for earlier, later in pairwise(sent)]


@in_scene_time
async def test_while_nobody_is_there_a_picture_goes_out_every_five_seconds() -> None:
    async with bridging(Window()) as broker:
        await asyncio.sleep(60)
    assert 11 <= len(broker.pictures) <= 12
    assert min(gaps(broker.pictures)) >= 5


@in_scene_time
async def test_while_somebody_is_there_two_go_out_every_second() -> None:
    async with bridging(Window(state=ALARMED)) as broker:
        await asyncio.sleep(60)
    assert 118 <= len(broker.pictures) <= 120
    assert min(gaps(broker.pictures)) >= 0.5


@in_scene_time
async def test_the_rates_are_settings() -> None:
    window = Window()
    async with bridging(window, picture_fps_idle=0.5, picture_fps_alarmed=1.0) as broker:
        await asyncio.sleep(20)
        idle = len(broker.pictures)
        window.state = ALARMED
        await asyncio.sleep(20)
    assert 9 <= idle <= 10
    assert 19 <= len(broker.pictures) - idle <= 21


@in_scene_time
async def test_who_comes_is_shown_at_once_and_not_when_the_idle_wait_is_over() -> None:
    window = Window()
    async with bridging(window) as broker:
        await asyncio.sleep(1.1)
        assert len(broker.pictures) == 1
        window.state = ALARMED
        await asyncio.sleep(POLL_S)
        assert len(broker.pictures) == 2


@in_scene_time
async def test_a_camera_whose_state_nobody_knows_is_idle() -> None:
    async with bridging(Window(state=None)) as broker:
        await asyncio.sleep(20)
    assert len(broker.pictures) == 4


@in_scene_time
async def test_while_the_live_view_is_switched_off_nothing_is_sent_and_nobody_looks() -> None:
    window = Window(state=ALARMED, live_view=False)
    async with bridging(window) as broker:
        await asyncio.sleep(30)
        assert (broker.pictures, window.watches) == ([], 0)
        window.live_view = True
        await asyncio.sleep(2 * POLL_S)
        assert len(broker.pictures) == 1


@in_scene_time
async def test_the_notice_that_comes_when_the_live_view_is_switched_off_meanwhile_is_not_sent() -> None:
    window = Window(jpeg=None)
    async with bridging(window) as broker:
        await asyncio.sleep(POLL_S + PATIENCE_S / 2)
        assert window.looking is not None
        window.live_view = False
        window.looking.offer(replace(window.packet(a_jpeg()), is_notice=True))
        await asyncio.sleep(30)
    assert broker.pictures == []


@in_scene_time
async def test_a_picture_is_small_and_never_retained() -> None:
    big = bytes(simplejpeg.encode_jpeg(noise(1280, 720), 95))
    async with bridging(Window(jpeg=big), picture_width=320, picture_max_bytes=20_000) as broker:
        await asyncio.sleep(1)
    (picture,) = broker.pictures
    assert (picture.topic, picture.qos, picture.retain) == (TOPIC, 0, False)
    assert len(picture.payload) <= 20_000
    assert simplejpeg.decode_jpeg(picture.payload).shape[1] <= 320


@in_scene_time
async def test_each_camera_has_its_own_topic_and_rate() -> None:
    yard = Window(camera=Camera(id="yard", source="file:none"), state=ALARMED)
    async with bridging(Window(), yard) as broker:
        await asyncio.sleep(10)
    topics = [sent.topic for sent in broker.pictures]
    assert topics.count("porchlight/home/porch/camera") == 2
    assert topics.count("porchlight/home/yard/camera") >= 19


@in_scene_time
async def test_while_the_broker_is_away_nothing_is_published_and_nobody_looks() -> None:
    window = Window(state=ALARMED)
    async with bridging(window, connected=False) as broker:
        await asyncio.sleep(30)
        assert (broker.sent, window.watches) == ([], 0)
        broker.connect()
        await asyncio.sleep(1)
        assert len(broker.pictures) >= 1
        broker.connected = False
        before = len(broker.sent)
        await asyncio.sleep(30)
        assert len(broker.sent) == before


@in_scene_time
async def test_a_broker_that_goes_while_a_picture_is_awaited_gets_none() -> None:
    window = Window(jpeg=None)
    async with bridging(window) as broker:
        await asyncio.sleep(POLL_S + PATIENCE_S / 2)
        assert window.looking is not None
        broker.connected = False
        window.looking.offer(window.packet(a_jpeg()))
        await asyncio.sleep(30)
    assert broker.pictures == []


@in_scene_time
async def test_it_says_online_itself_each_time_and_its_own_will_says_offline() -> None:
    async with bridging(Window(), connected=False) as broker:
        assert re.fullmatch(r"porchlight-home-[0-9a-f]{8}-picture", broker.client_id)
        assert broker.status_topic == STATUS
        for _ in range(2):
            broker.connect()
    said = [(sent.topic, sent.payload, sent.qos, sent.retain) for sent in broker.sent]
    assert said == [(STATUS, "online", 1, True)] * 2


@in_scene_time
async def test_a_camera_that_is_silent_is_asked_again_until_it_speaks() -> None:
    window = Window(jpeg=None)
    async with bridging(window) as broker:
        await asyncio.sleep(30)
        assert broker.pictures == []
        assert window.watches > 5
        window.jpeg = a_jpeg()
        await asyncio.sleep(PATIENCE_S + 2 * POLL_S)
        assert len(broker.pictures) == 1


@in_scene_time
async def test_a_broken_jpeg_is_reported_once_and_not_published(caplog: pytest.LogCaptureFixture) -> None:
    window = Window(jpeg=b"no JPEG", state=ALARMED)
    async with bridging(window) as broker:
        await asyncio.sleep(10)
        assert broker.pictures == []
        assert [record.levelname for record in caplog.records].count("WARNING") == 1
        window.jpeg = a_jpeg()
        await asyncio.sleep(1)
        assert len(broker.pictures) >= 1

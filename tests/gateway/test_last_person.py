"""The picture of who came: the frame that decided, once, small, retained; and no work while nobody comes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import simplejpeg

from appliance.config import Camera, Gateway, Settings
from appliance.gateway import bridge, live
from appliance.gateway.bridge import Bridge
from appliance.gateway.last_person import KEPT, NEWS_NS, Arrivals, picture_of
from appliance.gateway.live import Live
from appliance.gateway.wire import Packet
from appliance.messages import CameraState, Detections, FrameInfo, Mode, PixelFormat, Rows, SentryState, Transition
from tests.gateway.conftest import MS, a_frame, a_jpeg, found_in, noise
from tests.gateway.loops import asynchronous, until
from tests.gateway.test_bridge import Broker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from appliance.ipc.run_folder import RunFolder
    from tests.gateway.conftest import Stages

TOPIC = "porchlight/home/porch/last_person"
NOW = 10**18
IDLE = CameraState(known=True)


def came(frame: FrameInfo, wall_ns: int | None = None) -> Transition:
    """Return the sentry's becoming sure over this frame, just now."""
    at = time.time_ns() if wall_ns is None else wall_ns
    return Transition(SentryState.VALIDATION, SentryState.TRACKING, frame.frame_number, frame.captured_ns, at, 0.75)


def left(frame: FrameInfo) -> Transition:
    return Transition(SentryState.TRACKING, SentryState.STANDBY, frame.frame_number, frame.captured_ns, NOW, 0.75)


def validating(*transitions: Transition, **more: Any) -> CameraState:
    return CameraState(SentryState.VALIDATION, Mode.ALARMED, known=True, transitions=transitions, **more)


def tracking(*transitions: Transition, **more: Any) -> CameraState:
    return CameraState(SentryState.TRACKING, Mode.ALARMED, known=True, transitions=transitions, **more)


def packet(number: int, found: Detections | None = None) -> Packet:
    return Packet("porch", a_frame(number, number * MS), a_jpeg(level=number), found, None)


# Which arrival, and which picture: values in, values out


def test_who_came_before_us_is_not_due_and_whoever_comes_then_is_due_once() -> None:
    arrivals = Arrivals()
    first, second = came(a_frame(1), NOW), came(a_frame(2), NOW)
    due = []
    for known in [(first,), (first, left(a_frame(1)), second)]:
        arrivals.hear(tracking(*known), NOW)
        due.append(arrivals.due)
    arrivals.done()
    arrivals.hear(tracking(first, left(a_frame(1)), second), NOW)
    assert [*due, arrivals.due] == [None, second, None]


def test_who_came_while_we_were_told_nothing_is_due_only_if_that_is_news() -> None:
    for age_ns, is_due in ((NEWS_NS, True), (NEWS_NS + 1, False)):
        arrivals = Arrivals()
        arrivals.hear(IDLE, NOW)
        arrivals.hear(tracking(came(a_frame(1), NOW - age_ns)), NOW)
        assert (arrivals.due is not None) is is_due


def test_a_picture_that_never_came_is_not_due_for_ever() -> None:
    arrivals = Arrivals()
    arrivals.hear(IDLE, NOW)
    arrivals.hear(tracking(came(a_frame(1), NOW)), NOW)
    assert arrivals.due is not None
    arrivals.hear(tracking(came(a_frame(1), NOW)), NOW + NEWS_NS + 1)
    assert arrivals.due is None


def test_who_came_while_the_live_view_was_off_is_not_due_when_it_is_on_again() -> None:
    arrivals = Arrivals()
    arrivals.hear(IDLE, NOW)
    arrivals.hear(tracking(came(a_frame(1), NOW), live_view=False), NOW)
    assert arrivals.due is None
    arrivals.hear(tracking(came(a_frame(1), NOW)), NOW)
    assert arrivals.due is None


def test_switching_the_live_view_off_drops_what_is_due() -> None:
    arrivals = Arrivals()
    arrivals.hear(IDLE, NOW)
    arrivals.hear(tracking(came(a_frame(1), NOW)), NOW)
    arrivals.hear(tracking(came(a_frame(1), NOW), live_view=False), NOW)
    assert arrivals.due is None


def test_the_picture_is_the_frame_that_decided_with_or_without_its_boxes() -> None:
    recent = [packet(1, found_in(a_frame(1, MS))), packet(2), packet(3, found_in(a_frame(3, 3 * MS)))]
    assert picture_of(came(a_frame(2, 2 * MS)), recent) is recent[1]


def test_where_that_frame_is_gone_it_is_the_next_one_in_which_anything_was_found() -> None:
    nobody = Detections(a_frame(6, 6 * MS), Rows())
    found = found_in(a_frame(7, 7 * MS))
    recent = [packet(3, found_in(a_frame(3, 3 * MS))), packet(5), packet(6, nobody), packet(7, found), packet(8, found)]
    assert picture_of(came(a_frame(4, 4 * MS)), recent) is recent[3]
    assert picture_of(came(a_frame(4, 4 * MS)), recent[:3]) is None
    assert picture_of(came(a_frame(4, 4 * MS)), [replace(packet(9), is_notice=True)]) is None


def test_a_frame_of_another_run_with_the_same_number_is_not_the_one() -> None:
    assert picture_of(came(a_frame(2, 7 * MS)), [packet(2)]) is None


# Over the channels


class Portrayed:
    """The gateway's end of one camera, the bridge, and its broker."""

    def __init__(self, one: Live, stages: Stages, broker: Broker) -> None:
        self.live, self.stages, self.broker = one, stages, broker

    @property
    def pictures(self) -> list[Any]:
        return [sent for sent in self.broker.sent if sent.topic == TOPIC]

    async def tell(self, state: CameraState) -> None:
        self.stages.tell(state)
        await until("the state is heard", lambda: self.live.state == state)

    async def doubt(self) -> None:
        """The sentry validates, and the bridge watches."""
        await self.tell(validating())
        await until("the bridge watches", lambda: self.live.viewers)

    async def show(self, number: int, jpeg: bytes | None = None, find: bool = True) -> FrameInfo:
        """Publish a frame; it is with the bridge when this returns."""
        frame = a_frame(number, time.monotonic_ns())
        self.stages.show(frame, a_jpeg(level=number) if jpeg is None else jpeg)
        if find:
            self.stages.find(found_in(frame))
        await until("the frame is with its viewers", lambda: self._has_sent(frame, find))
        await asyncio.sleep(0)
        return frame

    def _has_sent(self, frame: FrameInfo, find: bool) -> bool:
        found = self.live._found
        heard = found is not None and found.frame.frame_number == frame.frame_number
        return heard is find and self.live._pending is None

    async def rest(self) -> None:
        """Until nobody watches: nothing is due."""
        await until("nobody watches", lambda: not self.live.viewers)


@contextlib.asynccontextmanager
async def portraying(
    folder: RunFolder, stages: Stages, connected: bool = True, **gateway: Any
) -> AsyncIterator[Portrayed]:
    one = Live.attached(folder, Camera(id="porch", source="file:none"))
    bridging = Bridge(Settings(instance="home", gateway=Gateway(**gateway)))
    broker: Any = bridging._connection
    try:
        bridging.follow([one])
        if connected:
            broker.connect()
        portrayed = Portrayed(one, stages, broker)
        await asyncio.sleep(0)  # the bridge listens
        yield portrayed
    finally:
        await bridging.stop()
        one.close()


@pytest.fixture
def porch(stages: Callable[[], Stages]) -> Stages:
    return stages()


@pytest.fixture(autouse=True)
def _no_network_and_no_live_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """The live picture's turn never comes, so whoever watches does it for the last person."""
    monkeypatch.setattr(bridge, "Connection", Broker)
    monkeypatch.setattr(bridge, "POLL_S", 3600.0)


@asynchronous
async def test_the_frame_that_decided_is_published_once_retained_and_surely(folder: RunFolder, porch: Stages) -> None:
    async with portraying(folder, porch) as one:
        await one.tell(IDLE)
        await one.doubt()
        frames = [await one.show(number) for number in range(1, KEPT)]
        arrival = came(frames[2])
        await one.tell(tracking(arrival))
        await one.show(20)
        await one.rest()
        (sent,) = one.pictures
        assert (sent.payload, sent.qos, sent.retain) == (a_jpeg(level=3), 1, True)
        await one.tell(tracking(arrival, person_count=2))
        await one.tell(IDLE)
        assert one.pictures == [sent]


@asynchronous
async def test_where_nothing_was_validated_it_is_the_next_frame_with_somebody_in_it(
    folder: RunFolder, porch: Stages
) -> None:
    async with portraying(folder, porch) as one:
        await one.tell(IDLE)
        await one.tell(tracking(came(a_frame(1, time.monotonic_ns()))))
        await until("the bridge watches", lambda: one.live.viewers)
        await one.show(5)
        await one.rest()
        assert [sent.payload for sent in one.pictures] == [a_jpeg(level=5)]


@asynchronous
async def test_it_is_small(folder: RunFolder, porch: Stages) -> None:
    big = bytes(simplejpeg.encode_jpeg(noise(800, 450), 90))
    async with portraying(folder, porch, picture_width=320, picture_max_bytes=20_000) as one:
        await one.tell(IDLE)
        await one.doubt()
        await one.tell(tracking(came(await one.show(1, big))))
        await one.show(2, big)
        await one.rest()
        (sent,) = one.pictures
    assert len(sent.payload) <= 20_000
    assert simplejpeg.decode_jpeg(sent.payload).shape[1] <= 320


@asynchronous
async def test_while_nobody_comes_nobody_watches_and_nothing_is_encoded(
    folder: RunFolder, porch: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[Any] = []
    monkeypatch.setattr(live, "jpeg_of", encoded.append)
    async with portraying(folder, porch) as one:

        def heard(number: int) -> bool:
            return one.live._found is not None and one.live._found.frame.frame_number == number

        for number in range(1, 4):
            await one.tell(CameraState(known=True, observed_frame=number))
            assert one.live.viewers == 0
            one.stages.show(a_frame(number, 0, PixelFormat.I420), bytes(64 * 48 * 3 // 2))
            one.stages.find(found_in(a_frame(number, 0)))
            await until("they are heard", partial(heard, number))
    assert encoded == []


@asynchronous
async def test_a_doubt_that_passes_is_watched_no_longer_and_published_not_at_all(
    folder: RunFolder, porch: Stages
) -> None:
    async with portraying(folder, porch) as one:
        await one.tell(IDLE)
        await one.doubt()
        await one.show(1)
        await one.tell(IDLE)
        await one.show(2)
        await one.rest()
        assert one.pictures == []


@asynchronous
async def test_a_doubt_while_the_live_view_is_off_is_not_watched(folder: RunFolder, porch: Stages) -> None:
    async with portraying(folder, porch) as one:
        await one.tell(IDLE)
        for number in range(3):
            await one.tell(validating(live_view=False, observed_frame=number))
            await asyncio.sleep(0)
            assert one.live.viewers == 0


@asynchronous
async def test_after_a_restart_who_came_before_is_not_published_again(folder: RunFolder, porch: Stages) -> None:
    async with portraying(folder, porch) as one:
        before = came(a_frame(1, time.monotonic_ns()))
        await one.tell(tracking(before))
        await one.show(2)
        await one.tell(tracking(before, person_count=2))
        assert (one.pictures, one.live.viewers) == ([], 0)


@asynchronous
async def test_while_the_live_view_is_off_who_comes_is_not_published_and_neither_afterwards(
    folder: RunFolder, porch: Stages
) -> None:
    async with portraying(folder, porch) as one:
        await one.tell(IDLE)
        await one.doubt()
        arrival = came(await one.show(1))
        await one.tell(tracking(arrival, live_view=False))
        await one.rest()
        await one.tell(tracking(arrival))
        await one.show(2)
        assert (one.pictures, one.live.viewers) == ([], 0)


@asynchronous
async def test_who_came_while_the_broker_was_away_is_published_when_it_is_back_and_only_then(
    folder: RunFolder, porch: Stages
) -> None:
    async with portraying(folder, porch, connected=False) as one:
        await one.tell(IDLE)
        await one.doubt()
        await one.tell(tracking(came(await one.show(1))))
        await one.show(2)
        await one.rest()
        assert one.pictures == []
        for _ in range(2):
            one.broker.connect()
        assert [sent.payload for sent in one.pictures] == [a_jpeg(level=1)]


@pytest.mark.parametrize("gone", ["switched off", "taken out of the settings"])
@asynchronous
async def test_nor_is_it_when_the_camera_is_not_to_be_seen_any_more(
    folder: RunFolder, porch: Stages, gone: str
) -> None:
    async with portraying(folder, porch, connected=False) as one:
        await one.tell(IDLE)
        await one.doubt()
        await one.tell(tracking(came(await one.show(1))))
        await one.show(2)
        await one.rest()
        if gone == "switched off":
            await one.tell(CameraState(known=True, live_view=False))
        else:
            one.live.closed = True
        one.broker.connect()
        one.live.closed = False
        assert one.pictures == []


@asynchronous
async def test_a_picture_that_is_none_is_reported_and_the_next_arrival_is_shown(
    folder: RunFolder, porch: Stages, caplog: pytest.LogCaptureFixture
) -> None:
    async with portraying(folder, porch) as one:
        await one.tell(IDLE)
        await one.doubt()
        first = came(await one.show(1, b"no JPEG"))
        await one.tell(tracking(first))
        await one.show(2)
        await one.rest()
        assert one.pictures == []
        assert "picture of the last person" in caplog.text
        await one.tell(validating(first))
        await until("the bridge watches", lambda: one.live.viewers)
        await one.tell(tracking(first, came(await one.show(3))))
        await one.show(4)
        await one.rest()
        assert [sent.payload for sent in one.pictures] == [a_jpeg(level=3)]

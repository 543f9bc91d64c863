"""One camera's live picture: frames wait for their own detections, viewers get the newest, nobody queues."""

from __future__ import annotations

import asyncio
import contextlib
from itertools import pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import simplejpeg

from appliance.config import Camera
from appliance.gateway import live
from appliance.gateway.live import DETECTIONS_FADE_NS, NOTICE_S, PAIRING_S, STATE_STALE_S, Live, Viewer
from appliance.gateway.wire import Packet
from appliance.messages import CameraState, Frame, Mode, PixelFormat, SentryState
from tests.gateway.conftest import MS, Stages, a_frame, a_jpeg, found_in
from tests.gateway.loops import in_scene_time, settle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from appliance.ipc.run_folder import RunFolder

NEVER_S = 0.0
AT = 1_000_000 * MS


@pytest.fixture
def porch(stages: Callable[[], Stages]) -> Stages:
    return stages()


@pytest.fixture(autouse=True)
def _scene_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway's clock is the loop's."""

    def now_s() -> float:
        return asyncio.get_running_loop().time()

    def now_ns() -> int:
        return round(now_s() * 1e9)

    clock = SimpleNamespace(monotonic=now_s, monotonic_ns=now_ns, time_ns=now_ns)
    monkeypatch.setattr(live, "time", clock)


@contextlib.contextmanager
def watching(folder: RunFolder) -> Iterator[tuple[Live, Viewer]]:
    """The gateway's ends of the camera, and somebody who watches."""
    with attached(folder) as one, one.watched() as viewer:
        yield one, viewer


@contextlib.contextmanager
def attached(folder: RunFolder) -> Iterator[Live]:
    one = Live(folder, Camera(id="porch", source="file:none"))
    one.attach()
    try:
        yield one
    finally:
        one.close()


async def shown(viewer: Viewer, within_s: float = 10.0) -> Packet:
    packet = await viewer.next(within_s)
    assert packet is not None, "no picture came"
    return packet


@in_scene_time
async def test_a_frame_waits_for_its_own_detections(folder: RunFolder, porch: Stages) -> None:
    with watching(folder) as (_, viewer):
        frame = porch.show(a_frame(1, AT))
        assert await viewer.next(PAIRING_S / 2) is None
        porch.find(found_in(frame))
        packet = await shown(viewer, within_s=PAIRING_S / 4)
    assert packet.frame == frame
    assert packet.jpeg == a_jpeg()
    assert packet.detections is not None
    assert packet.detections.frame == frame


@in_scene_time
async def test_a_frame_that_comes_after_its_detections_goes_out_at_once(folder: RunFolder, porch: Stages) -> None:
    with watching(folder) as (_, viewer):
        porch.find(found_in(a_frame(1, AT)))
        await settle()
        began = asyncio.get_running_loop().time()
        porch.show(a_frame(1, AT))
        packet = await shown(viewer)
        assert asyncio.get_running_loop().time() == began
    assert packet.metadata()["status"] == "complete"


@in_scene_time
async def test_a_frame_without_detections_goes_out_when_its_wait_is_over(folder: RunFolder, porch: Stages) -> None:
    with watching(folder) as (_, viewer):
        porch.show(a_frame(1, AT))
        await settle()
        began = asyncio.get_running_loop().time()
        packet = await shown(viewer)
        assert asyncio.get_running_loop().time() - began == pytest.approx(PAIRING_S, abs=0.001)
    assert packet.frame.frame_number == 1
    assert packet.metadata()["status"] == "frame_only"


@in_scene_time
async def test_a_waiting_frame_is_sent_off_by_the_next_one(folder: RunFolder, porch: Stages) -> None:
    with watching(folder) as (_, viewer):
        porch.show(a_frame(1, AT))
        assert await viewer.next(0.1) is None
        second = porch.show(a_frame(2, AT + 100 * MS))
        assert (await shown(viewer, within_s=0.001)).frame.frame_number == 1
        porch.find(found_in(second))
        assert (await shown(viewer, within_s=0.001)).frame.frame_number == 2
        assert await viewer.next(10) is None


@in_scene_time
async def test_between_looks_the_boxes_of_the_last_one_stay(folder: RunFolder, porch: Stages) -> None:
    with watching(folder) as (_, viewer):
        porch.find(found_in(porch.show(a_frame(1, AT))))
        await shown(viewer)
        porch.show(a_frame(2, AT + 500 * MS))
        metadata = (await shown(viewer)).metadata()
    assert (metadata["frame_number"], metadata["detections_frame_number"]) == (2, 1)


@pytest.mark.parametrize("later_ns", [DETECTIONS_FADE_NS + 1, -DETECTIONS_FADE_NS - 1])
@in_scene_time
async def test_detections_that_have_faded_are_not_drawn(folder: RunFolder, porch: Stages, later_ns: int) -> None:
    with watching(folder) as (_, viewer):
        porch.find(found_in(porch.show(a_frame(1, AT))))
        await shown(viewer)
        porch.show(a_frame(2, AT + later_ns))
        assert (await shown(viewer)).detections is None


@in_scene_time
async def test_detections_of_another_run_with_the_same_number_are_not_drawn(folder: RunFolder, porch: Stages) -> None:
    with watching(folder) as (_, viewer):
        porch.find(found_in(a_frame(1, AT)))
        await settle()
        porch.show(a_frame(1, AT + 3_600_000 * MS))
        assert (await shown(viewer)).detections is None


@in_scene_time
async def test_with_no_viewer_nothing_is_encoded_and_every_loan_goes_back(
    folder: RunFolder, porch: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[int] = []

    def encode(frame: Frame) -> bytes:
        encoded.append(frame.info.frame_number)
        return a_jpeg()

    monkeypatch.setattr(live, "jpeg_of", encode)
    raw = bytes(64 * 48 * 3 // 2)
    with attached(folder) as one:
        for number in range(1, 6):
            porch.show(a_frame(number, AT, PixelFormat.I420), raw)
            await settle()
        assert encoded == []
        with one.watched() as viewer:
            porch.show(a_frame(6, AT, PixelFormat.I420), raw)
            await shown(viewer)
        porch.show(a_frame(7, AT, PixelFormat.I420), raw)
        await settle()
        assert encoded == [6]
        porch.frames.borrow()
        assert porch.frames.lost["gateway"] == 0
        assert porch.frames._ledger._loans[porch.frames.channel.subscribers.index("gateway")] == {}


@in_scene_time
async def test_a_viewer_holds_only_the_newest_picture(folder: RunFolder, porch: Stages) -> None:
    with watching(folder) as (_, viewer):
        for number in range(1, 5):
            porch.find(found_in(porch.show(a_frame(number, AT))))
            await settle()
        assert (await shown(viewer)).frame.frame_number == 4
        assert viewer.missed == 3
        assert await viewer.next(10) is None


@in_scene_time
async def test_every_viewer_gets_the_picture_and_one_that_left_none(folder: RunFolder, porch: Stages) -> None:
    with watching(folder) as (one, first):
        with one.watched() as second:
            assert one.viewers == 2
            porch.find(found_in(porch.show(a_frame(1, AT))))
            assert await shown(first) is await shown(second)
        assert one.viewers == 1
        porch.find(found_in(porch.show(a_frame(2, AT))))
        await shown(first)
        assert await second.next(NEVER_S) is None


@in_scene_time
async def test_a_viewer_that_waits_gets_none_when_its_patience_ends() -> None:
    viewer = Viewer()
    began = asyncio.get_running_loop().time()
    assert await viewer.next(3) is None
    assert asyncio.get_running_loop().time() - began == pytest.approx(3)


@in_scene_time
async def test_a_packet_says_when_it_left(folder: RunFolder, porch: Stages) -> None:
    with watching(folder) as (_, viewer):
        now_ns = round(asyncio.get_running_loop().time() * 1e9)
        porch.find(found_in(porch.show(a_frame(1, now_ns - 40 * MS))))
        packet = await shown(viewer)
    assert packet.metadata()["age_ms"] == pytest.approx(40, abs=1)


@in_scene_time
async def test_the_state_is_unknown_before_it_was_heard_and_when_it_was_not_repeated(
    folder: RunFolder, porch: Stages
) -> None:
    tracking = CameraState(SentryState.TRACKING, Mode.ALARMED, known=True, person_count=2)
    with watching(folder) as (one, viewer):
        heard = [one.state]
        porch.tell(tracking)
        await settle()
        heard.append(one.state)
        porch.show(a_frame(1, AT))
        assert (await shown(viewer)).state == tracking
        await asyncio.sleep(STATE_STALE_S)
        heard.append(one.state)
        assert heard == [None, tracking, None]
        porch.show(a_frame(2, AT))
        assert (await shown(viewer)).metadata()["known"] is False


@pytest.mark.parametrize(
    ("frame", "data"),
    [
        (a_frame(1, AT, PixelFormat.I420, (3, 3)), bytes(13)),
        (a_frame(1, AT, PixelFormat.NV12, (4, 3)), bytes(18)),
        (a_frame(1, AT, PixelFormat.YUYV, (3, 2)), bytes(12)),
        (a_frame(1, AT, PixelFormat.I420, (0, 0)), b""),
        (a_frame(1, AT, PixelFormat.RGB24, (0, 5)), b""),
        (a_frame(1, AT, PixelFormat.I420, (64, 48)), bytes(10)),
    ],
    ids=["i420", "nv12", "yuyv", "empty", "narrow", "short"],
)
@in_scene_time
async def test_a_frame_that_is_no_picture_is_reported_and_the_next_one_is_shown(
    folder: RunFolder, porch: Stages, caplog: pytest.LogCaptureFixture, frame: Any, data: bytes
) -> None:
    with watching(folder) as (_, viewer):
        porch.show(frame, data)
        assert await viewer.next(1) is None
        assert [record.message for record in caplog.records if "camera porch: " in record.message]
        for number in range(2, 5):
            porch.show(a_frame(number, AT))
            assert (await shown(viewer)).frame.frame_number == number


@pytest.mark.parametrize("kind", [PixelFormat.RGB24, PixelFormat.YUYV, PixelFormat.NV12, PixelFormat.I420])
@in_scene_time
async def test_a_raw_frame_is_shown_as_a_jpeg_of_its_size(folder: RunFolder, porch: Stages, kind: PixelFormat) -> None:
    with watching(folder) as (_, viewer):
        porch.show(a_frame(1, AT, kind), bytes(kind.raw_size(64, 48)))
        packet = await shown(viewer)
    assert simplejpeg.decode_jpeg(packet.jpeg).shape == (48, 64, 3)


@in_scene_time
async def test_it_knows_when_the_newest_detections_came(folder: RunFolder, porch: Stages) -> None:
    with attached(folder) as one:
        assert one.detections_heard_s == 0
        porch.find(found_in(a_frame(1, AT)))
        await settle()
        assert one.detections_heard_s == pytest.approx(asyncio.get_running_loop().time(), abs=0.001)


OFF = CameraState(known=True, live_view=False, observed_frame=41)
ON = CameraState(known=True)


@in_scene_time
async def test_who_watches_when_the_live_view_is_switched_off_gets_a_notice_at_once_and_no_picture(
    folder: RunFolder, porch: Stages
) -> None:
    with watching(folder) as (one, viewer):
        porch.find(found_in(porch.show(a_frame(1, AT))))
        await shown(viewer)
        porch.tell(OFF)
        packet = await shown(viewer, within_s=0.001)
        assert (packet.is_notice, packet.detections, packet.frame.frame_number) == (True, None, 41)
        assert packet.jpeg != a_jpeg()
        for number in range(2, 5):
            porch.find(found_in(porch.show(a_frame(number, AT))))
            assert await viewer.next(1) is None
        assert not one.live_view


@in_scene_time
async def test_neither_a_picture_that_waits_for_its_boxes_nor_one_that_was_not_taken_yet_leaves_after_the_switch(
    folder: RunFolder, porch: Stages
) -> None:
    with watching(folder) as (_, viewer):
        porch.find(found_in(porch.show(a_frame(1, AT))))  # offered, and not taken
        await settle()
        porch.show(a_frame(2, AT))  # waits
        await settle()
        porch.tell(OFF)
        await settle()
        assert (await shown(viewer)).is_notice
        assert await viewer.next(10 * PAIRING_S) is None


@in_scene_time
async def test_pictures_come_again_by_themselves_when_the_live_view_is_switched_on(
    folder: RunFolder, porch: Stages
) -> None:
    with watching(folder) as (_, viewer):
        for number in (1, 2):
            porch.tell(OFF)
            assert (await shown(viewer, within_s=0.001)).is_notice
            porch.tell(ON)
            await settle()
            frame = porch.show(a_frame(number, AT))
            porch.find(found_in(frame))
            packet = await shown(viewer)
            assert (packet.is_notice, packet.frame) == (False, frame)


@in_scene_time
async def test_whoever_comes_while_the_live_view_is_off_gets_the_notice(folder: RunFolder, porch: Stages) -> None:
    with attached(folder) as one:
        porch.tell(OFF)
        await settle()
        with one.watched() as viewer:
            assert (await shown(viewer, within_s=NEVER_S + 0.001)).is_notice


@in_scene_time
async def test_the_notice_is_repeated_with_the_state_but_not_as_often(folder: RunFolder, porch: Stages) -> None:
    with watching(folder) as (_, viewer):
        times = []
        for _ in range(40):
            porch.tell(OFF)
            if await viewer.next(NOTICE_S / 10) is not None:
                times.append(asyncio.get_running_loop().time())
                await asyncio.sleep(NOTICE_S / 10)
    assert 3 <= len(times) <= 8
    assert all(later - earlier >= NOTICE_S * 0.9 for earlier, later in pairwise(times))


@in_scene_time
async def test_a_live_view_that_is_off_stays_off_while_the_controller_is_silent(
    folder: RunFolder, porch: Stages
) -> None:
    with watching(folder) as (one, viewer):
        porch.tell(OFF)
        await shown(viewer)
        await asyncio.sleep(10 * STATE_STALE_S)
        assert (one.state, one.live_view) == (None, False)
        porch.find(found_in(porch.show(a_frame(1, AT))))
        assert await viewer.next(1) is None


@in_scene_time
async def test_a_gateway_that_starts_while_the_live_view_is_off_shows_nothing_from_the_start(
    folder: RunFolder, porch: Stages
) -> None:
    porch.tell(OFF)
    with watching(folder) as (one, viewer):
        assert (one.state, one.live_view) == (None, False)
        assert (await shown(viewer)).is_notice
        porch.find(found_in(porch.show(a_frame(1, AT))))
        assert await viewer.next(1) is None


@in_scene_time
async def test_before_the_controller_has_said_anything_pictures_are_shown(folder: RunFolder, porch: Stages) -> None:
    with watching(folder) as (one, viewer):
        assert (one.live_view, one.detecting) == (True, True)
        porch.find(found_in(porch.show(a_frame(1, AT))))
        assert not (await shown(viewer)).is_notice


@in_scene_time
async def test_while_the_live_view_is_off_nothing_is_encoded(
    folder: RunFolder, porch: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[Frame] = []
    monkeypatch.setattr(live, "jpeg_of", encoded.append)
    with watching(folder):
        porch.tell(OFF)
        await settle()
        for number in range(1, 4):
            porch.show(a_frame(number, AT))
            await settle()
    assert encoded == []


@in_scene_time
async def test_where_nothing_is_looked_for_pictures_wait_for_no_boxes_and_old_ones_are_not_drawn(
    folder: RunFolder, porch: Stages
) -> None:
    with watching(folder) as (_, viewer):
        porch.find(found_in(porch.show(a_frame(1, AT))))
        assert (await shown(viewer)).detections is not None
        porch.tell(CameraState(detecting=False))
        await settle()
        for number in (2, 3):
            began = asyncio.get_running_loop().time()
            porch.show(a_frame(number, AT))
            packet = await shown(viewer)
            assert asyncio.get_running_loop().time() - began < PAIRING_S / 10
            assert (packet.frame.frame_number, packet.detections) == (number, None)
            porch.find(found_in(a_frame(2, AT)))  # was on its way
            await settle()


@in_scene_time
async def test_news_are_each_word_of_the_controller_and_the_end(folder: RunFolder, porch: Stages) -> None:
    with attached(folder) as one:
        for _ in range(3):
            waiting = asyncio.create_task(one.news())
            await asyncio.sleep(5)
            assert not waiting.done()
            porch.tell(ON)
            await settle()
            assert waiting.done()
        last = asyncio.create_task(one.news())
        await settle()
    await last
    await one.news()  # there is nothing to wait for

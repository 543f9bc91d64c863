"""The page in a real browser: it says what its owner switched off and what is wanting, and no old picture stays."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from playwright.async_api import async_playwright, expect

from appliance.config import Camera, Gateway, Settings, Telemetry, Zone
from appliance.gateway.live import Live
from appliance.gateway.web import Web
from appliance.ipc.heartbeat import HeartbeatFile
from appliance.messages import (
    NO_TRACE,
    CameraState,
    Health,
    Heartbeat,
    Mode,
    SentryState,
    SourceHealth,
    TraceContext,
    Transition,
)
from tests.end_to_end.chromium import FLAGS, REPORTS
from tests.gateway.conftest import a_frame, a_jpeg, found_in
from tests.gateway.test_web import LikeTheStage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from playwright.async_api import Page

    from appliance.ipc.run_folder import RunFolder
    from tests.gateway.conftest import Stages

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

PATIENCE_MS = 20_000
SIZE = (320, 180)
CORNERS = ((0, 0), (1, 0), (1, 1))
ZONES = (Zone(id="path", polygon=CORNERS), Zone(id="steps", name="The steps", polygon=CORNERS))
CAMERAS = (Camera(id="porch", source="file:a", name="Front porch", zones=ZONES), Camera(id="yard", source="file:b"))
REFUSED = "backend openvino was refused: it finds other people than the reference does"
BUILDING = "the engine for tensorrt is being built: 42%; onnxruntime watches meanwhile"
SHORTAGE = "the detector is too slow for 2 cameras: it takes 480 ms for a picture"
SEEN = CameraState(known=True)


class House:
    """Two cameras that give pictures all the time, the stages' heartbeats, and the page in a browser."""

    def __init__(self, folder: RunFolder, stages: dict[str, Stages]) -> None:
        self.states = dict.fromkeys(stages, SEEN)
        self.sources: tuple[SourceHealth, ...] = ()
        self.more: dict[str, Any] = {}
        """Of inference's heartbeat."""
        self._folder = folder
        self._stages = stages

    async def live(self) -> None:
        number = 0
        while True:
            number += 1
            for camera, stages in self._stages.items():
                frame = stages.show(a_frame(number, time.monotonic_ns(), size=SIZE), a_jpeg(*SIZE, level=170))
                stages.find(found_in(frame, ((90, 40, 150, 170), 0.9, 1)))
                stages.tell(self.states[camera])
            for name in ("capture", "capture.porch", "capture.yard", "inference", "controller", "gateway"):
                more = {"inference": self.more, "controller": {"sources": self.sources}}
                given: dict[str, Any] = more.get(name, {"counters": {"fps": 10.0}})
                beat = Heartbeat(name, Health.RUNNING, time.monotonic_ns(), 1, **given)
                HeartbeatFile(self._folder, name).write(beat)
            await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def looking(
    folder: RunFolder, stages: Callable[[str], Stages], **options: Any
) -> AsyncIterator[tuple[House, Page]]:
    telemetry = Telemetry(trace_url="http://jaeger.example/trace/{trace_id}")
    settings = Settings(instance="home", cameras=CAMERAS, gateway=Gateway(), telemetry=telemetry)
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("not here: chromium (Debian: chromium)")
    house = House(folder, {camera.id: stages(camera.id) for camera in CAMERAS})
    lives = {camera.id: Live.attached(folder, camera) for camera in CAMERAS}
    living = asyncio.create_task(house.live())
    try:
        async with LikeTheStage(Web(settings, folder, lives).application()) as server, async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
            page = await (await browser.new_context(locale="en-GB", **options)).new_page()
            complaints: list[str] = []
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
            await page.goto(str(server.make_url("/")))
            yield house, page
            assert complaints == []
            await browser.close()
    finally:
        living.cancel()
        for live in lives.values():
            live.close()


async def says(page: Page, what: str, words: str) -> None:
    await expect(page.get_by_test_id(what)).to_have_text(words, timeout=PATIENCE_MS)


async def keep(page: Page, name: str) -> None:
    REPORTS.mkdir(exist_ok=True)
    await page.screenshot(path=REPORTS / f"{name}.png", full_page=True)


def in_browser(test: Any) -> Any:
    def run(folder: RunFolder, stages: Callable[[str], Stages]) -> None:
        async def play() -> None:
            async with looking(folder, stages, viewport={"width": 1280, "height": 800}) as (house, page):
                await expect(page.get_by_test_id("picture-porch")).to_have_attribute(
                    "data-boxes", "1", timeout=PATIENCE_MS
                )
                await test(house, page)

        asyncio.run(play())

    run.__name__ = test.__name__
    return run


@in_browser
async def test_where_the_live_view_is_off_the_card_says_so_shows_no_old_picture_and_comes_back_by_itself(
    house: House, page: Page
) -> None:
    picture, fault = page.get_by_test_id("picture-porch"), page.get_by_test_id("fault-porch")
    house.states["porch"] = CameraState(known=True, live_view=False)
    await says(page, "fault-porch", "Live view is off")
    await expect(fault).to_be_visible()
    assert await picture.evaluate("canvas => canvas.width") == 1
    shown = await picture.get_attribute("data-frames")
    other = int(await page.get_by_test_id("picture-yard").get_attribute("data-frames") or 0)
    await page.wait_for_function(
        f"() => document.querySelector('[data-testid=picture-yard]').dataset.frames > {other + 10}"
    )
    assert await picture.get_attribute("data-frames") == shown
    assert await picture.evaluate("canvas => canvas.width") == 1
    await says(page, "fault-porch", "Live view is off")  # and not that the picture stalls
    await says(page, "state-porch", "Nobody there")
    await expect(page.get_by_test_id("fault-yard")).to_be_hidden()
    await keep(page, "page-live-view-off")
    house.states["porch"] = SEEN
    await expect(picture).to_have_attribute("data-boxes", "1", timeout=PATIENCE_MS)
    await expect(fault).to_be_hidden()


@in_browser
async def test_where_detection_is_off_the_card_says_that_and_no_error_and_draws_no_boxes(
    house: House, page: Page
) -> None:
    house.states["yard"] = CameraState(known=False, detecting=False)
    house.sources = (SourceHealth("yard", Health.DEGRADED, "detection is switched off"),)
    await says(page, "state-yard", "Detection is off")
    await says(page, "detail-yard", "")
    await says(page, "figures-yard", "10.0 fps")
    await expect(page.get_by_test_id("fault-yard")).to_be_hidden()
    await expect(page.get_by_test_id("picture-yard")).to_have_attribute("data-boxes", "0", timeout=PATIENCE_MS)
    await says(page, "headline", "Nobody there: Front porch · Detection is off: Yard")
    await expect(page.locator("body")).to_have_attribute("data-state", "standby")
    await keep(page, "page-detection-off")
    house.states["porch"] = house.states["yard"]
    await says(page, "headline", "Detection is off: Front porch, Yard")
    await expect(page.locator("body")).to_have_attribute("data-state", "off")
    house.states = dict.fromkeys(house.states, SEEN)
    await says(page, "headline", "Nobody there")
    await expect(page.get_by_test_id("picture-yard")).to_have_attribute("data-boxes", "1", timeout=PATIENCE_MS)


@in_browser
async def test_zones_waiting_refusals_and_shortages_are_told(house: House, page: Page) -> None:
    await expect(page.get_by_test_id("shortage")).to_be_hidden()
    house.states["porch"] = CameraState(SentryState.TRACKING, Mode.ALARMED, True, 2, zones=0b11)
    house.more = {
        "reason": REFUSED,
        "facts": {"model": "nano.onnx", "shortage": SHORTAGE, "building": BUILDING},
        "counters": {"latency_ms.porch": 45.2, "queue_ms.porch": 2.8, "latency_ms.yard": 44.0},
    }
    await says(page, "detail-porch", "2 people · in Path, The steps")
    await says(page, "figures-porch", "10.0 fps · 45 ms latency, 3 ms waiting")
    await says(page, "figures-yard", "10.0 fps · 44 ms latency")
    await says(page, "shortage", SHORTAGE)
    await says(page, "building", BUILDING)
    await expect(page.get_by_test_id("stages").locator("li.noted")).to_have_text(f"inference: {REFUSED}")
    await expect(page.get_by_test_id("stages").locator("li.wanting")).to_have_text("MQTT unknown")
    await keep(page, "page-told")
    house.more = {}
    await expect(page.get_by_test_id("shortage")).to_be_hidden(timeout=PATIENCE_MS)
    await expect(page.get_by_test_id("building")).to_be_hidden()


@in_browser
async def test_a_visit_leads_to_the_trace_of_what_decided_it(house: House, page: Page) -> None:
    trace = TraceContext.of(bytes(range(16)), bytes(8), 2)
    came = Transition(SentryState.VALIDATION, SentryState.TRACKING, 7, 1, time.time_ns(), 0.9, trace)
    left = replace(came, previous=SentryState.TRACKING, state=SentryState.STANDBY, trace=NO_TRACE)
    house.states["porch"] = CameraState(known=True, transitions=(came, left))
    lines = page.get_by_test_id("transitions-porch").get_by_role("listitem")
    await expect(lines).to_have_count(2, timeout=PATIENCE_MS)
    why = lines.nth(1).get_by_role("link", name="Why?")
    await expect(why).to_have_attribute("href", f"http://jaeger.example/trace/{bytes(range(16)).hex()}")
    await expect(lines.nth(0).get_by_role("link")).to_have_count(0)
    await keep(page, "page-why")

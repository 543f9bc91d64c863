"""The page in a real browser, over the real appliance: what a person sees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.end_to_end.chromium import PATIENCE_MS, REPORTS, open_page
from tests.rig import CLIP, MODEL, Appliance, clip_settings, need, wait_for

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]


def test_the_page_shows_the_person_with_a_box_and_says_so(
    browser: Browser, appliance: Callable[[dict[str, Any]], Appliance]
) -> None:
    need(CLIP, MODEL)
    REPORTS.mkdir(exist_ok=True)
    porch = appliance({**clip_settings(1, f"file://{CLIP}?loop=true"), "mqtt": {"enabled": False}})
    wait_for("the gateway serves", 30, lambda: porch.get("/readyz")[0] == 200)
    complaints: list[str] = []
    desktop = open_page(browser, porch.url, complaints, viewport={"width": 1280, "height": 800})
    expect(desktop.locator("body")).to_have_attribute("data-state", "standby", timeout=PATIENCE_MS)
    desktop.screenshot(path=REPORTS / "page-standby.png")
    expect(desktop.locator("body")).to_have_attribute("data-state", "tracking", timeout=PATIENCE_MS)
    picture = desktop.get_by_test_id("picture-front_door")
    expect(picture).to_have_attribute("data-boxes", "1", timeout=PATIENCE_MS)
    assert int(picture.get_attribute("data-frames") or 0) > 5
    expect(desktop.get_by_test_id("state-front_door")).to_have_text("Somebody is there")
    desktop.screenshot(path=REPORTS / "page-tracking.png")

    dark = open_page(browser, porch.url, complaints, viewport={"width": 390, "height": 844}, color_scheme="dark")
    expect(dark.locator("body")).to_have_attribute("data-state", "tracking", timeout=PATIENCE_MS)
    expect(dark.get_by_test_id("picture-front_door")).to_have_attribute("data-boxes", "1", timeout=PATIENCE_MS)
    dark.screenshot(path=REPORTS / "page-phone-dark.png")
    assert dark.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert complaints == []

    # Whoever looks at a page whose appliance is gone must see that.
    porch.stop()
    expect(desktop.get_by_test_id("connection")).to_be_visible(timeout=PATIENCE_MS)
    desktop.screenshot(path=REPORTS / "page-no-connection.png")

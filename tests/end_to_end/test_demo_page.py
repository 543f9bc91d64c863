"""The demo's page in a browser; README's picture is made here (docs/demo.png, with README_PICTURE=1)."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.end_to_end.chromium import PATIENCE_MS, REPORTS, open_page
from tests.rig import ROOT, free_port, wait_for

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]


@pytest.fixture
def demo() -> Iterator[str]:
    """The demo as a newcomer runs it; its address."""
    port = free_port()
    command = [sys.executable, "-m", "appliance.cli", "demo", "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    wait_for("the live view", 60, lambda: _answers(url))
    yield url
    process.terminate()
    assert process.wait(15) == 0


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=1) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def test_the_demos_page_says_what_its_detector_knows_and_boxes_the_visitor(demo: str, browser: Browser) -> None:
    REPORTS.mkdir(exist_ok=True)
    complaints: list[str] = []
    looks: dict[str, dict[str, Any]] = {
        "desktop": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"},
        "desktop-light": {"viewport": {"width": 1280, "height": 800}},
        "phone": {"viewport": {"width": 390, "height": 844}},
        "phone-dark": {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"},
    }
    for name, options in looks.items():
        page = open_page(browser, demo, complaints, **options)
        expect(page.locator("body")).to_have_attribute("data-state", "tracking", timeout=PATIENCE_MS)
        expect(page.get_by_test_id("picture-porch")).not_to_have_attribute("data-boxes", "0", timeout=PATIENCE_MS)
        expect(page.get_by_test_id("notice")).to_have_text("porch_demo.onnx knows only the demo scene")
        page.wait_for_timeout(1500)  # the lamp takes its time to light: a picture for people to look at
        page.screenshot(path=REPORTS / f"demo-{name}.png")
        if name == "desktop" and os.environ.get("README_PICTURE"):
            page.screenshot(path=ROOT / "docs" / "demo.png")
        page.close()
    assert complaints == []

"""A real browser, and a page in it whose complaints are kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page

from tests.rig import ROOT

REPORTS = Path(os.environ.get("TEST_REPORTS", ROOT / "reports"))
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 40_000


def open_page(browser: Browser, url: str, complaints: list[str], **options: Any) -> Page:
    """Open `url` in a fresh context; console errors and exceptions go to `complaints`."""
    page = browser.new_context(locale="en-GB", **options).new_page()

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            complaints.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(url)
    return page

"""The browser, where there is one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from playwright.sync_api import Browser, sync_playwright

from tests.end_to_end.chromium import FLAGS


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Debian's Chromium, headless."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("not here: chromium (Debian: chromium)")
    with sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield one
        one.close()


@pytest.fixture
def listening() -> Iterator[Callable[[int, str, str], Callable[[str], list[bytes]]]]:
    """Hear a broker that wants a password; what is given back returns the payloads on topics that begin so."""
    clients: list[Client] = []

    def start(port: int, user: str, password: str) -> Callable[[str], list[bytes]]:
        heard: list[tuple[str, bytes]] = []
        client = Client(CallbackAPIVersion.VERSION2)
        client.username_pw_set(user, password)
        client.on_connect = lambda one, *_: one.subscribe("#", qos=1)
        client.on_message = lambda _c, _u, message: heard.append((message.topic, bytes(message.payload)))
        client.connect("127.0.0.1", port)
        client.loop_start()
        clients.append(client)
        return lambda topic: [payload for where, payload in heard if where.startswith(topic)]

    yield start
    for client in clients:
        client.disconnect()
        client.loop_stop()

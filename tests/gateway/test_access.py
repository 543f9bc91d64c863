"""Who may look: whoever shows the token; without one, this machine alone, and no other site's page."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request

from appliance.gateway.access import guard
from tests.gateway.loops import asynchronous

if TYPE_CHECKING:
    from collections.abc import Mapping

TOKEN = "a-token-of-sixteen-or-more"
PAGE = frozenset({"/", "/page.js"})
PRIVATE = "/cameras/porch/snapshot.jpg"


async def served(_request: web.Request) -> web.Response:
    return web.Response(text="here you are")


def an_application(token: str | None) -> web.Application:
    app = web.Application(middlewares=[guard(token, PAGE)])
    for path in (*PAGE, "/healthz", "/readyz", PRIVATE, "/ws"):
        app.router.add_get(path, served)
    return app


async def answer(token: str | None, path: str = PRIVATE, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Return status and words; `{host}` in a header is the server's own address."""
    async with TestClient(TestServer(an_application(token))) as client:
        own = f"{client.host}:{client.port}"
        given = {name: value.replace("{host}", own) for name, value in (headers or {}).items()}
        async with client.get(path, headers=given) as response:
            return response.status, await response.text()


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {TOKEN}"},
        {"Authorization": "Basic " + base64.b64encode(f"anybody:{TOKEN}".encode()).decode()},
        {"Authorization": "Basic " + base64.b64encode(f":{TOKEN}".encode()).decode()},
    ],
    ids=["bearer", "password", "password of nobody"],
)
@asynchronous
async def test_whoever_shows_the_token_is_served(headers: dict[str, str]) -> None:
    assert await answer(TOKEN, headers=headers) == (200, "here you are")


@asynchronous
async def test_the_token_may_stand_in_the_address_for_a_browsers_websocket() -> None:
    assert (await answer(TOKEN, f"/ws?token={TOKEN}"))[0] == 200


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (PRIVATE, {}),
        (PRIVATE, {"Authorization": "Bearer "}),
        (PRIVATE, {"Authorization": f"Bearer {TOKEN}x"}),
        (PRIVATE, {"Authorization": f"Bearer {TOKEN[:-1]}"}),
        (PRIVATE, {"Authorization": TOKEN}),
        (PRIVATE, {"Authorization": f"Digest {TOKEN}"}),
        (PRIVATE, {"Authorization": "Basic !!!"}),
        (PRIVATE, {"Authorization": "Basic " + base64.b64encode(b"anybody").decode()}),
        (PRIVATE, {"Authorization": "Basic " + base64.b64encode(b"anybody:wrong").decode()}),
        (PRIVATE, {"Authorization": "Basic " + base64.b64encode(f"{TOKEN}:".encode()).decode()}),
        (PRIVATE, {"Authorization": f"Bearer {'ü' * 20}"}),
        (f"{PRIVATE}?token=wrong", {}),
        (f"{PRIVATE}?token=", {}),
        (f"{PRIVATE}?Token={TOKEN}", {}),
        ("/cameras/none/ws", {}),  # what there is, is nobody's business either
        ("/healthz/", {}),
    ],
)
@asynchronous
async def test_whoever_does_not_is_refused_and_told_how(path: str, headers: dict[str, str]) -> None:
    status, words = await answer(TOKEN, path, headers)
    assert status == 401
    assert "needs its token" in words
    assert TOKEN not in words


@asynchronous
async def test_a_refusal_asks_a_browser_for_a_password() -> None:
    async with TestClient(TestServer(an_application(TOKEN))) as client, client.get(PRIVATE) as response:
        assert response.headers["WWW-Authenticate"] == 'Basic realm="Porchlight"'


@pytest.mark.parametrize("path", ["/healthz", "/readyz", *sorted(PAGE)])
@asynchronous
async def test_probes_and_the_empty_page_need_no_token(path: str) -> None:
    assert (await answer(TOKEN, path))[0] == 200


@asynchronous
async def test_with_a_token_other_hosts_and_origins_are_welcome() -> None:
    shown = {"Authorization": f"Bearer {TOKEN}", "Host": "porch.example", "Origin": "https://ha.example"}
    assert (await answer(TOKEN, headers=shown))[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://{host}"},
        {"Host": "localhost:8099"},
        {"Host": "localhost"},
        {"Host": "[::1]:8099"},
        {"Host": "127.9.9.9:80"},
        {"Host": "localhost:8099", "Origin": "http://localhost:8099"},
    ],
)
@asynchronous
async def test_without_a_token_this_machine_is_served(headers: dict[str, str]) -> None:
    assert (await answer(None, headers=headers))[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8099",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "192.168.1.2:8099",
        "0.0.0.0:8099",
        "localhost@evil.example",
        "evil.example#localhost",
        "[",
        "[::1",
        "[not an address]",
    ],
)
@asynchronous
async def test_without_a_token_a_name_that_only_points_here_is_refused(host: str) -> None:
    status, words = await answer(None, headers={"Host": host})
    assert status == 403
    assert "set gateway.token" in words


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://localhost",
        "http://localhost:1",
        "http://127.0.0.1.evil.example",
        "http://{host}@evil.example",
        "http://evil.example/{host}",
        "http://[",
        "null",
        "",
    ],
)
@asynchronous
async def test_without_a_token_another_sites_page_is_refused(origin: str) -> None:
    status, words = await answer(None, "/ws", {"Origin": origin})
    assert status == 403
    assert "set gateway.token" in words


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@asynchronous
async def test_probes_may_come_under_any_name(path: str) -> None:
    assert (await answer(None, path, {"Host": "10.1.2.3:8099"}))[0] == 200


@pytest.mark.parametrize(
    ("token", "header", "status"),
    [
        (TOKEN, b"Authorization: Bearer \xff\xfe", 401),
        (TOKEN, b"Authorization: Basic \xff\xfe", 401),
        (None, b"Origin: http://\xff", 403),
    ],
)
@asynchronous
async def test_bytes_that_are_no_text_are_refused_like_anything_else(
    token: str | None, header: bytes, status: int
) -> None:
    async with TestServer(an_application(token)) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(b"GET /ws HTTP/1.1\r\nHost: localhost\r\n" + header + b"\r\nConnection: close\r\n\r\n")
        line = await reader.readline()
        await reader.read()
        writer.close()
        await writer.wait_closed()
    assert line.split()[1] == str(status).encode()


async def answer_to(peer: str, token: str | None, trusted: frozenset[str], headers: Mapping[str, str]) -> int:
    """Return the status for a request that comes from `peer`."""
    transport = Mock()
    transport.get_extra_info = lambda name, default=None: (peer, 40000) if name == "peername" else default
    request = make_mocked_request("GET", PRIVATE, headers=headers, transport=transport)
    try:
        return (await guard(token, PAGE, trusted)(request, served)).status
    except web.HTTPException as refusal:
        return refusal.status


INGRESS = frozenset({"172.30.32.2"})


@pytest.mark.parametrize(
    ("peer", "token", "headers", "status"),
    [
        ("172.30.32.2", None, {"Host": "homeassistant.local:8123", "Origin": "http://homeassistant.local:8123"}, 200),
        ("172.30.32.2", TOKEN, {"Host": "homeassistant.local:8123"}, 200),
        ("127.0.0.1", None, {"Host": "localhost:8099"}, 200),
        ("192.168.1.7", None, {"Host": "localhost:8099"}, 403),
        ("192.168.1.7", None, {"Host": "localhost", "X-Forwarded-For": "172.30.32.2"}, 403),
        ("172.30.32.3", TOKEN, {"Host": "porch.lan", "X-Forwarded-For": "172.30.32.2"}, 401),
        ("192.168.1.7", TOKEN, {"Host": "porch.lan", "Authorization": f"Bearer {TOKEN}"}, 200),
    ],
)
@asynchronous
async def test_a_trusted_proxy_is_asked_nothing_and_nobody_else_passes_for_one(
    peer: str, token: str | None, headers: dict[str, str], status: int
) -> None:
    assert await answer_to(peer, token, INGRESS, headers) == status

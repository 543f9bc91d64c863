"""A stand-in for Home Assistant's ingress: a proxy under a prefix that is cut off, from an address of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import aiohttp
from aiohttp import SocketFactoryType, WSMsgType, web

from appliance.gateway.wire import unpack

PREFIX = "/api/hassio_ingress/a1b2c3"
HOUSEHOLD = "192.168.1.20"
"""Where the browser is, as the proxy says."""
LIMIT_S = 60
T = TypeVar("T")
_OWN = {"content-encoding", "content-length", "transfer-encoding"}
"""What each connection says for itself; all else Home Assistant passes on as it came, Host, Origin and cookies too."""

WebSocket = aiohttp.ClientWebSocketResponse | web.WebSocketResponse


class Do(Protocol):
    """Has a loop do something, and returns what that gives."""

    def __call__(self, work: Coroutine[Any, Any, T]) -> T: ...


@contextmanager
def looping() -> Iterator[Do]:
    """A loop in a thread: the browser's runs in this one. What it still does at the end is cancelled."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def do(work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result(LIMIT_S)

    async def leave() -> None:
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    try:
        yield do
    finally:
        do(leave())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def apart(work: Coroutine[Any, Any, T]) -> T:
    """Return what it gives, by such a loop."""
    with looping() as do:
        return do(work)


@contextmanager
def ingress(addon: str, address: str, sockets: SocketFactoryType | None = None) -> Iterator[str]:
    """Serve the add-on at URL `addon` to browsers on this machine; yields the URL that the sidebar opens.

    It is asked from `address`; `sockets` makes the sockets for that where not every one will do.
    """
    with looping() as do:
        session, runner = do(_serve(addon, address, sockets))
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}{PREFIX}/"
        finally:
            do(session.close())
            do(runner.cleanup())


async def _serve(
    addon: str, address: str, sockets: SocketFactoryType | None
) -> tuple[aiohttp.ClientSession, web.AppRunner]:
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(local_addr=(address, 0), socket_factory=sockets))

    async def forward(request: web.Request) -> web.StreamResponse:
        target = f"{addon}/{request.match_info['path']}"
        headers = _headers(request)
        if request.headers.get("Upgrade", "").lower() == "websocket":
            ours = web.WebSocketResponse()
            await ours.prepare(request)
            async with session.ws_connect(target, params=request.query, headers=headers, max_msg_size=0) as theirs:
                passing = asyncio.create_task(_pass_on(theirs, ours))
                await _pass_on(ours, theirs)
                passing.cancel()
            return ours
        async with session.get(target, params=request.query, headers=headers, allow_redirects=False) as answer:
            said = {name: value for name, value in answer.headers.items() if name.lower() not in _OWN}
            return web.Response(status=answer.status, body=await answer.read(), headers=said)

    app = web.Application()
    app.router.add_get(PREFIX + "/{path:.*}", forward)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return session, runner


def _headers(request: web.Request) -> dict[str, str]:
    """Return what Home Assistant and its Supervisor make of a browser's."""
    passed = {
        name: value
        for name, value in request.headers.items()
        if name.lower() not in _OWN and not name.lower().startswith("sec-websocket-")
    }
    return {**passed, "X-Ingress-Path": PREFIX, "X-Forwarded-For": HOUSEHOLD}


async def _pass_on(source: WebSocket, target: WebSocket) -> None:
    async for message in source:
        if message.type is WSMsgType.BINARY:
            await target.send_bytes(message.data)
        elif message.type is WSMsgType.TEXT:
            await target.send_str(message.data)


async def picture(url: str) -> bytes:
    """Return the first picture, a JPEG, that a WebSocket brings."""
    async with aiohttp.ClientSession() as session, session.ws_connect(url, max_msg_size=0) as socket:
        return unpack(await asyncio.wait_for(socket.receive_bytes(), LIMIT_S))[1]


async def status(url: str, peer: str, sockets: SocketFactoryType | None = None) -> int:
    """Return the status that a peer with this address gets."""
    connector = aiohttp.TCPConnector(local_addr=(peer, 0), socket_factory=sockets)
    async with aiohttp.ClientSession(connector=connector) as session, session.get(url) as answer:
        return answer.status

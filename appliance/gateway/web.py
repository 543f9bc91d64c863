"""The web server: WebSocket, MJPEG, snapshots, status, probes, and the page."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.resources
import socket
from typing import TYPE_CHECKING

from aiohttp import WSCloseCode, web

from appliance.gateway import status
from appliance.gateway.access import guard
from appliance.gateway.metrics import Exposition
from appliance.ipc.heartbeat import fresh_heartbeats

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appliance.config import Settings
    from appliance.gateway.live import Live, Viewer
    from appliance.ipc.run_folder import RunFolder
    from appliance.messages import Heartbeat

PATIENCE_S = 3.0
"""How long a snapshot waits for a frame: standby gives one every third of a second."""
SEND_BUFFER_BYTES = 512 * 1024
"""Of a viewer's socket: a slow one is behind by what fits here, not by seconds."""
_BOUNDARY = "porchlightframe"
_SECURITY = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; connect-src 'self' ws: wss:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class Web:
    """The routes over the cameras' live pictures."""

    def __init__(self, settings: Settings, folder: RunFolder, lives: Mapping[str, Live]) -> None:
        self._settings = settings
        self._folder = folder
        self._lives = lives
        self._sockets: set[web.WebSocketResponse] = set()
        self._exposition = Exposition(folder)
        self._page = {
            f"/{file.name}": file.read_bytes()
            for file in importlib.resources.files("appliance.gateway").joinpath("page").iterdir()
            if file.is_file()
        }

    def application(self) -> web.Application:
        token = self._settings.gateway.token
        page = frozenset(("/", *self._page))
        trusted = frozenset(self._settings.gateway.trusted_proxies)
        middleware = guard(token.get_secret_value() if token is not None else None, page, trusted)
        app = web.Application(middlewares=[middleware])
        app.add_routes(
            [
                web.get("/ws", self._first_socket),
                web.get("/cameras/{camera}/ws", self._socket),
                web.get("/cameras/{camera}/stream.mjpeg", self._stream),
                web.get("/cameras/{camera}/snapshot.jpg", self._snapshot),
                web.get("/api/status", self._status),
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
                web.get("/", self._file),
                *(web.get(path, self._file) for path in self._page),
            ]
        )
        app.on_shutdown.append(self._hang_up)
        return app

    def _beats(self) -> dict[str, Heartbeat]:
        return fresh_heartbeats(self._folder)

    def _live(self, request: web.Request) -> Live:
        camera = request.match_info["camera"]
        if camera not in self._lives:
            known = ", ".join(self._lives)
            raise web.HTTPNotFound(text=f"there is no camera {camera!r}; there are: {known}\n")
        return self._lives[camera]

    async def _first_socket(self, request: web.Request) -> web.WebSocketResponse:
        """`/ws` is the ancestor's address; it had one camera, so this is the first one."""
        if not self._lives:
            raise web.HTTPNotFound(text="there is no camera\n")
        return await self._serve_socket(request, next(iter(self._lives.values())))

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        return await self._serve_socket(request, self._live(request))

    async def _serve_socket(self, request: web.Request, live: Live) -> web.WebSocketResponse:
        socket_ = web.WebSocketResponse(heartbeat=15, compress=False)
        await socket_.prepare(request)
        _limit_buffer(request)
        self._sockets.add(socket_)
        with live.watched() as viewer:
            sender = asyncio.create_task(_send_newest(socket_, viewer))
            try:
                async for _ in socket_:  # nothing is expected; reading is how a closed socket is noticed
                    pass
            finally:
                sender.cancel()
                with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                    await sender
                self._sockets.discard(socket_)
        return socket_

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        live = self._live(request)
        response = web.StreamResponse(
            headers={
                "Content-Type": f"multipart/x-mixed-replace; boundary={_BOUNDARY}",
                "Cache-Control": "no-store",
            }
        )
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        _limit_buffer(request)
        with live.watched() as viewer, contextlib.suppress(ConnectionError):
            while (
                request.transport is not None and not viewer.ended
            ):  # the client is there: nothing else tells while the camera is silent
                packet = await viewer.next(PATIENCE_S)
                if packet is None:
                    continue
                await response.write(
                    f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(packet.jpeg)}\r\n\r\n".encode()
                    + packet.jpeg
                    + b"\r\n"
                )
        return response

    async def _snapshot(self, request: web.Request) -> web.Response:
        """The next picture; 409 while the live view is switched off, 503 where none comes."""
        live = self._live(request)
        with live.watched() as viewer:
            packet = await viewer.next(PATIENCE_S)
        if not live.live_view or (packet is not None and packet.is_notice):
            raise web.HTTPConflict(text=f"the live view of {live.camera.id} is switched off\n")
        if packet is None:
            raise web.HTTPServiceUnavailable(text="the camera gives no picture at present\n")
        return web.Response(body=packet.jpeg, content_type="image/jpeg", headers={"Cache-Control": "no-store"})

    async def _status(self, _request: web.Request) -> web.Response:
        answer = status.status(self._settings, list(self._lives.values()), self._beats())
        return web.json_response(answer, headers={"Cache-Control": "no-store"})

    async def _metrics(self, request: web.Request) -> web.Response:
        """The figures of all stages for Prometheus."""
        body, content_type = self._exposition.render(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type, "Cache-Control": "no-store"})

    async def _healthz(self, _request: web.Request) -> web.Response:
        """200 while every camera's frames are looked at, 503 with the reasons otherwise."""
        wrong = status.trouble(list(self._lives.values()), self._beats())
        return web.json_response({"healthy": not wrong, "reasons": wrong}, status=503 if wrong else 200)

    async def _readyz(self, _request: web.Request) -> web.Response:
        """200 as soon as the gateway serves: what it serves is /healthz's matter."""
        return web.json_response({"ready": True})

    async def _file(self, request: web.Request) -> web.Response:
        path = "/index.html" if request.path == "/" else request.path
        suffix = path[path.rindex(".") :]
        return web.Response(
            body=self._page[path],
            content_type=_TYPES.get(suffix, "application/octet-stream"),
            charset="utf-8",
            headers={**_SECURITY, "Cache-Control": "no-cache"},
        )

    async def _hang_up(self, _app: web.Application) -> None:
        goodbyes = (socket_.close(code=1001, message=b"the gateway is stopping") for socket_ in list(self._sockets))
        await asyncio.gather(*goodbyes, return_exceptions=True)


async def _send_newest(socket_: web.WebSocketResponse, viewer: Viewer) -> None:
    """The message is made here, for this viewer, when it can take one: a slow one costs nothing in between."""
    while not socket_.closed and not viewer.ended:
        packet = await viewer.next(PATIENCE_S)
        if packet is not None:
            await socket_.send_bytes(packet.message())
    await socket_.close(code=WSCloseCode.SERVICE_RESTART, message=b"the camera has changed")


def _limit_buffer(request: web.Request) -> None:
    transport = request.transport
    if transport is not None:
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)

"""Who may look. With a token: whoever shows it. Without: this machine alone, and no page of somebody else's."""

from __future__ import annotations

import hmac
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from aiohttp import BasicAuth, web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp.typedefs import Middleware

OPEN = ("/healthz", "/readyz")
"""Probes show no picture and carry no token."""


def guard(token: str | None, page: frozenset[str], trusted: frozenset[str] = frozenset()) -> Middleware:
    """Return the middleware. `page` are the paths of the page's own files, which hold no secret; `trusted` are the
    addresses of proxies that ask by themselves.
    """

    @web.middleware
    async def check(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if request.path not in OPEN and request.remote not in trusted:
            if token is None:
                _refuse_strangers(request)
            elif request.path not in page and not _shows(request, token):
                raise web.HTTPUnauthorized(
                    text="this gateway needs its token: Authorization: Bearer, ?token=, or as a password\n",
                    headers={"WWW-Authenticate": 'Basic realm="Porchlight"'},
                )
        return await handler(request)

    return check


def _shows(request: web.Request, token: str) -> bool:
    """A bearer token, a query parameter (WebSockets in browsers have no headers), or a basic password (Home Assistant's
    MJPEG camera).
    """
    header = request.headers.get("Authorization", "")
    shown = request.query.get("token", "")
    if header.startswith("Bearer "):
        shown = header.removeprefix("Bearer ")
    elif header.startswith("Basic "):
        try:
            shown = BasicAuth.decode(header).password
        except ValueError:
            shown = ""
    return hmac.compare_digest(shown.encode("utf-8", "surrogateescape"), token.encode())  # as headers were decoded


def _refuse_strangers(request: web.Request) -> None:
    """Without a token the browser is the door: no page from elsewhere may reach in through it.

    Not by a WebSocket, which no same-origin policy stops, and not under a name of its own that points here.
    """
    if not _is_loopback(request.remote or ""):
        raise web.HTTPForbidden(text="only this machine and its trusted proxies may look: set gateway.token\n")
    host = request.headers.get("Host", "")
    if not _is_loopback(_parts(f"//{host}").hostname or ""):
        raise web.HTTPForbidden(text=f"{host!a} is not this machine's loopback: set gateway.token\n")
    origin = request.headers.get("Origin")
    if origin is not None and _parts(origin).netloc != host:
        raise web.HTTPForbidden(text=f"{origin!a} is another site: set gateway.token and show it\n")


def _parts(url: str) -> SplitResult:
    """Nothing at all where it is no URL ("http://[")."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False

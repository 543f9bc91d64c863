"""Asks for a file over HTTP: who may be asked, who is told the token, where redirects may lead, how long is waited."""

from __future__ import annotations

import http
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import aiohttp
from yarl import URL

from appliance import __version__
from appliance.inference.store import words
from appliance.inference.store.errors import CutError, RefusedError, StoreError
from appliance.inference.store.source import is_loopback, without_query

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from types import TracebackType

    from appliance.inference.store.source import Hub

OK = frozenset({int(http.HTTPStatus.OK)})
MOST_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CHUNK = 1 << 17
_SAID = 1000


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: for a connection, names and TLS included; and between two bytes."""

    connect_s: float = 15.0
    silence_s: float = 30.0


class Web:
    """Asks, one question at a time. `is_pinned`: the hash of what comes is known, so it may come in the open."""

    def __init__(self, hub: Hub, *, is_pinned: bool, patience: Patience | None = None) -> None:
        self._hub = hub
        self._is_pinned = is_pinned
        self._patience = patience or Patience()
        self._answer: aiohttp.ClientResponse | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True, ssl=ssl.create_default_context()),
            timeout=aiohttp.ClientTimeout(
                total=None, connect=self._patience.connect_s, sock_read=self._patience.silence_s
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers={"Accept-Encoding": "identity", "User-Agent": f"porchlight/{__version__}"},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hang_up()
        await self._session.close()

    async def ask(self, url: URL, headers: Mapping[str, str], wanted: frozenset[int]) -> aiohttp.ClientResponse:
        """Return an answer whose status is one of `wanted`, wherever redirects lead.

        CutError: no answer came. StoreError, RefusedError: another answer, and what it means.
        """
        for _ in range(MOST_REDIRECTS + 1):
            answer = await self._ask(url, headers)
            if answer.status in wanted:
                if answer.headers.get("Content-Encoding", "identity").lower() not in {"identity", ""}:
                    raise RefusedError(f"{_shown(url)}: the server sends it packed, although it was asked not to")
                return answer
            if answer.status not in _REDIRECTS:
                raise await self._of_status(url, answer)
            url = elsewhere(url, answer.headers.get("Location", ""))
        raise RefusedError(f"{_shown(url)}: redirected more than {MOST_REDIRECTS} times")

    async def chunks(self, answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        """Give the bytes of an answer as they come. CutError: they end too early, or stay away."""
        content = answer.content.iter_chunked(_CHUNK).__aiter__()
        while True:
            try:
                chunk = await anext(content)
            except StopAsyncIteration:
                return
            except (aiohttp.ClientError, OSError) as error:
                raise CutError(f"{_shown(answer.url)}: {self._failure(error)}") from None
            yield chunk  # outside: what becomes of it (a full disk) is not the connection's fault

    async def _ask(self, url: URL, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        demand_safe(url, is_pinned=self._is_pinned)
        self._hang_up()
        token = self._hub.token_for(url)
        with_token = {**headers, "Authorization": f"Bearer {token}"} if token else headers
        try:
            self._answer = await self._session.get(url, headers=with_token, allow_redirects=False)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise CutError(f"{_shown(url)}: {self._failure(error)}") from None
        return self._answer

    async def _of_status(self, url: URL, answer: aiohttp.ClientResponse) -> StoreError:
        try:
            body = await answer.content.read(_SAID)
        except (aiohttp.ClientError, OSError):
            body = b""
        text = words.of_status(
            answer.status,
            words.quoted(body, answer.headers.get("Content-Type", "")),
            is_hub=url.origin() == self._hub.url.origin(),
            had_token=bool(self._hub.token_for(url)),
        )
        return (RefusedError if words.is_final(answer.status) else StoreError)(f"{_shown(url)}: {text}")

    def _failure(self, error: Exception) -> str:
        return words.of_failure(error, self._patience.connect_s, self._patience.silence_s)

    def _hang_up(self) -> None:
        if self._answer is not None:
            self._answer.close()
        self._answer = None


def demand_safe(url: URL, *, is_pinned: bool) -> None:
    """RefusedError: what comes over plain HTTP may be anybody's, unless its hash is known or it never leaves here."""
    if url.scheme != "https" and not is_pinned and not is_loopback(url):
        raise RefusedError(
            f"{_shown(url)}: over plain http anybody on the way can put another model in its place; write https://, or "
            "say with --sha256 which file it must be"
        )


def elsewhere(url: URL, location: str) -> URL:
    """Return where a redirect from `url` leads to. RefusedError: nobody should go there."""
    try:
        target = url.join(URL(location)).with_fragment(None)
        target = target.with_user(None)
    except ValueError:
        target = URL()
    if not location or target.scheme not in {"http", "https"} or not target.host:
        raise RefusedError(f"{_shown(url)}: the server redirects to something that is no address in HTTP")
    if url.scheme == "https" and target.scheme == "http":
        raise RefusedError(f"{_shown(url)}: the server redirects from https to http, where anybody can change the file")
    return target


def _shown(url: URL) -> str:
    return without_query(str(url))

"""The HTTP side of an MJPEG camera: logins, redirects, timeouts, and an error in words for whatever can go wrong."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import http
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp
from yarl import URL

from appliance.capture.http_mjpeg import login, words
from appliance.capture.source import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from appliance.config import HttpSettings

T = TypeVar("T")

CONNECT_S = 5.0
SILENCE_S = 10.0
"""The longest time between two bytes. Whoever wants pictures sooner than that closes the source."""
MOST_REDIRECTS = 5
_READ_BYTES = 1 << 16

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Client:
    """Reads one answer for a thread that waits; any other may `interrupt` it.

    No SourceError has a cause or a context: aiohttp's exceptions hold the request, with its URL and its password.
    """

    def __init__(self, settings: HttpSettings) -> None:
        self.content_type = ""
        """Of the answer, in lower case, without parameters."""
        self._settings = settings
        self._loop = _Loop()
        self._runner = asyncio.Runner(loop_factory=lambda: self._loop)
        self._runner.get_loop()
        self._task: asyncio.Task[Any] | None = None
        self._is_interrupted = False
        self._session: aiohttp.ClientSession | None = None
        self._answer: aiohttp.ClientResponse | None = None

    def open(self) -> None:
        """Ask for the stream, wherever the camera has it. SourceError: there is none, and why."""
        self._run(self._open())

    def read(self, take: Callable[[bytes], list[T]]) -> list[T]:
        """Give `take` what the camera sends, until it has made something of it; return that, nothing at the end.

        SourceError: the connection broke, or what `take` raises.
        """
        return self._run(self._read(take))

    def interrupt(self) -> None:
        """End what the reading thread waits for, now or next, with a SourceError."""
        with contextlib.suppress(RuntimeError):  # it has closed the loop already
            self._loop.call_soon_threadsafe(self._cancel)

    def close(self) -> None:
        """Called by the reading thread, as its last."""
        self._task = None
        try:
            self._loop.run_until_complete(self._hang_up())
        finally:
            self._runner.close()

    def error(self, what: str) -> SourceError:
        return SourceError(f"{self._settings.shown}: {what}")

    def _cancel(self) -> None:
        self._is_interrupted = True
        if self._task is not None:
            self._task.cancel()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        task: asyncio.Task[T] = self._loop.create_task(work)
        self._task = task
        if self._is_interrupted:
            task.cancel()
        try:
            return self._loop.run_until_complete(task)
        except asyncio.CancelledError:
            what = "closed"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            what = words.of_failure(error, CONNECT_S, SILENCE_S)
        raise self.error(what)

    async def _read(self, take: Callable[[bytes], list[T]]) -> list[T]:
        while self._answer is not None and (chunk := await self._answer.content.readany()):
            if found := take(chunk):
                return found
        return []

    async def _open(self) -> None:
        url, authorization, redirects = URL(self._settings.url), None, 0
        while True:
            answer = await self._get(url, authorization)
            if answer.status in _REDIRECTS:
                redirects += 1
                if redirects > MOST_REDIRECTS:
                    raise self.error(words.of_redirect(f"more than {MOST_REDIRECTS} times"))
                url, authorization = self._elsewhere(url, answer.headers.get("Location", "")), None
            elif answer.status == http.HTTPStatus.UNAUTHORIZED:
                offered = login.challenges(answer.headers.getall("WWW-Authenticate", []))
                authorization = self._log_in(url, offered, was_refused=authorization is not None)
            elif answer.status == http.HTTPStatus.OK:
                self.content_type = answer.content_type.lower()
                return
            else:
                raise self.error(words.of_status(answer.status))

    async def _get(self, url: URL, authorization: str | None) -> aiohttp.ClientResponse:
        await self._hang_up()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True),
            timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S, sock_read=SILENCE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=_READ_BYTES,
        )
        headers = {"Accept-Encoding": "identity"}
        if authorization is not None:
            headers["Authorization"] = authorization
        trust = ssl.create_default_context() if url.scheme == "https" else True
        self._answer = await self._session.get(url, headers=headers, allow_redirects=False, ssl=trust)
        return self._answer

    async def _hang_up(self) -> None:
        self._loop.abort_connections()
        if self._answer is not None:
            self._answer.close()
        if self._session is not None:
            await self._session.close()
        self._session = self._answer = None

    def _log_in(self, url: URL, offered: list[login.Challenge], *, was_refused: bool) -> str:
        """Return the Authorization header for `url`. SourceError: there is none that would help."""
        if not self._may_know_us(url):
            raise self.error(words.of_foreign_login(str(url.origin())))
        user, password = self._settings.user, self._settings.password
        if user is not None and not was_refused:
            header = login.authorization(offered, user, password or "", url.raw_path_qs)
            if header is not None:
                return header
        raise self.error(
            words.of_login(
                has_user=user is not None, was_refused=was_refused, schemes=[challenge.scheme for challenge in offered]
            )
        )

    def _may_know_us(self, url: URL) -> bool:
        """Whether `url` may be told user and password: the camera itself, and its own HTTPS where it sends us there."""
        home = URL(self._settings.url).origin()
        return url.origin() == home or (
            url.host == home.host and (home.scheme, home.port, url.scheme, url.port) == ("http", 80, "https", 443)
        )

    def _elsewhere(self, url: URL, location: str) -> URL:
        """Return where a redirect leads to. SourceError: we do not go there."""
        try:
            target = url.join(URL(location)).with_user(None).with_fragment(None)
        except ValueError:
            target = URL()
        if not location or target.scheme not in {"http", "https"} or not target.host:
            raise self.error(words.of_redirect("to something that is no address in HTTP"))
        if url.scheme == "https" and target.scheme == "http":
            raise self.error(words.of_redirect("from https to http, where anybody can listen"))
        return target


class _Loop(asyncio.SelectorEventLoop):
    """A loop at whose end nobody waits: neither for a camera that does not say goodbye in TLS (aiohttp has a session
    forget such a connection, open), nor for a name server (asyncio's own threads hold up the end of the process too).
    """

    def __init__(self) -> None:
        super().__init__()
        self._opened: list[asyncio.Transport] = []

    def abort_connections(self) -> None:
        while self._opened:
            self._opened.pop().abort()

    async def create_connection(self, *how: Any, **wanted: Any) -> Any:
        transport, protocol = await super().create_connection(*how, **wanted)
        self._opened.append(transport)
        return transport, protocol

    async def getaddrinfo(self, host: Any, port: Any, **wanted: Any) -> Any:
        answer: concurrent.futures.Future[Any] = concurrent.futures.Future()
        answer.set_running_or_notify_cancel()

        def ask() -> None:
            try:
                answer.set_result(socket.getaddrinfo(host, port, **wanted))
            except (OSError, ValueError) as error:
                answer.set_exception(error)

        threading.Thread(target=ask, name="http_mjpeg names", daemon=True).start()
        return await asyncio.wrap_future(answer)

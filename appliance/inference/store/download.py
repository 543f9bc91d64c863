"""Brings the bytes of one file here, goes on where an earlier attempt ended, and never past its bounds."""

from __future__ import annotations

import errno
import http
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from appliance.inference.store.errors import CutError, RefusedError, StoreError
from appliance.inference.store.progress import megabytes
from appliance.inference.store.version import Version, of_part, of_whole
from appliance.inference.store.web import OK

if TYPE_CHECKING:
    import aiohttp

    from appliance.inference.store.partial import Partial
    from appliance.inference.store.progress import Progress
    from appliance.inference.store.source import Source
    from appliance.inference.store.web import Web

MOST_ATTEMPTS = 5
_PARTS = OK | {int(http.HTTPStatus.PARTIAL_CONTENT), int(http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)}
_CONDITIONAL = OK | {int(http.HTTPStatus.NOT_MODIFIED)}
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


async def is_unchanged(web: Web, source: Source, have: Version) -> bool | None:
    """Whether the source still has this version; None where it gave no mark to ask by."""
    if not have.conditions:
        return None
    answer = await web.ask(source.url, have.conditions, _CONDITIONAL)
    return answer.status == http.HTTPStatus.NOT_MODIFIED or (
        bool(have.etag) and answer.headers.get("ETag", "") == have.etag
    )


@dataclass(frozen=True, slots=True)
class Download:
    """One file's way into `partial`."""

    web: Web
    source: Source
    partial: Partial
    max_bytes: int
    progress: Progress

    async def run(self) -> None:
        """Return when the partial file is whole, as far as the server told its length.

        CutError: it ended early. StoreError, RefusedError: as they say; what is of no use is not left on the disk.
        """
        have = self.partial.resume()
        for attempt in itertools.count(1):
            try:
                await self._once(have)
            except CutError as error:
                came = self.partial.size
                kept = self.partial.resume()
                if kept <= have or attempt == MOST_ATTEMPTS:
                    raise CutError(f"{error}{self._kept(came, kept)}") from None
                self.progress.say(f"{error}; going on from {megabytes(kept)}")
                have = kept
            else:
                return

    def _kept(self, came: int, kept: int) -> str:
        if not came:
            return ""
        if not kept:
            return f"; {megabytes(came)} had come, and cannot be continued: the server does not say of which version"
        of = f" of {megabytes(self.partial.version.total)}" if self.partial.version.total else ""
        return f"; {megabytes(kept)}{of} are kept, and the same command goes on from there"

    async def _once(self, have: int) -> None:
        try:
            if have and await self._continue(have):
                return
            answer = await self.web.ask(self.source.url, {}, OK)
            await self._all_of(answer)
        except OSError as error:
            raise self._of_disk(error) from None

    async def _continue(self, have: int) -> bool:
        """Bring what is missing. False: it cannot be continued, and must begin anew."""
        version = self.partial.version
        headers = {"Range": f"bytes={have}-"}
        if version.validator:
            headers["If-Range"] = version.validator
        answer = await self.web.ask(self.source.url, headers, _PARTS)
        if answer.status == http.HTTPStatus.OK:
            self.progress.say("the server sends the whole file: it has changed, or cannot be continued")
            await self._all_of(answer)
            return True
        first, now = of_part(answer.headers)
        if not version.may_be(now):
            self.progress.say("the file has changed at the server; beginning anew")
            return False
        if answer.status == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return now.total == have
        if first != have:
            self.progress.say("the server does not send what was asked for; beginning anew")
            return False
        await self._take(answer, have, now.total if now.total is not None else version.total)
        return True

    async def _all_of(self, answer: aiohttp.ClientResponse) -> None:
        version = of_whole(answer.headers)
        self.partial.begin(version)
        await self._take(answer, 0, version.total)

    async def _take(self, answer: aiohttp.ClientResponse, have: int, total: int | None) -> None:
        if total is not None:
            self._demand_fit(total)
            self._demand_room(have, total)
        self.progress.begin(have, total)
        async for chunk in self.web.chunks(answer):
            have += len(chunk)
            self._demand_fit(have)
            self.partial.append(chunk)
            self.progress.at(have)
        if total is not None and have < total:
            raise CutError(f"{self.source.shown}: the server ended after {megabytes(have)} of {megabytes(total)}")
        if total is not None and have > total:
            self.partial.drop()
            raise RefusedError(f"{self.source.shown}: the server sent more than the {megabytes(total)} that it said")

    def _demand_fit(self, size: int) -> None:
        if size > self.max_bytes:
            self.partial.drop()
            raise RefusedError(
                f"{self.source.shown}: larger than {megabytes(self.max_bytes)}, the most that is taken; if it is a "
                "model all the same, allow more with --max-bytes"
            )

    def _demand_room(self, have: int, total: int) -> None:
        if (room := self.partial.room) < total - have:
            self.partial.drop()
            raise StoreError(
                f"{self.partial.path.parent}: not enough room: {megabytes(total - have)} are still to come, "
                f"{megabytes(room)} are free; make room, or name another folder with --store"
            )

    def _of_disk(self, error: OSError) -> StoreError:
        """A full disk stops other stages' writing too, so what has come is not left on it."""
        if error.errno not in _FULL:
            return StoreError(f"{self.partial.path}: {error.strerror or error}")
        have, total = self.partial.size, self.partial.version.total
        self.partial.drop()
        of = f" of {megabytes(total)}" if total else ""
        return StoreError(
            f"{self.partial.path.parent}: the disk is full after {megabytes(have)}{of}; what had come is removed "
            "again; make room, or name another folder with --store"
        )

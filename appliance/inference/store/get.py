"""Download a model into the store: only what is whole, as recorded, and a model gets its name."""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from appliance.inference import digest
from appliance.inference.store.download import Download, is_unchanged
from appliance.inference.store.errors import RefusedError, StoreError
from appliance.inference.store.partial import Partial
from appliance.inference.store.record import Record
from appliance.inference.store.shelf import State
from appliance.inference.store.verification import demand_model
from appliance.inference.store.version import Version
from appliance.inference.store.web import Web

if TYPE_CHECKING:
    from pathlib import Path

    from appliance.inference.store.progress import Progress
    from appliance.inference.store.shelf import Item, Shelf
    from appliance.inference.store.source import Hub, Source
    from appliance.inference.store.web import Patience


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants: `sha256` is the hash that it must have, empty where they leave that to the record."""

    source: Source
    name: str
    sha256: str = ""
    replace: bool = False
    max_bytes: int = 1 << 30


def get(shelf: Shelf, wish: Wish, hub: Hub, progress: Progress, patience: Patience | None = None) -> Record:
    """Return the record of the model, which is in the store when this returns. What happens goes to `progress`.

    StoreError, RefusedError: it is not, or not the one wanted; whatever was good there before still is.
    """
    with shelf.lock(wish.name):
        item = shelf.look(wish.name)
        expected = _expected(wish, item)
        web = Web(hub, is_pinned=bool(expected), patience=patience)
        if item.state is State.INTACT and item.record is not None and not wish.replace:
            kept = asyncio.run(_keep(web, wish, item.record, progress))
            if kept:
                return item.record
        elif item.state is State.CHANGED:
            progress.say(f"{item.path} is not the file that was recorded; getting it again")
        with shelf.in_words(), Partial(shelf.part(wish.name), wish.source.id) as partial:
            asyncio.run(_bring(Download(web, wish.source, partial, wish.max_bytes, progress)))
            progress.end()
            return _accept(shelf, wish, partial, expected)


def now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


def _expected(wish: Wish, item: Item) -> str:
    """Return the hash that must come, empty where any may. RefusedError: the name is taken by something else."""
    if wish.replace or item.state is State.ABSENT:
        return wish.sha256
    else_do = "--replace puts the new one in its place, --name gives it another name"
    if item.record is None:
        raise RefusedError(f"{item.path} is there already, and did not come from here; {else_do}")
    if item.record.source != wish.source.id:
        raise RefusedError(f"{item.name} is there already, from {item.record.source.partition('?')[0]}; {else_do}")
    if wish.sha256 and wish.sha256 != item.record.sha256:
        raise RefusedError(
            f"{item.name}: --sha256 is {wish.sha256}, and recorded is {item.record.sha256}; if the new one is right, "
            "add --replace"
        )
    return item.record.sha256


async def _keep(web: Web, wish: Wish, known: Record, progress: Progress) -> bool:
    """Whether the model in the store is what there is to be had, as far as the source can be asked."""
    version = Version(known.etag, known.modified)
    try:
        async with web:
            unchanged = await is_unchanged(web, wish.source, version)
    except StoreError as error:
        progress.say(f"{error}\n{known.name} is in the store and intact; whether there is a newer one is not known")
        return True
    if unchanged is None:
        progress.say(f"{known.name} is in the store and intact; its source gives no mark to ask for a newer one by")
    elif unchanged:
        progress.say(f"{known.name} is in the store and intact, and still what its source has; nothing to download")
    else:
        progress.say(f"{wish.source.shown} has another version mark; looking whether the file is another too")
    return unchanged is not False


async def _bring(download: Download) -> None:
    async with download.web:
        await download.run()


def _accept(shelf: Shelf, wish: Wish, partial: Partial, expected: str) -> Record:
    """Hold the whole file against what it must be; then it gets its name. What is refused is removed."""
    try:
        sha256 = _demand_hash(wish, partial.path, expected)
        demand_model(partial.path, f"what came from {wish.source.shown}")
    except RefusedError:
        partial.drop()
        raise
    entry = Record(
        wish.name,
        wish.source.id,
        sha256,
        partial.size,
        now(),
        wish.source.licence,
        partial.version.etag,
        partial.version.modified,
    )
    shelf.place(partial.path, entry)
    partial.forget_note()
    return entry


def _demand_hash(wish: Wish, file: Path, expected: str) -> str:
    """Return the file's hash. RefusedError: it is not the one expected."""
    sha256 = digest.sha256(file)
    if not expected or sha256 == expected:
        return sha256
    kept = "nothing was changed in the store"
    if wish.sha256:
        raise RefusedError(
            f"{wish.source.shown}: the file has sha256 {sha256}, and --sha256 asks for {expected}; {kept}"
        )
    raise RefusedError(
        f"{wish.source.shown}: the file has sha256 {sha256}, and {expected} is recorded for {wish.name}; {kept}. "
        "Another file has been published there: if you trust it, accept it with --replace"
    )

"""What a model is: its contract, its hash against the record, its licence; and whatever trials are made with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from appliance.inference.store.errors import RefusedError, StoreError
from appliance.inference.store.progress import megabytes
from appliance.inference.store.shelf import Shelf, State
from appliance.inference.store.source import without_query
from appliance.inference.store.verification import demand_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from appliance.inference.detector import ModelInfo
    from appliance.inference.store.shelf import Item

Trials: TypeAlias = "Callable[[Path], Iterable[str]]"
"""Runs the model and tells how it went, a line each, as it goes."""


def chosen(word: str | None, shelf: Shelf, configured: Path | None) -> Item:
    """Return the model that is meant: a file, a name in the store, or `configured`. RefusedError: there is none."""
    if word is None:
        if configured is None:
            raise RefusedError("model.path is not set; name a file, or a model of the store")
        path = configured
    else:
        named = word if word.endswith(".onnx") else f"{word}.onnx"
        path = next((p for p in (Path(word), shelf.path(named)) if p.is_file()), shelf.path(named))
    item = Shelf(path.parent).look(path.name)
    if not item.sha256:
        raise RefusedError(f"{path}: there is no such file")
    return item


def lines(item: Item, trials: Trials) -> Iterator[str]:
    """Tell of the model, a line each; then RefusedError: Porchlight cannot run it, or StoreError: it is damaged."""
    yield f"file       {item.path}"
    yield f"size       {megabytes(item.size)}"
    yield f"sha256     {item.sha256} ({_against_record(item)})"
    if item.record:
        yield f"from       {without_query(item.record.source)}, {item.record.at[:10]}"
    yield f"licence    {item.record.licence if item.record else 'unknown; look where it came from'}"
    info = demand_model(item.path, str(item.path))
    yield f"contract   kept: {_contract(info)}"
    if info.notice:
        yield f"notice     works with {info.only_for}:// cameras only: it {info.notice}"
    yield from trials(item.path)
    if item.state is State.CHANGED:
        raise StoreError(f"{item.path} is not the file that was recorded; get it again, it will be put in its place")


def _contract(info: ModelInfo) -> str:
    columns = f"{info.columns} columns" if info.columns else "any number of columns"
    return (
        f"input {info.side} x {info.side} pixels, {info.queries or 'any number of'} queries, {columns}, "
        f"{len(info.classes)} class names"
    )


def _against_record(item: Item) -> str:
    if item.state is State.INTACT:
        return "as recorded"
    if item.record is None:
        return "not recorded: it did not come through the store"
    return f"NOT as recorded: {item.record.sha256}"

"""Make a model with the rfdetr package, in an environment of its own, and take it into the store."""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from appliance.inference import digest
from appliance.inference.store.catalogue import APACHE
from appliance.inference.store.environment import last_lines
from appliance.inference.store.errors import RefusedError, StoreError
from appliance.inference.store.get import now
from appliance.inference.store.record import Record
from appliance.inference.store.shelf import State
from appliance.inference.store.source import derived_name
from appliance.inference.store.verification import demand_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from appliance.inference.store.catalogue import Variant
    from appliance.inference.store.environment import Environment
    from appliance.inference.store.shelf import Shelf


COCO_COLUMNS = 91


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be made: `weights` are somebody's own, None for the published ones."""

    variant: Variant
    name: str
    weights: Path | None = None
    replace: bool = False


def default_name(variant: Variant, weights: Path | None) -> str:
    return derived_name(f"rfdetr-{variant.name}" if weights is None else f"rfdetr-{variant.name}-{weights.stem}")


def export(shelf: Shelf, order: Order, environment: Environment, say: Callable[[str], None]) -> Record:
    """Return the record of the model, which is in the store when this returns.

    StoreError, RefusedError: it is not, and what was there before still is.
    """
    if order.weights is not None and not order.weights.is_file():
        raise RefusedError(f"{order.weights}: there is no such file of weights")
    with shelf.lock(order.name), shelf.lock("rfdetr-env"):
        if shelf.look(order.name).state is not State.ABSENT and not order.replace:
            raise RefusedError(
                f"{order.name} is in the store already; --replace puts the new one in its place, --name gives it "
                "another name"
            )
        environment.demand(say)
        with _workplace(shelf, order.name) as folder:
            say(f"exporting RF-DETR {order.variant.name} from {_weights(order)}; this takes a minute or more")
            weights = None if order.weights is None else order.weights.resolve()
            output = environment.export(order.variant.class_name, folder, weights)
            said = _result(folder, output)
            file = folder / "model.onnx"
            info = demand_model(file, f"what rfdetr {said['rfdetr']} exported")
            if said["class_names"] is None and info.columns != COCO_COLUMNS:
                say(f"no class names came with these weights, so its {info.columns} columns are taken for COCO's first")
            entry = Record(
                order.name, _source(order, said), digest.sha256(file), file.stat().st_size, now(), _licence(order)
            )
            shelf.place(file, entry)
            return entry


@contextlib.contextmanager
def _workplace(shelf: Shelf, name: str) -> Iterator[Path]:
    """A folder in the store's file system, so that a rename is all that is left. A killed one's is cleared away."""
    folder = shelf.folder / f".{name}.export"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir()
        yield folder
    except OSError as error:
        raise StoreError(f"{folder}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _result(folder: Path, output: str) -> dict[str, Any]:
    """Return what the export says of itself. StoreError: it did not work, and the end of what it wrote."""
    try:
        said: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise StoreError(f"the export ended without a word; it had written:\n{last_lines(output)}") from None
    if "refused" in said:
        raise RefusedError(said["refused"])
    if "error" in said:
        raise StoreError(f"{_why(str(said['error']))}; it had written:\n{last_lines(output)}")
    return said


def _why(error: str) -> str:
    if "ConnectionError" in error or "NameResolution" in error:
        return (
            "rfdetr could not download the published weights: there is no way to them from here. Take their file from "
            f"a machine that reaches them, and name it with --weights ({error[:300]})"
        )
    if "No space left on device" in error:
        return f"the disk is full ({error[:300]})"
    return f"rfdetr could not export it ({error[:300]})"


def _weights(order: Order) -> str:
    return "the published weights" if order.weights is None else str(order.weights)


def _source(order: Order, said: dict[str, Any]) -> str:
    of = _weights(order)
    if order.weights is not None:
        of = f"{order.weights.name} (sha256 {digest.sha256(order.weights)[:12]})"
    return f"rfdetr {said['rfdetr']} {order.variant.class_name}, {of}"


def _licence(order: Order) -> str:
    known = APACHE.format(name=order.variant.name)
    return known if order.weights is None else f"{known}; the weights are your own"

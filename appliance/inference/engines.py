"""The engines of a model: built on the machine that runs them, which takes minutes, and kept in the state folder."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import os
from typing import TYPE_CHECKING, NamedTuple

from appliance.inference import kept
from appliance.inference.backends import BACKENDS
from appliance.inference.detector import BackendError
from appliance.inference.machine import card_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

log = logging.getLogger(__name__)

FOLDER = "engines"
VERSION = 1
FILE = "model.engine"
MOST = 4
"""Models whose engines are kept. One has some 100 MB (an estimate), and takes minutes to build again."""


class Engine(NamedTuple):
    """An engine's file, and its SHA-256."""

    file: Path
    digest: str


def place_of(state_folder: Path, backend: str, source_sha256: str) -> Path:
    """Return the folder for a backend's engine of a model, or of its int8 form."""
    return state_folder / FOLDER / source_sha256[:32] / backend


def find(folder: Path, backend: str) -> Engine | None:
    """Return the engine that is there for this backend, its version and this card; None: it has to be built."""
    try:
        record = kept.read(folder, VERSION)
    except ValueError as error:
        log.warning("%s: the engine cannot be used (%s); it is built anew", folder, error)
        return None
    if record is None or record.get("for") != _built_for(backend) or FILE not in record["files"]:
        return None
    with contextlib.suppress(OSError):
        os.utime(folder.parent)  # for `tidy`: it is used
    return Engine(folder / FILE, record["files"][FILE])


def build(source: Path, making: Path, tell: Callable[[float], None]) -> Path:
    """Build an engine of `source`, an ONNX file, in the folder `making`; return its file.

    `tell` is told how much of it is done, 0..1. BackendError: why it cannot be built here, or not written.
    """
    from appliance.inference.gpu.tensorrt_build import built  # noqa: PLC0415 -- where nothing is built, not loaded

    try:
        (making / FILE).write_bytes(built(source, making, tell))
    except OSError as error:
        raise BackendError(f"the engine cannot be kept: {error.strerror or error}") from None
    return making / FILE


def place(making: Path, folder: Path, backend: str, source: Path) -> None:
    """Give an engine that was built its place. OSError."""
    facts = {"for": _built_for(backend), "of": source.name, "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds")}
    kept.place(making, folder, VERSION, facts)


def tidy(state_folder: Path) -> None:
    """Remove the engines of models that were used longest ago."""
    kept.keep_newest(state_folder / FOLDER, MOST)


def discard(folder: Path) -> None:
    """Forget an engine that cannot be loaded: it is built anew."""
    kept.remove(folder)


def _built_for(backend: str) -> list[str | None]:
    """Return what an engine is worthless without."""
    return [backend, BACKENDS[backend].version, card_model()]

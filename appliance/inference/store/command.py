"""The command: find the store, do what was asked, and say by the exit code how it went."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from appliance.config import ConfigError, Settings, load
from appliance.inference.store.errors import RefusedError, StoreError
from appliance.inference.store.shelf import Shelf

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

    from appliance.inference.store.checking import Trials
    from appliance.inference.store.record import Record

FAILED, REFUSED = 1, 2
_LONGEST_S = 7 * 86400.0
_SHA256 = re.compile(r"[0-9a-f]{64}")


def run(options: argparse.Namespace, environ: Mapping[str, str], trials: Trials | None = None) -> int:
    """Do it. Return 0, 1 (failed; it may work another time) or 2 (refused: trying again changes nothing).

    `trials` are what `check` makes with a model, beyond looking at it: by default every installed backend's self-test.
    """
    settings = _settings(options, environ)
    shelf = Shelf(options.store or settings.state_path / "models")
    try:
        match options.of:
            case "list":
                _list(shelf, as_json=options.json)
            case "get":
                _tell(shelf, _get(options, shelf, environ))
            case "export":
                _tell(shelf, _export(options, shelf, settings))
            case "quantize":
                return _quantize(options, shelf, settings)
            case "build":
                return _build(options, shelf, settings)
            case _:
                _check(options, shelf, settings, trials)
    except RefusedError as error:
        _say(str(error))
        return REFUSED
    except StoreError as error:
        _say(str(error))
        return FAILED
    except KeyboardInterrupt:
        left = {
            "quantize": "a form that was said to be kept is kept, and nothing else is left",
            "build": "an engine that was said to be there is kept, and nothing else is left",
        }
        brought = "what a download has brought is kept, and the same command goes on from there"
        _say(f"stopped; {left.get(options.of, brought)}")
        return FAILED
    return 0


def _settings(options: argparse.Namespace, environ: Mapping[str, str]) -> Settings:
    """Return the settings, or the defaults: whoever has no model yet need not have settings that can be used."""
    config: Path | None = options.config
    if config == Path("config.yaml") and not config.exists():
        config = None
    try:
        return load(config, environ, require_model=False)
    except ConfigError:
        if options.store is None:
            _say(f"{options.config} cannot be used (porchlight check says why), so the default folder is taken")
        return Settings()


def _list(shelf: Shelf, *, as_json: bool) -> None:
    from appliance.inference.store import listing  # noqa: PLC0415 -- each command loads its own

    _print((listing.document if as_json else listing.table)(shelf.folder, shelf.items()))


def _get(options: argparse.Namespace, shelf: Shelf, environ: Mapping[str, str]) -> Record:
    from appliance.inference.store.get import Wish, get  # noqa: PLC0415 -- likewise
    from appliance.inference.store.progress import Progress  # noqa: PLC0415 -- likewise
    from appliance.inference.store.source import Hub, source, valid_name  # noqa: PLC0415 -- likewise

    hub = Hub.of(environ)
    place = source(options.what, options.file, options.revision, hub)
    sha256 = options.sha256.lower()
    if sha256 and not _SHA256.fullmatch(sha256):
        raise RefusedError("--sha256 is not 64 hexadecimal digits")
    if options.max_bytes <= 0:
        raise RefusedError("--max-bytes must be more than 0")
    name = valid_name(options.name) if options.name else place.name
    wish = Wish(place, name, sha256, options.replace, options.max_bytes)
    progress = Progress(name, sys.stderr)
    try:
        return get(shelf, wish, hub, progress)
    finally:
        progress.end()


def _export(options: argparse.Namespace, shelf: Shelf, settings: Settings) -> Record:
    from appliance.inference.store.catalogue import variant  # noqa: PLC0415 -- likewise
    from appliance.inference.store.environment import Environment  # noqa: PLC0415 -- likewise
    from appliance.inference.store.export import Order, default_name, export  # noqa: PLC0415 -- likewise
    from appliance.inference.store.source import valid_name  # noqa: PLC0415 -- likewise

    chosen = variant(options.variant)
    name = valid_name(options.name) if options.name else default_name(chosen, options.weights)
    ours = settings.state_path / "rfdetr-env"
    environment = Environment(options.environment or ours, is_ours=options.environment is None)
    return export(shelf, Order(chosen, name, options.weights, options.replace), environment, _say)


def _quantize(options: argparse.Namespace, shelf: Shelf, settings: Settings) -> int:
    from appliance.inference import int8  # noqa: PLC0415 -- likewise
    from appliance.inference.quantize import pictures, work  # noqa: PLC0415 -- likewise
    from appliance.inference.quantize.makers import makers  # noqa: PLC0415 -- likewise
    from appliance.inference.store import checking  # noqa: PLC0415 -- likewise
    from appliance.inference.store.verification import demand_model  # noqa: PLC0415 -- likewise

    if options.count < pictures.LEAST or not 0 < options.seconds <= _LONGEST_S:
        raise RefusedError(f"--count takes {pictures.LEAST} or more, --seconds more than 0 and at most a week")
    item = checking.chosen(options.model, shelf, settings.model.path)
    threads = settings.model.threads if settings.model.threads != "auto" else min(2, len(os.sched_getaffinity(0)))
    classes = {*settings.sentry.classes, *(name for camera in settings.cameras for name in camera.sentry.classes or ())}
    wanted = makers(options.backends, options.calibration_cache)  # before a quarter of an hour is spent on pictures
    order = work.Order(item.path, item.sha256, wanted, threads, settings.model.threshold, classes)
    demand_model(item.path, str(item.path))  # likewise
    if options.pictures is not None:
        found = pictures.of_folder(options.pictures, options.count, _say)
    else:
        found = pictures.of_cameras(settings, options.count, options.seconds, _say)
    is_kept = False
    try:
        for outcome in work.quantize(order, found, settings.state_path, _say):
            _print(str(outcome))
            is_kept |= not outcome.refused
    finally:
        if is_kept:
            _print(f"Kept in {int8.home(settings.state_path, item.sha256)}")
            _print("Porchlight tries what was kept at its next start, and uses it where it is the fastest.")
    if is_kept and settings.model.backend not in {"auto", *wanted}:
        _print(f"model.backend is {settings.model.backend}: write auto, or the form's backend.")
    return 0 if is_kept else REFUSED


def _build(options: argparse.Namespace, shelf: Shelf, settings: Settings) -> int:
    from appliance.inference import verdicts  # noqa: PLC0415 -- likewise
    from appliance.inference.detector import BackendError  # noqa: PLC0415 -- likewise
    from appliance.inference.gpu.tensorrt_api import INSTALL  # noqa: PLC0415 -- likewise
    from appliance.inference.store import checking  # noqa: PLC0415 -- likewise
    from appliance.inference.store.verification import demand_model  # noqa: PLC0415 -- likewise

    item = checking.chosen(options.model, shelf, settings.model.path)
    demand_model(item.path, str(item.path))
    wanted = settings.model.model_copy(update={"backend": options.backend or "auto"})
    found, again = [], options.backend is not None  # who names it has mended what was wrong
    try:
        for backend, refused in verdicts.built(item.path, wanted, settings.state_path, _say, again=again):
            what = f"no engine: {refused}" if refused else "its engine is there, and passed its self-test"
            _print(f"{backend}: {what}")
            found.append(not refused)
    except BackendError as error:  # the reference's, without which nothing can be judged
        raise StoreError(str(error)) from None
    if not found:
        raise StoreError(f"TensorRT is not installed: {INSTALL}")
    return 0 if any(found) else FAILED


def _check(options: argparse.Namespace, shelf: Shelf, settings: Settings, trials: Trials | None) -> None:
    from appliance.inference.store import checking  # noqa: PLC0415 -- likewise

    if trials is None:
        from appliance.inference import verdicts  # noqa: PLC0415 -- likewise

        def trials(path: Path) -> Iterator[str]:
            return verdicts.report(path, settings.model, settings.state_path)

    for line in checking.lines(checking.chosen(options.model, shelf, settings.model.path), trials):
        _print(line)


def _tell(shelf: Shelf, entry: Record) -> None:
    """Say what is there now, and what to do with it."""
    path = shelf.path(entry.name).absolute()
    _print(f"{path}: {entry.bytes:,} bytes, sha256 {entry.sha256}\nlicence: {entry.licence}\n\nIn config.yaml:\n")
    _print(yaml.safe_dump({"model": {"path": str(path)}}, allow_unicode=True, width=10_000).rstrip())


def _print(text: str) -> None:
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(f"{_plain(text).encode(encoding, 'backslashreplace').decode(encoding)}\n")
    sys.stdout.flush()


def _say(text: str) -> None:
    sys.stderr.write(f"{_plain(text)}\n")
    sys.stderr.flush()


def _plain(text: str) -> str:
    """Escape what moves the cursor: records, file names and other programs' words hold anything."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)

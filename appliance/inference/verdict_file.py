"""What the trials have found out, kept in the state folder: a restart after a crash must not wait for them again."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import time
from typing import TYPE_CHECKING, Any

from appliance.inference.backends import BACKENDS
from appliance.inference.choice import Candidate, Verdict
from appliance.inference.machine import card, processor
from appliance.inference.trial import info_from

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from appliance.inference.detector import ModelInfo

log = logging.getLogger(__name__)

FILE = "backends.json"
_REVISION = 1
"""Of the self-test: another picture or other tolerances make all that was found out worthless."""
_KEPT = 64
_REFUSED_FOR_S = 24 * 3600.0
"""A refusal may have had a reason that has gone (no memory, a machine at its limits): tried again after a day."""
_LATEST_S = 253e9


class VerdictFile:
    """The verdicts about one model on this machine. A file that cannot be read or written costs time, nothing else."""

    def __init__(self, folder: Path, model: str, forms: Mapping[str, str] | None = None) -> None:
        """`model` is the model's SHA-256; `forms` are the digests of what backends load instead of it, now."""
        self._forms = {} if forms is None else forms
        self._path = folder / FILE
        self._model = model
        self._entries = self._read()

    def info(self) -> ModelInfo | None:
        """Return what the model said of itself."""
        entry = self._entries.get(f"{_REVISION} {self._model}")
        with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):
            return None if entry is None else info_from(entry["info"])
        return None

    def get(self, candidate: Candidate) -> Verdict | None:
        entry = self._entries.get(self._key(candidate))
        with contextlib.suppress(KeyError, TypeError, ValueError, OverflowError):
            # What was absent may have been installed, or passed into the container, by no version that we see.
            kept_for_s = (
                0.0 if entry and entry["absent"] and not BACKENDS[candidate.backend].threaded else _REFUSED_FOR_S
            )
            if entry is not None and not (entry["refused"] and time.time() - entry["at"] > kept_for_s):
                return Verdict(float(entry["latency_ms"]), str(entry["refused"]), bool(entry["absent"]))
        return None

    def put(self, candidate: Candidate, verdict: Verdict) -> None:
        self._entries[self._key(candidate)] = {**dataclasses.asdict(verdict), "at": time.time()}

    def put_info(self, info: ModelInfo) -> None:
        self._entries[f"{_REVISION} {self._model}"] = {"info": dataclasses.asdict(info), "at": time.time()}

    def write(self) -> None:
        """Keep it for the next start."""
        newest = sorted(self._entries.items(), key=lambda item: -item[1]["at"])[:_KEPT]
        temporary = self._path.with_name(f".{FILE}.{os.getpid()}")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary.write_text(json.dumps(dict(newest), indent=1))
            temporary.replace(self._path)
        except OSError as error:
            log.warning("%s cannot be written (%s): the next start tries the backends again", self._path, error)

    def _key(self, candidate: Candidate) -> str:
        version = BACKENDS[candidate.backend].version
        model = f"{self._model} {form}" if (form := self._forms.get(candidate.backend)) else self._model
        place = processor() if BACKENDS[candidate.backend].threaded else card()
        return f"{_REVISION} {model} {candidate.backend} {version} {candidate.threads} {place}"

    def _read(self) -> dict[str, Any]:
        try:
            entries = dict(json.loads(self._path.read_text()))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, RecursionError) as error:
            log.warning("%s cannot be read (%s): the backends are tried again", self._path, error)
            return {}
        return {key: entry for key, entry in entries.items() if isinstance(entry, dict) and _is_time(entry.get("at"))}


def _is_time(at: Any) -> bool:
    """Return whether these are seconds since 1970 that any clock shows."""
    return type(at) in {int, float} and 0 <= at < _LATEST_S

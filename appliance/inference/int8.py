"""The int8 forms of a model: made of it by `porchlight model quantize`, found by its hash in the state folder."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.inference import kept
from appliance.inference.selftest import Answer, answer_from

log = logging.getLogger(__name__)

FOLDER = "int8"
VERSION = 1
MOST = 4
"""Models whose forms are kept: whoever tries another one may come back."""


@dataclass(frozen=True, slots=True)
class Form:
    """One backend's int8 form. `file` is what it loads, or builds its engine of; `digest` changes with anything in it.

    `golden` is what it answered to the golden picture when it was made and found good: its self-test on any machine is
    to answer so again. The model itself answers a little otherwise, and how much says nothing about a broken kernel.
    """

    file: Path
    sha256: str
    digest: str
    golden: Answer


@dataclass(frozen=True, slots=True)
class Made:
    """How a form was made and what it was found to be worth; the text that its record holds.

    `agreement` (0..1) is the share of finds that it has in common with the model, in `held_back` pictures;
    `time_ratio` its time to the model's on the machine that made it.
    """

    agreement: float
    held_back: int
    time_ratio: float
    made_with: str
    at: str
    golden: Answer


def home(state_folder: Path, model_sha256: str) -> Path:
    """Return where all forms of a model lie, one folder for each backend."""
    return state_folder / FOLDER / model_sha256[:32]


def read(folder: Path) -> Form | None:
    """Return the form in this folder; None where there is none that is whole. What is damaged is told in the log."""
    try:
        record = kept.read(folder, VERSION)
        return None if record is None else _form(folder, record)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        why = str(error)
    log.warning("%s: the int8 form cannot be used (%s); make it anew with `porchlight model quantize`", folder, why)
    return None


def _form(folder: Path, record: dict[str, Any]) -> Form:
    """Read what the record says. ValueError and others: it is none."""
    if record["load"] not in record["files"]:
        raise ValueError("its record does not say what to load")
    digest = hashlib.sha256(json.dumps(record).encode()).hexdigest()
    file = folder / Path(record["load"]).name
    return Form(file, record["files"][record["load"]], digest, answer_from(record["golden"]))


def place(made_in: Path, folder: Path, load: str, made: Made) -> None:
    """Give the finished files in `made_in` (in the same file system) their place, with a record. OSError."""
    kept.place(made_in, folder, VERSION, {"load": load, **dataclasses.asdict(made)})
    kept.keep_newest(folder.parent.parent, MOST)

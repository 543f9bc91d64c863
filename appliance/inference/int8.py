"""The int8 forms of a model: made of it by `porchlight model quantize`, found by its hash in the state folder."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.inference.digest import sha256
from appliance.inference.selftest import Answer, answer_from

log = logging.getLogger(__name__)

FOLDER = "int8"
VERSION = 1
RECORD = "record.json"
ENDING = "_int8"
"""A backend called so runs a form, and not the model itself."""


@dataclass(frozen=True, slots=True)
class Form:
    """One backend's int8 form. `file` is what it loads; `digest` changes with anything in it.

    `golden` is what it answered to the golden picture when it was made and found good: its self-test on any machine is
    to answer so again. The model itself answers a little otherwise, and how much says nothing about a broken kernel.
    """

    file: Path
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
        return _form(folder, json.loads((folder / RECORD).read_text()))
    except FileNotFoundError as error:
        if error.filename == str(folder / RECORD):
            return None
        why = f"{Path(error.filename).name} is gone"
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        why = str(error)
    log.warning("%s: the int8 form cannot be used (%s); make it anew with `porchlight model quantize`", folder, why)
    return None


def _form(folder: Path, record: dict[str, Any]) -> Form:
    """Hold the files against their record. ValueError and others: they differ, or it is none."""
    if record["version"] != VERSION:
        raise ValueError(f"its record is of version {record['version']}, and this Porchlight knows {VERSION}")
    for name, digest in record["files"].items():
        if sha256(folder / Path(name).name) != digest:
            raise ValueError(f"{name} is not the file that was recorded")
    if record["load"] not in record["files"]:
        raise ValueError("its record does not say what to load")
    digest = hashlib.sha256(json.dumps(record).encode()).hexdigest()
    return Form(folder / Path(record["load"]).name, digest, answer_from(record["golden"]))


def place(made_in: Path, folder: Path, load: str, made: Made) -> None:
    """Give the finished files in `made_in` (in the same file system) their place, with a record. OSError."""
    files = {path.name: sha256(path) for path in sorted(made_in.iterdir())}
    record = {"version": VERSION, "load": load, "files": files, **dataclasses.asdict(made)}
    (made_in / RECORD).write_text(json.dumps(record, indent=1) + "\n")
    # Who reads in between finds none, and runs the model as it is.
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    made_in.rename(folder)
